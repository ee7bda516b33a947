//! What the ledger holds already of records whose offsets are not committed.
//!
//! Whoever had a partition before us may have died between the append and the commit. Its records are read again, perhaps by
//! other rules; what it wrote about them stands, so that no observation comes to two ends. Where in the ledger to begin is in
//! the metadata of the commit, [`Tally::ledger_from`](crate::kafka::Tally::ledger_from).

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::sleep;

use super::decision::Recorded;
use crate::event::{EventBody, FailedReason, ScanEvent};
use crate::kafka::{Cluster, ConsumedRecord, KafkaError, RecordStream, ScanExtent, Settings};
use crate::worker::decide::INTAKE_CLAIM;

/// Pause before the ledger is read again after it could not be.
const AGAIN: Duration = Duration::from_secs(1);
/// Observations that are remembered; what is beyond is decided anew. An owner holds some 20,000 records at most that are not
/// committed, and few of them ask for a scan.
const MOST_RECORDED: usize = 250_000;

/// A partition that waits for what the ledger holds of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The assignment.
    pub(super) epoch: u64,
    /// The first record to read.
    pub(super) start: i64,
    /// Where in the ledger to look.
    pub(super) ledger_from: i64,
}

/// What the ledger holds of the records of some partitions.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    /// By partition and offset of the record.
    pub(super) partitions: BTreeMap<i32, HashMap<i64, Vec<Recorded>>>,
    /// The ledger holds everything before it.
    pub(super) ledger_end: i64,
}

type Reading = Pin<Box<dyn Future<Output = (BTreeMap<i32, Wanted>, Result<Recalled, KafkaError>)> + Send>>;

/// Reads the ledger for partitions that wait, one reading at a time.
#[derive(Default)]
pub(super) struct Recall {
    wanted: BTreeMap<i32, Wanted>,
    reading: Option<Reading>,
    failed: bool,
}

impl Recall {
    /// A partition waits.
    pub(super) fn want(&mut self, partition: i32, wanted: Wanted) {
        self.wanted.insert(partition, wanted);
    }

    /// Partitions are no longer ours.
    pub(super) fn forget(&mut self, partition: i32) {
        self.wanted.remove(&partition);
    }

    /// The next reading that has ended, with the partitions that it was for; waits for ever when nobody waits. Safe to cancel.
    pub(super) async fn next(&mut self, kafka: &Settings) -> (BTreeMap<i32, Wanted>, Result<Recalled, KafkaError>) {
        if self.reading.is_none() && !self.wanted.is_empty() {
            let (wanted, kafka) = (std::mem::take(&mut self.wanted), kafka.clone());
            let pause = if self.failed { AGAIN } else { Duration::ZERO };
            self.reading = Some(Box::pin(async move {
                sleep(pause).await;
                let recalled = read(&kafka, &wanted).await;
                (wanted, recalled)
            }));
        }
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let (wanted, recalled) = reading.await;
        self.reading = None;
        self.failed = recalled.is_err();
        (wanted, recalled)
    }
}

async fn read(kafka: &Settings, wanted: &BTreeMap<i32, Wanted>) -> Result<Recalled, KafkaError> {
    let partition = kafka.ledger.partition;
    let offset = wanted.values().map(|wanted| wanted.ledger_from).min().unwrap_or(0);
    let extent = ScanExtent::PartitionFrom { partition, offset };
    let mut records = RecordStream::open(kafka, Cluster::Ledger, &kafka.ledger_topic, extent).await?;
    let mut recalled = Recalled { ledger_end: offset, ..Recalled::default() };
    let (mut read, mut found) = (0_u64, 0);
    while let Some(record) = records.next().await {
        let record = record?;
        read += 1;
        recalled.ledger_end = recalled.ledger_end.max(record.offset + 1);
        if found < MOST_RECORDED {
            found += usize::from(recalled.take(&record, &kafka.alerts_topic, wanted));
        }
    }
    if found >= MOST_RECORDED {
        tracing::error!(
            found,
            "The ledger holds more of what is read again than can be remembered: the rest is decided anew."
        );
    }
    tracing::info!(from = offset, read, found, "Read what the ledger already holds of records that are not committed.");
    Ok(recalled)
}

impl Recalled {
    /// Remembers what a record of the ledger says of an observation that is read again. Whether it does.
    fn take(&mut self, record: &ConsumedRecord, alerts_topic: &str, wanted: &BTreeMap<i32, Wanted>) -> bool {
        // Most records are of other types, and their headers say so.
        let is_intakes = |name: &str| name.contains(".requested.") || name.contains(".failed.");
        if !record.header("ce_type").is_none_or(is_intakes) {
            return false;
        }
        let payload = record.payload.as_deref().unwrap_or_default();
        // What cannot be read is for the ledger's owner to complain about.
        let Ok(event) = ScanEvent::from_json(payload) else { return false };
        let Some((alert, request_ids, failed)) = written_by_intake(&event) else { return false };
        let is_wanted = alert.topic == alerts_topic
            && wanted.get(&alert.partition).is_some_and(|wanted| alert.offset >= wanted.start);
        let [request_id] = request_ids else { return false };
        if !is_wanted {
            return false;
        }
        let of_record = self.partitions.entry(alert.partition).or_default().entry(alert.offset).or_default();
        // The first one is what counts in the ledger.
        if of_record.iter().any(|known| known.request_id == *request_id) {
            return false;
        }
        of_record.push(Recorded { request_id: request_id.clone(), alert_id: alert.id.clone(), failed });
        true
    }
}

/// The alert, the identity of the observation, and why it failed if it did.
fn written_by_intake(event: &ScanEvent) -> Option<(&crate::event::AlertRef, &[String], Option<FailedReason>)> {
    match &event.body {
        EventBody::Requested(body) => Some((body.alerts.first()?, &body.request_ids, None)),
        EventBody::Failed(body) if body.claim == INTAKE_CLAIM => {
            Some((body.alerts.first()?, &body.request_ids, Some(body.reason)))
        }
        _ => None,
    }
}
