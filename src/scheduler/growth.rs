//! Rests that grow when a device is scanned again and again.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::state::{Request, Row, State, after};

/// Steps beyond this add nothing: a factor of 2 has long passed every longest rest by then.
const MOST_STEPS: u32 = 62;

/// The rest that several requests come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rest {
    /// Seconds, as grown.
    pub(super) seconds: u64,
    /// How often in a row it has grown.
    pub(super) step: u32,
    /// How long after its end, in seconds, the next scan makes it grow; `None` where none of the rules says so.
    pub(super) grows_for: Option<u64>,
}

impl Scheduler {
    /// The rest after a scan for these requests that begins now: the longest of them, each grown by its own terms.
    pub(super) fn rest_of(&self, device_id: &str, asked: &[&Request], now: Timestamp) -> Rest {
        let growths = || asked.iter().filter_map(|request| request.asked.terms.cooldown_growth);
        let row = self.state.devices.get(device_id).and_then(|device| device.row.as_ref());
        let step = match row.filter(|row| row.until >= now) {
            Some(row) if growths().next().is_some() => row.step.saturating_add(1).min(MOST_STEPS),
            _ => 0,
        };
        let grown = asked.iter().map(|request| {
            let base = request.asked.cooldown_seconds;
            request.asked.terms.cooldown_growth.map_or(base, |growth| {
                let factor = u64::from(growth.factor).saturating_pow(step).max(1);
                base.saturating_mul(factor).min(growth.longest_seconds).max(base)
            })
        });
        Rest {
            seconds: grown.max().unwrap_or(0),
            step,
            grows_for: growths().map(|growth| growth.longest_seconds).max(),
        }
    }
}

/// When a rest that ends at `until` has been over for long enough not to grow.
pub(super) fn grows_until(until: Timestamp, grows_for: Option<Duration>) -> Option<Timestamp> {
    grows_for.map(|grows_for| after(until, grows_for))
}

impl State {
    /// A scan of ours set a rest: the row of scans goes on, or ends where that scan's rest does not grow.
    pub(super) fn in_a_row(
        &mut self,
        device_id: &str,
        step: u32,
        grows_until: Option<Timestamp>,
        offset: i64,
        time: Timestamp,
    ) {
        let row = grows_until.map(|until| Row { step, until, offset, time });
        match self.devices.get_mut(device_id) {
            Some(device) => device.row = row,
            None if row.is_some() => self.devices.entry(device_id.to_owned()).or_default().row = row,
            None => {}
        }
    }
}
