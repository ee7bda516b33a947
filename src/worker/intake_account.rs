//! What intake's news mean to metrics.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::intake::{IntakeObserver, RecordDecision};
use crate::event::Outcome;
use crate::kafka::{Assigned, KafkaError, Tally};
use crate::telemetry::{Condition, Metrics, Progress};

/// Counts what intake does.
#[derive(Debug)]
pub(crate) struct IntakeAccounts {
    pub(crate) metrics: Metrics,
    pub(crate) topic: String,
    pub(crate) progress: Progress,
    /// Holds once the group was joined.
    pub(crate) joined: Condition,
    pub(crate) partitions: AtomicI64,
}

impl IntakeAccounts {
    fn owns(&self, more: i64) {
        let owned = self.partitions.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.metrics.set_owned_partitions(&self.topic, u64::try_from(owned).unwrap_or(0));
        self.metrics.rebalance();
    }
}

impl IntakeObserver for IntakeAccounts {
    fn joined(&self) {
        self.joined.set(true);
    }

    fn assigned(&self, _assigned: &Assigned) {
        self.owns(1);
    }

    fn revoked(&self, partition: i32, _lost: bool) {
        self.owns(-1);
        self.metrics.alerts_partition_lost(&self.topic, partition);
    }

    fn read(&self, decision: &RecordDecision) {
        for format in &decision.alerts {
            self.metrics.received(*format, 1);
        }
        for matched in &decision.matches {
            self.metrics.rule_match(&matched.rule_id, matched.mode);
        }
    }

    fn decided(&self, decision: &RecordDecision) {
        for reason in &decision.skipped {
            self.metrics.outcome(Outcome::Skipped(*reason), 1);
        }
        if let Some((reason, _)) = &decision.dead_letter {
            self.metrics.outcome(Outcome::DeadLettered(*reason), 1);
            self.metrics.dead_letter(*reason);
        }
        // A rule that could not be evaluated is terminal from the start.
        for reason in decision.outcomes().failed {
            self.metrics.outcome(Outcome::Failed(reason), 1);
        }
    }

    fn committed(&self, _partition: i32, _offset: i64, _tally: &Tally) {}

    fn lag(&self, partition: i32, records: u64) {
        self.metrics.set_consumer_lag(&self.topic, partition, records);
    }

    fn in_hand(&self, _records: usize, oldest: &[(i32, Option<Timestamp>)]) {
        let now = Timestamp::now();
        self.progress.beat(now);
        for (partition, since) in oldest {
            let held = since.map(|since| now.duration_since(since)).unwrap_or_default();
            self.metrics.set_oldest_uncommitted(*partition, held.try_into().unwrap_or_default());
        }
    }

    fn trouble(&self, _error: &KafkaError) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{Liveness, Readiness};

    /// A standby that never became ready would hold up a rollout.
    #[test]
    fn a_member_without_a_partition_is_ready() {
        let metrics = Metrics::new("t").unwrap();
        let readiness = Readiness::default();
        let accounts = IntakeAccounts {
            topic: "alerts".to_owned(),
            progress: Liveness::new(metrics.clone()).register("intake", Duration::from_secs(1), Timestamp::now()),
            metrics,
            joined: readiness.condition("alerts group joined", false),
            partitions: AtomicI64::new(0),
        };
        assert!(!readiness.is_ready());
        accounts.joined();
        assert!(readiness.is_ready());
    }
}
