//! Documents that name rules: filters and correlations.

use std::cell::Cell;
use std::collections::HashMap;

use super::diagnostic::{DiagnosticCode as Code, Report, Span, nearest};
use super::document::Rule;
use super::read;
use super::yaml::{Node, Value};

/// Most rules that one document may name.
const MAX_REFERENCES: usize = 1000;
/// Most wrong names of one set that get a suggestion: each is compared with every name of the set.
const MAX_SUGGESTIONS: u32 = 50;

/// A rule as another document names it, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) text: String,
    pub(super) span: Span,
}

/// Reads one name or a list of names.
pub(super) fn read_all(node: &Node, report: &mut Report<'_>) -> Vec<Reference> {
    let items: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if items.is_empty() || items.len() > MAX_REFERENCES {
        report.error(
            Code::InvalidValue,
            node.span,
            format!("rules names at least one rule, and at most {MAX_REFERENCES}"),
        );
        return Vec::new();
    }
    let mut references: Vec<Reference> = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = read::text(item, "the id or name of a rule", report) else { continue };
        if references.iter().any(|known| known.text == text) {
            report.error(Code::InvalidValue, item.span, format!("the rule `{text}` is named twice"));
        }
        references.push(Reference { text: text.trim().to_owned(), span: item.span });
    }
    references
}

/// The rules of a set by everything that they can be named by.
pub(super) struct Directory<'r> {
    rules: &'r [Rule],
    by_id: HashMap<String, usize>,
    by_name: HashMap<&'r str, Vec<usize>>,
    suggestions: Cell<u32>,
}

impl<'r> Directory<'r> {
    pub(super) fn new(rules: &'r [Rule]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            if let Some(name) = &rule.name {
                by_name.entry(name).or_default().push(index);
            }
        }
        let by_id = rules.iter().enumerate().map(|(index, rule)| (rule.id.to_lowercase(), index)).collect();
        Self { rules, by_id, by_name, suggestions: Cell::new(0) }
    }

    /// The index of the rule that is meant. `what` is the document that asks, for findings.
    pub(super) fn find(&self, reference: &Reference, what: &str, report: &mut Report<'_>) -> Option<usize> {
        let named = self.by_name.get(reference.text.as_str()).map_or(&[][..], Vec::as_slice);
        let found = self.by_id.get(&reference.text.to_lowercase()).copied().or_else(|| named.first().copied());
        let text = &reference.text;
        let Some(index) = found else {
            let message = format!("no rule has the id or name `{text}`");
            let finding = report.error(Code::UnknownRule, reference.span, message);
            if self.suggestions.replace(self.suggestions.get() + 1) >= MAX_SUGGESTIONS {
                return None;
            }
            let names = self.rules.iter().flat_map(|rule| [Some(rule.id.as_str()), rule.name.as_deref()]).flatten();
            if let Some(near) = nearest(text, names) {
                finding.help(format!("did you mean `{near}`?"));
            } else if let Some(rule) = self.rules.iter().find(|rule| rule.title == *text) {
                finding.help(format!("that is a title; write the id: `{}`", rule.id));
            }
            return None;
        };
        if named.len() > 1 && named.contains(&index) {
            let message = format!("several rules have the name `{text}`");
            report.error(Code::UnknownRule, reference.span, message).help("name the rule by its id");
            return None;
        }
        if self.rules[index].correlation.is_some() {
            let message = format!("`{text}` is a correlation, and {what} names rules");
            report.error(Code::NotSupported, reference.span, message).help("name the rules that it counts");
            return None;
        }
        Some(index)
    }
}
