//! What each answer of the API leads to.

use jiff::SignedDuration;

use super::bench::{Bench, device_id, in_doubt, refused, seen};
use crate::event::{
    AttemptResult, EventBody, FailedReason, FinishedStatus, Mode, Requested, ScanType, SuppressedReason,
};
use crate::scheduler::{Call, ReadReply, Refusal, Reply, ScanReply, Settings};

fn final_answer(answer: ScanReply) -> FailedReason {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| answer);
    assert_eq!(bench.open(), 0, "{:?}", bench.names());
    match bench.last() {
        EventBody::Failed(body) => {
            assert_eq!(body.request_ids, ["a"]);
            body.reason
        }
        other => panic!("not failed but {other:?}"),
    }
}

#[test]
fn definite_refusals_end_the_scan() {
    let of = |result| final_answer(refused(result, None));
    assert_eq!(of(AttemptResult::DeviceNotFound), FailedReason::DeviceNotFound);
    assert_eq!(of(AttemptResult::UnsupportedDevice), FailedReason::UnsupportedDevice);
    assert_eq!(of(AttemptResult::Rejected), FailedReason::Rejected);
    let ScanReply::Refused(refusal) = refused(AttemptResult::Forbidden, None) else { panic!("a refusal") };
    assert_eq!(final_answer(ScanReply::Refused(Refusal { for_good: true, ..refusal })), FailedReason::Forbidden);
}

#[test]
fn after_a_failure_the_same_alert_may_ask_again() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::Rejected, None));
    bench.request_with("b", "1", |asked| asked.alerts[0].id = "alert-a".to_owned());
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn an_alert_that_asked_again_before_the_failure_is_known_in_place_of_the_first() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let again = |asked: &mut Requested| asked.alerts[0].id = "alert-a".to_owned();
    // It comes while the answer is on its way: the first one's record and the end of the first follow each other.
    let (scan_id, attempt, _, _) = bench.next_scan();
    let refusal = Reply::Scan { scan_id, attempt, answer: refused(AttemptResult::Rejected, None) };
    let commands = bench.scheduler.reply(refusal, bench.now);
    bench.request_with("b", "1", again);
    bench.take(commands);
    bench.run();
    bench.pass(5);
    bench.next_scan();
    bench.request_with("c", "1", again);
    bench.run();
    assert_eq!(bench.suppressed(), [(SuppressedReason::Duplicate, vec!["c".to_owned()])]);
}

/// The first is forgotten an hour of the log's time after its record; the one that came meanwhile stands in its stead.
#[test]
fn an_alert_that_asked_again_is_known_once_the_first_is_forgotten() {
    let mut bench = Bench::new();
    let same = |asked: &mut Requested| asked.alerts[0].id = "alert".to_owned();
    bench.request_with("first", "1", same);
    bench.run();
    bench.accept_next("action");
    bench.list(ReadReply::Complete(vec![seen("action", "1", "Succeeded", None)]));
    bench.now += SignedDuration::from_mins(50);
    for (id, device) in [("second", "1"), ("third", "1"), ("another", "2")] {
        bench.request_with(id, device, same);
    }
    bench.now += SignedDuration::from_mins(20);
    bench.claim("claim-0");
    let known = |device: &str| bench.scheduler.state().first_of_alert(&("alert".to_owned(), device_id(device)));
    assert_eq!((known("1").map(String::as_str), known("2").map(String::as_str)), (Some("second"), Some("another")));
    bench.run();
    assert!(bench.suppressed().contains(&(SuppressedReason::Duplicate, vec!["third".to_owned()])));
}

/// The whole lane waits until the moment the record says, and then the same scan is attempted again.
fn pauses_the_lane(answer: ScanReply) -> i64 {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let (first, _, _, _) = bench.next_scan();
    bench.request("b", "2");
    bench.answer(&first, 1, answer);
    let until = bench.last_failure().lane_paused_until.expect("a pause");
    assert_eq!(bench.last_failure().retry_at, Some(until));
    let pause = until.duration_since(bench.now);
    if pause > SignedDuration::ZERO {
        bench.now = until - SignedDuration::from_millis(1);
        bench.run();
        assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    }
    bench.now = until.max(bench.now + SignedDuration::from_secs(5));
    bench.run();
    let both = [bench.next_scan(), bench.next_scan()];
    assert!(both.iter().any(|(scan_id, attempt, _, _)| *scan_id == first && *attempt == 2), "{both:?}");
    pause.as_secs()
}

#[test]
fn a_429_pauses_the_lane() {
    assert_eq!(pauses_the_lane(refused(AttemptResult::RateLimited, Some(37))), 37);
    assert_eq!(pauses_the_lane(refused(AttemptResult::RateLimited, None)), 60);
}

#[test]
fn pauses_without_retry_after_double_until_a_call_goes_through() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        bench.answer_next(|_, _| refused(AttemptResult::RateLimited, None));
        let until = bench.last_failure().lane_paused_until.expect("a pause");
        pauses.push(until.duration_since(bench.now).as_secs());
        bench.now = until;
        bench.run();
    }
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 1920]);
    bench.answer_next(|_, comment| ScanReply::Action(seen("action-1", "1", "Pending", Some(comment))));
    bench.request("b", "2");
    bench.pass(5);
    bench.calls.retain(|call| matches!(call, Call::Scan { .. }));
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, None));
    let until = bench.last_failure().lane_paused_until.expect("a pause");
    assert_eq!(until.duration_since(bench.now).as_secs(), 60);
}

#[test]
fn a_wait_of_nothing_does_not_burn_the_quota() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let mut pauses = Vec::new();
    for asked in [0, 0, 0, 1, 120, 1] {
        bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(asked)));
        let until = bench.last_failure().lane_paused_until.expect("a pause");
        pauses.push(until.duration_since(bench.now).as_secs());
        bench.now = until;
        bench.run();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 120, 32]);
}

#[test]
fn a_wait_that_comes_with_doubt_pauses_the_lane() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let wait = Some(std::time::Duration::from_secs(90));
    bench.answer_next(|_, _| ScanReply::InDoubt { detail: "429 of a gateway".to_owned(), retry_after: wait });
    let until = bench.now + SignedDuration::from_secs(90);
    bench.request("b", "2");
    while bench.now < until - SignedDuration::from_secs(1) {
        bench.pass(1);
        assert!(bench.calls.iter().all(|call| !matches!(call, Call::Scan { .. })), "{:?}", bench.calls);
    }
    bench.pass(2);
    assert_eq!(bench.calls.iter().filter(|call| matches!(call, Call::Scan { .. })).count(), 1);
}

#[test]
fn a_pause_binds_before_its_record_is_read_back() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let (scan_id, ..) = bench.next_scan();
    bench.request("b", "2");
    bench.now += SignedDuration::from_secs(5);
    let intent = bench.scheduler.poll(bench.now);
    assert_eq!(intent.len(), 1);
    let answer = refused(AttemptResult::RateLimited, Some(60));
    let reply = crate::scheduler::Reply::Scan { scan_id, attempt: 1, answer };
    let pause = bench.scheduler.reply(reply, bench.now);
    // The intent comes back before the record of the pause does.
    bench.take(intent);
    bench.run();
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    assert_eq!(bench.count("withdrawn"), 1);
    bench.take(pause);
    bench.pass(60);
    assert_eq!(bench.calls.iter().filter(|call| matches!(call, Call::Scan { .. })).count(), 2);
}

#[test]
fn too_late_to_leave_is_tried_again_at_once() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let scan_id = bench.answer_next(|_, _| ScanReply::NotSent { too_late: true, detail: String::new() });
    let (again, attempt, ..) = bench.next_scan();
    assert_eq!((again, attempt), (scan_id, 2));
    assert!(bench.last_failure().lane_paused_until.is_none());
}

#[test]
fn already_running_is_joined_once_a_list_tells_what_runs() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let scan_id = bench.answer_next(|_, _| ScanReply::AlreadyRunning);
    bench.list(ReadReply::Complete(vec![seen("theirs", "1", "InProgress", Some("by hand"))]));
    let EventBody::Joined(joined) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!((joined.scan_id.as_str(), joined.action.as_ref().map(|a| a.id.as_str())), (&*scan_id, Some("theirs")));
    bench.list(ReadReply::Complete(vec![seen("theirs", "1", "Succeeded", Some("by hand"))]));
    assert_eq!(bench.finished().joined_request_ids, ["a"]);
    assert!(bench.finished().request_ids.is_empty());
    assert_eq!(bench.open(), 0);
}

#[test]
fn already_running_and_unreadable_is_joined_unseen_by_a_quick_and_waited_for_by_a_full() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.request_with("b", "2", |asked| asked.scan_type = ScanType::Full);
    bench.pass(5);
    bench.answer_next(|_, _| ScanReply::AlreadyRunning);
    bench.answer_next(|_, _| ScanReply::AlreadyRunning);
    bench.list(ReadReply::NotPermitted);
    assert_eq!(bench.count("joined"), 1);
    assert_eq!(bench.last_failure().result, AttemptResult::Busy);
    bench.calls.clear();
    bench.pass(300);
    let (_, attempt, _, scan_type) = bench.next_scan();
    assert_eq!((attempt, scan_type), (2, ScanType::Full));
    bench.pass(75 * 3600);
    assert!(bench.log.iter().any(|event| matches!(&event.body, EventBody::Finished(body)
        if body.status == FinishedStatus::TimedOut && body.joined_request_ids == ["a"])));
}

#[test]
fn an_existing_action_in_the_answer_is_joined() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| ScanReply::Action(seen("theirs", "1", "Pending", Some("by hand"))));
    assert!(matches!(bench.last(), EventBody::Joined(body) if body.attempt == Some(1)));
    bench.request("b", "1");
    bench.run();
    assert!(matches!(bench.last(), EventBody::Joined(body) if body.attempt.is_none() && body.request_ids == ["b"]));
    bench.list(ReadReply::Complete(vec![seen("theirs", "1", "Cancelled", None)]));
    assert_eq!(bench.finished().status, FinishedStatus::Cancelled);
    assert_eq!(bench.finished().joined_request_ids, ["a", "b"]);
}

#[test]
fn a_full_meets_a_running_quick_and_comes_again_when_it_may_have_ended() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.scan_type = ScanType::Full);
    bench.pass(5);
    let scan_id = bench.answer_next(|_, _| ScanReply::Action(seen("theirs", "1", "Pending", Some("by hand"))));
    assert_eq!(bench.last_failure().result, AttemptResult::Busy);
    assert!(!bench.last_failure().counts);
    bench.pass(290);
    assert!(bench.calls.is_empty());
    bench.pass(10);
    let (again, attempt, ..) = bench.next_scan();
    assert_eq!((again, attempt), (scan_id, 2));
}

#[test]
fn a_request_joins_our_own_open_scan_and_a_full_waits_for_its_end() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.accept_next("action-1");
    bench.request("b", "1");
    bench.request_with("c", "1", |asked| asked.scan_type = ScanType::Full);
    bench.pass(20);
    assert!(matches!(bench.last(), EventBody::Joined(body) if body.request_ids == ["b"]));
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    let (_, _, _, scan_type) = bench.next_scan();
    assert_eq!(scan_type, ScanType::Full);
    assert_eq!(bench.open(), 1);
}

#[test]
fn a_request_waits_while_an_intent_has_no_result_and_joins_after() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.request("b", "1");
    bench.pass(10);
    assert_eq!(bench.count("intent"), 1);
    bench.answer_next(|_, comment| ScanReply::Action(seen("action-1", "1", "Pending", Some(comment))));
    assert!(matches!(bench.last(), EventBody::Joined(body) if body.request_ids == ["b"]));
}

#[test]
fn an_action_past_its_deadline_is_timed_out_and_cancelled_if_wanted_but_never_somebody_elses() {
    for (cancel, comment) in [(false, None), (true, None), (true, Some("by hand"))] {
        let mut bench = Bench::with(Settings { cancel_at_deadline: cancel, ..Settings::default() }, Mode::Live);
        bench.request("a", "1");
        bench.pass(5);
        bench.answer_next(|_, _| ScanReply::Action(seen("action-1", "1", "Pending", comment)));
        for _ in 0..74 {
            bench.now += SignedDuration::from_hours(1);
            bench.run();
        }
        assert_eq!(bench.finished().status, FinishedStatus::TimedOut);
        assert_eq!(bench.open(), 0);
        let cancels = bench.calls.iter().filter(|call| matches!(call, Call::Cancel { .. })).count();
        assert_eq!(cancels, usize::from(cancel && comment.is_none()));
    }
}

#[test]
fn calls_that_stay_in_doubt_one_after_the_other_pause_the_lane() {
    let mut bench = Bench::new();
    for device in ["1", "2", "3"] {
        bench.request(device, device);
    }
    bench.pass(5);
    bench.answer_next(|_, _| in_doubt());
    assert!(!bench.scheduler.snapshot(bench.now).paused);
    bench.answer_next(|_, _| in_doubt());
    assert!(!bench.scheduler.snapshot(bench.now).paused);
    bench.answer_next(|_, _| in_doubt());
    assert!(bench.scheduler.snapshot(bench.now).paused);
    assert_eq!(bench.scheduler.snapshot(bench.now).in_doubt, 3);
}
