//! Dispatch: the owner of the ledger's partition folds it, asks the scheduler what to do, and does it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::calls::Caller;
use super::lane::{Lane, LaneContext, Stop};
use super::order_desk::DispatchStatus;
use super::settings::Settings;
use crate::kafka::{Assigned, KafkaError, LedgerConsumer, LedgerInput, LedgerWriter, Settings as KafkaSettings};
use crate::scheduler::{Call, ReadReply, Reply, ScanReply, Snapshot};
use crate::telemetry::{Condition, Metrics, Progress};

/// Longest wait for a commit: a later one does as well.
const COMMIT_PATIENCE: Duration = Duration::from_secs(2);

/// Records folded between two looks at anything else.
const RECORDS_PER_ROUND: usize = 256;

/// The dispatch side of one tenant.
pub(crate) struct Dispatch {
    pub(crate) kafka: KafkaSettings,
    pub(crate) settings: Settings,
    pub(crate) context: LaneContext,
    pub(crate) caller: Caller,
    pub(crate) metrics: Metrics,
    pub(crate) progress: Progress,
    /// Holds unless the lane waits for an operator.
    pub(crate) not_halted: Condition,
    /// What is told of this replica.
    pub(crate) status: watch::Sender<DispatchStatus>,
}

/// What is left when it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatchEnd {
    /// Calls whose answer was not recorded in time; they are in doubt for the next owner.
    pub calls: usize,
}

struct Running {
    dispatch: Dispatch,
    consumer: LedgerConsumer,
    assigned: Option<Assigned>,
    lane: Option<Lane>,
    calls: JoinSet<Option<Reply>>,
    /// What each task in `calls` was asked to do.
    asked: HashMap<Id, Call>,
    /// When to claim again, after an ownership that ended while the partition stayed.
    claim_again: Option<Instant>,
    last_word: Option<String>,
    /// Answers that came while the ledger was being replayed.
    held: Vec<Reply>,
}

impl Dispatch {
    /// Runs until told to stop, then finishes the calls under way within the grace period.
    ///
    /// # Errors
    /// Settings that no consumer can be made with.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<DispatchEnd, KafkaError> {
        let consumer = LedgerConsumer::join(&self.kafka)?;
        let mut running = Running {
            consumer,
            assigned: None,
            lane: None,
            calls: JoinSet::new(),
            asked: HashMap::new(),
            claim_again: None,
            last_word: None,
            held: Vec::new(),
            dispatch: self,
        };
        running.until(&shutdown).await?;
        Ok(running.wind_down().await)
    }
}

impl Running {
    async fn until(&mut self, shutdown: &CancellationToken) -> Result<(), KafkaError> {
        let mut tick = interval(self.dispatch.settings.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut commit = interval(self.dispatch.settings.dispatch_commit_interval);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut measure = interval(Duration::from_secs(1));
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pulled = self.dispatch.context.switch.changes();
        loop {
            self.dispatch.progress.beat(Timestamp::now());
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                input = self.consumer.next() => self.input(input)?,
                Some(ended) = self.calls.join_next_with_id() => self.ended(ended),
                () = delivered(&mut self.lane) => {}
                _ = tick.tick() => {}
                // Nothing is left to do but to look at the switch again.
                Ok(()) = pulled.changed() => {}
                _ = commit.tick() => self.commit().await,
                _ = measure.tick() => self.measure(),
                () = at(self.claim_again) => self.join_again()?,
            }
            self.after_round();
        }
    }

    /// Takes an input and what is there behind it, up to a limit. Nothing may be taken from the consumer that is not handled.
    fn input(&mut self, input: LedgerInput) -> Result<(), KafkaError> {
        self.handle(input)?;
        for _ in 1..RECORDS_PER_ROUND {
            let Some(input) = self.consumer.try_next() else { break };
            self.handle(input)?;
        }
        Ok(())
    }

    fn handle(&mut self, input: LedgerInput) -> Result<(), KafkaError> {
        match input {
            LedgerInput::Record(record) => {
                if let Some(lane) = &mut self.lane
                    && record.partition == self.dispatch.context.partition
                {
                    lane.record(record, Timestamp::now());
                }
            }
            LedgerInput::Assigned(assigned) if assigned.partition == self.dispatch.context.partition => {
                self.dispatch.metrics.rebalance();
                self.dispatch.metrics.set_owned_partitions(&self.dispatch.kafka.ledger_topic, 1);
                self.assigned = Some(assigned);
                self.claim();
            }
            // Partitions of other tenants: another worker's business.
            LedgerInput::Assigned(_) => {}
            LedgerInput::Revoked { partition, lost } => {
                if partition == self.dispatch.context.partition {
                    tracing::info!(lost, "The ledger's partition was handed to another replica.");
                    self.dispatch.metrics.rebalance();
                    self.dispatch.metrics.set_owned_partitions(&self.dispatch.kafka.ledger_topic, 0);
                    self.dispatch.metrics.ledger_partition_lost(&self.dispatch.kafka.ledger_topic, partition);
                    self.dispatch.context.accounts.show(&Snapshot::default());
                    // Whether the ledger is intact is the next owner's to say.
                    self.dispatch.not_halted.set(true);
                    self.last_word = None;
                    self.assigned = None;
                    self.claim_again = None;
                }
            }
            LedgerInput::HighWatermark { partition, offset } => {
                if let Some(lane) = self.lane.as_ref().filter(|_| partition == self.dispatch.context.partition) {
                    let lag = u64::try_from(offset.saturating_sub(lane.end())).unwrap_or(0);
                    let topic = &self.dispatch.kafka.ledger_topic;
                    self.dispatch.metrics.set_consumer_lag(topic, partition, lag);
                }
            }
            LedgerInput::Error(error @ (KafkaError::ConsumerFatal(_) | KafkaError::OffsetOutOfRange(_))) => {
                tracing::error!(%error, "The ledger cannot be read any more; it is joined again.");
                return self.join_again();
            }
            LedgerInput::Error(error) => {
                tracing::warn!(%error, code = error.code(), "Reading the ledger met trouble; it goes on by itself.");
            }
        }
        Ok(())
    }

    /// Leaves the group and joins it anew, so that the next ownership replays from the committed position.
    fn join_again(&mut self) -> Result<(), KafkaError> {
        self.claim_again = None;
        self.assigned = None;
        self.lane = None;
        self.consumer = LedgerConsumer::join(&self.dispatch.kafka)?;
        Ok(())
    }

    /// Begins an ownership of the assigned partition.
    fn claim(&mut self) {
        self.claim_again = None;
        let Some(assigned) = self.assigned.clone() else { return };
        let partition = assigned.partition;
        let begun = LedgerWriter::new(&self.dispatch.kafka)
            .and_then(|writer| self.consumer.start_from(partition, assigned.start()).map(|()| writer));
        let writer = match begun {
            Ok(writer) => writer,
            Err(error) => {
                tracing::warn!(%error, code = error.code(), "The ledger's partition cannot be claimed; it is tried again.");
                self.claim_again = Some(Instant::now() + self.dispatch.settings.reclaim_delay);
                return;
            }
        };
        match Lane::begin(self.dispatch.context.clone(), writer, &assigned, rand::random(), Timestamp::now()) {
            Ok(lane) => self.lane = Some(lane),
            Err(stop) => {
                self.lane = None;
                self.say(&stop);
            }
        }
    }

    /// A call has ended.
    fn ended(&mut self, ended: Result<(Id, Option<Reply>), JoinError>) {
        let (id, reply) = match ended {
            Ok((id, reply)) => (id, reply),
            Err(error) => {
                tracing::error!(%error, "A call broke off without an answer; please report this.");
                (error.id(), None)
            }
        };
        let asked = self.asked.remove(&id);
        if let Some(reply) = reply.or_else(|| asked.and_then(without_answer)) {
            self.reply(reply);
        }
    }

    fn reply(&mut self, reply: Reply) {
        match &mut self.lane {
            Some(lane) if lane.is_owner() || lane.stopped().is_some() => {
                let calls = lane.reply(reply, Timestamp::now());
                self.spawn(calls);
            }
            Some(_) | None => self.held.push(reply),
        }
    }

    fn spawn(&mut self, calls: Vec<Call>) {
        for call in calls {
            let caller = self.dispatch.caller.clone();
            let asked = call.clone();
            let task = self.calls.spawn(async move { caller.call(call).await });
            self.asked.insert(task.id(), asked);
        }
    }

    /// What follows after anything happened.
    fn after_round(&mut self) {
        if let Some(lane) = &mut self.lane {
            lane.obey_switch();
        }
        let stopped = self.lane.as_ref().and_then(Lane::stopped).cloned();
        if let Some(stop) = stopped {
            if self.assigned.is_none() {
                return;
            }
            self.say(&stop);
            if self.claim_again.is_none() && !matches!(stop, Stop::Halted(_)) {
                self.claim_again = Some(Instant::now() + self.dispatch.settings.reclaim_delay);
            }
            return;
        }
        if self.lane.as_ref().is_some_and(Lane::is_owner) {
            self.dispatch.not_halted.set(true);
            self.last_word = None;
            for reply in std::mem::take(&mut self.held) {
                self.reply(reply);
            }
        }
        if self.assigned.is_none() {
            return;
        }
        if let Some(lane) = &mut self.lane {
            let calls = lane.poll(Timestamp::now());
            self.spawn(calls);
        }
    }

    /// Says once why nothing is dispatched.
    fn say(&mut self, stop: &Stop) {
        let word = match stop {
            Stop::Superseded => "another owner claimed the ledger; this one stands back".to_owned(),
            Stop::AppendFailed(error) => format!("a record may not have reached the ledger: {error}"),
            Stop::Gap(what) => format!("the ledger was not read without a gap: {what}"),
            Stop::Halted(why) => why.clone(),
        };
        if self.last_word.as_ref() == Some(&word) {
            return;
        }
        match stop {
            Stop::Halted(_) => {
                self.dispatch.not_halted.set(false);
                // Nobody dispatches now, and the metric that tells so must show it.
                self.dispatch.metrics.set_owned_partitions(&self.dispatch.kafka.ledger_topic, 0);
                tracing::error!(reason = word, "Dispatch has halted; requests wait in the ledger.");
            }
            Stop::Superseded | Stop::AppendFailed(_) | Stop::Gap(_) => {
                tracing::warn!(reason = word, "Dispatch claims the ledger again in a while.");
            }
        }
        self.last_word = Some(word);
    }

    async fn commit(&mut self) {
        let partition = self.dispatch.context.partition;
        if self.assigned.is_none() {
            return;
        }
        let Some((offset, metadata)) = self.lane.as_mut().and_then(|lane| lane.position(Timestamp::now())) else {
            return;
        };
        match timeout(COMMIT_PATIENCE, self.consumer.commit(partition, offset, &metadata)).await {
            Ok(Ok(())) => {}
            Err(_) => tracing::warn!("The position in the ledger was not committed in time; a successor replays more."),
            Ok(Err(error)) => {
                tracing::warn!(%error, code = error.code(), "The position in the ledger was not committed; a successor replays more.");
            }
        }
    }

    fn measure(&mut self) {
        // Only the owner knows; what another replica owns by now is its to tell.
        let Some(lane) = self.lane.as_ref().filter(|lane| self.assigned.is_some() && lane.is_owner()) else {
            let waits_for = self.last_word.clone();
            self.dispatch.status.send_replace(DispatchStatus { waits_for, ..DispatchStatus::default() });
            return;
        };
        let now = Timestamp::now();
        let snapshot = lane.scheduler().snapshot(now);
        self.dispatch.context.accounts.show(&snapshot);
        self.dispatch.status.send_replace(DispatchStatus {
            at: Some(now),
            claim: Some(lane.claim().to_owned()),
            waits_for: None,
            snapshot,
            orders: lane.scheduler().state().orders.clone(),
        });
    }

    /// Starts nothing new, records the answers of the calls under way, and commits.
    async fn wind_down(mut self) -> DispatchEnd {
        let deadline = Instant::now() + self.dispatch.settings.shutdown_grace;
        if let Some(lane) = &mut self.lane {
            lane.wind_down();
        }
        let mut tick = interval(self.dispatch.settings.tick);
        while !self.is_settled() {
            tokio::select! {
                () = sleep_until(deadline) => break,
                input = self.consumer.next() => {
                    if self.input(input).is_err() {
                        break;
                    }
                }
                Some(ended) = self.calls.join_next_with_id() => self.ended(ended),
                () = delivered(&mut self.lane) => {}
                _ = tick.tick() => {}
            }
            self.after_round();
        }
        self.commit().await;
        let leftover = DispatchEnd { calls: self.calls.len() };
        self.consumer.close(Duration::from_secs(5)).await;
        leftover
    }

    fn is_settled(&self) -> bool {
        let lane_settled = self.lane.as_ref().is_none_or(|lane| lane.stopped().is_some() || lane.is_settled());
        self.calls.is_empty() && (lane_settled || self.assigned.is_none())
    }
}

/// The reply to a call that broke off: what it did, nobody can tell.
fn without_answer(call: Call) -> Option<Reply> {
    let now = Timestamp::now();
    match call {
        Call::Scan { scan_id, attempt, .. } => {
            let answer =
                ScanReply::InDoubt { detail: "the call broke off inside the worker".to_owned(), retry_after: None };
            Some(Reply::Scan { scan_id, attempt, answer })
        }
        Call::List { created_since } => Some(Reply::List { created_since, started_at: now, answer: ReadReply::Failed }),
        Call::LookUp { device_id } => Some(Reply::LookUp { device_id, answer: ReadReply::Failed }),
        Call::Cancel { .. } => None,
    }
}

async fn delivered(lane: &mut Option<Lane>) {
    match lane {
        Some(lane) => lane.delivered().await,
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
