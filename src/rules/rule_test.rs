//! The `tests` of a rule: an alert of our own format, and whether the rule asks for a scan.

use serde::Serialize;
use serde_json::Value as Json;

use super::diagnostic::{DiagnosticCode as Code, Report};
use super::read;
use super::yaml::{Node, Scalar, Value};
use crate::alert::{Alert, DecodeError, Format, Position, Settings, decode_own};

/// What a test expects of its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// The rule matches at least one device of the alert.
    Scan,
    /// It matches none.
    None,
}

/// A checked test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RuleTest {
    pub(super) name: String,
    pub(super) alert: Alert,
    pub(super) expect: Expectation,
    pub(super) line: u32,
}

/// Reads the `tests` list. Alerts may have keys of their own only where a rule asks for `raw.*`.
pub(super) fn read_all(node: &Node, free_keys: bool, report: &mut Report<'_>) -> Vec<RuleTest> {
    let Value::List(items) = &node.value else {
        report.error(Code::InvalidValue, node.span, format!("tests must be a list, not {}", node.describe()));
        return Vec::new();
    };
    // Those with steps are read by `scenario`.
    let own = items.iter().filter(|item| item.get("steps").is_none());
    own.filter_map(|item| read_one(item, free_keys, report)).collect()
}

fn read_one(node: &Node, free_keys: bool, report: &mut Report<'_>) -> Option<RuleTest> {
    let not_yet = ["alerts", "given", "at", "now"];
    read::entries(node, "a test", &["name", "alert", "expect"], &not_yet, report);
    node.as_map()?;
    let mut wanted = |key: &str| {
        let found = node.get(key);
        if found.is_none() {
            report.error(Code::MissingKey, node.span, format!("a test needs `{key}`"));
        }
        found
    };
    let (name, alert, expect) = (wanted("name"), wanted("alert"), wanted("expect"));
    let name = name.and_then(|value| read::text(value, "name", report)).map(str::to_owned);
    let expect = expect.and_then(|value| {
        read::word(value, "expect", &[("scan", Expectation::Scan), ("none", Expectation::None)], report)
    });
    let line = report.line_of(node.span);
    let alert = alert.and_then(|value| read_alert(value, free_keys, report));
    Some(RuleTest { name: name?, alert: alert?, expect: expect?, line })
}

/// The keys of our own alert format.
pub(super) const ALERT_KEYS: &[&str] = &[
    "id",
    "title",
    "description",
    "severity",
    "category",
    "status",
    "source",
    "detection_source",
    "created_at",
    "tenant",
    "incident_id",
    "format",
    "threat",
    "mitre",
    "user",
    "file",
    "labels",
    "device",
    "devices",
];
/// The keys of its devices.
pub(super) const DEVICE_KEYS: &[&str] = &["id", "name", "os", "group", "tags", "risk", "ip"];

/// Reads an alert as production reads one of our own format, so that a test stands for what production does.
pub(super) fn read_alert(node: &Node, free_keys: bool, report: &mut Report<'_>) -> Option<Alert> {
    let errors = report.error_count();
    if !free_keys || node.as_map().is_none() {
        read::entries(node, "an alert", ALERT_KEYS, &[], report);
    }
    node.as_map()?;
    let words = Format::ALL.map(|format| (format.as_str(), format));
    let format = node.get("format").and_then(|value| read::word(value, "format", &words, report));
    let mut alert = match decode_own(&to_json(node), &Settings::default()) {
        Ok(alert) => alert,
        Err(error) => {
            refuse(&error, node, report);
            return None;
        }
    };
    alert.format = format.unwrap_or_default();
    if alert.devices.is_empty() {
        report
            .error(Code::MissingKey, node.span, "an alert in a test needs a `device` that says something")
            .help("device: { name: ws-17 }");
    }
    (report.error_count() == errors).then_some(alert)
}

/// What the decoder says of an alert, at the place that it means.
fn refuse(error: &DecodeError, node: &Node, report: &mut Report<'_>) {
    let mut place = node;
    if let Position::Pointer(pointer) = error.position() {
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let Some(inner) = inner(place, &step) else { break };
            place = inner;
        }
    }
    let detail = error.detail();
    let code = if detail.starts_with("unknown key") { Code::UnknownKey } else { Code::InvalidValue };
    let finding = report.error(code, place.span, format!("production would refuse this alert: {error}"));
    if detail.starts_with("expected a string, found a number") || detail.starts_with("expected a string, found a boo") {
        finding.help("quote it");
    } else if detail.starts_with("expected an array") {
        finding.help("write a list, for example `[a]`");
    }
}

fn inner<'n>(node: &'n Node, step: &str) -> Option<&'n Node> {
    match &node.value {
        Value::List(items) => items.get(step.parse::<usize>().ok()?),
        _ => node.get(step),
    }
}

pub(super) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { text, scalar } => match scalar {
            Scalar::Null => Json::Null,
            Scalar::Bool(value) => Json::Bool(*value),
            Scalar::Int(number) => Json::from(*number),
            // Whole numbers beyond those of the sort above stay whole.
            Scalar::Float(number) => text.parse::<u64>().map_or_else(|_| Json::from(*number), Json::from),
            Scalar::Text => Json::String(text.clone()),
        },
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.text.clone(), to_json(value))).collect())
        }
    }
}
