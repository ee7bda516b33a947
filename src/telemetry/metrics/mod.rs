//! The worker's metrics: a method for each thing that happens, on a registry of its own.
//!
//! Label values come from closed lists, so a call site can neither misspell one nor make a new one. Rule ids are bounded by
//! the rule set, tenants by the configuration.

mod families;
mod labels;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{Encoder, TextEncoder};

use crate::event::{DeadLetterReason, FinishedStatus, Format, Mode, Outcome, ScanType};
use families::Families;

pub use labels::{ApiResult, BreakerState, Endpoint, PriorityClass, QuotaWindow, RulesReload, ScanAttempt};
pub use table::{Kind, Metric, TABLE};

use super::TelemetryError;

/// What stands for the limit of all rules together where a metric names a rule.
pub const ALL_RULES: &str = "all_rules";

/// All metrics of one worker. Cheap to clone; every clone counts into the same series.
#[derive(Clone)]
pub struct Metrics {
    families: Arc<Families>,
    tenant: Arc<str>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Metrics {
    /// The metrics of a worker for one tenant, all series of closed labels at 0.
    ///
    /// # Errors
    /// Only where the table of metrics contradicts itself, which a test rules out.
    pub fn new(tenant: &str) -> Result<Self, TelemetryError> {
        let families = Families::new()?;
        families.start_at_zero(tenant);
        Ok(Self { families: Arc::new(families), tenant: Arc::from(tenant) })
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// Only where a metric cannot be written as text.
    pub fn encode(&self) -> Result<String, TelemetryError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.families.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// `docs/metrics.md`.
    #[must_use]
    pub fn reference() -> String {
        table::markdown(&families::closed_values())
    }

    // --- Alerts and rules ---

    /// Alerts were decoded.
    pub fn received(&self, format: Format, count: u64) {
        self.families.alerts_received.with_label_values(&[&*self.tenant, format.as_str()]).inc_by(count);
    }

    /// Observations ended.
    pub fn outcome(&self, outcome: Outcome, count: u64) {
        let labels = [&*self.tenant, outcome.as_str(), outcome.reason()];
        self.families.alerts_outcome.with_label_values(&labels).inc_by(count);
    }

    /// A record went to the dead letters. Its outcome is counted apart.
    pub fn dead_letter(&self, reason: DeadLetterReason) {
        self.families.dead_letters.with_label_values(&[reason.as_str()]).inc();
    }

    /// Observations without an outcome, and those that no structure holds.
    pub fn set_alerts_open(&self, in_flight: u64, unaccounted: u64) {
        self.families.alerts_in_flight.with_label_values::<&str>(&[]).set(whole(in_flight));
        self.families.alerts_unaccounted.with_label_values::<&str>(&[]).set(whole(unaccounted));
    }

    /// A rule set is in force: its rules get their series, those of rules that are gone are removed.
    pub fn set_rules<'r>(&self, hash: &str, rule_ids: impl IntoIterator<Item = &'r str>) {
        let rules: BTreeSet<&str> = rule_ids.into_iter().collect();
        let families = &self.families;
        families.rules_info.reset();
        families.rules_info.with_label_values(&[hash]).set(1.0);
        for gone in label_values(&families.blast_radius_tripped, "rule") {
            if gone != ALL_RULES && !rules.contains(gone.as_str()) {
                remove(families.blast_radius_tripped.remove_label_values(&[&gone]));
                for mode in Mode::ALL {
                    remove(families.rule_matches.remove_label_values(&[gone.as_str(), mode.as_str()]));
                }
            }
        }
        for rule in rules {
            families.blast_radius_tripped.with_label_values(&[rule]);
            for mode in Mode::ALL {
                families.rule_matches.with_label_values(&[rule, mode.as_str()]);
            }
        }
    }

    /// A rule set was read.
    pub fn rules_reload(&self, result: RulesReload) {
        self.families.rules_reload.with_label_values(&[result.as_str()]).inc();
        self.set_rules_refused(result == RulesReload::Refused);
    }

    /// Whether rules stand in the folder that are refused, so that those from before decide.
    pub fn set_rules_refused(&self, refused: bool) {
        self.families.rules_last_reload_successful.with_label_values::<&str>(&[]).set(f64::from(u8::from(!refused)));
    }

    /// A rule matched.
    pub fn rule_match(&self, rule_id: &str, mode: Mode) {
        self.families.rule_matches.with_label_values(&[rule_id, mode.as_str()]).inc();
    }

    /// A rule's limit of devices tripped, or was armed again; `None` is the limit of all rules together.
    pub fn set_blast_radius_tripped(&self, rule_id: Option<&str>, tripped: bool) {
        let rule = rule_id.unwrap_or(ALL_RULES);
        self.families.blast_radius_tripped.with_label_values(&[rule]).set(f64::from(u8::from(tripped)));
    }

    /// Every limit of devices that is tripped; all others are not.
    pub fn set_blast_radius<'r>(&self, tripped: impl IntoIterator<Item = Option<&'r str>>) {
        let tripped: BTreeSet<&str> = tripped.into_iter().map(|rule| rule.unwrap_or(ALL_RULES)).collect();
        for known in label_values(&self.families.blast_radius_tripped, "rule") {
            if !tripped.contains(known.as_str()) {
                self.families.blast_radius_tripped.with_label_values(&[known.as_str()]).set(0.0);
            }
        }
        for rule in tripped {
            self.families.blast_radius_tripped.with_label_values(&[rule]).set(1.0);
        }
    }

    // --- Scans ---

    /// An attempt ended.
    pub fn attempt(&self, attempt: ScanAttempt) {
        self.families.scan_attempts.with_label_values(&[&*self.tenant, attempt.as_str()]).inc();
    }

    /// A call to Microsoft ended.
    pub fn api_request(&self, endpoint: Endpoint, result: ApiResult, took: Duration) {
        let labels = [endpoint.as_str(), result.as_str()];
        self.families.api_request_seconds.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// The API accepted a scan; `waited` since its first alert was read.
    pub fn accepted_after(&self, class: PriorityClass, waited: Duration) {
        let labels = [&*self.tenant, class.as_str()];
        self.families.alert_to_accepted_seconds.with_label_values(&labels).observe(waited.as_secs_f64());
    }

    /// A scan ended; `after` it was accepted, where that is known.
    pub fn finished(&self, scan_type: ScanType, status: FinishedStatus, after: Option<Duration>) {
        let labels = [&*self.tenant, scan_type.as_str(), status.as_str()];
        self.families.scans_finished.with_label_values(&labels).inc();
        if let Some(after) = after {
            let histogram = self.families.accepted_to_finished_seconds.with_label_values(&[scan_type.as_str()]);
            histogram.observe(after.as_secs_f64());
        }
    }

    /// Scans of a class that wait.
    pub fn set_queue(&self, class: PriorityClass, scans: u64) {
        self.families.queue_scans.with_label_values(&[&*self.tenant, class.as_str()]).set(whole(scans));
    }

    /// Age of the oldest scan that waits, and the wait that a new one of the lowest priority would have.
    pub fn set_queue_times(&self, oldest: Duration, estimate: Duration) {
        self.families.queue_oldest_seconds.with_label_values(&[&*self.tenant]).set(oldest.as_secs_f64());
        self.families.queue_wait_estimate_seconds.with_label_values(&[&*self.tenant]).set(estimate.as_secs_f64());
    }

    /// Calls left in a window.
    pub fn set_quota_remaining(&self, window: QuotaWindow, calls: u64) {
        self.families.quota_remaining.with_label_values(&[&*self.tenant, window.as_str()]).set(whole(calls));
    }

    /// The breaker changed.
    pub fn set_breaker(&self, state: BreakerState) {
        let value = match state {
            BreakerState::Closed => 0.0,
            BreakerState::Probing => 1.0,
            BreakerState::Open => 2.0,
        };
        self.families.breaker_state.with_label_values(&[&*self.tenant]).set(value);
    }

    /// The kill switch.
    pub fn set_halted(&self, halted: bool) {
        self.families.halted.with_label_values(&[&*self.tenant]).set(f64::from(u8::from(halted)));
    }

    // --- Kafka ---

    /// Records between the committed offset and the end of a partition this worker owns.
    pub fn set_consumer_lag(&self, topic: &str, partition: i32, records: u64) {
        self.families.consumer_lag.with_label_values(&[topic, &partition.to_string()]).set(whole(records));
    }

    /// How long the oldest uncommitted record of an alerts partition has been held.
    pub fn set_oldest_uncommitted(&self, partition: i32, held: Duration) {
        let gauge = self.families.oldest_uncommitted_seconds.with_label_values(&[&partition.to_string()]);
        gauge.set(held.as_secs_f64());
    }

    /// An alerts partition is no longer ours: its series go. For the ledger use [`Self::ledger_partition_lost`].
    pub fn alerts_partition_lost(&self, topic: &str, partition: i32) {
        self.ledger_partition_lost(topic, partition);
        remove(self.families.oldest_uncommitted_seconds.remove_label_values(&[&partition.to_string()]));
    }

    /// A ledger partition is no longer ours: its series go.
    pub fn ledger_partition_lost(&self, topic: &str, partition: i32) {
        remove(self.families.consumer_lag.remove_label_values(&[topic, &partition.to_string()]));
    }

    /// Partitions of a topic that this worker owns.
    pub fn set_owned_partitions(&self, topic: &str, partitions: u64) {
        self.families.owned_partitions.with_label_values(&[topic]).set(whole(partitions));
    }

    /// A rebalance happened.
    pub fn rebalance(&self) {
        self.families.rebalances.with_label_values::<&str>(&[]).inc();
    }

    /// A loop came round.
    pub(super) fn loop_progress(&self, name: &str, at: Timestamp) {
        self.families.loop_last_progress.with_label_values(&[name]).set(at.as_duration().as_secs_f64());
    }
}

/// A gauge's value. Prometheus has only floats; counts stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// Removing a series that was never there is no fault.
fn remove(result: prometheus::Result<()>) {
    drop(result);
}

/// The values that a label has in the series of a family.
fn label_values(family: &impl Collector, label: &str) -> Vec<String> {
    let collected = family.collect();
    let metrics = collected.iter().flat_map(|family| family.get_metric());
    let labels = metrics.flat_map(|metric| metric.get_label());
    labels.filter(|pair| pair.name() == label).map(|pair| pair.value().to_owned()).collect()
}
