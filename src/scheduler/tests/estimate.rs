//! How long a newcomer would wait, clocks that differ, and requests that grow too old in the queue.

use jiff::SignedDuration;

use super::bench::{Bench, refused, seen};
use crate::event::{AttemptResult, EventBody, Mode, SuppressedReason};
use crate::scheduler::{Call, ScanReply, Settings};

fn limited(per_minute: u32, per_hour: u32, reserve_percent: u32) -> Settings {
    let mut settings = Settings::default();
    settings.quota.per_minute = per_minute;
    settings.quota.per_hour = per_hour;
    settings.quota.reserve_percent = reserve_percent;
    settings.blast_radius.devices = 5000;
    settings
}

fn accept_all(bench: &mut Bench) {
    bench.calls.retain(|call| matches!(call, Call::Scan { .. }));
    while let Some(Call::Scan { scan_id, attempt, device_id, comment, .. }) = bench.calls.pop_front() {
        let mut action = seen(&scan_id, "x", "Pending", Some(&comment));
        action.device_id = Some(device_id);
        bench.answer(&scan_id, attempt, ScanReply::Action(action));
    }
    bench.calls.clear();
}

/// The estimate in seconds, and how long a newcomer of the lowest priority then really waits.
fn estimate_and_truth(mut bench: Bench) -> (i64, i64) {
    let estimate = i64::try_from(bench.scheduler.snapshot(bench.now).wait_estimate.as_secs()).expect("a while");
    let begin = bench.now;
    bench.request_with("newcomer", "1000", |asked| {
        asked.priority = 0;
        asked.expires_at += SignedDuration::from_hours(100);
        asked.terms.merge_window_seconds = Some(0);
    });
    loop {
        bench.run();
        let intent = bench.log.iter().rev().find(
            |event| matches!(&event.body, EventBody::Intent(body) if body.request_ids.contains(&"newcomer".to_owned())),
        );
        if let Some(intent) = intent {
            return (estimate, intent.time.duration_since(begin).as_secs());
        }
        accept_all(&mut bench);
        bench.now += SignedDuration::from_secs(1);
    }
}

fn waiting(settings: Settings, devices: u32) -> Bench {
    let mut bench = Bench::with(settings, Mode::Live);
    for device in 1..=devices {
        let device = device.to_string();
        bench.request_with(&device, &device, |asked| {
            asked.terms.merge_window_seconds = Some(0);
            asked.expires_at += SignedDuration::from_hours(100);
        });
    }
    bench
}

#[test]
fn the_estimate_is_what_a_newcomer_of_the_lowest_priority_really_waits() {
    for (settings, devices) in [
        (limited(10, 100, 0), 0),
        (limited(10, 100, 0), 9),
        (limited(10, 100, 0), 10),
        (limited(10, 100, 0), 57),
        (limited(2, 10, 50), 8),
        (limited(10, 10, 50), 4),
        (limited(10, 10, 50), 23),
    ] {
        let (estimate, truth) = estimate_and_truth(waiting(settings, devices));
        assert!((estimate - truth).abs() <= 2, "{devices}: {estimate} is not {truth}");
    }
}

#[test]
fn the_estimate_knows_pauses_and_slots_that_are_held() {
    let mut bench = waiting(limited(3, 100, 0), 3);
    bench.run();
    accept_all(&mut bench);
    bench.request("more", "500");
    bench.pass(10);
    let (estimate, truth) = estimate_and_truth(bench);
    assert!(truth >= 49 && (estimate - truth).abs() <= 2, "{estimate} is not {truth}");

    let mut bench = waiting(limited(3, 100, 0), 1);
    bench.run();
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(500)));
    let (estimate, truth) = estimate_and_truth(bench);
    assert!(truth >= 500 && (estimate - truth).abs() <= 2, "{estimate} is not {truth}");
}

#[test]
fn two_owners_whose_clocks_differ_keep_the_window_of_the_api() {
    for per_hour in [10, 1] {
        let mut settings = limited(if per_hour == 1 { 10 } else { 1 }, per_hour, 0);
        settings.merge_window = std::time::Duration::ZERO;
        let window = if per_hour == 1 { 3600 } else { 60 };
        let mut bench = Bench::with(settings, Mode::Live);
        bench.request("a", "1");
        bench.request("b", "2");
        bench.run();
        accept_all(&mut bench);
        let arrived = bench.now;
        // The next owner's clock is ahead of the former's.
        let ahead = SignedDuration::from_millis(4900);
        bench.now += ahead;
        bench.restart();
        bench.now += SignedDuration::from_secs(window - 30);
        for _ in 0..60 {
            bench.pass(1);
        }
        let intents: Vec<_> = bench.log.iter().filter(|event| event.body.name() == "intent").collect();
        let after = intents[1].time - ahead - arrived;
        assert!(SignedDuration::try_from(after).expect("a duration").as_secs() >= window, "{after:?}");
        assert!(intents[1].time.duration_since(arrived).as_secs() <= window + 11, "not for ever");
    }
}

#[test]
fn a_request_that_grows_too_old_in_the_queue_is_not_intended() {
    // More than one poll looks at: the rest are ready, and too old, when slots fall free.
    let mut bench = Bench::with(limited(1, 1500, 0), Mode::Live);
    let until = bench.now + SignedDuration::from_secs(60);
    bench.request_with("first", "0", |asked| asked.terms.merge_window_seconds = Some(0));
    bench.run();
    accept_all(&mut bench);
    for device in 1..=700 {
        let device = device.to_string();
        bench.request_with(&device, &device, |asked| {
            asked.terms.merge_window_seconds = Some(0);
            asked.expires_at = until;
        });
    }
    bench.run();
    bench.run();
    bench.now = until;
    bench.run();
    bench.run();
    assert_eq!((bench.count("intent"), bench.open()), (1, 1));
    assert_eq!(bench.suppressed().iter().filter(|(reason, _)| *reason == SuppressedReason::TooOld).count(), 700);
}

#[test]
fn nothing_starves_while_more_urgent_requests_keep_coming() {
    let mut settings = limited(1, 1500, 0);
    settings.max_calls_in_flight = 1;
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request_with("low", "0", |asked| asked.priority = 10);
    for device in 1..=400 {
        let device = device.to_string();
        bench.request_with(&device, &device, |asked| asked.priority = 50);
        bench.pass(60);
        accept_all(&mut bench);
    }
    let waits = bench.scheduler.state().requests.get("low").is_some_and(|request| request.scan.is_none());
    assert!(!waits, "four hours make up for 40 points");
}
