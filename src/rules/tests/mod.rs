//! What holds of the rules room.

mod alerts;
mod counting;
mod defaults;
mod errors;
mod filters;
mod generated;
mod guide;
mod indexed;
mod intervals;
mod joined;
mod language;
mod limits;
mod merging;
mod messages;
mod oracle;
mod properties;
mod schema;
mod semantics;
mod vocabulary;
mod warnings;

use jiff::Timestamp;

use super::{Evaluation, RuleSet};
use crate::alert::{Alert, Device, Severity};

/// A rule around a detection, with a response unless `response` is empty.
fn rule(detection: &str, response: &str) -> String {
    let indented: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    let response = if response.is_empty() { String::new() } else { format!("response: {{ {response} }}\n") };
    format!(
        "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {{ category: alert }}\ndetection:\n{indented}{response}"
    )
}

fn load(text: &str) -> RuleSet {
    match RuleSet::from_sources([("rule.yml", text)]) {
        Ok(rules) => rules,
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn evaluate(rules: &RuleSet, alert: &Alert) -> Evaluation {
    let device = alert.devices.first().cloned().unwrap_or_default();
    rules.evaluate(alert, &device, now())
}

fn matches(text: &str, alert: &Alert) -> bool {
    !evaluate(&load(text), alert).matches.is_empty()
}

/// An alert with something in most fields.
fn sample() -> Alert {
    let mut alert = Alert {
        id: "3212".to_owned(),
        title: Some("Emotet malware was detected".to_owned()),
        severity: Severity::High,
        category: Some("Malware".to_owned()),
        incident_id: Some("42".to_owned()),
        ..Alert::default()
    };
    alert.threat.name = Some("Trojan:Win32/Emotet!rfn".to_owned());
    alert.file.path = Some(r"C:\Users\ada\AppData\Local\Temp".to_owned());
    alert.mitre.technique = vec!["T1059.001".to_owned(), "T1486".to_owned()];
    alert.labels.insert("team".to_owned(), "Blue".to_owned());
    alert.labels.insert("score".to_owned(), "7.5".to_owned());
    alert.devices = vec![Device {
        id: Some("a".repeat(40)),
        name: Some("WS-17".to_owned()),
        os: Some("Windows11".to_owned()),
        tags: Some(vec!["Finance".to_owned(), "vip".to_owned()]),
        risk: Some("Medium".to_owned()),
        ip: vec!["10.1.2.3".to_owned(), "fe80::1".to_owned()],
        ..Device::default()
    }];
    alert.raw = serde_json::json!({
        "evidence": [
            { "kind": "file", "name": "a.exe", "sizes": [1, 20] },
            { "kind": "device", "name": null, "isTest": true }
        ],
        "count": 5,
        "nothing": null,
        "empty": [],
    });
    alert
}
