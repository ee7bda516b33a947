//! Correlations: what they add to a decision, and that counting it comes to what the oracle comes to.

use proptest::prelude::*;
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, ResultBody};
use serde_json::json;

use super::{evaluate, load, now, rule, sample};
use crate::alert::{Alert, Device};
use crate::rules::{Decision, Mode, RuleSet, ScanDecision, ScanType};

const CORRELATIONS: &str = "
---
title: several alerts
id: 00000000-0000-4000-8000-00000000000a
correlation:
  type: event_count
  rules: [00000000-0000-4000-8000-000000000001]
  group-by: [device.id]
  timespan: 10s
  condition: { gte: 3 }
level: high
response: { scan: Full, comment: 'count {{ alert.id }}' }
---
title: several users
id: 00000000-0000-4000-8000-00000000000b
correlation:
  type: value_count
  rules: [base]
  group-by: device.id
  timespan: 10s
  condition: { gt: 1, field: user.name }
response: { scan: Quick }
";

fn base(response: &str) -> String {
    rule("s:\n  category: malware\ncondition: s", response).replace("title: t", "title: t\nname: base")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn counting_our_thresholds_fires_when_the_oracle_fires(
        // Steps of three seconds: no alert falls on the edge of ten.
        history in prop::collection::vec((0_i64..3, 0_usize..2, 0_usize..3, any::<bool>()), 1..30),
    ) {
        let text = base("") + CORRELATIONS;
        let ours = load(&text);
        let mut oracle = CorrelationEngine::new(CorrelationConfig::default());
        oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        let mut seen: Vec<(String, usize, i64, Option<String>)> = Vec::new();
        let mut now = 1_700_000_000;
        for (step, device, user, matches) in history {
            now += 3 * step;
            let category = if matches { "malware" } else { "other" };
            let mut json = json!({ "category": category, "device": { "id": format!("{device}") } });
            let mut alert = Alert { category: Some(category.to_owned()), ..Alert::default() };
            alert.devices = vec![Device::default()];
            if let Some(user) = ["ada", "bob"].get(user) {
                json["user"] = json!({ "name": user });
                alert.user.name = Some((*user).to_owned());
            }
            let mut reached = Vec::new();
            if let Decision::Scan(scan) = evaluate(&ours, &alert).decision {
                for threshold in scan.terms.thresholds {
                    seen.push((threshold.rule_id.clone(), device, now, threshold.value.clone()));
                    let since = now - i64::try_from(threshold.within_seconds).unwrap();
                    let recent = seen.iter().filter(|each| each.0 == threshold.rule_id && each.1 == device && each.2 > since);
                    let mut recent: Vec<&Option<String>> = recent.map(|each| &each.3).collect();
                    if threshold.value.is_some() {
                        recent.sort();
                        recent.dedup();
                    }
                    if recent.len() >= threshold.at_least as usize {
                        reached.push(threshold.rule_id);
                    }
                }
            }
            let theirs = oracle.process_event_at(&JsonEvent::borrow(&json), now);
            let correlations = theirs.iter().filter(|result| matches!(result.body, ResultBody::Correlation(_)));
            let mut fired: Vec<String> = correlations.filter_map(|result| result.header.rule_id.clone()).collect();
            fired.sort();
            // The oracle repeats itself for an alert that adds no value while the count is still reached; we do not.
            fired.retain(|id| alert.user.name.is_some() || !id.ends_with('b'));
            prop_assert_eq!(reached, fired);
        }
    }
}

fn scan(rules: &RuleSet, alert: &Alert) -> ScanDecision {
    match evaluate(rules, alert).decision {
        Decision::Scan(scan) => scan,
        other => panic!("{other:?}"),
    }
}

fn counts(scan: &ScanDecision) -> Vec<char> {
    scan.terms.thresholds.iter().filter_map(|each| each.rule_id.chars().last()).collect()
}

#[test]
fn building_blocks_alone_wait_for_the_count() {
    let rules = load(&(base("") + CORRELATIONS));
    let mut alert = sample();
    alert.user.name = Some("Ada".to_owned());
    let decision = scan(&rules, &alert);
    assert!(decision.terms.awaits_threshold);
    assert_eq!((decision.scan_type, decision.priority, decision.mode), (ScanType::Full, 70, Mode::Live));
    assert_eq!(decision.comment, "count 3212");
    assert_eq!(counts(&decision), ['a', 'b']);
    let (alerts, users) = (&decision.terms.thresholds[0], &decision.terms.thresholds[1]);
    assert_eq!((alerts.at_least, alerts.within_seconds, alerts.value.as_deref()), (3, 10, None));
    assert_eq!((alerts.scan_type, alerts.priority, alerts.mode), (ScanType::Full, 70, Mode::Live));
    assert_eq!((users.at_least, users.value.as_deref(), users.scan_type), (2, Some("ada"), ScanType::Quick));
    assert!(evaluate(&rules, &alert).matches.is_empty(), "no rule matched yet");
    // An alert that does not say adds no value.
    alert.user.name = None;
    assert_eq!(counts(&scan(&rules, &alert)), ['a']);
    alert.category = Some("other".to_owned());
    assert_eq!(evaluate(&rules, &alert).decision, Decision::NoRule);
}

#[test]
fn a_rule_that_asks_by_itself_shapes_the_decision_and_counts_ride_along() {
    let rules = load(&(base("scan: Quick, comment: own, priority: 5") + CORRELATIONS));
    let decision = scan(&rules, &sample());
    assert!(!decision.terms.awaits_threshold);
    assert_eq!((decision.scan_type, decision.comment.as_str(), decision.priority), (ScanType::Quick, "own", 5));
    assert_eq!(counts(&decision), ['a']);
    assert_eq!(decision.rule_ids.len(), 1, "a correlation has not matched");
    assert_eq!(decision.terms.asks.len(), 1, "nor does it ask before it is reached");
    assert!(scan(&load(&(base("") + CORRELATIONS)), &sample()).terms.asks.is_empty());
}

#[test]
fn the_cap_of_a_count_that_rides_along_is_a_cap() {
    let limited = CORRELATIONS.replace("response: { ", "response: { limit: { devices: 4, per: 24h }, ");
    let rules = load(&(base("scan: Quick, limit: { devices: 9, per: 1h }") + &limited));
    let limits: Vec<_> = scan(&rules, &sample()).limits.iter().map(|limit| limit.devices).collect();
    assert_eq!(limits, [9, 4]);
    let quiet = limited.replace("response: { ", "response: { mode: shadow, ");
    assert_eq!(scan(&load(&(base("scan: Quick") + &quiet)), &sample()).limits, []);
}

#[test]
fn a_rule_in_shadow_does_not_hold_back_a_live_count() {
    let rules = load(&(base("scan: Quick, mode: shadow") + CORRELATIONS));
    let decision = scan(&rules, &sample());
    assert!(decision.terms.awaits_threshold);
    assert_eq!((decision.mode, decision.scan_type), (Mode::Live, ScanType::Full));
    assert_eq!(decision.terms.shadow_rule_ids, ["00000000-0000-4000-8000-000000000001"]);
    let quiet = CORRELATIONS.replace("response: { ", "response: { mode: shadow, ");
    let decision = scan(&load(&(base("scan: Quick, mode: shadow") + &quiet)), &sample());
    assert!(!decision.terms.awaits_threshold);
    assert_eq!((decision.mode, decision.scan_type), (Mode::Shadow, ScanType::Quick));
    assert_eq!(counts(&decision), ['a']);
}

#[test]
fn an_expired_correlation_counts_nothing() {
    let expired = CORRELATIONS.replace("response: { ", "response: { expires: 2026-04-30, ");
    let rules = load(&(base("") + &expired));
    assert_eq!(evaluate(&rules, &sample()).decision, Decision::NoRule);
    // Nor does a rule that has expired itself.
    let rules = load(&(base("scan: Quick, expires: 2026-04-30") + CORRELATIONS));
    assert_eq!(evaluate(&rules, &sample()).decision, Decision::NoRule);
}

#[test]
fn an_explanation_shows_what_is_counted() {
    let rules = load(&(base("") + CORRELATIONS));
    let alert = sample();
    let explanation = rules.explain(&alert, &alert.devices[0], now());
    assert_eq!(explanation.evaluation, evaluate(&rules, &alert));
    let shown = explanation.to_string();
    for line in [
        "decision: Full scan, once a count is reached\n",
        "  counts for 00000000-0000-4000-8000-00000000000a: 3 within 10s ask for a Full scan\n",
        "correlation \"several alerts\" counts this alert\n",
        "  at least 3 alerts of a device within 10s: 00000000-0000-4000-8000-000000000001\n",
        "correlation \"several users\" does not count this alert\n",
        "  at least 2 values of user.name of a device within 10s: ",
        "rule \"t\" holds, but has no response\n",
    ] {
        assert!(shown.contains(line), "{line}\n---\n{shown}");
    }
    let counts = rules.rules()[1].counts.as_ref().unwrap();
    assert_eq!((counts.at_least, counts.within_seconds, counts.field.as_deref()), (3, 10, None));
    assert_eq!(rules.longest_cooldown(), std::time::Duration::from_hours(6));
}
