//! Calls that read: their budgets, and the API's word that there were too many of them.

use std::time::Duration;

use super::bench::{Bench, device_id, in_doubt, marked, seen};
use crate::event::Mode;
use crate::scheduler::{BreakerState, Call, DeviceFacts, ReadReply, Settings};

/// Devices whose tags have to be looked up.
fn bench(devices: usize, change: impl FnOnce(&mut Settings)) -> Bench {
    let mut settings = Settings::default();
    settings.protected.tags = vec!["no-scan".to_owned()];
    change(&mut settings);
    let mut bench = Bench::with(settings, Mode::Live);
    for device in 1..=devices {
        bench.request(&format!("r{device}"), &device.to_string());
    }
    bench.pass(5);
    bench
}

fn look_ups(bench: &Bench) -> usize {
    bench.calls.iter().filter(|call| matches!(call, Call::LookUp { .. })).count()
}

#[test]
fn a_429_to_a_look_up_pauses_reading_and_tells_nothing_of_the_device() {
    let mut bench = bench(3, |_| {});
    assert_eq!(look_ups(&bench), 3);
    for _ in 0..3 {
        bench.look_up(ReadReply::RateLimited(Some(Duration::from_secs(120))));
    }
    // Far more often than a look-up that fails is tried.
    for _ in 0..20 {
        bench.pass(119);
        assert!(bench.calls.is_empty(), "{:?}", bench.calls);
        bench.pass(2);
        assert_eq!(look_ups(&bench), 3);
        for _ in 0..3 {
            bench.look_up(ReadReply::RateLimited(Some(Duration::from_secs(120))));
        }
    }
    assert_eq!((bench.open(), bench.suppressed().len()), (3, 0));
    assert_eq!(bench.scheduler.snapshot(bench.now).breaker, BreakerState::Closed, "scans are not held up");
    bench.pass(121);
    for _ in 0..3 {
        bench.look_up(ReadReply::Complete(Some(DeviceFacts { tags: Some(Vec::new()), ..DeviceFacts::default() })));
    }
    assert_eq!(bench.count("intent"), 3);
}

#[test]
fn a_429_to_a_list_pauses_reading_and_is_no_failure() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    let scan_id = bench.answer_next(|_, _| in_doubt());
    for wait in [Some(300), Some(0), None] {
        bench.list(ReadReply::RateLimited(wait.map(Duration::from_secs)));
        let paused = wait.map_or(60, |wait| wait.max(1));
        let until = bench.now + Duration::from_secs(paused);
        while bench.calls.is_empty() {
            bench.pass(1);
        }
        assert!(bench.now >= until && bench.now <= until + Duration::from_secs(10), "{wait:?}: {} {until}", bench.now);
    }
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Pending", Some(&marked(&scan_id)))]));
    assert_eq!(bench.count("accepted"), 1);
}

#[test]
fn look_ups_beyond_the_budget_of_an_hour_wait_for_the_next() {
    let mut bench = bench(5, |settings| settings.reads.per_hour = 3);
    let begun = bench.now;
    assert_eq!(look_ups(&bench), 3);
    for _ in 0..3 {
        bench.look_up(ReadReply::Complete(Some(DeviceFacts { tags: Some(Vec::new()), ..DeviceFacts::default() })));
    }
    bench.calls.clear();
    bench.pass(3500);
    assert_eq!(look_ups(&bench), 0);
    while look_ups(&bench) == 0 {
        bench.pass(10);
    }
    let waited = bench.now.duration_since(begun).as_secs();
    assert!((3590..=3620).contains(&waited), "{waited}");
    assert_eq!(
        bench
            .calls
            .iter()
            .filter(|call| matches!(call, Call::LookUp { device_id: id } if *id == device_id("4")))
            .count(),
        1
    );
}
