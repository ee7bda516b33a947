//! What the ledger's records mean to metrics and logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{EventBody, Outcome, ScanEvent};
use crate::scheduler::{Phase, Snapshot, State};
use crate::telemetry::{Metrics, PriorityClass, QuotaWindow, ScanAttempt};

/// Counts what the owner of the ledger did. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    pub(crate) metrics: Metrics,
    /// Longest window of any rule's device cap so far, in seconds.
    pub(crate) longest_rule_window: Arc<AtomicU64>,
}

/// What the state told about a record's scan before the record was folded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    first_requested: Option<Timestamp>,
    open_since: Option<Timestamp>,
}

impl Accounts {
    /// Longest window of any rule's device cap so far.
    pub(crate) fn longest_rule_window(&self) -> Duration {
        Duration::from_secs(self.longest_rule_window.load(Ordering::Relaxed))
    }

    /// Looks at the state before a record is folded.
    pub(crate) fn before(&self, state: &State, event: &ScanEvent) -> Before {
        let first_requested = |ids: &[String]| {
            ids.iter().filter_map(|id| state.requests.get(id)).map(|request| request.requested_at).min()
        };
        match &event.body {
            EventBody::Accepted(accepted) => {
                Before { first_requested: first_requested(&accepted.request_ids), open_since: None }
            }
            EventBody::Finished(finished) => {
                let open_since = state.scans.get(&finished.scan_id).and_then(|scan| match &scan.phase {
                    Phase::Open { since, .. } => Some(*since),
                    Phase::Intended { .. } | Phase::Refused { .. } => None,
                });
                Before { first_requested: None, open_since }
            }
            _ => Before::default(),
        }
    }

    /// Counts and logs a record that this owner wrote and read back.
    pub(crate) fn record(&self, event: &ScanEvent, before: &Before, now: Timestamp) {
        let metrics = &self.metrics;
        let count = |ids: &[String]| u64::try_from(ids.len()).unwrap_or(u64::MAX);
        let elapsed = |since: Option<Timestamp>| {
            since.map(|since| Duration::try_from(now.duration_since(since)).unwrap_or_default())
        };
        match &event.body {
            EventBody::Withdrawn(body) => {
                metrics.attempt(ScanAttempt::Withdrawn(body.withdrawn));
                tracing::info!(
                    scan_id = body.scan_id, attempt = body.attempt, reason = ?body.withdrawn,
                    "An intent was withdrawn before its call."
                );
            }
            EventBody::AttemptFailed(body) => {
                metrics.attempt(ScanAttempt::Failed(body.result));
                tracing::warn!(
                    scan_id = body.scan_id,
                    attempt = body.attempt,
                    result = body.result.as_str(),
                    error_code = body.error_code,
                    error_target = body.error_target,
                    detail = body.detail,
                    retry_at = body.retry_at.map(tracing::field::display),
                    "An attempt to start a scan failed."
                );
            }
            EventBody::Accepted(body) => {
                metrics.attempt(ScanAttempt::Accepted);
                if let Some(waited) = elapsed(before.first_requested) {
                    metrics.accepted_after(PriorityClass::of(body.priority), waited);
                }
                tracing::info!(
                    scan_id = body.scan_id,
                    device = body.device.id,
                    device_name = body.device.name,
                    scan_type = body.scan_type.as_str(),
                    action_id = body.action.id,
                    comment = body.comment,
                    "Defender accepted a scan."
                );
            }
            EventBody::Joined(body) => {
                if body.attempt.is_some() {
                    metrics.attempt(ScanAttempt::Joined);
                }
                tracing::info!(
                    scan_id = body.scan_id,
                    device = body.device.id,
                    requests = body.request_ids.len(),
                    "Requests joined a running scan."
                );
            }
            EventBody::Shadowed(body) => {
                metrics.outcome(Outcome::Shadowed, count(&body.request_ids));
                tracing::info!(
                    device = body.device.id,
                    scan_type = body.scan_type.as_str(),
                    comment = body.comment,
                    "A scan would have been started; the rule or the worker is in shadow."
                );
            }
            EventBody::Suppressed(body) => {
                metrics.outcome(Outcome::Suppressed(body.reason), count(&body.request_ids));
                tracing::debug!(
                    device = body.device.id,
                    reason = body.reason.as_str(),
                    detail = body.detail,
                    "Requests were held back."
                );
            }
            EventBody::Failed(body) => {
                metrics.outcome(Outcome::Failed(body.reason), count(&body.request_ids));
                tracing::warn!(
                    scan_id = body.scan_id,
                    device = body.device.id,
                    reason = body.reason.as_str(),
                    detail = body.detail,
                    "A request for a scan failed."
                );
            }
            EventBody::Finished(body) => {
                let failed = body.status.failed_reason().map(Outcome::Failed);
                metrics.outcome(failed.unwrap_or(Outcome::Scanned), count(&body.request_ids));
                metrics.outcome(failed.unwrap_or(Outcome::Joined), count(&body.joined_request_ids));
                metrics.finished(body.scan_type, body.status, elapsed(before.open_since));
                tracing::info!(
                    scan_id = body.scan_id,
                    device = body.device.id,
                    status = body.status.as_str(),
                    "A scan ended."
                );
            }
            EventBody::Genesis(_)
            | EventBody::Claim(_)
            | EventBody::Control(_)
            | EventBody::Carried(_)
            | EventBody::Requested(_)
            | EventBody::Intent(_) => {}
        }
    }

    /// Shows what a snapshot measured.
    pub(crate) fn show(&self, snapshot: &Snapshot) {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        for (class, devices) in snapshot.queue {
            self.metrics.set_queue(class, whole(devices));
        }
        self.metrics.set_queue_times(snapshot.oldest, snapshot.wait_estimate);
        self.metrics.set_quota_remaining(QuotaWindow::Minute, u64::from(snapshot.remaining.minute));
        self.metrics.set_quota_remaining(QuotaWindow::Hour, u64::from(snapshot.remaining.hour));
        self.metrics.set_alerts_open(whole(snapshot.open_requests), whole(snapshot.unaccounted));
        self.metrics.set_halted(snapshot.halted);
    }
}
