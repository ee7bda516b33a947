//! `ledger audit`: recomputes from outside what the worker promises, and names every promise that the log breaks.
//!
//! It shares no code with the scheduler's fold: each rule is checked from the records alone, in the plainest way that is
//! sound. What it reports as a violation is proved by the records it names; what it cannot prove it leaves alone.
//! [`Audit`] is pure; [`audit`] feeds it from Kafka.

mod attempts;
mod balance;
mod command;
mod events;
mod guards;
mod inputs;
mod lane;
mod quota;
mod radius;
mod report;
mod requests;
mod scans;
mod silences;
#[cfg(test)]
mod tests;
mod text;
mod thresholds;
mod violation;

use std::collections::BTreeMap;

pub use command::{LedgerAuditArgs, audit};
pub use inputs::{AuditOptions, CommittedTally};
pub use report::{
    AuditReport, CallReport, InFlight, LaneReport, OpenRequest, PartitionReport, RequestReport, Verdict, WindowReport,
};
pub use text::render_text;
pub use violation::{Violation, ViolationCode};

use crate::event::{DeadLetterReason, EventError, ScanEvent};
use balance::Balance;
use lane::Lane;
use violation::Violations;

/// The audit of what one group did: its commits, and the ledger partition that it writes. Records of one ledger partition
/// must come in the order of their offsets; everything else may come in any order.
#[derive(Debug)]
pub struct Audit {
    options: AuditOptions,
    lanes: BTreeMap<i32, Lane>,
    balance: Balance,
    violations: Violations,
    notes: Vec<String>,
}

impl Audit {
    /// An audit that has seen nothing.
    #[must_use]
    pub fn new(options: AuditOptions) -> Self {
        let violations = Violations::new(options.listed_violations);
        Self { options, lanes: BTreeMap::new(), balance: Balance::default(), violations, notes: Vec::new() }
    }

    /// A record of the ledger, or why it cannot be read. A record at or before the last one of its partition is ignored.
    pub fn ledger_record(&mut self, partition: i32, offset: i64, record: Result<&ScanEvent, &EventError>) {
        let lane = self.lanes.entry(partition).or_insert_with(|| Lane::new(partition));
        lane.record(offset, record, &self.options, &mut self.violations);
    }

    /// The claim in force by the metadata of the dispatch group's commit. Tell it before the partition's first record: a log
    /// that begins after its last claim can then be judged.
    pub fn ledger_claim(&mut self, partition: i32, claim: &str) {
        self.lanes.entry(partition).or_insert_with(|| Lane::new(partition)).committed_claim(claim);
    }

    /// The ledger no longer reaches back to its beginning, however many records are left in it.
    pub fn ledger_begins_late(&mut self) {
        self.balance.ledger_late = true;
    }

    /// A dead letter: topic, partition and offset of the record that it keeps, and the reason.
    pub fn dead_letter(&mut self, topic: &str, partition: i32, offset: i64, reason: DeadLetterReason) {
        if topic == self.options.alerts_topic {
            self.balance.dead_letter(partition, offset, reason);
        }
    }

    /// The dead letters no longer reach back to their beginning.
    pub fn dead_letters_begin_late(&mut self) {
        self.balance.dead_letters_late = true;
    }

    /// A partition of the alerts topic is read, from its oldest record `low` on.
    pub fn alerts_partition(&mut self, partition: i32, low: i64) {
        self.balance.alerts_partition(partition, low);
    }

    /// A record of the alerts topic, and how many observations it holds: (alert, device) pairs, one for an alert without a
    /// device, one for a record that cannot be decoded.
    pub fn alerts_record(&mut self, partition: i32, offset: i64, observations: u32) {
        self.balance.alerts_record(partition, offset, observations);
    }

    /// What the intake group has committed for a partition of the alerts topic; `tally` is `None` where the commit carries
    /// none of ours.
    pub fn committed(&mut self, partition: i32, offset: i64, tally: Option<CommittedTally>) {
        self.balance.committed(partition, offset, tally);
    }

    /// Something that the report should say it could not check.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Draws the balance.
    #[must_use]
    pub fn finish(mut self) -> AuditReport {
        let partitions = self.balance.check(&self.lanes, &mut self.violations, &mut self.notes);
        report::draw(self.options, self.lanes, partitions, self.violations, self.notes)
    }
}
