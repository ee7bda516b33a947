//! Trips, caps, silences, thresholds, ages, unfit devices and rests: for each promise a log that breaks it, and one like
//! it that does not.

use super::builder::{DEVICE, Log, OTHER, at};
use crate::cli::ledger_audit::{Audit, AuditOptions, ViolationCode};
use crate::event::*;

const THIRD: &str = "3333333333333333333333333333333333333333";

/// What the last record, a request, says instead.
fn asks(log: &mut Log, change: impl FnOnce(&mut Requested)) {
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Requested(body) => change(body),
        other => panic!("{other:?}"),
    }
}

/// What the last record, an intent, says instead.
fn intends(log: &mut Log, change: impl FnOnce(&mut Intent)) {
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Intent(body) => change(body),
        other => panic!("{other:?}"),
    }
}

fn tripped(log: &Log, rule_id: Option<&str>) -> ControlAction {
    let rule_id = rule_id.map(str::to_owned);
    ControlAction::Tripped { claim: log.claim.clone(), rule_id, devices: 2, per_seconds: 60 }
}

fn rearmed(rule_id: Option<&str>) -> ControlAction {
    ControlAction::Rearmed { rule_id: rule_id.map(str::to_owned) }
}

#[test]
fn a_scan_for_a_rule_whose_cap_is_tripped() {
    for rule in [Some("rule-1"), None] {
        let mut log = Log::begun();
        let trip = log.control(tripped(&log, rule));
        log.requested("r10");
        let intent = log.intent("s1", 1, &["r10"]);
        log.assert_only(ViolationCode::TripBroken, &[trip, intent]);

        let mut log = Log::begun();
        log.control(tripped(&log, rule));
        log.control(rearmed(rule));
        log.requested("r10");
        log.intent("s1", 1, &["r10"]);
        log.assert_clean();
    }
}

#[test]
fn a_new_owner_has_read_every_trip_before_its_claim() {
    let mut log = Log::begun();
    log.requested("r10");
    let trip = log.control(tripped(&log, Some("rule-1")));
    // Written before the trip was read, for all that the log tells.
    let mut unread = Log { records: log.records.clone(), claim: log.claim.clone(), next: log.next, ..Log::empty() };
    unread.intent("s1", 1, &["r10"]);
    unread.assert_clean();
    log.claimed("b");
    let intent = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::TripBroken, &[trip, intent]);
}

#[test]
fn a_scan_for_a_request_without_a_rule_that_is_not_tripped() {
    let mut log = Log::begun();
    let trip = log.control(tripped(&log, Some("rule-1")));
    log.requested("r10");
    let intent = log.intent("s1", 1, &["r10"]);
    intends(&mut log, |intent| intent.rule_ids.clear());
    log.assert_only(ViolationCode::TripBroken, &[trip, intent]);

    // Another live rule asks for it.
    let mut log = Log::begun();
    log.control(tripped(&log, Some("rule-1")));
    log.requested("r10");
    asks(&mut log, |asked| asked.rule_ids.push("rule-2".to_owned()));
    log.intent("s1", 1, &["r10"]);
    intends(&mut log, |intent| intent.rule_ids = vec!["rule-2".to_owned()]);
    log.assert_clean();
}

#[test]
fn a_trip_that_was_carried_past_its_rearming_holds_nothing() {
    for (order_offset, broken) in [(Some(2), false), (None, true)] {
        let mut log = Log::begun();
        assert_eq!(log.control(tripped(&log, Some("rule-1"))), 2);
        log.control(rearmed(Some("rule-1")));
        let (claim, rule_id) = (log.claim.clone(), Some("rule-1".to_owned()));
        let carried = log.append(Carried::Tripped { claim, order_offset, rule_id });
        log.requested("r10");
        let intent = log.intent("s1", 1, &["r10"]);
        if broken {
            log.assert_only(ViolationCode::TripBroken, &[carried, intent]);
        } else {
            log.assert_clean();
        }
    }
}

/// One scan of each device, a minute apart, for a rule that allows two devices in five minutes.
fn three_devices(between: impl Fn(&mut Log, usize)) -> Log {
    let mut log = Log::begun();
    for (number, device) in [DEVICE, OTHER, THIRD].into_iter().enumerate() {
        log.device = device;
        let (id, scan) = (format!("r1{number}"), format!("s{number}"));
        let limit = RuleLimit { rule_id: "rule-1".to_owned(), devices: 2, per_seconds: 300 };
        log.requested(&id);
        asks(&mut log, |asked| asked.limits.push(limit));
        log.intent(&scan, 1, &[&id]);
        between(&mut log, number);
        log.now += 60;
    }
    log
}

#[test]
fn a_third_device_for_a_rule_that_allows_two() {
    three_devices(|_, _| {}).assert_only(ViolationCode::BlastRadiusExceeded, &[3, 5, 7]);
    three_devices(|log, number| log.now += if number == 0 { 240 } else { 0 }).assert_clean();
    three_devices(|log, number| {
        if number == 1 {
            log.control(rearmed(Some("rule-1")));
        }
    })
    .assert_clean();
    three_devices(|log, number| {
        if number == 1 {
            log.withdrawn("s1", 1);
        }
    })
    .assert_clean();
    // The intent leaves the rule out: it is in shadow for this device.
    three_devices(|log, _| intends(log, |intent| intent.rule_ids.clear())).assert_clean();
    // The clock of another owner may be ahead.
    three_devices(|log, number| {
        if number == 1 {
            log.claimed("b");
            log.now += 150;
        }
    })
    .assert_clean();
}

#[test]
fn more_devices_than_all_rules_together_may_reach() {
    let audit = |log: &Log| {
        let total = Some((2, std::time::Duration::from_secs(300)));
        let mut audit = Audit::new(AuditOptions { blast_radius: total, ..AuditOptions::default() });
        log.tell(&mut audit);
        audit.finish().violations.into_iter().map(|found| (found.code, found.offsets)).collect::<Vec<_>>()
    };
    let without_limit = |log: &mut Log, _| intends(log, |intent| intent.rule_ids.clear());
    let mut log = three_devices(without_limit);
    assert_eq!(audit(&log), [(ViolationCode::BlastRadiusExceeded, vec![3, 5, 7])]);
    // Another owner may have come with another configuration, and that is the one in hand.
    log.claimed("b");
    assert_eq!(audit(&log), []);
}

fn silence(log: &mut Log, field: SilenceField, value: &str) -> i64 {
    let matchers = vec![SilenceMatcher { field, value: value.to_owned() }];
    let (id, author, comment) = ("silence-1".to_owned(), "ann".to_owned(), "patching".to_owned());
    let silence = Silence { id, matchers, starts_at: at(0), ends_at: at(600), author, comment };
    log.control(ControlAction::SilenceSet { silence })
}

#[test]
fn a_scan_that_a_silence_holds_back() {
    for (field, value) in [
        (SilenceField::DeviceName, "WS-*"),
        (SilenceField::Rule, "rule-1"),
        (SilenceField::AlertId, "1?"),
        (SilenceField::DeviceId, "2eeb*"),
        (SilenceField::AlertSeverity, "HIGH"),
    ] {
        let mut log = Log::begun();
        let set = silence(&mut log, field, value);
        log.requested("r10");
        let intent = log.intent("s1", 1, &["r10"]);
        log.assert_only(ViolationCode::SilenceBroken, &[set, intent]);
    }
    for (field, value) in [(SilenceField::DeviceName, "ws-1"), (SilenceField::DeviceGroup, "*")] {
        let mut log = Log::begun();
        silence(&mut log, field, value);
        log.requested("r10");
        log.intent("s1", 1, &["r10"]);
        log.assert_clean();
    }
    let mut log = Log::begun();
    silence(&mut log, SilenceField::Rule, "rule-1");
    log.now = 600;
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    log.assert_clean();

    let mut log = Log::begun();
    silence(&mut log, SilenceField::Rule, "rule-1");
    log.control(ControlAction::SilenceEnded { silence_id: "silence-1".to_owned() });
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    log.assert_clean();
}

#[test]
fn a_call_that_was_made_though_a_silence_came_before_its_intent() {
    let mut log = Log::begun();
    log.requested("r10");
    let set = silence(&mut log, SilenceField::Rule, "rule-1");
    // The silence may not have been read when it was decided, but was before it was called.
    let intent = log.intent("s1", 1, &["r10"]);
    log.assert_clean();
    let accepted = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::SilenceBroken, &[set, intent, accepted]);

    let mut log = Log::begun();
    log.requested("r10");
    silence(&mut log, SilenceField::Rule, "rule-1");
    log.intent("s1", 1, &["r10"]);
    log.withdrawn("s1", 1);
    log.assert_clean();
}

fn without_cause(reason: SuppressedReason, before: impl Fn(&mut Log)) -> Log {
    let mut log = Log::begun();
    before(&mut log);
    let made = log.requested("r10");
    let end = log.suppressed(&["r10"], reason);
    log.assert_only(ViolationCode::SuppressedWithoutCause, &[made, end]);
    log
}

#[test]
fn a_silence_that_nobody_set() {
    without_cause(SuppressedReason::Silenced, |_| {});
    without_cause(SuppressedReason::Silenced, |log| {
        silence(log, SilenceField::Rule, "rule-2");
    });
    without_cause(SuppressedReason::Silenced, |log| {
        silence(log, SilenceField::Rule, "rule-1");
        log.control(ControlAction::SilenceEnded { silence_id: "silence-1".to_owned() });
    });

    let mut log = Log::begun();
    silence(&mut log, SilenceField::Rule, "rule-1");
    log.requested("r10");
    // The end of the silence may not have been read.
    log.control(ControlAction::SilenceEnded { silence_id: "silence-1".to_owned() });
    log.suppressed(&["r10"], SuppressedReason::Silenced);
    log.assert_clean();
}

#[test]
fn guards_that_had_no_reason() {
    for reason in [
        SuppressedReason::TooOld,
        SuppressedReason::OutsideActiveTime,
        SuppressedReason::Duplicate,
        SuppressedReason::Covered,
        SuppressedReason::Cooldown,
        SuppressedReason::BelowThreshold,
    ] {
        without_cause(reason, |_| {});
    }
    for reason in [SuppressedReason::Protected, SuppressedReason::ProtectionUnknown, SuppressedReason::BlastRadius] {
        let mut log = Log::begun();
        log.requested("r10");
        log.suppressed(&["r10"], reason);
        log.assert_clean();
    }
}

#[test]
fn guards_that_had_a_reason() {
    let mut log = Log::begun();
    log.requested("r10");
    log.now = 86_400 * 10;
    log.suppressed(&["r10"], SuppressedReason::TooOld);
    log.requested("r11");
    asks(&mut log, |asked| asked.terms.outside_active_time = Some("office hours".to_owned()));
    log.suppressed(&["r11"], SuppressedReason::OutsideActiveTime);
    log.requested("r12");
    asks(&mut log, |asked| {
        asked.alerts[0].id = "11".to_owned();
        asked.expires_at = at(86_400 * 20);
    });
    log.suppressed(&["r12"], SuppressedReason::Duplicate);
    log.requested("r13");
    asks(&mut log, |asked| asked.expires_at = at(86_400 * 20));
    log.intent("s1", 1, &["r13"]);
    log.accepted("s1", 1, &["r13"], "action-1");
    let (begun, raised) = (at(log.now), at(log.now + 30));
    log.now += 60;
    log.finished("s1", &["r13"], &[]);
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Finished(body) => body.began_at = Some(begun),
        other => panic!("{other:?}"),
    }
    log.requested("r14");
    asks(&mut log, |asked| asked.alert_created_at = Some(raised));
    log.suppressed(&["r14"], SuppressedReason::Covered);
    log.requested("r15");
    log.suppressed(&["r15"], SuppressedReason::Cooldown);
    log.assert_clean();
}

#[test]
fn a_scan_for_a_request_that_is_too_old() {
    let mut log = Log::begun();
    let made = log.requested("r10");
    log.now = 86_400 * 10;
    let intent = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::IntentForExpired, &[made, intent]);
}

#[test]
fn a_scan_outside_of_active_time() {
    let mut log = Log::begun();
    let made = log.requested("r10");
    asks(&mut log, |asked| asked.terms.outside_active_time = Some("office hours".to_owned()));
    let intent = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::IntentOutsideActiveTime, &[made, intent]);
}

/// A request that awaits two alerts within ten minutes; `alert` is the id of its own.
fn counted(log: &mut Log, id: &str, alert: &str) -> i64 {
    let offset = log.requested(id);
    asks(log, |asked| {
        asked.alerts[0].id = alert.to_owned();
        asked.terms.awaits_threshold = true;
        asked.terms.thresholds = vec![Threshold {
            rule_id: "count".to_owned(),
            value: None,
            at_least: 2,
            within_seconds: 600,
            scan_type: ScanType::Quick,
            priority: 70,
            mode: Mode::Live,
        }];
    });
    offset
}

#[test]
fn a_scan_below_its_threshold() {
    // One alert, the same alert twice, and two that are too far apart.
    for (alert, gap) in [(None, 0), (Some("1"), 60), (Some("2"), 601)] {
        let mut log = Log::begun();
        let mut made = counted(&mut log, "r10", "1");
        log.now += gap;
        if let Some(alert) = alert {
            log.suppressed(&["r10"], SuppressedReason::BelowThreshold);
            made = counted(&mut log, "r11", alert);
        }
        let intent = log.intent("s1", 1, &[if alert.is_some() { "r11" } else { "r10" }]);
        log.assert_only(ViolationCode::IntentBelowThreshold, &[made, intent]);
    }
    let mut log = Log::begun();
    counted(&mut log, "r10", "1");
    log.suppressed(&["r10"], SuppressedReason::BelowThreshold);
    log.now += 600;
    counted(&mut log, "r11", "2");
    log.intent("s1", 1, &["r11"]);
    log.assert_clean();
}

#[test]
fn a_request_held_back_though_its_threshold_was_reached() {
    let mut log = Log::begun();
    counted(&mut log, "r10", "1");
    log.suppressed(&["r10"], SuppressedReason::BelowThreshold);
    log.now += 60;
    let made = counted(&mut log, "r11", "2");
    let end = log.suppressed(&["r11"], SuppressedReason::BelowThreshold);
    log.assert_only(ViolationCode::SuppressedWithoutCause, &[made, end]);
}

/// A device that Defender does not know, and is not asked about again for an hour.
fn unknown() -> (Log, i64) {
    let mut log = Log::begun();
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    log.attempt_failed("s1", 1, AttemptResult::DeviceNotFound, false);
    let failed = log.failed(Some("s1"), &["r10"], FailedReason::DeviceNotFound);
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Failed(body) => body.device_unfit_until = Some(at(3600)),
        other => panic!("{other:?}"),
    }
    (log, failed)
}

/// Requests fail without an attempt, and without a look-up that would say why.
fn fails_at_once(log: &mut Log, id: &str, reason: FailedReason) -> i64 {
    log.requested(id);
    let offset = log.failed(None, &[id], reason);
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Failed(body) => body.device_unfit_until = None,
        other => panic!("{other:?}"),
    }
    offset
}

#[test]
fn a_scan_of_a_device_that_is_left_alone() {
    let (mut log, failed) = unknown();
    log.requested("r11");
    log.now = 3599;
    let intent = log.intent("s2", 1, &["r11"]);
    log.assert_only(ViolationCode::IntentForUnfitDevice, &[failed, intent]);

    let (mut log, _) = unknown();
    log.requested("r11");
    log.now = 3600;
    log.intent("s2", 1, &["r11"]);
    log.assert_clean();
}

#[test]
fn a_failure_that_nobody_asked_defender_about() {
    let mut log = Log::begun();
    let offset = fails_at_once(&mut log, "r10", FailedReason::DeviceNotFound);
    log.assert_only(ViolationCode::FailedWithoutCause, &[offset]);

    let (mut log, failed) = unknown();
    fails_at_once(&mut log, "r11", FailedReason::DeviceNotFound);
    log.assert_clean();
    log.now = 3600;
    let offset = fails_at_once(&mut log, "r12", FailedReason::DeviceNotFound);
    log.assert_only(ViolationCode::FailedWithoutCause, &[failed, offset]);
}

#[test]
fn a_rest_that_is_not_the_one_asked_for() {
    let growth = CooldownGrowth { factor: 2, longest_seconds: 10_000 };
    for (step, seconds, holds) in
        [(0, 3600, true), (0, 3599, false), (0, 3601, false), (2, 10_000, true), (2, 10_001, false), (1, 3599, false)]
    {
        let mut log = Log::begun();
        log.requested("r10");
        asks(&mut log, |asked| asked.terms.cooldown_growth = Some(growth));
        let intent = log.intent("s1", 1, &["r10"]);
        intends(&mut log, |intent| (intent.cooldown_step, intent.cooldown_seconds) = (step, seconds));
        if holds {
            log.assert_clean();
        } else {
            log.assert_only(ViolationCode::RestDiffers, &[intent]);
        }
    }
    let mut log = Log::begun();
    log.requested("r10");
    let intent = log.intent("s1", 1, &["r10"]);
    log.cooldown = 3599;
    let accepted = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::RestDiffers, &[intent, accepted]);
}

#[test]
fn a_request_that_waits_for_ever() {
    let mut log = Log::begun();
    let made = log.requested("r10");
    let audit = |log: &Log, now: Option<i64>| {
        let mut audit = Audit::new(AuditOptions { at_rest: now.map(at), ..AuditOptions::default() });
        log.tell(&mut audit);
        audit.finish()
    };
    let found = audit(&log, Some(86_400 * 10 + 301));
    assert_eq!(
        (found.violations[0].code, found.violations[0].offsets.as_slice()),
        (ViolationCode::RequestOverdue, &[made][..])
    );
    assert_eq!((found.exit_code(), found.requests.in_flight.overdue), (5, 1));
    assert_eq!(audit(&log, Some(86_400 * 10 + 300)).exit_code(), 0);
    // Without the word that the worker runs, it is only told.
    log.now = 86_400 * 10 + 301;
    log.claimed("b");
    let found = audit(&log, None);
    assert_eq!((found.exit_code(), found.requests.in_flight.overdue), (0, 1));
    log.control(ControlAction::Halted);
    assert_eq!(audit(&log, Some(86_400 * 20)).violations, []);
}
