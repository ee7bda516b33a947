//! A successor that starts in the middle of the log knows what one that reads it all knows.

use jiff::SignedDuration;

use super::bench::{Bench, asked, full, refused, seen};
use crate::event::{AttemptResult, Carried, ControlAction, EventBody, Mode, RuleLimit, SuppressedReason};
use crate::scheduler::{ReadReply, ScanReply, Settings, State};

fn scanned(bench: &mut Bench, id: &str, device: &str) {
    bench.request(id, device);
    bench.pass(5);
    bench.answer_next(|_, comment| ScanReply::Action(seen(&format!("action-{id}"), device, "Pending", Some(comment))));
    bench.list(ReadReply::Complete(vec![seen(&format!("action-{id}"), device, "Succeeded", None)]));
}

#[test]
fn a_rest_longer_than_the_memory_of_requests_survives_a_restart() {
    let mut bench = Bench::new();
    scanned(&mut bench, "a", "1");
    bench.pass(2 * 3600);
    bench.request("other", "2");
    bench.restart();
    assert!(!bench.scheduler.state().known_requests.contains("a"), "the request itself is forgotten");
    bench.request("b", "1");
    bench.run();
    assert_eq!(bench.suppressed(), [(SuppressedReason::Cooldown, vec!["b".to_owned()])]);
}

#[test]
fn what_intake_had_in_hand_before_a_long_outage_is_known_again() {
    let mut bench = Bench::new();
    scanned(&mut bench, "a", "1");
    bench.pass(10 * 3600);
    bench.restart();
    bench.request("a", "1");
    bench.pass(3600);
    assert!(bench.scheduler.state().requests.is_empty(), "the redelivery is void");
}

#[test]
fn reached_devices_survive_a_restart() {
    let mut settings = Settings::default();
    settings.blast_radius.per = std::time::Duration::from_secs(24 * 3600);
    settings.blast_radius.devices = 1;
    let mut bench = Bench::with(settings, Mode::Live);
    scanned(&mut bench, "a", "1");
    bench.pass(8 * 3600);
    bench.request("other", "1");
    bench.pass(5);
    bench.restart();
    bench.request("b", "2");
    bench.pass(10);
    assert_eq!(bench.suppressed(), [(SuppressedReason::BlastRadius, vec!["b".to_owned()])]);
}

#[test]
fn slots_of_requests_that_waited_long_survive_a_restart() {
    let mut settings = Settings::default();
    settings.quota.per_hour = 1;
    settings.blast_radius.per = std::time::Duration::from_secs(60);
    settings.quota.reserve_percent = 0;
    let mut bench = Bench::with(settings, Mode::Live);
    bench.scheduler.set_halted(true);
    bench.request("a", "1");
    bench.pass(3 * 3600);
    bench.scheduler.set_halted(false);
    bench.run();
    bench.answer_next(|_, comment| ScanReply::Action(seen("action-a", "1", "Pending", Some(comment))));
    bench.list(ReadReply::Complete(vec![seen("action-a", "1", "Succeeded", None)]));
    bench.pass(120);
    // The latest request is remembered for longer than the others: this one, not the one that took the slot.
    bench.request("other", "2");
    bench.scheduler.set_halted(true);
    bench.restart();
    assert!(!bench.scheduler.state().known_requests.contains("a"), "the request itself is forgotten");
    bench.run();
    assert_eq!(bench.scheduler.snapshot(bench.now).remaining.hour, 0);
}

#[test]
fn a_pause_survives_a_restart_although_the_request_that_met_it_has_ended() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.expires_at -= SignedDuration::from_hours(22));
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(5 * 3600)));
    bench.pass(4 * 3600);
    assert_eq!((bench.open(), bench.suppressed().len()), (0, 1));
    bench.restart();
    bench.request("b", "2");
    bench.pass(1800);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    bench.pass(1800);
    bench.next_scan();
}

#[test]
fn attempts_go_on_counting_although_the_request_that_began_them_has_ended() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.expires_at -= SignedDuration::from_hours(23));
    bench.pass(5);
    let scan_id = bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(3 * 3600)));
    bench.request("b", "1");
    bench.pass(2 * 3600);
    assert_eq!(bench.suppressed(), [(SuppressedReason::TooOld, vec!["a".to_owned()])]);
    bench.restart();
    bench.pass(3600 + 60);
    let (again, attempt, ..) = bench.next_scan();
    assert_eq!((again.as_str(), attempt), (scan_id.as_str(), 2));
    bench.pass(600);
    bench.restart();
    assert_eq!(bench.scheduler.snapshot(bench.now).in_doubt, 1, "the attempt under way is known to the next owner");
}

#[test]
fn a_request_that_joined_an_older_scan_does_not_come_back_to_life() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.cooldown_seconds = 1);
    bench.accept_next("action-a");
    bench.pass(2 * 3600);
    bench.calls.clear();
    bench.scheduler.reply(
        crate::scheduler::Reply::List { created_since: bench.now, started_at: bench.now, answer: ReadReply::Failed },
        bench.now,
    );
    bench.request_with("b", "1", |asked| asked.cooldown_seconds = 1);
    bench.run();
    assert_eq!(bench.count("joined"), 1);
    bench.list(ReadReply::Complete(vec![seen("action-a", "1", "Succeeded", None)]));
    assert_eq!(bench.open(), 0);
    bench.pass(1800);
    bench.restart();
    assert_eq!(bench.open(), 0);
}

#[test]
fn a_redelivery_read_again_without_its_first_record_is_not_a_new_request() {
    let mut bench = Bench::new();
    scanned(&mut bench, "a", "1");
    scanned(&mut bench, "kept", "2");
    bench.pass(1800);
    let again = asked("a", "1", bench.now);
    bench.write(again.into());
    bench.request_with("late", "3", |asked| asked.mode = Mode::Shadow);
    bench.pass(8 * 3600);
    bench.restart();
    assert_eq!(bench.open(), 0);
}

#[test]
fn a_shorter_rest_never_hides_a_longer_one_that_was_set_before_it() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.cooldown_seconds = 24 * 3600);
    bench.accept_next("action-a");
    bench.list(ReadReply::Complete(vec![seen("action-a", "1", "Succeeded", None)]));
    bench.pass(3600);
    bench.request_with("b", "1", |asked| {
        asked.scan_type = crate::event::ScanType::Full;
        asked.cooldown_seconds = 3600;
    });
    bench.pass(5);
    bench.answer_next(|_, comment| full("action-b", "1", comment));
    bench.list(ReadReply::Complete(vec![seen("action-b", "1", "Succeeded", None)]));
    bench.pass(2 * 3600);
    bench.restart();
    bench.request("c", "1");
    bench.run();
    assert_eq!(bench.suppressed(), [(SuppressedReason::Cooldown, vec!["c".to_owned()])]);
}

#[test]
fn facts_are_carried_before_their_records_expire() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.cooldown_seconds = 30 * 24 * 3600);
    bench.accept_next("action-a");
    bench.list(ReadReply::Complete(vec![seen("action-a", "1", "Succeeded", None)]));
    bench.control(ControlAction::Halted);
    let until = bench.finished_until();
    bench.pass_hours(15 * 24);
    let carried: Vec<_> = bench
        .log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Carried(carried) => Some(carried.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(carried.len(), 2, "each once: {carried:?}");
    assert!(carried.iter().any(|fact| matches!(fact, Carried::Halted { .. })));
    assert!(
        carried.iter().any(|fact| matches!(fact, Carried::Cooldown { cooldown_until, .. } if *cooldown_until == until))
    );
    let end = i64::try_from(bench.log.len()).expect("few");
    let needed = bench.scheduler.state().oldest_needed(
        bench.now,
        bench.settings.quota.hour_window,
        bench.settings.blast_radius.per,
        end,
    );
    assert!(needed >= end - 2, "the old records are needed no more: {needed} of {end}");
    bench.restart();
    assert!(bench.scheduler.is_halted());
    bench.request("b", "1");
    bench.run();
    assert_eq!(bench.suppressed().len(), 1);
}

#[test]
fn limits_of_a_rule_survive_a_restart() {
    let limit = RuleLimit { rule_id: "rule-1".to_owned(), devices: 1, per_seconds: 3600 };
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.limits = vec![limit.clone()]);
    bench.pass(5);
    bench.restart();
    bench.request_with("b", "2", |asked| asked.limits = vec![limit]);
    bench.pass(5);
    assert_eq!(bench.suppressed(), [(SuppressedReason::BlastRadius, vec!["b".to_owned()])]);
}

#[test]
fn the_fold_gives_the_same_state_twice() {
    let mut bench = Bench::new();
    scanned(&mut bench, "a", "1");
    bench.request("b", "2");
    bench.pass(5);
    let mut again = State::default();
    for (offset, event) in (0..).zip(&bench.log) {
        again.apply(offset, event);
    }
    assert_eq!(&again, bench.scheduler.state());
}

#[test]
fn a_log_in_which_nothing_happens_any_more_forgets_in_time() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.accept_next("action-1");
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    let oldest = |bench: &Bench| {
        let end = i64::try_from(bench.log.len()).unwrap();
        let state = bench.scheduler.state();
        end - state.oldest_needed(bench.now, bench.settings.quota.hour_window, bench.settings.blast_radius.per, end)
    };
    bench.pass_hours(13 * 24);
    // Else the topic would drop what the committed position still points to.
    assert!(oldest(&bench) > 1, "the redelivery of the request is still known by the log's clock");
    bench.pass_hours(2 * 24);
    let EventBody::Carried(Carried::Quiet { .. }) = bench.last() else { panic!("{:?}", bench.names()) };
    assert_eq!(oldest(&bench), 0);
    bench.pass_hours(30 * 24);
    assert_eq!(bench.names().iter().filter(|name| **name == "carried").count(), 1, "{:?}", bench.names());
}
