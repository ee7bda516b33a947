//! A rule as alternatives: it matches where every test of one of them is answered as wanted. For warnings only; matching
//! works on selections and conditions as they are written.

use super::condition::Condition;
use super::document::Rule;
use super::selection::{FieldTest, Selection};

/// Most alternatives that are looked at; a rule with more gets no warnings of this kind.
const MAX_ALTERNATIVES: usize = 256;

/// A test, and whether it must hold or must not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Literal<'r> {
    pub(super) test: &'r FieldTest,
    pub(super) wanted: bool,
}

/// Tests of which all must be answered as wanted.
pub(super) type Alternative<'r> = Vec<Literal<'r>>;

/// The alternatives of a rule; `None` where there are too many.
pub(super) fn of_rule(rule: &Rule) -> Option<Vec<Alternative<'_>>> {
    of_condition(&rule.condition, true, &rule.selections)
}

/// The alternatives of one selection.
pub(super) fn of_selection(selection: &Selection) -> Option<Vec<Alternative<'_>>> {
    selection_is(selection, true)
}

fn of_condition<'r>(condition: &Condition, wanted: bool, selections: &'r [Selection]) -> Option<Vec<Alternative<'r>>> {
    match condition {
        Condition::Not(part) => of_condition(part, !wanted, selections),
        Condition::Selection(index) => selection_is(&selections[*index], wanted),
        Condition::All(parts) | Condition::Any(parts) => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| of_condition(part, wanted, selections)).collect();
            let together = matches!(condition, Condition::All(_)) == wanted;
            if together { product(&parts?) } else { bounded(parts?.concat()) }
        }
        Condition::AtLeast(count, indexes) => {
            // Not at least three of five: at least three of five do not hold.
            let count = if wanted { *count } else { indexes.len() + 1 - count };
            let parts: Option<Vec<_>> = indexes.iter().map(|index| selection_is(&selections[*index], wanted)).collect();
            at_least(count, &parts?)
        }
    }
}

fn selection_is(selection: &Selection, wanted: bool) -> Option<Vec<Alternative<'_>>> {
    let tests = selection.alternatives.iter().map(|tests| tests.iter().map(|test| Literal { test, wanted }));
    if wanted {
        return bounded(tests.map(Iterator::collect).collect());
    }
    // Each map of the list must fail in one of its lines.
    product(&tests.map(|tests| tests.map(|literal| vec![literal]).collect()).collect::<Vec<_>>())
}

fn product<'r>(parts: &[Vec<Alternative<'r>>]) -> Option<Vec<Alternative<'r>>> {
    let mut all = vec![Vec::new()];
    for part in parts {
        if all.len() * part.len() > MAX_ALTERNATIVES {
            return None;
        }
        all = all.iter().flat_map(|one| part.iter().map(|other| [one.as_slice(), other].concat())).collect();
    }
    Some(all)
}

/// Every choice of so many parts. It recurses once for each, so more parts than alternatives are not looked at either.
fn at_least<'r>(count: usize, parts: &[Vec<Alternative<'r>>]) -> Option<Vec<Alternative<'r>>> {
    if parts.len() > MAX_ALTERNATIVES {
        return None;
    }
    if count == 0 {
        return Some(vec![Vec::new()]);
    }
    let Some((first, rest)) = parts.split_first().filter(|_| count <= parts.len()) else { return Some(Vec::new()) };
    let with = product(&[first.clone(), at_least(count - 1, rest)?])?;
    bounded([with, at_least(count, rest)?].concat())
}

fn bounded<T>(alternatives: Vec<T>) -> Option<Vec<T>> {
    (alternatives.len() <= MAX_ALTERNATIVES).then_some(alternatives)
}
