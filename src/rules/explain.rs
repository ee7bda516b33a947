//! Why a rule set decides as it does: what each selection looked at and found.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::evaluate::Evaluation;
use super::facts::{Facts, Slot};
use super::filter::Filter;
use super::pattern::Pattern;
use super::rule_info::ResponseInfo;
use super::rule_set::RuleSet;
use super::selection::{FieldTest, Selection, Witness};
use super::threshold::CountInfo;
use crate::alert::{Alert, Device};

/// Everything there is to say about one alert and one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The alert's id.
    pub alert_id: String,
    /// The device's name, else its id, where the alert says either.
    pub device: Option<String>,
    /// The hash of the rule set.
    pub ruleset: String,
    /// What production would do.
    pub evaluation: Evaluation,
    /// Every rule, in the order of ids.
    pub rules: Vec<RuleExplanation>,
    /// Every filter, in the order of ids.
    pub filters: Vec<FilterExplanation>,
}

/// What one filter saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterExplanation {
    /// The filter's id.
    pub filter_id: String,
    /// The filter's title.
    pub title: String,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// Set where the filter has expired: the last day on which it took matches back.
    pub expired: Option<Date>,
    /// The condition as written.
    pub condition: String,
    /// Whether the condition holds: then matches stay.
    pub condition_held: bool,
    /// Ids of the rules whose match it takes back from this alert.
    pub took_back: Vec<String>,
    /// Every selection of the filter.
    pub selections: Vec<SelectionExplanation>,
}

/// What one rule saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleExplanation {
    /// The rule's id.
    pub rule_id: String,
    /// The rule's title.
    pub title: String,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// Whether it counts as a match: the condition holds, the rule has a response that has not expired, and no filter takes
    /// the match back.
    pub matched: bool,
    /// Ids of the filters that take the match back.
    pub filtered_by: Vec<String>,
    /// Set where this is a correlation: what it counts.
    pub counts: Option<CountInfo>,
    /// Whether this is a correlation that the alert adds to.
    pub added_to: bool,
    /// Whether the rule is outside of its active time: then it asks for nothing.
    pub outside_active_time: bool,
    /// Set where the rule has expired: the last day on which it would have matched.
    pub expired: Option<Date>,
    /// The condition as written.
    pub condition: String,
    /// Whether the condition holds.
    pub condition_held: bool,
    /// Every selection of the rule, also those the condition did not need.
    pub selections: Vec<SelectionExplanation>,
    /// What the rule asks for; `None` for a building block.
    pub response: Option<ResponseInfo>,
}

/// What one selection saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelectionExplanation {
    /// The selection's name.
    pub name: String,
    /// Whether any alternative holds.
    pub held: bool,
    /// The maps of the selection; one unless it is a list.
    pub alternatives: Vec<AlternativeExplanation>,
}

/// What one map of a selection saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlternativeExplanation {
    /// Whether all its tests hold.
    pub held: bool,
    /// Its lines.
    pub tests: Vec<FieldExplanation>,
}

/// What one line of a selection saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldExplanation {
    /// The key as written, for example `device.name|startswith`.
    pub field: String,
    /// The alert's values; `None` where the alert does not say.
    pub saw: Option<Vec<String>>,
    /// How the patterns combine.
    pub wants: Wants,
    /// The rule's values, each with whether it was found.
    pub patterns: Vec<PatternExplanation>,
    /// Whether the line holds.
    pub held: bool,
}

/// How the values of a line combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// One value is enough.
    Any,
    /// Every value is needed (`all`).
    All,
    /// The field is there and no value may be found (`neq`).
    None,
    /// The field is there and not every value may be found (`neq` with `all`).
    NotAll,
}

/// One value of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PatternExplanation {
    /// As written.
    pub pattern: String,
    /// Whether the alert holds it.
    pub held: bool,
}

/// Writes down what production's evaluation tells it.
#[derive(Default)]
struct Notes {
    patterns: Vec<PatternExplanation>,
    tests: Vec<FieldExplanation>,
    alternatives: Vec<AlternativeExplanation>,
}

impl Witness for Notes {
    const THOROUGH: bool = true;

    fn pattern(&mut self, pattern: &Pattern, held: bool) {
        self.patterns.push(PatternExplanation { pattern: pattern.written.clone(), held });
    }

    fn test(&mut self, test: &FieldTest, slot: Slot<'_>, held: bool) {
        let saw = match slot {
            Slot::Missing => None,
            Slot::Present(values) => Some(values.iter().map(|value| value.text.to_string()).collect()),
        };
        let wants = match (test.negated, test.all) {
            (false, false) => Wants::Any,
            (false, true) => Wants::All,
            (true, false) => Wants::None,
            (true, true) => Wants::NotAll,
        };
        let patterns = std::mem::take(&mut self.patterns);
        self.tests.push(FieldExplanation { field: test.written.clone(), saw, wants, patterns, held });
    }

    fn alternative(&mut self, held: bool) {
        self.alternatives.push(AlternativeExplanation { held, tests: std::mem::take(&mut self.tests) });
    }
}

impl RuleSet {
    /// Says why: the decision of [`RuleSet::evaluate`] and what every rule saw. It runs the same compiled selections, and
    /// only looks at all of them instead of stopping early.
    #[must_use]
    pub fn explain(&self, alert: &Alert, device: &Device, now: Timestamp) -> Explanation {
        let facts = Facts::gather(&self.fields, alert, device);
        let evaluation = self.evaluate(alert, device, now);
        let rules = self.rules.iter().zip(self.rules()).map(|(rule, info)| {
            let expired = rule.response.as_ref().filter(|response| response.is_expired(now));
            let selections = explain_selections(&rule.selections, &facts);
            let condition_held = rule.condition.holds(&mut |index| selections[index].held);
            let filtered = evaluation.filtered.iter().find(|filtered| filtered.rule_id == rule.id);
            let filtered_by = filtered.map(|filtered| filtered.filter_ids.clone()).unwrap_or_default();
            RuleExplanation {
                rule_id: rule.id.clone(),
                title: rule.title.clone(),
                file: rule.file.clone(),
                line: rule.line,
                matched: condition_held && rule.response_at(now).is_some() && filtered_by.is_empty(),
                filtered_by,
                counts: info.counts.clone(),
                added_to: rule.correlation.is_some() && evaluation.decision.counts_for(&rule.id),
                outside_active_time: rule.response.as_ref().is_some_and(|response| !response.is_active(now)),
                expired: expired.and_then(|response| response.expires).map(|(date, _)| date),
                condition: rule.condition_text.clone(),
                condition_held,
                selections,
                response: info.response.clone(),
            }
        });
        Explanation {
            alert_id: alert.id.clone(),
            device: device.name.clone().or_else(|| device.id.clone()),
            ruleset: self.hash().to_owned(),
            rules: rules.collect(),
            filters: self.filters.iter().map(|filter| explain_filter(filter, &facts, &evaluation, now)).collect(),
            evaluation,
        }
    }
}

impl RuleSet {
    /// What a rule alone saw of each device of its test's alert. Empty where the rule carries no such test.
    #[must_use]
    pub fn explain_test(&self, result: &super::TestResult, now: Timestamp) -> Vec<Explanation> {
        let rule = self.rules.iter().find(|rule| rule.id == result.rule_id);
        let test = rule.and_then(|rule| rule.tests.iter().find(|test| test.line == result.line));
        let Some(test) = test else { return Vec::new() };
        let explained = test.alert.devices.iter().map(|device| {
            let mut explanation = self.explain(&test.alert, device, now);
            explanation.rules.retain(|rule| rule.rule_id == result.rule_id);
            explanation
        });
        explained.collect()
    }
}

fn explain_filter(filter: &Filter, facts: &Facts<'_>, evaluation: &Evaluation, now: Timestamp) -> FilterExplanation {
    let selections = explain_selections(&filter.selections, facts);
    let taken = evaluation.filtered.iter().filter(|filtered| filtered.filter_ids.contains(&filter.id));
    FilterExplanation {
        filter_id: filter.id.clone(),
        title: filter.title.clone(),
        file: filter.file.clone(),
        line: filter.line,
        expired: filter.expires.filter(|_| filter.is_expired(now)).map(|(date, _)| date),
        condition: filter.condition_text.clone(),
        condition_held: filter.condition.holds(&mut |index| selections[index].held),
        took_back: taken.map(|filtered| filtered.rule_id.clone()).collect(),
        selections,
    }
}

fn explain_selections(selections: &[Selection], facts: &Facts<'_>) -> Vec<SelectionExplanation> {
    selections
        .iter()
        .map(|selection| {
            let mut notes = Notes::default();
            let held = selection.holds(facts, &mut notes);
            SelectionExplanation { name: selection.name.clone(), held, alternatives: notes.alternatives }
        })
        .collect()
}
