//! Devices that Defender does not know or cannot scan.

use std::time::Duration;

use jiff::SignedDuration;

use super::bench::{Bench, in_doubt, refused};
use super::carried::same_from_everywhere;
use crate::event::{AttemptResult, Carried, EventBody, Failed, FailedReason, Mode, ScanType, SuppressedReason};
use crate::scheduler::{ReadReply, Settings};

fn last_failed(bench: &Bench) -> &Failed {
    match bench.last() {
        EventBody::Failed(body) => body,
        other => panic!("not failed but {other:?}"),
    }
}

#[test]
fn a_refusal_is_remembered_as_long_as_the_record_says_and_to_the_second() {
    for (result, reason, hours) in [
        (AttemptResult::DeviceNotFound, FailedReason::DeviceNotFound, 1),
        (AttemptResult::UnsupportedDevice, FailedReason::UnsupportedDevice, 24),
    ] {
        let mut bench = Bench::new();
        bench.request("a", "1");
        bench.pass(5);
        bench.answer_next(|_, _| refused(result, None));
        let until = bench.now + SignedDuration::from_hours(hours);
        assert_eq!(bench.last_failure().device_unfit_until, Some(until));
        assert_eq!((last_failed(&bench).reason, last_failed(&bench).device_unfit_until), (reason, Some(until)));
        for restart in [false, true] {
            if restart {
                bench.restart();
            }
            bench.now = until - SignedDuration::from_millis(1);
            bench.request(if restart { "c" } else { "b" }, "1");
            bench.run();
            assert_eq!(last_failed(&bench).reason, reason);
            assert!(last_failed(&bench).scan_id.is_none() && last_failed(&bench).device_unfit_until.is_none());
            let detail = last_failed(&bench).detail.clone().unwrap_or_default();
            assert!(detail.contains(&until.to_string()), "{detail}");
        }
        bench.request_with("shadow", "1", |asked| asked.mode = Mode::Shadow);
        bench.run();
        assert_eq!((bench.count("failed"), bench.open()), (4, 0));
        same_from_everywhere(&bench.log);
        bench.now = until;
        bench.request("d", "1");
        bench.pass(5);
        bench.next_scan();
    }
}

#[test]
fn other_refusals_say_nothing_of_the_device() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::Rejected, None));
    assert_eq!(last_failed(&bench).device_unfit_until, None);
    bench.request("b", "1");
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn a_look_up_that_finds_nothing_is_remembered_by_the_next_owner_too() {
    let mut settings = Settings::default();
    settings.protected.tags = vec!["no-scan".to_owned()];
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    bench.look_up(ReadReply::Complete(None));
    assert_eq!(last_failed(&bench).device_unfit_until, Some(bench.now + SignedDuration::from_hours(1)));
    bench.restart();
    bench.request("b", "1");
    bench.pass(60);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    assert_eq!((bench.count("failed"), bench.open()), (2, 0));
}

#[test]
fn nothing_is_remembered_where_the_operator_wants_none_of_it() {
    let mut settings = Settings::default();
    settings.unfit_memory.unsupported_device = Duration::ZERO;
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::UnsupportedDevice, None));
    bench.request("b", "1");
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn a_long_memory_is_carried_before_its_record_expires() {
    let mut settings = Settings::default();
    settings.unfit_memory.unsupported_device = Duration::from_secs(30 * 24 * 3600);
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request("a", "1");
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::UnsupportedDevice, None));
    let until = last_failed(&bench).device_unfit_until;
    for _ in 0..15 * 24 {
        bench.now += SignedDuration::from_hours(1);
        bench.run();
    }
    assert_eq!(bench.count("carried"), 1);
    let EventBody::Carried(Carried::DeviceUnfit { device_unfit_until, .. }) = bench.last() else {
        panic!("{:?}", bench.last())
    };
    assert_eq!(Some(*device_unfit_until), until);
    let end = i64::try_from(bench.log.len()).expect("few");
    let hour = Duration::from_secs(3600);
    assert_eq!(bench.scheduler.state().oldest_needed(bench.now, hour, hour, end), end - 1);
    bench.restart();
    bench.request("b", "1");
    bench.run();
    assert_eq!(last_failed(&bench).reason, FailedReason::UnsupportedDevice);
    same_from_everywhere(&bench.log);
}

#[test]
fn a_scan_that_may_be_running_rests_the_device() {
    for scan_type in [ScanType::Quick, ScanType::Full] {
        let mut bench = Bench::new();
        bench.request_with("a", "1", |asked| asked.scan_type = scan_type);
        bench.pass(5);
        bench.answer_next(|_, _| in_doubt());
        bench.list(ReadReply::NotPermitted);
        let until = bench.now + SignedDuration::from_hours(6);
        let failed = last_failed(&bench);
        assert_eq!((failed.reason, failed.scan_type), (FailedReason::InDoubt, Some(scan_type)));
        assert_eq!(failed.cooldown_until, Some(until));
        bench.request_with("b", "1", |asked| asked.scan_type = scan_type);
        bench.pass(60);
        assert_eq!(bench.suppressed(), [(SuppressedReason::Cooldown, vec!["b".to_owned()])]);
        same_from_everywhere(&bench.log);
        bench.now = until - SignedDuration::from_secs(1);
        bench.restart();
        bench.request("c", "1");
        bench.run();
        assert_eq!(bench.suppressed().len(), 2, "the next owner knows");
        bench.now = until;
        bench.request("d", "1");
        bench.pass(5);
        assert_eq!(bench.count("intent"), 2);
    }
}
