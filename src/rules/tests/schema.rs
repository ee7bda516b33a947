//! The schema takes what the loader takes, and refuses the keys that the loader refuses.

use std::path::Path;

use serde_json::Value as Json;

use crate::rules::diagnostic::Report;
use crate::rules::rule_test::to_json;
use crate::rules::source::SourceFile;
use crate::rules::yaml::{self, Node, Value};
use crate::rules::{DiagnosticCode as Code, RuleSet, rule_schema};

const FULL: &str = "
title: t
id: 00000000-0000-4000-8000-000000000001
name: t
status: test
level: high
description: d
logsource: { category: alert }
detection:
  s:
    category|contains: [a, 5]
    raw.a.b: x
    severity|gte: high
    device.tags: null
  t:
    - labels.team: a
    - device.name|startswith: dc-
  condition: [s, not t]
response:
  scan: Quick
  comment: '{{ alert.id }}'
  priority: 7
  cooldown: { first: 6h, factor: 3, longest: 7d }
  max_alert_age: 1h 30m
  escalate: { to: Full, after: 2, within: 24h }
  limit: { devices: 3, per: 1h }
  merge_window: 0s
  active: [nights]
  mode: live
  expires: 2027-06-30
tests:
  - name: n
    alert: { id: 1, severity: High, threat: { name: x }, labels: { a: x }, device: { name: a, tags: [b] }, odd: 1 }
    expect: scan
";

const DEFAULTS: &str = "
response: { cooldown: 6h, limit: none, escalate: none, active: always }
by_level:
  high: { priority: 3, active: nights }
time_intervals:
  nights: { zone: Europe/Berlin, weekdays: ['monday:friday'], times: [22:00-06:00], days: [1, '2:-1'], months: may }
  ever: [{ zone: UTC }]
";

fn documents(text: &str) -> Vec<Node> {
    let source = SourceFile::new("x".to_owned(), "x".to_owned(), text);
    let mut report = Report::new(&source);
    let documents = yaml::load(&mut report);
    assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
    documents
}

fn validator() -> jsonschema::Validator {
    let schema = rule_schema();
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    jsonschema::draft7::options().should_validate_formats(true).build(&schema).unwrap()
}

fn problems(validator: &jsonschema::Validator, json: &Json) -> Vec<String> {
    validator.iter_errors(json).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_rule_that_ships_and_every_one_that_is_shown_is_valid_and_names_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let validator = validator();
    let mut seen = 0;
    let starter = std::fs::read_dir(root.join("rules")).unwrap().map(|entry| (entry.unwrap().path(), "../schemas"));
    let demo = (root.join("src/cli/demo/rules.yml"), "../../../schemas");
    for (path, schemas) in starter.chain([demo]) {
        if path.extension().is_none_or(|extension| extension != "yml" && extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(&format!("# yaml-language-server: $schema={schemas}/rule.schema.json\n")),
            "{}",
            path.display()
        );
        for node in documents(&text) {
            assert_eq!(problems(&validator, &to_json(&node)), [""; 0], "{}", path.display());
            seen += 1;
        }
    }
    let guides =
        ["docs/rules.md", "docs/rule-guide.md"].map(|guide| std::fs::read_to_string(root.join(guide)).unwrap());
    for block in guides.iter().flat_map(|guide| guide.split("```yaml\n").skip(1)) {
        for node in documents(block.split("```").next().unwrap()) {
            assert_eq!(problems(&validator, &to_json(&node)), [""; 0], "{block}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn what_the_loader_takes_the_schema_takes() {
    RuleSet::from_sources([("a.yml", FULL), ("defaults.yaml", DEFAULTS)]).unwrap();
    let filter = "title: f\nlogsource: { category: alert }\nfilter:\n  rules: [t]\n  s: { device.name: x }\n  condition: not s\nexpires: 2027-01-01\n";
    let correlation = "title: c\ncorrelation:\n  type: event_count\n  rules: [t]\n  group-by: [device.id]\n  timespan: 24h\n  condition: { gte: 3 }\nresponse: { scan: Full }\n";
    let tests = "tests:\n  - name: a\n    rule: t\n    steps: [{ at: 0s, alert: { id: 1, device: { name: a } }, expect: scanned }]\n";
    for text in [FULL, DEFAULTS, filter, correlation, tests, "response: { cooldown: 1h }\n"] {
        for node in documents(text) {
            assert_eq!(problems(&validator(), &to_json(&node)), [""; 0], "{text}");
        }
    }
}

/// Every tree that differs from this one in one key.
fn misspelt(node: &Node) -> Vec<Node> {
    let mut all = Vec::new();
    match &node.value {
        Value::Map(entries) => {
            for (at, (key, value)) in entries.iter().enumerate() {
                let with = |key: String, value: Node| {
                    let mut entries = entries.clone();
                    entries[at].0.text = key;
                    entries[at].1 = value;
                    Node { span: node.span, value: Value::Map(entries) }
                };
                all.push(with(format!("{}x", key.text), value.clone()));
                all.extend(misspelt(value).into_iter().map(|value| with(key.text.clone(), value)));
            }
        }
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                all.extend(misspelt(item).into_iter().map(|item| {
                    let mut items = items.clone();
                    items[at] = item;
                    Node { span: node.span, value: Value::List(items) }
                }));
            }
        }
        Value::Scalar { .. } => {}
    }
    all
}

#[test]
fn a_key_that_the_loader_does_not_know_the_schema_refuses() {
    let validator = validator();
    let closed_alert = FULL.replace("raw.a.b", "title").replace(", odd: 1", "");
    let mut refused = 0;
    for (name, text) in [("a.yml", FULL), ("a.yml", closed_alert.as_str()), ("defaults.yaml", DEFAULTS)] {
        for node in documents(text).iter().flat_map(misspelt) {
            let json = to_json(&node);
            // JSON is YAML.
            let text = json.to_string();
            let others = if name == "a.yml" {
                [(name, text.as_str()), ("defaults.yaml", DEFAULTS)]
            } else {
                [(name, text.as_str()), ("a.yml", FULL)]
            };
            let Err(errors) = RuleSet::from_sources(others) else { continue };
            let keys = [Code::UnknownKey, Code::UnknownField, Code::UnknownModifier];
            // Where the detection is broken the loader cannot tell whether the rule asks for the original JSON.
            let is_certain = |message: &str| message != "an alert has no key `odd`";
            if errors
                .diagnostics
                .iter()
                .any(|finding| keys.contains(&finding.code) && finding.file == name && is_certain(&finding.message))
            {
                assert!(!validator.is_valid(&json), "the schema takes {text}\n{errors}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 100, "{refused}");
}
