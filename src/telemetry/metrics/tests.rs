use std::collections::{BTreeMap, BTreeSet};

use prometheus::proto::MetricType;

use super::*;
use crate::event::{AttemptResult, WithdrawReason};

fn metrics() -> Metrics {
    Metrics::new("contoso").expect("the table is sound")
}

/// Series by `name{label="value",…}` as in the text format.
fn series(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.encode().expect("it can be written");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
fn the_table_is_what_the_registry_exports() {
    let metrics = metrics();
    metrics.set_rules("h", ["r"]);
    metrics.set_consumer_lag("alerts", 0, 1);
    metrics.set_oldest_uncommitted(0, Duration::from_secs(1));
    metrics.set_owned_partitions("alerts", 1);
    metrics.loop_progress("intake", Timestamp::UNIX_EPOCH);
    let gathered = metrics.families.registry.gather();
    let ours = gathered.iter().filter(|family| family.name().starts_with("alert_responder_"));
    let exported: BTreeMap<_, _> = ours
        .map(|family| {
            let labels: BTreeSet<_> =
                family.get_metric().iter().flat_map(|metric| metric.get_label()).map(|pair| pair.name()).collect();
            (family.name(), (family.get_field_type(), labels, family.help()))
        })
        .collect();
    let listed: BTreeMap<_, _> = TABLE
        .iter()
        .map(|row| {
            let kind = match row.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram(_) => MetricType::HISTOGRAM,
            };
            (row.name, (kind, row.labels.iter().copied().collect(), row.help))
        })
        .collect();
    assert_eq!(exported, listed);
    assert!(gathered.iter().any(|family| family.name() == "process_resident_memory_bytes"));
}

#[test]
fn names_follow_prometheus() {
    for row in TABLE {
        assert_eq!(row.kind == Kind::Counter, row.name.ends_with("_total"), "{}", row.name);
        assert!(row.help.ends_with('.'), "{}: the help is a sentence", row.name);
        assert!(!row.labels.contains(&"device") && !row.labels.contains(&"alert"), "{}", row.name);
    }
}

#[test]
fn closed_series_are_there_from_the_start_with_zero() {
    let series = series(&metrics());
    for name in [
        r#"alert_responder_alerts_outcome_total{outcome="suppressed",reason="blast_radius",tenant="contoso"}"#,
        r#"alert_responder_alerts_outcome_total{outcome="scanned",reason="",tenant="contoso"}"#,
        r#"alert_responder_alerts_received_total{format="mde_alert",tenant="contoso"}"#,
        r#"alert_responder_dead_letters_total{reason="too_deep"}"#,
        r#"alert_responder_scans_finished_total{scan_type="Full",status="timed_out",tenant="contoso"}"#,
        r#"alert_responder_scan_attempts_total{result="in_doubt",tenant="contoso"}"#,
        r#"alert_responder_scan_attempts_total{result="withdrawn",tenant="contoso"}"#,
        r#"alert_responder_api_request_seconds_count{endpoint="run_scan",result="429"}"#,
        r#"alert_responder_alerts_unaccounted"#,
        r#"alert_responder_rebalances_total"#,
        r#"alert_responder_halted{tenant="contoso"}"#,
    ] {
        assert_eq!(series.get(name), Some(&0.0), "{name}");
    }
    let outcomes = series.keys().filter(|name| name.starts_with("alert_responder_alerts_outcome_total")).count();
    assert_eq!(outcomes, Outcome::all().count());
    let build = format!(
        r#"alert_responder_build_info{{revision="{}",version="{}"}}"#,
        crate::telemetry::REVISION,
        crate::telemetry::VERSION
    );
    assert_eq!(series.get(&build), Some(&1.0));
}

#[test]
fn what_happens_is_counted_where_it_belongs() {
    let metrics = metrics();
    let clone = metrics.clone();
    clone.received(Format::GraphAlert, 3);
    clone.outcome(Outcome::Skipped(crate::event::SkippedReason::NoRule), 2);
    clone.attempt(ScanAttempt::Accepted);
    clone.attempt(ScanAttempt::Withdrawn(WithdrawReason::Halted));
    clone.attempt(ScanAttempt::Failed(AttemptResult::RateLimited));
    clone.set_breaker(BreakerState::Open);
    clone.set_queue(PriorityClass::of(95), 7);
    clone.set_quota_remaining(QuotaWindow::Hour, 1499);
    clone.api_request(Endpoint::Token, ApiResult::of_status(503), Duration::from_millis(20));
    clone.finished(ScanType::Quick, FinishedStatus::Succeeded, Some(Duration::from_secs(90)));
    let series = series(&metrics);
    for (name, value) in [
        (r#"alert_responder_alerts_received_total{format="graph_alert",tenant="contoso"}"#, 3.0),
        (r#"alert_responder_alerts_outcome_total{outcome="skipped",reason="no_rule",tenant="contoso"}"#, 2.0),
        (r#"alert_responder_scan_attempts_total{result="accepted",tenant="contoso"}"#, 1.0),
        (r#"alert_responder_scan_attempts_total{result="withdrawn",tenant="contoso"}"#, 1.0),
        (r#"alert_responder_scan_attempts_total{result="rate_limited",tenant="contoso"}"#, 1.0),
        (r#"alert_responder_breaker_state{tenant="contoso"}"#, 2.0),
        (r#"alert_responder_queue_scans{priority_class="critical",tenant="contoso"}"#, 7.0),
        (r#"alert_responder_quota_remaining{tenant="contoso",window="hour"}"#, 1499.0),
        (r#"alert_responder_api_request_seconds_count{endpoint="token",result="5xx"}"#, 1.0),
        (r#"alert_responder_accepted_to_finished_seconds_sum{scan_type="Quick"}"#, 90.0),
        (r#"alert_responder_scans_finished_total{scan_type="Quick",status="succeeded",tenant="contoso"}"#, 1.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}");
    }
}

#[test]
fn a_reload_keeps_the_counts_of_rules_that_stay_and_drops_those_that_go() {
    let metrics = metrics();
    metrics.set_rules("one", ["stays", "goes"]);
    metrics.rule_match("stays", Mode::Live);
    metrics.set_blast_radius_tripped(Some("stays"), true);
    metrics.set_rules("two", ["stays", "comes"]);
    let series = series(&metrics);
    assert_eq!(series.get(r#"alert_responder_rule_matches_total{mode="live",rule="stays"}"#), Some(&1.0));
    assert_eq!(series.get(r#"alert_responder_blast_radius_tripped{rule="stays"}"#), Some(&1.0));
    assert_eq!(series.get(r#"alert_responder_rule_matches_total{mode="shadow",rule="comes"}"#), Some(&0.0));
    assert_eq!(series.get(r#"alert_responder_rules_info{hash="two"}"#), Some(&1.0));
    assert!(!series.keys().any(|name| name.contains("goes") || name.contains("one")));
}

#[test]
fn the_tripped_limits_are_those_that_were_named_last() {
    let metrics = metrics();
    metrics.set_rules("one", ["rule", "other"]);
    let tripped = |metrics: &Metrics| {
        let series = series(metrics);
        ["rule", "other", "all_rules"]
            .map(|rule| series.get(&format!(r#"alert_responder_blast_radius_tripped{{rule="{rule}"}}"#)).copied())
    };
    assert_eq!(tripped(&metrics), [Some(0.0); 3]);
    metrics.set_blast_radius([Some("rule"), None]);
    metrics.set_rules("two", ["rule", "other"]);
    assert_eq!(tripped(&metrics), [Some(1.0), Some(0.0), Some(1.0)]);
    metrics.set_blast_radius([Some("other")]);
    assert_eq!(tripped(&metrics), [Some(0.0), Some(1.0), Some(0.0)]);
    metrics.set_blast_radius([]);
    assert_eq!(tripped(&metrics), [Some(0.0); 3]);
}

#[test]
fn a_lost_partition_takes_its_series_along() {
    let metrics = metrics();
    metrics.set_consumer_lag("alerts", 3, 9);
    metrics.set_oldest_uncommitted(3, Duration::from_secs(4));
    assert!(series(&metrics).contains_key(r#"alert_responder_consumer_lag{partition="3",topic="alerts"}"#));
    metrics.alerts_partition_lost("alerts", 3);
    metrics.alerts_partition_lost("alerts", 3);
    assert!(!series(&metrics).keys().any(|name| name.contains(r#"partition="3""#)));
}

#[test]
fn priorities_fall_into_their_classes() {
    for (priority, class) in
        [(100, "critical"), (90, "critical"), (89, "high"), (70, "high"), (69, "medium"), (39, "low"), (0, "low")]
    {
        assert_eq!(PriorityClass::of(priority).as_str(), class, "{priority}");
    }
}
