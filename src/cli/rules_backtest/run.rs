//! Alerts through one rule set, or two side by side.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::report::{BacktestReport, Difference, InputReport, RunReport};
use crate::alert::{DecodeOptions, Decoded, decode};
use crate::cli::replay::World;
use crate::event::{Mode, Outcome};
use crate::kafka::ConsumedRecord;
use crate::rules::RuleSet;
use crate::scheduler::Settings;
use crate::worker::{Decider, RecordDecision, dead_letter_reason};

mod tally;

use tally::Counts;

/// One rule set with a world of its own.
pub(crate) struct Run {
    name: String,
    decider: Decider,
    settings: Settings,
    scan_takes: [Duration; 2],
    world: Option<World>,
    counts: Counts,
}

impl Run {
    pub(crate) fn new(name: String, rules: Arc<RuleSet>, settings: Settings, scan_takes: [Duration; 2]) -> Self {
        let counts = Counts::new(&rules, settings.quota.clone());
        let decider = Decider {
            rules,
            options: DecodeOptions::default(),
            tenant: String::new(),
            mode: Mode::Live,
            topic: "backtest".to_owned(),
        };
        Self { name, decider, settings, scan_takes, world: None, counts }
    }

    pub(crate) fn needs_raw(&self) -> bool {
        self.decider.rules.needs_raw()
    }

    /// Decides about a record at its time, and lets happen what happens until then.
    fn take(&mut self, record: &ConsumedRecord, decoded: &[Decoded], now: Timestamp) -> RecordDecision {
        let decision = self.decider.decide_decoded(record, decoded, &[], now);
        self.counts.decided(&decision);
        if decision.requested.is_empty() {
            return decision;
        }
        let world =
            self.world.get_or_insert_with(|| World::new(self.settings.clone(), Mode::Live, self.scan_takes, now));
        world.advance(now, &mut self.counts);
        for event in &decision.requested {
            world.append(event, &mut self.counts);
        }
        decision
    }

    fn finish(mut self, top: usize) -> RunReport {
        let (mut unfinished, mut look_ups) = (0, 0);
        if let Some(mut world) = self.world.take() {
            unfinished = world.drain(&mut self.counts);
            look_ups = world.looked_up();
        }
        let mut report = self.counts.report(self.name, &self.decider.rules, top);
        (report.unfinished, report.look_ups) = (unfinished, look_ups);
        report
    }
}

/// See the module.
pub(crate) struct Play {
    options: DecodeOptions,
    tenant: String,
    runs: Vec<Run>,
    input: InputReport,
    difference: Option<Difference>,
    now: Option<Timestamp>,
    offset: i64,
}

impl Play {
    pub(crate) fn new(options: DecodeOptions, tenant: String, mut runs: Vec<Run>) -> Self {
        for run in &mut runs {
            run.decider.tenant.clone_from(&tenant);
        }
        let difference = (runs.len() == 2).then(Difference::default);
        Self { options, tenant, runs, input: InputReport::default(), difference, now: None, offset: 0 }
    }

    pub(crate) const fn options(&self) -> &DecodeOptions {
        &self.options
    }

    pub(crate) const fn records(&self) -> u64 {
        self.input.records
    }

    /// One record; `produced` is its time on the topic, where it comes from one.
    pub(crate) fn record(&mut self, payload: &[u8], produced: Option<Timestamp>) {
        self.input.records += 1;
        self.offset += 1;
        let mut decoded = match decode(payload, &self.options) {
            Ok(decoded) => decoded,
            Err(error) => {
                let reason = dead_letter_reason(error.reason());
                *self.input.undecodable.entry(reason.as_str()).or_default() += 1;
                for run in &mut self.runs {
                    run.counts.outcome(Outcome::DeadLettered(reason), 1);
                }
                return;
            }
        };
        self.input.alerts += decoded.len() as u64;
        let now = self.time_of(&decoded, produced);
        if self.tenant.is_empty() {
            // Without a configuration there is no tenant to be foreign to.
            for alert in &mut decoded {
                alert.alert.tenant = None;
            }
        }
        let record = ConsumedRecord {
            partition: 0,
            offset: self.offset,
            timestamp: Some(now),
            key: None,
            payload: None,
            headers: Vec::new(),
        };
        let decisions: Vec<RecordDecision> = self.runs.iter_mut().map(|run| run.take(&record, &decoded, now)).collect();
        if let (Some(difference), [one, other]) = (&mut self.difference, &decisions[..]) {
            difference.record(one, other);
        }
    }

    /// When the record comes; time never goes back.
    fn time_of(&mut self, decoded: &[Decoded], produced: Option<Timestamp>) -> Timestamp {
        let raised = decoded.iter().filter_map(|decoded| decoded.alert.created_at).max();
        let before = self.now;
        let now = match (produced.or(raised), before) {
            (Some(time), Some(before)) if time < before => {
                self.input.out_of_order += 1;
                before
            }
            (Some(time), _) => time,
            (None, _) => {
                self.input.without_time += 1;
                before.unwrap_or(Timestamp::UNIX_EPOCH)
            }
        };
        self.input.first.get_or_insert(now);
        self.input.last = Some(now);
        self.now = Some(now);
        now
    }

    pub(crate) fn finish(self, top: usize) -> BacktestReport {
        BacktestReport {
            input: self.input,
            runs: self.runs.into_iter().map(|run| run.finish(top)).collect(),
            difference: self.difference,
            timing: None,
        }
    }
}
