//! Decisions that are on their way into the ledger.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::decision::RecordDecision;
use crate::event::DeadLetterReason;
use crate::kafka::{ConsumedRecord, DeadLetter, Delivery, KafkaError, LedgerWriter, Settings};

/// Records that may be in hand; those that need no append never are.
const MOST_RECORDS: usize = 2000;
/// Their bytes.
const MOST_BYTES: usize = 16 << 20;
/// Pauses between attempts double from the first to the last of these.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Where a decision comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The assignment under which it was read.
    pub(super) epoch: u64,
}

/// What came of waiting.
pub(super) enum Settled {
    /// Everything that the decision asks for is acknowledged.
    Durable(Source, RecordDecision),
    /// An append failed; it is tried again.
    Failed(KafkaError),
    /// It is time for [`Appends::retry`].
    RetryDue,
}

struct InHand {
    source: Source,
    record: ConsumedRecord,
    decision: RecordDecision,
    size: usize,
    taken_at: Timestamp,
    /// The dead letters' topic refused the whole record.
    position_only: bool,
}

/// What came of the appends of one record: how far the ledger reaches at least.
type Append = Pin<Box<dyn Future<Output = (u64, Result<i64, KafkaError>)> + Send>>;

/// See the module.
pub(super) struct Appends {
    kafka: Settings,
    writer: LedgerWriter,
    in_hand: HashMap<u64, InHand>,
    bytes: usize,
    last_token: u64,
    under_way: FuturesUnordered<Append>,
    failed: VecDeque<u64>,
    retry_at: Option<Instant>,
    pause: Duration,
    ledger_end: i64,
}

impl Appends {
    pub(super) fn new(kafka: Settings, writer: LedgerWriter) -> Self {
        Self {
            kafka,
            writer,
            in_hand: HashMap::new(),
            bytes: 0,
            last_token: 0,
            under_way: FuturesUnordered::new(),
            failed: VecDeque::new(),
            retry_at: None,
            pause: RETRY_FIRST,
            ledger_end: 0,
        }
    }

    /// The ledger holds everything before it, as far as is known here.
    pub(super) const fn ledger_end(&self) -> i64 {
        self.ledger_end
    }

    /// The ledger holds everything before `offset`.
    pub(super) fn ledger_reaches(&mut self, offset: i64) {
        self.ledger_end = self.ledger_end.max(offset);
    }

    /// Whether more records may be taken: not while appends fail, so that what is in hand stays little.
    pub(super) fn has_room(&self) -> bool {
        self.failed.is_empty() && self.in_hand.len() < MOST_RECORDS && self.bytes < MOST_BYTES
    }

    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.len()
    }

    /// When the record of a partition that is in hand for the longest was taken.
    pub(super) fn oldest(&self, partition: i32) -> Option<Timestamp> {
        let of_partition = self.in_hand.values().filter(|in_hand| in_hand.source.partition == partition);
        of_partition.map(|in_hand| in_hand.taken_at).min()
    }

    /// Sends what a decision asks for; at once durable when that is nothing.
    pub(super) fn add(&mut self, source: Source, record: ConsumedRecord, decision: RecordDecision) -> Option<Settled> {
        if decision.requested.is_empty() && decision.failed.is_empty() && decision.dead_letter.is_none() {
            return Some(Settled::Durable(source, decision));
        }
        // The events are about as large as the record.
        let size = record.size() * 2;
        self.last_token += 1;
        let token = self.last_token;
        self.bytes += size;
        self.in_hand
            .insert(token, InHand { source, record, decision, size, taken_at: Timestamp::now(), position_only: false });
        self.send(token).err().map(Settled::Failed)
    }

    /// The next thing to settle; waits for ever when nothing is in hand. Safe to cancel.
    pub(super) async fn next(&mut self) -> Settled {
        loop {
            let retry_at = self.retry_at;
            let due = async {
                match retry_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((token, result)) = self.under_way.next() => {
                    if let Some(settled) = self.ended(token, result) {
                        return settled;
                    }
                }
                () = due => return Settled::RetryDue,
                else => std::future::pending().await,
            }
        }
    }

    fn ended(&mut self, token: u64, result: Result<i64, KafkaError>) -> Option<Settled> {
        match result {
            Ok(ledger_end) => {
                self.ledger_reaches(ledger_end);
                self.pause = RETRY_FIRST;
                let in_hand = self.in_hand.remove(&token)?;
                self.bytes = self.bytes.saturating_sub(in_hand.size);
                Some(Settled::Durable(in_hand.source, in_hand.decision))
            }
            Err(error) => {
                self.mind_size(token, &error);
                self.postpone(token);
                Some(Settled::Failed(error))
            }
        }
    }

    /// What is too large would be so for ever, and hold up everything behind it: a record whose events the ledger refuses
    /// becomes a dead letter, and a dead letter that is refused is written without its content.
    fn mind_size(&mut self, token: u64, error: &KafkaError) {
        if matches!(error, KafkaError::TooLarge { .. })
            && let Some(in_hand) = self.in_hand.get_mut(&token)
        {
            if in_hand.decision.dead_letter.is_some() {
                in_hand.position_only = true;
            } else {
                in_hand.decision = RecordDecision::dead_letter(DeadLetterReason::TooLarge, error.to_string());
            }
        }
    }

    fn postpone(&mut self, token: u64) {
        self.failed.push_back(token);
        if self.retry_at.is_none() {
            self.retry_at = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(RETRY_LAST);
        }
    }

    /// Sends again what failed, as far as `is_ours`; the rest is dropped, its next owner decides it.
    ///
    /// A record whose appends partly arrived is sent whole: a second copy has the same id.
    pub(super) fn retry(&mut self, is_ours: impl Fn(&Source) -> bool) -> Result<(), KafkaError> {
        self.retry_at = None;
        if self.writer.has_failed() {
            match LedgerWriter::new(&self.kafka) {
                Ok(writer) => self.writer = writer,
                Err(error) => {
                    // Nothing can be sent until the settings (a secret's file, say) can be read again.
                    self.retry_at = Some(Instant::now() + RETRY_LAST);
                    return Err(error);
                }
            }
        }
        let mut first_error = Ok(());
        for token in std::mem::take(&mut self.failed) {
            let Some(in_hand) = self.in_hand.get(&token) else { continue };
            if !is_ours(&in_hand.source) {
                self.bytes = self.bytes.saturating_sub(in_hand.size);
                self.in_hand.remove(&token);
            } else if let Err(error) = self.send(token)
                && first_error.is_ok()
            {
                first_error = Err(error);
            }
        }
        first_error
    }

    /// Lets go of everything in hand: its partitions are no longer ours.
    pub(super) fn forget(&mut self) {
        self.in_hand.clear();
        self.failed.clear();
        self.bytes = 0;
    }

    fn send(&mut self, token: u64) -> Result<(), KafkaError> {
        let Some(in_hand) = self.in_hand.get(&token) else { return Ok(()) };
        match enqueue(&self.writer, &self.kafka, in_hand) {
            Ok((events, letter)) => {
                self.under_way.push(Box::pin(async move {
                    let mut result = Ok(0);
                    // Every one is waited for, so that none is still under way when the record is sent again.
                    for event in events {
                        let end = event.await.map(|(_, offset)| offset + 1);
                        result = result.and_then(|last| end.map(|end| last.max(end)));
                    }
                    if let Some(letter) = letter {
                        let written = letter.await;
                        result = result.and_then(|end| written.map(|_| end));
                    }
                    (token, result)
                }));
                Ok(())
            }
            Err(error) => {
                self.mind_size(token, &error);
                self.postpone(token);
                Err(error)
            }
        }
    }
}

/// The events of a record, on their way into the ledger, and its dead letter.
fn enqueue(
    writer: &LedgerWriter,
    kafka: &Settings,
    in_hand: &InHand,
) -> Result<(Vec<Delivery>, Option<Delivery>), KafkaError> {
    let decision = &in_hand.decision;
    let events = decision.requested.iter().chain(&decision.failed);
    let events = events.map(|event| writer.enqueue(kafka.ledger.partition, event)).collect::<Result<_, _>>()?;
    let letter = decision.dead_letter.as_ref().map(|(reason, detail)| {
        writer.enqueue_dead_letter(&DeadLetter {
            topic: &kafka.alerts_topic,
            record: &in_hand.record,
            reason: *reason,
            detail,
            time: Timestamp::now(),
            position_only: in_hand.position_only,
        })
    });
    Ok((events, letter.transpose()?))
}
