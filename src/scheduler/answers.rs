//! What follows from an answer of the API: the table of error answers, and the records it leads to.

use std::time::Duration;

use jiff::Timestamp;

use super::breaker::Probe;
use super::command::{Command, ReadReply, Refusal, Reply, ScanReply, SeenAction};
use super::growth::grows_until;
use super::local::{CallState, Timer};
use super::quota::{LONGEST_PAUSE, SHORTEST_PAUSE};
use super::retry::ceiling;
use super::state::{Phase, Scan, after};
use super::{Scheduler, comment};
use crate::event::{Accepted, Action, AttemptFailed, AttemptResult, FailedReason, Joined, ResolvedBy, ScanType};

/// Longest pause after a 429 without `Retry-After`, as a multiple of the first: it doubles five times.
const LONGEST_PAUSE_DOUBLINGS: u32 = 5;

/// How long the lack of a permission to read is believed: an administrator may grant it at any time.
const READ_PERMISSION_MEMORY: Duration = Duration::from_secs(600);

impl Scheduler {
    /// Takes the answer to a call. What follows is returned as commands, like those of [`Scheduler::poll`].
    pub fn reply(&mut self, reply: Reply, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        match reply {
            Reply::Scan { scan_id, attempt, answer } => {
                self.scan_answered(&scan_id, attempt, answer, now, &mut commands);
            }
            Reply::List { created_since, started_at, answer } => {
                self.local.list_in_flight = false;
                match answer {
                    ReadReply::Complete(actions) => {
                        self.local.list_failures = 0;
                        if self.is_owner() {
                            self.read_list(created_since, started_at, &actions, now, &mut commands);
                        }
                    }
                    ReadReply::RateLimited(wait) => self.pause_reads(wait, now),
                    ReadReply::NotPermitted => {
                        self.local.may_not_read = true;
                        self.local.read_again_at = Some(after(now, READ_PERMISSION_MEMORY));
                        self.local.wake_everything(&self.state);
                    }
                    // A failed list is not a negative; the next is tried after the usual interval, then ever more seldom.
                    ReadReply::Failed => {
                        self.local.list_failures = self.local.list_failures.saturating_add(1);
                        let first = self.settings.follow_interval;
                        let wait = ceiling(first, self.settings.retry.longest.max(first), self.local.list_failures);
                        self.local.next_list_check = Some(after(now, wait));
                    }
                }
            }
            Reply::LookUp { device_id, answer } => self.looked_up(device_id, answer, now),
        }
        commands
    }

    fn scan_answered(
        &mut self,
        scan_id: &str,
        attempt: u32,
        answer: ScanReply,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let key = (scan_id.to_owned(), attempt);
        let awaited = self.state.scans.get(scan_id).cloned().filter(|scan| scan.attempt == attempt);
        let call = Probe::Scan(scan_id.to_owned(), attempt);
        let Some(scan) = awaited.filter(|scan| matches!(scan.phase, Phase::Intended { .. })) else {
            self.local.calls.remove(&key);
            self.local.breaker.dropped(&call);
            return;
        };
        // What came of a call is a fact, worth its record even when the partition has moved on: it spares the next owner
        // the doubt.
        self.local.calls.insert(key.clone(), CallState::Answered);
        match answer {
            ScanReply::Action(action) => {
                self.local.breaker.health(&call, now, &self.settings.breaker);
                self.action_came_back(scan_id, &scan, &action, now, commands);
            }
            ScanReply::AlreadyRunning => {
                self.local.breaker.health(&call, now, &self.settings.breaker);
                if self.local.may_not_read {
                    self.running_unseen(scan_id, &scan, now, commands);
                } else {
                    self.local.calls.insert(key, CallState::AlreadyRunning);
                    self.local.list_wanted = true;
                }
            }
            ScanReply::Refused(refusal) => self.refused(scan_id, &scan, refusal, now, commands),
            ScanReply::NotSent { too_late, detail } => {
                let failed = self.failure(scan_id, &scan, AttemptResult::NotSent, now);
                let failed = AttemptFailed { detail: Some(detail), retry_at: Some(now), ..failed };
                let failed = if too_late {
                    self.local.breaker.dropped(&call);
                    failed
                } else {
                    self.trouble(&call, None, now);
                    self.when_it_works(attempt, failed, now)
                };
                self.append(now, &scan.device.id, failed.into(), commands);
            }
            ScanReply::InDoubt { retry_after, .. } => {
                self.local.calls.insert(key, CallState::InDoubt);
                // While the API fails as a whole, each further call would only add to the doubt.
                if self.local.breaker.is_news(scan_id) {
                    self.trouble(&call, retry_after, now);
                }
                // Whatever it was said about: the API, or what stands before it, wants no calls for a while.
                self.pause_locally(retry_after.map(|wait| after(now, wait.min(LONGEST_PAUSE))));
                if let Phase::Intended { resolve_after, .. } = scan.phase {
                    self.local.timers.insert((resolve_after, Timer::Scan(scan_id.to_owned())));
                }
            }
        }
    }

    /// A pause binds at once, not only when its record is read back.
    fn pause_locally(&mut self, until: Option<Timestamp>) {
        self.local.paused_until = self.local.paused_until.max(until);
    }

    /// A 2xx with an action: a new one of ours, or one that was already running.
    fn action_came_back(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        action: &SeenAction,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let ours = match &action.comment {
            // Captured creation answers always carry the comment; one without it cannot be told from a new one.
            None => true,
            Some(comment) => comment::is_of(scan_id, &scan.comment, comment),
        };
        if ours && reaches(action, scan.scan_type) {
            self.accept(scan_id, scan, action, ResolvedBy::Answer, now, now, commands);
        } else if !ours && action.scope.unwrap_or(ScanType::Quick) >= scan.scan_type {
            self.join_foreign(scan_id, scan, action, now, now, commands);
        } else {
            // One that scans less is waited for; it may be of an earlier attempt that wanted no more.
            self.busy(scan_id, scan, now, now, commands);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the record")]
    pub(super) fn accept(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        action: &SeenAction,
        resolved_by: ResolvedBy,
        arrived_by: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let body = Accepted {
            cooldown_step: scan.cooldown_step,
            cooldown_grows_until: grows_until(after(now, scan.cooldown), scan.cooldown_grows_for),
            claim: self.claim.clone(),
            scan_id: scan_id.to_owned(),
            attempt: scan.attempt,
            request_ids: scan.requests.clone(),
            device: scan.device.clone(),
            alerts: self.state.alerts_of(&scan.requests),
            rule_ids: scan.rule_ids.clone(),
            scan_type: scan.scan_type,
            priority: scan.priority,
            comment: scan.comment.clone(),
            action: Action { id: action.id.clone(), status: action.status.clone() },
            resolved_by,
            arrived_by,
            follow_until: after(now, self.deadline(scan.scan_type)),
            cooldown_until: after(now, scan.cooldown),
        };
        self.append(now, &scan.device.id, body.into(), commands);
    }

    pub(super) fn deadline(&self, scan_type: ScanType) -> Duration {
        match scan_type {
            ScanType::Quick => self.settings.quick_deadline,
            ScanType::Full => self.settings.full_deadline,
        }
    }

    /// The attempt met an action that was already running and that covers what is wanted.
    pub(super) fn join_foreign(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        action: &SeenAction,
        arrived_by: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let scope = action.scope.unwrap_or(ScanType::Quick);
        let action = Some(Action { id: action.id.clone(), status: action.status.clone() });
        self.append_joined(scan_id, scan, action, scope, arrived_by, now, commands);
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the record")]
    fn append_joined(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        action: Option<Action>,
        scan_type: ScanType,
        arrived_by: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let body = Joined {
            claim: self.claim.clone(),
            scan_id: scan_id.to_owned(),
            attempt: Some(scan.attempt),
            request_ids: scan.requests.clone(),
            device: scan.device.clone(),
            alerts: self.state.alerts_of(&scan.requests),
            scan_type,
            action,
            arrived_by: Some(arrived_by),
            follow_until: after(now, self.deadline(scan_type)),
            cooldown_until: after(now, scan.cooldown),
        };
        self.append(now, &scan.device.id, body.into(), commands);
    }

    /// Something runs and we may not look what: enough for a Quick scan, not for a Full one.
    pub(super) fn running_unseen(&mut self, scan_id: &str, scan: &Scan, now: Timestamp, commands: &mut Vec<Command>) {
        match scan.scan_type {
            ScanType::Quick => self.append_joined(scan_id, scan, None, ScanType::Quick, now, now, commands),
            ScanType::Full => self.busy(scan_id, scan, now, now, commands),
        }
    }

    /// A failed attempt, to be completed by the caller.
    pub(super) fn failure(
        &self,
        scan_id: &str,
        scan: &Scan,
        result: AttemptResult,
        arrived_by: Timestamp,
    ) -> AttemptFailed {
        AttemptFailed {
            device_unfit_until: None,
            claim: self.claim.clone(),
            scan_id: scan_id.to_owned(),
            attempt: scan.attempt,
            result,
            error_code: None,
            error_target: None,
            detail: None,
            arrived_by,
            counts: false,
            retry_at: None,
            reason: None,
            lane_paused_until: None,
        }
    }

    /// A definite no (Microsoft's page on common errors): final, retried, or pausing the lane.
    fn refused(&mut self, scan_id: &str, scan: &Scan, refusal: Refusal, now: Timestamp, commands: &mut Vec<Command>) {
        let call = Probe::Scan(scan_id.to_owned(), scan.attempt);
        let tenant_refuses = refusal.result == AttemptResult::Forbidden && refusal.for_good;
        let failed = AttemptFailed {
            error_code: Some(refusal.error_code.clone()),
            error_target: refusal.error_target.clone(),
            detail: Some(refusal.detail.clone()),
            ..self.failure(scan_id, scan, refusal.result, now)
        };
        let paused = |until: Timestamp, failed: AttemptFailed| AttemptFailed {
            retry_at: Some(until),
            lane_paused_until: Some(until),
            ..failed
        };
        let unfit_until = self.unfit_memory(refusal.result).map(|memory| after(now, memory));
        let ended = |reason, failed: AttemptFailed| AttemptFailed {
            counts: true,
            reason: Some(reason),
            device_unfit_until: unfit_until,
            ..failed
        };
        let failed = match refusal.result {
            AttemptResult::RateLimited => {
                let first = self.settings.quota.pause_without_retry_after;
                let longest = first.saturating_mul(1 << LONGEST_PAUSE_DOUBLINGS);
                let in_a_row = self.state.rate_limited_in_a_row.saturating_add(1);
                // A wait of 0, or one that is too short again and again, must not burn the quota.
                let pause = match refusal.retry_after {
                    Some(wait) => wait.max(ceiling(SHORTEST_PAUSE, longest, in_a_row)),
                    None => ceiling(first, longest, in_a_row),
                };
                paused(after(now, pause), failed)
            }
            // A fresh token may do; if not, an administrator must. Neither is this scan's fault.
            AttemptResult::Unauthorized | AttemptResult::Forbidden if !tenant_refuses => {
                self.trouble(&call, refusal.retry_after, now);
                self.when_it_works(scan.attempt, failed, now)
            }
            AttemptResult::Forbidden => ended(FailedReason::Forbidden, failed),
            AttemptResult::DeviceNotFound => ended(FailedReason::DeviceNotFound, failed),
            AttemptResult::UnsupportedDevice => ended(FailedReason::UnsupportedDevice, failed),
            AttemptResult::Rejected
            | AttemptResult::Unauthorized
            | AttemptResult::NotSent
            | AttemptResult::NotAccepted
            | AttemptResult::Busy
            | AttemptResult::InDoubt => ended(FailedReason::Rejected, failed),
        };
        if failed.reason.is_some() || failed.result == AttemptResult::RateLimited {
            self.local.breaker.health(&call, now, &self.settings.breaker);
        }
        if failed.result == AttemptResult::RateLimited {
            self.pause_locally(failed.lane_paused_until);
        }
        self.append(now, &scan.device.id, failed.into(), commands);
    }
}

/// Whether an action of our own scans as much as is wanted. One that does not tell does what it was asked for.
pub(super) fn reaches(action: &SeenAction, wanted: ScanType) -> bool {
    action.scope.is_none_or(|scope| scope >= wanted)
}
