//! The loop scan, detection, alert, scan: it must end after the first scan.

use jiff::{SignedDuration, Timestamp};

use super::bench::{Bench, seen};
use super::carried::same_from_everywhere;
use crate::event::{ScanType, SuppressedReason};
use crate::scheduler::{Applied, ReadReply};

/// A scan that rests its device for so many seconds began at the first time and ended at the second.
fn scanned(scan_type: ScanType, status: &str, rest: u64) -> (Bench, Timestamp, Timestamp) {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| {
        asked.scan_type = scan_type;
        asked.cooldown_seconds = rest;
    });
    bench.pass(5);
    let began = bench.now;
    let (scan_id, attempt, comment, _) = bench.next_scan();
    let action = |status: &str| crate::scheduler::SeenAction {
        scope: Some(scan_type),
        ..seen("action", "1", status, Some(&comment))
    };
    bench.answer(&scan_id, attempt, crate::scheduler::ScanReply::Action(action("Pending")));
    for _ in 0..6 {
        bench.list(ReadReply::Complete(vec![action("InProgress")]));
    }
    bench.list(ReadReply::Complete(vec![action(status)]));
    assert_eq!(bench.finished().began_at, Some(began));
    let ended = bench.now;
    (bench, began, ended)
}

/// An alert that was raised at `raised` asks now; how it ends at once, if it does.
fn asks(bench: &mut Bench, id: &str, raised: Timestamp, scan_type: ScanType) -> Option<SuppressedReason> {
    let before = bench.suppressed().len();
    bench.request_with(id, "1", |asked| {
        asked.alert_created_at = Some(raised);
        asked.scan_type = scan_type;
    });
    bench.run();
    bench.suppressed().get(before).map(|(reason, _)| *reason)
}

#[test]
fn an_alert_of_our_own_scan_is_covered_and_one_raised_outside_of_it_meets_the_rest() {
    let second = SignedDuration::from_secs(1);
    let (mut bench, began, ended) = scanned(ScanType::Quick, "Succeeded", 6 * 3600);
    for (number, raised) in [began, began + second, ended].into_iter().enumerate() {
        let id = format!("during-{number}");
        assert_eq!(asks(&mut bench, &id, raised, ScanType::Quick), Some(SuppressedReason::Covered), "{raised}");
    }
    for (number, raised) in [began - second, ended + second].into_iter().enumerate() {
        let id = format!("outside-{number}");
        assert_eq!(asks(&mut bench, &id, raised, ScanType::Quick), Some(SuppressedReason::Cooldown), "{raised}");
    }
    bench.restart();
    assert_eq!(asks(&mut bench, "later", ended, ScanType::Quick), Some(SuppressedReason::Covered));
    same_from_everywhere(&bench.log);
    assert_eq!(asks(&mut bench, "wider", ended, ScanType::Full), None, "a Quick scan does not cover a Full one");
}

#[test]
fn the_rest_of_a_full_scan_does_not_outlast_its_cover() {
    let (mut bench, began, _) = scanned(ScanType::Full, "Succeeded", 60);
    bench.pass(1800);
    assert_eq!(asks(&mut bench, "late", began, ScanType::Quick), Some(SuppressedReason::Covered));
    assert_eq!(asks(&mut bench, "wide", began, ScanType::Full), Some(SuppressedReason::Covered));
}

#[test]
fn a_scan_that_did_not_succeed_covers_nothing() {
    for status in ["Failed", "Cancelled", "TimeOut"] {
        let (mut bench, began, _) = scanned(ScanType::Quick, status, 600);
        assert_eq!(asks(&mut bench, "b", began, ScanType::Quick), Some(SuppressedReason::Cooldown));
        bench.pass(700);
        assert_eq!(asks(&mut bench, "c", began, ScanType::Quick), None);
        bench.pass(5);
        bench.next_scan();
    }
}

#[test]
fn alerts_of_our_own_scan_never_start_another_whenever_they_come() {
    for rest in [0, 60, 6 * 3600] {
        for scan_type in ScanType::ALL {
            let (mut bench, began, ended) = scanned(scan_type, "Succeeded", rest);
            let length = ended.duration_since(began).as_secs();
            assert!(length > 60, "{length}");
            let mut number = 0;
            // Every alert that the scan may raise, at any delay within the hour for which even a short rest is covered.
            for delay in [0, 1, 30, 59, 60, 61, 600, 1800, 3599] {
                bench.now = ended + SignedDuration::from_secs(delay);
                for raised in (0..=length).step_by(7) {
                    number += 1;
                    let raised = began + SignedDuration::from_secs(raised);
                    assert!(asks(&mut bench, &format!("n{number}"), raised, scan_type).is_some(), "{delay} {raised}");
                }
            }
            bench.pass(120);
            assert_eq!((bench.count("intent"), bench.open()), (1, 0));
        }
    }
}

#[test]
fn what_a_long_scan_covered_is_known_to_the_next_owner_after_a_short_rest() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.cooldown_seconds = 60);
    bench.accept_next("action");
    let raised = bench.now + SignedDuration::from_hours(2);
    bench.now += SignedDuration::from_hours(4);
    bench.list(ReadReply::Complete(vec![seen("action", "1", "Succeeded", None)]));
    bench.pass(1800);
    bench.request_with("other", "2", |asked| asked.mode = crate::event::Mode::Shadow);
    bench.pass(5);
    bench.restart();
    assert!(!bench.scheduler.state().known_requests.contains("a"), "replay began after the request");
    assert_eq!(asks(&mut bench, "late", raised, ScanType::Quick), Some(SuppressedReason::Covered));
    same_from_everywhere(&bench.log);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut bench, ..) = scanned(ScanType::Quick, "Succeeded", 30 * 24 * 3600);
    let device = super::bench::device_id("1");
    let body = bench.finished().clone();
    for number in 0..20 {
        let scan_id = format!("other-{number}");
        let applied = bench.write(crate::event::Finished { scan_id, request_ids: Vec::new(), ..body.clone() }.into());
        assert_eq!(applied, Applied::Void, "it ends nothing");
    }
    let ended = &bench.scheduler.state().devices[&device].ended;
    assert_eq!(ended.len(), 8);
    let day = bench.now + SignedDuration::from_hours(24);
    assert!(ended.iter().all(|ended| ended.until <= day), "{ended:?}");
}
