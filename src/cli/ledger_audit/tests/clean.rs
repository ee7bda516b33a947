//! Lives that keep every promise.

use super::builder::{Log, OTHER, at};
use crate::cli::ledger_audit::{Audit, AuditOptions, AuditReport, ViolationCode};
use crate::event::*;

fn outcome(report: &AuditReport, outcome: &str, reason: &str) -> u64 {
    report.outcomes.get(outcome).and_then(|reasons| reasons.get(reason)).copied().unwrap_or(0)
}

#[test]
fn a_clean_life() {
    let mut log = Log::begun();
    log.requested("r10");
    log.requested("r11");
    log.intent("s1", 1, &["r10", "r11"]);
    log.now += 1;
    log.attempt_failed("s1", 1, AttemptResult::RateLimited, true);
    log.now += 60;
    log.intent("s1", 2, &["r10", "r11"]);
    log.now += 1;
    log.accepted("s1", 2, &["r10", "r11"], "action-1");
    log.requested("r12");
    log.joined("s1", None, &["r12"]);
    log.now += 600;
    log.finished("s1", &["r10", "r11"], &["r12"]);
    log.requested("r13");
    log.suppressed(&["r13"], SuppressedReason::Cooldown);
    log.requested_in("r14", Mode::Shadow);
    log.shadowed(&["r14"]);
    log.failed_at_intake("r15");
    log.requested("r16");
    let report = log.assert_clean();
    for (word, reason, count) in [
        ("scanned", "", 2),
        ("joined", "", 1),
        ("suppressed", "cooldown", 1),
        ("shadowed", "", 1),
        ("failed", "evaluation_error", 1),
    ] {
        assert_eq!(outcome(&report, word, reason), count, "{word} {reason}");
    }
    assert_eq!((report.requests.made, report.requests.ended, report.requests.in_flight.waiting), (7, 6, 1));
    assert_eq!(report.requests.in_flight.oldest[0].request_id, "r16");
    assert_eq!((report.calls.intents, report.calls.accepted, report.calls.failed), (2, 1, 1));
    assert!(report.ledger[0].complete);
}

#[test]
fn repetitions_are_counted_and_no_violations() {
    let mut log = Log::begun();
    log.requested("r10");
    log.repeat();
    log.intent("s1", 1, &["r10"]);
    log.repeat();
    log.accepted("s1", 1, &["r10"], "action-1");
    log.repeat();
    log.requested("r11");
    log.joined("s1", None, &["r11"]);
    log.repeat();
    log.finished("s1", &["r10"], &["r11"]);
    log.repeat();
    log.failed_at_intake("r12");
    log.repeat();
    log.requested("r13");
    log.suppressed(&["r13"], SuppressedReason::Cooldown);
    log.repeat();
    let report = log.assert_clean();
    assert_eq!(report.ledger[0].duplicates, 7);
    assert_eq!(outcome(&report, "suppressed", "cooldown"), 1);
    assert_eq!(outcome(&report, "scanned", ""), 1);
}

#[test]
fn what_a_former_owner_decides_is_void() {
    let mut log = Log::begun();
    log.requested("r10");
    log.claimed("b");
    log.claim = "a".to_owned();
    log.intent("s1", 1, &["r10"]);
    log.suppressed(&["r10"], SuppressedReason::TooOld);
    log.claim = "b".to_owned();
    log.intent("s2", 1, &["r10"]);
    log.accepted("s2", 1, &["r10"], "action-1");
    log.finished("s2", &["r10"], &[]);
    let report = log.assert_clean();
    assert_eq!(report.ledger[0].void, 2);
    assert_eq!((outcome(&report, "scanned", ""), outcome(&report, "suppressed", "too_old")), (1, 0));
}

#[test]
fn a_fact_counts_from_whoever_made_the_call() {
    let mut log = Log::begun();
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    log.claimed("b");
    log.claim = "a".to_owned();
    log.accepted("s1", 1, &["r10"], "action-1");
    log.claim = "b".to_owned();
    // The new owner finds the same action in its list.
    log.accepted("s1", 1, &["r10"], "action-1");
    log.finished("s1", &["r10"], &[]);
    let report = log.assert_clean();
    assert_eq!((report.calls.accepted, report.ledger[0].duplicates), (1, 1));
}

#[test]
fn halted_means_withdrawn() {
    let mut log = Log::begun();
    log.requested("r10");
    log.control(ControlAction::Halted);
    log.intent("s1", 1, &["r10"]);
    log.withdrawn("s1", 1);
    log.control(ControlAction::Resumed);
    log.intent("s1", 2, &["r10"]);
    log.accepted("s1", 2, &["r10"], "action-1");
    let report = log.assert_clean();
    assert_eq!((report.calls.intents, report.calls.withdrawn, report.requests.in_flight.running), (2, 1, 1));
    assert_eq!(report.calls.windows[0].calls, 1, "a withdrawn intent is no call");
}

#[test]
fn an_intent_between_halt_and_resume_may_have_been_read_after_both() {
    let mut log = Log::begun();
    log.requested("r10");
    log.control(ControlAction::Halted);
    log.intent("s1", 1, &["r10"]);
    log.control(ControlAction::Resumed);
    log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_clean();
}

#[test]
fn a_full_scan_may_pass_the_rest_after_a_quick_one() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    log.scan_type = ScanType::Full;
    log.whole_scan("s2", "r11");
    log.now += log.cooldown;
    log.scan_type = ScanType::Quick;
    log.whole_scan("s3", "r12");
    log.assert_clean();
}

#[test]
fn a_failed_scan_ends_its_requests() {
    let mut log = Log::begun();
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    log.attempt_failed("s1", 1, AttemptResult::DeviceNotFound, false);
    log.failed(Some("s1"), &["r10"], FailedReason::DeviceNotFound);
    log.requested("r11");
    log.intent("s2", 1, &["r11"]);
    log.joined("s2", Some(1), &["r11"]);
    log.finished_as("s2", &[], &["r11"], FinishedStatus::TimedOut);
    let report = log.assert_clean();
    assert_eq!(outcome(&report, "failed", "device_not_found"), 1);
    assert_eq!(outcome(&report, "failed", "timed_out"), 1);
}

#[test]
fn a_short_scan_id_may_come_again_for_another_scan() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    log.device = OTHER;
    log.whole_scan("s1", "r11");
    log.assert_clean();
}

#[test]
fn a_request_that_is_made_again_long_after_its_end_lives_again() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    log.now += 2 * 3600;
    log.requested("r16");
    log.suppressed(&["r16"], SuppressedReason::Protected);
    log.whole_scan("s2", "r10");
    let report = log.assert_clean();
    assert_eq!(report.ledger[0].requested_again, 1);
}

/// The worker knows its latest requests for a day and the others for an hour.
#[test]
fn a_request_that_is_made_again_within_a_day_lives_only_if_the_log_shows_it() {
    let audit = |log: &Log| {
        let at_rest = Some(at(86_400 * 20));
        let mut audit = Audit::new(AuditOptions { at_rest, ..AuditOptions::default() });
        log.tell(&mut audit);
        let report = audit.finish();
        let codes: Vec<_> = report.violations.iter().map(|violation| violation.code).collect();
        (codes, report.ledger[0].requested_again, report.ledger[0].duplicates, report.requests.in_flight.total)
    };
    let redelivered = |after: i64| {
        let mut log = Log::begun();
        log.whole_scan("s1", "r10");
        // The dispatch side's clock goes on, and no later than the redelivery.
        log.now = after;
        log.claimed("b");
        log.requested("r10");
        log
    };
    assert_eq!(audit(&redelivered(3000)), (vec![], 0, 1, 0), "known for certain");
    assert_eq!(audit(&redelivered(3 * 3600)), (vec![], 0, 1, 0), "it may be known");
    let forgotten = audit(&redelivered(25 * 3600));
    assert_eq!(forgotten, (vec![ViolationCode::RequestOverdue], 1, 0, 1), "it has to end again");
    // What comes later shows that it was not known: it was withdrawn, and ended in another way than the first time.
    let mut log = redelivered(3 * 3600);
    log.intent("s2", 1, &["r10"]);
    assert_eq!(audit(&log), (vec![], 1, 0, 1));
    log.withdrawn("s2", 1);
    assert_eq!(audit(&log), (vec![ViolationCode::RequestOverdue], 1, 0, 1));
    log.now = 86_400 * 11;
    log.suppressed(&["r10"], SuppressedReason::TooOld);
    assert_eq!(audit(&log), (vec![], 1, 0, 0));
    // The end of the first life once more shows nothing.
    let mut log = Log::begun();
    log.requested("r10");
    log.suppressed(&["r10"], SuppressedReason::Protected);
    let end = log.records.last().cloned().unwrap();
    log.now = 3 * 3600;
    log.claimed("a");
    log.requested("r10");
    log.records.push((log.next, end.1));
    assert_eq!(audit(&log), (vec![], 0, 2, 0));
}

#[test]
fn a_log_that_begins_late_takes_what_it_cannot_know_on_trust() {
    let mut log = Log::empty();
    log.next = 500;
    // Beginnings are gone: of a running scan, of one that is called for, of a waiting request, of a refusal, of a retry.
    log.requested("r20");
    log.joined("s1", None, &["r20"]);
    log.finished("s1", &["r10"], &["r11", "r20"]);
    log.device = OTHER;
    log.accepted("s2", 1, &["r12"], "action-2");
    log.finished("s2", &["r12"], &[]);
    log.suppressed(&["r13"], SuppressedReason::TooOld);
    log.failed(Some("s3"), &["r14"], FailedReason::Forbidden);
    log.now += 4000;
    log.withdrawn("s4", 2);
    log.intent("s4", 3, &["r15"]);
    let report = log.assert_clean();
    let lane = &report.ledger[0];
    assert_eq!((lane.from, lane.to, lane.complete), (500, 508, false));
    assert!(report.notes.iter().any(|note| note.contains("begins at offset 500")), "{:?}", report.notes);
    assert_eq!((outcome(&report, "scanned", ""), outcome(&report, "joined", "")), (2, 2));
}

#[test]
fn a_log_that_begins_late_holds_from_its_first_claim() {
    // Whether claim `a` or `b` was in force before the first claim of the log is not told; after it all is.
    let mut log = Log::empty();
    log.next = 500;
    log.requested("r10");
    log.requested("r11");
    log.claim = "a".to_owned();
    log.intent("s1", 1, &["r10", "r11"]);
    log.claim = "b".to_owned();
    log.suppressed(&["r10"], SuppressedReason::Duplicate);
    log.intent("s2", 1, &["r11"]);
    let report = log.assert_clean();
    assert_eq!(report.ledger[0].holds_from, None);
    assert!(report.notes.iter().any(|note| note.contains("cannot be told")), "{:?}", report.notes);

    let claim = log.claimed("c");
    log.accepted("s2", 1, &["r11"], "action-2");
    log.finished("s2", &["r11"], &[]);
    log.suppressed(&["r10"], SuppressedReason::TooOld);
    assert_eq!(log.assert_clean().ledger[0].holds_from, Some(claim));
    let second = log.failed(None, &["r10"], FailedReason::DeviceNotFound);
    log.assert_only(ViolationCode::SecondTerminal, &[second - 1, second]);
}

#[test]
fn the_owners_commit_tells_the_claim_of_a_log_without_one() {
    let mut log = Log::empty();
    log.next = 500;
    log.requested("r10");
    log.claim = "a".to_owned();
    log.suppressed(&["r10"], SuppressedReason::TooOld);
    log.claim = "b".to_owned();
    let first = log.suppressed(&["r10"], SuppressedReason::Duplicate);
    let second = log.failed(None, &["r10"], FailedReason::DeviceNotFound);
    let mut audit = Audit::new(AuditOptions::default());
    audit.ledger_claim(0, "b");
    log.tell(&mut audit);
    let report = audit.finish();
    assert_eq!((report.ledger[0].void, report.ledger[0].holds_from), (1, Some(500)));
    assert_eq!(report.violations[0].offsets, [first, second]);
}
