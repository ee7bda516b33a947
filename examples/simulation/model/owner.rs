//! One worker that owns the partition, owned it, or is about to.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::ScanEvent;
use super::hardness::Hardness;
use super::input;
use super::order;
use super::replay::offset;
use super::scheduler::{Call, Reply, Scheduler};

/// Facts are carried often, so that histories see it; so many times longer as everything takes.
const CARRY_AFTER: Duration = Duration::from_secs(600);

/// Something that happens to a worker, or that it does, after a delay.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// It reads what landed; at most so many records.
    Read(usize),
    /// It sends a call.
    Send(Call),
    /// An answer reaches it; when the call was sent.
    Answer(Reply, Timestamp),
}

/// Where a worker begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begin {
    /// Position of the first record that it reads.
    pub(crate) position: usize,
    /// The claim in force there.
    pub(crate) claim: Option<String>,
}

/// See the module.
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) scheduler: Scheduler,
    pub(crate) claim: String,
    /// Its configuration protects [`input::PROTECTED_LATER`].
    pub(crate) protects_later: bool,
    /// Next record to read.
    pub(crate) position: usize,
    /// By how much its clock is ahead.
    pub(crate) clock_ahead: SignedDuration,
    /// The process stands still; what is due waits.
    pub(crate) stopped: bool,
    pub(crate) deferred: VecDeque<Due>,
    /// Its appends land in order.
    pub(crate) last_land: Timestamp,
    /// Its local kill switch.
    pub(crate) halted: bool,
    /// What a 429 that it has seen demands.
    pub(crate) paused_until: Option<Timestamp>,
    /// Records it appended and has not read back, with their devices.
    pub(crate) on_the_way: HashMap<String, Option<usize>>,
    /// Caps whose trip it appended and has not read back.
    pub(crate) trips_on_the_way: BTreeSet<Option<String>>,
}

impl Owner {
    /// A worker that replays `log`.
    pub(crate) fn start(
        id: u64,
        hardness: &Hardness,
        protects_later: bool,
        seed: u64,
        log: &[ScanEvent],
        begin: Begin,
        now: Timestamp,
    ) -> Self {
        let claim = format!("claim-{id}");
        let mut settings = hardness.settings.clone();
        if protects_later {
            settings.protected.ids.push(input::device_id(input::PROTECTED_LATER));
        }
        let carry_after = CARRY_AFTER * hardness.pace;
        let scheduler = Scheduler::new(settings, hardness.mode, claim.clone(), begin.claim, carry_after, seed);
        let mut owner = Self {
            id,
            scheduler,
            claim,
            protects_later,
            position: begin.position,
            clock_ahead: SignedDuration::ZERO,
            stopped: false,
            deferred: VecDeque::new(),
            last_land: now,
            halted: false,
            paused_until: None,
            on_the_way: HashMap::new(),
            trips_on_the_way: BTreeSet::new(),
        };
        owner.read(log, usize::MAX);
        owner
    }

    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        now + self.clock_ahead
    }

    pub(crate) fn read(&mut self, log: &[ScanEvent], at_most: usize) {
        let end = self.position.saturating_add(at_most).min(log.len());
        while let Some(event) = log.get(self.position).filter(|_| self.position < end) {
            if event.body.claim() == Some(self.claim.as_str()) {
                self.on_the_way.remove(&event.id());
                if let Some(cap) = order::trip_of(&event.body) {
                    self.trips_on_the_way.remove(&cap.cloned());
                }
            }
            self.scheduler.apply(offset(self.position), event);
            self.position += 1;
        }
    }
}
