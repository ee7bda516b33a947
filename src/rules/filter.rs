//! Sigma filter documents: exceptions that live apart from the rules they are for.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::condition::Condition;
use super::detection::Setting;
use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::document::{self, Detection, Rule};
use super::facts::Facts;
use super::header::{self, Header, Logsource};
use super::read;
use super::reference::{self, Directory, Reference};
use super::rule_set::RuleSet;
use super::selection::{Selection, Silent};
use super::yaml::{Key, Node};

/// Keys of filters beside those of every document.
pub(super) const OWN_KEYS: &[&str] = &["logsource", "filter", "expires"];
const NOT_YET: &[&str] = &["tests"];
/// Most logsources of rules that a finding lists.
const MAX_SHOWN: usize = 5;

/// A compiled filter: a rule that it is for matches only where the filter's condition holds, too.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) id: String,
    pub(super) id_span: Span,
    pub(super) title: String,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) selections: Vec<Selection>,
    pub(super) condition: Condition,
    pub(super) condition_text: String,
    /// The last day on which the filter holds (UTC), and the first instant after it.
    pub(super) expires: Option<(Date, Timestamp)>,
    /// Where `expires` stands.
    pub(super) expires_span: Span,
    logsource: Option<Logsource>,
    logsource_span: Span,
    /// Rules as written; `None` stands for all.
    named: Option<Vec<Reference>>,
    /// The rules that it is for, by index and in order, where it names them.
    rules: Vec<usize>,
}

/// A match that a filter took back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilteredMatch {
    /// The rule that would have matched.
    pub rule_id: String,
    /// The rule's title.
    pub title: String,
    /// The filters that took it back: their `id`, or title where they have none.
    pub filter_ids: Vec<String>,
}

/// What there is to know about a filter from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterInfo {
    /// The filter's `id`, or its title where it has none. Unique in the set, rules included.
    pub id: String,
    /// The filter's title.
    pub title: String,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// Ids of the rules that it is for.
    pub rules: Vec<String>,
    /// Last day (UTC) on which it takes matches back.
    pub expires: Option<Date>,
}

/// Reads a filter document.
pub(super) fn read(node: &Node, setting: &mut Setting<'_>, report: &mut Report<'_>) -> Option<Filter> {
    let known: Vec<&str> = header::KNOWN.iter().chain(OWN_KEYS).copied().collect();
    document::check_keys(node, "a filter", &known, NOT_YET, setting, report);
    let header = header::read(node, "a filter", report);
    let span_of = |name: &str| node.get(name).map(|value| value.span).unwrap_or_default();
    let logsource = node.get("logsource").map(|value| Logsource::read(value, report));
    let expires = node.get("expires").and_then(|value| read::last_day(value, report));
    let (key, body) = node.as_map()?.iter().find(|(key, _)| key.text == "filter")?;
    let named = read_rules(key, body, report);
    let detection = document::read_detection(key, body, &["rules"], setting, report)?;
    let Detection { selections, condition, condition_text, condition_span: _ } = detection;
    if !condition.negates()
        && let Some(span) = body.get("condition").map(|condition| condition.span)
    {
        let message = "a filter keeps the matches for which its condition holds and takes back all others";
        report.warning(Code::FilterWithoutNot, span, message).help("to take back what a selection finds, write `not`");
    }
    let Header { id, id_span, title, file, line, .. } = header?;
    let (named, rules) = (named?, Vec::new());
    Some(Filter {
        id,
        id_span,
        title,
        file,
        line,
        selections,
        condition,
        condition_text,
        expires,
        expires_span: span_of("expires"),
        logsource,
        logsource_span: span_of("logsource"),
        named,
        rules,
    })
}

/// `None` where it cannot be said; `Some(None)` for `any`.
fn read_rules(key: &Key, body: &Node, report: &mut Report<'_>) -> Option<Option<Vec<Reference>>> {
    let Some(rules) = body.get("rules") else {
        let finding = report.error(Code::MissingKey, key.span, "a filter must say which `rules` it is for");
        finding.help("list ids or names, or write `rules: any`");
        return None;
    };
    if rules.as_text().is_some_and(|text| text.eq_ignore_ascii_case("any")) {
        return Some(None);
    }
    let references = reference::read_all(rules, report);
    (!references.is_empty()).then_some(Some(references))
}

impl Filter {
    /// Finds the rules that it is for.
    pub(super) fn resolve(&mut self, rules: &[Rule], directory: &Directory<'_>, report: &mut Report<'_>) {
        let Some(named) = &self.named else { return self.refuse_for_none(rules, report) };
        let mut found = Vec::new();
        for reference in named {
            let Some(index) = directory.find(reference, "a filter", report) else { continue };
            if self.is_of(&rules[index]) {
                found.push(index);
            } else {
                let message = format!("the rule `{}` has another `logsource` than this filter", reference.text);
                let finding = report.error(Code::UnknownRule, reference.span, message);
                finding.help("the filter would do nothing for it: mend or remove the filter's `logsource`");
            }
        }
        found.sort_unstable();
        self.rules = found;
    }

    /// A filter for `any` rule that is for none would be an exception that nobody misses. A set without rules has none yet.
    fn refuse_for_none(&self, rules: &[Rule], report: &mut Report<'_>) {
        if rules.is_empty() || (0..).zip(rules).any(|(index, rule)| self.is_for(index, rule)) {
            return;
        }
        let of_rules = rules.iter().filter(|rule| rule.correlation.is_none()).map(|rule| rule.logsource.to_string());
        let mut known: Vec<String> = of_rules.filter(|text| !text.is_empty()).map(|text| format!("`{text}`")).collect();
        known.sort_unstable();
        known.dedup();
        known.truncate(MAX_SHOWN);
        let message = "the filter is for no rule: none says all of its `logsource`";
        let finding = report.error(Code::UnknownRule, self.logsource_span, message);
        finding.help(if known.is_empty() {
            "no rule has a `logsource`: remove the filter's, or write it into the rules".to_owned()
        } else {
            format!("rules have {}; a rule without `logsource` is not covered", known.join(", "))
        });
    }

    /// Whether it is for the rule with this index.
    pub(super) fn is_for(&self, index: usize, rule: &Rule) -> bool {
        match self.named {
            Some(_) => self.rules.binary_search(&index).is_ok(),
            None => rule.correlation.is_none() && self.is_of(rule),
        }
    }

    fn is_of(&self, rule: &Rule) -> bool {
        self.logsource.as_ref().is_none_or(|logsource| logsource.covers(&rule.logsource))
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|(_, end)| now >= end)
    }

    /// Whether the filter's own condition holds: then matches stay.
    pub(super) fn keeps(&self, facts: &Facts<'_>) -> bool {
        self.condition.holds(&mut |index| self.selections[index].holds(facts, &mut Silent))
    }
}

impl RuleSet {
    /// Removes the rules whose match a filter takes back, and says which.
    pub(super) fn take_back(&self, holding: &mut Vec<u32>, facts: &Facts<'_>, now: Timestamp) -> Vec<FilteredMatch> {
        if holding.is_empty() || self.filters.is_empty() {
            return Vec::new();
        }
        let concerned = |filter: &&Filter| {
            holding.iter().map(|index| *index as usize).any(|index| filter.is_for(index, &self.rules[index]))
        };
        let against: Vec<&Filter> = self
            .filters
            .iter()
            .filter(|filter| !filter.is_expired(now))
            .filter(concerned)
            .filter(|filter| !filter.keeps(facts))
            .collect();
        let mut filtered = Vec::new();
        holding.retain(|index| {
            let index = *index as usize;
            let rule = &self.rules[index];
            let concerned = against.iter().filter(|filter| filter.is_for(index, rule));
            let filter_ids: Vec<String> = concerned.map(|filter| filter.id.clone()).collect();
            let keep = filter_ids.is_empty();
            if !keep {
                filtered.push(FilteredMatch { rule_id: rule.id.clone(), title: rule.title.clone(), filter_ids });
            }
            keep
        });
        filtered
    }

    /// Every filter, in the order of ids.
    #[must_use]
    pub fn filters(&self) -> Vec<FilterInfo> {
        let info = |filter: &Filter| FilterInfo {
            id: filter.id.clone(),
            title: filter.title.clone(),
            file: filter.file.clone(),
            line: filter.line,
            rules: self
                .rules
                .iter()
                .enumerate()
                .filter(|(index, rule)| filter.is_for(*index, rule))
                .map(|(_, rule)| rule.id.clone())
                .collect(),
            expires: filter.expires.map(|(date, _)| date),
        };
        self.filters.iter().map(info).collect()
    }
}
