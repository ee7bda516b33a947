//! Filters, correlations, defaults, active times and warnings together.

use std::time::Duration;

use super::{evaluate, now, rule, sample};
use crate::rules::{Decision, DiagnosticCode as Code, RuleErrors, RuleSet, ScanDecision, ScanType};

const COUNT: &str = "
---
title: count
id: 00000000-0000-4000-8000-00000000000a
correlation:
  type: event_count
  rules: [00000000-0000-4000-8000-000000000001]
  group-by: [device.id]
  timespan: 9d
  condition: { gte: 3 }
";

/// It is a Friday noon in all tests.
const DEFAULTS: &str = "
response:
  cooldown: 2h
  escalate: { to: Full, after: 4, within: 24h }
time_intervals:
  weekends: { zone: UTC, weekdays: 'saturday:sunday' }
";

const OTHER: &str = "---\ntitle: other\nid: 00000000-0000-4000-8000-000000000002\nlogsource: {}\ndetection:\n  s:\n    \
                     category: malware\n  condition: s\n";

fn build(text: &str) -> Result<RuleSet, RuleErrors> {
    RuleSet::from_sources([("a.yml", text), ("defaults.yaml", DEFAULTS)])
}

fn load(text: &str) -> RuleSet {
    build(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn base(response: &str) -> String {
    rule("s:\n  category: malware\ncondition: s", response)
}

fn scan(rules: &RuleSet) -> ScanDecision {
    match evaluate(rules, &sample()).decision {
        Decision::Scan(scan) => scan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_correlation_takes_the_defaults_and_never_escalates() {
    let rules = load(&(base("") + COUNT + "response: { scan: Quick }\n"));
    let response = rules.rules()[1].response.clone().unwrap();
    assert_eq!((response.cooldown, response.escalate), (Duration::from_hours(2), None));
    let scan = scan(&rules);
    assert!(scan.terms.awaits_threshold);
    let thresholds: Vec<_> = scan.terms.thresholds.iter().map(|each| (each.at_least, each.scan_type)).collect();
    assert_eq!(thresholds, [(3, ScanType::Quick)]);
    assert_eq!(rules.longest_threshold_window(), Duration::from_hours(9 * 24));
    let own = base("") + COUNT + "response: { scan: Quick, escalate: { to: Full, after: 2, within: 24h } }\n";
    let errors = build(&own).unwrap_err();
    assert!(errors.diagnostics.iter().any(|finding| finding.code == Code::NotSupported), "{errors}");
    load(&(base("") + COUNT + "response: { scan: Quick, escalate: none }\n"));
}

#[test]
fn escalations_and_counts_of_several_rules_ride_along() {
    let rules = load(&(base("scan: Quick") + COUNT + "response: { scan: Full }\n"));
    let scan = scan(&rules);
    assert!(!scan.terms.awaits_threshold);
    let mut counts: Vec<(u32, &str)> =
        scan.terms.thresholds.iter().map(|each| (each.at_least, each.rule_id.as_str())).collect();
    counts.sort_unstable();
    assert_eq!(counts, [(3, "00000000-0000-4000-8000-00000000000a"), (5, "00000000-0000-4000-8000-000000000001")]);
}

#[test]
fn nothing_counts_outside_of_its_active_time_nor_holds_a_count_back() {
    let inactive = load(&(base("") + COUNT + "response: { scan: Full, active: weekends }\n"));
    assert_eq!(evaluate(&inactive, &sample()).decision, Decision::NoRule);
    let explained = inactive.explain(&sample(), &sample().devices[0], now()).to_string();
    assert!(explained.contains("counts nothing outside of its active time (weekends)"), "{explained}");
    let rules = load(&(base("scan: Quick, active: weekends") + COUNT + "response: { scan: Full, active: always }\n"));
    let scan = scan(&rules);
    assert!(scan.terms.awaits_threshold, "the rule that is not active asks for nothing");
    assert_eq!((scan.scan_type, scan.terms.outside_active_time), (ScanType::Full, None));
    let explained = rules.explain(&sample(), &sample().devices[0], now()).to_string();
    assert!(explained.contains("matches, but not within its active time (weekends)"), "{explained}");
}

#[test]
fn a_rule_is_useless_only_where_nothing_depends_on_it() {
    let shadowed = |more: &str| {
        let rules = load(
            &(base("scan: Quick, priority: 10, escalate: none")
                + OTHER
                + "response: { scan: Full, priority: 20 }\n"
                + more),
        );
        rules.warnings().iter().filter(|finding| finding.code == Code::ShadowedRule).count()
    };
    assert_eq!(shadowed(""), 1);
    assert_eq!(shadowed(&(COUNT.to_owned() + "response: { scan: Full }\n")), 0, "a correlation counts it");
    let filter = "---\ntitle: f\nid: 00000000-0000-4000-8000-00000000000f\nlogsource: {}\nfilter:\n  rules: [RULE]\n  s:\n    \
                  device.name: x\n  condition: not s\n";
    let filter = |rule: &str| filter.replace("RULE", rule);
    assert_eq!(shadowed(&filter("00000000-0000-4000-8000-000000000002")), 0, "the stronger rule has an exception");
    assert_eq!(shadowed(&filter("00000000-0000-4000-8000-000000000001")), 1);
}

#[test]
fn one_file_is_read_with_the_defaults_and_lists_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = rule("s:\n  device.name|expand: '%names%'\ncondition: s", "scan: Quick");
    std::fs::write(path("a.yml"), text).unwrap();
    std::fs::write(path("names.list"), "ws-17\n").unwrap();
    std::fs::write(path("defaults.yaml"), DEFAULTS).unwrap();
    std::fs::write(path("b.yml"), "not a rule").unwrap();
    let rules = RuleSet::load_dir(&path("a.yml")).unwrap();
    assert_eq!(rules.rules().len(), 1);
    assert_eq!(scan(&rules).cooldown, Duration::from_hours(2));
}
