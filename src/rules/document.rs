//! One document of a rule file: a Sigma rule, checked and compiled.

use std::str::FromStr as _;

use jiff::Timestamp;
use rsigma_parser::Level;

use super::condition::{self, Condition};
use super::detection;
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::facts::Facts;
use super::field::{Field, FieldTable};
use super::read;
use super::response::{self, Response};
use super::rule_test::{self, RuleTest};
use super::selection::{Selection, Silent};
use super::template::RuleFacts;
use super::yaml::{Key, Node};

const KNOWN: &[&str] = &[
    "title",
    "id",
    "related",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "response",
    "tests",
];
const NOT_YET: &[&str] = &["active", "merge_window", "silence", "silences", "escalate", "window"];
const LEVELS: [(&str, Level); 5] = [
    ("informational", Level::Informational),
    ("low", Level::Low),
    ("medium", Level::Medium),
    ("high", Level::High),
    ("critical", Level::Critical),
];
const STATUSES: [(&str, &str); 5] = [
    ("stable", "stable"),
    ("test", "test"),
    ("experimental", "experimental"),
    ("deprecated", "deprecated"),
    ("unsupported", "unsupported"),
];
/// Longest id or title, in characters: both are shown in metrics and events.
const MAX_NAME: usize = 256;

/// A compiled rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The `id`, or the title where there is none.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) level: Option<Level>,
    pub(super) status: Option<&'static str>,
    pub(super) description: Option<String>,
    pub(super) file: String,
    pub(super) line: u32,
    /// Where the id stands, for findings about the set.
    pub(super) id_span: Span,
    pub(super) selections: Vec<Selection>,
    pub(super) condition: Condition,
    pub(super) condition_text: String,
    pub(super) response: Option<Response>,
    pub(super) tests: Vec<RuleTest>,
}

impl Rule {
    /// Whether the condition holds, whatever the rule's response and expiry.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.condition.holds(&mut |index| self.selections[index].holds(facts, &mut Silent))
    }

    /// The response, where the rule may still answer.
    pub(super) fn response_at(&self, now: Timestamp) -> Option<&Response> {
        self.response.as_ref().filter(|response| !response.is_expired(now))
    }

    pub(super) fn facts(&self) -> RuleFacts<'_> {
        RuleFacts {
            id: &self.id,
            title: &self.title,
            level: self.level.as_ref().map(Level::as_str),
            description: self.description.as_deref(),
        }
    }
}

/// Reads one document; `None` where its errors leave nothing to work with.
pub(super) fn read(node: &Node, table: &mut FieldTable, report: &mut Report<'_>) -> Option<Rule> {
    for kind in ["correlation", "filter", "action"] {
        if let Some((key, _)) = node.as_map().and_then(|entries| entries.iter().find(|(key, _)| key.text == kind)) {
            report.error(Code::NotSupported, key.span, format!("Sigma `{kind}` documents are not supported yet"));
            return None;
        }
    }
    let entries = read::entries(node, "a rule", KNOWN, NOT_YET, report);
    node.as_map()?;
    hint_at_response(report);
    let find = |name: &str| entries.iter().find(|(key, _)| key.text == name);
    let title = match find("title") {
        Some((_, value)) => short_text(value, "title", report),
        None => {
            report.error(Code::MissingKey, first_line(node), "a rule needs a `title`");
            None
        }
    };
    let id = find("id").and_then(|(_, value)| Some((short_text(value, "id", report)?, value.span)));
    if let Some((id, span)) = &id
        && uuid::Uuid::from_str(id).is_err()
    {
        report.warning(Code::IdNotUuid, *span, "Sigma wants a rule's id to be a UUID");
    }
    if find("logsource").is_none() {
        let finding =
            report.warning(Code::MissingLogsource, first_line(node), "Sigma wants a rule to have a `logsource`");
        finding.help("logsource: { category: alert }");
    }
    let level = find("level").and_then(|(_, value)| read::word(value, "level", &LEVELS, report));
    let status = find("status").and_then(|(_, value)| read::word(value, "status", &STATUSES, report));
    let description = find("description").and_then(|(_, value)| value.as_text()).map(str::to_owned);
    let detection = match find("detection") {
        Some((key, value)) => read_detection(key, value, table, report),
        None => {
            report.error(Code::MissingKey, first_line(node), "a rule needs a `detection`");
            None
        }
    };
    let response = find("response").map(|(key, value)| response::read(key, value, level, report));
    let free_keys = detection.as_ref().is_some_and(|(selections, ..)| asks_for_raw(selections, table));
    let tests = find("tests").map(|(_, value)| rule_test::read_all(value, free_keys, report)).unwrap_or_default();
    let (title, (selections, condition, condition_text)) = (title?, detection?);
    let (id, id_span) = id.unwrap_or_else(|| (title.clone(), first_line(node)));
    Some(Rule {
        id,
        title,
        level,
        status,
        description,
        file: report.source.shown.clone(),
        line: report.line_of(node.span),
        id_span,
        selections,
        condition,
        condition_text,
        response: response.flatten(),
        tests,
    })
}

fn asks_for_raw(selections: &[Selection], table: &FieldTable) -> bool {
    let mut tests = selections.iter().flat_map(|selection| selection.alternatives.iter().flatten());
    tests.any(|test| matches!(table.fields[test.slot], Field::Raw(_)))
}

/// A response key that landed one level too high deserves a better hint than the nearest top-level key.
fn hint_at_response(report: &mut Report<'_>) {
    for finding in &mut report.diagnostics {
        let below = ["scan", "comment", "priority", "cooldown", "max_alert_age", "limit", "mode", "expires"];
        if finding.code == Code::UnknownKey
            && below.iter().any(|key| finding.message == format!("a rule has no key `{key}`"))
        {
            finding.help("it belongs below `response`");
        }
    }
}

fn first_line(node: &Node) -> Span {
    Span { start: node.span.start, end: node.span.end }
}

fn short_text(node: &Node, what: &str, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(node, what, report)?;
    if text.chars().count() > MAX_NAME {
        report.error(Code::InvalidValue, node.span, format!("{what} is longer than {MAX_NAME} characters"));
        return None;
    }
    Some(text.trim().to_owned())
}

fn read_detection(
    key: &Key,
    node: &Node,
    table: &mut FieldTable,
    report: &mut Report<'_>,
) -> Option<(Vec<Selection>, Condition, String)> {
    let Some(entries) = node.as_map() else {
        report.error(Code::InvalidValue, node.span, format!("detection must be a map, not {}", node.describe()));
        return None;
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.text == "timeframe") {
        report.error(Code::NotSupported, key.span, "`timeframe` is not supported: a rule looks at one alert");
    }
    let named: Vec<&(Key, Node)> =
        entries.iter().filter(|(key, _)| !matches!(key.text.as_str(), "condition" | "timeframe")).collect();
    if named.is_empty() {
        report.error(Code::EmptyDetection, key.span, "the detection has no selection");
    }
    let errors = report.error_count();
    let selections: Vec<Selection> =
        named.iter().map(|(key, value)| detection::compile(key, value, table, report)).collect();
    let names: Vec<&str> = named.iter().map(|(key, _)| key.text.as_str()).collect();
    let mut used = vec![false; names.len()];
    let Some(condition_node) = node.get("condition") else {
        report
            .error(Code::MissingKey, key.span, "the detection has no `condition`")
            .help(format!("for example `condition: {}`", names.first().unwrap_or(&"selection")));
        return None;
    };
    let condition = condition::compile(condition_node, &names, &mut used, report)?;
    for ((key, _), _) in named.iter().zip(used).filter(|(_, used)| !used) {
        report.warning(Code::UnusedSelection, key.span, format!("no condition uses the selection `{}`", key.text));
    }
    if named.is_empty() || report.error_count() > errors {
        return None;
    }
    let text = report.source.text.get(condition_node.span.start..condition_node.span.end).unwrap_or_default();
    let text = condition_node.as_text().unwrap_or(text).split_whitespace().collect::<Vec<_>>().join(" ");
    Some((selections, condition, text))
}
