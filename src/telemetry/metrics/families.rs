//! One family per row of the table, registered, with every series of closed labels at 0.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::labels::{ApiResult, Endpoint, PriorityClass, QuotaWindow, RulesReload, ScanAttempt};
use super::table::{self, Kind, Metric};
use crate::event::{DeadLetterReason, FinishedStatus, Format, Mode, Outcome, ScanType};
use crate::telemetry::{REVISION, VERSION};

macro_rules! families {
    ($($field:ident: $kind:ty = $row:ident,)+) => {
        pub(super) struct Families {
            pub(super) registry: Registry,
            $(pub(super) $field: $kind,)+
        }

        impl Families {
            pub(super) fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(let $field = <$kind as Family>::build(&table::$row)?;
                registry.register(Box::new($field.clone()))?;)+
                #[cfg(target_os = "linux")]
                registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
                Ok(Self { registry, $($field,)+ })
            }
        }
    };
}

families! {
    build_info: GaugeVec = BUILD_INFO,
    alerts_received: IntCounterVec = ALERTS_RECEIVED,
    alerts_outcome: IntCounterVec = ALERTS_OUTCOME,
    alerts_in_flight: GaugeVec = ALERTS_IN_FLIGHT,
    alerts_unaccounted: GaugeVec = ALERTS_UNACCOUNTED,
    rule_matches: IntCounterVec = RULE_MATCHES,
    rules_info: GaugeVec = RULES_INFO,
    rules_reload: IntCounterVec = RULES_RELOAD,
    rules_last_reload_successful: GaugeVec = RULES_LAST_RELOAD_SUCCESSFUL,
    scan_attempts: IntCounterVec = SCAN_ATTEMPTS,
    api_request_seconds: HistogramVec = API_REQUEST_SECONDS,
    scans_finished: IntCounterVec = SCANS_FINISHED,
    alert_to_accepted_seconds: HistogramVec = ALERT_TO_ACCEPTED_SECONDS,
    accepted_to_finished_seconds: HistogramVec = ACCEPTED_TO_FINISHED_SECONDS,
    queue_scans: GaugeVec = QUEUE_SCANS,
    queue_oldest_seconds: GaugeVec = QUEUE_OLDEST_SECONDS,
    queue_wait_estimate_seconds: GaugeVec = QUEUE_WAIT_ESTIMATE_SECONDS,
    quota_remaining: GaugeVec = QUOTA_REMAINING,
    breaker_state: GaugeVec = BREAKER_STATE,
    halted: GaugeVec = HALTED,
    blast_radius_tripped: GaugeVec = BLAST_RADIUS_TRIPPED,
    dead_letters: IntCounterVec = DEAD_LETTERS,
    consumer_lag: GaugeVec = CONSUMER_LAG,
    oldest_uncommitted_seconds: GaugeVec = OLDEST_UNCOMMITTED_SECONDS,
    owned_partitions: GaugeVec = OWNED_PARTITIONS,
    rebalances: IntCounterVec = REBALANCES,
    loop_last_progress: GaugeVec = LOOP_LAST_PROGRESS,
}

impl Families {
    /// Makes every series of closed labels, so that `rate()` and `absent()` work from the first scrape.
    pub(super) fn start_at_zero(&self, tenant: &str) {
        self.build_info.with_label_values(&[VERSION, REVISION]).set(1.0);
        for format in Format::ALL {
            self.alerts_received.with_label_values(&[tenant, format.as_str()]);
        }
        for outcome in Outcome::all() {
            self.alerts_outcome.with_label_values(&[tenant, outcome.as_str(), outcome.reason()]);
        }
        for gauge in [&self.alerts_in_flight, &self.alerts_unaccounted] {
            gauge.with_label_values::<&str>(&[]);
        }
        self.rebalances.with_label_values::<&str>(&[]);
        self.blast_radius_tripped.with_label_values(&[super::ALL_RULES]);
        // Nothing was refused yet.
        self.rules_last_reload_successful.with_label_values::<&str>(&[]).set(1.0);
        for result in RulesReload::ALL {
            self.rules_reload.with_label_values(&[result.as_str()]);
        }
        for result in ScanAttempt::words() {
            self.scan_attempts.with_label_values(&[tenant, result]);
        }
        for endpoint in Endpoint::ALL {
            for result in ApiResult::ALL {
                self.api_request_seconds.with_label_values(&[endpoint.as_str(), result.as_str()]);
            }
        }
        for scan_type in ScanType::ALL {
            self.accepted_to_finished_seconds.with_label_values(&[scan_type.as_str()]);
            for status in FinishedStatus::ALL {
                self.scans_finished.with_label_values(&[tenant, scan_type.as_str(), status.as_str()]);
            }
        }
        for class in PriorityClass::ALL {
            self.alert_to_accepted_seconds.with_label_values(&[tenant, class.as_str()]);
            self.queue_scans.with_label_values(&[tenant, class.as_str()]);
        }
        for window in QuotaWindow::ALL {
            self.quota_remaining.with_label_values(&[tenant, window.as_str()]);
        }
        for gauge in [&self.queue_oldest_seconds, &self.queue_wait_estimate_seconds, &self.breaker_state, &self.halted]
        {
            gauge.with_label_values(&[tenant]);
        }
        for reason in DeadLetterReason::ALL {
            self.dead_letters.with_label_values(&[reason.as_str()]);
        }
    }
}

/// Every closed label with its values, for the documentation.
pub(super) fn closed_values() -> Vec<(&'static str, Vec<&'static str>)> {
    let words = |values: &[&'static str]| values.to_vec();
    let mut outcomes: Vec<_> = Outcome::all().map(Outcome::as_str).collect();
    outcomes.dedup();
    let reasons = |name: &str| Outcome::all().filter(|outcome| outcome.as_str() == name).map(Outcome::reason).collect();
    vec![
        ("format", Format::ALL.map(Format::as_str).to_vec()),
        ("mode", Mode::ALL.map(Mode::as_str).to_vec()),
        ("outcome", outcomes),
        ("reason` of `scanned`, `joined` and `shadowed", words(&[""])),
        ("reason` of `suppressed", reasons("suppressed")),
        ("reason` of `skipped", reasons("skipped")),
        ("reason` of `failed", reasons("failed")),
        ("reason` of `dead_lettered` and of `alert_responder_dead_letters_total", reasons("dead_lettered")),
        (
            "result` of `alert_responder_rules_reload_total",
            RulesReload::ALL.iter().map(|value| value.as_str()).collect(),
        ),
        ("result` of `alert_responder_scan_attempts_total", ScanAttempt::words().collect()),
        ("endpoint", Endpoint::ALL.iter().map(|value| value.as_str()).collect()),
        (
            "result` of `alert_responder_api_request_seconds",
            ApiResult::ALL.iter().map(|value| value.as_str()).collect(),
        ),
        ("scan_type", ScanType::ALL.map(ScanType::as_str).to_vec()),
        ("status", FinishedStatus::ALL.map(FinishedStatus::as_str).to_vec()),
        ("priority_class", PriorityClass::ALL.iter().map(|value| value.as_str()).collect()),
        ("window", QuotaWindow::ALL.iter().map(|value| value.as_str()).collect()),
    ]
}

/// A family that can be built from its row.
trait Family: Collector + Clone + Sized + 'static {
    fn build(row: &Metric) -> prometheus::Result<Self>;
}

impl Family for IntCounterVec {
    fn build(row: &Metric) -> prometheus::Result<Self> {
        Self::new(Opts::new(row.name, row.help), row.labels)
    }
}

impl Family for GaugeVec {
    fn build(row: &Metric) -> prometheus::Result<Self> {
        Self::new(Opts::new(row.name, row.help), row.labels)
    }
}

impl Family for HistogramVec {
    fn build(row: &Metric) -> prometheus::Result<Self> {
        let bounds = match row.kind {
            Kind::Histogram(bounds) => bounds.to_vec(),
            Kind::Counter | Kind::Gauge => Vec::new(),
        };
        Self::new(HistogramOpts::new(row.name, row.help).buckets(bounds), row.labels)
    }
}
