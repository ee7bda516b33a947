//! The breaker before the API: whether the API as a whole works, told from what its calls come to.
//!
//! Closed, calls flow. Failures in a row, or a share of failures among the latest calls, open it: no call begins. After
//! a wait that grows and has jitter it is half open: one call at a time, the probe, finds out. Health closes it, trouble
//! opens it for longer. Only the probe decides; what calls from before come to is known late and tells of the past.
//!
//! Trouble is a call that could not be sent, was refused for lack of a token or a permission, or is in doubt. An answer
//! about one device, whatever it says, is health; so is a 429, which has a pause of its own.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;

use super::Scheduler;
use super::local::CallState;
use super::quota::LONGEST_PAUSE;
use super::retry::{full_jitter, half_jitter};
use super::settings::BreakerSettings;
use super::state::after;
use crate::event::AttemptFailed;

/// State of the breaker, as metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BreakerState {
    /// Calls flow.
    #[default]
    Closed,
    /// One call at a time finds out whether the API is back.
    HalfOpen,
    /// No call begins.
    Open,
}

/// A call, as far as the breaker tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// An attempt of a scan.
    Scan(String, u32),
    /// A look-up of a device.
    LookUp(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Inner {
    #[default]
    Closed,
    Open(Timestamp),
    HalfOpen(Option<Probe>),
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    inner: Inner,
    in_a_row: u32,
    /// Latest calls, and whether each was trouble.
    latest: VecDeque<(Timestamp, bool)>,
    /// The scan or device whose call failed last: one that makes the API fail again and again is not the API as a whole.
    doubtful: Option<String>,
    /// Times that it opened since it was last closed.
    openings: u32,
}

impl Breaker {
    /// The state at `now`: a wait that is over leaves it half open.
    pub(super) fn state(&self, now: Timestamp) -> BreakerState {
        match &self.inner {
            Inner::Closed => BreakerState::Closed,
            Inner::Open(until) if *until > now => BreakerState::Open,
            Inner::Open(_) | Inner::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether calls flow.
    pub(super) fn is_closed(&self) -> bool {
        self.inner == Inner::Closed
    }

    /// Until when no call begins.
    pub(super) fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.inner {
            Inner::Open(until) if *until > now => Some(*until),
            _ => None,
        }
    }

    /// Open from the start: the log says that calls wait.
    pub(super) fn start_open(&mut self, until: Timestamp) {
        self.inner = Inner::Open(until);
        self.openings = 1;
    }

    /// Whether a call may begin now.
    pub(super) fn may_begin(&self, now: Timestamp) -> bool {
        match &self.inner {
            Inner::Closed | Inner::HalfOpen(None) => true,
            Inner::Open(until) => *until <= now,
            Inner::HalfOpen(Some(_)) => false,
        }
    }

    /// Whether this call, which began before, may go on.
    pub(super) fn may_go_on(&self, call: &Probe) -> bool {
        match &self.inner {
            Inner::Closed => true,
            Inner::HalfOpen(Some(probe)) => probe == call,
            Inner::Open(_) | Inner::HalfOpen(None) => false,
        }
    }

    /// A call begins; while the breaker is not closed it is the probe.
    pub(super) fn begin(&mut self, call: Probe) {
        if !self.is_closed() {
            self.inner = Inner::HalfOpen(Some(call));
        }
    }

    /// A call came to nothing that tells of the API: another probe may follow.
    pub(super) fn dropped(&mut self, call: &Probe) {
        if self.inner == Inner::HalfOpen(Some(call.clone())) {
            self.inner = Inner::HalfOpen(None);
        }
    }

    /// A call showed that the API works.
    pub(super) fn health(&mut self, call: &Probe, now: Timestamp, settings: &BreakerSettings) {
        match &self.inner {
            Inner::Closed => {
                self.in_a_row = 0;
                self.doubtful = None;
                // Look-ups may work where scans do not: they have no part in the share.
                if matches!(call, Probe::Scan(..)) {
                    self.remember(now, false, settings);
                }
            }
            Inner::HalfOpen(Some(probe)) if probe == call => *self = Self::default(),
            Inner::Open(_) | Inner::HalfOpen(_) => {}
        }
    }

    /// Trouble that one scan or device alone may cause: whether it is another one than the last time.
    pub(super) fn is_news(&mut self, subject: &str) -> bool {
        let before = self.doubtful.replace(subject.to_owned());
        !self.is_closed() || before.as_deref() != Some(subject)
    }

    /// A call met trouble. `wait` is what the API asked for.
    pub(super) fn trouble(
        &mut self,
        call: &Probe,
        now: Timestamp,
        wait: Option<Duration>,
        settings: &BreakerSettings,
        random: &mut impl Rng,
    ) {
        let opens = match &self.inner {
            Inner::Closed => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                if matches!(call, Probe::Scan(..)) {
                    self.remember(now, true, settings);
                }
                self.in_a_row >= settings.failures || self.share_is_reached(settings)
            }
            Inner::HalfOpen(Some(probe)) => probe == call,
            Inner::Open(_) | Inner::HalfOpen(None) => false,
        };
        if opens {
            self.openings = self.openings.saturating_add(1);
            let ours = half_jitter(random, settings.first_wait, settings.longest_wait, self.openings);
            self.inner = Inner::Open(after(now, ours.max(wait.unwrap_or_default().min(LONGEST_PAUSE))));
            self.in_a_row = 0;
            self.latest.clear();
        } else if let (Inner::Open(until), Some(wait)) = (&mut self.inner, wait) {
            // Whichever call it was said to: the API's word about itself holds.
            *until = (*until).max(after(now, wait.min(LONGEST_PAUSE)));
        }
    }

    fn remember(&mut self, now: Timestamp, trouble: bool, settings: &BreakerSettings) {
        self.latest.push_back((now, trouble));
        while self.latest.front().is_some_and(|(time, _)| after(*time, settings.window) <= now) {
            self.latest.pop_front();
        }
    }

    fn share_is_reached(&self, settings: &BreakerSettings) -> bool {
        let calls = self.latest.len();
        let failed = self.latest.iter().filter(|(_, trouble)| *trouble).count();
        let percent = usize::try_from(settings.window_percent).unwrap_or(100);
        calls >= usize::try_from(settings.window_calls).unwrap_or(usize::MAX) && failed * 100 >= calls * percent
    }
}

impl Scheduler {
    /// A call met trouble that may be the API's as a whole.
    pub(super) fn trouble(&mut self, call: &Probe, wait: Option<Duration>, now: Timestamp) {
        self.local.breaker.trouble(call, now, wait, &self.settings.breaker, &mut self.random);
        if !self.local.breaker.is_closed() {
            // A call that is still under way may be lost too, and may come to nothing only when the API works again.
            let of_outage = |state: &CallState| matches!(state, CallState::InDoubt | CallState::InFlight);
            let calls = self.local.calls.iter().filter(|(_, state)| of_outage(state));
            self.local.of_outage.extend(calls.map(|(call, _)| call.clone()));
        }
    }

    /// A failure that is not its scan's: tried again after a wait of its own, or when the API as a whole may work again.
    /// The record tells the next owner so.
    pub(super) fn when_it_works(&mut self, attempt: u32, failed: AttemptFailed, now: Timestamp) -> AttemptFailed {
        let retry = &self.settings.retry;
        let wait = full_jitter(&mut self.random, retry.first, retry.longest, attempt);
        match self.local.breaker.open_until(now) {
            Some(until) => AttemptFailed { retry_at: Some(until), lane_paused_until: Some(until), ..failed },
            None => AttemptFailed { retry_at: Some(after(now, wait)), ..failed },
        }
    }
}
