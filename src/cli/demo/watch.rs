//! What the demo knows from outside: it reads the ledger and the committed positions like any other reader would.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::stream::BURST_DEVICE;
use crate::event::{EventBody, Outcome, ScanEvent, SuppressedReason};
use crate::kafka::Tally;

/// A scan that the API accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ScanReport {
    /// Its id, which ends the comment.
    pub(super) scan_id: String,
    /// The device's name, or its id where the name is not known.
    pub(super) device: String,
    /// Quick or Full.
    pub(super) scan_type: &'static str,
    /// The comment.
    pub(super) comment: String,
    /// Alerts that it was started for.
    pub(super) alert_ids: Vec<String>,
    /// Defender's action.
    pub(super) action_id: String,
    /// How it ended; `open` while it has not.
    pub(super) status: &'static str,
}

/// An alert that stands for an outcome.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) alert: String,
    pub(super) said: String,
}

/// What the ledger said so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Requests that have not ended.
    pub(super) open: BTreeSet<String>,
    pub(super) requested: usize,
    ended: BTreeSet<String>,
    /// Observations by outcome and reason, of requests that ended.
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    examples: BTreeMap<(&'static str, &'static str), Example>,
    pub(super) scans: Vec<ScanReport>,
    places: HashMap<String, usize>,
}

impl Watch {
    /// Reads one record.
    pub(super) fn read(&mut self, event: &ScanEvent) {
        match &event.body {
            EventBody::Requested(body) => {
                for id in &body.request_ids {
                    if !self.ended.contains(id) && self.open.insert(id.clone()) {
                        self.requested += 1;
                    }
                }
            }
            EventBody::Accepted(body) => {
                self.places.insert(body.scan_id.clone(), self.scans.len());
                self.scans.push(ScanReport {
                    scan_id: body.scan_id.clone(),
                    device: body.device.name.clone().unwrap_or_else(|| body.device.id.clone()),
                    scan_type: body.scan_type.as_str(),
                    comment: body.comment.clone(),
                    alert_ids: body.alerts.iter().map(|alert| alert.id.clone()).collect(),
                    action_id: body.action.id.clone(),
                    status: "open",
                });
            }
            EventBody::Shadowed(body) => {
                let said = format!("{} scan of {}, in shadow: not started", body.scan_type, name_of(&event.body));
                self.end(Outcome::Shadowed, &body.request_ids, &event.body, &said);
            }
            EventBody::Suppressed(body) => {
                let why = body.detail.clone().unwrap_or_else(|| explained(body.reason).to_owned());
                let said = format!("{}: {why}", name_of(&event.body));
                self.end(Outcome::Suppressed(body.reason), &body.request_ids, &event.body, &said);
            }
            EventBody::Failed(body) => {
                let why = body.detail.clone().unwrap_or_else(|| body.reason.as_str().replace('_', " "));
                let said = format!("{}: {why}", name_of(&event.body));
                self.end(Outcome::Failed(body.reason), &body.request_ids, &event.body, &said);
            }
            EventBody::Finished(body) => {
                if let Some(scan) = self.places.get(&body.scan_id).and_then(|place| self.scans.get_mut(*place)) {
                    scan.status = body.status.as_str();
                }
                let failed = body.status.failed_reason().map(Outcome::Failed);
                let (device, ended) = (name_of(&event.body), in_words(body.status.as_str()));
                let said = format!("{} scan of {device}, accepted, {ended}", body.scan_type);
                self.end(failed.unwrap_or(Outcome::Scanned), &body.request_ids, &event.body, &said);
                let said = format!("{} scan of {device} was running already, {ended}", body.scan_type);
                self.end(failed.unwrap_or(Outcome::Joined), &body.joined_request_ids, &event.body, &said);
            }
            EventBody::Genesis(_)
            | EventBody::Claim(_)
            | EventBody::Control(_)
            | EventBody::Carried(_)
            | EventBody::Intent(_)
            | EventBody::Withdrawn(_)
            | EventBody::AttemptFailed(_)
            | EventBody::Joined(_) => {}
        }
    }

    fn end(&mut self, outcome: Outcome, requests: &[String], body: &EventBody, said: &str) {
        let key = (outcome.as_str(), outcome.reason());
        for id in requests {
            self.open.remove(id);
            if self.ended.insert(id.clone()) {
                *self.outcomes.entry(key).or_default() += 1;
            }
        }
        let alerts = match body {
            EventBody::Shadowed(body) => &body.alerts,
            EventBody::Suppressed(body) => &body.alerts,
            EventBody::Failed(body) => &body.alerts,
            EventBody::Finished(body) => &body.alerts,
            _ => return,
        };
        let first = alerts.iter().min_by(|one, other| one.id.cmp(&other.id));
        if let (Some(device), Some(alert), false) = (body.device(), first, requests.is_empty()) {
            let example = Example { alert: alert.id.clone(), said: said.to_owned() };
            // The burst's device is the one to look at where there is a choice.
            if device.name.as_deref() == Some(BURST_DEVICE) && requests.len() > 1 && key.0 == "scanned" {
                self.examples.entry(key).and_modify(|old| old.clone_from(&example));
            }
            self.examples.entry(key).or_insert(example);
        }
    }

    /// Whether the scan of a device has ended.
    pub(super) fn scan_ended(&self, device: &str) -> bool {
        self.scans.iter().any(|scan| scan.device == device && scan.status != "open")
    }

    /// An alert that stands for an outcome, where the ledger names one.
    pub(super) fn example(&self, outcome: &'static str, reason: &'static str) -> Option<&Example> {
        self.examples.get(&(outcome, reason))
    }

    /// Observations by outcome and reason: those of requests, and those that the committed positions count.
    pub(super) fn outcomes<'a>(
        &self,
        tallies: impl Iterator<Item = &'a Tally>,
    ) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let mut outcomes: BTreeMap<&'static str, BTreeMap<&'static str, u64>> = BTreeMap::new();
        let mut add = |outcome: &'static str, reason: &'static str, count: u64| {
            *outcomes.entry(outcome).or_default().entry(reason).or_default() += count;
        };
        for ((outcome, reason), count) in &self.outcomes {
            add(outcome, reason, *count);
        }
        for tally in tallies {
            for (reason, count) in &tally.skipped {
                add(Outcome::Skipped(*reason).as_str(), reason.as_str(), *count);
            }
            for (reason, count) in &tally.dead_lettered {
                add(Outcome::DeadLettered(*reason).as_str(), reason.as_str(), *count);
            }
        }
        outcomes
    }
}

fn name_of(body: &EventBody) -> &str {
    body.device().map_or("", |device| device.name.as_deref().unwrap_or(&device.id))
}

const fn explained(reason: SuppressedReason) -> &'static str {
    match reason {
        SuppressedReason::Cooldown => "it was scanned a short while ago",
        SuppressedReason::Duplicate => "the same alert came again",
        SuppressedReason::TooOld => "the alert is three days old",
        other => other.as_str(),
    }
}

fn in_words(status: &str) -> String {
    match status {
        "succeeded" => "finished".to_owned(),
        other => other.replace('_', " "),
    }
}
