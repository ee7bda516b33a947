//! The fold of what binds every replica: orders of operators, trips of the owner, and facts that were carried on.
//!
//! The owner carries a fact on by what it has read. An operator's order may lie between that and the carried record, and
//! must not be undone by it. So a carried record names the order that it carries, and any later order about the same
//! thing voids it. That needs the later order to be known: one that ended something is remembered for as long as a record
//! may be under way, and whoever reads a carried record that it voids reads the order too.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Scheduler;
use super::state::{Cooldown, MEMORY, RADIUS_MEMORY, Repeat, Row, State, after};
use super::unfit::Unfit;
use crate::event::{Carried, ControlAction, Silence};

/// Caps, by rule; `None` is the cap on all rules together.
pub type Caps<T> = BTreeMap<Option<String>, T>;

/// The record that holds an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub time: Timestamp,
    /// Offset of the order itself: another one where this record carries it on.
    pub ordered: i64,
}

/// What an order ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// The kill switch was released.
    Halt,
    /// A cap was re-armed.
    Trip(Option<String>),
    /// A silence was ended.
    Silence(String),
}

/// An order that ended something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its offset.
    pub offset: i64,
    /// Its time, by the clock of whoever gave it.
    pub time: Timestamp,
    /// Time of the first record after it that the dispatch side wrote. What was under way when it was given lands before
    /// long from there on.
    pub since: Option<Timestamp>,
}

/// Orders in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Orders {
    /// The kill switch.
    pub halted: Option<Order>,
    /// Caps that are tripped.
    pub tripped: Caps<Order>,
    /// Caps that were re-armed: devices reached before do not count.
    pub rearmed: Caps<Order>,
    /// Silences that have not ended.
    pub silences: BTreeMap<String, (Silence, Order)>,
    /// Orders that ended something a short while ago.
    pub ended: BTreeMap<Ended, End>,
}

impl Orders {
    /// Whether the cap of a rule is tripped; `None` asks for the cap on all rules together.
    #[must_use]
    pub fn is_tripped(&self, rule: Option<&str>) -> bool {
        self.tripped.keys().any(|tripped| tripped.as_deref() == rule)
    }

    /// The latest order about what a fact carries on, where one is known.
    fn latest(&self, fact: &Carried) -> Option<i64> {
        let (holds, ended) = match fact {
            Carried::Halted { .. } => (self.halted.as_ref(), Ended::Halt),
            Carried::Tripped { rule_id, .. } => (self.tripped.get(rule_id), Ended::Trip(rule_id.clone())),
            Carried::Silence { silence, .. } => {
                (self.silences.get(&silence.id).map(|(_, order)| order), Ended::Silence(silence.id.clone()))
            }
            Carried::Cooldown { .. } | Carried::DeviceUnfit { .. } | Carried::Quiet { .. } => return None,
        };
        holds.map(|order| order.ordered).max(self.ended.get(&ended).map(|end| end.offset))
    }

    /// Offsets of the records that must be read again to know all this. `reached` are the offsets of devices that count.
    pub(super) fn needed(&self, reached: &[i64], now: Timestamp) -> impl Iterator<Item = i64> {
        let ended = self.ended.values().filter(move |end| {
            // One that was past before dispatch wrote again stays past: a successor's position must not go back to it.
            let from = end.since.filter(|since| after(end.time, MEMORY) > *since).unwrap_or(end.time);
            after(from, MEMORY) > now
        });
        let counts = |order: &&Order| reached.iter().any(|reached| *reached < order.offset);
        self.halted
            .iter()
            .chain(self.tripped.values())
            .chain(self.rearmed.values().filter(counts))
            .chain(self.silences.values().map(|(_, order)| order))
            .map(|order| order.offset)
            .chain(ended.map(|end| end.offset))
    }

    /// The dispatch side wrote a record.
    pub(super) fn dispatch_wrote(&mut self, clock: Timestamp) {
        for end in self.ended.values_mut() {
            end.since.get_or_insert(clock);
        }
    }

    /// Drops what is past by the time of the log.
    pub(super) fn forget(&mut self, clock: Timestamp) {
        self.silences.retain(|_, (silence, _)| silence.ends_at > clock);
        self.ended.retain(|_, end| end.since.is_none_or(|since| after(since, MEMORY) >= clock));
        // Every device that was reached before is forgotten by then.
        self.rearmed.retain(|_, order| after(order.time, RADIUS_MEMORY) >= clock);
    }
}

impl State {
    pub(super) fn ordered(&mut self, offset: i64, time: Timestamp, action: &ControlAction) -> bool {
        let order = Order { offset, time, ordered: offset };
        let end = End { offset, time, since: None };
        // An operator's clock is not the owner's: devices were reached by the time of the log.
        let lasting = Order { time: self.clock.unwrap_or(time), ..order };
        let orders = &mut self.orders;
        match action {
            ControlAction::Halted => orders.halted = Some(order),
            ControlAction::Resumed => {
                orders.halted = None;
                orders.ended.insert(Ended::Halt, end);
            }
            ControlAction::Tripped { claim, rule_id, .. } => {
                if self.claim.as_deref() != Some(claim) || orders.tripped.contains_key(rule_id) {
                    return false;
                }
                orders.tripped.insert(rule_id.clone(), order);
            }
            ControlAction::Rearmed { rule_id } => {
                orders.tripped.remove(rule_id);
                orders.rearmed.insert(rule_id.clone(), lasting);
                orders.ended.insert(Ended::Trip(rule_id.clone()), end);
            }
            ControlAction::SilenceSet { silence } => {
                orders.silences.insert(silence.id.clone(), (silence.clone(), order));
                // It ends the one of that id before it, which an owner that has not read this may still carry on; once this one
                // is past nothing else would tell.
                orders.ended.insert(Ended::Silence(silence.id.clone()), end);
            }
            ControlAction::SilenceEnded { silence_id } => {
                orders.ended.insert(Ended::Silence(silence_id.clone()), end);
                return orders.silences.remove(silence_id).is_some();
            }
        }
        true
    }

    pub(super) fn carried(&mut self, offset: i64, time: Timestamp, carried: &Carried) -> bool {
        if !self.in_force(carried.claim()) {
            return false;
        }
        let ordered = match carried {
            Carried::Halted { order_offset, .. }
            | Carried::Tripped { order_offset, .. }
            | Carried::Silence { order_offset, .. } => order_offset.unwrap_or(offset),
            Carried::Cooldown { .. } | Carried::DeviceUnfit { .. } | Carried::Quiet { .. } => offset,
        };
        if let Some(first) = self.orders.latest(carried).filter(|latest| *latest > ordered) {
            // Whoever reads this record must have read that order.
            self.repeats.push_back(Repeat { time, offset, first });
            return false;
        }
        let order = Order { offset, time, ordered };
        match carried {
            Carried::Halted { .. } => self.orders.halted = Some(order),
            Carried::Tripped { rule_id, .. } => {
                self.orders.tripped.insert(rule_id.clone(), order);
            }
            Carried::Silence { silence, .. } => {
                self.orders.silences.insert(silence.id.clone(), (silence.clone(), order));
            }
            Carried::Cooldown { device, cooldown_until, scan_type, cooldown_step, cooldown_grows_until, .. } => {
                let device = self.devices.entry(device.id.clone()).or_default();
                // A scan that was accepted meanwhile rests the device for longer.
                if device.cooldown.as_ref().is_some_and(|rest| rest.until > *cooldown_until) {
                    return false;
                }
                device.cooldown = Some(Cooldown { until: *cooldown_until, scan_type: *scan_type, offset, time });
                device.row = cooldown_grows_until.map(|until| Row { step: *cooldown_step, until, offset, time });
            }
            Carried::DeviceUnfit { device, reason, device_unfit_until, .. } => {
                let unfit = Unfit { reason: *reason, until: *device_unfit_until, offset, time };
                return self.remember_unfit(&device.id, unfit);
            }
            // Its time is all that it says.
            Carried::Quiet { .. } => {}
        }
        true
    }
}

impl Scheduler {
    /// Orders in force whose records are older than `old`, to be carried on.
    pub(super) fn orders_to_carry(&self, old: Timestamp, now: Timestamp) -> Vec<Carried> {
        let orders = &self.state.orders;
        let claim = || self.claim.clone();
        let halted = orders.halted.iter().filter(|order| order.time < old);
        let halted = halted.map(|order| Carried::Halted { claim: claim(), order_offset: Some(order.ordered) });
        let tripped = orders.tripped.iter().filter(|(_, order)| order.time < old);
        let tripped = tripped.map(|(rule_id, order)| Carried::Tripped {
            claim: claim(),
            order_offset: Some(order.ordered),
            rule_id: rule_id.clone(),
        });
        let silences = orders.silences.values();
        let silences = silences.filter(|(silence, order)| order.time < old && silence.ends_at > now);
        let silences = silences.map(|(silence, order)| Carried::Silence {
            claim: claim(),
            order_offset: Some(order.ordered),
            silence: silence.clone(),
        });
        halted.chain(tripped).chain(silences).collect()
    }
}
