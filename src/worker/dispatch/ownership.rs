//! How an ownership of the tenant's partition begins and ends, and what is shown of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Running;
use crate::kafka::{Assigned, KafkaError, LedgerConsumer, LedgerWriter};
use crate::scheduler::Snapshot;
use crate::worker::lane::{Lane, Stop};

/// Pause before a consumer that failed for good is made anew.
const REJOIN_AFTER: Duration = Duration::from_secs(1);

impl Running {
    /// The tenant's partition was assigned to this replica.
    pub(super) fn assigned(&mut self, assigned: Assigned) {
        self.dispatch.metrics.rebalance();
        if self.winding_down {
            // It is given back at once: a claim would begin what nobody is there to finish.
            return;
        }
        self.dispatch.metrics.set_owned_partitions(&self.dispatch.kafka.ledger_topic, 1);
        self.assigned = Some(assigned);
        self.claim();
    }

    /// This replica has no part in the tenant's partition any more.
    pub(super) fn disowned(&mut self) {
        self.show_nothing();
        // Whether the ledger is intact is the next owner's to say.
        self.dispatch.not_halted.set(true);
        self.last_word = None;
        self.assigned = None;
        self.claim_again = None;
    }

    /// Nothing is dispatched here, and the metrics must show it: that nobody dispatches is told by them.
    fn show_nothing(&self) {
        let topic = &self.dispatch.kafka.ledger_topic;
        self.dispatch.metrics.set_owned_partitions(topic, 0);
        self.dispatch.metrics.ledger_partition_lost(topic, self.dispatch.context.partition);
        self.dispatch.context.accounts.show(&Snapshot::default());
    }

    /// Its writer goes with it, and with that what was not sent. What came of calls is held for the next ownership; the fold
    /// ignores what reached the ledger all the same.
    fn drop_lane(&mut self) {
        self.lane = None;
        self.held.append(&mut self.answered);
    }

    /// Leaves the group, to join it again in a while: at once would be once more and once more where joining does not help.
    pub(super) fn leave(&mut self) {
        self.disowned();
        self.drop_lane();
        self.consumer = None;
        self.claim_again = Some(Instant::now() + REJOIN_AFTER);
    }

    /// Joins the group anew, so that the next ownership replays from the committed position. The partition is not revoked from
    /// a consumer that is no longer heard.
    pub(super) fn join_again(&mut self) -> Result<(), KafkaError> {
        self.disowned();
        self.drop_lane();
        self.consumer = Some(LedgerConsumer::join(&self.dispatch.kafka)?);
        Ok(())
    }

    /// Begins an ownership of the assigned partition.
    fn claim(&mut self) {
        self.claim_again = None;
        let (Some(assigned), Some(consumer)) = (self.assigned.clone(), &self.consumer) else { return };
        let begun = LedgerWriter::new(&self.dispatch.kafka)
            .and_then(|writer| consumer.start_from(assigned.partition, assigned.start()).map(|()| writer));
        let writer = match begun {
            Ok(writer) => writer,
            Err(error) => {
                tracing::warn!(%error, code = error.code(), "The ledger's partition cannot be claimed; it is tried again.");
                // A lane of an earlier assignment has not read what came since.
                self.drop_lane();
                self.show_nothing();
                self.claim_again = Some(Instant::now() + self.dispatch.settings.reclaim_delay);
                return;
            }
        };
        self.drop_lane();
        match Lane::begin(self.dispatch.context.clone(), writer, &assigned, rand::random(), Timestamp::now()) {
            Ok(lane) => self.lane = Some(lane),
            Err(stop) => self.say(&stop),
        }
    }

    /// Says once why nothing is dispatched.
    pub(super) fn say(&mut self, stop: &Stop) {
        let word = match stop {
            Stop::Superseded => "another owner claimed the ledger; this one stands back".to_owned(),
            Stop::AppendFailed(error) => format!("a record may not have reached the ledger: {error}"),
            Stop::Gap(what) => format!("the ledger was not read without a gap: {what}"),
            Stop::Halted(why) => why.clone(),
        };
        if self.last_word.as_ref() == Some(&word) {
            return;
        }
        self.show_nothing();
        match stop {
            Stop::Halted(_) => {
                self.dispatch.not_halted.set(false);
                tracing::error!(reason = word, "Dispatch has halted; requests wait in the ledger.");
            }
            Stop::Superseded | Stop::AppendFailed(_) | Stop::Gap(_) => {
                tracing::warn!(reason = word, "Dispatch claims the ledger again in a while.");
            }
        }
        self.last_word = Some(word);
    }
}
