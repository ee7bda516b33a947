//! The last moment at which a scan request may leave, and the gate that holds it to that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

/// The last moment at which a request may leave. Two clocks measure it: one that counts the time a machine or container was
/// suspended, and the wall clock; the request is late as soon as either says so.
#[derive(Debug, Clone, Copy)]
pub struct LeaveBy {
    boot: Duration,
    wall: Timestamp,
}

impl LeaveBy {
    /// `limit` after the intent's time. An intent time in the future is taken as now.
    #[must_use]
    pub fn after(intent: Timestamp, limit: Duration) -> Self {
        let wall_now = Timestamp::now();
        let age = wall_now.duration_since(intent);
        let wall = wall_now.min(intent).saturating_add(SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX));
        let left = limit.saturating_sub(Duration::try_from(age).unwrap_or(Duration::ZERO));
        Self { boot: boot_time().saturating_add(left), wall: wall.unwrap_or(Timestamp::MAX) }
    }

    /// `limit` from now on. Call it when the intent's time is taken: a wall clock set back meanwhile then does no harm.
    #[must_use]
    pub fn from_now(limit: Duration) -> Self {
        Self::after(Timestamp::now(), limit)
    }

    /// Whether the moment has passed.
    #[must_use]
    pub fn is_late(&self) -> bool {
        boot_time() >= self.boot || Timestamp::now() >= self.wall
    }
}

/// Time since boot, suspension included. Tokens age by it too.
pub(super) fn boot_time() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    // Elsewhere (macOS) the monotonic clock counts suspension itself.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or(Duration::ZERO)
}

const WAITING: u8 = 0;
const LEFT: u8 = 1;
const CLOSED: u8 = 2;
const LATE: u8 = 3;

/// Lets the body of one request out, once, and only in time.
///
/// HTTP/1 in hyper asks for the body when it is about to write, before the head is flushed, so the check stands at the last
/// place before the socket. A request whose body never came is not a request: its `Content-Length` is not met.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    state: Arc<AtomicU8>,
    leave_by: LeaveBy,
    /// While it is set, nothing leaves.
    stopped: Arc<AtomicBool>,
}

impl Gate {
    pub(super) fn new(leave_by: LeaveBy, stopped: Arc<AtomicBool>) -> Self {
        Self { state: Arc::new(AtomicU8::new(WAITING)), leave_by, stopped }
    }

    /// The body, which decides at its first poll whether it leaves.
    pub(super) fn body(&self, bytes: Bytes) -> reqwest::Body {
        let gate = self.clone();
        reqwest::Body::wrap_stream(stream::once(async move {
            let may_not = gate.leave_by.is_late() || gate.stopped.load(Ordering::SeqCst);
            let next = if may_not { LATE } else { LEFT };
            match gate.state.compare_exchange(WAITING, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if next == LEFT => Ok(bytes),
                _ => Err(std::io::Error::other("the request may not leave any more")),
            }
        }))
    }

    /// Shuts the gate. True when nothing has left and nothing will.
    pub(super) fn close(&self) -> bool {
        match self.state.compare_exchange(WAITING, CLOSED, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(state) => state != LEFT,
        }
    }

    /// Whether the body was held back for being late, or because nothing may leave.
    pub(super) fn was_late(&self) -> bool {
        self.state.load(Ordering::SeqCst) == LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_measured_from_the_intent() {
        let limit = Duration::from_secs(5);
        let now = Timestamp::now();
        assert!(!LeaveBy::from_now(limit).is_late());
        assert!(!LeaveBy::after(now - SignedDuration::from_secs(1), limit).is_late());
        assert!(LeaveBy::after(now - SignedDuration::from_secs(6), limit).is_late());
        assert!(LeaveBy::from_now(Duration::ZERO).is_late());
        let ahead = LeaveBy::after(now + SignedDuration::from_hours(1), limit);
        assert!(ahead.boot <= boot_time() + limit, "a clock ahead does not lengthen the limit");
        assert!(ahead.wall <= Timestamp::now() + limit);
    }

    #[test]
    fn either_clock_is_enough_to_be_late() {
        let fine = LeaveBy::from_now(Duration::from_secs(60));
        assert!(LeaveBy { boot: boot_time(), ..fine }.is_late());
        assert!(LeaveBy { wall: Timestamp::now(), ..fine }.is_late());
    }

    #[test]
    fn a_closed_gate_stays_closed() {
        let gate = Gate::new(LeaveBy::from_now(Duration::from_secs(60)), Arc::default());
        assert!(gate.close() && gate.close() && !gate.was_late());
    }
}
