//! One planted violation for each check, named with its offsets.

use super::builder::{DEVICE, Log, OTHER, at};
use crate::cli::ledger_audit::{Audit, AuditOptions, Verdict, ViolationCode};
use crate::event::*;

/// A log with a scan of `r10` under way, by the time of its latest record.
fn calling() -> Log {
    let mut log = Log::begun();
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    log
}

fn running() -> Log {
    let mut log = calling();
    log.accepted("s1", 1, &["r10"], "action-1");
    log
}

#[test]
fn records_that_cannot_be_read() {
    let malformed = ScanEvent::from_json(b"{}").unwrap_err();
    let log = running();
    let mut audit = Audit::new(AuditOptions::default());
    log.tell(&mut audit);
    audit.ledger_record(0, 9, Err(&malformed));
    let report = audit.finish();
    assert_eq!(report.violations[0].code, ViolationCode::UnreadableRecord);
    assert_eq!((report.violations[0].offsets.as_slice(), report.exit_code()), (&[9][..], 5));
}

#[test]
fn a_newer_log_cannot_be_audited() {
    let too_new = ScanEvent::from_json(br#"{"min_reader": 7}"#).unwrap_err();
    let mut audit = Audit::new(AuditOptions::default());
    audit.ledger_record(0, 0, Err(&too_new));
    let report = audit.finish();
    assert_eq!((report.verdict, report.exit_code()), (Verdict::TooNew, 5));
    assert_eq!(report.ledger[0].too_new, Some((0, 7)));
    assert!(report.notes.iter().any(|note| note.contains("reader version 7")), "{:?}", report.notes);
}

#[test]
fn a_record_in_another_tenants_partition() {
    let mut log = Log::begun();
    let offset = log.requested("r10");
    log.records.last_mut().unwrap().1.tenant = "tenant-2".to_owned();
    log.assert_only(ViolationCode::WrongPlace, &[offset]);
}

#[test]
fn a_log_inside_a_log() {
    let mut log = Log::begun();
    let offset = log.append(Genesis { log_id: "log-2".to_owned(), partition: 0, partitions: 1 });
    log.assert_only(ViolationCode::SecondGenesis, &[0, offset]);
}

#[test]
fn a_second_terminal() {
    let mut log = Log::begun();
    log.requested("r10");
    let first = log.suppressed(&["r10"], SuppressedReason::Protected);
    let second = log.failed(None, &["r10"], FailedReason::DeviceNotFound);
    log.assert_only(ViolationCode::SecondTerminal, &[first, second]);
}

#[test]
fn a_redelivery_that_is_scanned_again() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    let end = log.next - 1;
    log.now += 10;
    log.requested("r10");
    let second = log.suppressed(&["r10"], SuppressedReason::Cooldown);
    log.assert_only(ViolationCode::SecondTerminal, &[end, second]);
}

#[test]
fn two_outcomes_of_one_observation() {
    let mut log = Log::begun();
    let first = log.requested("r10");
    let second = log.failed_at_intake("r10");
    log.assert_only(ViolationCode::SecondOutcome, &[first, second]);

    let mut log = Log::begun();
    let first = log.failed_at_intake("r10");
    let second = log.requested("r10");
    log.assert_only(ViolationCode::SecondOutcome, &[first, second]);
}

#[test]
fn an_end_without_a_request() {
    let mut log = Log::begun();
    let offset = log.shadowed(&["r10"]);
    log.assert_only(ViolationCode::TerminalWithoutRequest, &[offset]);
}

#[test]
fn an_end_inside_a_scan() {
    let mut log = running();
    let offset = log.suppressed(&["r10"], SuppressedReason::Protected);
    log.finished("s1", &["r10"], &[]);
    log.assert_only(ViolationCode::TerminalInsideScan, &[3, offset]);

    let mut log = calling();
    let offset = log.failed(Some("s1"), &["r10"], FailedReason::GaveUp);
    log.assert_only(ViolationCode::TerminalInsideScan, &[3, offset]);
}

#[test]
fn a_scan_that_forgets_a_request() {
    let mut log = running();
    log.requested("r11");
    log.joined("s1", None, &["r11"]);
    let offset = log.finished("s1", &["r10"], &[]);
    log.assert_only(ViolationCode::RequestForgotten, &[3, offset]);
    assert_eq!(log.audit().unaccounted, 1);
}

#[test]
fn a_scan_that_ends_what_it_does_not_cover() {
    let mut log = running();
    log.requested("r11");
    let offset = log.finished("s1", &["r10", "r11"], &[]);
    log.assert_only(ViolationCode::RequestNotOfScan, &[3, offset]);
}

#[test]
fn an_intent_for_what_has_ended() {
    let mut log = Log::begun();
    log.requested("r10");
    let end = log.suppressed(&["r10"], SuppressedReason::Protected);
    let offset = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::IntentForEnded, &[end, offset]);
}

#[test]
fn an_intent_that_nobody_asked_for() {
    let mut log = Log::begun();
    let offset = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::IntentWithoutRequest, &[offset]);

    let mut log = Log::begun();
    let request = log.requested("r10");
    log.device = OTHER;
    let offset = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::IntentWithoutRequest, &[request, offset]);
}

#[test]
fn an_intent_for_a_request_in_shadow() {
    let mut log = Log::begun();
    let request = log.requested_in("r10", Mode::Shadow);
    let offset = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::IntentForShadow, &[request, offset]);
}

#[test]
fn an_attempt_before_the_one_before_has_a_result() {
    let mut log = calling();
    let offset = log.intent("s1", 2, &["r10"]);
    log.assert_only(ViolationCode::AttemptOutOfOrder, &[3, offset]);

    let mut log = calling();
    log.attempt_failed("s1", 1, AttemptResult::Rejected, false);
    let offset = log.intent("s1", 2, &["r10"]);
    log.assert_only(ViolationCode::AttemptOutOfOrder, &[3, offset]);

    let mut log = calling();
    log.withdrawn("s1", 1);
    let offset = log.intent("s1", 3, &["r10"]);
    log.assert_only(ViolationCode::AttemptOutOfOrder, &[3, offset]);

    let mut log = Log::begun();
    log.requested("r10");
    let offset = log.intent("s1", 2, &["r10"]);
    log.assert_only(ViolationCode::AttemptOutOfOrder, &[offset]);
}

#[test]
fn a_call_under_a_void_intent() {
    let mut log = Log::begun();
    log.requested("r10");
    log.claimed("b");
    log.claim = "a".to_owned();
    let void = log.intent("s1", 1, &["r10"]);
    let offset = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::ResultWithoutIntent, &[void, offset]);
}

#[test]
fn a_call_without_an_intent() {
    let mut log = Log::begun();
    log.requested("r10");
    let offset = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::ResultWithoutIntent, &[offset]);
}

#[test]
fn two_scans_under_one_id() {
    let mut log = running();
    let offset = log.accepted("s1", 1, &["r10"], "action-2");
    log.assert_only(ViolationCode::AcceptedTwice, &[4, offset]);
}

#[test]
fn a_scan_that_was_accepted_though_it_counted_as_refused() {
    let mut log = calling();
    log.attempt_failed("s1", 1, AttemptResult::NotAccepted, true);
    let offset = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::AcceptedAgainstRecord, &[3, offset]);

    let mut log = calling();
    log.withdrawn("s1", 1);
    let offset = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::AcceptedAgainstRecord, &[3, offset]);

    // What was given up as unknown may turn out either way.
    let mut log = calling();
    log.attempt_failed("s1", 1, AttemptResult::InDoubt, false);
    log.accepted("s1", 1, &["r10"], "action-1");
    log.failed(Some("s1"), &["r10"], FailedReason::InDoubt);
    assert_eq!(log.assert_clean().ledger[0].late, 1);
}

#[test]
fn a_second_scan_of_a_device() {
    let mut log = calling();
    log.requested("r11");
    let offset = log.intent("s2", 1, &["r11"]);
    log.assert_only(ViolationCode::SecondScan, &[3, offset]);
}

#[test]
fn a_join_to_a_scan_that_does_not_run() {
    let mut log = calling();
    log.requested("r11");
    let offset = log.joined("s1", None, &["r11"]);
    log.assert_only(ViolationCode::JoinedWithoutScan, &[3, offset]);
}

#[test]
fn an_end_of_a_scan_that_does_not_run() {
    let mut log = calling();
    let offset = log.finished("s1", &["r10"], &[]);
    log.assert_only(ViolationCode::FinishedWithoutScan, &[3, offset]);
}

#[test]
fn an_end_before_the_beginning() {
    let mut log = Log::begun();
    log.now = 600;
    log.requested("r10");
    log.intent("s1", 1, &["r10"]);
    let begun = log.accepted("s1", 1, &["r10"], "action-1");
    log.now = 300;
    let offset = log.finished("s1", &["r10"], &[]);
    log.assert_only(ViolationCode::TimesReversed, &[begun, offset]);
}

#[test]
fn a_scan_during_the_devices_rest() {
    let mut log = Log::begun();
    log.whole_scan("s1", "r10");
    log.requested("r11");
    log.now += log.cooldown - 1;
    let offset = log.intent("s2", 1, &["r11"]);
    log.assert_only(ViolationCode::CooldownBroken, &[5, offset]);
}

#[test]
fn a_rest_that_was_carried() {
    let mut log = Log::begun();
    let device = DeviceRef { id: DEVICE.to_owned(), ..DeviceRef::default() };
    let (claim, scan_type) = ("a".to_owned(), ScanType::Full);
    let carried = log.append(Carried::Cooldown {
        claim,
        device,
        cooldown_until: at(100),
        scan_type,
        cooldown_step: 0,
        cooldown_grows_until: None,
    });
    log.requested("r10");
    let offset = log.intent("s1", 1, &["r10"]);
    log.assert_only(ViolationCode::CooldownBroken, &[carried, offset]);
}

#[test]
fn a_call_while_halted() {
    let mut log = Log::begun();
    log.requested("r10");
    let halted = log.control(ControlAction::Halted);
    let intent = log.intent("s1", 1, &["r10"]);
    let offset = log.accepted("s1", 1, &["r10"], "action-1");
    log.assert_only(ViolationCode::CalledWhileHalted, &[halted, intent, offset]);
}

/// `count` scans of as many devices, `gap` seconds apart, each call answered at once.
fn many_calls(count: u32, gap: i64, last: AttemptResult) -> Log {
    let mut log = Log::begun();
    more_calls(&mut log, 0, count, gap, last);
    log
}

pub(super) fn more_calls(log: &mut Log, from: u32, count: u32, gap: i64, last: AttemptResult) {
    for number in from..from + count {
        log.device = String::leak(format!("{number:040x}"));
        let (id, scan) = (format!("r{}", 100 + number), format!("s{number}"));
        log.requested(&id);
        log.intent(&scan, 1, &[&id]);
        let result = if number + 1 == from + count { last } else { AttemptResult::RateLimited };
        log.attempt_failed(&scan, 1, result, true);
        log.now += gap;
    }
}

#[test]
fn a_hundred_and_one_calls_in_a_minute() {
    let log = many_calls(101, 0, AttemptResult::RateLimited);
    log.assert_only(ViolationCode::QuotaExceeded, &[2 + 100 * 3 + 1]);
    assert_eq!(log.audit().calls.windows[0].calls, 101);
    many_calls(100, 0, AttemptResult::RateLimited).assert_clean();
    many_calls(101, 0, AttemptResult::NotSent).assert_clean();
    many_calls(101, 1, AttemptResult::RateLimited).assert_clean();
}

#[test]
fn more_calls_than_allowed_in_an_hour() {
    let log = many_calls(1501, 2, AttemptResult::RateLimited);
    log.assert_only(ViolationCode::QuotaExceeded, &[2 + 1500 * 3 + 1]);
    many_calls(1600, 3, AttemptResult::RateLimited).assert_clean();
}

#[test]
fn a_call_that_may_have_arrived_later_proves_nothing() {
    let mut log = many_calls(100, 0, AttemptResult::RateLimited);
    log.device = OTHER;
    log.requested("r99");
    log.intent("in-doubt", 1, &["r99"]);
    log.now += 61;
    log.attempt_failed("in-doubt", 1, AttemptResult::NotAccepted, true);
    log.assert_clean();
}

#[test]
fn violations_beyond_the_listed_are_counted() {
    let mut log = Log::begun();
    for number in 0..50 {
        log.suppressed(&[&format!("r{number}")], SuppressedReason::Cooldown);
    }
    let report = log.audit();
    assert_eq!(report.violations.len(), 20);
    assert_eq!(report.violation_counts[&ViolationCode::TerminalWithoutRequest], 50);
}
