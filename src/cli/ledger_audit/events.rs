//! What each record is to the audit: the check that it goes to, or the order that it gives.

use super::lane::{Lane, Place};
use crate::event::{Carried, ControlAction, EventBody};

/// Whether a record may bear the time of another host than the owner's.
pub(super) const fn is_from_elsewhere(body: &EventBody) -> bool {
    match body {
        EventBody::Requested(_) => true,
        EventBody::Control(control) => !matches!(control.control, ControlAction::Tripped { .. }),
        _ => false,
    }
}

impl Lane {
    pub(super) fn event(&mut self, body: &EventBody, place: &mut Place<'_>) {
        match body {
            EventBody::Genesis(genesis) => self.genesis(genesis, place),
            EventBody::Claim(claim) => {
                self.counts.claims += 1;
                self.claim = Some(claim.claim.clone());
                self.claimed_at = Some(place.offset);
                self.radius.claimed(place.options);
            }
            EventBody::Control(control) => match &control.control {
                ControlAction::Halted => self.halted = self.halted.or(Some(place.offset)),
                ControlAction::Resumed => {
                    self.halted = None;
                    self.resumed = Some(place.offset);
                }
                ControlAction::Tripped { claim, rule_id, .. } => {
                    if self.counts_under(claim) {
                        self.radius.tripped(rule_id.as_deref(), place.offset);
                    }
                }
                ControlAction::Rearmed { rule_id } => self.radius.rearmed(rule_id.as_deref(), place.offset),
                ControlAction::SilenceSet { silence } => self.silences.set(silence, place.offset, self.clock),
                ControlAction::SilenceEnded { silence_id } => self.silences.end(silence_id, place.offset),
            },
            EventBody::Carried(Carried::Halted { claim, order_offset }) => {
                // An order given after the one that it carries says more.
                let overruled = self.resumed.is_some_and(|resumed| order_offset.is_some_and(|order| order < resumed));
                if self.counts_under(claim) && !overruled {
                    self.halted = self.halted.or(Some(place.offset));
                }
            }
            EventBody::Carried(Carried::Cooldown { claim, device, cooldown_until, scan_type, .. }) => {
                if self.counts_under(claim) {
                    self.device(&device.id).rests(*scan_type, *cooldown_until, place.offset);
                }
            }
            EventBody::Carried(Carried::Tripped { claim, order_offset, rule_id }) => {
                if self.counts_under(claim) {
                    self.radius.carried(rule_id.as_deref(), place.offset, order_offset.unwrap_or(place.offset));
                }
            }
            EventBody::Carried(Carried::Silence { claim, order_offset, silence }) => {
                if self.counts_under(claim) {
                    let ordered = order_offset.unwrap_or(place.offset);
                    self.silences.carried(silence, place.offset, ordered, self.clock);
                }
            }
            EventBody::Carried(Carried::DeviceUnfit { claim, device, reason, device_unfit_until }) => {
                if self.counts_under(claim) {
                    self.device(&device.id).unfit(*reason, *device_unfit_until, place.offset);
                }
            }
            EventBody::Carried(Carried::Quiet { .. }) => {}
            EventBody::Requested(body) => self.requested(body, place),
            EventBody::Intent(body) => self.intent(body, place),
            EventBody::Withdrawn(body) => self.withdrawn(body, place),
            EventBody::AttemptFailed(body) => self.attempt_failed(body, place),
            EventBody::Accepted(body) => self.accepted(body, place),
            EventBody::Joined(body) => self.joined(body, place),
            EventBody::Shadowed(body) => self.shadowed(body, place),
            EventBody::Suppressed(body) => self.suppressed(body, place),
            EventBody::Failed(body) => self.failed(body, place),
            EventBody::Finished(body) => self.finished(body, place),
        }
    }
}
