//! The alerts of tests are read as production reads alerts.

use super::rule;
use crate::rules::{Diagnostic, RuleSet};

/// A rule for the category `a`, with one test.
fn with_test(alert: &str, expect: &str) -> String {
    let head = rule("s:\n  category: a\ncondition: s", "scan: Quick");
    format!("{head}tests:\n  - name: n\n    expect: {expect}\n    alert: {alert}\n")
}

fn refused(alert: &str) -> Diagnostic {
    let found = RuleSet::from_sources([("a.yml", with_test(alert, "scan"))]).unwrap_err();
    found.diagnostics[0].clone()
}

#[test]
fn what_production_refuses_is_refused_where_it_stands() {
    for (alert, at, part) in [
        ("{ id: 1, title: true, device: { name: d } }", "true", "/title: expected a string, found a boolean"),
        ("{ id: 1, title: 5, device: { name: d } }", "5", "quote it"),
        ("{ id: 1, mitre: { technique: T1 }, device: { name: d } }", "T1", "write a list"),
        ("{ id: 1, device: { tags: x } }", "x", "/device/tags: expected an array"),
        ("{ id: 1, device: { tags: [x, 5] } }", "5", "/device/tags/1"),
        ("{ id: 1, device: { nam: x } }", "x", "did you mean `name`"),
        ("{ id: 1, severity: hihg, device: { name: d } }", "hihg", "did you mean `high`"),
        ("{ id: 1, created_at: '2026-05-01', device: { name: d } }", "'2026-05-01'", "RFC 3339"),
        ("{ id: 1.5, device: { name: d } }", "1.5", "64-bit integer"),
        ("{ id: ' ', device: { name: d } }", "' '", "must not be empty"),
        ("{ title: a, device: { name: d } }", "{ title", "`id` is required"),
        ("{ id: 1, device: { name: d }, devices: [{ name: d }] }", "[{", "send one of them"),
    ] {
        let finding = refused(alert);
        let shown = finding.to_string();
        let column = format!("    alert: {alert}").find(&format!(" {at}")).unwrap() + 2;
        assert_eq!((finding.line, finding.column as usize), (12, column), "{shown}");
        assert!(shown.contains(part) && shown.contains("production would refuse this alert"), "{shown}");
    }
}

#[test]
fn texts_are_those_that_production_sees() {
    for (alert, expect) in [
        ("{ id: 1, category: ' a ', device: { name: d } }", "scan"),
        ("{ id: 18446744073709551615, category: a, device: { name: d } }", "scan"),
        ("{ id: 1, category: '', device: { name: d } }", "none"),
        ("{ id: 1, category: a, format: graph_alert, devices: [{ ip: 10.0.0.1 }] }", "scan"),
    ] {
        let rules =
            RuleSet::from_sources([("a.yml", with_test(alert, expect))]).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(rules.run_tests().iter().all(|test| test.passed), "{alert}");
    }
}
