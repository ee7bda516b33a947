//! Guards, thresholds, ages, unfit devices and rests: for each promise a log that breaks it, and one like it that does not.

use super::builder::{Log, at};
use crate::cli::ledger_audit::{Audit, AuditOptions, ViolationCode};
use crate::event::*;

/// What the last record, a request, says instead.
pub(super) fn asks(log: &mut Log, change: impl FnOnce(&mut Requested)) {
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Requested(body) => change(body),
        other => panic!("{other:?}"),
    }
}

/// What the last record, an intent, says instead.
pub(super) fn intends(log: &mut Log, change: impl FnOnce(&mut Intent)) {
    match &mut log.records.last_mut().unwrap().1.body {
        EventBody::Intent(body) => change(body),
        other => panic!("{other:?}"),
    }
}

pub(super) fn silence(log: &mut Log, field: SilenceField, value: &str) -> i64 {
    let matchers = vec![SilenceMatcher { field, value: value.to_owned() }];
    let (id, author, comment) = ("silence-1".to_owned(), "ann".to_owned(), "patching".to_owned());
    let silence = Silence { id, matchers, starts_at: at(0), ends_at: at(600), author, comment };
    log.control(ControlAction::SilenceSet { silence })
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
