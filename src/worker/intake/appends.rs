//! Decisions that are on their way into the ledger.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::decision::RecordDecision;
use super::in_hand::{Answer, InHand, Next, Source};
use crate::event::ScanEvent;
use crate::kafka::{ConsumedRecord, DeadLetter, Delivery, KafkaError, LedgerWriter, Settings};

/// Records that may be in hand; those that need no append never are.
const MOST_RECORDS: usize = 2000;
/// Their bytes, but for the last of them.
const MOST_BYTES: usize = 16 << 20;
/// Pauses between attempts double from the first to the last of these.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Where appends go. Tests have one that answers as they say.
pub(super) trait Log: Sized + 'static {
    type Delivery: Future<Output = Result<(i32, i64), KafkaError>> + Send + 'static;

    fn new(settings: &Settings) -> Result<Self, KafkaError>;
    fn event(&self, partition: i32, event: &ScanEvent) -> Result<Self::Delivery, KafkaError>;
    fn dead_letter(&self, letter: &DeadLetter<'_>) -> Result<Self::Delivery, KafkaError>;
    fn has_failed(&self) -> bool;
}

impl Log for LedgerWriter {
    type Delivery = Delivery;

    fn new(settings: &Settings) -> Result<Self, KafkaError> {
        Self::new(settings)
    }

    fn event(&self, partition: i32, event: &ScanEvent) -> Result<Delivery, KafkaError> {
        self.enqueue(partition, event)
    }

    fn dead_letter(&self, letter: &DeadLetter<'_>) -> Result<Delivery, KafkaError> {
        self.enqueue_dead_letter(letter)
    }

    fn has_failed(&self) -> bool {
        self.has_failed()
    }
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Settled {
    /// Everything that the decision asks for is acknowledged.
    Durable(Source, RecordDecision),
    /// An append failed; it is tried again.
    Failed(KafkaError),
    /// It is time for [`Appends::retry`].
    RetryDue,
}

/// A round of appends of one record.
type Round = Pin<Box<dyn Future<Output = (u64, Vec<Answer>)> + Send>>;

/// See the module.
pub(super) struct Appends<L: Log = LedgerWriter> {
    kafka: Settings,
    writer: L,
    in_hand: HashMap<u64, InHand>,
    bytes: usize,
    last_token: u64,
    under_way: FuturesUnordered<Round>,
    /// Records of which an append has failed, from then until they are settled.
    troubled: HashSet<u64>,
    /// Those that wait for the next attempt.
    failed: VecDeque<u64>,
    /// Those that go alone, the first of them now: a broker has refused one of their batches as too large.
    suspects: VecDeque<u64>,
    retry_at: Option<Instant>,
    pause: Duration,
    ledger_end: i64,
}

impl<L: Log> Appends<L> {
    pub(super) fn new(kafka: Settings, writer: L) -> Self {
        Self {
            kafka,
            writer,
            in_hand: HashMap::new(),
            bytes: 0,
            last_token: 0,
            under_way: FuturesUnordered::new(),
            troubled: HashSet::new(),
            failed: VecDeque::new(),
            suspects: VecDeque::new(),
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

    /// Whether more records may be taken: not from the first failure of an append until it is made good, so that what is in
    /// hand stays little. That the failed append is under way again makes nothing good yet.
    pub(super) fn has_room(&self) -> bool {
        self.troubled.is_empty() && self.in_hand.len() < MOST_RECORDS && self.bytes < MOST_BYTES
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
        if decision.appends() == 0 {
            return Some(Settled::Durable(source, decision));
        }
        self.last_token += 1;
        let token = self.last_token;
        let in_hand = InHand::new(source, record, decision);
        self.bytes += in_hand.size;
        self.in_hand.insert(token, in_hand);
        self.send(token).err().map(Settled::Failed)
    }

    /// The next thing to settle; waits for ever when nothing is in hand. Safe to cancel.
    pub(super) async fn next(&mut self) -> Settled {
        loop {
            if let Err(error) = self.send_suspect() {
                return Settled::Failed(error);
            }
            // What goes alone has the producer for itself.
            let retry_at = self.retry_at.filter(|_| self.suspects.is_empty());
            let due = async {
                match retry_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((token, answers)) = self.under_way.next() => {
                    if let Some(settled) = self.ended(token, answers) {
                        return settled;
                    }
                }
                () = due => return Settled::RetryDue,
                else => std::future::pending().await,
            }
        }
    }

    fn ended(&mut self, token: u64, answers: Vec<Answer>) -> Option<Settled> {
        let ends = answers.iter().filter_map(|(_, answer)| *answer.as_ref().ok()?);
        if let Some(end) = ends.max() {
            self.ledger_reaches(end);
        }
        self.suspects.retain(|suspect| *suspect != token);
        let in_hand = self.in_hand.get_mut(&token)?;
        in_hand.under_way = false;
        if in_hand.abandoned {
            self.remove(token);
            return None;
        }
        match in_hand.settle(answers) {
            Next::Durable => {
                self.pause = RETRY_FIRST;
                let in_hand = self.remove(token)?;
                Some(Settled::Durable(in_hand.source, in_hand.into_decision()))
            }
            Next::Rest(refusal) if in_hand.alone => {
                self.troubled.insert(token);
                self.suspects.push_front(token);
                refusal.map(Settled::Failed)
            }
            Next::Rest(_) => self.send(token).err().map(Settled::Failed),
            Next::Pause(error) => {
                self.postpone(token);
                Some(Settled::Failed(error))
            }
        }
    }

    fn remove(&mut self, token: u64) -> Option<InHand> {
        let in_hand = self.in_hand.remove(&token)?;
        self.bytes = self.bytes.saturating_sub(in_hand.size);
        self.troubled.remove(&token);
        Some(in_hand)
    }

    fn postpone(&mut self, token: u64) {
        self.troubled.insert(token);
        self.failed.push_back(token);
        if self.retry_at.is_none() {
            self.retry_at = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(RETRY_LAST);
        }
    }

    /// Sends again what failed.
    pub(super) fn retry(&mut self) -> Result<(), KafkaError> {
        self.retry_at = None;
        if self.writer.has_failed() {
            match L::new(&self.kafka) {
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
            if self.in_hand.get(&token).is_some_and(|in_hand| in_hand.alone) {
                self.suspects.push_back(token);
            } else if let Err(error) = self.send(token)
                && first_error.is_ok()
            {
                first_error = Err(error);
            }
        }
        first_error
    }

    /// Lets go of what is in hand of a partition that is no longer ours: its next owner decides it.
    pub(super) fn let_go(&mut self, partition: i32) {
        let of_partition = self.in_hand.iter_mut().filter(|(_, in_hand)| in_hand.source.partition == partition);
        let mut waiting = Vec::new();
        for (token, in_hand) in of_partition {
            in_hand.abandoned = true;
            // What is under way holds its bytes until it has ended.
            if !in_hand.under_way {
                waiting.push(*token);
            }
            self.troubled.remove(token);
        }
        for token in waiting {
            self.remove(token);
        }
    }

    /// Lets go of everything in hand: its partitions are no longer ours.
    pub(super) fn forget(&mut self) {
        self.in_hand.clear();
        self.troubled.clear();
        self.failed.clear();
        self.suspects.clear();
        self.bytes = 0;
    }

    /// Sends the next append that has to go alone, once nothing is under way any more.
    fn send_suspect(&mut self) -> Result<(), KafkaError> {
        while self.under_way.is_empty()
            && let Some(token) = self.suspects.front().copied()
        {
            if !self.in_hand.contains_key(&token) {
                self.suspects.pop_front();
                continue;
            }
            if let Err(error) = self.send(token) {
                self.suspects.pop_front();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sends what is missing of a record, as far as there is room. The answers to all of it are waited for, so that none is
    /// still under way when the rest is sent.
    fn send(&mut self, token: u64) -> Result<(), KafkaError> {
        let Some(in_hand) = self.in_hand.get_mut(&token) else { return Ok(()) };
        match in_hand.enqueue(&self.writer, &self.kafka) {
            Ok(sent) => {
                in_hand.under_way = true;
                let answers: Vec<_> = sent.into_iter().map(|sent| sent.answer()).collect();
                self.under_way.push(Box::pin(async move {
                    let mut answered = Vec::with_capacity(answers.len());
                    for answer in answers {
                        answered.push(answer.await);
                    }
                    (token, answered)
                }));
                Ok(())
            }
            Err(error) => {
                self.postpone(token);
                Err(error)
            }
        }
    }
}
