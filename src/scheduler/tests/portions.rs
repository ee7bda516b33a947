//! A device that raises thousands of alerts: no record grows beyond what a topic takes, and every request ends once.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::bench::{Bench, full, refused, seen};
use crate::event::{AttemptResult, EventBody, Mode, Requested, ScanEvent, SuppressedReason};
use crate::scheduler::{ReadReply, ScanReply, Settings};

/// Brokers take records of 1 MiB by default; one of ours stays well below.
const MOST_BYTES: usize = 512 << 10;

fn long_title(asked: &mut Requested) {
    asked.alerts[0].title = Some("\u{1}\"Ünüsual sign-in".repeat(60));
}

fn burst(bench: &mut Bench, from: usize, count: usize, change: impl Fn(&mut Requested)) {
    for number in from..from + count {
        bench.request_with(&format!("r{number:05}"), "1", &change);
    }
}

/// Terminal records by name, with how many requests they end; each request is in one of them, and all records are small.
fn endings(bench: &Bench, requests: usize) -> BTreeMap<String, usize> {
    let (mut ended, mut endings) = (BTreeMap::new(), BTreeMap::new());
    for event in &bench.log {
        let size = ScanEvent::new(event.time, "tenant", event.body.clone()).to_json().unwrap().len();
        assert!(size <= MOST_BYTES, "{} of {size} bytes", event.body.name());
        let (word, ids) = match &event.body {
            EventBody::Suppressed(body) => (format!("suppressed {}", body.reason.as_str()), body.request_ids.clone()),
            EventBody::Shadowed(body) => ("shadowed".to_owned(), body.request_ids.clone()),
            EventBody::Failed(body) => ("failed".to_owned(), body.request_ids.clone()),
            EventBody::Finished(body) => {
                ("finished".to_owned(), body.request_ids.iter().chain(&body.joined_request_ids).cloned().collect())
            }
            _ => continue,
        };
        *endings.entry(word).or_default() += ids.len();
        for id in ids {
            *ended.entry(id).or_insert(0) += 1;
        }
    }
    assert_eq!((ended.len(), bench.open()), (requests, 0));
    assert!(ended.values().all(|times| *times == 1), "each request ends once");
    endings
}

fn ended(words: &[(&str, usize)]) -> BTreeMap<String, usize> {
    words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

#[test]
fn a_burst_of_one_device_is_one_scan_and_no_record_is_too_large_for_the_ledger() {
    for (title, most) in [(None, 500), (Some(()), 120)] {
        let mut bench = Bench::new();
        burst(&mut bench, 0, 3000, |asked| {
            if title.is_some() {
                long_title(asked)
            }
        });
        // The one that wants most is in the scan from the start, wherever it stands.
        bench.request_with("r99999", "1", |asked| asked.priority = 95);
        bench.accept_next("action-1");
        let find = |event: &ScanEvent| match &event.body {
            EventBody::Intent(intent) => Some(intent.clone()),
            _ => None,
        };
        let intent = bench.log.iter().find_map(find).expect("an intent");
        assert!(
            intent.request_ids.len() <= most && intent.request_ids.len() > most / 3,
            "{}",
            intent.request_ids.len()
        );
        assert_eq!((intent.request_ids[0].as_str(), intent.priority), ("r99999", 95));
        bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
        bench.pass(10);
        let ended = endings(&bench, 3001);
        let finished = ended["finished"];
        assert!(finished <= 1000 && finished > intent.request_ids.len(), "{ended:?}");
        assert_eq!(ended["suppressed cooldown"], 3001 - finished);
        assert_eq!(bench.count("intent"), 1);
    }
}

#[test]
fn what_comes_while_a_scan_is_full_rests_with_its_device() {
    let mut bench = Bench::new();
    burst(&mut bench, 0, 1, |_| {});
    bench.accept_next("action-1");
    burst(&mut bench, 1, 1500, |_| {});
    bench.pass(10);
    assert_eq!(bench.open(), 1000);
    // Requests that want more than the scan that runs wait for its end, as ever.
    bench.request_with("wider", "1", |asked| asked.scan_type = crate::event::ScanType::Full);
    bench.pass(10);
    assert_eq!(bench.open(), 1001);
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    bench.pass(10);
    bench.answer_next(|_, comment| full("action-2", "1", comment));
    bench.list(ReadReply::Complete(vec![seen("action-2", "1", "Succeeded", None)]));
    assert_eq!(endings(&bench, 1502), ended(&[("finished", 1001), ("suppressed cooldown", 501)]));
}

#[test]
fn where_nothing_rests_a_burst_takes_several_scans() {
    let mut bench = Bench::new();
    burst(&mut bench, 0, 2200, |asked| asked.cooldown_seconds = 0);
    for number in 1..=3 {
        let action = format!("action-{number}");
        bench.accept_next(&action);
        bench.list(ReadReply::Complete(vec![seen(&action, "1", "Succeeded", None)]));
    }
    assert_eq!(endings(&bench, 2200), ended(&[("finished", 2200)]));
}

#[test]
fn a_burst_in_shadow_or_too_old_or_of_an_unknown_device_ends_in_portions() {
    let mut bench = Bench::with(Settings::default(), Mode::Shadow);
    burst(&mut bench, 0, 1200, |_| {});
    bench.pass(10);
    assert_eq!(endings(&bench, 1200), ended(&[("shadowed", 1200)]));
    assert_eq!(bench.count("shadowed"), 3);

    let mut bench = Bench::new();
    bench.scheduler.set_halted(true);
    burst(&mut bench, 0, 1200, long_title);
    bench.pass(25 * 3600);
    assert_eq!(endings(&bench, 1200), ended(&[("suppressed too_old", 1200)]));
    assert!(bench.suppressed().iter().all(|(reason, _)| *reason == SuppressedReason::TooOld));

    let mut bench = Bench::new();
    burst(&mut bench, 0, 1200, |_| {});
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::DeviceNotFound, None));
    bench.pass(10);
    assert_eq!(endings(&bench, 1200), ended(&[("failed", 1200)]));
}

#[test]
fn an_attempt_that_failed_is_repeated_for_the_same_requests_and_those_that_came_since() {
    let mut bench = Bench::new();
    burst(&mut bench, 0, 700, |_| {});
    bench.pass(5);
    bench.answer_next(|_, _| refused(AttemptResult::RateLimited, Some(30)));
    bench.now += SignedDuration::from_secs(40);
    bench.run();
    bench.answer_next(|_, comment| ScanReply::Action(seen("action-1", "1", "Pending", Some(comment))));
    bench.list(ReadReply::Complete(vec![seen("action-1", "1", "Succeeded", None)]));
    assert_eq!(endings(&bench, 700), ended(&[("finished", 700)]));
}
