//! Dead letters read again, and sent back to where their records came from.
//!
//! A replayed record says so in three headers: `alert_responder_replay_of` names the dead letter (`topic/partition/offset`),
//! `alert_responder_replay_source` in the same way the record that it keeps, which may have several dead letters, and
//! `alert_responder_replays` counts how often the content was replayed. A record that becomes a dead letter once more keeps
//! them, since a dead letter keeps the headers of its record; so no loop goes unseen.

use jiff::Timestamp;

use super::client::{self, Cluster};
use super::error::KafkaError;
use super::producer::{NewRecord, RecordProducer};
use super::record::{ConsumedRecord, owned_headers};
use super::settings::Settings;

/// Names the dead letter that a record is the replay of.
const REPLAY_OF: &str = "alert_responder_replay_of";
/// Names the record that was a dead letter, where it was read.
const REPLAY_SOURCE: &str = "alert_responder_replay_source";
/// Counts how often the content was replayed.
const REPLAYS: &str = "alert_responder_replays";
/// The first header that a dead letter adds to those of its record.
const FIRST_ADDED: &str = "alert_responder_topic";

/// Replays after which a count is no longer believed; what a header says beyond it counts as so many.
pub const MAX_REPLAYS: u32 = 1_000_000;

/// A dead letter, and the record that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecord {
    /// Partition of the dead letter.
    pub partition: i32,
    /// Offset of the dead letter.
    pub offset: i64,
    /// Topic that the record was read from.
    pub source_topic: String,
    /// Partition that it was read from.
    pub source_partition: i32,
    /// Offset that it was read at.
    pub source_offset: i64,
    /// Why it is a dead letter.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// When it became one.
    pub time: Option<Timestamp>,
    /// Whether key, value and headers were left out because the record was too large.
    pub position_only: bool,
    /// How often the content was replayed before.
    pub replays: u32,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub payload: Option<Vec<u8>>,
    /// The record's own headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl KeptRecord {
    /// Reads a dead letter; `None` where the headers do not say what it is.
    #[must_use]
    pub fn from_record(record: ConsumedRecord) -> Option<Self> {
        // A record that was a dead letter before has these headers twice: the last ones are ours.
        let added = record.headers.iter().rposition(|(name, _)| name == FIRST_ADDED)?;
        let (own, added) = record.headers.split_at(added);
        let text = |headers: &[(String, Option<Vec<u8>>)], name: &str| {
            let (_, value) = headers.iter().rev().find(|(header, _)| header == name)?;
            String::from_utf8(value.clone()?).ok()
        };
        let replays = text(own, REPLAYS).map_or(0, |count| count.parse().unwrap_or(MAX_REPLAYS));
        Some(Self {
            partition: record.partition,
            offset: record.offset,
            source_topic: text(added, FIRST_ADDED)?,
            source_partition: text(added, "alert_responder_partition")?.parse().ok()?,
            source_offset: text(added, "alert_responder_offset")?.parse().ok()?,
            reason: text(added, "alert_responder_reason")?,
            detail: text(added, "alert_responder_detail").unwrap_or_default(),
            time: text(added, "alert_responder_time").and_then(|time| time.parse().ok()),
            position_only: text(added, "alert_responder_position_only").is_some(),
            replays: replays.min(MAX_REPLAYS),
            headers: own
                .iter()
                .filter(|(name, _)| ![REPLAY_OF, REPLAY_SOURCE, REPLAYS].contains(&name.as_str()))
                .cloned()
                .collect(),
            key: record.key,
            payload: record.payload,
        })
    }

    /// Where the record was read: the same for each of its dead letters.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}/{}/{}", self.source_topic, self.source_partition, self.source_offset)
    }

    /// The record as it was read, for whoever decides about it.
    #[must_use]
    pub fn record(&self) -> ConsumedRecord {
        ConsumedRecord {
            partition: self.source_partition,
            offset: self.source_offset,
            timestamp: self.time,
            key: self.key.clone(),
            payload: self.payload.clone(),
            headers: self.headers.clone(),
        }
    }
}

/// Partition and offset of the dead letter (in this topic) that a record of the alerts is the replay of.
#[must_use]
pub fn replayed_letter(record: &ConsumedRecord, dead_letters_topic: &str) -> Option<(i32, i64)> {
    let place = record.header(REPLAY_OF)?.strip_prefix(dead_letters_topic)?.strip_prefix('/')?;
    let (partition, offset) = place.split_once('/')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// [`KeptRecord::source`] of what a record of the alerts is the replay of.
#[must_use]
pub fn replayed_source(record: &ConsumedRecord) -> Option<&str> {
    record.header(REPLAY_SOURCE)
}

/// Sends kept records back to the alerts topic.
#[derive(Debug)]
pub struct ReplayWriter {
    producer: RecordProducer,
    alerts_topic: String,
    dead_letters_topic: String,
}

impl ReplayWriter {
    /// Makes a producer. It connects in the background.
    ///
    /// # Errors
    /// Wrong settings.
    pub fn new(settings: &Settings) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: RecordProducer::new(&client::producer(settings, Cluster::Alerts)?)?,
            alerts_topic: settings.alerts_topic.clone(),
            dead_letters_topic: settings.dead_letters_topic.clone(),
        })
    }

    /// Writes a kept record with its key and headers, and waits until every in-sync replica has it: partition and offset.
    ///
    /// It bears the time at which it became a dead letter: an alert that does not say when it was raised must not grow young.
    ///
    /// # Errors
    /// [`KafkaError::TooLarge`], or [`KafkaError::NotAcknowledged`], after which it may or may not be in the topic.
    pub async fn replay(&self, kept: &KeptRecord) -> Result<(i32, i64), KafkaError> {
        let letter = format!("{}/{}/{}", self.dead_letters_topic, kept.partition, kept.offset);
        let source = kept.source();
        let count = kept.replays.saturating_add(1).to_string();
        let own = kept.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let added = [(REPLAY_OF, &letter), (REPLAY_SOURCE, &source), (REPLAYS, &count)];
        let added = added.map(|(name, value)| (name, Some(value.as_bytes())));
        let delivery = self.producer.enqueue(NewRecord {
            topic: &self.alerts_topic,
            partition: None,
            key: kept.key.as_deref(),
            payload: kept.payload.as_deref(),
            headers: owned_headers(own.chain(added)),
            timestamp: kept.time.map(Timestamp::as_millisecond),
        })?;
        delivery.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DeadLetterReason;
    use crate::kafka::{DeadLetter, dead_letter_headers};

    fn letter(headers: &[(&str, &str)]) -> ConsumedRecord {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), Some(value.as_bytes().to_vec()));
        let record = ConsumedRecord {
            partition: 3,
            offset: 42,
            timestamp: None,
            key: Some(b"k".to_vec()),
            payload: Some(b"{".to_vec()),
            headers: headers.iter().copied().map(owned).collect(),
        };
        let letter = DeadLetter {
            topic: "alerts",
            record: &record,
            reason: DeadLetterReason::NotJson,
            detail: "it ends too soon",
            time: Timestamp::UNIX_EPOCH,
            position_only: false,
        };
        let added = dead_letter_headers(&letter);
        let all =
            record.headers.iter().cloned().chain(added.iter().map(|(name, value)| owned((*name, value.as_str()))));
        ConsumedRecord { partition: 0, offset: 7, headers: all.collect(), ..record.clone() }
    }

    #[test]
    fn a_letter_gives_its_record_back() {
        let kept = KeptRecord::from_record(letter(&[("traceparent", "00-1"), ("same", "1"), ("same", "2")]))
            .expect("a letter");
        assert_eq!((kept.source_topic.as_str(), kept.source_partition, kept.source_offset), ("alerts", 3, 42));
        assert_eq!((kept.reason.as_str(), kept.detail.as_str()), ("not_json", "it ends too soon"));
        assert_eq!((kept.partition, kept.offset, kept.replays, kept.position_only), (0, 7, 0, false));
        assert_eq!(kept.time, Some(Timestamp::UNIX_EPOCH));
        let names: Vec<&str> = kept.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["traceparent", "same", "same"]);
        assert_eq!((kept.key, kept.payload), (Some(b"k".to_vec()), Some(b"{".to_vec())));
    }

    #[test]
    fn a_letter_of_a_replayed_record_knows_how_often() {
        for (count, replays) in [("1", 1), ("7", 7), ("many", MAX_REPLAYS), ("4000000000", MAX_REPLAYS)] {
            let record =
                letter(&[("x", "y"), (REPLAY_OF, "dead/0/1"), (REPLAY_SOURCE, "alerts/2/9"), (REPLAYS, count)]);
            let kept = KeptRecord::from_record(record).expect("a letter");
            assert_eq!((kept.replays, kept.headers.len()), (replays, 1), "{count}");
        }
    }

    #[test]
    fn what_is_no_letter_is_none() {
        let record = ConsumedRecord { headers: vec![(FIRST_ADDED.to_owned(), None)], ..letter(&[]) };
        assert_eq!(KeptRecord::from_record(record), None);
        assert_eq!(KeptRecord::from_record(ConsumedRecord { headers: Vec::new(), ..letter(&[]) }), None);
    }

    #[test]
    fn a_replay_names_its_letter_in_this_topic_alone() {
        let of = |value: &str| letter(&[(REPLAY_OF, value)]);
        assert_eq!(replayed_letter(&of("dead/2/17"), "dead"), Some((2, 17)));
        for other in ["dead-too/2/17", "other/2/17", "dead/2", "dead/x/1", ""] {
            assert_eq!(replayed_letter(&of(other), "dead"), None, "{other}");
        }
    }
}
