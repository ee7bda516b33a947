//! Kill switch, hand-over and former owners.

use jiff::SignedDuration;

use super::bench::{Bench, refused, seen};
use crate::event::{
    Accepted, Action, AttemptResult, ControlAction, DeviceRef, EventBody, ResolvedBy, ScanEvent, ScanType, Suppressed,
    SuppressedReason, WithdrawReason,
};
use crate::scheduler::{Applied, Command, ReadReply, Scheduler};

#[test]
fn the_kill_switch_between_intent_and_read_back_withdraws_it_and_loses_nothing() {
    for local in [true, false] {
        let mut bench = Bench::new();
        bench.request("a", "1");
        bench.now += SignedDuration::from_secs(5);
        let commands = bench.scheduler.poll(bench.now);
        if local {
            bench.scheduler.set_halted(true);
        } else {
            bench.control(ControlAction::Halted);
        }
        bench.take(commands);
        bench.run();
        let EventBody::Withdrawn(withdrawn) = bench.last() else { panic!("{:?}", bench.last()) };
        assert_eq!(withdrawn.withdrawn, WithdrawReason::Halted);
        bench.pass(3600);
        assert!(bench.calls.is_empty());
        assert_eq!((bench.count("intent"), bench.count("withdrawn"), bench.open()), (1, 1, 1));
        assert!(bench.scheduler.state().slots.is_empty(), "nothing was sent, so no slot is held");
        assert!(bench.scheduler.state().reached.is_empty());
        if local {
            bench.scheduler.set_halted(false);
        } else {
            bench.control(ControlAction::Resumed);
        }
        bench.run();
        let (_, attempt, ..) = bench.next_scan();
        assert_eq!(attempt, 2);
    }
}

#[test]
fn an_intent_that_comes_back_too_late_is_withdrawn() {
    for seconds in [5, 6] {
        let mut bench = Bench::new();
        bench.request("a", "1");
        bench.now += SignedDuration::from_secs(5);
        let commands = bench.scheduler.poll(bench.now);
        let [Command::Append { time, body }] = &commands[..] else { panic!("{commands:?}") };
        let event = ScanEvent::new(*time, "tenant", (**body).clone());
        let offset = i64::try_from(bench.log.len()).expect("few");
        bench.log.push(event.clone());
        bench.now += SignedDuration::from_secs(seconds);
        bench.scheduler.apply(offset, &event);
        bench.run();
        assert_eq!(bench.count("withdrawn"), usize::from(seconds == 6));
        let (_, attempt, ..) = bench.next_scan();
        assert_eq!(attempt, if seconds == 6 { 2 } else { 1 });
    }
}

#[test]
fn a_former_owner_stops_at_once_and_its_decisions_are_void() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    bench.claim("newer");
    let [Command::Append { body, .. }] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(bench.write((**body).clone()), Applied::Void);
    assert!(!bench.scheduler.is_owner());
    bench.pass(600);
    assert!(bench.calls.is_empty());
    assert!(bench.scheduler.state().slots.is_empty());
    assert_eq!(bench.open(), 1);
}

fn accepted_by_the_former_owner(bench: &Bench, scan_id: &str) -> Accepted {
    let rest = bench.now + SignedDuration::from_hours(6);
    Accepted {
        cooldown_step: 0,
        cooldown_grows_until: None,
        claim: "claim-0".to_owned(),
        scan_id: scan_id.to_owned(),
        attempt: 1,
        request_ids: vec!["a".to_owned()],
        device: DeviceRef { id: super::bench::device_id("1"), ..DeviceRef::default() },
        alerts: Vec::new(),
        rule_ids: Vec::new(),
        scan_type: ScanType::Quick,
        priority: 50,
        comment: String::new(),
        action: Action { id: "action-1".to_owned(), status: "Pending".to_owned() },
        resolved_by: ResolvedBy::Answer,
        arrived_by: bench.now,
        follow_until: rest,
        cooldown_until: rest,
    }
}

#[test]
fn an_intent_that_lands_behind_a_late_acceptance_is_withdrawn_and_the_rest_is_kept() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let (scan_id, attempt, ..) = bench.next_scan();
    bench.answer(&scan_id, attempt, refused(AttemptResult::RateLimited, Some(30)));
    bench.now += SignedDuration::from_secs(60);
    let commands = bench.scheduler.poll(bench.now);
    assert_eq!(bench.write(accepted_by_the_former_owner(&bench, &scan_id).into()), Applied::Void);
    bench.take(commands);
    bench.run();
    assert_eq!(bench.names()[2..], ["intent", "attempt_failed", "accepted", "intent", "withdrawn", "suppressed"]);
    assert_eq!(bench.suppressed(), [(SuppressedReason::Cooldown, vec!["a".to_owned()])]);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
}

#[test]
fn facts_of_a_former_owner_still_count() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let (scan_id, ..) = bench.next_scan();
    bench.restart();
    assert!(bench.scheduler.is_owner());
    bench.run();
    assert_eq!(bench.scheduler.snapshot(bench.now).in_doubt, 1);
    let accepted = accepted_by_the_former_owner(&bench, &scan_id);
    assert_eq!(bench.write(accepted.clone().into()), Applied::Changed);
    assert_eq!(bench.write(accepted.into()), Applied::Void);
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    assert_eq!(bench.finished().scan_id, scan_id);
}

#[test]
fn a_former_owners_record_is_not_taken_for_our_own_on_its_way() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.expires_at -= SignedDuration::from_hours(24));
    let commands = bench.scheduler.poll(bench.now);
    let [Command::Append { body, .. }] = &commands[..] else { panic!("{commands:?}") };
    let EventBody::Suppressed(ours) = &**body else { panic!("{body:?}") };
    assert_eq!(ours.reason, SuppressedReason::TooOld);
    let theirs = Suppressed { claim: "former".to_owned(), reason: SuppressedReason::Cooldown, ..ours.clone() };
    bench.write(theirs.into());
    assert!(bench.scheduler.poll(bench.now).is_empty(), "it must not be decided twice");
    bench.take(commands);
    assert_eq!(bench.open(), 0);
}

#[test]
fn a_new_owner_waits_out_the_former_ones_call() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.next_scan();
    bench.restart();
    bench.pass(90);
    assert!(bench.calls.is_empty(), "neither a second call nor a list: {:?}", bench.calls);
    bench.list(ReadReply::Complete(Vec::new()));
    bench.list(ReadReply::Complete(Vec::new()));
    bench.pass(10);
    let (_, attempt, ..) = bench.next_scan();
    assert_eq!(attempt, 2);
}

#[test]
fn nothing_is_done_before_the_claim_is_read_back() {
    let mut scheduler = Scheduler::new(
        crate::scheduler::Settings::default(),
        crate::event::Mode::Live,
        "mine",
        None,
        super::bench::CARRY_AFTER,
        1,
    );
    let mut bench = Bench::new();
    bench.request("a", "1");
    for (offset, event) in (0..).zip(&bench.log) {
        scheduler.apply(offset, event);
    }
    assert!(scheduler.poll(bench.now + SignedDuration::from_secs(60)).is_empty());
}

#[test]
fn a_pause_survives_a_hand_over() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(600)));
    bench.restart();
    bench.pass(590);
    assert!(bench.calls.is_empty());
    bench.pass(10);
    bench.next_scan();
}

#[test]
fn an_intent_out_of_turn_is_void() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let (scan_id, ..) = bench.next_scan();
    let Some(EventBody::Intent(intent)) = bench.log.last().map(|event| event.body.clone()) else { panic!() };
    bench.request("b", "1");
    let other = |attempt: u32, scan_id: &str, request: &str| crate::event::Intent {
        attempt,
        scan_id: scan_id.to_owned(),
        request_ids: vec![request.to_owned()],
        ..intent.clone()
    };
    // Neither a second attempt before the first has a result, nor a second scan for the device.
    for intent in [other(2, &scan_id, "a"), other(2, &scan_id, "b"), other(1, "other", "b")] {
        assert_eq!(bench.write(intent.into()), Applied::Void);
    }
    bench.answer(&scan_id, 1, refused(AttemptResult::RateLimited, Some(600)));
    // Nor one that repeats an attempt, leaves one out, or begins another scan instead.
    for intent in [other(1, &scan_id, "a"), other(3, &scan_id, "a"), other(1, "other", "a")] {
        assert_eq!(bench.write(intent.into()), Applied::Void);
    }
    assert_eq!(bench.write(other(2, &scan_id, "a").into()), Applied::Changed);
}

#[test]
fn the_clock_of_whoever_gives_an_order_is_not_the_logs() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.accept_next("action-1");
    let clock = bench.scheduler.state().clock;
    bench.now += SignedDuration::from_hours(48);
    bench.control(ControlAction::Halted);
    bench.control(ControlAction::Resumed);
    assert_eq!(bench.scheduler.state().clock, clock);
    assert_eq!(bench.scheduler.state().slots.len(), 1, "nothing is forgotten by it");
}
