//! Quota, order under scarcity, and what is kept for the most urgent.

use jiff::SignedDuration;

use super::bench::{Bench, in_doubt, refused, seen};
use crate::event::{AttemptResult, EventBody, Mode};
use crate::scheduler::{Call, ScanReply, Settings};

fn limited(per_minute: u32, per_hour: u32) -> Settings {
    let mut settings = Settings::default();
    settings.quota.per_minute = per_minute;
    settings.quota.per_hour = per_hour;
    settings.quota.reserve_percent = 0;
    settings
}

fn accept_all(bench: &mut Bench) {
    while let Some(Call::Scan { scan_id, attempt, device_id, comment, .. }) = bench.calls.pop_front() {
        let mut action = seen(&scan_id, "x", "Pending", Some(&comment));
        action.device_id = Some(device_id);
        bench.answer(&scan_id, attempt, ScanReply::Action(action));
    }
    bench.calls.clear();
}

#[test]
fn a_slot_is_held_for_the_window_after_the_answer_to_the_millisecond() {
    for (settings, window) in [(limited(1, 10), 60), (limited(10, 1), 3600)] {
        let mut bench = Bench::with(settings, Mode::Live);
        bench.request("a", "1");
        bench.request("b", "2");
        bench.pass(5);
        assert_eq!(bench.calls.len(), 1);
        bench.now += SignedDuration::from_secs(7);
        accept_all(&mut bench);
        let free = bench.now + SignedDuration::from_secs(window);
        bench.now = free - SignedDuration::from_millis(1);
        bench.run();
        assert_eq!(bench.count("intent"), 1);
        bench.now = free;
        bench.run();
        assert_eq!(bench.count("intent"), 2);
    }
}

#[test]
fn a_slot_in_doubt_is_held_from_the_latest_possible_arrival() {
    let mut bench = Bench::with(limited(1, 10), Mode::Live);
    bench.request("a", "1");
    bench.request("b", "2");
    bench.pass(5);
    let intended = bench.now;
    bench.answer_next(|_, _| in_doubt());
    bench.now = intended + SignedDuration::from_millis(94_999);
    bench.run();
    assert_eq!(bench.count("intent"), 1);
    bench.now = intended + SignedDuration::from_secs(95);
    bench.run();
    assert_eq!(bench.count("intent"), 2);
}

#[test]
fn the_windows_come_back_from_the_log_after_a_restart() {
    let mut bench = Bench::with(limited(100, 3), Mode::Live);
    for device in ["1", "2", "3", "4"] {
        bench.request(device, device);
    }
    bench.pass(5);
    accept_all(&mut bench);
    bench.restart();
    bench.run();
    assert_eq!(bench.scheduler.snapshot(bench.now).remaining.hour, 0);
    bench.pass(3590);
    assert_eq!(bench.count("intent"), 3);
    bench.pass(20);
    assert_eq!(bench.count("intent"), 4);
}

#[test]
fn intents_not_yet_read_back_take_slots_too() {
    let mut bench = Bench::with(limited(2, 10), Mode::Live);
    for device in ["1", "2", "3"] {
        bench.request(device, device);
    }
    bench.now += SignedDuration::from_secs(5);
    assert_eq!(bench.scheduler.poll(bench.now).len(), 2);
    assert!(bench.scheduler.poll(bench.now).is_empty());
}

/// Devices in the order of their intents.
fn order(bench: &Bench) -> Vec<String> {
    bench
        .log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Intent(body) => Some(body.device.id.trim_start_matches('0').to_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn higher_priority_goes_first_and_older_first_within_it() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.priority = 20);
    bench.now += SignedDuration::from_millis(1);
    bench.request_with("b", "2", |asked| asked.priority = 95);
    bench.now += SignedDuration::from_millis(1);
    bench.request_with("c", "3", |asked| asked.priority = 60);
    bench.now += SignedDuration::from_millis(1);
    bench.request_with("d", "4", |asked| asked.priority = 60);
    bench.now += SignedDuration::from_secs(5);
    bench.run();
    assert_eq!(order(&bench), ["2", "3", "4", "1"]);
}

#[test]
fn waiting_adds_priority() {
    for (minutes, first) in [(59, "2"), (61, "1")] {
        let mut bench = Bench::new();
        bench.scheduler.set_halted(true);
        bench.request_with("a", "1", |asked| asked.priority = 50);
        bench.now += SignedDuration::from_mins(minutes);
        bench.request_with("b", "2", |asked| asked.priority = 60);
        bench.pass(10);
        bench.scheduler.set_halted(false);
        bench.run();
        assert_eq!(order(&bench)[0], first, "after {minutes} minutes");
    }
}

#[test]
fn the_reserve_is_kept_for_the_most_urgent() {
    let mut settings = limited(100, 10);
    settings.quota.reserve_percent = 20;
    settings.max_calls_in_flight = 100;
    let mut bench = Bench::with(settings, Mode::Live);
    for device in 1..=10 {
        let device = device.to_string();
        bench.request(&device, &device);
    }
    bench.pass(5);
    assert_eq!(bench.count("intent"), 8);
    bench.request_with("x", "98", |asked| asked.priority = 90);
    bench.request_with("y", "99", |asked| asked.priority = 89);
    bench.pass(5);
    assert_eq!(bench.count("intent"), 9);
    assert_eq!(order(&bench).last().map(String::as_str), Some("98"));
}

#[test]
fn the_most_urgent_pass_an_aged_one_that_may_not_use_the_reserve() {
    let mut settings = limited(100, 10);
    settings.quota.reserve_percent = 90;
    let mut bench = Bench::with(settings, Mode::Live);
    bench.scheduler.set_halted(true);
    bench.request_with("a", "1", |asked| asked.priority = 80);
    bench.request_with("b", "2", |asked| asked.priority = 80);
    bench.now += SignedDuration::from_hours(2);
    bench.request_with("c", "3", |asked| asked.priority = 90);
    bench.pass(5);
    bench.scheduler.set_halted(false);
    bench.run();
    assert_eq!(order(&bench), ["1", "3"]);
}

#[test]
fn calls_in_flight_are_bounded() {
    let mut bench = Bench::with(Settings { max_calls_in_flight: 2, ..Settings::default() }, Mode::Live);
    for device in ["1", "2", "3"] {
        bench.request(device, device);
    }
    bench.pass(60);
    assert_eq!(bench.calls.len(), 2);
    bench.answer_next(|_, comment| ScanReply::Action(seen("x", "1", "Pending", Some(comment))));
    assert_eq!(bench.count("intent"), 3);
}

#[test]
fn the_snapshot_counts_what_waits_and_how_long() {
    let mut bench = Bench::with(limited(1, 10), Mode::Live);
    for device in ["1", "2", "3"] {
        bench.request(device, device);
    }
    bench.pass(5);
    accept_all(&mut bench);
    let snapshot = bench.scheduler.snapshot(bench.now);
    assert_eq!(snapshot.queue.iter().map(|(_, count)| count).sum::<usize>(), 2);
    assert_eq!((snapshot.oldest.as_secs(), snapshot.remaining.minute, snapshot.unaccounted), (5, 0, 0));
    assert!(snapshot.wait_estimate.as_secs() >= 60);
}

#[test]
fn every_attempt_holds_its_slot_whatever_came_of_it() {
    let refusals = [
        AttemptResult::RateLimited,
        AttemptResult::Unauthorized,
        AttemptResult::Forbidden,
        AttemptResult::DeviceNotFound,
        AttemptResult::UnsupportedDevice,
        AttemptResult::Rejected,
    ];
    let answers = refusals.into_iter().map(|result| refused(result, None));
    let not_sent = ScanReply::NotSent { too_late: false, detail: "no connection".to_owned() };
    for answer in answers.chain([not_sent, in_doubt()]) {
        let told = format!("{answer:?}");
        let mut bench = Bench::with(limited(100, 1), Mode::Live);
        bench.request("a", "1");
        bench.request("b", "2");
        bench.pass(5);
        bench.answer_next(|_, _| answer);
        bench.pass(3590);
        assert_eq!(bench.count("intent"), 1, "{told}");
        bench.pass(60);
        assert_eq!(bench.count("intent"), 2, "{told}");
    }
}
