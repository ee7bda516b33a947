//! From a request to a call: merging, and everything that holds a request back.

use jiff::SignedDuration;

use super::bench::{Bench, device_id, seen, start_time};
use crate::event::{
    ControlAction, EventBody, FailedReason, FinishedStatus, Mode, RuleLimit, ScanType, SuppressedReason,
};
use crate::scheduler::{Call, DeviceFacts, ReadReply, Settings};

#[test]
fn a_request_becomes_one_scan_that_is_followed_to_its_end() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(4);
    assert_eq!(bench.names(), ["claim", "requested"], "it waits for company first");
    bench.pass(1);
    assert_eq!(bench.names(), ["claim", "requested", "intent"]);
    let (scan_id, attempt, comment, scan_type) = bench.next_scan();
    assert_eq!((attempt, scan_type), (1, ScanType::Quick));
    assert_eq!(comment, format!("due to alert alert-a [scan {scan_id}]"));
    bench.answer(&scan_id, 1, crate::scheduler::ScanReply::Action(seen("action-1", "1", "Pending", Some(&comment))));
    assert!(matches!(bench.last(), EventBody::Accepted(body) if body.action.id == "action-1"));
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "InProgress", Some(&comment))]));
    assert_eq!(bench.open(), 1);
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", Some(&comment))]));
    assert_eq!(bench.finished().status, FinishedStatus::Succeeded);
    assert_eq!(bench.finished().request_ids, ["a"]);
    assert_eq!(bench.open(), 0);
    bench.pass(3600);
    assert!(bench.calls.is_empty(), "nothing is left to ask: {:?}", bench.calls);
}

#[test]
fn nothing_is_called_before_the_intent_is_read_back() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    assert_eq!(commands.len(), 1);
    assert!(bench.scheduler.poll(bench.now).is_empty(), "the device is left alone until the record is back");
    bench.take(commands);
    bench.run();
    bench.next_scan();
}

#[test]
fn a_burst_shares_one_scan_whose_comment_lists_the_others() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.request_with("b", "1", |asked| asked.priority = 90);
    bench.pass(3);
    bench.request_with("c", "1", |asked| asked.cooldown_seconds = 12 * 3600);
    bench.pass(2);
    let (scan_id, _, comment, _) = bench.next_scan();
    assert_eq!(comment, format!("due to alert alert-b (+2: alert-a, alert-c) [scan {scan_id}]"));
    let Some(EventBody::Intent(intent)) = bench.log.last().map(|event| &event.body) else { panic!("no intent") };
    assert_eq!((intent.request_ids.len(), intent.priority, intent.cooldown_seconds), (3, 90, 12 * 3600));
    assert!(bench.calls.is_empty());
}

#[test]
fn a_device_rests_after_a_scan_and_a_full_may_pass_what_a_quick_set() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    let scan_id = bench.accept_next("action-1");
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    bench.request("b", "1");
    bench.pass(10);
    assert_eq!(bench.suppressed(), [(SuppressedReason::Cooldown, vec!["b".to_owned()])]);
    bench.request_with("c", "1", |asked| asked.scan_type = ScanType::Full);
    bench.pass(5);
    let (second, _, _, scan_type) = bench.next_scan();
    assert_ne!(second, scan_id);
    assert_eq!(scan_type, ScanType::Full);
    let mut full = seen("action-2", "1", "Succeeded", Some(&super::bench::marked(&second)));
    full.scope = Some(ScanType::Full);
    bench.answer(&second, 1, crate::scheduler::ScanReply::Action(full.clone()));
    bench.list(ReadReply::Complete(vec![full]));
    bench.request_with("d", "1", |asked| asked.scan_type = ScanType::Full);
    bench.pass(10);
    assert_eq!(bench.suppressed().len(), 2, "a Full does not pass what a Full set");
}

#[test]
fn the_rest_is_over_to_the_second() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.accept_next("action-1");
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    let until = bench.finished().cooldown_until;
    assert_eq!(until, bench.now + SignedDuration::from_hours(6));
    bench.now = until - SignedDuration::from_millis(1);
    bench.request("b", "1");
    bench.run();
    assert_eq!(bench.suppressed().len(), 1);
    bench.now = until;
    bench.request("c", "1");
    bench.run();
    assert_eq!(bench.suppressed().len(), 1);
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn the_same_alert_again_is_a_duplicate() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.request_with("b", "1", |asked| asked.alerts[0].id = "alert-a".to_owned());
    bench.run();
    assert_eq!(bench.suppressed(), [(SuppressedReason::Duplicate, vec!["b".to_owned()])]);
    bench.request_with("c", "2", |asked| asked.alerts[0].id = "alert-a".to_owned());
    bench.run();
    assert_eq!(bench.suppressed().len(), 1, "another device is another matter");
}

#[test]
fn a_redelivered_request_is_ignored() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.request("a", "1");
    bench.accept_next("action-1");
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    bench.request("a", "1");
    bench.pass(60);
    assert_eq!(bench.open(), 0);
    assert!(bench.suppressed().is_empty());
    assert_eq!((bench.count("intent"), bench.count("finished")), (1, 1));
}

#[test]
fn a_request_grows_too_old_while_it_waits() {
    let mut bench = Bench::new();
    bench.scheduler.set_halted(true);
    bench.request("a", "1");
    bench.pass(24 * 3600);
    assert_eq!(bench.suppressed(), [(SuppressedReason::TooOld, vec!["a".to_owned()])]);
    assert_eq!(bench.log.last().map(|event| event.time), Some(start_time() + SignedDuration::from_hours(24)));
}

#[test]
fn shadow_records_the_decision_and_never_calls() {
    for worker in [Mode::Live, Mode::Shadow] {
        let mut bench = Bench::with(Settings::default(), worker);
        bench.request_with("a", "1", |asked| asked.mode = if worker == Mode::Live { Mode::Shadow } else { Mode::Live });
        bench.pass(5);
        let EventBody::Shadowed(shadowed) = bench.last() else { panic!("{:?}", bench.last()) };
        assert_eq!(shadowed.comment, "due to alert alert-a");
        assert_eq!(bench.open(), 0);
        bench.request_with("b", "1", |asked| asked.mode = Mode::Shadow);
        bench.pass(60);
        assert_eq!(bench.suppressed().len(), 1, "it would have rested");
        assert!(bench.calls.is_empty());
    }
}

#[test]
fn a_rest_in_shadow_does_not_hold_back_a_live_request() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.mode = Mode::Shadow);
    bench.pass(5);
    bench.request("b", "1");
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn live_and_shadow_requests_of_a_device_end_each_in_its_own_way() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.mode = Mode::Shadow);
    bench.request("b", "1");
    bench.accept_next("action-1");
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    assert_eq!((bench.count("shadowed"), bench.finished().request_ids.clone()), (1, vec!["b".to_owned()]));
    assert_eq!(bench.open(), 0);
}

fn protecting(names: &[&str], tags: &[&str]) -> Settings {
    let mut settings = Settings::default();
    settings.protected.names = names.iter().map(|name| (*name).to_owned()).collect();
    settings.protected.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    settings
}

#[test]
fn a_protected_device_is_never_called() {
    let mut bench = Bench::with(protecting(&["dc-*"], &[]), Mode::Live);
    bench.request("a", "dc-01");
    bench.request_with("b", "dc-02", |asked| asked.mode = Mode::Shadow);
    bench.pass(5);
    assert_eq!(
        bench.suppressed().iter().map(|(reason, _)| *reason).collect::<Vec<_>>(),
        [SuppressedReason::Protected, SuppressedReason::Protected]
    );
    assert!(bench.calls.is_empty());
}

#[test]
fn what_a_protection_needs_is_looked_up_and_believed_for_a_while() {
    let mut bench = Bench::with(protecting(&[], &["no-scan"]), Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    assert_eq!(bench.calls, [Call::LookUp { device_id: device_id("1") }]);
    bench.look_up(ReadReply::Complete(Some(DeviceFacts { name: None, group: None, tags: Some(vec!["x".to_owned()]) })));
    bench.next_scan();

    bench.request("b", "2");
    bench.pass(5);
    let facts = DeviceFacts { name: None, group: None, tags: Some(vec!["No-Scan".to_owned()]) };
    bench.look_up(ReadReply::Complete(Some(facts)));
    assert_eq!(bench.suppressed(), [(SuppressedReason::Protected, vec!["b".to_owned()])]);
    bench.request("c", "2");
    bench.pass(5);
    assert_eq!(bench.suppressed().len(), 2, "no second look-up");
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
}

#[test]
fn an_answer_that_does_not_tell_the_tags_holds_the_device_back() {
    let mut bench = Bench::with(protecting(&[], &["no-scan"]), Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    bench.look_up(ReadReply::Complete(Some(DeviceFacts::default())));
    assert_eq!(bench.suppressed(), [(SuppressedReason::ProtectionUnknown, vec!["a".to_owned()])]);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
}

#[test]
fn a_worker_that_stood_still_does_not_believe_an_old_look_up() {
    let mut bench = Bench::with(protecting(&[], &["no-scan"]), Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    bench.scheduler.set_halted(true);
    bench.look_up(ReadReply::Complete(Some(DeviceFacts { name: None, group: None, tags: Some(Vec::new()) })));
    bench.run();
    bench.now += SignedDuration::from_mins(20);
    bench.scheduler.set_halted(false);
    bench.run();
    assert_eq!(bench.calls, [Call::LookUp { device_id: device_id("1") }]);
    let facts = DeviceFacts { name: None, group: None, tags: Some(vec!["no-scan".to_owned()]) };
    bench.look_up(ReadReply::Complete(Some(facts)));
    assert_eq!(bench.suppressed(), [(SuppressedReason::Protected, vec!["a".to_owned()])]);
}

#[test]
fn an_unknown_machine_fails_and_an_unreadable_one_is_held_back() {
    let mut bench = Bench::with(protecting(&[], &["no-scan"]), Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    bench.look_up(ReadReply::Complete(None));
    assert!(matches!(bench.last(), EventBody::Failed(body) if body.reason == FailedReason::DeviceNotFound));

    bench.request("b", "2");
    bench.pass(5);
    bench.look_up(ReadReply::NotPermitted);
    assert_eq!(bench.suppressed(), [(SuppressedReason::ProtectionUnknown, vec!["b".to_owned()])]);

    bench.request("c", "3");
    bench.pass(5);
    for _ in 0..4 {
        while bench.calls.is_empty() {
            bench.pass(10);
        }
        bench.look_up(ReadReply::Failed);
    }
    assert_eq!(bench.suppressed()[1], (SuppressedReason::ProtectionUnknown, vec!["c".to_owned()]));
    assert_eq!(bench.open(), 0);
}

#[test]
fn the_blast_radius_counts_distinct_devices_of_the_rule_alone() {
    let mut bench = Bench::new();
    let limit = |rule: &str| RuleLimit { rule_id: rule.to_owned(), devices: 2, per_seconds: 3600 };
    for device in ["1", "2", "3"] {
        bench.request_with(device, device, |asked| asked.rule_ids = vec!["other".to_owned()]);
    }
    for device in ["5", "6", "7"] {
        bench.request_with(device, device, |asked| asked.limits = vec![limit("rule-1")]);
    }
    // All at once, so that intents that are not read back count too.
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    bench.take(commands);
    bench.run();
    assert_eq!(bench.suppressed(), [(SuppressedReason::BlastRadius, vec!["7".to_owned()])]);
    assert_eq!(bench.count("intent"), 5);
    bench.control(ControlAction::Rearmed { rule_id: Some("rule-1".to_owned()) });
    bench.now += SignedDuration::from_secs(3600);
    for device in ["8", "9"] {
        bench.request_with(device, device, |asked| asked.limits = vec![limit("rule-1")]);
    }
    bench.pass(5);
    assert_eq!((bench.count("intent"), bench.suppressed().len()), (7, 1));
    bench.now += SignedDuration::from_secs(3600);
    bench.request_with("10", "10", |asked| asked.limits = vec![limit("rule-1")]);
    bench.pass(5);
    assert_eq!((bench.count("intent"), bench.suppressed().len()), (8, 1), "the window has passed");
}

#[test]
fn the_total_blast_radius_holds_for_all_rules_together() {
    let mut settings = Settings::default();
    settings.blast_radius.devices = 2;
    let mut bench = Bench::with(settings, Mode::Live);
    for device in ["1", "2", "3"] {
        bench.request_with(device, device, |asked| asked.rule_ids = vec![format!("rule-{device}")]);
    }
    bench.pass(5);
    assert_eq!((bench.count("intent"), bench.suppressed().len()), (2, 1));
}
