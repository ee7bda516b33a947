//! Tests that no alert can answer as wanted. What is found is certain; much is not found.

use super::facts::{Facts, Slot, fold};
use super::field::{Field, NamedField};
use super::normal_form::{Alternative, Literal};
use super::pattern::{Pattern, PatternKind, TextShape};
use super::selection::FieldTest;
use crate::alert::{Format, Severity};

/// Work that may be spent on one rule set, in comparisons of two patterns.
#[derive(Debug)]
pub(super) struct Budget(pub(super) u64);

impl Budget {
    /// Takes some; false where there is none left.
    pub(super) fn take(&mut self, comparisons: usize) -> bool {
        self.0 = self.0.saturating_sub(comparisons as u64);
        self.0 > 0
    }
}

/// What a field of one value may say, as far as it is known.
enum Candidate {
    Missing,
    /// Some text that reads so without letter case.
    Folded(String),
    /// Exactly this.
    Exact(String),
}

/// Whether no alert can answer all tests as wanted.
pub(super) fn is_contradictory(alternative: &Alternative<'_>, fields: &[Field], budget: &mut Budget) -> bool {
    let mut slots: Vec<usize> = alternative.iter().map(|literal| literal.test.slot).collect();
    slots.sort_unstable();
    slots.dedup();
    slots.into_iter().any(|slot| {
        let literals: Vec<&Literal<'_>> = alternative.iter().filter(|literal| literal.test.slot == slot).collect();
        opposed(&literals, budget) || no_candidate_is_left(&literals, &fields[slot], budget)
    })
}

/// One test holds, and another that follows from it does not.
fn opposed(literals: &[&Literal<'_>], budget: &mut Budget) -> bool {
    let (held, failed): (Vec<&Literal<'_>>, Vec<&Literal<'_>>) = literals.iter().partition(|literal| literal.wanted);
    held.iter().any(|held| failed.iter().any(|failed| follows(held.test, failed.test, budget)))
}

/// Whether `conclusion` holds wherever `premise` does; both ask the same field.
pub(super) fn follows(premise: &FieldTest, conclusion: &FieldTest, budget: &mut Budget) -> bool {
    let (one, other) = (premise, conclusion);
    if one.slot != other.slot || one.negated != other.negated || one.all != other.all {
        return false;
    }
    if !budget.take(one.patterns.len() * other.patterns.len()) {
        return false;
    }
    let same_key = one.written == other.written;
    // More values make `any` weaker and `all` stronger; a negation turns that round, and the implication with it.
    match (one.all, one.negated) {
        (false, false) => each_implies_some(&one.patterns, &other.patterns, same_key),
        (false, true) => each_implies_some(&other.patterns, &one.patterns, same_key),
        (true, false) => each_is_implied(&other.patterns, &one.patterns, same_key),
        (true, true) => each_is_implied(&one.patterns, &other.patterns, same_key),
    }
}

fn each_implies_some(premises: &[Pattern], conclusions: &[Pattern], same_key: bool) -> bool {
    premises.iter().all(|premise| conclusions.iter().any(|conclusion| implies(premise, conclusion, same_key)))
}

fn each_is_implied(conclusions: &[Pattern], premises: &[Pattern], same_key: bool) -> bool {
    conclusions.iter().all(|conclusion| premises.iter().any(|premise| implies(premise, conclusion, same_key)))
}

fn implies(premise: &Pattern, conclusion: &Pattern, same_key: bool) -> bool {
    // The same text can be a number in one place and quoted in another.
    let same_kind = std::mem::discriminant(&premise.kind) == std::mem::discriminant(&conclusion.kind);
    if same_key && same_kind && premise.written == conclusion.written {
        return true;
    }
    match (&premise.kind, &conclusion.kind) {
        (
            PatternKind::Text { cased: premise_cased, shape: TextShape::Exact(text) },
            PatternKind::Text { cased: conclusion_cased, shape },
        ) => match (premise_cased, conclusion_cased) {
            (true, true) | (false, false) => shape.holds(text),
            (true, false) => shape.holds(&fold(text)),
            (false, true) => false,
        },
        _ => false,
    }
}

/// A field of one value, and every value that some test leaves is refused by another.
fn no_candidate_is_left(literals: &[&Literal<'_>], field: &Field, budget: &mut Budget) -> bool {
    let candidates = match field {
        Field::Named(NamedField::Severity) => Some(exact(Severity::ALL.iter().map(|word| word.as_str()))),
        Field::Named(NamedField::Format) => Some(exact(Format::ALL.iter().map(|word| word.as_str()))),
        _ => literals.iter().filter(|literal| literal.wanted).find_map(|literal| left_by(literal.test, field)),
    };
    let Some(candidates) = candidates else { return false };
    let patterns: usize = literals.iter().map(|literal| literal.test.patterns.len()).sum();
    budget.take(candidates.len() * patterns)
        && candidates
            .iter()
            .all(|value| literals.iter().any(|literal| answer(literal.test, value) == Some(!literal.wanted)))
}

fn exact<'w>(words: impl Iterator<Item = &'w str>) -> Vec<Candidate> {
    words.map(|word| Candidate::Exact(word.to_owned())).collect()
}

/// All values with which a test can hold, where they can be listed.
fn left_by(test: &FieldTest, field: &Field) -> Option<Vec<Candidate>> {
    if test.negated {
        return None;
    }
    let single = match field {
        Field::Named(named) => !named.is_list(),
        Field::Label(_) => true,
        _ => false,
    };
    let candidate = |pattern: &Pattern| match &pattern.kind {
        PatternKind::Missing | PatternKind::Exists(false) => Some(Candidate::Missing),
        PatternKind::Text { cased, shape: TextShape::Exact(text) } if single => {
            Some(if *cased { Candidate::Exact(text.clone()) } else { Candidate::Folded(text.clone()) })
        }
        _ => None,
    };
    if test.all {
        return test.patterns.iter().find_map(candidate).map(|candidate| vec![candidate]);
    }
    test.patterns.iter().map(candidate).collect()
}

/// What a test says of a value; `None` where that depends on letter case that is not known.
fn answer(test: &FieldTest, value: &Candidate) -> Option<bool> {
    if test.negated && matches!(value, Candidate::Missing) {
        return Some(false);
    }
    let answers = || test.patterns.iter().map(|pattern| answer_of(pattern, value));
    let decisive = !test.all;
    let combined = if answers().any(|answer| answer == Some(decisive)) {
        Some(decisive)
    } else if answers().any(|answer| answer.is_none()) {
        None
    } else {
        Some(!decisive)
    };
    combined.map(|held| held != test.negated)
}

fn answer_of(pattern: &Pattern, value: &Candidate) -> Option<bool> {
    let minds_case = matches!(&pattern.kind, PatternKind::Text { cased: true, .. } | PatternKind::Regex(_));
    let is_known = minds_case
        || matches!(
            &pattern.kind,
            PatternKind::Text { cased: false, .. }
                | PatternKind::Network(_)
                | PatternKind::Number(_)
                | PatternKind::Bool(_)
                | PatternKind::Missing
                | PatternKind::Exists(_)
                | PatternKind::Compare(..)
        );
    Some(match value {
        _ if !is_known => return None,
        Candidate::Folded(_) if minds_case => return None,
        Candidate::Missing => pattern.holds_alone(Slot::Missing),
        // Text without letter case stays as it is.
        Candidate::Exact(text) | Candidate::Folded(text) => pattern.holds_alone(Facts::single(text).slot(0)),
    })
}
