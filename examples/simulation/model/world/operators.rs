//! What operators do: the kill switch, re-arms, silences, protections; and whether workers listen.

use super::super::event::Silence;
use super::*;

impl World {
    pub(super) fn control(&mut self, control: ControlAction) {
        match control {
            ControlAction::Halted => self.halted = true,
            ControlAction::Resumed => self.halted = false,
            _ => {}
        }
        self.land_later(Control { control, author: "operator".to_owned(), comment: None }.into());
    }

    pub(super) fn operate(&mut self) {
        let often = self.hard.operators;
        if self.halted {
            if self.chance.dice.chance(80) {
                self.control(ControlAction::Resumed);
            }
        } else if self.chance.fault(Fault::Halted, often) {
            self.control(ControlAction::Halted);
        }
        for owner in self.owners.iter_mut().filter(|owner| !owner.stopped) {
            let pulls = if owner.halted {
                self.chance.dice.chance(200)
            } else {
                self.chance.fault(Fault::HaltedLocally, often)
            };
            if pulls {
                owner.halted = !owner.halted;
                owner.scheduler.set_halted(owner.halted);
            }
            if self.hard.skew && self.chance.fault(Fault::ClockJump, 50) {
                owner.clock_ahead = self.chance.dice.millis(0, 6000) - SignedDuration::from_secs(3);
            }
        }
        if !self.protects_later && self.chance.fault(Fault::ProtectionConfigured, often / 4) {
            self.protects_later = true;
        }
        if self.api.tagged_at.is_none() && self.chance.fault(Fault::ProtectionTagged, often / 4) {
            self.api.tagged_at = Some(self.now);
        }
        self.rearm(often);
        self.silence(often);
    }

    /// Somebody re-arms a cap that is tripped, now and then one that is not.
    fn rearm(&mut self, often: u32) {
        let tripped = self.checks.ledger.orders.tripped(usize::MAX);
        for rule_id in tripped {
            if self.chance.fault(Fault::Rearmed, often * 5) {
                self.control(ControlAction::Rearmed { rule_id });
            }
        }
        if self.chance.fault(Fault::RearmedForNothing, often / 4) {
            let rule_id =
                [None, Some("limited".to_owned()), Some("open".to_owned())][self.chance.dice.index(3)].clone();
            self.control(ControlAction::Rearmed { rule_id });
        }
    }

    /// Somebody sets a silence, replaces one, or ends one.
    fn silence(&mut self, often: u32) {
        if self.chance.fault(Fault::Silenced, often * 2) {
            let silence = input::silence(&mut self.chance, &self.hard, self.now);
            if self.silence_ids().contains(&silence.id) {
                self.chance.coverage.saw("log", "silence_replaced");
            }
            self.control(ControlAction::SilenceSet { silence });
        }
        let ids = self.silence_ids();
        if !ids.is_empty() && self.chance.fault(Fault::SilenceEnded, often * 2) {
            let silence_id = ids[self.chance.dice.index(ids.len())].clone();
            self.control(ControlAction::SilenceEnded { silence_id });
        }
    }

    fn silence_ids(&self) -> Vec<String> {
        self.checks.ledger.orders.silences(usize::MAX).into_keys().map(str::to_owned).collect()
    }

    /// The worker that owns the partition and has read everything shows the orders as they were given.
    pub(super) fn listens_to_orders(&self) -> Kept {
        let current = |owner: &&Owner| {
            !owner.halted && owner.position == self.log.len() && self.checks.ledger.in_force(&owner.claim)
        };
        let Some(owner) = self.owners.iter().find(current) else { return Ok(()) };
        let (shown, ordered) = (owner.scheduler.is_halted(), self.checks.ledger.halted.is_some());
        ensure("kill_switch", shown == ordered, || {
            format!("worker-{} shows halted {shown}, and operators ordered {ordered}", owner.id)
        })?;
        let shown = &owner.scheduler.state().orders;
        let tripped = self.checks.ledger.orders.tripped(usize::MAX);
        ensure("trip", shown.tripped.keys().eq(tripped.iter()), || {
            format!("worker-{} shows {:?}, and {tripped:?} are tripped", owner.id, shown.tripped)
        })?;
        // What is over is forgotten, by whichever clock.
        let soon = self.now + SignedDuration::from_secs(10);
        let lasts = |silence: &&Silence| silence.ends_at > soon;
        let said: Vec<&Silence> = self.checks.ledger.orders.silences(usize::MAX).into_values().filter(lasts).collect();
        let shown: Vec<&Silence> = shown.silences.values().map(|(silence, _)| silence).filter(lasts).collect();
        ensure("silence", said == shown, || format!("worker-{} shows {shown:?}, and {said:?} are set", owner.id))
    }
}
