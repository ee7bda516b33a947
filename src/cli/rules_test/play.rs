//! Plays a scenario: the real decision, the real scheduler, a fake clock, and a Defender that takes every scan.

use std::collections::HashMap;
use std::sync::Arc;

use super::TestFailure;
use crate::alert::{Alert, DecodeOptions, Decoded, Device};
use crate::cli::replay::{Watch, World, endings, later};
use crate::event::{EventBody, FailedReason, Mode, Outcome, ScanEvent, ScanType, SkippedReason, SuppressedReason};
use crate::kafka::ConsumedRecord;
use crate::rules::{ExpectedOutcome, RuleSet, Scenario, Step};
use crate::scheduler::Settings;
use crate::simulator::machine_id_of;
use crate::worker::Decider;

/// What became of one observation.
enum Got {
    /// Decided at once.
    Ended(Outcome),
    /// Asked for a scan under this id.
    Request(String),
}

#[derive(Default)]
struct Seen {
    ended: HashMap<String, Outcome>,
    scans: HashMap<String, ScanType>,
}

impl Watch for Seen {
    fn record(&mut self, event: &ScanEvent) {
        for (outcome, ids) in endings(&event.body) {
            self.ended.extend(ids.iter().map(|id| (id.clone(), outcome)));
        }
        if let EventBody::Accepted(accepted) = &event.body {
            self.scans.extend(accepted.request_ids.iter().map(|id| (id.clone(), accepted.scan_type)));
        }
    }
}

/// What was not as expected.
pub(super) fn play(set: &Arc<RuleSet>, scenario: &Scenario) -> Vec<TestFailure> {
    let decider = Decider {
        rules: Arc::clone(set),
        options: DecodeOptions::default(),
        tenant: String::new(),
        mode: Mode::Live,
        topic: "test".to_owned(),
    };
    let takes = [scenario.scan_takes; 2];
    let mut world = World::new(Settings::default(), Mode::Live, takes, scenario.starts_at);
    let mut seen = Seen::default();
    let mut played = Vec::new();
    for (offset, step) in (0..).zip(&scenario.steps) {
        let now = later(scenario.starts_at, step.at);
        world.advance(now, &mut seen);
        let record = ConsumedRecord {
            partition: 0,
            offset,
            timestamp: Some(now),
            key: None,
            payload: None,
            headers: Vec::new(),
        };
        let alert = with_ids(&step.alert);
        let decision = decider.decide_decoded(&record, &[Decoded { index: 0, alert }], &[], now);
        let mut got: Vec<Got> = decision.skipped.iter().map(|reason| Got::Ended(Outcome::Skipped(*reason))).collect();
        got.extend(decision.outcomes().failed.iter().map(|reason| Got::Ended(Outcome::Failed(*reason))));
        for event in &decision.requested {
            if let EventBody::Requested(body) = &event.body {
                got.extend(body.request_ids.iter().cloned().map(Got::Request));
            }
            world.append(event, &mut seen);
        }
        played.push((step, now, got));
    }
    world.drain(&mut seen);
    let judged = played.iter().filter_map(|(step, now, got)| {
        let message = misfit(step, got, &seen)?;
        let explained = step.alert.devices.iter().map(|device| {
            let mut explanation = set.explain(&step.alert, device, *now);
            let any = explanation.rules.iter().any(|rule| rule.matched);
            explanation.rules.retain(|rule| rule.matched || !any);
            explanation.to_string()
        });
        Some(TestFailure { line: step.line, message, explanation: explained.collect::<Vec<_>>().join("\n") })
    });
    judged.collect()
}

/// A device without an id gets one made of its name, and no tenant is foreign: a test is about rules.
fn with_ids(alert: &Alert) -> Alert {
    let devices = alert.devices.iter().map(|device| {
        let id = device.id.clone().or_else(|| device.name.as_deref().map(machine_id_of));
        Device { id, ..device.clone() }
    });
    Alert { devices: devices.collect(), tenant: None, ..alert.clone() }
}

/// What is wrong with a step; `None` where all is as expected.
fn misfit(step: &Step, got: &[Got], seen: &Seen) -> Option<String> {
    if let Some(wrong) = unknown_reason(&step.expect) {
        return Some(wrong);
    }
    let told: Vec<(Option<Outcome>, String)> = got
        .iter()
        .map(|got| match got {
            Got::Ended(outcome) => (Some(*outcome), word(*outcome, None)),
            Got::Request(id) => match seen.ended.get(id) {
                Some(outcome) => (Some(*outcome), word(*outcome, seen.scans.get(id))),
                None => (None, "no end within two weeks".to_owned()),
            },
        })
        .collect();
    let fits = |(outcome, word): &(Option<Outcome>, String)| match step.expect.outcome {
        "none" => outcome.is_some_and(|outcome| outcome != Outcome::Scanned),
        expected => {
            let (name, detail) = word.split_once(": ").unwrap_or((word, ""));
            name == expected && step.expect.detail.as_deref().is_none_or(|wanted| wanted == detail)
        }
    };
    if !told.is_empty() && told.iter().all(fits) {
        return None;
    }
    let got = told.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(", ");
    let alert = &step.alert.id;
    Some(format!("at {:#}, alert {alert}: expected {}; got {got}", signed(step.at), step.expect))
}

fn signed(duration: std::time::Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}

/// In the words that a step expects.
fn word(outcome: Outcome, scan: Option<&ScanType>) -> String {
    match (outcome, scan) {
        (Outcome::Scanned, Some(scan)) => format!("scan: {scan}"),
        (Outcome::Scanned, None) => "scan".to_owned(),
        _ if outcome.reason().is_empty() => outcome.as_str().to_owned(),
        _ => format!("{}: {}", outcome.as_str(), outcome.reason()),
    }
}

/// A reason that no outcome has would never come true, and `none` of it always.
fn unknown_reason(expect: &ExpectedOutcome) -> Option<String> {
    let known: Vec<&str> = match expect.outcome {
        "suppressed" => SuppressedReason::ALL.iter().map(|reason| reason.as_str()).collect(),
        "skipped" => SkippedReason::ALL.iter().map(|reason| reason.as_str()).collect(),
        "failed" => FailedReason::ALL.iter().map(|reason| reason.as_str()).collect(),
        _ => return None,
    };
    let detail = expect.detail.as_deref()?;
    (!known.contains(&detail))
        .then(|| format!("`{}` has no reason `{detail}`; it is one of {}", expect.outcome, known.join(", ")))
}
