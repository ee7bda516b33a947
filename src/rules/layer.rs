//! One layer of a response: what a rule says itself, or what a defaults file says for many rules.

use std::time::Duration;

use serde::Serialize;

use super::decision::{CooldownGrowth, Mode, ScanType};
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::read;
use super::template;
use super::yaml::{Key, Node, Value};

/// Longest window of a cap on devices: the fold of the ledger remembers devices that were reached for a day.
const LONGEST_LIMIT_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The keys that a rule may leave to the defaults.
pub(super) const KEYS: [&str; 9] =
    ["comment", "priority", "cooldown", "max_alert_age", "escalate", "limit", "merge_window", "active", "mode"];

/// Where a part of a response comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The rule says so itself.
    Rule,
    /// `by_level` of the defaults file.
    Level,
    /// `response` of the defaults file.
    Defaults,
    /// Neither: the program's own default.
    BuiltIn,
}

/// The rest of a device after a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) first: Duration,
    pub(super) growth: Option<CooldownGrowth>,
}

/// What becomes of the scan where a rule asks for one again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escalation {
    pub(super) to: ScanType,
    /// Scans that were asked for before.
    pub(super) after: u32,
    pub(super) within_seconds: u64,
}

/// Every key that was written. Where a key can say *none*, the inner option says so.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layer {
    pub(super) comment: Option<String>,
    pub(super) priority: Option<u8>,
    pub(super) cooldown: Option<Rest>,
    pub(super) max_alert_age: Option<Duration>,
    pub(super) escalate: Option<Option<Escalation>>,
    /// Distinct devices, and the window in seconds.
    pub(super) limit: Option<Option<(u32, u64)>>,
    pub(super) merge_window: Option<Duration>,
    /// Names of time intervals and where they stand; none for `always`.
    pub(super) active: Option<Vec<(String, Span)>>,
    pub(super) mode: Option<Mode>,
}

impl Layer {
    /// Reads one key, where it is one of [`KEYS`].
    pub(super) fn read_key(&mut self, key: &Key, value: &Node, report: &mut Report<'_>) {
        match key.text.as_str() {
            "comment" => {
                if let Some(text) = read::text(value, "comment", report) {
                    template::check(text, value.span, report);
                    self.comment = Some(text.to_owned());
                }
            }
            "priority" => {
                let number = read::whole_number(value, "priority", 0, 100, report);
                self.priority = number.and_then(|number| u8::try_from(number).ok());
            }
            "cooldown" => self.cooldown = cooldown(key, value, report),
            "max_alert_age" => self.max_alert_age = read::duration(value, "max_alert_age", report),
            "escalate" => {
                self.escalate = if is_word(value, "none") { Some(None) } else { escalate(value, report).map(Some) };
            }
            "limit" => self.limit = if is_word(value, "none") { Some(None) } else { limit(value, report).map(Some) },
            "merge_window" => self.merge_window = read::duration_or_none(value, "merge_window", report),
            "active" => self.active = active(value, report),
            "mode" => {
                let words = Mode::ALL.map(|mode| (mode.as_str(), mode));
                self.mode = read::word(value, "mode", &words, report);
            }
            _ => {}
        }
    }

    /// Whether this layer says something about a key.
    pub(super) fn has(&self, key: &str) -> bool {
        match key {
            "comment" => self.comment.is_some(),
            "priority" => self.priority.is_some(),
            "cooldown" => self.cooldown.is_some(),
            "max_alert_age" => self.max_alert_age.is_some(),
            "escalate" => self.escalate.is_some(),
            "limit" => self.limit.is_some(),
            "merge_window" => self.merge_window.is_some(),
            "active" => self.active.is_some(),
            "mode" => self.mode.is_some(),
            _ => false,
        }
    }
}

fn is_word(node: &Node, word: &str) -> bool {
    node.as_text() == Some(word)
}

/// `6h`, or `{ first: 6h, factor: 2, longest: 168h }`.
fn cooldown(key: &Key, node: &Node, report: &mut Report<'_>) -> Option<Rest> {
    let rest = match &node.value {
        Value::Map(_) => growing(node, report)?,
        _ => Rest { first: read::duration_or_none(node, "cooldown", report)?, growth: None },
    };
    if rest.first.is_zero() {
        report
            .warning(Code::NoCooldown, key.span, "without a cooldown a device may be scanned again at once")
            .help("a scan can raise an alert that asks for the next scan: give the device some rest");
    }
    Some(rest)
}

fn growing(node: &Node, report: &mut Report<'_>) -> Option<Rest> {
    read::entries(node, "a growing cooldown", &["first", "factor", "longest"], &[], report);
    let first =
        wanted(node, "first", "a growing cooldown", report).and_then(|value| read::duration(value, "first", report));
    let factor = node.get("factor").map_or(Some(2), |value| read::whole_number(value, "factor", 2, 100, report));
    let longest = wanted(node, "longest", "a growing cooldown", report)
        .and_then(|value| Some((read::duration(value, "longest", report)?, value.span)));
    let (first, factor, (longest, span)) = (first?, factor?, longest?);
    if longest <= first {
        report
            .error(Code::InvalidValue, span, "longest is not longer than `first`: the cooldown could not grow")
            .help("for example `cooldown: { first: 6h, factor: 2, longest: 7d }`");
        return None;
    }
    Some(Rest { first, growth: Some(CooldownGrowth { factor, longest_seconds: longest.as_secs() }) })
}

fn escalate(node: &Node, report: &mut Report<'_>) -> Option<Escalation> {
    let what = "an escalation";
    read::entries(node, what, &["to", "after", "within"], &[], report);
    node.as_map()?;
    let words = ScanType::ALL.map(|scan| (scan.as_str(), scan));
    let to = wanted(node, "to", what, report).and_then(|value| read::word(value, "to", &words, report));
    let after =
        wanted(node, "after", what, report).and_then(|value| read::whole_number(value, "after", 1, 1000, report));
    let within = wanted(node, "within", what, report).and_then(|value| read::duration(value, "within", report));
    Some(Escalation { to: to?, after: after?, within_seconds: within?.as_secs() })
}

fn wanted<'n>(node: &'n Node, key: &str, what: &str, report: &mut Report<'_>) -> Option<&'n Node> {
    let found = node.get(key);
    if found.is_none() && node.as_map().is_some() {
        report.error(Code::MissingKey, node.span, format!("{what} needs `{key}`"));
    }
    found
}

fn limit(node: &Node, report: &mut Report<'_>) -> Option<(u32, u64)> {
    read::entries(node, "a limit", &["devices", "per"], &[], report);
    let devices = node.get("devices").map(|value| read::whole_number(value, "devices", 1, 1_000_000, report));
    let per = node.get("per").map(|value| read::duration(value, "per", report));
    if node.as_map().is_some() && (devices.is_none() || per.is_none()) {
        report
            .error(Code::MissingKey, node.span, "a limit needs `devices` and `per`")
            .help("for example `limit: { devices: 25, per: 1h }`");
    }
    let (devices, per) = (devices??, per??);
    if per > LONGEST_LIMIT_WINDOW
        && let Some(value) = node.get("per")
    {
        report
            .error(
                Code::InvalidValue,
                value.span,
                "per is at most 24h: devices that were reached are remembered for so long",
            )
            .help("write at most `24h`");
        return None;
    }
    Some((devices, per.as_secs()))
}

/// A name, a list of names, or `always`.
fn active(node: &Node, report: &mut Report<'_>) -> Option<Vec<(String, Span)>> {
    if is_word(node, "always") {
        return Some(Vec::new());
    }
    let items: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if items.is_empty() {
        report
            .error(Code::InvalidValue, node.span, "active is an empty list: the rule would never be active")
            .help("name a time interval, or write `always`");
        return None;
    }
    let names: Vec<_> =
        items.iter().filter_map(|item| Some((read::text(item, "active", report)?.to_owned(), item.span))).collect();
    (!names.is_empty()).then_some(names)
}
