//! What to do next about every request for a scan: a pure state machine.
//!
//! It does no I/O and reads no clock. [`Scheduler::apply`] folds a record of the ledger, [`Scheduler::reply`] takes the
//! answer to a call, [`Scheduler::poll`] says what to do now. It acts on a decision only when the record of it was read
//! back; until then the device concerned is left alone.

mod answers;
mod breaker;
mod command;
mod comment;
mod counts;
mod covered;
mod devices;
mod doubt;
mod endings;
mod fold;
mod growth;
mod guards;
mod lists;
mod local;
mod look_ups;
mod memory;
mod orders;
mod plan;
mod portions;
mod protection;
mod quota;
mod retry;
mod settings;
mod silences;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod trips;
mod unfit;
mod wake;
mod wildcard;

use std::time::Duration;

use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use breaker::BreakerState;
pub use command::{Call, Command, DeviceFacts, ReadReply, Refusal, Reply, ScanReply, SeenAction};
pub use comment::marker_of;
pub use counts::{Counts, Wants};
pub use covered::EndedScan;
pub use fold::Applied;
pub use orders::{Caps, End, Ended, Order, Orders};
pub use protection::{ProtectedDevices, Protection, Protector};
pub use quota::{ReadBudget, Remaining};
pub use settings::{
    BlastRadiusSettings, BreakerSettings, InDoubtPolicy, QuotaSettings, ReadSettings, RetrySettings, Settings,
    UnfitMemorySettings,
};
pub use silences::holds_back;
pub use snapshot::Snapshot;
pub use state::{
    Cooldown, DeviceState, MEMORY, Phase, RADIUS_MEMORY, Reached, Remembered, Repeat, Request, Retry, Row, Scan, Slot,
    State,
};
pub use unfit::Unfit;
pub use wake::Wake;

use crate::event::{ControlAction, EventBody, Mode, ScanEvent};
use local::Local;

/// Most devices settled in one [`Scheduler::poll`], so that one poll stays short.
const DEVICES_PER_POLL: usize = 500;

/// How often facts to carry are looked for.
const CARRY_INTERVAL: Duration = Duration::from_secs(60);
/// A worker that has not looked for so long after it should have stood still.
const STOOD_STILL: Duration = Duration::from_secs(600);

/// The dispatch side of one tenant, for one ownership of its partition.
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
    mode: Mode,
    /// Records older than this are appended again while they still matter.
    carry_after: Duration,
    claim: String,
    protector: Protector,
    state: State,
    local: Local,
    random: StdRng,
}

impl Scheduler {
    /// A scheduler for the ownership `claim`. `mode` is the worker's own mode, `begin` the claim that was in force where
    /// replay starts, `carry_after` half of the topic's retention.
    #[must_use]
    pub fn new(
        settings: Settings,
        mode: Mode,
        claim: impl Into<String>,
        begin: Option<String>,
        carry_after: Duration,
        seed: u64,
    ) -> Self {
        let protector = Protector::new(&settings.protected);
        Self {
            settings,
            mode,
            carry_after,
            claim: claim.into(),
            protector,
            state: State::starting_under(begin),
            local: Local::default(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// The state that the log folded to so far.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The ownership that it acts for.
    #[must_use]
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// Whether our claim was read back and none after it: the only time at which anything is done.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.state.claim.as_deref() == Some(self.claim.as_str())
    }

    /// Pulls or releases the local kill switch (configuration, signal or admin API). The `control` record binds too.
    pub fn set_halted(&mut self, halted: bool) {
        self.local.halted = halted;
        self.local.wake_everything(&self.state);
    }

    /// Whether either kill switch is pulled.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.local.halted || self.state.orders.halted.is_some()
    }

    /// Folds one record that was read from the ledger.
    pub fn apply(&mut self, offset: i64, event: &ScanEvent) -> Applied {
        let was_owner = self.is_owner();
        let scan_id = event.body.scan_id();
        let device_before = scan_id.and_then(|scan| self.state.scans.get(scan)).map(|scan| scan.device.id.clone());
        let applied = self.state.apply(offset, event);
        if let EventBody::Intent(intent) = &event.body
            && applied == Applied::Void
        {
            self.local.breaker.dropped(&breaker::Probe::Scan(intent.scan_id.clone(), intent.attempt));
        }
        // A former owner's record may bear the same id as one of ours that is still on its way.
        if event.body.claim() == Some(self.claim.as_str())
            && let Some(device) = self.local.read_back(&event.id())
        {
            self.local.dirty.insert(device);
        }
        if let Some(device) = event.body.device().map(|device| device.id.clone()).or(device_before) {
            // A scan that was left alone because a record about its device was on the way gets its turn now.
            if let Some(scan) = self.state.devices.get(&device).and_then(|device| device.scan.clone()) {
                self.local.touched_scans.insert(scan);
            }
            self.local.dirty.insert(device);
        }
        if let Some(scan) = scan_id {
            self.local.touched_scans.insert(scan.to_owned());
            if !self.state.scans.contains_key(scan) {
                self.local.negatives.remove(scan);
            }
        }
        if let EventBody::Control(control) = &event.body
            && event.body.claim() == Some(self.claim.as_str())
            && let ControlAction::Tripped { rule_id, .. } = &control.control
        {
            self.local.tripping.remove(rule_id);
        }
        if matches!(event.body, EventBody::Control(_) | EventBody::Carried(_)) || was_owner != self.is_owner() {
            self.local.wake_everything(&self.state);
        }
        applied
    }

    /// What to do now. Nothing unless this is the owner.
    pub fn poll(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        if !self.is_owner() {
            return commands;
        }
        self.begin_ownership(now);
        self.fire_timers(now);
        if self.local.read_again_at.is_some_and(|again| again <= now) {
            self.local.read_again_at = None;
            self.local.may_not_read = false;
        }
        self.forget_look_ups(now);
        self.settle_scans(now, &mut commands);
        for _ in 0..DEVICES_PER_POLL {
            let Some(device) = self.local.dirty.pop_first() else { break };
            self.settle_device(&device, now, &mut commands);
        }
        self.start_scans(now, &mut commands);
        self.look_up(now, &mut commands);
        self.list(now, &mut commands);
        self.carry(now, &mut commands);
        commands
    }

    /// The first look as owner: where the log says that calls wait, and not for a 429, the API as a whole was down for the
    /// owner before. It is asked with one call first, not with as many as may be under way.
    fn begin_ownership(&mut self, now: Timestamp) {
        if std::mem::replace(&mut self.local.has_begun, true) || self.state.rate_limited_in_a_row > 0 {
            return;
        }
        if let Some((until, _)) = self.state.paused_until.filter(|(until, _)| *until > now) {
            self.local.breaker.start_open(until);
        }
    }

    fn fire_timers(&mut self, now: Timestamp) {
        while let Some((time, timer)) = self.local.timers.first().cloned() {
            if time > now {
                break;
            }
            self.local.timers.pop_first();
            match timer {
                local::Timer::Device(device) => self.local.dirty.insert(device),
                local::Timer::Scan(scan) => self.local.touched_scans.insert(scan),
            };
        }
    }

    /// Appends a record and leaves its device alone until it is read back.
    fn append(&mut self, now: Timestamp, device_id: &str, body: EventBody, commands: &mut Vec<Command>) {
        let event = ScanEvent::new(now, String::new(), body);
        self.local.appended(event.id(), device_id, now, &event.body);
        commands.push(Command::Append { time: now, body: Box::new(event.body) });
    }

    /// Facts that would outlive their records are appended again.
    fn carry(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        use crate::event::Carried;
        let last = self.local.next_carry;
        if last.is_some_and(|next| now < next) {
            return;
        }
        self.local.next_carry = Some(state::after(now, CARRY_INTERVAL));
        let before = commands.len();
        self.state.drop_idle_devices();
        let old = state::before(now, self.carry_after);
        // Who stood still has to read first what was ordered meanwhile: orders that ended something are not known for ever.
        self.local.orders_wait = last.is_some_and(|next| state::after(next, STOOD_STILL) < now);
        let orders = if self.local.orders_wait { Vec::new() } else { self.orders_to_carry(old, now) };
        for fact in orders.into_iter().chain(self.unfit_to_carry(old, now)) {
            commands.push(Command::Append { time: now, body: Box::new(fact.into()) });
        }
        // What a former owner's call came to may land at any moment, and says more of rest and row than what is known here.
        let in_doubt = |device: &DeviceState| {
            let scan = device.scan.as_ref().and_then(|scan| self.state.scans.get(scan));
            scan.is_some_and(|scan| scan.begun_at().is_some())
        };
        let mut resting: Vec<_> = self
            .state
            .devices
            .iter()
            .filter(|(id, device)| !self.local.is_busy(id) && !in_doubt(device))
            .filter_map(|(id, device)| Some((id.clone(), device.cooldown.clone()?, device.row.clone())))
            .filter(|(_, cooldown, row)| {
                let row_is_old = row.as_ref().is_some_and(|row| row.until > now && row.time < old);
                (cooldown.until > now && cooldown.time < old) || row_is_old
            })
            .collect();
        // A map's order is not the same twice; a history must be.
        resting.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
        for (id, cooldown, row) in resting {
            let device = crate::event::DeviceRef { id: id.clone(), ..Default::default() };
            let fact = Carried::Cooldown {
                cooldown_step: row.as_ref().map_or(0, |row| row.step),
                cooldown_grows_until: row.map(|row| row.until),
                claim: self.claim.clone(),
                device,
                cooldown_until: cooldown.until,
                scan_type: cooldown.scan_type,
            };
            commands.push(Command::Append { time: now, body: Box::new(fact.into()) });
        }
        // Else a quiet log would expire under what it still remembers, and a successor would take it for lost.
        let is_quiet = commands.len() == before && self.state.clock.is_some_and(|clock| clock < old);
        if is_quiet && !self.state.remembered.is_empty() {
            let fact = Carried::Quiet { claim: self.claim.clone() };
            commands.push(Command::Append { time: now, body: Box::new(fact.into()) });
        }
    }
}
