//! `rules diff`: what changed between two rule sets, in words of rules and not of lines.

mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::rules_backtest::{self, Difference, RulesBacktestArgs};
use super::{CliError, Context, OutputFormat, load_rules};
use crate::alert::{Alert, Device};
use crate::config::Config;
use crate::rules::{FilterInfo, RuleInfo, RuleSet, SelectionExplanation, TestBody, Wants};

pub use text::render_text;

/// Arguments of `rules diff`.
#[derive(Debug, Clone, clap::Args)]
pub struct RulesDiffArgs {
    /// The old rules: a folder, or one file.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The new rules.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Also show which of these alerts are decided differently: one record per line, in any format that is decoded.
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RulesDiffReport {
    /// Hash of the old set.
    pub old: String,
    /// Hash of the new set.
    pub new: String,
    /// Rules that only the new set has, as `title (id)`, and filters, as `filter title (id)`.
    pub added: Vec<String>,
    /// Rules and filters that only the old set has.
    pub removed: Vec<String>,
    /// Rules and filters of the same id that differ.
    pub changed: Vec<ChangedDocument>,
    /// Decisions about sample alerts; `first` is the new set and `second` the old one.
    pub decisions: Option<Difference>,
}

/// What a document of a rule set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentKind {
    /// A rule, a correlation or a building block.
    Rule,
    /// An exception that lives apart from the rules it is for.
    Filter,
}

/// A rule or a filter that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// Its id.
    pub id: String,
    /// Its new title.
    pub title: String,
    /// Values of the rule and its response, or of the filter, that differ.
    pub values: Vec<ChangedValue>,
    /// Lines of the detection that only the old one has.
    pub detection_removed: Vec<String>,
    /// Lines of the detection that only the new one has.
    pub detection_added: Vec<String>,
    /// Tests that only the old one has, with what they expect.
    pub tests_removed: Vec<String>,
    /// Tests that only the new one has.
    pub tests_added: Vec<String>,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedValue {
    /// Its key, for example `response.cooldown`.
    pub key: String,
    /// The old value; `None` where there was none.
    pub old: Option<String>,
    /// The new value; `None` where there is none.
    pub new: Option<String>,
}

impl ChangedDocument {
    fn is_empty(&self) -> bool {
        let lists = [&self.detection_removed, &self.detection_added, &self.tests_removed, &self.tests_added];
        self.values.is_empty() && lists.iter().all(|list| list.is_empty())
    }
}

/// Runs the command.
///
/// # Errors
/// Either set is refused (3), or the alerts cannot be read.
pub fn command(args: &RulesDiffArgs, context: &mut Context) -> Result<(), CliError> {
    let report = run(args)?;
    match context.output {
        OutputFormat::Json => context.json(&report),
        OutputFormat::Text => context.line(render_text(&report).trim_end()),
    }
}

/// Compares the sets.
///
/// # Errors
/// As for [`command`].
pub fn run(args: &RulesDiffArgs) -> Result<RulesDiffReport, CliError> {
    let (old, new) = (Arc::new(load_rules(&args.old)?), Arc::new(load_rules(&args.new)?));
    let mut report = compare(&old, &new);
    if let Some(alerts) = &args.alerts {
        report.decisions = decisions(args, alerts)?;
    }
    Ok(report)
}

fn decisions(args: &RulesDiffArgs, alerts: &Path) -> Result<Option<Difference>, CliError> {
    let backtest = RulesBacktestArgs::of_file(alerts, &args.new, Some(&args.old));
    Ok(rules_backtest::run(&backtest, &Config::default())?.difference)
}

/// Compares rules and filters of the same id.
#[must_use]
pub fn compare(old: &RuleSet, new: &RuleSet) -> RulesDiffReport {
    let (before, after) = (documents_of(old, new), documents_of(new, old));
    let only = |here: &Documents, there: &Documents| {
        here.iter()
            .filter(|(id, _)| !there.contains_key(*id))
            .map(|((kind, id), each)| named(*kind, id, &each.title))
            .collect()
    };
    let changed = after.iter().filter_map(|(id, document)| Some(changed(id, before.get(id)?, document)));
    RulesDiffReport {
        old: old.hash().to_owned(),
        new: new.hash().to_owned(),
        added: only(&after, &before),
        removed: only(&before, &after),
        changed: changed.filter(|document| !document.is_empty()).collect(),
        decisions: None,
    }
}

fn named(kind: DocumentKind, id: &str, title: &str) -> String {
    match kind {
        DocumentKind::Rule => format!("{title} ({id})"),
        DocumentKind::Filter => format!("filter {title} ({id})"),
    }
}

/// Rules and filters by what they are and their id.
type Documents = BTreeMap<(DocumentKind, String), Document>;

/// A rule or a filter as it can be compared.
struct Document {
    title: String,
    values: BTreeMap<String, String>,
    detection: BTreeSet<String>,
    tests: BTreeSet<String>,
}

fn documents_of(set: &RuleSet, other: &RuleSet) -> Documents {
    // Nothing is explained: an explanation lists every selection as it is written.
    let written = set.explain(&Alert::default(), &Device::default(), Timestamp::UNIX_EPOCH);
    let mut documents = Documents::new();
    for (info, rule) in set.rules().iter().zip(&written.rules) {
        let detection = detection_of(&rule.condition, &rule.selections);
        let (title, values) = (info.title.clone(), values_of(info));
        let document = Document { title, values, detection, tests: BTreeSet::new() };
        documents.insert((DocumentKind::Rule, info.id.clone()), document);
    }
    for (info, filter) in set.filters().iter().zip(&written.filters) {
        let detection = detection_of(&filter.condition, &filter.selections);
        let (title, values) = (info.title.clone(), values_of_filter(info, other));
        let document = Document { title, values, detection, tests: BTreeSet::new() };
        documents.insert((DocumentKind::Filter, info.id.clone()), document);
    }
    add_tests(set, &mut documents);
    documents
}

fn add_tests(set: &RuleSet, documents: &mut Documents) {
    for result in set.run_tests() {
        if let Some(rule) = documents.get_mut(&(DocumentKind::Rule, result.rule_id)) {
            let expect = serde_json::to_value(result.expect).ok().and_then(|word| word.as_str().map(str::to_owned));
            rule.tests.insert(format!("{}: expects {}", result.test, expect.unwrap_or_default()));
        }
    }
    for case in set.scenarios() {
        if let (Some(id), TestBody::Steps(scenario)) = (&case.rule_id, &case.body)
            && let Some(rule) = documents.get_mut(&(DocumentKind::Rule, id.clone()))
        {
            let steps: Vec<String> = scenario.steps.iter().map(|step| step.expect.to_string()).collect();
            rule.tests.insert(format!("{}: expects {}", case.name, steps.join(", ")));
        }
    }
}

/// Everything but where the rule stands. New keys of a response are compared without a change here.
fn values_of(info: &RuleInfo) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    if let Ok(Value::Object(object)) = serde_json::to_value(info) {
        for (key, value) in object {
            match (key.as_str(), value) {
                ("id" | "file" | "line" | "tests", _) | (_, Value::Null) => {}
                ("response", Value::Object(response)) => {
                    // Where a value comes from changes no decision.
                    let given = response.into_iter().filter(|(key, value)| !value.is_null() && key != "origins");
                    values.extend(given.map(|(key, value)| (format!("response.{key}"), shown(&value))));
                }
                (_, value) => {
                    values.insert(key, shown(&value));
                }
            }
        }
    }
    values
}

/// For which rules a filter is, and until when. A rule that only one of the sets has is told as such, and not by every filter
/// that is for all rules.
fn values_of_filter(info: &FilterInfo, other: &RuleSet) -> BTreeMap<String, String> {
    let known: BTreeSet<&str> = other.rules().iter().map(|rule| rule.id.as_str()).collect();
    let rules: Vec<&str> = info.rules.iter().map(String::as_str).filter(|id| known.contains(id)).collect();
    let rules = if rules.is_empty() { None } else { Some(("rules".to_owned(), rules.join(", "))) };
    let expires = info.expires.map(|date| ("expires".to_owned(), date.to_string()));
    let title = ("title".to_owned(), info.title.clone());
    std::iter::once(title).chain(rules).chain(expires).collect()
}

/// A value as a rule would write it. Durations are told apart by their keys.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(object) if object.len() == 2 && object.contains_key("secs") && object.contains_key("nanos") => {
            let seconds = object.get("secs").and_then(Value::as_i64).unwrap_or_default();
            format!("{:#}", jiff::SignedDuration::from_secs(seconds))
        }
        other => other.to_string(),
    }
}

fn detection_of(condition: &str, selections: &[SelectionExplanation]) -> BTreeSet<String> {
    let mut lines = BTreeSet::from([format!("condition: {condition}")]);
    for selection in selections {
        let several = selection.alternatives.len() > 1;
        for alternative in &selection.alternatives {
            let tests: Vec<String> = alternative
                .tests
                .iter()
                .map(|test| {
                    let patterns: Vec<&str> = test.patterns.iter().map(|each| each.pattern.as_str()).collect();
                    let joint = if matches!(test.wants, Wants::All | Wants::NotAll) { " and " } else { ", " };
                    format!("{}: {}", test.field, patterns.join(joint))
                })
                .collect();
            if several {
                // An alternative is one thing: its lines hold together.
                lines.insert(format!("{}: {}", selection.name, tests.join("; ")));
            } else {
                lines.extend(tests.iter().map(|test| format!("{}: {test}", selection.name)));
            }
        }
    }
    lines
}

fn changed((kind, id): &(DocumentKind, String), old: &Document, new: &Document) -> ChangedDocument {
    let keys: BTreeSet<&String> = old.values.keys().chain(new.values.keys()).collect();
    let values = keys.into_iter().filter(|key| old.values.get(*key) != new.values.get(*key)).map(|key| ChangedValue {
        key: key.clone(),
        old: old.values.get(key).cloned(),
        new: new.values.get(key).cloned(),
    });
    let only = |here: &BTreeSet<String>, there: &BTreeSet<String>| here.difference(there).cloned().collect::<Vec<_>>();
    ChangedDocument {
        kind: *kind,
        id: id.clone(),
        title: new.title.clone(),
        values: values.collect(),
        detection_removed: only(&old.detection, &new.detection),
        detection_added: only(&new.detection, &old.detection),
        tests_removed: only(&old.tests, &new.tests),
        tests_added: only(&new.tests, &old.tests),
    }
}
