//! The API as a whole does not work: calls wait, and nobody is blamed for it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::bench::{Bench, in_doubt, refused, seen, start_time};
use crate::event::{AttemptResult, EventBody, Mode, SuppressedReason};
use crate::scheduler::breaker::{Breaker, Probe};
use crate::scheduler::{BreakerSettings, BreakerState, Call, DeviceFacts, ReadReply, Reply, ScanReply, Settings};

fn not_sent() -> ScanReply {
    ScanReply::NotSent { too_late: false, detail: "no route".to_owned() }
}

fn bench(devices: u32) -> Bench {
    let mut bench = Bench::with(Settings { max_calls_in_flight: 4, ..Settings::default() }, Mode::Live);
    for device in 1..=devices {
        let device = device.to_string();
        bench.request(&device, &device);
    }
    bench.pass(5);
    bench
}

fn state(bench: &Bench) -> BreakerState {
    bench.scheduler.breaker(bench.now)
}

/// Three calls fail so that the breaker opens; until when.
fn open(bench: &mut Bench, answer: impl Fn() -> ScanReply) -> Timestamp {
    for _ in 0..3 {
        assert_eq!(state(bench), BreakerState::Closed);
        bench.answer_next(|_, _| answer());
    }
    assert_eq!(state(bench), BreakerState::Open);
    let until = until(bench);
    while scans(bench) > 0 {
        bench.answer_next(|_, _| answer());
    }
    assert_eq!(self::until(bench), until, "what was under way decides nothing");
    until
}

/// The moment at which the breaker is half open, by looking.
fn until(bench: &Bench) -> Timestamp {
    let mut moment = bench.now;
    while bench.scheduler.breaker(moment) == BreakerState::Open {
        moment += SignedDuration::from_millis(1);
    }
    moment
}

fn scans(bench: &Bench) -> usize {
    bench.calls.iter().filter(|call| matches!(call, Call::Scan { .. })).count()
}

#[test]
fn each_trouble_of_the_api_as_a_whole_opens_it_and_one_probe_at_a_time_follows() {
    let troubles: [fn() -> ScanReply; 4] =
        [not_sent, in_doubt, || refused(AttemptResult::Unauthorized, None), || refused(AttemptResult::Forbidden, None)];
    for trouble in troubles {
        let mut bench = bench(20);
        let until = open(&mut bench, trouble);
        bench.now = until - SignedDuration::from_millis(1);
        bench.run();
        assert_eq!(scans(&bench), 0, "open");
        bench.now = until;
        bench.run();
        assert_eq!((state(&bench), scans(&bench)), (BreakerState::HalfOpen, 1), "one probe");
        bench.pass(3);
        assert_eq!(scans(&bench), 1, "and no other beside it");
        let first = until;
        bench.answer_next(|_, _| trouble());
        let until = self::until(&bench);
        assert!(until > bench.now && until.duration_since(bench.now) > first.duration_since(bench.now), "grows");
        bench.now = until;
        bench.run();
        assert_eq!(scans(&bench), 1);
        bench.answer_next(|_, comment| ScanReply::Action(seen("x", "1", "Pending", Some(comment))));
        assert_eq!(state(&bench), BreakerState::Closed);
        assert!(scans(&bench) > 1, "calls flow");
        let scans = &bench.scheduler.state().scans;
        assert!(scans.values().all(|scan| scan.counted == 0), "nothing is held against a scan");
    }
}

#[test]
fn answers_about_one_device_and_429_are_health() {
    for answer in [
        refused(AttemptResult::DeviceNotFound, None),
        refused(AttemptResult::UnsupportedDevice, None),
        refused(AttemptResult::Rejected, None),
        refused(AttemptResult::RateLimited, Some(0)),
        ScanReply::AlreadyRunning,
    ] {
        let mut bench = bench(12);
        for _ in 0..4 {
            bench.answer_next(|_, _| not_sent());
            bench.answer_next(|_, _| not_sent());
            bench.answer_next(|_, _| answer.clone());
            assert_eq!(state(&bench), BreakerState::Closed, "never three in a row");
            bench.calls.retain(|call| matches!(call, Call::Scan { .. }));
            bench.pass(10);
        }
        bench.pass(60);
        bench.calls.retain(|call| matches!(call, Call::Scan { .. }));
    }
}

#[test]
fn a_429_in_answer_to_the_probe_closes_it_and_pauses_by_itself() {
    let mut bench = bench(8);
    bench.now = open(&mut bench, not_sent);
    bench.run();
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(40)));
    assert_eq!(state(&bench), BreakerState::Closed);
    bench.pass(39);
    assert_eq!(scans(&bench), 0);
    bench.pass(1);
    assert!(scans(&bench) > 1);
}

#[test]
fn an_intent_on_its_way_when_it_opens_is_withdrawn() {
    let mut bench = bench(4);
    bench.answer_next(|_, _| not_sent());
    bench.answer_next(|_, _| not_sent());
    bench.request("late", "99");
    bench.now += SignedDuration::from_secs(5);
    let intent = bench.scheduler.poll(bench.now);
    let (scan_id, attempt, ..) = bench.next_scan();
    let failed = bench.scheduler.reply(Reply::Scan { scan_id, attempt, answer: not_sent() }, bench.now);
    bench.take(intent);
    bench.take(failed);
    bench.run();
    assert!(bench.count("withdrawn") >= 1, "{:?}", bench.names());
}

#[test]
fn a_probe_that_tells_nothing_makes_room_for_another() {
    let mut bench = bench(8);
    bench.now = open(&mut bench, not_sent);
    bench.run();
    bench.answer_next(|_, _| ScanReply::NotSent { too_late: true, detail: String::new() });
    assert_eq!((state(&bench), scans(&bench)), (BreakerState::HalfOpen, 1));
    // The kill switch takes the next one back.
    bench.answer_next(|_, _| not_sent());
    bench.now = until(&bench);
    let intent = bench.scheduler.poll(bench.now);
    bench.scheduler.set_halted(true);
    bench.take(intent);
    bench.run();
    assert_eq!(scans(&bench), 0);
    bench.scheduler.set_halted(false);
    bench.run();
    assert_eq!((state(&bench), scans(&bench)), (BreakerState::HalfOpen, 1));
}

#[test]
fn a_403_or_401_ends_no_request_and_spends_no_attempt_however_long_it_lasts() {
    let settings = Settings { max_calls_in_flight: 1, ..Settings::default() };
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request("a", "1");
    for round in 0..200 {
        while scans(&bench) == 0 {
            bench.pass(10);
        }
        let result = if round % 2 == 0 { AttemptResult::Forbidden } else { AttemptResult::Unauthorized };
        bench.answer_next(|_, _| refused(result, None));
        assert!(!bench.last_failure().counts && bench.last_failure().reason.is_none());
    }
    assert_eq!(bench.open(), 1);
    bench.scheduler.set_halted(true);
    bench.pass(25 * 3600);
    assert_eq!(bench.suppressed(), [(SuppressedReason::TooOld, vec!["a".to_owned()])], "age still ends it");
}

#[test]
fn attempts_lost_in_an_outage_are_not_held_against_their_scans() {
    let mut settings = Settings::default();
    settings.retry.max_attempts = 1;
    let mut bench = Bench::with(settings, Mode::Live);
    for device in ["1", "2", "3"] {
        bench.request(device, device);
    }
    bench.pass(5);
    for _ in 0..3 {
        bench.answer_next(|_, _| in_doubt());
    }
    bench.list(ReadReply::Complete(Vec::new()));
    bench.list(ReadReply::Complete(Vec::new()));
    assert_eq!((bench.count("failed"), bench.open()), (0, 3));
    assert_eq!(bench.last_failure().result, AttemptResult::NotAccepted);
    assert!(!bench.last_failure().counts);
    // One that is lost while the others go through counts.
    while scans(&bench) == 0 {
        bench.pass(5);
    }
    bench.answer_next(|_, comment| ScanReply::Action(seen("x", "1", "Pending", Some(comment))));
    bench.pass(10);
    assert_eq!((state(&bench), scans(&bench)), (BreakerState::Closed, 2));
    bench.answer_next(|_, _| in_doubt());
    bench.answer_next(|_, comment| ScanReply::Action(seen("y", "3", "Pending", Some(comment))));
    bench.list(ReadReply::Complete(Vec::new()));
    for _ in 0..10 {
        if bench.count("failed") == 0 {
            bench.list(ReadReply::Complete(Vec::new()));
        }
    }
    assert_eq!(bench.count("failed"), 1);
}

#[test]
fn one_device_that_makes_the_api_fail_is_not_the_api_as_a_whole() {
    let mut settings = Settings::default();
    settings.retry.max_attempts = 5;
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request("a", "1");
    for _ in 0..6 {
        while scans(&bench) == 0 && bench.open() > 0 {
            match bench.calls.front() {
                Some(Call::List { .. }) => bench.list(ReadReply::Complete(Vec::new())),
                _ => bench.pass(10),
            }
        }
        if scans(&bench) > 0 {
            bench.answer_next(|_, _| in_doubt());
            assert_eq!(state(&bench), BreakerState::Closed);
        }
    }
    let EventBody::Failed(failed) = bench.last() else { panic!("{:?}", bench.names()) };
    assert_eq!(failed.reason, crate::event::FailedReason::GaveUp);
}

#[test]
fn a_503_that_names_its_end_is_believed() {
    let mut bench = bench(4);
    bench.answer_next(|_, _| in_doubt());
    bench.answer_next(|_, _| in_doubt());
    let wait = Some(Duration::from_secs(900));
    bench.answer_next(|_, _| ScanReply::InDoubt { detail: "503".to_owned(), retry_after: wait });
    assert_eq!(until(&bench).duration_since(bench.now).as_secs(), 900);
}

#[test]
fn a_successor_asks_with_one_call_first_where_the_log_says_that_calls_wait() {
    let mut bench = bench(8);
    let until = open(&mut bench, not_sent);
    bench.restart();
    bench.run();
    assert_eq!((state(&bench), scans(&bench)), (BreakerState::Open, 0));
    bench.now = until;
    bench.run();
    assert_eq!((state(&bench), scans(&bench)), (BreakerState::HalfOpen, 1));
    bench.restart();
    bench.pass(10);
    assert_eq!(state(&bench), BreakerState::Closed, "the log says nothing any more");
}

#[test]
fn look_ups_wait_too_and_are_not_given_up_for_an_outage() {
    let mut settings = Settings::default();
    settings.protected.tags = vec!["no-scan".to_owned()];
    let mut bench = Bench::with(settings, Mode::Live);
    for device in ["1", "2", "3", "4", "5"] {
        bench.request(device, device);
    }
    bench.pass(5);
    assert_eq!(bench.calls.len(), 5, "a look-up each");
    for _ in 0..5 {
        bench.look_up(ReadReply::Failed);
    }
    assert_eq!(state(&bench), BreakerState::Open);
    for _ in 0..30 {
        bench.now = until(&bench);
        while bench.calls.is_empty() {
            bench.pass(1);
        }
        assert_eq!(bench.calls.len(), 1, "one probe: {:?}", bench.calls);
        bench.look_up(ReadReply::Failed);
    }
    assert_eq!((bench.open(), bench.suppressed().len()), (5, 0));
    while bench.calls.is_empty() {
        bench.pass(1);
    }
    bench.look_up(ReadReply::Complete(Some(DeviceFacts { tags: Some(Vec::new()), ..DeviceFacts::default() })));
    assert_eq!(state(&bench), BreakerState::Closed);
}

#[test]
fn lists_that_fail_are_tried_ever_more_seldom() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.accept_next("x");
    let mut waits = Vec::new();
    let mut last = bench.now;
    for _ in 0..7 {
        bench.list(ReadReply::Failed);
        waits.push(bench.now.duration_since(last).as_secs());
        last = bench.now;
    }
    assert!(waits[1..].windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!(waits[6] >= 300, "{waits:?}");
    bench.list(ReadReply::Complete(Vec::new()));
    last = bench.now;
    bench.list(ReadReply::Complete(Vec::new()));
    assert!(bench.now.duration_since(last).as_secs() <= 40);
}

// --- The machine by itself ---

fn call(number: u32) -> Probe {
    Probe::Scan("scan".to_owned(), number)
}

#[test]
fn a_share_of_failures_opens_it_although_never_so_many_in_a_row() {
    let settings = BreakerSettings { window_calls: 10, ..BreakerSettings::default() };
    let mut random = StdRng::seed_from_u64(1);
    let mut breaker = Breaker::default();
    let mut now = start_time();
    for number in 0..10 {
        assert_eq!(breaker.state(now), BreakerState::Closed);
        now += SignedDuration::from_secs(5);
        match number % 2 {
            0 => breaker.health(&call(number), now, &settings),
            _ => breaker.trouble(&call(number), now, None, &settings, &mut random),
        }
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
    // The same spread over a longer time is no share of a minute.
    let mut breaker = Breaker::default();
    for number in 0..40 {
        now += SignedDuration::from_secs(7);
        match number % 2 {
            0 => breaker.health(&call(number), now, &settings),
            _ => breaker.trouble(&call(number), now, None, &settings, &mut random),
        }
    }
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn waits_double_up_to_the_longest_and_are_never_nothing() {
    let settings = BreakerSettings::default();
    let mut random = StdRng::seed_from_u64(2);
    let mut breaker = Breaker::default();
    let mut now = start_time();
    for number in 0..2 {
        breaker.trouble(&call(number), now, None, &settings, &mut random);
    }
    for top in [5_u64, 10, 20, 40, 80, 160, 300, 300] {
        breaker.begin(call(9));
        breaker.trouble(&call(9), now, None, &settings, &mut random);
        let until = breaker.open_until(now).expect("open");
        let wait = until.duration_since(now).as_millis().unsigned_abs();
        assert!((u128::from(top) * 500..=u128::from(top) * 1000).contains(&wait), "{wait} of {top}");
        now = until;
    }
    breaker.begin(call(9));
    breaker.health(&call(9), now, &settings);
    assert!(breaker.is_closed());
}

#[test]
fn calls_from_before_decide_nothing() {
    let settings = BreakerSettings::default();
    let mut random = StdRng::seed_from_u64(3);
    let mut breaker = Breaker::default();
    let now = start_time();
    for number in 0..3 {
        breaker.trouble(&call(number), now, None, &settings, &mut random);
    }
    let until = breaker.open_until(now).expect("open");
    breaker.health(&call(4), now, &settings);
    breaker.trouble(&call(5), now, None, &settings, &mut random);
    assert_eq!(breaker.open_until(now), Some(until));
    breaker.begin(call(6));
    breaker.health(&call(4), until, &settings);
    assert!(!breaker.is_closed() && !breaker.may_begin(until), "the probe is still under way");
    assert!(breaker.may_go_on(&call(6)) && !breaker.may_go_on(&call(5)));
}
