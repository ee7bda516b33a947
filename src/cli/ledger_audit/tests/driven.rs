//! Logs that the real scheduler wrote, with crashes, former owners, orders and an API in a bad mood, audit clean.

use jiff::Timestamp;
use proptest::prelude::*;

use super::world::World;
use crate::cli::ledger_audit::{AuditOptions, ViolationCode};
use crate::event::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_scheduler_writes_audits_clean(seed in any::<u64>(), steps in 20_u32..400) {
        let mut world = World::new(seed);
        world.run(steps);
        let midway = world.audit(0);
        prop_assert!(midway.violations.is_empty(), "{:#?}", midway.violations);
        prop_assert_eq!(midway.unaccounted, 0);
        world.settle();
        // Every state has a deadline: hours later nothing waits that is too old.
        let report = world.audit_with(0, AuditOptions { at_rest: Some(world.now), ..world.options() });
        prop_assert!(report.violations.is_empty(), "{:#?}", report.violations);
        prop_assert_eq!(report.requests.in_flight.overdue, 0);
        let state = world.owners.last().unwrap().scheduler.state();
        prop_assert_eq!(report.requests.in_flight.total, u64::try_from(state.requests.len()).unwrap());
        prop_assert_eq!(report.unaccounted, 0);
    }

    #[test]
    fn a_log_cut_off_at_its_beginning_audits_clean(seed in any::<u64>(), cut in 0.0_f64..1.0) {
        let mut world = World::new(seed);
        world.run(200);
        let first = (world.log.len() as f64 * cut) as usize;
        let report = world.audit(first);
        prop_assert!(report.violations.is_empty(), "{:#?}", report.violations);
    }
}

/// The pretended world reaches what it is meant to: else the two above would prove little.
#[test]
fn the_driven_worlds_are_eventful() {
    let mut all = std::collections::BTreeMap::new();
    let (mut void, mut late, mut withdrawn) = (0, 0, 0);
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.run(300);
        world.settle();
        let report = world.audit(0);
        void += report.ledger[0].void;
        late += report.ledger[0].late;
        withdrawn += report.calls.withdrawn;
        for event in &world.log {
            *all.entry(event.body.name()).or_insert(0) += 1;
            let more = match &event.body {
                EventBody::Suppressed(body) => body.reason.as_str(),
                EventBody::Control(Control { control: ControlAction::Tripped { rule_id: None, .. }, .. }) => "total",
                EventBody::Control(Control { control: ControlAction::Tripped { .. }, .. }) => "tripped",
                EventBody::Carried(Carried::Silence { .. }) => "carried silence",
                EventBody::Carried(Carried::Tripped { .. }) => "carried trip",
                EventBody::Failed(body) if body.scan_id.is_none() && body.device_unfit_until.is_none() => "unfit",
                EventBody::Intent(body) if body.rule_ids.iter().any(|rule| rule.starts_with("count")) => "counted",
                EventBody::Finished(body) if body.cooldown_step > 0 => "grown",
                _ => continue,
            };
            *all.entry(more).or_insert(0) += 1;
        }
    }
    for more in ["total", "tripped", "carried silence", "carried trip", "unfit", "counted", "grown"] {
        assert!(all.get(more).copied().unwrap_or(0) > 5, "{more}: {all:?}");
    }
    for reason in SuppressedReason::ALL.iter().filter(|reason| !reason.as_str().starts_with("protect")) {
        assert!(all.get(reason.as_str()).copied().unwrap_or(0) > 5, "{reason}: {all:?}");
    }
    for name in
        ["intent", "withdrawn", "attempt_failed", "accepted", "joined", "shadowed", "suppressed", "failed", "finished"]
    {
        assert!(all.get(name).copied().unwrap_or(0) > 5, "{name}: {all:?}");
    }
    assert!(void > 5 && withdrawn > 5, "void {void}, late {late}, withdrawn {withdrawn}");
}

/// The same worlds, judged by promises that nobody made or with a record taken away, are not clean.
#[test]
fn the_audit_of_a_driven_world_can_fail() {
    let (mut over_quota, mut without_intent) = (0, 0);
    for seed in 0..10 {
        let mut world = World::new(seed);
        world.run(300);
        world.settings.quota.per_minute = 2;
        over_quota += u32::from(!world.audit(0).violations.is_empty());
        world.settings.quota.per_minute = 3;
        let accepted = world.log.iter().find_map(|event| match &event.body {
            EventBody::Accepted(body) => Some((body.scan_id.clone(), body.attempt)),
            _ => None,
        });
        world.log.retain(|event| match &event.body {
            EventBody::Intent(body) => accepted.as_ref() != Some(&(body.scan_id.clone(), body.attempt)),
            _ => true,
        });
        without_intent += u32::from(!world.audit(0).violations.is_empty());
    }
    assert!(over_quota >= 5 && without_intent == 10, "over quota {over_quota}, without intent {without_intent}");
}

/// The same worlds once more, each time with something else in their records: the check that this concerns must see it.
#[test]
fn each_check_sees_a_changed_driven_world() {
    type Change = fn(&mut ScanEvent) -> bool;
    fn asks(event: &mut ScanEvent, change: impl Fn(&mut Requested)) -> bool {
        if let EventBody::Requested(body) = &mut event.body {
            change(body);
        }
        true
    }
    fn orders(event: &mut ScanEvent, change: impl Fn(&mut ControlAction) -> bool) -> bool {
        match &mut event.body {
            EventBody::Control(control) => change(&mut control.control),
            EventBody::Carried(Carried::Silence { .. }) => false,
            _ => true,
        }
    }
    let changes: [(ViolationCode, Change); 12] = [
        (ViolationCode::TripBroken, |event| orders(event, |order| !matches!(order, ControlAction::Rearmed { .. }))),
        (ViolationCode::BlastRadiusExceeded, |event| {
            asks(event, |asked| asked.limits.iter_mut().for_each(|limit| limit.devices = 1))
        }),
        (ViolationCode::SilenceBroken, |event| {
            orders(event, |order| match order {
                ControlAction::SilenceSet { silence } => {
                    silence.ends_at = Timestamp::MAX;
                    true
                }
                order => !matches!(order, ControlAction::SilenceEnded { .. }),
            })
        }),
        (ViolationCode::SuppressedWithoutCause, |event| {
            orders(event, |order| !matches!(order, ControlAction::SilenceSet { .. }))
        }),
        (ViolationCode::SuppressedWithoutCause, |event| {
            asks(event, |asked| asked.terms.thresholds.iter_mut().for_each(|threshold| threshold.at_least = 1))
        }),
        (ViolationCode::SuppressedWithoutCause, |event| {
            asks(event, |asked| asked.alerts[0].id = asked.request_ids[0].clone())
        }),
        (ViolationCode::IntentBelowThreshold, |event| {
            asks(event, |asked| asked.terms.thresholds.iter_mut().for_each(|threshold| threshold.at_least = 100))
        }),
        (ViolationCode::IntentForExpired, |event| {
            let time = event.time;
            asks(event, |asked| asked.expires_at = time)
        }),
        (ViolationCode::IntentOutsideActiveTime, |event| {
            asks(event, |asked| asked.terms.outside_active_time = Some("never".to_owned()))
        }),
        (ViolationCode::IntentForUnfitDevice, |event| {
            if let EventBody::Failed(body) = &mut event.body {
                body.device_unfit_until = body.device_unfit_until.map(|_| Timestamp::MAX);
            }
            true
        }),
        (ViolationCode::FailedWithoutCause, |event| {
            if let EventBody::Failed(body) = &mut event.body {
                body.device_unfit_until = None;
            }
            true
        }),
        (ViolationCode::RestDiffers, |event| asks(event, |asked| asked.cooldown_seconds += 2_000)),
    ];
    let mut seen = vec![0; changes.len()];
    for seed in 0..12 {
        let mut world = World::new(seed);
        world.run(300);
        let log = world.log.clone();
        for ((code, change), seen) in changes.iter().zip(&mut seen) {
            world.log = log.clone();
            world.log.retain_mut(change);
            *seen += world.audit(0).violation_counts.get(code).copied().unwrap_or(0);
        }
    }
    let codes: Vec<_> = changes.iter().map(|(code, _)| *code).zip(seen).collect();
    assert!(codes.iter().all(|(_, seen)| *seen > 2), "{codes:?}");
}
