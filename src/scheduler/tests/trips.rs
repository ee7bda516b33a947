//! Caps on distinct devices: what trips them, what follows, and how it ends.

use jiff::SignedDuration;

use super::bench::{Bench, asked, device_id, seen};
use super::carried::same_from_everywhere;
use crate::event::{Control, ControlAction, EventBody, Mode, RuleLimit, SuppressedReason};
use crate::scheduler::{Applied, ReadReply, ScanReply, Settings};

pub(super) fn limit(rule: &str, devices: u32) -> RuleLimit {
    RuleLimit { rule_id: rule.to_owned(), devices, per_seconds: 3600 }
}

/// A request of `rule-1`, which may reach two devices.
fn limited(bench: &mut Bench, id: &str, device: &str) {
    bench.request_with(id, device, |asked| asked.limits = vec![limit("rule-1", 2)]);
}

/// Two devices are reached, and the third trips the cap.
fn tripped() -> Bench {
    let mut bench = Bench::new();
    for device in ["1", "2", "3"] {
        limited(&mut bench, device, device);
    }
    bench.pass(5);
    assert_eq!(bench.suppressed(), [(SuppressedReason::BlastRadius, vec!["3".to_owned()])]);
    bench
}

pub(super) fn trips(bench: &Bench) -> Vec<Option<String>> {
    let controls = bench.log.iter().filter_map(|event| match &event.body {
        EventBody::Control(Control { control: ControlAction::Tripped { rule_id, .. }, .. }) => Some(rule_id.clone()),
        _ => None,
    });
    controls.collect()
}

pub(super) fn rearm(bench: &mut Bench, rule: Option<&str>) {
    bench.control(ControlAction::Rearmed { rule_id: rule.map(str::to_owned) });
}

pub(super) fn rule_1() -> Option<String> {
    Some("rule-1".to_owned())
}

/// Every scan that was asked for is accepted and ends.
pub(super) fn end_all(bench: &mut Bench) {
    let mut actions = Vec::new();
    while let Some(crate::scheduler::Call::Scan { scan_id, attempt, device_id, comment, .. }) = bench.calls.pop_front()
    {
        let mut action = seen(&scan_id, "x", "Pending", Some(&comment));
        (action.device_id, action.scope) = (Some(device_id), None);
        bench.answer(&scan_id, attempt, ScanReply::Action(action.clone()));
        action.status = "Succeeded".to_owned();
        actions.push(action);
    }
    bench.list(ReadReply::Complete(actions));
    assert_eq!(bench.open(), 0);
}

#[test]
fn a_cap_that_would_be_passed_trips_and_the_rule_is_in_shadow_until_it_is_re_armed() {
    let mut bench = tripped();
    assert_eq!(trips(&bench), [rule_1()]);
    assert_eq!(bench.scheduler.snapshot(bench.now).tripped, [rule_1()]);
    end_all(&mut bench);
    // Long after the window, and for a device that was reached already.
    bench.pass(7 * 3600);
    limited(&mut bench, "4", "4");
    limited(&mut bench, "again", "1");
    bench.request_with("other", "5", |asked| asked.rule_ids = vec!["rule-2".to_owned()]);
    bench.pass(5);
    assert_eq!((bench.count("shadowed"), bench.suppressed().len()), (2, 1));
    assert_eq!(bench.count("intent"), 3, "another rule goes on");
    bench.next_scan();
    rearm(&mut bench, Some("rule-1"));
    assert!(bench.scheduler.snapshot(bench.now).tripped.is_empty());
    limited(&mut bench, "6", "6");
    bench.pass(5);
    bench.next_scan();
    assert_eq!(trips(&bench).len(), 1);
}

#[test]
fn a_cap_trips_once_while_its_record_is_on_its_way() {
    let mut bench = Bench::new();
    for device in ["1", "2", "3", "4"] {
        limited(&mut bench, device, device);
    }
    bench.now += SignedDuration::from_secs(5);
    let first = bench.scheduler.poll(bench.now);
    let late = asked("5", "5", bench.now - SignedDuration::from_secs(10));
    let late = crate::event::Requested { limits: vec![limit("rule-1", 2)], ..late };
    bench.write(late.into());
    bench.now += SignedDuration::from_secs(5);
    let second = bench.scheduler.poll(bench.now);
    bench.take(first);
    bench.take(second);
    bench.run();
    assert_eq!(trips(&bench), [rule_1()]);
    assert_eq!(bench.count("intent"), 2);
    assert_eq!(bench.suppressed().len(), 3, "those that met the cap before the record was back");
    limited(&mut bench, "6", "6");
    bench.pass(5);
    assert_eq!((bench.count("shadowed"), trips(&bench).len()), (1, 1));
}

#[test]
fn another_live_rule_goes_on_alone() {
    let mut bench = Bench::new();
    let rules = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for device in ["1", "2", "3"] {
        bench.request_with(device, device, |asked| {
            asked.rule_ids = rules(&["rule-1", "rule-2"]);
            asked.limits = vec![limit("rule-1", 2)];
        });
    }
    bench.pass(5);
    assert_eq!((bench.count("intent"), bench.suppressed().len()), (3, 0));
    assert_eq!(trips(&bench), [rule_1()]);
    bench.request_with("4", "4", |asked| asked.rule_ids = rules(&["rule-1", "rule-2"]));
    bench.pass(5);
    let of = |bench: &Bench, device: &str| {
        bench.log.iter().find_map(|event| match &event.body {
            EventBody::Intent(body) if body.device.id == device_id(device) => Some(body.rule_ids.clone()),
            _ => None,
        })
    };
    assert_eq!(of(&bench, "1"), Some(rules(&["rule-1", "rule-2"])));
    assert_eq!(of(&bench, "3"), Some(rules(&["rule-2"])), "the device does not count against the rule that tripped");
    assert_eq!(of(&bench, "4"), Some(rules(&["rule-2"])));
    bench.request_with("5", "5", |asked| {
        asked.rule_ids = rules(&["rule-1", "rule-2"]);
        asked.terms.shadow_rule_ids = rules(&["rule-2"]);
    });
    bench.pass(5);
    assert_eq!(bench.count("shadowed"), 1, "a rule in shadow does not keep a tripped one alive");
}

#[test]
fn requests_of_one_device_part_where_only_some_are_held() {
    let mut bench = tripped();
    rearm(&mut bench, Some("rule-1"));
    limited(&mut bench, "6", "6");
    limited(&mut bench, "7", "7");
    bench.pass(5);
    limited(&mut bench, "held", "8");
    bench.request_with("free", "8", |asked| asked.rule_ids = vec!["rule-2".to_owned()]);
    bench.pass(5);
    assert_eq!(bench.suppressed()[1], (SuppressedReason::BlastRadius, vec!["held".to_owned()]));
    let EventBody::Intent(intent) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!(intent.request_ids, ["free"]);
}

#[test]
fn the_cap_on_all_rules_holds_everything_and_counts_anew_once_re_armed() {
    let mut settings = Settings::default();
    settings.blast_radius.devices = 2;
    let mut bench = Bench::with(settings, Mode::Live);
    let ask = |bench: &mut Bench, id: &str| bench.request_with(id, id, |asked| asked.rule_ids = vec![format!("r{id}")]);
    for id in ["1", "2", "3"] {
        ask(&mut bench, id);
    }
    bench.pass(5);
    assert_eq!((trips(&bench), bench.suppressed().len()), (vec![None], 1));
    ask(&mut bench, "4");
    bench.pass(5);
    assert_eq!(bench.count("shadowed"), 1);
    rearm(&mut bench, Some("r4"));
    ask(&mut bench, "5");
    bench.pass(5);
    assert_eq!(bench.count("shadowed"), 2, "another cap's order does not release it");
    rearm(&mut bench, None);
    for id in ["6", "7", "8"] {
        ask(&mut bench, id);
    }
    bench.pass(5);
    assert_eq!((bench.count("intent"), trips(&bench).len()), (4, 2), "two more devices, and then it trips again");
}

#[test]
fn what_waits_when_a_cap_trips_ends_in_shadow() {
    let mut bench = Bench::new();
    bench.scheduler.set_halted(true);
    limited(&mut bench, "1", "1");
    bench.pass(5);
    let claim = "claim-0".to_owned();
    bench.control(ControlAction::Tripped { claim, rule_id: rule_1(), devices: 2, per_seconds: 3600 });
    bench.run();
    assert_eq!((bench.count("shadowed"), bench.open()), (1, 0));
    limited(&mut bench, "2", "1");
    bench.run();
    let EventBody::Suppressed(body) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!((body.reason, body.mode), (SuppressedReason::Cooldown, Mode::Shadow), "it would have rested");
}

#[test]
fn a_trip_counts_only_from_the_owner_and_only_once() {
    let mut bench = tripped();
    let trip = |claim: &str, rule: &str| {
        let (claim, rule_id) = (claim.to_owned(), Some(rule.to_owned()));
        let control = ControlAction::Tripped { claim, rule_id, devices: 2, per_seconds: 3600 };
        EventBody::from(Control { control, author: "test".to_owned(), comment: None })
    };
    assert_eq!(bench.write(trip("former", "rule-9")), Applied::Void);
    assert_eq!(bench.write(trip("claim-0", "rule-1")), Applied::Void, "so that it is said once");
    assert_eq!(bench.write(trip("claim-0", "rule-9")), Applied::Changed);
}

#[test]
fn trips_and_re_arming_survive_a_hand_over() {
    let mut bench = tripped();
    end_all(&mut bench);
    bench.pass(48 * 3600);
    bench.restart();
    limited(&mut bench, "4", "4");
    bench.pass(5);
    assert_eq!((bench.count("shadowed"), bench.count("intent")), (1, 2));
    rearm(&mut bench, Some("rule-1"));
    limited(&mut bench, "5", "5");
    limited(&mut bench, "6", "6");
    bench.pass(5);
    end_all(&mut bench);
    rearm(&mut bench, Some("rule-1"));
    bench.pass(600);
    bench.restart();
    for device in ["7", "8", "9"] {
        limited(&mut bench, device, device);
    }
    bench.pass(5);
    assert_eq!(bench.count("intent"), 6, "those reached before the order do not count");
    assert_eq!(trips(&bench).len(), 2);
    same_from_everywhere(&bench.log);
}

#[test]
fn an_order_to_count_anew_is_kept_only_while_it_matters() {
    let mut bench = tripped();
    end_all(&mut bench);
    rearm(&mut bench, Some("rule-1"));
    let order = i64::try_from(bench.log.len()).expect("few") - 1;
    let hour = std::time::Duration::from_secs(3600);
    let needed = |bench: &Bench| bench.scheduler.state().oldest_needed(bench.now, hour, hour, order + 100);
    for (id, kept) in [("8", true), ("9", true), ("10", false)] {
        assert_eq!(needed(&bench) <= order, kept, "no device that was reached before counts any more");
        bench.pass(4 * 3600);
        bench.request_with(id, id, |asked| {
            asked.mode = Mode::Shadow;
            asked.cooldown_seconds = 0;
        });
        bench.pass(5);
    }
    for _ in 0..25 {
        bench.now += SignedDuration::from_hours(1);
        bench.request_with(&bench.now.to_string(), "10", |asked| asked.mode = Mode::Shadow);
        bench.pass(5);
    }
    assert!(bench.scheduler.state().orders.rearmed.is_empty());
}

#[test]
fn trips_are_carried_before_their_records_expire() {
    let mut bench = tripped();
    end_all(&mut bench);
    bench.pass_hours(15 * 24);
    assert_eq!(bench.count("carried"), 1);
    let end = i64::try_from(bench.log.len()).expect("few");
    let hour = std::time::Duration::from_secs(3600);
    assert!(bench.scheduler.state().oldest_needed(bench.now, hour, hour, end) >= end - 1);
    bench.restart();
    limited(&mut bench, "4", "4");
    bench.pass(5);
    assert_eq!(bench.count("shadowed"), 1);
}

/// The intent of a device is decided by an owner that stands still; what landed meanwhile comes before it, or after it.
fn intended_around_a_trip(trip_first: bool) -> Bench {
    let mut bench = Bench::new();
    limited(&mut bench, "a", "1");
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    let claim = bench.scheduler.claim().to_owned();
    let trip = ControlAction::Tripped { claim, rule_id: rule_1(), devices: 2, per_seconds: 3600 };
    if trip_first {
        bench.control(trip);
        bench.take(commands);
    } else {
        bench.take(commands);
        bench.control(trip);
    }
    bench.run();
    bench
}

#[test]
fn an_intent_that_lands_behind_a_trip_is_withdrawn_and_one_before_it_is_called() {
    let bench = intended_around_a_trip(true);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    assert_eq!(bench.names(), ["claim", "requested", "control", "intent", "withdrawn", "shadowed"]);
    let mut bench = intended_around_a_trip(false);
    assert_eq!(bench.names(), ["claim", "requested", "intent", "control"]);
    bench.next_scan();
}

#[test]
fn an_intent_of_ones_own_that_comes_back_after_the_window_counts_no_more() {
    let mut bench = Bench::new();
    limited(&mut bench, "a", "1");
    bench.now += SignedDuration::from_secs(5);
    let on_its_way = bench.scheduler.poll(bench.now);
    assert_eq!(on_its_way.len(), 1);
    // The worker stands still; the first thing it does afterwards is to decide.
    bench.now += SignedDuration::from_hours(1);
    for device in ["2", "3"] {
        limited(&mut bench, device, device);
    }
    bench.now += SignedDuration::from_secs(5);
    bench.run();
    assert_eq!((trips(&bench), bench.count("intent")), (Vec::new(), 2));
}
