//! What the ledger's records mean to metrics and logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Control, ControlAction, EventBody, Outcome, ScanEvent};
use crate::scheduler::{BreakerState, Phase, Snapshot, State};
use crate::telemetry::{ALL_RULES, BreakerState as ShownBreaker, Metrics, PriorityClass, QuotaWindow, ScanAttempt};

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
            EventBody::Control(body) => self.ordered(body),
            EventBody::Genesis(_)
            | EventBody::Claim(_)
            | EventBody::Carried(_)
            | EventBody::Requested(_)
            | EventBody::Intent(_) => {}
        }
    }

    /// Says that a cap tripped or was re-armed. The fold voids a second trip of the same cap, so each is said once.
    fn ordered(&self, control: &Control) {
        match &control.control {
            ControlAction::Tripped { rule_id, devices, per_seconds, .. } => {
                self.metrics.set_blast_radius_tripped(rule_id.as_deref(), true);
                tracing::warn!(
                    rule = rule_id.as_deref().unwrap_or(ALL_RULES),
                    devices,
                    per_seconds,
                    "A limit of devices is reached: the rule is in shadow until somebody re-arms it."
                );
            }
            ControlAction::Rearmed { rule_id } => {
                self.metrics.set_blast_radius_tripped(rule_id.as_deref(), false);
                tracing::info!(
                    rule = rule_id.as_deref().unwrap_or(ALL_RULES),
                    author = control.author,
                    "A limit of devices was re-armed and counts anew."
                );
            }
            ControlAction::Halted
            | ControlAction::Resumed
            | ControlAction::SilenceSet { .. }
            | ControlAction::SilenceEnded { .. } => {}
        }
    }

    /// Tells that the breaker changed.
    pub(crate) fn breaker(&self, state: BreakerState) {
        self.metrics.set_breaker(shown(state));
        match state {
            BreakerState::Open => {
                tracing::error!(
                    "The Defender API as a whole does not work: no call begins for a while; requests wait."
                );
            }
            BreakerState::HalfOpen => tracing::info!("One call finds out whether the Defender API works again."),
            BreakerState::Closed => tracing::info!("The Defender API works again; calls flow."),
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
        self.metrics.set_breaker(shown(snapshot.breaker));
        self.metrics.set_blast_radius(snapshot.tripped.iter().map(Option::as_deref));
    }
}

const fn shown(state: BreakerState) -> ShownBreaker {
    match state {
        BreakerState::Closed => ShownBreaker::Closed,
        BreakerState::HalfOpen => ShownBreaker::Probing,
        BreakerState::Open => ShownBreaker::Open,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_trip_and_its_end_are_shown_and_said() {
        let metrics = Metrics::new("contoso").expect("metrics");
        metrics.set_rules("hash", ["rule-1"]);
        let accounts = Accounts { metrics: metrics.clone(), longest_rule_window: Arc::default() };
        let shown = |rule: &str, value: u8| {
            let text = metrics.encode().expect("text");
            text.contains(&format!("alert_responder_blast_radius_tripped{{rule=\"{rule}\"}} {value}\n"))
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for rule_id in [Some("rule-1".to_owned()), None] {
                let label = rule_id.clone().unwrap_or_else(|| "all_rules".to_owned());
                let claim = "c".to_owned();
                let tripped = ControlAction::Tripped { claim, rule_id: rule_id.clone(), devices: 7, per_seconds: 3600 };
                for (control, value) in [(tripped, 1), (ControlAction::Rearmed { rule_id }, 0)] {
                    let body = Control { control, author: "jane".to_owned(), comment: None };
                    let event = ScanEvent::new(Timestamp::UNIX_EPOCH, "contoso", body);
                    accounts.record(&event, &Before::default(), Timestamp::UNIX_EPOCH);
                    assert!(shown(&label, value), "{label} {value}");
                }
            }
        });
        let said = String::from_utf8(lines.0.lock().expect("lines").clone()).expect("text");
        assert_eq!(said.matches("WARN").count(), 2, "{said}");
        assert_eq!(said.matches("INFO").count(), 2, "{said}");
        assert!(said.contains("rule=\"rule-1\"") && said.contains("rule=\"all_rules\""), "{said}");

        accounts.show(&Snapshot { tripped: vec![Some("rule-1".to_owned())], ..Snapshot::default() });
        assert!(shown("rule-1", 1) && shown("all_rules", 0));
        accounts.show(&Snapshot::default());
        assert!(shown("rule-1", 0), "a replica that owns nothing shows nothing");
    }
}
