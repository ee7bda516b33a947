//! Alerts of a device that add up to something.

use jiff::{SignedDuration, Timestamp};

use super::bench::{Bench, asked, seen, start_time};
use crate::event::{ControlAction, EventBody, Mode, Requested, ScanType, SuppressedReason, Threshold};
use crate::scheduler::{Applied, ReadReply, ScanReply, State};

const DAY: u64 = 24 * 3600;

fn threshold(at_least: u32, within_seconds: u64) -> Threshold {
    Threshold {
        rule_id: "many".to_owned(),
        value: None,
        at_least,
        within_seconds,
        scan_type: ScanType::Full,
        priority: 80,
        mode: Mode::Live,
    }
}

fn awaits(at_least: u32, within_seconds: u64) -> impl Fn(&mut Requested) {
    move |asked| {
        asked.terms.awaits_threshold = true;
        asked.terms.thresholds = vec![threshold(at_least, within_seconds)];
    }
}

fn escalates(at_least: u32) -> impl Fn(&mut Requested) {
    move |asked| asked.terms.thresholds = vec![threshold(at_least, DAY)]
}

/// Requests whose alerts, or values, were raised so many seconds after the start, recorded in this order; whether the
/// last of them reached the count.
fn reaches(at_least: u32, within: u64, raised: &[(&str, i64)]) -> bool {
    let mut state = State::default();
    let recorded = start_time() + SignedDuration::from_hours(2);
    for (offset, (alert, seconds)) in (0..).zip(raised) {
        let mut body = asked(&format!("{offset}"), "1", recorded);
        body.alerts[0].id = (*alert).to_owned();
        body.alert_created_at = Some(start_time() + SignedDuration::from_secs(*seconds));
        awaits(at_least, within)(&mut body);
        let time = recorded + SignedDuration::from_secs(offset);
        state.apply(offset, &crate::event::ScanEvent::new(time, "tenant", body));
    }
    state.requests[&(raised.len() - 1).to_string()].wants.below.is_none()
}

fn details(bench: &Bench) -> Vec<(SuppressedReason, String)> {
    bench
        .log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Suppressed(body) => Some((body.reason, body.detail.clone().unwrap_or_default())),
            _ => None,
        })
        .collect()
}

#[test]
fn what_no_count_reaches_is_held_back_with_the_count_and_what_reaches_it_is_scanned() {
    let mut bench = Bench::new();
    for id in ["a", "b"] {
        bench.request_with(id, "1", awaits(3, DAY));
        bench.pass(5);
    }
    let below = |count| (SuppressedReason::BelowThreshold, format!("{count} of 3 in 24h for rule many"));
    assert_eq!(details(&bench), [below(1), below(2)]);
    bench.request_with("other", "2", awaits(3, DAY));
    bench.request_with("c", "1", awaits(3, DAY));
    bench.pass(5);
    assert_eq!(details(&bench).last(), Some(&below(1)), "another device has a count of its own");
    let EventBody::Intent(intent) = bench.last() else { panic!("{:?}", bench.names()) };
    assert_eq!((intent.scan_type, intent.priority), (ScanType::Full, 80));
    assert_eq!(intent.rule_ids, ["many"]);
}

#[test]
fn the_window_is_the_alerts_and_not_the_order_in_which_they_came() {
    assert!(reaches(2, 60, &[("a", 0), ("b", 60)]), "both ends are in it");
    assert!(!reaches(2, 60, &[("a", 0), ("b", 61)]));
    assert!(reaches(2, 60, &[("b", 60), ("a", 0)]), "the older came later");
    assert!(!reaches(2, 60, &[("b", 61), ("a", 0)]));
    assert!(reaches(3, 60, &[("c", 50), ("a", 0), ("b", 30)]), "it stands in the middle");
    assert!(!reaches(3, 60, &[("c", 90), ("a", 0), ("b", 45)]), "no window of the length holds all");
    assert!(!reaches(2, 60, &[("a", 0), ("a", 10)]), "one alert counts once");
}

#[test]
fn values_count_and_not_the_alerts_that_carry_them() {
    let mut bench = Bench::new();
    let value = |value: &str| {
        let value = value.to_owned();
        move |asked: &mut Requested| {
            awaits(2, DAY)(asked);
            asked.terms.thresholds[0].value = Some(value);
        }
    };
    bench.request_with("a", "1", value("first"));
    bench.request_with("b", "1", value("first"));
    bench.pass(5);
    assert_eq!(details(&bench).len(), 1, "both end in one record: 1 of 2");
    bench.request_with("c", "1", value("second"));
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn a_source_whose_clock_is_ahead_is_held_to_the_time_of_the_record() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| {
        awaits(2, 3600)(asked);
        asked.alert_created_at = Some(start_time() + SignedDuration::from_hours(50));
    });
    bench.pass(600);
    bench.request_with("b", "1", awaits(2, 3600));
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn a_redelivery_never_counts_twice() {
    let mut bench = Bench::new();
    let first = {
        let mut body = asked("a", "1", bench.now);
        awaits(2, DAY)(&mut body);
        body
    };
    bench.write(first.clone().into());
    bench.pass(5);
    assert_eq!(bench.write(first.clone().into()), Applied::Void);
    // Past the memory of requests it is taken for a new one, and its alert still counts once.
    bench.pass(2 * 3600);
    bench.request_with("other", "2", |asked| asked.mode = Mode::Shadow);
    bench.pass(10);
    assert_eq!(bench.write(first.into()), Applied::Changed);
    bench.pass(5);
    let below = (SuppressedReason::BelowThreshold, "1 of 2 in 24h for rule many".to_owned());
    assert_eq!(details(&bench), [below.clone(), below]);
}

#[test]
fn a_rule_escalates_and_passes_the_rest_that_a_quick_scan_left() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", escalates(2));
    bench.accept_next("action-a");
    let EventBody::Accepted(accepted) = bench.last() else { panic!("{:?}", bench.last()) };
    assert_eq!((accepted.scan_type, accepted.priority), (ScanType::Quick, 50), "one alert is not enough");
    bench.list(ReadReply::Complete(vec![seen("action-a", "1", "Succeeded", None)]));
    bench.request_with("b", "1", escalates(2));
    bench.pass(5);
    let (.., scan_type) = bench.next_scan();
    assert_eq!(scan_type, ScanType::Full);
}

#[test]
fn an_escalated_request_waits_for_the_end_of_a_quick_scan_that_it_would_have_joined() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", escalates(2));
    bench.accept_next("action-a");
    bench.request_with("b", "1", escalates(2));
    bench.pass(10);
    assert_eq!(bench.count("joined"), 0);
    bench.list(ReadReply::Complete(vec![seen("action-a", "1", "Succeeded", None)]));
    let (.., scan_type) = bench.next_scan();
    assert_eq!(scan_type, ScanType::Full);
}

#[test]
fn what_is_in_shadow_asks_for_nothing_but_is_recorded() {
    let shadow = |asked: &mut Requested| {
        asked.terms.thresholds = vec![Threshold { mode: Mode::Shadow, ..threshold(1, DAY) }];
    };
    let mut bench = Bench::new();
    bench.request_with("a", "1", shadow);
    bench.pass(5);
    let (.., scan_type) = bench.next_scan();
    assert_eq!(scan_type, ScanType::Quick, "a correlation in shadow does not escalate");
    bench.request_with("b", "2", |asked| {
        shadow(asked);
        asked.terms.awaits_threshold = true;
    });
    bench.pass(5);
    let EventBody::Shadowed(body) = bench.last() else { panic!("{:?}", bench.names()) };
    assert_eq!((body.scan_type, body.priority), (ScanType::Full, 80));
    bench.request_with("c", "3", |asked| {
        awaits(1, DAY)(asked);
        asked.mode = Mode::Shadow;
    });
    bench.pass(5);
    assert_eq!(bench.count("shadowed"), 2, "a live correlation does not lift a worker out of shadow");
    bench.request_with("d", "4", |asked| {
        shadow(asked);
        awaits(1, DAY)(asked);
        asked.terms.thresholds.push(Threshold { scan_type: ScanType::Full, mode: Mode::Shadow, ..threshold(1, DAY) });
        asked.terms.thresholds[0].scan_type = ScanType::Quick;
        asked.scan_type = ScanType::Full;
    });
    bench.pass(5);
    let (.., scan_type) = bench.next_scan();
    assert_eq!(scan_type, ScanType::Quick, "of those reached, the live ones alone shape it");
}

#[test]
fn a_successor_counts_what_its_predecessor_counted() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", awaits(2, DAY));
    // The request itself is long forgotten; its alert still counts.
    bench.pass(20 * 3600);
    bench.request("other", "2");
    bench.pass(10);
    assert!(!bench.scheduler.state().known_requests.contains("a"));
    bench.restart();
    bench.request_with("b", "1", awaits(2, DAY));
    bench.pass(5);
    let scanned = |bench: &Bench| {
        bench.log.iter().any(|event| matches!(&event.body, EventBody::Intent(body) if body.request_ids == ["b"]))
    };
    assert!(scanned(&bench), "{:?}", bench.suppressed());
}

#[test]
fn a_waiting_request_comes_to_the_same_for_a_successor_however_long_it_waits() {
    let mut bench = Bench::new();
    bench.scheduler.set_halted(true);
    bench.request_with("a", "1", awaits(2, 3600));
    bench.pass(10);
    bench.request_with("b", "1", |asked| {
        awaits(2, 3600)(asked);
        asked.expires_at += SignedDuration::from_hours(48);
    });
    bench.pass(30 * 3600);
    bench.control(ControlAction::Resumed);
    bench.restart();
    bench.pass(10);
    assert_eq!(bench.scheduler.state().counts.remembered(), 0, "the window is long over");
    assert_eq!(bench.scheduler.state().requests.len(), 1);
    assert_eq!(bench.next_scan().3, ScanType::Full);
}

#[test]
fn counts_are_forgotten_by_the_logs_clock_and_bounded() {
    let mut state = State::default();
    let mut apply = |offset: i64, time: Timestamp, body: EventBody| {
        state.apply(offset, &crate::event::ScanEvent::new(time, "tenant", body));
        state.counts.remembered()
    };
    for offset in 0..1000 {
        let mut body = asked(&offset.to_string(), "1", start_time());
        awaits(2, 3600)(&mut body);
        assert!(apply(offset, start_time(), body.into()) <= 256);
    }
    let claim = |hours| {
        let claim = crate::event::Claim { claim: "c".to_owned(), owner: "o".to_owned(), version: "0".to_owned() };
        (start_time() + SignedDuration::from_hours(hours) + SignedDuration::from_secs(1), claim.into())
    };
    let (time, body) = claim(1);
    assert_eq!(apply(1000, time, body), 256);
    let (time, body) = claim(2);
    assert_eq!(apply(1001, time, body), 0);
}

/// Whether the clock of the log has moved on, so that what is past is forgotten, makes no difference to a count: a
/// successor that begins after it never knew it.
#[test]
fn an_alert_that_comes_again_is_counted_alike_whether_or_not_the_first_was_forgotten() {
    let reaches = |forgotten: bool| {
        let mut state = State::default();
        let later = start_time() + SignedDuration::from_hours(3);
        let record = |id: &str, alert: &str, recorded: Timestamp, raised: Option<Timestamp>| {
            let mut body = asked(id, "1", recorded);
            body.alerts[0].id = alert.to_owned();
            body.alert_created_at = raised;
            awaits(2, 3600)(&mut body);
            crate::event::ScanEvent::new(recorded, "tenant", body)
        };
        state.apply(0, &record("first", "one", start_time(), None));
        if forgotten {
            let claim = crate::event::Claim { claim: "c".to_owned(), owner: "o".to_owned(), version: "0".to_owned() };
            state.apply(1, &crate::event::ScanEvent::new(later, "tenant", claim));
            assert_eq!(state.counts.remembered(), 0);
        }
        // It comes again, said to be older than it was taken for the first time.
        let raised = start_time() - SignedDuration::from_mins(10);
        state.apply(2, &record("again", "one", later, Some(raised)));
        state.apply(3, &record("other", "two", later, Some(raised)));
        state.requests["other"].wants.below.is_none()
    };
    assert!(reaches(true));
    assert!(reaches(false));
}

/// The first record is past when the other alert comes, and a successor may never have read it.
#[test]
fn an_alert_that_comes_again_said_to_be_older_counts_for_as_long_as_its_latest_record() {
    let reaches = |with_first: bool| {
        let mut state = State::default();
        let at = |minutes: i64| start_time() + SignedDuration::from_mins(minutes);
        let mut record = |offset: i64, alert: &str, recorded: Timestamp, raised: Timestamp| {
            let mut body = asked(&format!("request-{offset}"), "1", recorded);
            body.alerts[0].id = alert.to_owned();
            body.alert_created_at = Some(raised);
            awaits(2, 3600)(&mut body);
            state.apply(offset, &crate::event::ScanEvent::new(recorded, "tenant", body));
        };
        if with_first {
            record(0, "one", at(0), at(0));
        }
        record(1, "one", at(30), at(-10));
        record(2, "two", at(70), at(40));
        let wants = &state.requests["request-2"].wants;
        (wants.below.clone(), wants.begun)
    };
    assert_eq!(reaches(false), (None, 1));
    assert_eq!(reaches(true), (None, 1));
}

#[test]
fn outside_of_its_active_time_a_request_is_held_back() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.terms.outside_active_time = Some("office hours".to_owned()));
    bench.run();
    assert_eq!(details(&bench), [(SuppressedReason::OutsideActiveTime, "office hours".to_owned())]);
}

#[test]
fn the_shortest_wait_for_company_wins() {
    let mut bench = Bench::new();
    bench.request_with("a", "1", |asked| asked.terms.merge_window_seconds = Some(60));
    bench.pass(20);
    assert!(bench.calls.is_empty(), "longer than the setting's 5s");
    bench.request_with("urgent", "1", |asked| asked.terms.merge_window_seconds = Some(0));
    bench.run();
    let scan_id = bench.answer_next(|_, comment| ScanReply::Action(seen("x", "1", "Pending", Some(comment))));
    assert_eq!(bench.scheduler.state().scans[&scan_id].requests.len(), 2);
}
