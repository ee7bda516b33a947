//! Attempts that came to nothing, or of which nobody can tell what they came to: tried again, or given up.

use jiff::Timestamp;

use super::Scheduler;
use super::command::Command;
use super::local::{CallState, Timer};
use super::retry::full_jitter;
use super::settings::InDoubtPolicy;
use super::state::{Scan, after};
use crate::event::{AttemptFailed, AttemptResult, FailedReason};

impl Scheduler {
    /// A running scan does not cover what is wanted: tried again when it may have ended.
    pub(super) fn busy(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        arrived_by: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let failed = AttemptFailed {
            retry_at: Some(after(now, self.settings.retry.busy)),
            ..self.failure(scan_id, scan, AttemptResult::Busy, arrived_by)
        };
        self.append(now, &scan.device.id, failed.into(), commands);
    }

    /// Two complete lists show no trace of the attempt: a new one may follow.
    pub(super) fn not_accepted(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        arrived_by: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        // What was lost while the API as a whole did not work is not this scan's fault.
        let spared =
            !self.local.breaker.is_closed() || self.local.of_outage.contains(&(scan_id.to_owned(), scan.attempt));
        let counted = scan.counted.saturating_add(1);
        let failed =
            AttemptFailed { counts: !spared, ..self.failure(scan_id, scan, AttemptResult::NotAccepted, arrived_by) };
        let retry = &self.settings.retry;
        let failed = if counted >= retry.max_attempts && !spared {
            let detail = format!("{counted} attempts ended in doubt, and none had an effect");
            AttemptFailed { reason: Some(FailedReason::GaveUp), detail: Some(detail), ..failed }
        } else {
            let wait = full_jitter(&mut self.random, retry.first, retry.longest, counted);
            AttemptFailed { retry_at: Some(after(now, wait)), ..failed }
        };
        self.append(now, &scan.device.id, failed.into(), commands);
    }

    /// Ends doubt that no list can resolve: the application may not read, or no list came in all the time it is given.
    pub(super) fn give_up_doubt(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        resolve_after: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let call = self.local.calls.get(&(scan_id.to_owned(), scan.attempt)).cloned();
        if matches!(call, Some(CallState::InFlight | CallState::Answered)) {
            return;
        }
        let arrived_by = self.slot_arrival(scan_id, scan.attempt).unwrap_or(now);
        if call == Some(CallState::AlreadyRunning) && self.local.may_not_read {
            self.running_unseen(scan_id, scan, now, commands);
            return;
        }
        let last_word = after(resolve_after, self.deadline(scan.scan_type));
        if last_word > now {
            self.local.timers.insert((last_word, Timer::Scan(scan_id.to_owned())));
        }
        let unreadable = self.local.may_not_read && resolve_after <= now;
        if !unreadable && last_word > now {
            return;
        }
        if unreadable && self.settings.in_doubt_without_read == InDoubtPolicy::Retry {
            self.not_accepted(scan_id, scan, arrived_by, now, commands);
            return;
        }
        let detail = if unreadable {
            "the answer was lost, and the application may not read machine actions (Machine.Read.All)"
        } else {
            "the answer was lost, and machine actions could not be listed before the deadline"
        };
        let failed = AttemptFailed {
            counts: true,
            reason: Some(FailedReason::InDoubt),
            detail: Some(detail.to_owned()),
            ..self.failure(scan_id, scan, AttemptResult::InDoubt, arrived_by)
        };
        self.append(now, &scan.device.id, failed.into(), commands);
    }
}
