//! The ledger, followed from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use alert_responder::event::{EventBody, Outcome, ScanEvent};
use alert_responder::kafka::{Cluster, RecordStream, ScanExtent, Settings};
use jiff::Timestamp;

/// Where an observation was made: partition, offset, index in the record, machine id.
pub(crate) type Place = (i32, i64, u32, String);

/// An attempt's intent.
#[derive(Debug, Clone)]
pub(crate) struct IntentSeen {
    pub(crate) scan_id: String,
    pub(crate) comment: String,
    pub(crate) time: Timestamp,
    pub(crate) device_id: String,
}

/// What the ledger has said so far. It is read by our own, simpler eyes: only a terminal record under the claim that was
/// in force at its offset ends a request.
pub(crate) struct Ledger {
    records: RecordStream,
    /// Everything read, for who looks into a failure.
    copy: File,
    /// Next offset.
    pub(crate) end: i64,
    claim: Option<String>,
    pub(crate) claims: usize,
    /// Request id to where it was observed.
    pub(crate) requests: BTreeMap<String, Place>,
    /// `requested` records that repeat an earlier one.
    pub(crate) repeated: usize,
    /// The outcomes that each request got under the claims in force.
    pub(crate) outcomes: BTreeMap<String, Vec<Outcome>>,
    /// Terminal records that were void because their claim was no longer in force.
    pub(crate) void: usize,
    pub(crate) intents: Vec<IntentSeen>,
    open_attempts: BTreeSet<(String, u32)>,
    /// Attempts without a result when another owner took over.
    pub(crate) inherited: usize,
    /// Accepted scans by device, as the ledger has it.
    pub(crate) accepted: BTreeMap<String, BTreeSet<String>>,
    /// Accepted scans that only a list told of.
    pub(crate) accepted_by_list: usize,
    /// Names of all events, counted.
    pub(crate) events: BTreeMap<&'static str, usize>,
}

impl Ledger {
    /// Begins to read; every record is copied to the file.
    pub(crate) async fn follow(settings: &Settings, copy: &Path) -> Self {
        let records = RecordStream::open(settings, Cluster::Ledger, &settings.ledger_topic, ScanExtent::FromBeginning);
        Self {
            records: records.await.expect("the ledger can be read"),
            copy: File::create(copy).expect("a file"),
            end: 0,
            claim: None,
            claims: 0,
            requests: BTreeMap::new(),
            repeated: 0,
            outcomes: BTreeMap::new(),
            void: 0,
            intents: Vec::new(),
            open_attempts: BTreeSet::new(),
            inherited: 0,
            accepted: BTreeMap::new(),
            accepted_by_list: 0,
            events: BTreeMap::new(),
        }
    }

    /// Reads what there is, until nothing comes for a moment.
    pub(crate) async fn read(&mut self) {
        let moment = std::time::Duration::from_millis(300);
        while let Ok(record) = tokio::time::timeout(moment, self.records.next()).await {
            let record = record.expect("it goes on for ever").expect("the ledger can be read");
            assert!(record.offset >= self.end, "the ledger is read in order");
            self.end = record.offset + 1;
            let payload = record.payload.unwrap_or_default();
            self.copy.write_all(&payload).and_then(|()| self.copy.write_all(b"\n")).expect("it can be written");
            let event = ScanEvent::from_json(&payload).expect("a ledger record");
            self.take(&event);
        }
    }

    fn take(&mut self, event: &ScanEvent) {
        *self.events.entry(event.body.name()).or_default() += 1;
        match &event.body {
            EventBody::Claim(claim) => {
                self.claim = Some(claim.claim.clone());
                self.claims += 1;
                self.inherited += self.open_attempts.len();
                self.open_attempts.clear();
            }
            EventBody::Requested(asked) => {
                let alert = &asked.alerts[0];
                let place = (alert.partition, alert.offset, alert.index, asked.device.id.clone());
                if let Some(first) = self.requests.insert(asked.request_ids[0].clone(), place.clone()) {
                    assert_eq!(first, place, "one id, one observation");
                    self.repeated += 1;
                }
            }
            EventBody::Intent(intent) => {
                if self.is_in_force(&intent.claim) {
                    self.open_attempts.insert((intent.scan_id.clone(), intent.attempt));
                }
                // One that is void counts as well: what was called for it must have been read back first.
                self.intents.push(IntentSeen {
                    scan_id: intent.scan_id.clone(),
                    comment: intent.comment.clone(),
                    time: event.time,
                    device_id: intent.device.id.clone(),
                });
            }
            EventBody::Withdrawn(body) => self.resolved(&body.scan_id, body.attempt),
            EventBody::AttemptFailed(body) => self.resolved(&body.scan_id, body.attempt),
            EventBody::Accepted(body) => {
                self.resolved(&body.scan_id, body.attempt);
                self.accepted.entry(body.device.id.clone()).or_default().insert(body.scan_id.clone());
                if body.resolved_by == alert_responder::event::ResolvedBy::List {
                    self.accepted_by_list += 1;
                }
            }
            EventBody::Joined(body) => {
                if let Some(attempt) = body.attempt {
                    self.resolved(&body.scan_id, attempt);
                }
            }
            EventBody::Shadowed(body) => self.ended(&body.claim, &body.request_ids, Outcome::Shadowed),
            EventBody::Suppressed(body) => {
                self.ended(&body.claim, &body.request_ids, Outcome::Suppressed(body.reason));
            }
            EventBody::Failed(body) => self.ended(&body.claim, &body.request_ids, Outcome::Failed(body.reason)),
            EventBody::Finished(body) => {
                let failed = body.status.failed_reason().map(Outcome::Failed);
                self.ended(&body.claim, &body.request_ids, failed.unwrap_or(Outcome::Scanned));
                self.ended(&body.claim, &body.joined_request_ids, failed.unwrap_or(Outcome::Joined));
            }
            EventBody::Genesis(_) | EventBody::Control(_) | EventBody::Carried(_) => {}
        }
    }

    fn is_in_force(&self, claim: &str) -> bool {
        self.claim.as_deref() == Some(claim)
    }

    fn resolved(&mut self, scan_id: &str, attempt: u32) {
        self.open_attempts.remove(&(scan_id.to_owned(), attempt));
    }

    fn ended(&mut self, claim: &str, requests: &[String], outcome: Outcome) {
        if !self.is_in_force(claim) {
            self.void += 1;
            return;
        }
        for id in requests {
            self.outcomes.entry(id.clone()).or_default().push(outcome);
        }
    }

    /// Requests without an outcome.
    pub(crate) fn open(&self) -> usize {
        self.requests.keys().filter(|id| !self.outcomes.contains_key(*id)).count()
    }

    /// Where those were observed.
    pub(crate) fn open_places(&self) -> impl Iterator<Item = &Place> {
        self.requests.iter().filter(|(id, _)| !self.outcomes.contains_key(*id)).map(|(_, place)| place)
    }

    /// Counts of outcomes, by their words.
    pub(crate) fn totals(&self) -> BTreeMap<String, usize> {
        let mut totals = BTreeMap::new();
        for outcome in self.outcomes.values().flatten() {
            let word = format!("{} {}", outcome.as_str(), outcome.reason()).trim_end().to_owned();
            *totals.entry(word).or_default() += 1;
        }
        totals
    }

    /// The outcomes of a device's requests.
    pub(crate) fn outcomes_of(&self, device_id: &str) -> Vec<Outcome> {
        let of_device = self.requests.iter().filter(|(_, place)| place.3 == device_id);
        of_device.filter_map(|(id, _)| self.outcomes.get(id)).flatten().copied().collect()
    }
}
