//! The `tests` of a rule: an alert of our own format, and whether the rule asks for a scan.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

use super::diagnostic::{DiagnosticCode as Code, Report};
use super::read;
use super::yaml::{Node, Scalar, Value};
use crate::alert::{Alert, Device, Format, Severity};

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

pub(super) fn read_alert(node: &Node, free_keys: bool, report: &mut Report<'_>) -> Option<Alert> {
    if !free_keys || node.as_map().is_none() {
        read::entries(node, "an alert", ALERT_KEYS, &[], report);
    }
    node.as_map()?;
    let errors = report.error_count();
    let mut alert = Alert { raw: to_json(node), ..Alert::default() };
    let mut top = Reader { node, report };
    alert.id = top.text("id").unwrap_or_default();
    alert.title = top.text("title");
    alert.description = top.text("description");
    alert.category = top.text("category");
    alert.status = top.text("status");
    alert.source = top.text("source");
    alert.detection_source = top.text("detection_source");
    alert.tenant = top.text("tenant");
    alert.incident_id = top.text("incident_id");
    if let Some(value) = node.get("severity") {
        let folded = value.as_text().unwrap_or_default().to_lowercase();
        match Severity::ALL.iter().find(|severity| severity.as_str() == folded) {
            Some(severity) => alert.severity = *severity,
            None => {
                let words = Severity::ALL.map(|severity| (severity.as_str(), severity));
                read::word(value, "severity", &words, report);
            }
        }
    }
    if let Some(value) = node.get("format") {
        let words = Format::ALL.map(|format| (format.as_str(), format));
        alert.format = read::word(value, "format", &words, report).unwrap_or_default();
    }
    if let Some(value) = node.get("created_at") {
        alert.created_at = value.as_text().and_then(|text| text.parse::<Timestamp>().ok());
        if alert.created_at.is_none() {
            report.error(Code::InvalidValue, value.span, "created_at is a time such as `2026-05-01T10:00:00Z`");
        }
    }
    let group = |name: &str, keys: &[&str], report: &mut Report<'_>| {
        node.get(name).inspect(|value| {
            read::entries(value, name, keys, &[], report);
        })
    };
    if let Some(node) = group("threat", &["name", "family"], report) {
        let mut threat = Reader { node, report };
        (alert.threat.name, alert.threat.family) = (threat.text("name"), threat.text("family"));
    }
    if let Some(node) = group("mitre", &["technique"], report) {
        alert.mitre.technique = Reader { node, report }.texts("technique").unwrap_or_default();
    }
    if let Some(node) = group("user", &["name", "domain"], report) {
        let mut user = Reader { node, report };
        (alert.user.name, alert.user.domain) = (user.text("name"), user.text("domain"));
    }
    if let Some(node) = group("file", &["name", "path", "sha1", "sha256"], report) {
        let mut file = Reader { node, report };
        (alert.file.name, alert.file.path) = (file.text("name"), file.text("path"));
        (alert.file.sha1, alert.file.sha256) = (file.text("sha1"), file.text("sha256"));
    }
    if let Some(node) = node.get("labels") {
        for (key, _) in node.as_map().unwrap_or_default() {
            if let Some(text) = (Reader { node, report }).text(&key.text) {
                alert.labels.insert(key.text.clone(), text);
            }
        }
    }
    if let Some(value) = node.get("device") {
        alert.devices.push(read_device(value, report));
    }
    if let Some(value) = node.get("devices") {
        match &value.value {
            Value::List(items) => alert.devices.extend(items.iter().map(|item| read_device(item, report))),
            _ => {
                report.error(Code::InvalidValue, value.span, "devices must be a list");
            }
        }
    }
    if alert.id.is_empty() {
        report.error(Code::MissingKey, node.span, "an alert needs an `id`");
    }
    if alert.devices.is_empty() {
        report
            .error(Code::MissingKey, node.span, "an alert in a test needs a `device`")
            .help("device: { name: ws-17 }");
    }
    (report.error_count() == errors).then_some(alert)
}

fn read_device(node: &Node, report: &mut Report<'_>) -> Device {
    read::entries(node, "a device", DEVICE_KEYS, &[], report);
    let mut device = Reader { node, report };
    Device {
        id: device.text("id"),
        name: device.text("name"),
        os: device.text("os"),
        group: device.text("group"),
        tags: device.texts("tags"),
        risk: device.text("risk"),
        ip: device.texts("ip").unwrap_or_default(),
    }
}

struct Reader<'n, 'r, 's> {
    node: &'n Node,
    report: &'r mut Report<'s>,
}

impl Reader<'_, '_, '_> {
    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.node.get(key)?;
        self.scalar(key, value)
    }

    fn scalar(&mut self, key: &str, node: &Node) -> Option<String> {
        match &node.value {
            Value::Scalar { scalar: Scalar::Null, .. } => None,
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => {
                let message = format!("{key} must be text, not {}", node.describe());
                self.report.error(Code::InvalidValue, node.span, message);
                None
            }
        }
    }

    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.node.get(key)?;
        match &value.value {
            Value::List(items) => Some(items.iter().filter_map(|item| self.scalar(key, item)).collect()),
            Value::Scalar { scalar: Scalar::Null, .. } => None,
            _ => self.scalar(key, value).map(|text| vec![text]),
        }
    }
}

pub(super) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { text, scalar } => match scalar {
            Scalar::Null => Json::Null,
            Scalar::Bool(value) => Json::Bool(*value),
            Scalar::Int(number) => Json::from(*number),
            Scalar::Float(number) => Json::from(*number),
            Scalar::Text => Json::String(text.clone()),
        },
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.text.clone(), to_json(value))).collect())
        }
    }
}
