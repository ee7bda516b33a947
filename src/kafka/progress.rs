//! How far a partition of alerts has come: the offset that may be committed, and what became of everything before it.
//!
//! Pure. Records may finish in any order; only the contiguous prefix counts. Its counts travel in the metadata of the
//! commit, so that offset and counts are one: `alert-responder ledger audit` compares them with the topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{Assigned, MAX_COMMIT_METADATA};
use crate::event::{DeadLetterReason, FailedReason, SkippedReason};

/// Version of the metadata's layout.
const VERSION: u32 = 1;

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordOutcomes {
    /// Observations in it: (alert, device) pairs, and one for each alert without a device; one for a dead letter.
    pub observed: u32,
    /// Observations that became a `requested` event.
    pub requested: u32,
    /// Observations that became a `failed` event.
    pub failed: Vec<FailedReason>,
    /// Observations that were skipped.
    pub skipped: Vec<SkippedReason>,
    /// The record went to the dead letters.
    pub dead_letter: Option<DeadLetterReason>,
}

/// What became of the records of `[base, offset)`, where `offset` is the committed offset it travels with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Layout version.
    #[serde(rename = "v")]
    pub version: u32,
    /// Offset at which the counting began.
    #[serde(rename = "b")]
    pub base: i64,
    /// Records.
    #[serde(rename = "r")]
    pub records: u64,
    /// Observations in them.
    #[serde(rename = "o")]
    pub observed: u64,
    /// Those that became a `requested` event.
    #[serde(rename = "q")]
    pub requested: u64,
    /// Those that became a `failed` event, by reason.
    #[serde(rename = "f", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<FailedReason, u64>,
    /// Those that were skipped, by reason.
    #[serde(rename = "s", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<SkippedReason, u64>,
    /// Records that went to the dead letters, by reason.
    #[serde(rename = "d", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_lettered: BTreeMap<DeadLetterReason, u64>,
    /// What the ledger may hold already of records at or after the committed offset is at or after this offset of it;
    /// unknown where it is absent.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub ledger_from: Option<i64>,
}

impl Tally {
    fn beginning_at(base: i64) -> Self {
        Self { version: VERSION, base, ..Self::default() }
    }

    /// Reads the metadata of a commit; `None` when it is not ours (somebody else committed, or a newer version did).
    #[must_use]
    pub fn from_metadata(metadata: &str) -> Option<Self> {
        serde_json::from_str(metadata).ok().filter(|tally: &Self| tally.version == VERSION)
    }

    /// The metadata of a commit: compact JSON, at most 1,024 bytes.
    #[must_use]
    pub fn to_metadata(&self) -> String {
        // Maps with text keys and numbers always are JSON; and with every reason at 10^15 it fits (see the test). Beyond
        // that, no metadata is better than no commit.
        let metadata = serde_json::to_string(self).unwrap_or_default();
        if metadata.len() <= MAX_COMMIT_METADATA { metadata } else { String::new() }
    }

    /// Observations that ended somewhere; equal to `observed` when the books balance.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.requested
            + self.failed.values().sum::<u64>()
            + self.skipped.values().sum::<u64>()
            + self.dead_lettered.values().sum::<u64>()
    }

    fn add(&mut self, record: &RecordOutcomes) {
        self.records += 1;
        self.observed += u64::from(record.observed);
        self.requested += u64::from(record.requested);
        for reason in &record.failed {
            *self.failed.entry(*reason).or_default() += 1;
        }
        for reason in &record.skipped {
            *self.skipped.entry(*reason).or_default() += 1;
        }
        if let Some(reason) = record.dead_letter {
            *self.dead_lettered.entry(reason).or_default() += 1;
        }
    }
}

/// What may be committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPoint {
    /// The next offset to read.
    pub offset: i64,
    /// See [`Tally::to_metadata`].
    pub metadata: String,
}

/// One partition's progress under one assignment.
#[derive(Debug, Clone)]
pub struct Progress {
    tally: Tally,
    /// Everything below is finished and in the tally.
    prefix: i64,
    /// Records at or after the prefix.
    records: BTreeMap<i64, Held>,
    open: usize,
    /// `None`: nothing ever was.
    committed: Option<i64>,
    /// Records below it may have been in the hand of an owner before us, who had the ledger from `tally.ledger_from` on.
    inherited_below: i64,
}

/// A record at or after the prefix.
#[derive(Debug, Clone)]
struct Held {
    /// See [`Tally::ledger_from`].
    ledger_from: Option<i64>,
    /// `None` while open.
    outcomes: Option<RecordOutcomes>,
}

impl Progress {
    /// Goes on where the group's last commit stopped. The counts begin anew where that commit carries none of ours, or
    /// where the log no longer holds its offset.
    #[must_use]
    pub fn resume(assigned: &Assigned) -> Self {
        let start = assigned.start();
        let Assigned { low_watermark, high_watermark, .. } = *assigned;
        let committed = assigned.committed.as_ref();
        let carried = committed.and_then(|committed| Tally::from_metadata(&committed.metadata));
        // A log that ends before the commit was made anew: its offsets are those of other records.
        let is_same_log = committed.is_some_and(|committed| committed.offset <= high_watermark);
        let ledger_from = carried.as_ref().filter(|_| is_same_log).and_then(|tally| tally.ledger_from);
        let counts = carried.filter(|_| !assigned.is_out_of_range());
        Self {
            tally: Tally { ledger_from, ..counts.unwrap_or_else(|| Tally::beginning_at(start)) },
            prefix: start,
            records: BTreeMap::new(),
            open: 0,
            committed: committed.map(|_| start),
            inherited_below: high_watermark.max(low_watermark),
        }
    }

    /// Where in the ledger to look for what owners before us have written about records that are still to come; `None` when
    /// there is no such record, or no owner of ours before us.
    #[must_use]
    pub fn inherits(&self) -> Option<i64> {
        self.tally.ledger_from.filter(|_| self.prefix < self.inherited_below)
    }

    /// A record was read, when the ledger held everything before `ledger_end`. `false` when it is already known (below the
    /// prefix, or open): it must not be worked on twice.
    pub fn begin(&mut self, offset: i64, ledger_end: i64) -> bool {
        if offset < self.prefix || self.records.contains_key(&offset) {
            return false;
        }
        let ledger_from = self.ledger_from(offset, ledger_end);
        self.records.insert(offset, Held { ledger_from, outcomes: None });
        self.open += 1;
        true
    }

    /// Where the ledger can begin to hold something of a record that is begun now.
    fn ledger_from(&self, offset: i64, ledger_end: i64) -> Option<i64> {
        let inherited = self.tally.ledger_from;
        if inherited.is_some() && offset < self.inherited_below { inherited } else { Some(ledger_end).max(inherited) }
    }

    /// A record's decision is durable. Ignored when the record is not open.
    pub fn finish(&mut self, offset: i64, outcomes: RecordOutcomes) {
        let Some(slot @ Held { outcomes: None, .. }) = self.records.get_mut(&offset) else { return };
        slot.outcomes = Some(outcomes);
        self.open -= 1;
        while let Some(first) = self.records.first_entry()
            && first.get().outcomes.is_some()
        {
            let (offset, held) = first.remove_entry();
            self.tally.add(&held.outcomes.unwrap_or_default());
            // Offsets may have gaps: the prefix ends behind the last finished record, not before the next one.
            self.prefix = offset + 1;
        }
    }

    /// Records whose decision is not durable yet.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.open
    }

    /// Records that are remembered: those that are open, and those that are finished and wait behind one that is open.
    #[must_use]
    pub fn held(&self) -> usize {
        self.records.len()
    }

    /// The next offset to read that may be committed.
    #[must_use]
    pub const fn prefix(&self) -> i64 {
        self.prefix
    }

    /// Counts of everything before [`Self::prefix`].
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What may be committed, if it is more than what was; the ledger holds everything before `ledger_end`. Where nothing ever
    /// was, the beginning is: an owner after us must know where to look.
    #[must_use]
    pub fn commit_point(&self, ledger_end: i64) -> Option<CommitPoint> {
        self.committed.is_none_or(|committed| self.prefix > committed).then(|| {
            // Records are begun in the order of offsets, so the first that is open goes back furthest.
            let ledger_from = match self.records.first_key_value() {
                Some((_, open)) => open.ledger_from,
                None => self.ledger_from(self.prefix, ledger_end),
            };
            let tally = Tally { ledger_from, ..self.tally.clone() };
            CommitPoint { offset: self.prefix, metadata: tally.to_metadata() }
        })
    }

    /// The broker has a commit.
    pub fn committed(&mut self, offset: i64) {
        self.committed = self.committed.max(Some(offset));
    }
}
