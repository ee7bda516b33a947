//! What is counted of a run. Memory grows with rules, devices and open requests, not with alerts.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::super::report::{Delay, DeviceRow, RuleRow, RunReport};
use crate::cli::replay::{Watch, endings};
use crate::event::{ControlAction, DeviceRef, EventBody, Outcome, ScanEvent, ScanType, SuppressedReason};
use crate::rules::RuleSet;
use crate::scheduler::{QuotaSettings, Remaining, Scheduler};
use crate::worker::RecordDecision;

#[derive(Default)]
struct OfDevice {
    name: Option<String>,
    requests: u64,
    scans: u64,
}

/// See the module.
pub(super) struct Counts {
    quota: QuotaSettings,
    outcomes: BTreeMap<Outcome, u64>,
    /// Matches and scans by rule.
    rules: HashMap<String, (u64, u64)>,
    devices: HashMap<String, OfDevice>,
    protected: HashSet<String>,
    caps: BTreeMap<String, u64>,
    /// Requests that led to no call yet.
    asked_at: HashMap<String, Timestamp>,
    /// Requests that led to a call, by the seconds they waited.
    delays: BTreeMap<u64, u64>,
    scans: [u64; 2],
    merged: u64,
    joined: u64,
    peak_queue: usize,
    stood: Option<Stood>,
    milliseconds_at_limit: [i64; 2],
}

/// How the world stands from a moment on.
struct Stood {
    since: Timestamp,
    at_minute_limit: bool,
    at_hour_limit: bool,
}

impl Counts {
    pub(super) fn new(rules: &RuleSet, quota: QuotaSettings) -> Self {
        Self {
            quota,
            outcomes: BTreeMap::new(),
            rules: rules.rules().iter().map(|rule| (rule.id.clone(), (0, 0))).collect(),
            devices: HashMap::new(),
            protected: HashSet::new(),
            caps: BTreeMap::new(),
            asked_at: HashMap::new(),
            delays: BTreeMap::new(),
            scans: [0; 2],
            merged: 0,
            joined: 0,
            peak_queue: 0,
            stood: None,
            milliseconds_at_limit: [0; 2],
        }
    }

    pub(super) fn outcome(&mut self, outcome: Outcome, count: u64) {
        if count > 0 {
            *self.outcomes.entry(outcome).or_default() += count;
        }
    }

    pub(super) fn decided(&mut self, decision: &RecordDecision) {
        for matched in &decision.matches {
            if let Some((matches, _)) = self.rules.get_mut(&matched.rule_id) {
                *matches += 1;
            }
        }
        for reason in &decision.skipped {
            self.outcome(Outcome::Skipped(*reason), 1);
        }
        for reason in decision.outcomes().failed {
            self.outcome(Outcome::Failed(reason), 1);
        }
    }

    fn device(&mut self, device: &DeviceRef) -> &mut OfDevice {
        if !self.devices.contains_key(&device.id) {
            self.devices.insert(device.id.clone(), OfDevice { name: device.name.clone(), ..OfDevice::default() });
        }
        self.devices.entry(device.id.clone()).or_default()
    }

    pub(super) fn report(self, name: String, rules: &RuleSet, top: usize) -> RunReport {
        let mut outcomes = BTreeMap::new();
        for (outcome, count) in &self.outcomes {
            let reason = outcome.reason();
            let word = outcome.as_str();
            outcomes.insert(if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") }, *count);
        }
        let mut top_rules: Vec<RuleRow> = rules
            .rules()
            .iter()
            .map(|rule| {
                let (matches, scans) = self.rules.get(&rule.id).copied().unwrap_or_default();
                RuleRow { rule_id: rule.id.clone(), title: rule.title.clone(), matches, scans }
            })
            .collect();
        top_rules.sort_by(|one, other| {
            (other.scans, other.matches).cmp(&(one.scans, one.matches)).then_with(|| one.rule_id.cmp(&other.rule_id))
        });
        top_rules.truncate(top);
        let devices_scanned = self.devices.values().filter(|device| device.scans > 0).count();
        let mut top_devices: Vec<(&String, &OfDevice)> = self.devices.iter().collect();
        top_devices.sort_by(|(one_id, one), (other_id, other)| {
            (other.scans, other.requests).cmp(&(one.scans, one.requests)).then_with(|| one_id.cmp(other_id))
        });
        let top_devices = top_devices.into_iter().take(top).map(|(id, device)| DeviceRow {
            device_id: id.clone(),
            name: device.name.clone(),
            requests: device.requests,
            scans: device.scans,
        });
        RunReport {
            rules: name,
            ruleset: rules.hash().to_owned(),
            outcomes,
            scans: self.scans.iter().sum(),
            quick_scans: self.scans[0],
            full_scans: self.scans[1],
            devices_scanned,
            merged: self.merged,
            joined: self.joined,
            peak_queue: self.peak_queue,
            delay: delay(&self.delays),
            minutes_at_minute_limit: minutes(self.milliseconds_at_limit[0]),
            minutes_at_hour_limit: minutes(self.milliseconds_at_limit[1]),
            protected_devices: self.protected.len(),
            caps_reached: self.caps,
            look_ups: 0,
            unfinished: 0,
            top_rules,
            top_devices: top_devices.collect(),
        }
    }
}

impl Watch for Counts {
    fn record(&mut self, event: &ScanEvent) {
        for (outcome, ids) in endings(&event.body) {
            self.outcome(outcome, ids.len() as u64);
            for id in ids {
                self.asked_at.remove(id);
            }
        }
        match &event.body {
            EventBody::Requested(body) => {
                self.device(&body.device).requests += 1;
                self.asked_at.extend(body.request_ids.iter().map(|id| (id.clone(), event.time)));
            }
            EventBody::Intent(body) => {
                for id in &body.request_ids {
                    if let Some(asked) = self.asked_at.remove(id) {
                        let waited = event.time.duration_since(asked).as_millis();
                        let seconds = u64::try_from(waited).unwrap_or(0).div_ceil(1000);
                        *self.delays.entry(seconds).or_default() += 1;
                    }
                }
            }
            EventBody::Accepted(body) => {
                self.scans[usize::from(body.scan_type == ScanType::Full)] += 1;
                self.merged += body.request_ids.len().saturating_sub(1) as u64;
                self.device(&body.device).scans += 1;
                for rule in &body.rule_ids {
                    if let Some((_, scans)) = self.rules.get_mut(rule) {
                        *scans += 1;
                    }
                }
            }
            EventBody::Joined(body) => self.joined += body.request_ids.len() as u64,
            EventBody::Suppressed(body) => match body.reason {
                SuppressedReason::Protected => {
                    self.protected.insert(body.device.id.clone());
                }
                SuppressedReason::BlastRadius => {
                    let cap = body.detail.clone().unwrap_or_default();
                    *self.caps.entry(cap).or_default() += body.request_ids.len() as u64;
                }
                _ => {}
            },
            EventBody::Control(body) => {
                if let ControlAction::Tripped { rule_id, devices, per_seconds, .. } = &body.control {
                    let rule = rule_id.as_deref().unwrap_or("all rules together");
                    *self.caps.entry(format!("tripped: {rule}, {devices} devices in {per_seconds}s")).or_default() += 0;
                }
            }
            _ => {}
        }
    }

    fn stands(&mut self, now: Timestamp, scheduler: &Scheduler) {
        if let Some(stood) = &self.stood {
            let passed = i64::try_from(now.duration_since(stood.since).as_millis()).unwrap_or(0);
            self.milliseconds_at_limit[0] += if stood.at_minute_limit { passed } else { 0 };
            self.milliseconds_at_limit[1] += if stood.at_hour_limit { passed } else { 0 };
        }
        let waiting = scheduler.waiting();
        self.peak_queue = self.peak_queue.max(waiting);
        self.stood = (waiting > 0).then(|| {
            let left = Remaining::at(now, &scheduler.state().slots, scheduler.claim(), 0, &self.quota);
            let reserve = self.quota.per_hour.saturating_mul(self.quota.reserve_percent) / 100;
            Stood { since: now, at_minute_limit: left.minute == 0, at_hour_limit: left.hour <= reserve }
        });
    }
}

fn delay(delays: &BTreeMap<u64, u64>) -> Delay {
    let requests: u64 = delays.values().sum();
    // The smallest wait that at least this share of the requests did not exceed.
    let at = |percent: u64| {
        let wanted = (requests * percent).div_ceil(100);
        let mut so_far = 0;
        delays.iter().find(|(_, count)| {
            so_far += **count;
            so_far >= wanted
        })
    };
    let seconds = |percent| at(percent).map_or(0, |(seconds, _)| *seconds);
    let max_seconds = delays.last_key_value().map_or(0, |(seconds, _)| *seconds);
    Delay { requests, p50_seconds: seconds(50), p95_seconds: seconds(95), max_seconds }
}

fn minutes(milliseconds: i64) -> f64 {
    let tenths = milliseconds / 6_000;
    #[expect(clippy::cast_precision_loss, reason = "tenths of minutes of any backtest are far below 2^52")]
    let tenths = tenths as f64;
    tenths / 10.0
}
