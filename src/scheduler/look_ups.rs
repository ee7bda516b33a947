//! What Defender knows of a device that its alerts do not tell.

use jiff::Timestamp;

use super::Scheduler;
use super::command::{Call, Command, ReadReply};
use super::local::LookUp;
use super::retry::full_jitter;
use super::state::after;

/// Tries of a look-up, after which the device cannot be told.
const LOOK_UP_TRIES: u32 = 4;

impl Scheduler {
    /// Sends the look-ups that are due and that the budget allows.
    pub(super) fn look_up(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let memory = self.settings.reads.device_memory;
        self.local.look_ups.retain(|_, look_up| match look_up {
            LookUp::Known(since, _) | LookUp::NotFound(since) | LookUp::Unknown(since) => after(*since, memory) > now,
            LookUp::Wanted(..) | LookUp::InFlight(_) => true,
        });
        let mut due: Vec<(Timestamp, String, u32)> = self
            .local
            .look_ups
            .iter()
            .filter_map(|(device, look_up)| match look_up {
                LookUp::Wanted(time, failures) if *time <= now => Some((*time, device.clone(), *failures)),
                _ => None,
            })
            .collect();
        // Whoever has waited longest goes first, should the budget not do for all.
        due.sort_unstable();
        for (_, device_id, failures) in due {
            if !self.local.look_up_budget.take(now, self.settings.reads.per_minute) {
                return;
            }
            self.local.look_ups.insert(device_id.clone(), LookUp::InFlight(failures));
            commands.push(Command::Call(Call::LookUp { device_id }));
        }
    }

    /// Takes the answer to a look-up.
    pub(super) fn looked_up(
        &mut self,
        device_id: String,
        answer: ReadReply<Option<super::DeviceFacts>>,
        now: Timestamp,
    ) {
        let failures = match self.local.look_ups.get(&device_id) {
            Some(LookUp::InFlight(failures)) => failures.saturating_add(1),
            _ => 1,
        };
        let known = match answer {
            ReadReply::Complete(Some(facts)) => LookUp::Known(now, facts),
            ReadReply::Complete(None) => LookUp::NotFound(now),
            ReadReply::NotPermitted => LookUp::Unknown(now),
            ReadReply::Failed if failures >= LOOK_UP_TRIES => LookUp::Unknown(now),
            ReadReply::Failed => {
                let wait =
                    full_jitter(&mut self.random, self.settings.retry.first, self.settings.retry.longest, failures);
                LookUp::Wanted(after(now, wait), failures)
            }
        };
        self.local.look_ups.insert(device_id.clone(), known);
        self.local.dirty.insert(device_id);
    }
}
