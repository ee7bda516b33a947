//! The fold of what binds every replica: orders of operators, trips of the owner, and facts that were carried on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{Cooldown, Row, State};
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
}

impl State {
    pub(super) fn ordered(&mut self, offset: i64, time: Timestamp, action: &ControlAction) -> bool {
        let order = Order { offset, time };
        let orders = &mut self.orders;
        match action {
            ControlAction::Halted => orders.halted = Some(order),
            ControlAction::Resumed => orders.halted = None,
            ControlAction::Tripped { claim, rule_id, .. } => {
                if self.claim.as_deref() != Some(claim) {
                    return false;
                }
                orders.tripped.insert(rule_id.clone(), order);
            }
            ControlAction::Rearmed { rule_id } => {
                orders.tripped.remove(rule_id);
                orders.rearmed.insert(rule_id.clone(), order);
            }
            ControlAction::SilenceSet { silence } => {
                orders.silences.insert(silence.id.clone(), (silence.clone(), order));
            }
            ControlAction::SilenceEnded { silence_id } => return orders.silences.remove(silence_id).is_some(),
        }
        true
    }

    pub(super) fn carried(&mut self, offset: i64, time: Timestamp, carried: &Carried) -> bool {
        match carried {
            Carried::Halted { claim } => {
                let still = self.in_force(claim);
                if still {
                    self.orders.halted = Some(Order { offset, time });
                }
                still
            }
            Carried::Cooldown { claim, device, cooldown_until, scan_type, cooldown_step, cooldown_grows_until } => {
                let device = self.devices.entry(device.id.clone()).or_default();
                // A scan that was accepted meanwhile rests the device for longer.
                let longer = device.cooldown.as_ref().is_some_and(|rest| rest.until > *cooldown_until);
                let still = self.claim.as_deref() == Some(claim) && !longer;
                if still {
                    device.cooldown = Some(Cooldown { until: *cooldown_until, scan_type: *scan_type, offset, time });
                    device.row = cooldown_grows_until.map(|until| Row { step: *cooldown_step, until, offset, time });
                }
                still
            }
            Carried::Tripped { claim, rule_id } => {
                // An order given meanwhile says more.
                let still = self.in_force(claim) && self.orders.tripped.contains_key(rule_id);
                if still {
                    self.orders.tripped.insert(rule_id.clone(), Order { offset, time });
                }
                still
            }
            Carried::Silence { claim, silence } => {
                let still = self.in_force(claim);
                if still {
                    self.orders.silences.insert(silence.id.clone(), (silence.clone(), Order { offset, time }));
                }
                still
            }
            // Not remembered yet.
            Carried::DeviceUnfit { .. } => false,
        }
    }
}
