//! What the audit is told besides the records.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::event::{DeadLetterReason, FailedReason, SkippedReason};
use crate::scheduler::QuotaSettings;

/// The promises whose measure is configuration.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// The topic that alerts are read from: requests and dead letters of other topics are not balanced.
    pub alerts_topic: String,
    /// Calls allowed in any `minute_window`.
    pub per_minute: u32,
    /// Calls allowed in any `hour_window`.
    pub per_hour: u32,
    /// Length of the short window.
    pub minute_window: Duration,
    /// Length of the long window.
    pub hour_window: Duration,
    /// Distinct devices that all rules together may reach, and in what time; `None` where that is not checked.
    pub blast_radius: Option<(u32, Duration)>,
    /// Quota and total cap have not changed since the log began, so former owners are judged by them too. They are
    /// configuration, and a change of it brings a new owner: otherwise the latest owner alone is judged by them.
    pub every_owner: bool,
    /// The worker has nothing left to do at this moment, so a request that still waits past its age limit is a violation.
    /// Otherwise such requests are only counted.
    pub at_rest: Option<Timestamp>,
    /// How long after its age limit a request that waits is overdue: time for the record of its end to be written.
    pub overdue_margin: Duration,
    /// How far the clocks of two owners may differ before an end that is earlier than its beginning is a violation.
    pub clock_tolerance: Duration,
    /// How long, in time of the log, a request that ended is known again for certain. For a day from then on it may be, as
    /// the worker knows the latest requests for longer; after that the same request begins anew.
    pub memory: Duration,
    /// Most violations of one code that are listed; all are counted.
    pub listed_violations: usize,
    /// Most requests in flight that are listed; all are counted.
    pub listed_in_flight: usize,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self::new("alerts", &QuotaSettings::default())
    }
}

impl AuditOptions {
    /// The measures that a configuration sets.
    #[must_use]
    pub fn new(alerts_topic: impl Into<String>, quota: &QuotaSettings) -> Self {
        Self {
            alerts_topic: alerts_topic.into(),
            per_minute: quota.per_minute,
            per_hour: quota.per_hour,
            minute_window: quota.minute_window,
            hour_window: quota.hour_window,
            blast_radius: None,
            every_owner: false,
            at_rest: None,
            overdue_margin: Duration::from_secs(300),
            clock_tolerance: Duration::from_secs(60),
            memory: crate::scheduler::MEMORY,
            listed_violations: 20,
            listed_in_flight: 20,
        }
    }
}

/// What intake says became of the records of `[base, committed offset)` of one partition: the metadata of its commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct CommittedTally {
    /// Layout version; 1.
    #[serde(rename = "v")]
    pub version: u32,
    /// Offset at which the counting began.
    #[serde(rename = "b")]
    pub base: i64,
    /// Observations.
    #[serde(rename = "o")]
    pub observed: u64,
    /// Those that became a `requested` event.
    #[serde(rename = "q")]
    pub requested: u64,
    /// Those that became a `failed` event of intake, by reason.
    #[serde(rename = "f", default)]
    pub failed: BTreeMap<FailedReason, u64>,
    /// Those that were skipped, by reason.
    #[serde(rename = "s", default)]
    pub skipped: BTreeMap<SkippedReason, u64>,
    /// Records that went to the dead letters, by reason.
    #[serde(rename = "d", default)]
    pub dead_lettered: BTreeMap<DeadLetterReason, u64>,
}

impl CommittedTally {
    /// Reads the metadata of a commit; `None` where it is not intake's, or of a newer layout.
    #[must_use]
    pub fn from_metadata(metadata: &str) -> Option<Self> {
        serde_json::from_str(metadata).ok().filter(|tally: &Self| tally.version == 1)
    }

    /// Observations that ended somewhere.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        let sum = |counts: &mut dyn Iterator<Item = &u64>| counts.fold(0_u64, |sum, count| sum.saturating_add(*count));
        self.requested
            .saturating_add(sum(&mut self.failed.values()))
            .saturating_add(sum(&mut self.skipped.values()))
            .saturating_add(sum(&mut self.dead_lettered.values()))
    }
}
