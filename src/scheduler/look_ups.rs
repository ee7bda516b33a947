//! What Defender knows of a device that its alerts do not tell.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::breaker::Probe;
use super::command::{Call, Command, ReadReply};
use super::local::LookUp;
use super::quota::{LONGEST_PAUSE, SHORTEST_PAUSE};
use super::retry::full_jitter;
use super::state::after;

/// Tries of a look-up, after which the device cannot be told.
const LOOK_UP_TRIES: u32 = 4;

impl Scheduler {
    /// Forgets what is no longer believed. It comes before anything is decided: a worker that stood still must not act on it.
    pub(super) fn forget_look_ups(&mut self, now: Timestamp) {
        let memory = self.settings.reads.device_memory;
        self.local.look_ups.retain(|_, look_up| match look_up {
            LookUp::Known(since, _) | LookUp::NotFound(since) | LookUp::Unknown(since) => after(*since, memory) > now,
            LookUp::Wanted(..) | LookUp::InFlight(_) => true,
        });
    }

    /// Sends the look-ups that are due and that the budget allows.
    pub(super) fn look_up(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
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
        if self.are_reads_paused(now) {
            return;
        }
        for (_, device_id, failures) in due {
            // While the API as a whole does not work, a look-up may be the one call that finds out.
            if !self.local.breaker.may_begin(now) {
                return;
            }
            if !self.local.look_up_budget.take(now, &self.settings.reads) {
                return;
            }
            self.local.breaker.begin(Probe::LookUp(device_id.clone()));
            self.local.look_ups.insert(device_id.clone(), LookUp::InFlight(failures));
            commands.push(Command::Call(Call::LookUp { device_id }));
        }
    }

    /// Whether no call that reads may begin.
    pub(super) fn are_reads_paused(&self, now: Timestamp) -> bool {
        self.local.reads_paused_until.is_some_and(|until| until > now)
    }

    /// A call that reads was answered with a 429: all of them wait, and none of them counts that as a failure.
    pub(super) fn pause_reads(&mut self, wait: Option<Duration>, now: Timestamp) {
        let wait = wait.unwrap_or(self.settings.quota.pause_without_retry_after);
        let until = after(now, wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        self.local.reads_paused_until = self.local.reads_paused_until.max(Some(until));
    }

    /// Takes the answer to a look-up.
    pub(super) fn looked_up(
        &mut self,
        device_id: String,
        answer: ReadReply<Option<super::DeviceFacts>>,
        now: Timestamp,
    ) {
        let before = match self.local.look_ups.get(&device_id) {
            Some(LookUp::InFlight(failures)) => *failures,
            _ => 0,
        };
        let call = Probe::LookUp(device_id.clone());
        match &answer {
            ReadReply::Failed if self.local.breaker.is_news(&device_id) => self.trouble(&call, None, now),
            ReadReply::Failed => {}
            ReadReply::RateLimited(wait) => {
                self.local.breaker.health(&call, now, &self.settings.breaker);
                self.pause_reads(*wait, now);
            }
            ReadReply::Complete(_) | ReadReply::NotPermitted => {
                self.local.breaker.health(&call, now, &self.settings.breaker);
            }
        }
        // What fails because nothing works tells nothing of the device.
        let spared = answer == ReadReply::Failed && !self.local.breaker.is_closed();
        let failures = if spared { before } else { before.saturating_add(1) };
        let known = match answer {
            ReadReply::Complete(Some(facts)) => LookUp::Known(now, facts),
            ReadReply::Complete(None) => LookUp::NotFound(now),
            ReadReply::NotPermitted => LookUp::Unknown(now),
            ReadReply::RateLimited(_) => LookUp::Wanted(now, before),
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
