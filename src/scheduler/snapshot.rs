//! What metrics show of the scheduler.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::local::CallState;
use super::quota::Remaining;
use super::state::{Phase, after};
use crate::event::PriorityClass;

/// What metrics show of the scheduler at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Devices with live requests that wait, by class of their highest priority.
    pub queue: [(PriorityClass, usize); 4],
    /// Age of the oldest waiting request.
    pub oldest: Duration,
    /// When the last of them would start at the limit of the quota.
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
                highest = highest.max(request.asked.priority);
            }
            let class = PriorityClass::of(highest);
            for (_, count) in queue.iter_mut().filter(|(other, _)| *other == class) {
                *count += 1;
            }
        }
        let waiting: usize = queue.iter().map(|(_, count)| count).sum();
        let quota = &self.settings.quota;
        let in_doubt = self.state.scans.iter().filter(|(id, scan)| {
            let call = self.local.calls.get(&((*id).clone(), scan.attempt));
            matches!(scan.phase, Phase::Intended { .. })
                && !matches!(call, Some(CallState::InFlight | CallState::Answered | CallState::AlreadyRunning))
        });
        Snapshot {
            queue,
            oldest: Duration::try_from(now.duration_since(oldest)).unwrap_or_default(),
            wait_estimate: self.wait_estimate(now, waiting),
            remaining: Remaining::at(now, &self.state.slots, self.local.outstanding_intents(), quota),
            open_requests: self.state.requests.len(),
            unaccounted: self.state.unaccounted(),
            open_scans: self.state.scans.values().filter(|scan| matches!(scan.phase, Phase::Open { .. })).count(),
            in_doubt: in_doubt.count(),
            paused: self.is_paused(now),
            halted: self.is_halted(),
            outstanding: self.local.outstanding(),
            tripped: self.state.orders.tripped.keys().cloned().collect(),
        }
    }

    /// When the last of `waiting` scans would start if nothing else came: what the windows have left goes at once, the
    /// rest follows as held slots fall free and then at the pace of the long window.
    fn wait_estimate(&self, now: Timestamp, waiting: usize) -> Duration {
        let quota = &self.settings.quota;
        let left = Remaining::at(now, &self.state.slots, self.local.outstanding_intents(), quota);
        let free_now = usize::try_from(left.minute.min(left.hour)).unwrap_or(usize::MAX);
        if waiting <= free_now {
            return Duration::ZERO;
        }
        let beyond = waiting - free_now;
        let mut frees: Vec<Timestamp> = self
            .state
            .slots
            .iter()
            .map(|slot| after(slot.arrived_by, if left.hour > 0 { quota.minute_window } else { quota.hour_window }))
            .filter(|free| *free > now)
            .collect();
        frees.sort_unstable();
        if let Some(free) = frees.get(beyond.saturating_sub(1)) {
            return Duration::try_from(free.duration_since(now)).unwrap_or_default();
        }
        let last = frees
            .last()
            .map_or(Duration::ZERO, |free| Duration::try_from(free.duration_since(now)).unwrap_or_default());
        let further = u32::try_from(beyond - frees.len()).unwrap_or(u32::MAX);
        last + quota.hour_window.saturating_mul(further) / quota.per_hour.max(1)
    }
}
