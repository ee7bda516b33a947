//! One document of a rule file: a Sigma rule, checked and compiled.

use jiff::Timestamp;
use rsigma_parser::Level;

use super::condition::{self, Condition};
use super::correlation::{self, Correlation};
use super::defaults::{self, Defaults};
use super::detection::{self, Setting};
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::facts::Facts;
use super::field::{Field, FieldTable};
use super::filter::{self, Filter};
use super::header::{self, Header, Logsource};
use super::layer;
use super::read;
use super::response::{self, Response};
use super::rule_test::{self, RuleTest};
use super::selection::{Selection, Silent};
use super::template::RuleFacts;
use super::yaml::{Key, Node};

/// Keys of rules beside those of every document.
pub(super) const OWN_KEYS: &[&str] = &["logsource", "detection", "response", "tests"];
const NOT_YET: &[&str] = &["silence", "silences", "window"];

/// A compiled rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The `id`, or the title where there is none.
    pub(super) id: String,
    /// Sigma's `name`: another way to refer to the rule.
    pub(super) name: Option<String>,
    pub(super) title: String,
    pub(super) level: Option<Level>,
    pub(super) status: Option<&'static str>,
    pub(super) description: Option<String>,
    pub(super) file: String,
    pub(super) line: u32,
    /// Where the id stands, for findings about the set.
    pub(super) id_span: Span,
    pub(super) logsource: Logsource,
    pub(super) selections: Vec<Selection>,
    pub(super) condition: Condition,
    pub(super) condition_text: String,
    /// Where the word `condition` stands.
    pub(super) condition_span: Span,
    pub(super) response: Option<Response>,
    pub(super) tests: Vec<RuleTest>,
    /// Set where this is a correlation: it counts what other rules match, and holds for no alert by itself.
    pub(super) correlation: Option<Correlation>,
    /// The correlations that count this rule's matches, by index.
    pub(super) counted_by: Vec<usize>,
}

/// What a document of a rule file turned out to be.
#[derive(Debug)]
pub(super) enum Document {
    /// A rule, or a correlation.
    Rule(Box<Rule>),
    /// An exception to rules.
    Filter(Box<Filter>),
}

impl Rule {
    /// A rule that so far says no more than its header, and never holds.
    pub(super) fn headed(header: Header) -> Self {
        Self {
            id: header.id,
            name: header.name,
            title: header.title,
            level: header.level,
            status: header.status,
            description: header.description,
            file: header.file,
            line: header.line,
            id_span: header.id_span,
            logsource: Logsource::default(),
            selections: Vec::new(),
            condition: Condition::Any(Vec::new()),
            condition_text: String::new(),
            condition_span: Span::default(),
            response: None,
            tests: Vec::new(),
            correlation: None,
            counted_by: Vec::new(),
        }
    }

    /// Whether the condition holds, whatever the rule's response and expiry.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.condition.holds(&mut |index| self.selections[index].holds(facts, &mut Silent))
    }

    /// Gives the response what it leaves to the defaults. A correlation counts by itself and takes no escalation.
    pub(super) fn inherit(&mut self, defaults: &mut Defaults, report: &mut Report<'_>) {
        let Some(response) = &mut self.response else { return };
        response.inherit(self.level, defaults, report);
        if self.correlation.is_some() {
            response.escalate = None;
            response.origins.remove("escalate");
        }
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
pub(super) fn read(node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Option<Document> {
    let kind = |name: &str| node.as_map()?.iter().find(|(key, _)| key.text == name);
    if let Some((key, _)) = kind("action") {
        let message = "collections (`action: global`, `repeat`, `reset`) are not supported: a rule stands for itself";
        report.error(Code::NotSupported, key.span, message).help("write what the rules share into each of them");
        return None;
    }
    match (kind("correlation"), kind("filter")) {
        (Some(_), Some((key, _))) => {
            report.error(Code::InvalidValue, key.span, "a document is a filter or a correlation, not both");
            None
        }
        (Some(_), None) => correlation::read(node, setting, report).map(|rule| Document::Rule(Box::new(rule))),
        (None, Some(_)) => filter::read(node, setting, report).map(|filter| Document::Filter(Box::new(filter))),
        (None, None) => read_rule(node, setting, report).map(|rule| Document::Rule(Box::new(rule))),
    }
}

/// Checks the keys of a document. A set of foreign rules may have more of them than we know.
pub(super) fn check_keys<'n>(
    node: &'n Node,
    what: &str,
    known: &[&str],
    not_yet: &[&str],
    setting: &Setting<'_>,
    report: &mut Report<'_>,
) -> &'n [(Key, Node)] {
    match node.as_map() {
        Some(entries) if setting.any_field => entries,
        _ => read::entries(node, what, known, not_yet, report),
    }
}

fn read_rule(node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Option<Rule> {
    let known: Vec<&str> = header::KNOWN.iter().chain(OWN_KEYS).copied().collect();
    let entries = check_keys(node, "a rule", &known, NOT_YET, setting, report);
    node.as_map()?;
    hint_at_response("a rule", report);
    let header = header::read(node, "a rule", report);
    let find = |name: &str| entries.iter().find(|(key, _)| key.text == name);
    if find("logsource").is_none() {
        let finding = report.warning(Code::MissingLogsource, node.span, "Sigma wants a rule to have a `logsource`");
        finding.help("logsource: { category: alert }");
    }
    let logsource = find("logsource").map(|(_, value)| Logsource::read(value, report)).unwrap_or_default();
    let detection = match find("detection") {
        Some((key, value)) => read_detection(key, value, &[], setting, report),
        None => {
            report.error(Code::MissingKey, node.span, "a rule needs a `detection`");
            None
        }
    };
    let level = header.as_ref().and_then(|header| header.level);
    let response = find("response").map(|(key, value)| response::read(key, value, level, report));
    let free_keys = detection.as_ref().is_some_and(|detection| asks_for_raw(&detection.selections, &setting.table));
    let tests = find("tests").map(|(_, value)| rule_test::read_all(value, free_keys, report)).unwrap_or_default();
    let (header, Detection { selections, condition, condition_text, condition_span }) = (header?, detection?);
    Some(Rule {
        logsource,
        selections,
        condition,
        condition_text,
        condition_span,
        response: response.flatten(),
        tests,
        ..Rule::headed(header)
    })
}

fn asks_for_raw(selections: &[Selection], table: &FieldTable) -> bool {
    let mut tests = selections.iter().flat_map(|selection| selection.alternatives.iter().flatten());
    tests.any(|test| matches!(table.fields[test.slot], Field::Raw(_)))
}

/// A key that landed in the wrong place deserves a better hint than the nearest key of a rule.
pub(super) fn hint_at_response(what: &str, report: &mut Report<'_>) {
    for finding in report.diagnostics.iter_mut().filter(|finding| finding.code == Code::UnknownKey) {
        let is = |keys: &[&str]| keys.iter().any(|key| finding.message == format!("{what} has no key `{key}`"));
        if is(&layer::KEYS) || is(&["scan", "expires"]) {
            finding.help("it belongs below `response`");
        } else if is(&["by_level", "time_intervals", "defaults"]) {
            finding.help(format!(
                "defaults and time intervals live in {}, at the top of the rules folder",
                defaults::FILE
            ));
        }
    }
}

/// Selections and how they combine.
pub(super) struct Detection {
    pub(super) selections: Vec<Selection>,
    pub(super) condition: Condition,
    pub(super) condition_text: String,
    pub(super) condition_span: Span,
}

/// Reads the selections and the condition; `beside` are keys of the same map that are neither.
pub(super) fn read_detection(
    key: &Key,
    node: &Node,
    beside: &[&str],
    setting: &mut Setting<'_>,
    report: &mut Report<'_>,
) -> Option<Detection> {
    let Some(entries) = node.as_map() else {
        report.error(Code::InvalidValue, node.span, format!("{} must be a map, not {}", key.text, node.describe()));
        return None;
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.text == "timeframe") {
        report.error(Code::NotSupported, key.span, "`timeframe` is not supported: a rule looks at one alert");
    }
    let is_selection = |name: &str| !matches!(name, "condition" | "timeframe") && !beside.contains(&name);
    let named: Vec<&(Key, Node)> = entries.iter().filter(|(key, _)| is_selection(&key.text)).collect();
    if named.is_empty() {
        report.error(Code::EmptyDetection, key.span, format!("the {} has no selection", key.text));
    }
    let errors = report.error_count();
    let selections: Vec<Selection> =
        named.iter().map(|(key, value)| detection::compile(key, value, setting, report)).collect();
    let names: Vec<&str> = named.iter().map(|(key, _)| key.text.as_str()).collect();
    let mut used = vec![false; names.len()];
    let Some((condition_key, condition_node)) = entries.iter().find(|(key, _)| key.text == "condition") else {
        report
            .error(Code::MissingKey, key.span, format!("the {} has no `condition`", key.text))
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
    let condition_text = condition_node.as_text().unwrap_or(text).split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Detection { selections, condition, condition_text, condition_span: condition_key.span })
}
