//! The table of all metrics: name, type, labels and meaning. The registry is built from it and the documentation is written
//! from it, so the two cannot differ.

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of observations by size; the bounds are in seconds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Prometheus' word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Full name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// Its meaning; a sentence.
    pub help: &'static str,
}

/// Durations of one call, in seconds (OpenTelemetry's advice for messaging, with 30 for our longest call).
const CALL_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0];
/// From alert to accepted scan: milliseconds on a good day, hours when the quota is spent.
const WAIT_SECONDS: &[f64] =
    &[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0, 43_200.0, 86_400.0];
/// From accepted to finished: minutes for a quick scan, days for a full scan of a device that is switched off.
const SCAN_SECONDS: &[f64] = &[30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0, 43_200.0, 86_400.0, 259_200.0];

macro_rules! metrics {
    ($($id:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)+) => {
        $(pub(super) const $id: Metric = Metric {
            name: concat!("alert_responder_", $name), kind: $kind, labels: &[$($label),*], help: $help,
        };)+

        /// Every metric of the worker, in the order of the documentation. `process_*` metrics come beside them.
        pub const TABLE: &[Metric] = &[$($id),+];
    };
}

metrics! {
    BUILD_INFO = "build_info", Kind::Gauge, ["version", "revision"],
        "Always 1; the labels say which build runs.";
    ALERTS_RECEIVED = "alerts_received_total", Kind::Counter, ["tenant", "format"],
        "Alerts decoded from the alerts topic, by wire format.";
    ALERTS_OUTCOME = "alerts_outcome_total", Kind::Counter, ["tenant", "outcome", "reason"],
        "Observations (alert and device) that ended, each exactly once, by outcome and reason.";
    ALERTS_IN_FLIGHT = "alerts_in_flight", Kind::Gauge, [],
        "Observations that were read and have no outcome yet.";
    ALERTS_UNACCOUNTED = "alerts_unaccounted", Kind::Gauge, [],
        "Observations that are neither ended nor held by any structure of the worker. Anything but 0 is a bug.";
    RULE_MATCHES = "rule_matches_total", Kind::Counter, ["rule", "mode"],
        "Matches per rule, by the rule's own mode.";
    RULES_INFO = "rules_info", Kind::Gauge, ["hash"],
        "Always 1; the label says which rule set decides.";
    RULES_RELOAD = "rules_reload_total", Kind::Counter, ["result"],
        "Rule sets read, at start and on reload: loaded, or refused with the old one still in force.";
    RULES_LAST_RELOAD_SUCCESSFUL = "rules_last_reload_successful", Kind::Gauge, [],
        "1 while the rules that were read last decide; 0 while they are refused and those from before decide.";
    SCAN_ATTEMPTS = "scan_attempts_total", Kind::Counter, ["tenant", "result"],
        "Attempts to start a scan, by how they ended.";
    API_REQUEST_SECONDS = "api_request_seconds", Kind::Histogram(CALL_SECONDS), ["endpoint", "result"],
        "Duration of calls to Microsoft, by endpoint and result.";
    SCANS_FINISHED = "scans_finished_total", Kind::Counter, ["tenant", "scan_type", "status"],
        "Scans that ended after they were accepted, by status. Succeeded means that the device took the scan, not that it is clean.";
    ALERT_TO_ACCEPTED_SECONDS = "alert_to_accepted_seconds", Kind::Histogram(WAIT_SECONDS), ["tenant", "priority_class"],
        "From the moment an alert was read to the moment the API accepted its scan.";
    ACCEPTED_TO_FINISHED_SECONDS = "accepted_to_finished_seconds", Kind::Histogram(SCAN_SECONDS), ["scan_type"],
        "From the moment the API accepted a scan to the moment it ended.";
    QUEUE_SCANS = "queue_scans", Kind::Gauge, ["tenant", "priority_class"],
        "Scans that wait for their call.";
    QUEUE_OLDEST_SECONDS = "queue_oldest_seconds", Kind::Gauge, ["tenant"],
        "Age of the oldest scan that waits for its call; 0 where none waits.";
    QUEUE_WAIT_ESTIMATE_SECONDS = "queue_wait_estimate_seconds", Kind::Gauge, ["tenant"],
        "How long a scan of the lowest priority that joined the queue now would wait, by the quota.";
    QUOTA_REMAINING = "quota_remaining", Kind::Gauge, ["tenant", "window"],
        "Calls left in the sliding window.";
    BREAKER_STATE = "breaker_state", Kind::Gauge, ["tenant"],
        "State of the breaker before the API: 0 closed (calls flow), 1 probing with single calls, 2 open (calls wait).";
    HALTED = "halted", Kind::Gauge, ["tenant"],
        "1 while the kill switch is on: requests wait, nothing is sent.";
    BLAST_RADIUS_TRIPPED = "blast_radius_tripped", Kind::Gauge, ["rule"],
        "1 while a rule is held in shadow because it wanted to scan more devices than its limit allows; `all_rules` is the limit of all rules together.";
    DEAD_LETTERS = "dead_letters_total", Kind::Counter, ["reason"],
        "Records that could not be decoded and went to the dead-letter topic.";
    CONSUMER_LAG = "consumer_lag", Kind::Gauge, ["topic", "partition"],
        "Records between the committed offset and the end, of the partitions this worker owns.";
    OLDEST_UNCOMMITTED_SECONDS = "oldest_uncommitted_seconds", Kind::Gauge, ["partition"],
        "How long the oldest record that was read and is not yet committed has been held, of the alerts partitions this worker owns.";
    OWNED_PARTITIONS = "owned_partitions", Kind::Gauge, ["topic"],
        "Partitions this worker owns.";
    REBALANCES = "rebalances_total", Kind::Counter, [],
        "Times the consumer groups gave partitions to this worker or took them away.";
    LOOP_LAST_PROGRESS = "loop_last_progress_timestamp_seconds", Kind::Gauge, ["loop"],
        "When a loop of the worker last came round, in seconds since 1970.";
}

const HEAD: &str = "# Metrics

<!-- Generated from the table in the source; `UPDATE_SCHEMAS=1 cargo test` writes it anew. -->

`/metrics` serves them in Prometheus' text format.
Names, types, labels and the values of closed labels are a contract under semantic versioning.

Every series with closed labels is there from the start with the value 0.
Series with the labels `rule` and `hash` appear when a rule set is loaded, those with `topic` and `partition` while the partition is owned.
No label ever holds a device, an alert or free text.
There are no exemplars and no native histograms.
";

/// `docs/metrics.md`. `values` are the closed lists: label, and the values it may have.
#[must_use]
pub(super) fn markdown(values: &[(&str, Vec<&str>)]) -> String {
    let mut page = HEAD.to_owned();
    let mut add = |text: String| page.push_str(&text);
    add("\n## The worker\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned());
    for metric in TABLE {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        add(format!("| `{}` | {} | {labels} | {} |\n", metric.name, metric.kind.as_str(), metric.help));
    }
    add("\n## The process\n\n".to_owned());
    add("`process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_resident_memory_bytes`, \
         `process_virtual_memory_bytes`, `process_start_time_seconds` and `process_threads`, as every Prometheus client has them (Linux only).\n"
        .to_owned());
    add("\n## Buckets\n\n".to_owned());
    for metric in TABLE {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds = bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
            add(format!("- `{}`: {bounds} seconds\n", metric.name));
        }
    }
    add("\n## Values of closed labels\n\n".to_owned());
    for (label, values) in values {
        let shown = |value: &&str| if value.is_empty() { "(empty)".to_owned() } else { format!("`{value}`") };
        let list = values.iter().map(shown).collect::<Vec<_>>().join(", ");
        add(format!("- `{label}`: {list}\n"));
    }
    page
}
