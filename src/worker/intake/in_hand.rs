//! One record whose decision is on its way into the ledger: which of its appends are acknowledged, and which still to send.

use std::io::{self, Write};

use jiff::Timestamp;

use super::appends::Log;
use super::decision::{RecordDecision, Recorded};
use crate::event::{DeadLetterReason, ScanEvent};
use crate::kafka::{ConsumedRecord, DeadLetter, KafkaError, Settings};

/// Bytes of the headers of an event and of what librdkafka notes about it, roughly.
const HEADERS: usize = 512;

/// Where a decision comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The assignment under which it was read.
    pub(super) epoch: u64,
}

/// What became of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is to be sent, or under way.
    Missing,
    Acknowledged,
    /// Too large, by itself.
    Refused,
}

/// What came of one append: the offset behind it in the ledger, which dead letters have none in.
pub(super) type Answer = (usize, Result<Option<i64>, KafkaError>);

/// What follows on a round of appends.
pub(super) enum Next {
    /// Everything is acknowledged.
    Durable,
    /// The rest is sent at once; what the round met is for people to know.
    Rest(Option<KafkaError>),
    /// The rest is sent after a pause.
    Pause(KafkaError),
}

/// See the module.
pub(super) struct InHand {
    pub(super) source: Source,
    pub(super) taken_at: Timestamp,
    /// Bytes that it holds: the record, its events, and their copies in the producer's queue.
    pub(super) size: usize,
    /// Its appends are sent one at a time, with nothing else under way. A broker refuses a batch as a whole, so that only an
    /// append that is alone in its batch is known to be too large itself.
    pub(super) alone: bool,
    pub(super) under_way: bool,
    /// Its partition is no longer ours: what is under way is waited for, and nothing else sent.
    pub(super) abandoned: bool,
    record: ConsumedRecord,
    decision: RecordDecision,
    /// Of `requested`, then of `failed`, then of the dead letter.
    fates: Vec<Fate>,
    /// What was said of an append that is too large.
    refusal: Option<String>,
    /// The dead letters' topic refused the whole record.
    position_only: bool,
}

impl InHand {
    pub(super) fn new(source: Source, record: ConsumedRecord, decision: RecordDecision) -> Self {
        let events = decision.requested.iter().chain(&decision.failed);
        let size = record.size() + events.map(event_size).sum::<usize>();
        let letter = decision.dead_letter.as_ref().map_or(0, |_| record.size());
        let fates = vec![Fate::Missing; decision.appends()];
        Self {
            source,
            taken_at: Timestamp::now(),
            size: size + letter,
            alone: false,
            under_way: false,
            abandoned: false,
            record,
            decision,
            fates,
            refusal: None,
            position_only: false,
        }
    }

    pub(super) fn into_decision(self) -> RecordDecision {
        self.decision
    }

    /// Enqueues what is missing, as far as the queue takes it, but one append only where that has to go alone. What was
    /// acknowledged is never sent again.
    ///
    /// # Errors
    /// Why not even the first was taken.
    pub(super) fn enqueue<L: Log>(&self, log: &L, kafka: &Settings) -> Result<Vec<Sent<L>>, KafkaError> {
        let most = if self.alone { 1 } else { self.fates.len() };
        let missing = self.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Missing);
        let mut sent = Vec::new();
        for (index, _) in missing.take(most) {
            match self.enqueue_one(index, log, kafka) {
                // The answer of the producer itself is an answer like that of a broker.
                Err(error @ KafkaError::TooLarge { .. }) => {
                    sent.push(Sent { index, in_ledger: false, way: Err(error) })
                }
                Ok(way) => sent.push(Sent { index, in_ledger: !self.is_letter(index), way: Ok(way) }),
                Err(error) if sent.is_empty() => return Err(error),
                // What was taken is acknowledged first, which makes room for the rest.
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn enqueue_one<L: Log>(&self, index: usize, log: &L, kafka: &Settings) -> Result<L::Delivery, KafkaError> {
        let mut events = self.decision.requested.iter().chain(&self.decision.failed);
        match (events.nth(index), &self.decision.dead_letter) {
            (Some(event), _) => log.event(kafka.ledger.partition, event),
            (None, Some((reason, detail))) => log.dead_letter(&DeadLetter {
                topic: &kafka.alerts_topic,
                record: &self.record,
                reason: *reason,
                detail,
                time: Timestamp::now(),
                position_only: self.position_only,
            }),
            (None, None) => Err(KafkaError::Closed),
        }
    }

    fn is_letter(&self, index: usize) -> bool {
        index >= self.decision.requested.len() + self.decision.failed.len()
    }

    /// Takes the answers of a round.
    pub(super) fn settle(&mut self, answers: Vec<Answer>) -> Next {
        let was_alone = self.alone;
        let (mut refused, mut trouble) = (None, None);
        for (index, answer) in answers {
            match answer {
                Ok(_) => self.set(index, Fate::Acknowledged),
                Err(error @ KafkaError::TooLarge { .. }) if !was_alone => {
                    self.alone = true;
                    refused = Some(error);
                }
                Err(error @ KafkaError::TooLarge { .. }) if !self.is_letter(index) => {
                    self.set(index, Fate::Refused);
                    self.refusal.get_or_insert(error.to_string());
                    refused = Some(error);
                }
                Err(error @ KafkaError::TooLarge { .. }) if !self.position_only => {
                    self.position_only = true;
                    refused = Some(error);
                }
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        if self.fates.iter().all(|fate| *fate == Fate::Acknowledged) {
            return Next::Durable;
        }
        if !self.fates.contains(&Fate::Missing) {
            self.condemn();
        }
        trouble.map_or(Next::Rest(refused), Next::Pause)
    }

    fn set(&mut self, index: usize, fate: Fate) {
        if let Some(slot) = self.fates.get_mut(index) {
            *slot = fate;
        }
    }

    /// What is too large would be so for ever, and hold up everything behind it: the record becomes a dead letter, but for the
    /// observations that are in the ledger.
    fn condemn(&mut self) {
        let before = std::mem::take(&mut self.decision);
        let events = before.requested.iter().chain(&before.failed).zip(&self.fates);
        let acknowledged = events.filter(|(_, fate)| **fate == Fate::Acknowledged);
        let mut recorded = before.recorded;
        recorded.extend(acknowledged.filter_map(|(event, _)| Recorded::of(event)));
        let detail = self.refusal.take().unwrap_or_default();
        self.decision = RecordDecision {
            observed: u32::try_from(recorded.len() + 1).unwrap_or(u32::MAX),
            recorded,
            ..RecordDecision::dead_letter(DeadLetterReason::TooLarge, detail)
        };
        self.fates = vec![Fate::Missing];
    }
}

/// An append that was handed over, or that the producer would not take.
pub(super) struct Sent<L: Log> {
    index: usize,
    in_ledger: bool,
    way: Result<L::Delivery, KafkaError>,
}

impl<L: Log> Sent<L> {
    pub(super) async fn answer(self) -> Answer {
        let answer = match self.way {
            Ok(delivery) => delivery.await,
            Err(error) => Err(error),
        };
        (self.index, answer.map(|(_, offset)| self.in_ledger.then_some(offset + 1)))
    }
}

/// Bytes that an event holds, roughly: it is here, and as JSON with its headers in the producer's queue.
fn event_size(event: &ScanEvent) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut json = Count(0);
    // What cannot be written takes no room in the queue either.
    let json = serde_json::to_writer(&mut json, event).map_or(0, |()| json.0);
    size_of::<ScanEvent>() + 2 * json + HEADERS
}
