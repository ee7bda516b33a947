//! Rules that change nothing, because another rule matches whatever they match and asks for at least as much.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::contradiction::{Budget, follows};
use super::document::Rule;
use super::facts::fold;
use super::filter::Filter;
use super::normal_form::{Alternative, Literal};
use super::pattern::{PatternKind, TextShape};
use super::response::Response;
use super::selection::FieldTest;

/// Something that is quickly looked up and that a rule needs in order to be covered by another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mark {
    slot: usize,
    wanted: bool,
    text: Option<String>,
}

/// For each rule that another covers: the two by their index. `alternatives` are those of the rules, in the same order. A
/// rule covers none where a filter may take its match back.
pub(super) fn covered(
    rules: &[Rule],
    filters: &[Filter],
    alternatives: &[Option<Vec<Alternative<'_>>>],
    budget: &mut Budget,
) -> Vec<(usize, usize)> {
    let answering: Vec<(usize, &Response, &[Alternative<'_>])> = rules
        .iter()
        .enumerate()
        .filter_map(|(index, rule)| Some((index, rule.response.as_ref()?, alternatives[index].as_deref()?)))
        .filter(|(_, _, alternatives)| !alternatives.is_empty())
        .collect();
    let index = index(&answering);
    let mut found = Vec::new();
    // A rule that a correlation counts does something even where another asks for as much.
    for (one, response, mine) in answering.iter().filter(|(one, ..)| rules[*one].counted_by.is_empty()) {
        let candidates: BTreeSet<usize> =
            mine[0].iter().flat_map(sought).flat_map(|mark| index.get(&mark)).flatten().copied().collect();
        let by = candidates.into_iter().filter(|other| answering[*other].0 != *one).find(|other| {
            let (other, stronger, theirs) = &answering[*other];
            let is_filtered = || filters.iter().any(|filter| filter.is_for(*other, &rules[*other]));
            budget.take(1 + filters.len())
                && !is_filtered()
                && changes_nothing((&rules[*one].id, response), (&rules[*other].id, stronger))
                && mine.iter().all(|one| theirs.iter().any(|other| is_within(one, other, budget)))
        });
        found.extend(by.map(|other| (*one, answering[other].0)));
    }
    found
}

/// Where each rule can be found: under the rarest mark of each of its alternatives.
fn index(answering: &[(usize, &Response, &[Alternative<'_>])]) -> HashMap<Mark, Vec<usize>> {
    let mut counts: HashMap<Mark, usize> = HashMap::new();
    let literals = answering.iter().flat_map(|(_, _, alternatives)| alternatives.iter().flatten());
    for mark in literals.flat_map(offered) {
        *counts.entry(mark).or_default() += 1;
    }
    let mut index: HashMap<Mark, Vec<usize>> = HashMap::new();
    for (at, (_, _, alternatives)) in answering.iter().enumerate() {
        for alternative in *alternatives {
            let rarest = alternative.iter().map(offered).min_by_key(|marks| {
                marks.iter().map(|mark| counts.get(mark).copied().unwrap_or_default()).sum::<usize>()
            });
            for mark in rarest.unwrap_or_default() {
                index.entry(mark).or_default().push(at);
            }
        }
    }
    index
}

/// A test that follows from another has one of the marks that the other seeks.
fn offered(literal: &Literal<'_>) -> Vec<Mark> {
    let Literal { test, wanted } = *literal;
    let mark = |text| Mark { slot: test.slot, wanted, text };
    match texts(test).filter(|_| wanted) {
        Some(texts) => texts.into_iter().map(|text| mark(Some(text))).collect(),
        None => vec![mark(None)],
    }
}

fn sought(literal: &Literal<'_>) -> Vec<Mark> {
    let Literal { test, wanted } = *literal;
    let mark = |text| Mark { slot: test.slot, wanted, text };
    let texts = texts(test).filter(|_| wanted).unwrap_or_default();
    texts.into_iter().map(|text| mark(Some(text))).chain([mark(None)]).collect()
}

/// The whole texts that a test asks for, without letter case, where it asks for nothing else.
fn texts(test: &FieldTest) -> Option<Vec<String>> {
    if test.all || test.negated {
        return None;
    }
    let text = |kind: &PatternKind| match kind {
        PatternKind::Text { shape: TextShape::Exact(text), .. } => Some(fold(text)),
        _ => None,
    };
    test.patterns.iter().map(|pattern| text(&pattern.kind)).collect()
}

/// Whatever answers all tests of `one` as wanted answers all tests of `other` so.
fn is_within(one: &Alternative<'_>, other: &Alternative<'_>, budget: &mut Budget) -> bool {
    other.iter().all(|conclusion| {
        one.iter().filter(|premise| premise.wanted == conclusion.wanted).any(|premise| {
            if conclusion.wanted {
                follows(premise.test, conclusion.test, budget)
            } else {
                follows(conclusion.test, premise.test, budget)
            }
        })
    })
}

/// Whether the decision would be the same without the first rule wherever the second matches too. The same mode: a rule in
/// shadow is there to be watched.
fn changes_nothing((id, weaker): (&str, &Response), (other_id, stronger): (&str, &Response)) -> bool {
    let (growth, escalation) = (weaker.cooldown_growth, weaker.escalate);
    weaker.mode == stronger.mode
        && weaker.scan <= stronger.scan
        && (weaker.priority, Reverse(id)) < (stronger.priority, Reverse(other_id))
        && weaker.cooldown <= stronger.cooldown
        && (growth.is_none() || growth == stronger.cooldown_growth)
        && weaker.max_alert_age >= stronger.max_alert_age
        && (weaker.merge_window.is_none()
            || stronger.merge_window.is_some_and(|least| Some(least) <= weaker.merge_window))
        && (escalation.is_none() || escalation == stronger.escalate)
        && (stronger.limit.is_none() || weaker.limit.is_some())
        && (stronger.active_names.is_empty() || stronger.active_names == weaker.active_names)
        && stronger.expires.is_none_or(|last| weaker.expires.is_some_and(|mine| mine <= last))
}
