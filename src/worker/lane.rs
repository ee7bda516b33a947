//! One ownership of the tenant's partition: from its claim to the next, or to its end.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use super::account::Accounts;
use super::intents::{Attempt, Intents};
use super::kill_switch::KillSwitch;
use super::position::PositionMetadata;
use crate::defender::LeaveBy;
use crate::event::{Claim, EventBody, EventError, Genesis, Mode, ScanEvent};
use crate::kafka::{Assigned, KafkaError, LedgerRecord, LedgerWriter};
use crate::scheduler::{Applied, BreakerState, Call, Command, Phase, Reply, Scheduler, Settings};

/// What every lane of this worker needs.
#[derive(Debug, Clone)]
pub(crate) struct LaneContext {
    pub(crate) tenant: String,
    pub(crate) owner: String,
    pub(crate) mode: Mode,
    pub(crate) switch: KillSwitch,
    pub(crate) scheduler: Settings,
    pub(crate) partition: i32,
    pub(crate) partitions: u32,
    /// Half of the ledger's retention.
    pub(crate) carry_after: Duration,
    pub(crate) accept_lost_ledger: bool,
    pub(crate) accounts: Accounts,
}

/// Why a lane does nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Another owner's claim was read after ours.
    Superseded,
    /// A record of ours may or may not be in the log: only a new claim can tell.
    AppendFailed(String),
    /// A record of the log was not read: the state is not what the log says.
    Gap(String),
    /// It may not dispatch until an operator has acted.
    Halted(String),
}

/// How an append ended, and of which attempt, if it is an intent.
type Delivered = (Option<Attempt>, Result<(i32, i64), KafkaError>);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    context: LaneContext,
    scheduler: Scheduler,
    writer: LedgerWriter,
    claim: String,
    log_id: Option<String>,
    /// Offset behind the last record that was folded.
    end: i64,
    was_owner: bool,
    /// The breaker, as last told.
    breaker: BreakerState,
    /// Whether this replica's own kill switch holds.
    held: bool,
    winding_down: bool,
    deliveries: FuturesUnordered<BoxFuture<'static, Delivered>>,
    intents: Intents,
    waiting: VecDeque<ScanEvent>,
    stop: Option<Stop>,
}

impl Lane {
    /// Begins an ownership: what the log must be like is checked, and the claim handed over for appending.
    ///
    /// # Errors
    /// What stops the lane before it begins.
    pub(crate) fn begin(
        context: LaneContext,
        writer: LedgerWriter,
        assigned: &Assigned,
        seed: u64,
        now: Timestamp,
    ) -> Result<Self, Stop> {
        let committed = assigned.committed.as_ref();
        // A group that never committed must see the log from its first record.
        let beginning_is_gone = committed.is_none() && assigned.low_watermark > 0;
        if (assigned.is_out_of_range() || beginning_is_gone) && !context.accept_lost_ledger {
            let at = committed.map_or(0, |committed| committed.offset);
            return Err(Stop::Halted(format!(
                "the ledger no longer holds offset {at}, where this group stopped: it holds {} to {}. Records expired unread, \
                 or the topic was truncated or recreated; what it said of open scans, quota and cooldowns is lost. Check what \
                 happened, then start once with worker.accept_lost_ledger: true",
                assigned.low_watermark, assigned.high_watermark
            )));
        }
        let metadata = match committed {
            Some(committed) if !assigned.is_out_of_range() => PositionMetadata::from_text(&committed.metadata),
            _ => PositionMetadata::default(),
        };
        let claim = uuid::Uuid::new_v4().simple().to_string();
        let mut scheduler = Scheduler::new(
            context.scheduler.clone(),
            context.mode,
            claim.clone(),
            metadata.claim,
            context.carry_after,
            seed,
        );
        let held = context.switch.is_pulled();
        scheduler.set_halted(held);
        let mut lane = Self {
            scheduler,
            writer,
            claim: claim.clone(),
            log_id: metadata.log_id,
            end: assigned.start(),
            was_owner: false,
            breaker: BreakerState::Closed,
            held,
            winding_down: false,
            deliveries: FuturesUnordered::new(),
            intents: Intents::new(context.scheduler.leave_within),
            waiting: VecDeque::new(),
            stop: None,
            context,
        };
        let body = Claim { claim, owner: lane.context.owner.clone(), version: env!("CARGO_PKG_VERSION").to_owned() };
        lane.append(now, body.into());
        Ok(lane)
    }

    /// Folds one record.
    pub(crate) fn record(&mut self, record: LedgerRecord, now: Timestamp) {
        if record.offset != self.end && self.stop.is_none() {
            // The topic has neither compaction nor transactions, so its offsets have no gaps.
            self.stop = Some(Stop::Gap(format!("offset {} was read where {} was due", record.offset, self.end)));
        }
        self.end = record.offset.saturating_add(1);
        let event = match record.event {
            Ok(event) => event,
            Err(error @ EventError::TooNew { .. }) => {
                self.halt(format!("offset {}: {error}", record.offset));
                return;
            }
            Err(error) => {
                tracing::error!(offset = record.offset, %error, "A record of the ledger cannot be read; it is left out.");
                return;
            }
        };
        if event.tenant != self.context.tenant {
            self.of_another_tenant(&event.tenant, record.offset);
            return;
        }
        if let EventBody::Genesis(genesis) = &event.body
            && self.scheduler.state().genesis.is_none()
        {
            // The first one counts: a second comes from a replica that began at the same moment.
            self.check_genesis(genesis, record.offset);
        }
        let before = self.context.accounts.before(self.scheduler.state(), &event);
        let applied = self.scheduler.apply(record.offset, &event);
        let owner = self.scheduler.is_owner();
        if owner && applied == Applied::Changed {
            // What happened before this ownership was counted by whoever did it.
            if self.was_owner {
                self.context.accounts.record(&event, &before, now);
            } else {
                if self.log_id.is_none() {
                    // Nobody owned this log before.
                    let log_id = uuid::Uuid::new_v4().simple().to_string();
                    let genesis =
                        Genesis { log_id, partition: self.context.partition, partitions: self.context.partitions };
                    self.append(now, genesis.into());
                }
                tracing::info!(
                    claim = self.claim,
                    open_requests = self.scheduler.state().requests.len(),
                    open_scans = self.scheduler.state().scans.len(),
                    "The ledger is replayed; this replica dispatches now."
                );
            }
        }
        if self.was_owner && !owner && self.stop.is_none() {
            self.stop = Some(Stop::Superseded);
        }
        self.was_owner = owner;
    }

    /// A log that began as another tenant's is not ours to write to; in ours such a record means nothing.
    fn of_another_tenant(&mut self, tenant: &str, offset: i64) {
        if self.log_id.is_some() {
            tracing::error!(offset, tenant, "A record of another tenant is in this tenant's ledger; it is left out.");
            return;
        }
        self.halt(format!(
            "offset {offset}: this partition is tenant {tenant}'s, and the configuration says tenant {}. Set \
             kafka.ledger.partition to one that no other tenant has",
            self.context.tenant
        ));
    }

    fn check_genesis(&mut self, genesis: &Genesis, offset: i64) {
        if genesis.partitions != self.context.partitions || genesis.partition != self.context.partition {
            self.halt(format!(
                "offset {offset}: the log began on partition {} of {}, and the configuration says partition {} of {}. A \
                 tenant cannot move; set kafka.ledger.partition and kafka.ledger.partitions to what the log says",
                genesis.partition, genesis.partitions, self.context.partition, self.context.partitions
            ));
        }
        match &self.log_id {
            Some(log_id) if *log_id != genesis.log_id && !self.context.accept_lost_ledger => self.halt(format!(
                "offset {offset}: the topic was recreated since this group last read it. Check what happened, then start \
                 once with worker.accept_lost_ledger: true"
            )),
            _ => self.log_id = Some(genesis.log_id.clone()),
        }
    }

    fn halt(&mut self, why: String) {
        self.stop = Some(Stop::Halted(why));
    }

    /// Looks at the clock: appends what follows and returns the calls to make.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Vec<(Call, LeaveBy)> {
        self.drain_waiting();
        if self.stop.is_some() {
            return Vec::new();
        }
        if !self.waiting.is_empty() {
            return self.intents.take_ready();
        }
        let commands = self.scheduler.poll(now);
        self.watch_breaker(now);
        self.execute(commands)
    }

    /// Takes the answer to a call. What came of a call is recorded even by a lane that has stopped: it is a fact that
    /// spares the next owner the doubt.
    pub(crate) fn reply(&mut self, reply: Reply, now: Timestamp) -> Vec<(Call, LeaveBy)> {
        let commands = self.scheduler.reply(reply, now);
        self.watch_breaker(now);
        self.execute(commands)
    }

    /// Whether the ledger, as far as it was read, does not know yet what an answer to a scan call says.
    pub(crate) fn awaits(&self, reply: &Reply) -> bool {
        let Reply::Scan { scan_id, attempt, .. } = reply else { return false };
        let scan = self.scheduler.state().scans.get(scan_id);
        scan.is_some_and(|scan| scan.attempt == *attempt && matches!(scan.phase, Phase::Intended { .. }))
    }

    fn watch_breaker(&mut self, now: Timestamp) {
        let breaker = self.scheduler.breaker(now);
        if std::mem::replace(&mut self.breaker, breaker) != breaker {
            self.context.accounts.breaker(breaker);
        }
    }

    fn execute(&mut self, commands: Vec<Command>) -> Vec<(Call, LeaveBy)> {
        for command in commands {
            match command {
                Command::Append { time, body } => self.append(time, *body),
                Command::Call(call) => self.intents.called(call),
            }
        }
        self.intents.take_ready()
    }

    fn append(&mut self, time: Timestamp, body: EventBody) {
        self.waiting.push_back(ScanEvent::new(time, self.context.tenant.clone(), body));
        self.drain_waiting();
    }

    fn drain_waiting(&mut self) {
        while let Some(event) = self.waiting.front() {
            match self.writer.enqueue(self.context.partition, event) {
                Ok(delivery) => {
                    let attempt = self.intents.appended(event.time, &event.body);
                    self.deliveries.push(async move { (attempt, delivery.await) }.boxed());
                    self.waiting.pop_front();
                }
                // Earlier deliveries make room.
                Err(KafkaError::QueueFull) => return,
                Err(error) => {
                    self.append_failed(&error);
                    return;
                }
            }
        }
    }

    fn append_failed(&mut self, error: &KafkaError) {
        if self.stop.is_none() {
            self.stop = Some(Stop::AppendFailed(error.to_string()));
        }
    }

    /// Waits until one more append was acknowledged or failed. Waits for ever when there is none; safe to cancel.
    pub(crate) async fn delivered(&mut self) {
        match self.deliveries.next().await {
            Some((Some(attempt), Ok(_))) => self.intents.acknowledged(&attempt),
            Some((None, Ok(_))) => {}
            Some((_, Err(error))) => self.append_failed(&error),
            None => std::future::pending().await,
        }
    }

    /// Why the lane does nothing any more.
    pub(crate) fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Whether this replica dispatches.
    pub(crate) fn is_owner(&self) -> bool {
        self.stop.is_none() && self.scheduler.is_owner()
    }

    /// Offset behind the last record that was folded.
    pub(crate) const fn end(&self) -> i64 {
        self.end
    }

    /// Whether every record handed over is acknowledged and read back.
    pub(crate) fn is_settled(&self) -> bool {
        self.deliveries.is_empty() && self.waiting.is_empty() && self.scheduler.outstanding() == 0
    }

    /// Starts no more scans: intents on their way are withdrawn.
    pub(crate) fn wind_down(&mut self) {
        self.winding_down = true;
        self.scheduler.set_halted(true);
    }

    /// Holds back what this replica's kill switch holds back, and tells the switch what the ledger says.
    pub(crate) fn obey_switch(&mut self) {
        let ordered = self.scheduler.state().orders.halted.is_some();
        let held = self.context.switch.folded(self.end, ordered);
        if held != self.held && !self.winding_down {
            self.scheduler.set_halted(held);
        }
        self.held = held;
    }

    /// The ownership that this lane is.
    pub(crate) fn claim(&self) -> &str {
        &self.claim
    }

    /// The scheduler, for metrics.
    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Where the next owner may start, and what to commit with it.
    pub(crate) fn position(&mut self, now: Timestamp) -> Option<(i64, String)> {
        if !self.is_owner() {
            return None;
        }
        let settings = &self.context.scheduler;
        let radius = settings.blast_radius.per.max(self.context.accounts.longest_rule_window());
        let oldest = self.scheduler.state().oldest_needed(now, settings.quota.hour_window, radius, self.end);
        let claim = self.scheduler.state().claim_before(oldest).map(str::to_owned);
        let metadata = PositionMetadata { v: 1, claim, log_id: self.log_id.clone() };
        Some((oldest, metadata.to_text()))
    }
}
