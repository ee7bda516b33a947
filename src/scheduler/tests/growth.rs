//! Rests that grow.

use jiff::SignedDuration;

use super::bench::{Bench, in_doubt, marked, refused, seen};
use crate::event::{AttemptResult, Carried, CooldownGrowth, EventBody, Requested, SuppressedReason};
use crate::scheduler::ReadReply;

const HOUR: u64 = 3600;

fn growing(asked: &mut Requested) {
    asked.cooldown_seconds = HOUR;
    asked.terms.cooldown_growth = Some(CooldownGrowth { factor: 3, longest_seconds: 10 * HOUR });
}

/// One scan of the device, done; the rest it leaves in hours, and its step.
fn scan(bench: &mut Bench, id: &str, change: impl FnOnce(&mut Requested)) -> (u64, u32) {
    bench.request_with(id, "1", change);
    let scan_id = bench.accept_next(&format!("action-{id}"));
    let EventBody::Accepted(accepted) = bench.last() else { panic!("{:?}", bench.last()) };
    let step = accepted.cooldown_step;
    bench.list(ReadReply::Complete(vec![seen(&format!("action-{id}"), "1", "Succeeded", None)]));
    assert_eq!(bench.finished().scan_id, scan_id);
    assert_eq!(bench.finished().cooldown_step, step);
    let rest = bench.finished_until().duration_since(bench.now).as_secs();
    (rest.unsigned_abs() / HOUR, step)
}

fn rest_is_over(bench: &mut Bench, more: SignedDuration) {
    bench.now = bench.finished_until() + more;
    bench.run();
}

#[test]
fn scans_in_a_row_rest_ever_longer_up_to_the_longest_and_begin_anew_after_it() {
    let mut bench = Bench::new();
    let mut rests = Vec::new();
    for id in ["a", "b", "c", "d"] {
        rests.push(scan(&mut bench, id, growing));
        rest_is_over(&mut bench, SignedDuration::from_secs(1));
    }
    assert_eq!(rests, [(1, 0), (3, 1), (9, 2), (10, 3)]);
    rest_is_over(&mut bench, SignedDuration::from_hours(10) - SignedDuration::from_secs(60));
    assert_eq!(scan(&mut bench, "e", growing), (10, 4), "just within the longest rest after the end of the last");
    rest_is_over(&mut bench, SignedDuration::from_hours(10) + SignedDuration::from_secs(1));
    assert_eq!(scan(&mut bench, "f", growing), (1, 0));
}

#[test]
fn a_grown_rest_holds_requests_back() {
    let mut bench = Bench::new();
    scan(&mut bench, "a", growing);
    rest_is_over(&mut bench, SignedDuration::ZERO);
    scan(&mut bench, "b", growing);
    bench.pass(2 * 3600);
    bench.request_with("c", "1", growing);
    bench.run();
    assert_eq!(bench.suppressed(), [(SuppressedReason::Cooldown, vec!["c".to_owned()])]);
}

#[test]
fn what_does_not_grow_ends_the_row() {
    let mut bench = Bench::new();
    scan(&mut bench, "a", growing);
    rest_is_over(&mut bench, SignedDuration::ZERO);
    assert_eq!(scan(&mut bench, "b", |asked| asked.cooldown_seconds = HOUR), (1, 0));
    rest_is_over(&mut bench, SignedDuration::ZERO);
    assert_eq!(scan(&mut bench, "c", growing), (1, 0));
}

#[test]
fn an_attempt_that_failed_is_no_scan_in_a_row() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", growing);
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(30)));
    bench.pass(30);
    bench.accept_next("action-a");
    let EventBody::Accepted(accepted) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!(accepted.cooldown_step, 0);
}

#[test]
fn the_row_survives_a_hand_over_after_the_rest_is_over() {
    let mut bench = Bench::new();
    scan(&mut bench, "a", growing);
    rest_is_over(&mut bench, SignedDuration::from_hours(9));
    bench.request("other", "2");
    bench.pass(10);
    bench.restart();
    bench.calls.clear();
    assert_eq!(scan(&mut bench, "b", growing), (3, 1));
}

#[test]
fn the_row_is_carried_before_its_record_expires() {
    let long = |asked: &mut Requested| {
        growing(asked);
        asked.terms.cooldown_growth = Some(CooldownGrowth { factor: 3, longest_seconds: 30 * 24 * HOUR });
    };
    let mut bench = Bench::new();
    scan(&mut bench, "a", long);
    for _ in 0..15 * 24 {
        bench.now += SignedDuration::from_hours(1);
        bench.run();
    }
    assert!(bench.log.iter().any(|event| matches!(&event.body, EventBody::Carried(Carried::Cooldown { .. }))));
    let end = i64::try_from(bench.log.len()).expect("few");
    let hour = std::time::Duration::from_secs(3600);
    assert!(bench.scheduler.state().oldest_needed(bench.now, hour, hour, end) >= end - 1, "{:?}", bench.names());
    bench.restart();
    assert_eq!(scan(&mut bench, "b", long), (3, 1));
}

#[test]
fn the_row_is_not_carried_while_a_call_may_end_it() {
    let long = |asked: &mut Requested| {
        growing(asked);
        asked.terms.cooldown_growth = Some(CooldownGrowth { factor: 3, longest_seconds: 30 * 24 * HOUR });
    };
    let carried = |bench: &Bench| bench.names().iter().filter(|name| **name == "carried").count();
    let mut bench = Bench::new();
    scan(&mut bench, "a", long);
    while carried(&bench) == 0 {
        bench.now += SignedDuration::from_hours(1);
        bench.run();
    }
    let until_carried = bench.now;
    // The same again; shortly before, a former owner's call is in doubt that ends the row once its answer lands.
    let mut bench = Bench::new();
    scan(&mut bench, "a", long);
    while bench.now < until_carried - SignedDuration::from_hours(2) {
        bench.now += SignedDuration::from_hours(1);
        bench.run();
    }
    bench.request_with("b", "1", |_| {});
    bench.pass(5);
    let scan_id = bench.answer_next(|_, _| in_doubt());
    bench.pass_hours(2);
    assert_eq!(carried(&bench), 0);
    bench.calls.clear();
    bench.restart();
    bench.list(ReadReply::Complete(vec![seen("action-b", "1", "Succeeded", Some(&marked(&scan_id)))]));
    bench.list(ReadReply::Complete(vec![seen("action-b", "1", "Succeeded", None)]));
    rest_is_over(&mut bench, SignedDuration::from_hours(1));
    assert_eq!(scan(&mut bench, "c", long), (1, 0), "the row has ended");
}
