//! Sigma correlation documents: so many alerts of one device within a time.
//!
//! Rules look at one alert, so a correlation is not decided here: it says what is to be counted, and the owner of the
//! ledger, who alone sees all alerts of a device, counts.

use rsigma_parser::value::Timespan;

use super::detection::Setting;
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::document::{self, Rule};
use super::field::{Field, NamedField};
use super::header;
use super::read;
use super::reference::{self, Directory, Reference};
use super::response;
use super::yaml::{Key, Node, Scalar, Value};

/// Keys of correlations beside those of every document.
pub(super) const OWN_KEYS: &[&str] = &["correlation", "response", "generate"];
const NOT_YET: &[&str] = &["tests"];
const KEYS: &[&str] = &["type", "rules", "group-by", "timespan", "timeframe", "condition", "generate", "aliases"];
const REFUSED_KEYS: &[&str] = &["aliases", "window", "gap"];
const TYPES: [(&str, bool); 8] = [
    ("event_count", true),
    ("value_count", true),
    ("temporal", false),
    ("temporal_ordered", false),
    ("value_sum", false),
    ("value_avg", false),
    ("value_percentile", false),
    ("value_median", false),
];
/// Most alerts or values that can be asked for: they are kept in memory for each device.
const MAX_COUNT: i64 = 1000;
/// Longest time in which alerts are counted, in seconds: the ledger must reach back so far.
const MAX_TIMESPAN: u64 = 30 * 24 * 60 * 60;

/// What a correlation counts.
#[derive(Debug, Clone)]
pub(super) struct Correlation {
    named: Vec<Reference>,
    generate: Option<(bool, Span)>,
    /// The rules whose matches are counted, by index.
    pub(super) rules: Vec<usize>,
    /// The field whose distinct values are counted; alerts are where there is none.
    pub(super) value: Option<CountedField>,
    pub(super) at_least: u32,
    pub(super) within_seconds: u64,
}

/// The field of a `value_count`.
#[derive(Debug, Clone)]
pub(super) struct CountedField {
    pub(super) name: String,
    pub(super) slot: usize,
}

/// Reads a correlation document: a rule that holds for no alert by itself.
pub(super) fn read(node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Option<Rule> {
    let known: Vec<&str> = header::KNOWN.iter().chain(OWN_KEYS).copied().collect();
    document::check_keys(node, "a correlation", &known, NOT_YET, setting, report);
    document::hint_at_response("a correlation", report);
    let header = header::read(node, "a correlation", report);
    let find = |name: &str| node.as_map()?.iter().find(|(key, _)| key.text == name);
    let (key, body) = find("correlation")?;
    let correlation = read_body(key, body, node.get("generate"), setting, report);
    let response = match find("response") {
        Some((key, value)) => {
            refuse_escalation(value, report);
            response::read(key, value, header.as_ref().and_then(|header| header.level), report)
        }
        None => {
            let finding = report.error(Code::MissingKey, key.span, "a correlation needs a `response`");
            finding.help("say what follows when the count is reached, for example `response: { scan: Full }`");
            None
        }
    };
    let (header, correlation, response) = (header?, correlation?, response?);
    Some(Rule { response: Some(response), correlation: Some(correlation), ..Rule::headed(header) })
}

/// A correlation counts already; a second count of its own would need another name in the ledger.
fn refuse_escalation(response: &Node, report: &mut Report<'_>) {
    let entries = response.as_map().unwrap_or_default();
    if let Some((key, _)) =
        entries.iter().find(|(key, value)| key.text == "escalate" && value.as_text() != Some("none"))
    {
        let message = "a correlation cannot escalate: it counts already";
        let finding = report.error(Code::NotSupported, key.span, message);
        finding.help("write a second correlation with a higher count and the stronger scan");
    }
}

fn read_body(
    key: &Key,
    body: &Node,
    root_generate: Option<&Node>,
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Option<Correlation> {
    if let Some(entries) = body.as_map() {
        for (key, _) in entries.iter().filter(|(key, _)| REFUSED_KEYS.contains(&key.text.as_str())) {
            let reason = match key.text.as_str() {
                "aliases" => "alerts of every source have the same fields here, so that nothing needs another name",
                _ => "the time always ends with the alert that is counted last",
            };
            report.error(Code::NotSupported, key.span, format!("`{}` is not supported: {reason}", key.text));
        }
    }
    let keys: Vec<&str> = KEYS.iter().chain(REFUSED_KEYS).copied().collect();
    read::entries(body, "a correlation", &keys, &[], report);
    body.as_map()?;
    let mut wanted = |name: &str, help: &str| {
        let found = body.get(name);
        if found.is_none() {
            report.error(Code::MissingKey, key.span, format!("a correlation needs `{name}`")).help(help);
        }
        found
    };
    let kind = wanted("type", "type: event_count");
    let rules = wanted("rules", "list the ids or names of the rules whose matches are counted");
    let group = wanted("group-by", "group-by: [device.id]");
    let condition = wanted("condition", "condition: { gte: 3 }");
    let timespan = match (body.get("timespan"), body.get("timeframe")) {
        (Some(one), Some(_)) => {
            report.error(Code::InvalidValue, one.span, "`timespan` and `timeframe` say the same: write one");
            None
        }
        (None, None) => wanted("timespan", "timespan: 24h"),
        (one, other) => one.or(other),
    };
    let values = kind.and_then(|node| read_type(node, report));
    let named = rules.map(|node| reference::read_all(node, report)).unwrap_or_default();
    let grouped = group.and_then(|node| read_group(node, report));
    let within_seconds = timespan.and_then(|node| read_timespan(node, report));
    let counted = condition.and_then(|node| read_condition(node, values?, setting, report));
    let generate = body.get("generate").or(root_generate).and_then(|node| match node.value {
        Value::Scalar { scalar: Scalar::Bool(value), .. } => Some((value, node.span)),
        _ => {
            report.error(Code::InvalidValue, node.span, "generate is `true` or `false`");
            None
        }
    });
    grouped?;
    let (at_least, value) = counted?;
    let rules = Vec::new();
    Some(Correlation { named, generate, rules, value, at_least, within_seconds: within_seconds? })
}

/// Whether distinct values are counted.
fn read_type(node: &Node, report: &mut Report<'_>) -> Option<bool> {
    if read::word(node, "type", &TYPES, report)? {
        return Some(node.as_text() == Some("value_count"));
    }
    let kind = node.as_text().unwrap_or_default();
    let reason = if kind.starts_with("temporal") {
        "it asks which rules came together, and only counts are kept for each device"
    } else {
        "it reckons with amounts, and alerts carry none"
    };
    let finding = report.error(Code::NotSupported, node.span, format!("`{kind}` is not supported: {reason}"));
    finding.help("`event_count` counts alerts, `value_count` the distinct values of a field");
    None
}

fn read_group(node: &Node, report: &mut Report<'_>) -> Option<()> {
    let items: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if let [item] = items.as_slice()
        && item.as_text() == Some(NamedField::DeviceId.as_str())
    {
        return Some(());
    }
    let stranger = items.iter().find(|item| item.as_text() != Some(NamedField::DeviceId.as_str()));
    let span = stranger.map_or(node.span, |item| item.span);
    let message = match stranger.and_then(|item| item.as_text()) {
        Some("device.name") => {
            "alerts are counted by `device.id`: names change, and two devices may share one".to_owned()
        }
        Some(name) => {
            format!("alerts cannot be grouped by `{name}`: a scan is for one device, so they are counted for each")
        }
        None => "alerts are counted for each device".to_owned(),
    };
    report.error(Code::NotSupported, span, message).help("write `group-by: [device.id]`");
    None
}

fn read_timespan(node: &Node, report: &mut Report<'_>) -> Option<u64> {
    let parsed = node.as_text().and_then(|text| Timespan::parse(text).ok()).map(|timespan| timespan.seconds);
    let days = MAX_TIMESPAN / (24 * 60 * 60);
    match parsed {
        Some(seconds) if (1..=MAX_TIMESPAN).contains(&seconds) => return Some(seconds),
        Some(_) => report.error(Code::InvalidValue, node.span, format!("timespan is at least 1s and at most {days}d")),
        None => report
            .error(Code::InvalidValue, node.span, "timespan is one number and one unit")
            .help("write for example `30m`, `24h` or `7d`"),
    };
    None
}

fn read_condition(
    node: &Node,
    values: bool,
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Option<(u32, Option<CountedField>)> {
    let refused = |key: &str| ["lt", "lte", "eq", "neq"].contains(&key);
    if let Some((key, _)) = node.as_map().and_then(|entries| entries.iter().find(|(key, _)| refused(&key.text))) {
        let reason = "that there are no more cannot be known while alerts still come";
        let finding = report.error(Code::NotSupported, key.span, format!("`{}` is not supported: {reason}", key.text));
        finding.help("write `gte`");
        return None;
    }
    read::entries(node, "the condition of a count", &["gte", "gt", "field"], &["percentile"], report);
    node.as_map()?;
    let at_least = match (node.get("gte"), node.get("gt")) {
        (Some(bound), None) => read_bound(bound, 0, report),
        (None, Some(bound)) => read_bound(bound, 1, report),
        (Some(bound), Some(_)) => {
            report.error(Code::InvalidValue, bound.span, "`gte` and `gt` say the same: write one");
            None
        }
        (None, None) => {
            report.error(Code::MissingKey, node.span, "the condition says how many: `gte` or `gt`").help("gte: 3");
            None
        }
    };
    let value = match (node.get("field"), values) {
        (None, false) => None,
        (Some(field), false) => {
            let finding = report.error(Code::InvalidValue, field.span, "`event_count` counts alerts, not a field");
            finding.help("remove `field`, or write `type: value_count`");
            return None;
        }
        (None, true) => {
            report.error(Code::MissingKey, node.span, "`value_count` needs the `field` whose values are counted");
            return None;
        }
        (Some(field), true) => Some(read_field(field, setting, report)?),
    };
    Some((at_least?, value))
}

fn read_bound(node: &Node, more: i64, report: &mut Report<'_>) -> Option<u32> {
    if let Value::Scalar { scalar: Scalar::Int(number), .. } = node.value
        && let Some(number) = number.checked_add(more)
        && (2..=MAX_COUNT).contains(&number)
    {
        return u32::try_from(number).ok();
    }
    let (least, most) = (2 - more, MAX_COUNT - more);
    report.error(Code::InvalidValue, node.span, format!("the count is a whole number from {least} to {most}"));
    None
}

fn read_field(node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Option<CountedField> {
    let name = read::text(node, "field", report)?;
    let field = setting.field(name, node.span, report)?;
    let problem = match field {
        Field::Named(field) if field.is_list() => "has any number of values: one value of each alert is counted",
        Field::Named(NamedField::DeviceId | NamedField::DeviceName) => "is the same for every alert that is counted",
        _ => return Some(CountedField { name: name.to_owned(), slot: setting.table.slot_of(&field) }),
    };
    report.error(Code::InvalidValue, node.span, format!("`{name}` {problem}"));
    None
}

impl Correlation {
    /// Finds the rules that it counts.
    pub(super) fn resolve(&mut self, rules: &[Rule], directory: &Directory<'_>, report: &mut Report<'_>) {
        let mut found = Vec::new();
        for reference in &self.named {
            let Some(index) = directory.find(reference, "a correlation", report) else { continue };
            if let Some((false, span)) = self.generate
                && rules[index].response.is_some()
            {
                let message =
                    format!("the rule `{}` has a `response`, so that it asks for a scan by itself", reference.text);
                let finding = report.error(Code::NotSupported, span, message);
                finding.help("remove `generate: false`, or the response of that rule");
            }
            found.push(index);
        }
        self.rules = found;
    }
}
