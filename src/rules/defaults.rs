//! `defaults.yaml`: what the rules of a folder leave out, and the time intervals they name.
//!
//! A file of its own and not a document among rules: other Sigma tools read `*.yml`, and would take it for a broken rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rsigma_parser::Level;

use super::active::{self, Interval};
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::header::LEVELS;
use super::layer::{self, Layer, Origin};
use super::read;
use super::yaml::{Key, Node};

/// The name of the file, at the top of the rules folder.
pub(super) const FILE: &str = "defaults.yaml";
pub(super) const KNOWN: &[&str] = &["response", "by_level", "time_intervals"];

/// What a defaults file says.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// For every rule.
    pub(super) all: Layer,
    levels: BTreeMap<&'static str, Layer>,
    intervals: BTreeMap<String, Option<Arc<Interval>>>,
    nothing: Layer,
    written: Vec<Written>,
    used: BTreeSet<Use>,
}

/// A part of the file that somebody should use.
#[derive(Debug)]
struct Written {
    part: Use,
    span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// A key for all rules, or for those of a level.
    Key(Option<&'static str>, &'static str),
    Interval(String),
}

/// Reads the documents of the file.
pub(super) fn read(documents: &[Node], report: &mut Report<'_>) -> Defaults {
    let mut defaults = Defaults::default();
    if let [_, second, ..] = documents {
        report.error(Code::InvalidYaml, second.span, "a defaults file holds one document").help("join the two");
    }
    let Some(node) = documents.first() else { return defaults };
    read::entries(node, "a defaults file", KNOWN, &[], report);
    let part = |name: &str| node.as_map()?.iter().find(|(key, _)| key.text == name);
    // First, so that the layers can be checked against them.
    if let Some((_, node)) = part("time_intervals") {
        defaults.read_intervals(node, report);
    }
    if let Some((_, node)) = part("response") {
        defaults.all = defaults.read_layer(None, node, report);
    }
    if let Some((_, node)) = part("by_level") {
        let known = LEVELS.map(|(word, _)| word);
        for (key, node) in read::entries(node, "by_level", &known, &[], report) {
            if let Some(word) = known.into_iter().find(|word| *word == key.text) {
                let layer = defaults.read_layer(Some(word), node, report);
                defaults.levels.insert(word, layer);
            }
        }
    }
    defaults
}

impl Defaults {
    fn read_intervals(&mut self, node: &Node, report: &mut Report<'_>) {
        let Some(entries) = node.as_map() else {
            let message = format!("time_intervals must be a map of names, not {}", node.describe());
            report.error(Code::InvalidValue, node.span, message);
            return;
        };
        for (key, node) in entries {
            if key.text == "always" || !is_name(&key.text) {
                report
                    .error(
                        Code::InvalidValue,
                        key.span,
                        format!("`{}` cannot be the name of a time interval", key.text),
                    )
                    .help("a name is up to 64 letters, digits, `_` and `-`; `always` is taken");
            }
            self.written.push(Written { part: Use::Interval(key.text.clone()), span: key.span });
            let interval = active::read(key, node, report).map(Arc::new);
            self.intervals.insert(key.text.clone(), interval);
        }
    }

    fn read_layer(&mut self, level: Option<&'static str>, node: &Node, report: &mut Report<'_>) -> Layer {
        let mut layer = Layer::default();
        let entries = read::entries(node, "a default response", &layer::KEYS, &[], report);
        for (key, value) in entries {
            layer.read_key(key, value, report);
            self.note(level, key);
        }
        hint_at_rules(report);
        for (name, span) in layer.active.iter().flatten() {
            self.check_name(name, *span, report);
        }
        layer
    }

    fn note(&mut self, level: Option<&'static str>, key: &Key) {
        if let Some(known) = layer::KEYS.into_iter().find(|known| *known == key.text) {
            self.written.push(Written { part: Use::Key(level, known), span: key.span });
        }
    }

    /// Which layer says a key that the rule leaves out. The answer counts as a use of it.
    pub(super) fn origin_of(&mut self, key: &'static str, level: Option<Level>) -> Origin {
        if self.of_level(level).has(key) {
            self.used.insert(Use::Key(level.and_then(word_of), key));
            Origin::Level
        } else if self.all.has(key) {
            self.used.insert(Use::Key(None, key));
            Origin::Defaults
        } else {
            Origin::BuiltIn
        }
    }

    pub(super) fn of_level(&self, level: Option<Level>) -> &Layer {
        level.and_then(word_of).and_then(|word| self.levels.get(word)).unwrap_or(&self.nothing)
    }

    /// An interval by its name. The answer counts as a use of it.
    pub(super) fn interval(&mut self, name: &str) -> Option<Arc<Interval>> {
        let found = self.intervals.get(name)?;
        self.used.insert(Use::Interval(name.to_owned()));
        found.clone()
    }

    /// A name that stands for nothing is an error where it is written.
    pub(super) fn check_name(&self, name: &str, span: Span, report: &mut Report<'_>) {
        if !self.intervals.contains_key(name) {
            report
                .error(Code::UnknownInterval, span, format!("there is no time interval `{name}`"))
                .help(format!("define it below `time_intervals` in {FILE}, at the top of the rules folder"))
                .suggest(name, self.intervals.keys().map(String::as_str).chain(["always"]));
        }
    }

    /// Warns of what no rule took. Called once all rules have inherited.
    pub(super) fn warn_of_unused(&self, report: &mut Report<'_>) {
        for Written { part, span } in self.written.iter().filter(|written| !self.used.contains(&written.part)) {
            match part {
                Use::Interval(name) => {
                    report.warning(Code::UnusedInterval, *span, format!("no rule uses the time interval `{name}`"));
                }
                Use::Key(None, key) => {
                    let message = format!("no rule takes this `{key}`: each says its own, or has one by its level");
                    report.warning(Code::UnusedDefault, *span, message);
                }
                Use::Key(Some(level), key) => {
                    let message = format!("no rule of level {level} takes this `{key}`");
                    report.warning(Code::UnusedDefault, *span, message);
                }
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn word_of(level: Level) -> Option<&'static str> {
    LEVELS.iter().find(|(_, known)| *known == level).map(|(word, _)| *word)
}

/// What a scan does and when a rule ends must be seen in the rule.
fn hint_at_rules(report: &mut Report<'_>) {
    for finding in &mut report.diagnostics {
        let own = ["scan", "expires"];
        if finding.code == Code::UnknownKey
            && own.iter().any(|key| finding.message == format!("a default response has no key `{key}`"))
        {
            finding.help("each rule says this itself, so that whoever reads the rule sees it");
        }
    }
}
