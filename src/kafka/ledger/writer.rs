//! Appending to the ledger.

use std::sync::Arc;
use std::time::Duration;

use crate::event::ScanEvent;
use crate::kafka::client::{self, Cluster};
use crate::kafka::dead_letters::{DeadLetter, dead_letter_headers};
use crate::kafka::error::KafkaError;
use crate::kafka::producer::{Delivery, NewRecord, RecordProducer};
use crate::kafka::record::owned_headers;
use crate::kafka::settings::Settings;

/// `ce_source` of every record: a URI reference that names this program.
const SOURCE: &str = "/alert-responder";
/// `ce_dataschema` of every record.
const DATA_SCHEMA: &str = "schemas/scan-event.schema.json";

/// Appends to the ledger, and writes dead letters beside it. Cheap to clone; clones share one queue and its order.
///
/// It is idempotent within its life: librdkafka's own retries neither double nor reorder a record. A record that was not
/// acknowledged in time may still be in the log; whoever appends it again relies on [`ScanEvent::id`].
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    producer: RecordProducer,
    ledger_topic: Arc<str>,
    dead_letters_topic: Arc<str>,
}

impl LedgerWriter {
    /// Makes a producer. It connects in the background.
    ///
    /// # Errors
    /// Wrong settings.
    pub fn new(settings: &Settings) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: RecordProducer::new(&client::producer(settings, Cluster::Ledger)?)?,
            ledger_topic: settings.ledger_topic.as_str().into(),
            dead_letters_topic: settings.dead_letters_topic.as_str().into(),
        })
    }

    /// Puts a record into the queue without waiting. Records of one partition are in the log in the order of these calls,
    /// as far as they are acknowledged: one that fails does not hold back those behind it.
    ///
    /// # Errors
    /// [`KafkaError::QueueFull`]: await earlier deliveries first. [`KafkaError::ProducerFatal`]: make a new writer.
    pub fn enqueue(&self, partition: i32, event: &ScanEvent) -> Result<Delivery, KafkaError> {
        let payload = event.to_json()?;
        let headers = cloud_event_headers(event);
        self.producer.enqueue(NewRecord {
            topic: &self.ledger_topic,
            partition: Some(partition),
            key: Some(event.tenant.as_bytes()),
            payload: Some(&payload),
            headers: owned_headers(headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())))),
            timestamp: None,
        })
    }

    /// Appends a record and waits until every in-sync replica has it: its offset.
    ///
    /// # Errors
    /// As for [`Self::enqueue`], and [`KafkaError::NotAcknowledged`], after which the record may or may not be in the log.
    pub async fn append(&self, partition: i32, event: &ScanEvent) -> Result<i64, KafkaError> {
        let (_, offset) = self.enqueue(partition, event)?.await?;
        Ok(offset)
    }

    /// Puts a dead letter into the queue; it keeps the key of its record.
    ///
    /// # Errors
    /// As for [`Self::enqueue`].
    pub fn enqueue_dead_letter(&self, letter: &DeadLetter<'_>) -> Result<Delivery, KafkaError> {
        let added = dead_letter_headers(letter);
        let kept = (!letter.position_only).then_some(letter.record);
        let original = kept.into_iter().flat_map(|record| &record.headers);
        let original = original.map(|(name, value)| (name.as_str(), value.as_deref()));
        let added = added.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        self.producer.enqueue(NewRecord {
            topic: &self.dead_letters_topic,
            partition: None,
            key: kept.and_then(|record| record.key.as_deref()),
            payload: kept.and_then(|record| record.payload.as_deref()),
            headers: owned_headers(original.chain(added)),
            timestamp: None,
        })
    }

    /// Whether it failed for good ([`KafkaError::ProducerFatal`]) and has to be made anew.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.producer.fatal().is_some()
    }

    /// Waits until everything in the queue is acknowledged or has failed, at most for `budget`. Whether it came to that.
    pub async fn flush(&self, budget: Duration) -> bool {
        self.producer.flush(budget).await
    }
}

/// Headers of a ledger record: CloudEvents 1.0, Kafka protocol binding, binary content mode.
#[must_use]
pub fn cloud_event_headers(event: &ScanEvent) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", event.id()),
        ("ce_source", SOURCE.to_owned()),
        ("ce_type", format!("com.alert-responder.scan.{}.v{}", event.body.name(), event.schema_version)),
        ("ce_time", event.time.to_string()),
        ("ce_dataschema", DATA_SCHEMA.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    if let Some(device) = event.body.device() {
        headers.push(("ce_subject", device.id.clone()));
    }
    headers
}
