//! Trips and caps on devices, and silences: for each promise a log that breaks it, and one like it that does not.

use super::builder::{DEVICE, Log, OTHER};
use super::guards::{asks, intends, silence};
use super::planted::more_calls;
use crate::cli::ledger_audit::{Audit, AuditOptions, ViolationCode};
use crate::event::*;

const THIRD: &str = "3333333333333333333333333333333333333333";

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

/// The first scan is asked for under no cap, so its window is drawn only when the second one comes.
#[test]
fn a_withdrawn_intent_leaves_the_windows_that_were_drawn_after_it() {
    for withdrawn in [true, false] {
        let mut log = Log::begun();
        let limit = RuleLimit { rule_id: "rule-1".to_owned(), devices: 2, per_seconds: 300 };
        let mut intents = Vec::new();
        for (number, device) in [DEVICE, OTHER, THIRD].into_iter().enumerate() {
            log.device = device;
            let (id, scan) = (format!("r1{number}"), format!("s{number}"));
            log.requested(&id);
            if number > 0 {
                asks(&mut log, |asked| asked.limits.push(limit.clone()));
            }
            intents.push(log.intent(&scan, 1, &[&id]));
            if number == 1 && withdrawn {
                log.withdrawn("s0", 1);
            }
        }
        if withdrawn {
            log.assert_clean();
        } else {
            log.assert_only(ViolationCode::BlastRadiusExceeded, &intents);
        }
    }
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

/// A change of the quota brings a new owner, so it says nothing of windows that former owners filled alone.
#[test]
fn the_quota_judges_windows_with_a_call_of_the_latest_owner() {
    let audit = |log: &Log, per_minute: u32, every_owner: bool| {
        let mut audit = Audit::new(AuditOptions { per_minute, every_owner, ..AuditOptions::default() });
        log.tell(&mut audit);
        let report = audit.finish();
        let found: Vec<_> = report.violations.iter().map(|found| (found.code, found.offsets.clone())).collect();
        (found, report.notes.iter().any(|note| note.contains("former owners made up to 60 calls in 60 s")))
    };
    let exceeded = |offset| vec![(ViolationCode::QuotaExceeded, vec![offset])];
    let mut log = Log::begun();
    more_calls(&mut log, 0, 60, 0, AttemptResult::RateLimited);
    log.claimed("b");
    // The limit was lowered from 100 to 50 by the restart.
    assert_eq!(audit(&log, 50, false), (vec![], true));
    assert_eq!(audit(&log, 50, true), (exceeded(2 + 50 * 3 + 1), false));
    assert_eq!(audit(&log, 100, true), (vec![], false));
    // The new owner has read of the calls before it, and has to wait for them.
    more_calls(&mut log, 60, 1, 0, AttemptResult::RateLimited);
    let first_of_b = log.next - 2;
    assert_eq!(audit(&log, 50, false), (exceeded(first_of_b), false));
    more_calls(&mut log, 61, 40, 0, AttemptResult::RateLimited);
    assert_eq!(audit(&log, 100, false), (exceeded(log.next - 2), false));

    let mut patient = Log::begun();
    more_calls(&mut patient, 0, 60, 0, AttemptResult::RateLimited);
    patient.claimed("b");
    patient.now += 61;
    more_calls(&mut patient, 60, 50, 0, AttemptResult::RateLimited);
    assert_eq!(audit(&patient, 50, false), (vec![], true));
    more_calls(&mut patient, 110, 1, 0, AttemptResult::RateLimited);
    assert_eq!(audit(&patient, 50, false), (exceeded(patient.next - 2), false));
}
