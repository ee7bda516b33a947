//! Both windows of the API's limit, checked in one step, and the budget of the calls that read.
//!
//! A slot is held for the window's length after the latest moment at which its call can have arrived. For any sliding
//! window at the API, the last intent made for a call inside it saw every other one of them as held; so at most `limit`
//! calls arrive in it, whatever the delays on the way were.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::settings::{QuotaSettings, ReadSettings};
use super::state::{Slot, after};

/// Largest `clock_margin`. Constant, because the fold must not depend on configuration.
pub(super) const MOST_CLOCK_MARGIN: Duration = Duration::from_secs(300);

/// Bounds of a pause that the API asks for, whatever it says.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Until when a slot counts in a window of this length for the owner `claim`. Another owner's clock may be behind ours.
#[must_use]
pub(super) fn held_until(slot: &Slot, window: Duration, claim: &str, settings: &QuotaSettings) -> Timestamp {
    let free = after(slot.arrived_by, window);
    if slot.claim == claim { free } else { after(free, settings.clock_margin) }
}

/// What is left of both windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Calls left in the short window.
    pub minute: u32,
    /// Calls left in the long window.
    pub hour: u32,
}

impl Remaining {
    /// Counts the slots held at `now` for the owner `claim`, and `pending` intents that are not read back yet.
    #[must_use]
    pub fn at(now: Timestamp, slots: &VecDeque<Slot>, claim: &str, pending: usize, settings: &QuotaSettings) -> Self {
        let held = |window: Duration| {
            let count = slots.iter().filter(|slot| held_until(slot, window, claim, settings) > now).count();
            u32::try_from(count.saturating_add(pending)).unwrap_or(u32::MAX)
        };
        Self {
            minute: settings.per_minute.saturating_sub(held(settings.minute_window)),
            hour: settings.per_hour.saturating_sub(held(settings.hour_window)),
        }
    }

    /// Whether a request of this priority may take a slot.
    #[must_use]
    pub fn allows(self, priority: u8, settings: &QuotaSettings) -> bool {
        let reserve = if priority >= settings.reserve_priority { 0 } else { reserve(settings) };
        self.minute >= 1 && self.hour > reserve
    }

    /// One slot fewer.
    #[must_use]
    pub fn less_one(self) -> Self {
        Self { minute: self.minute.saturating_sub(1), hour: self.hour.saturating_sub(1) }
    }
}

/// Calls of the long window that are kept for the most urgent.
#[must_use]
pub(super) fn reserve(settings: &QuotaSettings) -> u32 {
    settings.per_hour.saturating_mul(settings.reserve_percent) / 100
}

/// Budget of the calls that read, in any minute and any hour.
#[derive(Debug, Clone, Default)]
pub struct ReadBudget {
    taken: VecDeque<Timestamp>,
}

impl ReadBudget {
    /// Takes one call if the budget allows it.
    pub fn take(&mut self, now: Timestamp, settings: &ReadSettings) -> bool {
        while self.taken.front().is_some_and(|taken| after(*taken, Duration::from_secs(3600)) <= now) {
            self.taken.pop_front();
        }
        let whole = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let lately = self.taken.iter().rev().take_while(|taken| after(**taken, Duration::from_secs(60)) > now);
        let allowed = self.taken.len() < whole(settings.per_hour) && lately.count() < whole(settings.per_minute);
        if allowed {
            self.taken.push_back(now);
        }
        allowed
    }
}
