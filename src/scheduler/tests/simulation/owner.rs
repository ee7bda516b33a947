//! One worker that owns the partition, owned it, or is about to.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::{Carried, ControlAction, EventBody, Mode, ScanEvent};
use super::input;
use super::scheduler::{Reply, Scheduler, State};

/// Facts are carried often, so that histories see it.
const CARRY_AFTER: Duration = Duration::from_secs(600);

/// Something that happens to a worker, or that it does, after a delay.
#[derive(Debug, Clone)]
pub(super) enum Due {
    /// It reads what landed.
    Read,
    /// It sends a call.
    Send(super::scheduler::Call),
    /// An answer reaches it.
    Answer(Reply),
}

/// See the module.
pub(super) struct Owner {
    pub(super) id: u64,
    pub(super) scheduler: Scheduler,
    pub(super) claim: String,
    /// Next record to read.
    pub(super) position: usize,
    /// By how much its clock is ahead.
    pub(super) clock_ahead: SignedDuration,
    /// The process stands still; what is due waits.
    pub(super) stopped: bool,
    pub(super) deferred: VecDeque<Due>,
    /// Its appends land in order.
    pub(super) last_land: Timestamp,
    /// Its local kill switch.
    pub(super) halted: bool,
    /// The kill switch of the log, as far as it has read.
    pub(super) halted_by_log: bool,
    /// Offset of the last order to go on that it has read.
    resumed: i64,
    /// What a 429 that it has seen demands.
    pub(super) paused_until: Option<Timestamp>,
    /// Records it appended and has not read back, with their devices.
    pub(super) on_the_way: HashMap<String, String>,
}

impl Owner {
    /// A worker that replays `log` from `from`.
    pub(super) fn start(
        id: u64,
        world: &input::World,
        seed: u64,
        log: &[ScanEvent],
        from: usize,
        begin: Option<String>,
        now: Timestamp,
    ) -> Self {
        let claim = format!("claim-{id}");
        let scheduler = Scheduler::new(world.settings.clone(), world.mode, claim.clone(), begin, CARRY_AFTER, seed);
        let mut owner = Self {
            id,
            scheduler,
            claim,
            position: from,
            clock_ahead: SignedDuration::ZERO,
            stopped: false,
            deferred: VecDeque::new(),
            last_land: now,
            halted: false,
            halted_by_log: false,
            resumed: -1,
            paused_until: None,
            on_the_way: HashMap::new(),
        };
        owner.read(log);
        owner
    }

    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        now + self.clock_ahead
    }

    pub(super) fn read(&mut self, log: &[ScanEvent]) {
        while let Some(event) = log.get(self.position) {
            match &event.body {
                EventBody::Control(control) => match control.control {
                    ControlAction::Halted => self.halted_by_log = true,
                    ControlAction::Resumed => {
                        self.halted_by_log = false;
                        self.resumed = offset(self.position);
                    }
                    _ => {}
                },
                EventBody::Carried(Carried::Halted { claim, order_offset })
                    if self.scheduler.state().claim.as_deref() == Some(claim)
                        && order_offset.is_none_or(|order| order > self.resumed) =>
                {
                    self.halted_by_log = true;
                }
                _ => {}
            }
            if event.body.claim() == Some(self.claim.as_str()) {
                self.on_the_way.remove(&event.id());
            }
            self.scheduler.apply(offset(self.position), event);
            self.position += 1;
        }
    }
}

pub(super) fn offset(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// What of two folds must be the same at `now`, wherever each began. Rests, slots, reached devices and pauses that are
/// over by then may be missing.
pub(super) fn difference(world: &input::World, now: Timestamp, whole: &State, part: &State) -> Option<String> {
    let settings = &world.settings;
    let after = |time: Timestamp, length: Duration| time.saturating_add(length).unwrap_or(Timestamp::MAX);
    let told = |state: &State| {
        let mut lines = vec![
            format!("claim {:?}", state.claim),
            format!("halted {}", state.orders.halted.is_some()),
            format!("tripped {:?}", state.orders.tripped.keys()),
            format!("paused {:?}", state.paused_until.map(|(until, _)| until).filter(|until| *until > now)),
        ];
        lines.extend(state.requests.iter().map(|(id, request)| format!("request {id} {request:?}")));
        lines.extend(state.scans.iter().map(|(id, scan)| format!("scan {id} {scan:?}")));
        lines.extend(state.known_requests.iter().map(|id| format!("known {id}")));
        for slot in state.slots.iter().filter(|slot| after(slot.arrived_by, settings.quota.hour_window) > now) {
            lines.push(format!("slot {} {} {}", slot.scan_id, slot.attempt, slot.arrived_by));
        }
        for reached in state.reached.iter().filter(|reached| after(reached.time, settings.blast_radius.per) > now) {
            lines.push(format!("reached {} {} {:?}", reached.time, reached.device_id, reached.rule_ids));
        }
        for (id, device) in &state.devices {
            if let Some(unfit) = device.unfit.as_ref().filter(|unfit| unfit.until > now) {
                lines.push(format!("unfit {id} {} {}", unfit.reason, unfit.until));
            }
            for ended in device.ended.iter().filter(|ended| ended.until > now) {
                lines.push(format!("ended {id} {ended:?}"));
            }
            let rests = |rest: &Option<super::scheduler::Cooldown>| {
                rest.as_ref().filter(|rest| rest.until > now).map(|rest| (rest.until, rest.scan_type))
            };
            let line =
                (&device.queued, &device.scan, &device.retry, rests(&device.cooldown), rests(&device.shadow_cooldown));
            if *device != Default::default() && line != (&Default::default(), &None, &None, None, None) {
                lines.push(format!("device {id} {line:?}"));
            }
        }
        lines.sort_unstable();
        lines
    };
    let (whole, part) = (told(whole), told(part));
    let missing: Vec<_> = whole.iter().filter(|line| !part.contains(line)).collect();
    let extra: Vec<_> = part.iter().filter(|line| !whole.contains(line)).collect();
    (!missing.is_empty() || !extra.is_empty()).then(|| format!("missing {missing:#?}, extra {extra:#?}"))
}

/// Whether a worker in this mode may call at all.
pub(super) fn may_call(mode: Mode) -> bool {
    mode == Mode::Live
}
