//! The pure step of intake: what one record means.

use crate::alert::Format;
use crate::event::{DeadLetterReason, EventBody, FailedReason, ScanEvent, SkippedReason};
use crate::kafka::{ConsumedRecord, RecordOutcomes};
use crate::rules::RuleMatch;

/// An observation of which the ledger says already what became of it: an owner of the partition before us wrote that, and did
/// not live to commit the offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Identity of the observation.
    pub request_id: String,
    /// The alert that it was seen in.
    pub alert_id: String,
    /// `None`: a scan was requested.
    pub failed: Option<FailedReason>,
}

impl Recorded {
    /// What an event of intake says; `None` for any other.
    pub(super) fn of(event: &ScanEvent) -> Option<Self> {
        let (ids, alerts, failed) = match &event.body {
            EventBody::Requested(body) => (&body.request_ids, &body.alerts, None),
            EventBody::Failed(body) => (&body.request_ids, &body.alerts, Some(body.reason)),
            _ => return None,
        };
        Some(Self { request_id: ids.first()?.clone(), alert_id: alerts.first()?.id.clone(), failed })
    }
}

/// What one record of the alerts topic means. Every observation in it (an alert with one of its devices, or an alert without
/// any) is in exactly one of the lists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordDecision {
    /// The wire format of each alert in the record.
    pub alerts: Vec<Format>,
    /// Rules that matched, once per observation.
    pub matches: Vec<RuleMatch>,
    /// Observations in the record; 1 for a dead letter.
    pub observed: u32,
    /// Observations that are in the ledger already, whatever the rules say of them by now.
    pub recorded: Vec<Recorded>,
    /// `requested` events.
    pub requested: Vec<ScanEvent>,
    /// `failed` events: a rule matched and its response could not be built.
    pub failed: Vec<ScanEvent>,
    /// Observations that ask for nothing.
    pub skipped: Vec<SkippedReason>,
    /// The record could not be decoded; the detail is for people.
    pub dead_letter: Option<(DeadLetterReason, String)>,
}

impl RecordDecision {
    /// The whole record is a dead letter.
    #[must_use]
    pub fn dead_letter(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        Self { observed: 1, dead_letter: Some((reason, detail.into())), ..Self::default() }
    }

    /// What is counted of it.
    #[must_use]
    pub fn outcomes(&self) -> RecordOutcomes {
        let failed_now = self.failed.iter().filter_map(|event| match &event.body {
            EventBody::Failed(failed) => Some(failed.reason),
            _ => None,
        });
        let requested_before = self.recorded.iter().filter(|recorded| recorded.failed.is_none()).count();
        RecordOutcomes {
            observed: self.observed,
            requested: u32::try_from(self.requested.len() + requested_before).unwrap_or(u32::MAX),
            failed: failed_now.chain(self.recorded.iter().filter_map(|recorded| recorded.failed)).collect(),
            skipped: self.skipped.clone(),
            dead_letter: self.dead_letter.as_ref().map(|(reason, _)| *reason),
        }
    }

    /// Records that it asks to be written.
    #[must_use]
    pub fn appends(&self) -> usize {
        self.requested.len() + self.failed.len() + usize::from(self.dead_letter.is_some())
    }

    /// Observations that are in one of the lists.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.recorded.len() + self.skipped.len() + self.appends()
    }

    /// Whether every observation is in exactly one list.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        usize::try_from(self.observed) == Ok(self.listed())
    }
}

/// Decides about records. Called in the order of offsets within a partition; a redelivered record must give events with the
/// same ids.
pub trait Decide: Send + Sync {
    /// What the record means, `recorded` being what the ledger says of it already: those observations are not decided again.
    /// It has a value: tombstones never get here.
    fn decide(&self, record: &ConsumedRecord, recorded: &[Recorded]) -> RecordDecision;
}

impl<F: Fn(&ConsumedRecord, &[Recorded]) -> RecordDecision + Send + Sync> Decide for F {
    fn decide(&self, record: &ConsumedRecord, recorded: &[Recorded]) -> RecordDecision {
        self(record, recorded)
    }
}
