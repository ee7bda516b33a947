use super::*;
use crate::cli::replay::tests::support::{Ends, asked};
use crate::event::{FailedReason, ScanType, SuppressedReason};

mod support {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, Timestamp};

    use super::super::{Watch, endings};
    use crate::alert::Severity;
    use crate::event::{AlertRef, DeviceRef, Mode, Outcome, Requested, ResponseTerms, ScanEvent, ScanType};

    #[derive(Default)]
    pub(super) struct Ends {
        pub(super) ended: BTreeMap<String, (Outcome, Timestamp)>,
        pub(super) intents: Vec<Timestamp>,
    }

    impl Watch for Ends {
        fn record(&mut self, event: &ScanEvent) {
            for (outcome, ids) in endings(&event.body) {
                self.ended.extend(ids.iter().map(|id| (id.clone(), (outcome, event.time))));
            }
            if let crate::event::EventBody::Intent(_) = &event.body {
                self.intents.push(event.time);
            }
        }
    }

    pub(super) fn asked(id: &str, device: &str, scan_type: ScanType, now: Timestamp) -> ScanEvent {
        let body = Requested {
            terms: ResponseTerms::default(),
            request_ids: vec![id.to_owned()],
            device: DeviceRef { id: format!("{device:0>40}"), name: Some(device.to_owned()), group: None, tags: None },
            alerts: vec![AlertRef {
                id: id.to_owned(),
                title: None,
                severity: Severity::High,
                topic: "alerts".to_owned(),
                partition: 0,
                offset: 0,
                index: 0,
            }],
            rule_ids: vec!["rule".to_owned()],
            ruleset: "hash".to_owned(),
            scan_type,
            priority: 50,
            comment: "c".to_owned(),
            mode: Mode::Live,
            alert_created_at: None,
            expires_at: now + SignedDuration::from_hours(24),
            cooldown_seconds: 3600,
            limits: Vec::new(),
            trace_id: None,
        };
        ScanEvent::new(now, "", body)
    }
}

const TAKES: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(3600)];

fn start() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

fn world(settings: Settings) -> World {
    World::new(settings, Mode::Live, TAKES, start())
}

#[test]
fn a_scan_is_joined_while_it_runs_and_rests_afterwards() {
    let (mut world, mut ends) = (world(Settings::default()), Ends::default());
    for (id, minutes) in [("first", 0), ("second", 5), ("third", 30), ("fourth", 75)] {
        let now = later(start(), Duration::from_secs(minutes * 60));
        world.advance(now, &mut ends);
        world.append(&asked(id, "ws", ScanType::Quick, now), &mut ends);
    }
    assert_eq!(world.drain(&mut ends), 0);
    let outcomes: Vec<_> = ["first", "second", "third", "fourth"].iter().map(|id| ends.ended[*id].0).collect();
    let rests = Outcome::Suppressed(SuppressedReason::Cooldown);
    assert_eq!(outcomes, [Outcome::Scanned, Outcome::Joined, rests, Outcome::Scanned]);
    // Ended when a list showed it: within one interval of the scan's end.
    let took = ends.ended["first"].1.duration_since(start());
    assert!((605..=645).contains(&took.as_secs()), "{took}");
}

#[test]
fn the_quota_holds_calls_back_and_nothing_is_left() {
    let mut settings = Settings::default();
    settings.quota.per_minute = 10;
    let (mut world, mut ends) = (world(settings), Ends::default());
    for number in 0..35 {
        let id = format!("r{number}");
        world.append(&asked(&id, &id, ScanType::Quick, start()), &mut ends);
    }
    assert_eq!(world.drain(&mut ends), 0);
    assert!(ends.ended.values().all(|(outcome, _)| *outcome == Outcome::Scanned), "{:?}", ends.ended);
    assert_eq!(ends.intents.len(), 35);
    for (one, eleventh) in ends.intents.iter().zip(ends.intents.iter().skip(10)) {
        assert!(eleventh.duration_since(*one).as_secs() >= 60, "{one} {eleventh}");
    }
}

#[test]
fn a_scan_that_never_ends_times_out_in_a_few_steps() {
    let (mut ends, settings) = (Ends::default(), Settings::default());
    let never = Duration::from_secs(365 * 24 * 3600);
    let mut world = World::new(settings, Mode::Live, [never; 2], start());
    world.append(&asked("one", "ws", ScanType::Full, start()), &mut ends);
    assert_eq!(world.drain(&mut ends), 0);
    assert_eq!(ends.ended["one"].0, Outcome::Failed(FailedReason::TimedOut));
    assert_eq!(world.looked_up(), 0);
}
