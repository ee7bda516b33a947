//! When the scheduler has something to do again, for whoever drives it in simulated time.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::local::LookUp;
use super::quota::held_until;
use super::state::after;

/// When to call [`Scheduler::poll`] next if nothing else happens until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wake {
    /// A timer fires, a slot of the quota falls free, a pause ends, or a look-up is due.
    pub work: Option<Timestamp>,
    /// Open scans would be followed by a list; of no use before one of them has ended.
    pub follow: Option<Timestamp>,
}

impl Scheduler {
    /// Devices that are ready for a scan and wait for a slot, a pause or a call under way.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.local.ranks.len()
    }

    /// Whether a poll at this very moment may still have work.
    #[must_use]
    pub fn has_work_now(&self) -> bool {
        !self.local.dirty.is_empty() || !self.local.touched_scans.is_empty()
    }

    /// When to poll next if no record and no answer comes before. A worker polls by the clock instead: this knows nothing of
    /// answers that never come.
    #[must_use]
    pub fn next_wake(&self, now: Timestamp) -> Wake {
        let mut work: Option<Timestamp> = self.local.timers.first().map(|(time, _)| *time);
        let mut sooner = |time: Timestamp| work = Some(work.map_or(time, |work| work.min(time)));
        if self.waiting() > 0 && !self.is_halted() {
            let quota = &self.settings.quota;
            let state_pause = self.state.paused_until.map(|(until, _)| until);
            for pause in [state_pause, self.local.paused_until].into_iter().flatten().filter(|until| *until > now) {
                sooner(pause);
            }
            if let Some(until) = self.local.breaker.open_until(now) {
                sooner(until);
            }
            for window in [quota.minute_window, quota.hour_window] {
                let frees = self.state.slots.iter().map(|slot| held_until(slot, window, &self.claim, quota));
                if let Some(free) = frees.filter(|free| *free > now).min() {
                    sooner(free);
                }
            }
        }
        for look_up in self.local.look_ups.values() {
            if let LookUp::Wanted(time, _) = look_up {
                // One that is due and was not sent waits for its budget.
                sooner((*time).max(after(now, Duration::from_secs(1))));
            }
        }
        if let Some(next) = self.local.next_carry.filter(|_| self.local.orders_wait) {
            sooner(next);
        }
        let follow = (!self.state.scans.is_empty()).then(|| {
            let due = self.local.last_list_try.map_or(now, |last| after(last, self.settings.follow_interval));
            self.local.next_list_check.map_or(due, |next| next.max(due))
        });
        Wake { work, follow }
    }
}
