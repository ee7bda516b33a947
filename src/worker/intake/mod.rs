//! From the alerts topic to the ledger: decide each record, make the decision durable, then commit.
//!
//! Nothing here waits for the Defender API. A record is *in hand* from the moment it is read until everything that its
//! decision asks for is acknowledged by the ledger's brokers; only then it counts towards the offset that is committed. An
//! append that fails is tried again for as long as the partition is ours: meanwhile no more records are taken, and the group
//! is kept alive by the consumer's own thread.

mod appends;
#[cfg(test)]
mod appends_tests;
mod decision;
mod in_hand;
mod observer;
mod partitions;
mod recall;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use self::appends::{Appends, Settled};
pub use self::decision::{Decide, RecordDecision, Recorded};
use self::in_hand::Source;
pub use self::observer::IntakeObserver;
use self::partitions::{Owned, Partitions};
use self::recall::{Recall, Recalled, Wanted};
use crate::event::DeadLetterReason;
use crate::kafka::{
    AlertsConsumer, AlertsInput, Assigned, Commit, ConsumedRecord, KafkaError, LedgerWriter, Progress, Settings,
};

/// Event Hubs takes four commits a second and partition; Kafka would take more, and nothing is gained by it.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// Records that are taken in one go before anything else gets a turn.
const BATCH: usize = 500;
/// Trouble of one kind is logged this often at most.
const TROUBLE_EVERY: Duration = Duration::from_secs(30);
/// Pause before a consumer that failed for good is made anew.
const REJOIN_AFTER: Duration = Duration::from_secs(1);
/// Longest wait for the group to let us leave.
const LEAVE: Duration = Duration::from_secs(5);

/// Reads alerts until it is told to stop.
pub struct Intake {
    kafka: Settings,
    decide: Arc<dyn Decide>,
    observer: Arc<dyn IntakeObserver>,
    grace: Duration,
}

/// How intake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeEnd {
    /// Records that were read and not decided durably within the grace period. They are read again by whoever gets the
    /// partition next: nothing is lost.
    pub unfinished: usize,
}

impl Intake {
    /// `grace`: after the word to stop, how long records in hand may take to become durable.
    #[must_use]
    pub fn new(kafka: Settings, decide: Arc<dyn Decide>, observer: Arc<dyn IntakeObserver>, grace: Duration) -> Self {
        Self { kafka, decide, observer, grace }
    }

    /// Runs until `shutdown`, then finishes what is in hand, commits and leaves the group.
    ///
    /// # Errors
    /// Wrong settings only: brokers that are away are waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<IntakeEnd, KafkaError> {
        let writer = LedgerWriter::new(&self.kafka)?;
        let consumer = AlertsConsumer::join(&self.kafka)?;
        tracing::info!(
            topic = self.kafka.alerts_topic,
            group = self.kafka.group_id,
            bootstrap_servers = self.kafka.bootstrap_servers,
            "Waiting for partitions of the alerts topic."
        );
        let appends = Appends::new(self.kafka.clone(), writer);
        let mut running = Running {
            kafka: self.kafka,
            decide: self.decide,
            observer: self.observer,
            consumer,
            appends,
            recall: Recall::default(),
            partitions: Partitions::default(),
            commit: None,
            told: BTreeMap::new(),
        };
        running.until(&shutdown).await?;
        Ok(running.stop(self.grace).await)
    }
}

type CommitUnderWay = Pin<Box<dyn Future<Output = (Vec<(Commit, u64)>, Result<(), KafkaError>)> + Send>>;

struct Running {
    kafka: Settings,
    decide: Arc<dyn Decide>,
    observer: Arc<dyn IntakeObserver>,
    consumer: AlertsConsumer,
    appends: Appends,
    recall: Recall,
    partitions: Partitions,
    commit: Option<CommitUnderWay>,
    /// When trouble of each kind was last logged.
    told: BTreeMap<&'static str, Instant>,
}

impl Running {
    async fn until(&mut self, shutdown: &CancellationToken) -> Result<(), KafkaError> {
        let mut tick = interval(COMMIT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.appends.has_room() && self.partitions.has_room();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                settled = self.appends.next() => self.settle(settled),
                (commits, result) = ended(&mut self.commit) => self.commit_ended(&commits, result),
                (wanted, recalled) = self.recall.next(&self.kafka) => self.recalled(wanted, recalled),
                _ = tick.tick() => self.tick(),
                input = next_input(&mut self.consumer, has_room) => {
                    self.handle(input).await?;
                    self.take_more().await?;
                }
            }
        }
    }

    async fn take_more(&mut self) -> Result<(), KafkaError> {
        for _ in 0..BATCH {
            if !self.appends.has_room() {
                break;
            }
            let Some(input) = self.consumer.try_next() else { break };
            self.handle(input).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, input: AlertsInput) -> Result<(), KafkaError> {
        match input {
            AlertsInput::Record(record) => self.take(record),
            AlertsInput::Joined => self.observer.joined(),
            AlertsInput::Assigned(assigned) => self.assigned(&assigned),
            AlertsInput::Revoked { partitions, lost } => self.revoked(&partitions, lost).await,
            AlertsInput::HighWatermark { partition, offset } => {
                if let Some(owned) = self.partitions.0.get(&partition) {
                    let lag = u64::try_from(offset - owned.progress.prefix()).unwrap_or(0);
                    self.observer.lag(partition, lag);
                }
            }
            AlertsInput::Error(error) => {
                self.trouble(&error);
                if matches!(error, KafkaError::ConsumerFatal(_) | KafkaError::OffsetOutOfRange(_)) {
                    self.rejoin().await?;
                }
            }
        }
        Ok(())
    }

    async fn revoked(&mut self, partitions: &[i32], lost: bool) {
        if lost {
            tracing::warn!(?partitions, "Partitions were lost; their records in hand are decided by the next owner.");
        } else {
            // Three quarters for the records in hand, the rest for the commit.
            let now = Instant::now();
            let budget = self.kafka.revoke_budget;
            self.finish(partitions, now + budget * 3 / 4, now + budget).await;
            tracing::info!(?partitions, "Partitions are given back.");
        }
        for partition in partitions {
            self.partitions.0.remove(partition);
            self.appends.let_go(*partition);
            self.recall.forget(*partition);
            self.consumer.release(*partition);
            self.observer.revoked(*partition, lost);
        }
    }

    fn assigned(&mut self, assigned: &Assigned) {
        let Assigned { partition, low_watermark, high_watermark, .. } = *assigned;
        let progress = Progress::resume(assigned);
        if assigned.is_out_of_range() {
            let committed = assigned.committed.as_ref().map(|committed| committed.offset);
            tracing::error!(
                partition,
                committed,
                low_watermark,
                high_watermark,
                "The alerts topic no longer holds the committed offset: records expired unread, or the topic was made anew; \
                 reading goes on at its beginning."
            );
        }
        tracing::info!(partition, offset = progress.prefix(), high_watermark, "A partition was assigned.");
        let (epoch, start) = (assigned.epoch, progress.prefix());
        match progress.inherits() {
            Some(ledger_from) => self.recall.want(partition, Wanted { epoch, start, ledger_from }),
            None => self.start(partition, start),
        }
        self.partitions.0.insert(partition, Owned { epoch, progress, recorded: HashMap::new() });
        self.observer.assigned(assigned);
    }

    fn recalled(&mut self, wanted: BTreeMap<i32, Wanted>, recalled: Result<Recalled, KafkaError>) {
        let recalled = recalled.map_err(|error| self.trouble(&error)).ok();
        let mut partitions = recalled.map(|recalled| {
            self.appends.ledger_reaches(recalled.ledger_end);
            recalled.partitions
        });
        for (partition, wanted) in wanted {
            let Some(owned) = self.partitions.under(partition, wanted.epoch) else { continue };
            match &mut partitions {
                Some(found) => {
                    owned.recorded = found.remove(&partition).unwrap_or_default();
                    self.start(partition, wanted.start);
                }
                None => self.recall.want(partition, wanted),
            }
        }
    }

    fn start(&self, partition: i32, offset: i64) {
        if let Err(error) = self.consumer.start_from(partition, offset) {
            // It is being taken away; the next assignment begins anew.
            tracing::debug!(partition, offset, %error, "The partition is not started.");
        }
    }

    fn take(&mut self, record: ConsumedRecord) {
        let Some(owned) = self.partitions.0.get_mut(&record.partition) else { return };
        if !owned.progress.begin(record.offset, self.appends.ledger_end()) {
            return;
        }
        let recorded = owned.recorded.remove(&record.offset).unwrap_or_default();
        let decision = if record.payload.is_some() {
            self.decide.decide(&record, &recorded)
        } else {
            // Nobody deletes alerts; a key without a value is a producer's mistake that somebody should see.
            RecordDecision::dead_letter(DeadLetterReason::Invalid, "the record has no value (a tombstone)")
        };
        if !decision.is_balanced() {
            tracing::error!(
                partition = record.partition,
                offset = record.offset,
                "A decision does not account for every observation; please report this."
            );
        }
        self.observer.read(&decision);
        let source = Source { partition: record.partition, offset: record.offset, epoch: owned.epoch };
        if let Some(settled) = self.appends.add(source, record, decision) {
            self.settle(settled);
        }
    }

    fn settle(&mut self, settled: Settled) {
        match settled {
            Settled::Durable(source, decision) => {
                if let Some(owned) = self.partitions.under(source.partition, source.epoch) {
                    owned.progress.finish(source.offset, decision.outcomes());
                    self.observer.decided(&decision);
                }
            }
            Settled::Failed(error) => self.trouble(&error),
            Settled::RetryDue => {
                if let Err(error) = self.appends.retry() {
                    self.trouble(&error);
                }
            }
        }
    }

    fn tick(&mut self) {
        self.begin_commit(|_| true);
        let numbers = self.partitions.numbers().into_iter();
        let oldest: Vec<_> = numbers.map(|partition| (partition, self.appends.oldest(partition))).collect();
        self.observer.in_hand(self.appends.in_hand(), &oldest);
    }

    /// Commits what is new of some partitions, unless a commit is under way.
    fn begin_commit(&mut self, wanted: impl Fn(i32) -> bool) {
        if self.commit.is_some() {
            return;
        }
        let commits: Vec<(Commit, u64)> = self
            .partitions
            .0
            .iter()
            .filter(|(partition, _)| wanted(**partition) && self.consumer.is_assigned(**partition))
            .filter_map(|(partition, owned)| {
                let point = owned.progress.commit_point(self.appends.ledger_end())?;
                Some((Commit { partition: *partition, offset: point.offset, metadata: point.metadata }, owned.epoch))
            })
            .collect();
        if commits.is_empty() {
            return;
        }
        let request = self.consumer.commit(commits.iter().map(|(commit, _)| commit.clone()).collect());
        self.commit = Some(Box::pin(async move {
            let result = request.await;
            (commits, result)
        }));
    }

    fn commit_ended(&mut self, commits: &[(Commit, u64)], result: Result<(), KafkaError>) {
        self.commit = None;
        if let Err(error) = result {
            // The next turn tries again, with what is new by then.
            self.trouble(&error);
            return;
        }
        for (commit, epoch) in commits {
            if let Some(owned) = self.partitions.under(commit.partition, *epoch) {
                owned.progress.committed(commit.offset);
                self.observer.committed(commit.partition, commit.offset, owned.progress.tally());
            }
        }
    }

    /// Works until nothing of the partitions is in hand, or `deadline`; then commits, until `last` at most.
    async fn finish(&mut self, partitions: &[i32], deadline: Instant, last: Instant) {
        while self.partitions.open(partitions) > 0 {
            match timeout_at(deadline, self.appends.next()).await {
                Ok(settled) => self.settle(settled),
                Err(_) => break,
            }
        }
        // A commit that is under way may be older than what there is to commit now.
        for _ in 0..2 {
            self.begin_commit(|partition| partitions.contains(&partition));
            if self.commit.is_none() {
                break;
            }
            match timeout_at(last, ended(&mut self.commit)).await {
                Ok((commits, result)) => self.commit_ended(&commits, result),
                Err(_) => break,
            }
        }
    }

    /// Replaces a consumer that failed for good. What is in hand is decided again: its ids are the same.
    async fn rejoin(&mut self) -> Result<(), KafkaError> {
        for partition in std::mem::take(&mut self.partitions).0.into_keys() {
            self.observer.revoked(partition, true);
        }
        self.recall = Recall::default();
        self.commit = None;
        self.appends.forget();
        tokio::time::sleep(REJOIN_AFTER).await;
        let consumer = AlertsConsumer::join(&self.kafka)?;
        std::mem::replace(&mut self.consumer, consumer).close(LEAVE).await;
        Ok(())
    }

    fn trouble(&mut self, error: &KafkaError) {
        self.observer.trouble(error);
        let now = Instant::now();
        let last = self.told.get(error.code());
        if last.is_none_or(|last| now.duration_since(*last) >= TROUBLE_EVERY) {
            self.told.insert(error.code(), now);
            tracing::warn!(code = error.code(), %error, in_hand = self.appends.in_hand(), "Intake met trouble and goes on.");
        }
    }

    async fn stop(mut self, grace: Duration) -> IntakeEnd {
        let partitions = self.partitions.numbers();
        let deadline = Instant::now() + grace;
        self.finish(&partitions, deadline, deadline + LEAVE).await;
        let unfinished = self.partitions.open(&partitions);
        self.consumer.close(LEAVE).await;
        tracing::info!(unfinished, "Intake has stopped.");
        IntakeEnd { unfinished }
    }
}

async fn next_input(consumer: &mut AlertsConsumer, has_room: bool) -> AlertsInput {
    if has_room { consumer.next().await } else { consumer.next_but_records().await }
}

/// Waits for the commit under way; for ever when there is none.
async fn ended(commit: &mut Option<CommitUnderWay>) -> (Vec<(Commit, u64)>, Result<(), KafkaError>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}
