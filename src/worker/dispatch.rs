//! Dispatch: the owner of the ledger's partition folds it, asks the scheduler what to do, and does it.

mod ownership;
#[cfg(test)]
mod tests;

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
use crate::defender::LeaveBy;
use crate::kafka::{Assigned, KafkaError, LedgerConsumer, LedgerInput, Settings as KafkaSettings};
use crate::scheduler::{Call, ReadReply, Reply, ScanReply};
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
    /// `None` between two memberships of the group.
    consumer: Option<LedgerConsumer>,
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
    /// Answers to scan calls whose record was not read back yet: it may never reach the ledger.
    answered: Vec<Reply>,
    winding_down: bool,
}

impl Dispatch {
    /// Runs until told to stop, then finishes the calls under way within the grace period.
    ///
    /// # Errors
    /// Settings that no consumer can be made with.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<DispatchEnd, KafkaError> {
        let consumer = LedgerConsumer::join(&self.kafka)?;
        let mut running = Running::new(self, Some(consumer));
        running.until(&shutdown).await?;
        Ok(running.wind_down().await)
    }
}

impl Running {
    fn new(dispatch: Dispatch, consumer: Option<LedgerConsumer>) -> Self {
        Self {
            dispatch,
            consumer,
            assigned: None,
            lane: None,
            calls: JoinSet::new(),
            asked: HashMap::new(),
            claim_again: None,
            last_word: None,
            held: Vec::new(),
            answered: Vec::new(),
            winding_down: false,
        }
    }

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
                input = next_input(&mut self.consumer) => self.input(input),
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
    fn input(&mut self, input: LedgerInput) {
        self.handle(input);
        for _ in 1..RECORDS_PER_ROUND {
            let Some(input) = self.consumer.as_mut().and_then(LedgerConsumer::try_next) else { break };
            self.handle(input);
        }
    }

    fn handle(&mut self, input: LedgerInput) {
        match input {
            LedgerInput::Record(record) => {
                if let Some(lane) = &mut self.lane
                    && record.partition == self.dispatch.context.partition
                {
                    lane.record(record, Timestamp::now());
                }
            }
            LedgerInput::Assigned(assigned) if assigned.partition == self.dispatch.context.partition => {
                self.assigned(assigned);
            }
            // Partitions of other tenants: another worker's business.
            LedgerInput::Assigned(_) => {}
            LedgerInput::Revoked { partition, lost } => {
                if partition == self.dispatch.context.partition {
                    tracing::info!(lost, "The ledger's partition was handed to another replica.");
                    self.dispatch.metrics.rebalance();
                    self.disowned();
                }
            }
            LedgerInput::HighWatermark { partition, offset } => {
                if let Some(lane) = self.lane.as_ref().filter(|lane| lane.is_owner() && self.assigned.is_some())
                    && partition == self.dispatch.context.partition
                {
                    let lag = u64::try_from(offset.saturating_sub(lane.end())).unwrap_or(0);
                    let topic = &self.dispatch.kafka.ledger_topic;
                    self.dispatch.metrics.set_consumer_lag(topic, partition, lag);
                }
            }
            LedgerInput::Error(error @ (KafkaError::ConsumerFatal(_) | KafkaError::OffsetOutOfRange(_))) => {
                tracing::error!(%error, "The ledger cannot be read any more; its group is joined again in a while.");
                self.leave();
            }
            LedgerInput::Error(error) => {
                tracing::warn!(%error, code = error.code(), "Reading the ledger met trouble; it goes on by itself.");
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
                self.answered.extend(Some(&reply).filter(|reply| matches!(reply, Reply::Scan { .. })).cloned());
                let calls = lane.reply(reply, Timestamp::now());
                self.spawn(calls);
            }
            // What came of a scan call is a fact; all else is asked anew by then, and may be old.
            Some(_) | None => self.held.extend(Some(reply).filter(|reply| matches!(reply, Reply::Scan { .. }))),
        }
    }

    fn spawn(&mut self, calls: Vec<(Call, LeaveBy)>) {
        for (call, leave_by) in calls {
            let caller = self.dispatch.caller.clone();
            let asked = call.clone();
            let task = self.calls.spawn(async move { caller.call(call, leave_by).await });
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
            if let Some(lane) = &self.lane {
                self.answered.retain(|reply| lane.awaits(reply));
            }
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

    async fn commit(&mut self) {
        let partition = self.dispatch.context.partition;
        let Some(consumer) = self.consumer.as_ref().filter(|_| self.assigned.is_some()) else { return };
        let Some((offset, metadata)) = self.lane.as_mut().and_then(|lane| lane.position(Timestamp::now())) else {
            return;
        };
        match timeout(COMMIT_PATIENCE, consumer.commit(partition, offset, &metadata)).await {
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
        self.start_nothing_new();
        let mut tick = interval(self.dispatch.settings.tick);
        while !self.is_settled() {
            tokio::select! {
                () = sleep_until(deadline) => break,
                input = next_input(&mut self.consumer) => self.input(input),
                Some(ended) = self.calls.join_next_with_id() => self.ended(ended),
                () = delivered(&mut self.lane) => {}
                _ = tick.tick() => {}
            }
            self.after_round();
        }
        self.commit().await;
        let leftover = DispatchEnd { calls: self.calls.len() };
        if let Some(consumer) = self.consumer {
            consumer.close(Duration::from_secs(5)).await;
        }
        leftover
    }

    fn start_nothing_new(&mut self) {
        self.winding_down = true;
        if let Some(lane) = &mut self.lane {
            lane.wind_down();
        }
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

async fn next_input(consumer: &mut Option<LedgerConsumer>) -> LedgerInput {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => std::future::pending().await,
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
