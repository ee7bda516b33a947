//! What metrics show of the scheduler.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::breaker::BreakerState;
use super::local::CallState;
use super::quota::{self, Remaining};
use super::state::{Phase, after};
use crate::event::PriorityClass;

/// What metrics show of the scheduler at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Devices with live requests that wait, by class of their highest priority.
    pub queue: [(PriorityClass, usize); 4],
    /// Age of the oldest waiting request.
    pub oldest: Duration,
    /// When one more of the lowest priority would start, behind all of them, at the limit of the quota.
    pub wait_estimate: Duration,
    /// What is left of the quota.
    pub remaining: Remaining,
    /// Requests that have not ended.
    pub open_requests: usize,
    /// Requests that no structure holds; 0 unless there is a bug.
    pub unaccounted: usize,
    /// Scans whose action is followed.
    pub open_scans: usize,
    /// Scans in doubt.
    pub in_doubt: usize,
    /// Whether calls are paused.
    pub paused: bool,
    /// Whether the API as a whole works.
    pub breaker: BreakerState,
    /// Whether a kill switch is pulled.
    pub halted: bool,
    /// Records handed over and not read back.
    pub outstanding: usize,
    /// Caps that are tripped: the rule, or `None` for the cap on all rules together.
    pub tripped: Vec<Option<String>>,
}

impl Default for Snapshot {
    /// What a replica that owns nothing shows.
    fn default() -> Self {
        Self {
            queue: CLASSES.map(|class| (class, 0)),
            oldest: Duration::ZERO,
            wait_estimate: Duration::ZERO,
            remaining: Remaining { minute: 0, hour: 0 },
            open_requests: 0,
            unaccounted: 0,
            open_scans: 0,
            in_doubt: 0,
            paused: false,
            breaker: BreakerState::Closed,
            halted: false,
            outstanding: 0,
            tripped: Vec::new(),
        }
    }
}

const CLASSES: [PriorityClass; 4] =
    [PriorityClass::Critical, PriorityClass::High, PriorityClass::Medium, PriorityClass::Low];

impl Scheduler {
    /// Records handed over and not read back.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.local.outstanding()
    }

    /// Whether the API as a whole works, by what its calls came to.
    #[must_use]
    pub fn breaker(&self, now: Timestamp) -> BreakerState {
        self.local.breaker.state(now)
    }

    /// Measures the structures; proportional to their size, meant for once a second or less often.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let mut queue = CLASSES.map(|class| (class, 0_usize));
        let mut oldest = now;
        for device in self.state.devices.values().filter(|device| !device.queued.is_empty()) {
            let waiting = device.queued.iter().filter_map(|id| self.state.requests.get(id));
            let mut highest = 0;
            for request in waiting {
                oldest = oldest.min(request.requested_at);
                highest = highest.max(self.state.wanted_by(request).1);
            }
            let class = PriorityClass::of(highest);
            for (_, count) in queue.iter_mut().filter(|(other, _)| *other == class) {
                *count += 1;
            }
        }
        let waiting: usize = queue.iter().map(|(_, count)| count).sum();
        let in_doubt = self.state.scans.iter().filter(|(id, scan)| {
            let call = self.local.calls.get(&((*id).clone(), scan.attempt));
            matches!(scan.phase, Phase::Intended { .. })
                && !matches!(call, Some(CallState::InFlight | CallState::Answered | CallState::AlreadyRunning))
        });
        Snapshot {
            queue,
            oldest: Duration::try_from(now.duration_since(oldest)).unwrap_or_default(),
            wait_estimate: self.wait_estimate(now, waiting),
            remaining: self.remaining(now),
            open_requests: self.state.requests.len(),
            unaccounted: self.state.unaccounted(),
            open_scans: self.state.scans.values().filter(|scan| matches!(scan.phase, Phase::Open { .. })).count(),
            in_doubt: in_doubt.count(),
            paused: self.is_paused(now) || self.local.breaker.open_until(now).is_some(),
            breaker: self.breaker(now),
            halted: self.is_halted(),
            outstanding: self.local.outstanding(),
            tripped: self.state.orders.tripped.keys().cloned().collect(),
        }
    }

    /// How long a scan of the lowest priority that joined now would wait behind `waiting` others, if all of them take their
    /// slots at the limit of the quota: not before a pause or the breaker's wait is over, and without the reserve. While
    /// halted it tells what the wait would be if released now.
    fn wait_estimate(&self, now: Timestamp, waiting: usize) -> Duration {
        let quota = &self.settings.quota;
        let paused = self.state.paused_until.map(|(until, _)| until).max(self.local.paused_until);
        let begin = now.max(paused.max(self.local.breaker.open_until(now)).unwrap_or(now));
        let as_usize = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let caps = [
            (quota.minute_window, as_usize(quota.per_minute)),
            (quota.hour_window, as_usize(quota.per_hour.saturating_sub(quota::reserve(quota)))),
        ];
        // From when on each call leaves room, in order; those to come follow those that were made.
        let mut calls: Vec<Timestamp> = self
            .state
            .slots
            .iter()
            .map(|slot| quota::held_until(slot, Duration::ZERO, &self.claim, quota))
            .chain(std::iter::repeat_n(now, self.local.outstanding_intents()))
            .collect();
        calls.sort_unstable();
        calls.reserve(waiting + 1);
        let mut next = begin;
        for _ in 0..=waiting {
            for (window, cap) in caps {
                let Some(before) = calls.len().checked_sub(cap.max(1)) else { continue };
                next = next.max(calls.get(before).map_or(begin, |call| after(*call, window)));
            }
            let place = calls.partition_point(|call| *call <= next);
            calls.insert(place, next);
        }
        Duration::try_from(next.duration_since(now)).unwrap_or_default()
    }
}
