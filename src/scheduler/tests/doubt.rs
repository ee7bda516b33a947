//! Attempts whose fate nobody knows: how lists of machine actions resolve them.

use jiff::SignedDuration;

use super::bench::{Bench, in_doubt, marked, seen};
use crate::event::{AttemptResult, EventBody, FailedReason, FinishedStatus, Mode, ResolvedBy, ScanType};
use crate::scheduler::{BreakerState, Call, InDoubtPolicy, ReadReply, Settings};

/// A scan in doubt, and when its intent was made.
fn doubted(settings: Settings) -> (Bench, String, jiff::Timestamp) {
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    let intended = bench.now;
    let scan_id = bench.answer_next(|_, _| in_doubt());
    (bench, scan_id, intended)
}

#[test]
fn the_marker_in_a_list_resolves_to_accepted() {
    let (mut bench, scan_id, intended) = doubted(Settings::default());
    bench.list(ReadReply::Complete(vec![
        seen("other", "2", "Pending", Some("x")),
        seen("action-1", "1", "Pending", Some(&marked(&scan_id))),
    ]));
    assert!(bench.now >= intended + SignedDuration::from_secs(5 + 30 + 60));
    let EventBody::Accepted(accepted) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!((accepted.resolved_by, accepted.action.id.as_str()), (ResolvedBy::List, "action-1"));
    assert_eq!(accepted.arrived_by, intended + SignedDuration::from_secs(35));
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    assert_eq!(bench.finished().status, FinishedStatus::Succeeded);
}

#[test]
fn the_marker_is_found_in_an_action_whose_device_the_list_does_not_tell() {
    let nameless = |comment: &str| crate::scheduler::SeenAction {
        device_id: None,
        ..seen("action-1", "1", "Pending", Some(comment))
    };
    let (mut bench, scan_id, _) = doubted(Settings::default());
    bench.list(ReadReply::Complete(vec![nameless(&marked(&scan_id))]));
    let EventBody::Accepted(accepted) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!(accepted.action.id, "action-1");
    // Where equal comments stand for the marker, one without a device may be anybody's.
    let (mut bench, _, _) = doubted(Settings { comment_marker: false, ..Settings::default() });
    for _ in 0..3 {
        bench.list(ReadReply::Complete(vec![nameless("due to alert alert-a")]));
    }
    assert_eq!((bench.count("accepted"), bench.count("attempt_failed")), (0, 0));
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Pending", Some("due to alert alert-a"))]));
    assert_eq!(bench.count("accepted"), 1);
}

#[test]
fn a_call_without_the_marker_is_found_by_its_comment_when_calls_bear_it_by_now() {
    let (mut bench, _, _) = doubted(Settings { comment_marker: false, ..Settings::default() });
    bench.restart_with(Settings::default());
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", Some("due to alert alert-a"))]));
    assert_eq!(bench.count("accepted"), 1);
    let (mut bench, scan_id, _) = doubted(Settings::default());
    bench.restart_with(Settings { comment_marker: false, ..Settings::default() });
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Pending", Some(&format!("x {}", marked(&scan_id))))]));
    assert_eq!(bench.count("accepted"), 1);
}

#[test]
fn an_action_of_an_earlier_attempt_that_scans_less_is_waited_for() {
    let (mut bench, scan_id, _) = doubted(Settings::default());
    for _ in 0..2 {
        bench.list(ReadReply::Complete(Vec::new()));
    }
    assert_eq!(bench.last_failure().result, AttemptResult::NotAccepted);
    bench.request_with("full", "1", |asked| asked.scan_type = ScanType::Full);
    bench.pass(60);
    let quick = || seen("action-1", "1", "Pending", Some(&marked(&scan_id)));
    assert_eq!(bench.answer_next(|_, _| crate::scheduler::ScanReply::Action(quick())), scan_id);
    assert_eq!((bench.count("accepted"), bench.last_failure().result), (0, AttemptResult::Busy));
    // The same in a list.
    bench.pass(24 * 3600);
    assert_eq!(bench.answer_next(|_, _| in_doubt()), scan_id);
    for _ in 0..2 {
        bench.list(ReadReply::Complete(vec![quick()]));
    }
    assert_eq!((bench.count("accepted"), bench.last_failure().result), (0, AttemptResult::NotAccepted));
}

#[test]
fn an_action_found_late_is_still_followed_back_to_its_intent() {
    let (mut bench, scan_id, intended) = doubted(Settings::default());
    for _ in 0..5 {
        bench.list(ReadReply::Failed);
        bench.now += SignedDuration::from_hours(1);
    }
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Pending", Some(&marked(&scan_id)))]));
    assert_eq!(bench.count("accepted"), 1);
    while bench.calls.is_empty() {
        bench.pass(10);
    }
    let Some(Call::List { created_since }) = bench.calls.front() else { panic!("{:?}", bench.calls) };
    assert!(*created_since <= intended, "the list must reach the action, made hours before it was found");
}

#[test]
fn another_open_action_of_sufficient_scope_is_joined() {
    let (mut bench, _, _) = doubted(Settings::default());
    bench.list(ReadReply::Complete(vec![seen("theirs", "1", "InProgress", Some("by hand"))]));
    assert!(matches!(bench.last(), EventBody::Joined(body) if body.action.as_ref().is_some_and(|a| a.id == "theirs")));
}

#[test]
fn two_complete_lists_a_minute_apart_without_a_trace_allow_a_new_attempt() {
    let (mut bench, scan_id, _) = doubted(Settings::default());
    bench.list(ReadReply::Complete(vec![seen("old", "1", "Succeeded", Some("by hand"))]));
    let first = bench.now;
    assert_eq!(bench.count("attempt_failed"), 0, "one list proves nothing");
    bench.list(ReadReply::Complete(Vec::new()));
    assert!(bench.now >= first + SignedDuration::from_secs(60));
    assert_eq!(bench.last_failure().result, AttemptResult::NotAccepted);
    bench.pass(10);
    let (again, attempt, ..) = bench.next_scan();
    assert_eq!((again, attempt), (scan_id, 2));
}

#[test]
fn a_failed_list_is_not_a_negative() {
    let (mut bench, _, _) = doubted(Settings::default());
    bench.list(ReadReply::Failed);
    bench.list(ReadReply::Complete(Vec::new()));
    bench.list(ReadReply::Failed);
    assert_eq!(bench.count("attempt_failed"), 0);
    bench.list(ReadReply::Complete(Vec::new()));
    assert_eq!(bench.count("attempt_failed"), 1);
}

#[test]
fn a_list_that_does_not_reach_back_or_began_too_early_proves_nothing() {
    let (mut bench, _, intended) = doubted(Settings::default());
    let late = intended + SignedDuration::from_secs(200);
    for (since, started) in [
        (intended + SignedDuration::from_millis(1), late),
        (intended - SignedDuration::from_secs(600), intended + SignedDuration::from_secs(34)),
    ] {
        for gap in [0, 60] {
            bench.now = late + SignedDuration::from_secs(gap);
            let started_at = started + SignedDuration::from_secs(gap);
            let answer = ReadReply::Complete(Vec::new());
            let list = crate::scheduler::Reply::List { created_since: since, started_at, answer };
            let commands = bench.scheduler.reply(list, bench.now);
            assert!(commands.is_empty(), "{commands:?}");
        }
    }
}

#[test]
fn a_second_list_within_the_gap_proves_nothing() {
    let (mut bench, _, intended) = doubted(Settings::default());
    let created_since = intended - SignedDuration::from_secs(600);
    for (seconds, proven) in [(100, 0), (159, 0), (160, 1)] {
        // Another scan may want a list at any time.
        bench.now = intended + SignedDuration::from_secs(seconds);
        let answer = ReadReply::Complete(Vec::new());
        let list = crate::scheduler::Reply::List { created_since, started_at: bench.now, answer };
        let commands = bench.scheduler.reply(list, bench.now);
        assert_eq!(commands.len(), proven, "after {seconds} s: {commands:?}");
    }
}

#[test]
fn attempts_without_effect_are_given_up_in_the_end() {
    let mut settings = Settings::default();
    settings.retry.max_attempts = 2;
    let (mut bench, _, _) = doubted(settings);
    bench.list(ReadReply::Complete(Vec::new()));
    bench.list(ReadReply::Complete(Vec::new()));
    bench.pass(20);
    bench.answer_next(|_, _| in_doubt());
    bench.list(ReadReply::Complete(Vec::new()));
    bench.list(ReadReply::Complete(Vec::new()));
    assert!(matches!(bench.last(), EventBody::Failed(body) if body.reason == FailedReason::GaveUp));
    assert_eq!(bench.open(), 0);
}

#[test]
fn without_permission_to_read_it_fails_or_is_tried_again_as_the_operator_chose() {
    for policy in [InDoubtPolicy::Fail, InDoubtPolicy::Retry] {
        let (mut bench, scan_id, _) = doubted(Settings { in_doubt_without_read: policy, ..Settings::default() });
        bench.list(ReadReply::NotPermitted);
        if policy == InDoubtPolicy::Fail {
            assert!(matches!(bench.last(), EventBody::Failed(body) if body.reason == FailedReason::InDoubt));
            assert_eq!(bench.open(), 0);
        } else {
            bench.pass(10);
            let (again, attempt, ..) = bench.next_scan();
            assert_eq!((again, attempt), (scan_id, 2));
        }
    }
}

#[test]
fn a_full_in_doubt_does_not_join_a_quick() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.scan_type = ScanType::Full);
    bench.pass(5);
    bench.answer_next(|_, _| in_doubt());
    bench.list(ReadReply::Complete(vec![seen("theirs", "1", "Pending", Some("by hand"))]));
    assert_eq!(bench.count("joined"), 0);
    bench.list(ReadReply::Complete(vec![seen("theirs", "1", "Pending", Some("by hand"))]));
    assert_eq!(bench.last_failure().result, AttemptResult::NotAccepted);
}

#[test]
fn doubt_that_no_list_ever_resolves_ends_at_the_deadline() {
    let (mut bench, _, _) = doubted(Settings::default());
    for _ in 0..80 {
        bench.list(ReadReply::Failed);
        bench.now += SignedDuration::from_hours(1);
        bench.run();
        if bench.open() == 0 {
            break;
        }
    }
    assert!(matches!(bench.last(), EventBody::Failed(body) if body.reason == FailedReason::InDoubt));
}

#[test]
fn a_call_under_way_in_an_outage_is_not_held_against_its_scan_although_it_ends_after_it() {
    let mut settings = Settings::default();
    settings.retry.max_attempts = 1;
    let mut bench = Bench::with(settings, Mode::Live);
    for device in ["1", "2", "3", "4"] {
        bench.request(device, device);
    }
    bench.pass(5);
    let (slow, attempt, ..) = bench.next_scan();
    for _ in 0..3 {
        bench.answer_next(|_, _| in_doubt());
    }
    assert_eq!(bench.scheduler.snapshot(bench.now).breaker, BreakerState::Open);
    // A look-up finds out that the API works again; only then the first call comes to nothing.
    bench.scheduler.local.breaker = Default::default();
    bench.answer(&slow, attempt, in_doubt());
    bench.list(ReadReply::Complete(Vec::new()));
    bench.list(ReadReply::Complete(Vec::new()));
    assert_eq!((bench.count("failed"), bench.count("attempt_failed"), bench.open()), (0, 4, 4));
}
