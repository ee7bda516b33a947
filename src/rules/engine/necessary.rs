//! What must be there for a rule to hold: clauses, each a list of keys of which every matching alert has at least one.
//!
//! A clause may be weaker than the rule, never stronger; what is not understood here gives no clause. So a rule none of
//! whose clauses is refuted is a candidate that is then tested in full, and a rule with a refuted clause cannot hold.

use std::rc::Rc;

use super::keys::{KeyId, Keys, Probe, likelihood};
use super::literals;
use crate::alert::Severity;
use crate::rules::condition::Condition;
use crate::rules::document::Rule;
use crate::rules::facts::fold;
use crate::rules::field::{Field, severity_word};
use crate::rules::pattern::{Bound, Pattern, PatternKind, TextShape};
use crate::rules::selection::{FieldTest, Selection};

/// A clause that was put together from several is given up beyond so many keys: a condition may name a long list often.
const MAX_JOINED_KEYS: usize = 20_000;

/// At least one of these keys is in every alert for which the rule holds. Without keys the rule never holds.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    pub(super) keys: Rc<[KeyId]>,
    /// The field of all keys; `None` where they are of several.
    pub(super) slot: Option<usize>,
    /// Sum of the guesses how often alerts hold its keys.
    pub(super) likelihood: f64,
}

/// All of these are necessary: at most one clause per field and one of several fields.
type Clauses = Vec<Clause>;

/// Reads the clauses of rules.
pub(super) struct Reader<'r> {
    pub(super) fields: &'r [Field],
    pub(super) keys: Keys,
}

impl Reader<'_> {
    /// The clauses of one rule.
    pub(super) fn clauses(&mut self, rule: &Rule) -> Clauses {
        let selections: Vec<Clauses> = rule.selections.iter().map(|selection| self.selection(selection)).collect();
        condition(&rule.condition, &selections)
    }

    /// Clauses that say exactly when the rule holds: those with `true` must hold, those with `false` must not. `None` where
    /// the rule is no such list, or one with a test that keys cannot tell.
    pub(super) fn exactly(&mut self, rule: &Rule) -> Option<Vec<(Clause, bool)>> {
        let mut exact = Vec::new();
        let parts = match &rule.condition {
            Condition::All(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        for part in parts {
            let (wanted, indexes) = match part {
                Condition::Selection(index) => (true, std::slice::from_ref(index)),
                Condition::AtLeast(count, indexes) if *count == indexes.len() => (true, indexes.as_slice()),
                Condition::Not(inner) => match inner.as_ref() {
                    Condition::Selection(index) => (false, std::slice::from_ref(index)),
                    Condition::AtLeast(1, indexes) => (false, indexes.as_slice()),
                    _ => return None,
                },
                _ => return None,
            };
            for index in indexes {
                // Wanted is one map of any number of tests; not wanted is any number of maps of one test.
                let Selection { name: _, span: _, alternatives } = &rule.selections[*index];
                let one_test = |tests: &Vec<FieldTest>| tests.len() == 1;
                if if wanted { alternatives.len() != 1 } else { !alternatives.iter().all(one_test) } {
                    return None;
                }
                for test in alternatives.iter().flatten() {
                    exact.push((self.exact_test(test)?, wanted));
                }
            }
        }
        Some(exact)
    }

    fn exact_test(&mut self, test: &FieldTest) -> Option<Clause> {
        let FieldTest { slot, written: _, all, negated, patterns } = test;
        let told = !*negated && !patterns.is_empty() && (!*all || patterns.len() == 1);
        if !told || !patterns.iter().all(is_told_by_keys) {
            return None;
        }
        let probes: Vec<Vec<Probe>> = patterns.iter().map(probes).collect::<Option<_>>()?;
        Some(self.clause(*slot, probes.concat()))
    }

    fn selection(&mut self, selection: &Selection) -> Clauses {
        let Selection { name: _, span: _, alternatives } = selection;
        let alternatives: Vec<Clauses> = alternatives
            .iter()
            .map(|tests| all_of(tests.iter().flat_map(|test| self.test(test)).collect::<Vec<_>>()))
            .collect();
        any_of(&alternatives)
    }

    fn test(&mut self, test: &FieldTest) -> Clauses {
        // Named one by one: a new part of a test must be thought of here.
        let FieldTest { slot, written: _, all, negated, patterns } = test;
        if *negated {
            return vec![self.clause(*slot, vec![Probe::Present])];
        }
        if patterns.is_empty() {
            return Vec::new();
        }
        let each = patterns.iter().map(probes);
        if *all {
            each.flatten().map(|probes| self.clause(*slot, probes)).collect()
        } else {
            let probes: Option<Vec<Vec<Probe>>> = each.collect();
            probes.map(|probes| self.clause(*slot, probes.concat())).into_iter().collect()
        }
    }

    fn clause(&mut self, slot: usize, probes: Vec<Probe>) -> Clause {
        let likelihood = probes.iter().map(|probe| likelihood(&self.fields[slot], probe)).sum();
        let mut keys: Vec<KeyId> = probes.into_iter().map(|probe| self.keys.number(slot, probe)).collect();
        keys.sort_unstable();
        keys.dedup();
        Clause { keys: keys.into(), slot: Some(slot), likelihood }
    }
}

fn condition(condition: &Condition, selections: &[Clauses]) -> Clauses {
    match condition {
        Condition::All(parts) => all_of(parts.iter().flat_map(|part| self::condition(part, selections)).collect()),
        Condition::Any(parts) => {
            any_of(&parts.iter().map(|part| self::condition(part, selections)).collect::<Vec<_>>())
        }
        Condition::Not(part) => match part.as_ref() {
            Condition::Not(inner) => self::condition(inner, selections),
            // What must not be there is left to the full test.
            _ => Vec::new(),
        },
        Condition::Selection(index) => selections[*index].clone(),
        Condition::AtLeast(0, _) => Vec::new(),
        Condition::AtLeast(wanted, indexes) => {
            let parts: Vec<Clauses> = indexes.iter().map(|index| selections[*index].clone()).collect();
            if *wanted >= parts.len() { all_of(parts.concat()) } else { any_of(&parts) }
        }
    }
}

/// The best clause of each field.
fn all_of(clauses: Clauses) -> Clauses {
    let mut best: Clauses = Vec::new();
    for clause in clauses {
        match best.iter_mut().find(|other| other.slot == clause.slot) {
            Some(other) if is_better(&clause, other) => *other = clause,
            Some(_) => {}
            None => best.push(clause),
        }
    }
    best
}

fn is_better(one: &Clause, other: &Clause) -> bool {
    one.keys.is_empty() || (!other.keys.is_empty() && one.likelihood < other.likelihood)
}

/// Where each part has a clause, one of those clauses holds.
fn any_of(parts: &[Clauses]) -> Clauses {
    // A part that never holds adds nothing.
    let parts: Vec<&Clauses> =
        parts.iter().filter(|clauses| !clauses.iter().any(|clause| clause.keys.is_empty())).collect();
    let Some((first, others)) = parts.split_first() else {
        return vec![Clause { keys: Rc::new([]), slot: None, likelihood: 0.0 }];
    };
    if others.is_empty() {
        return (*first).clone();
    }
    let mut joined: Clauses = first
        .iter()
        .filter_map(|clause| {
            let of_field = |part: &&Clauses| part.iter().position(|other| other.slot == clause.slot);
            let each: Option<Vec<&Clause>> = parts.iter().map(|part| Some(&part[of_field(part)?])).collect();
            join(&each?)
        })
        .collect();
    let best_of = |part: &&Clauses| part.iter().enumerate().reduce(better).map(|(at, _)| at);
    let best: Option<Vec<&Clause>> = parts.iter().map(|part| Some(&part[best_of(part)?])).collect();
    joined.extend(best.and_then(|best| join(&best)));
    all_of(joined)
}

fn better<'c>(one: (usize, &'c Clause), other: (usize, &'c Clause)) -> (usize, &'c Clause) {
    if is_better(other.1, one.1) { other } else { one }
}

fn join(clauses: &[&Clause]) -> Option<Clause> {
    let mut keys: Vec<KeyId> = clauses.iter().flat_map(|clause| clause.keys.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    let slot = clauses.first()?.slot.filter(|slot| clauses.iter().all(|clause| clause.slot == Some(*slot)));
    let likelihood = clauses.iter().map(|clause| clause.likelihood).sum();
    (keys.len() <= MAX_JOINED_KEYS).then(|| Clause { keys: keys.into(), slot, likelihood })
}

/// Whether the pattern holds wherever one of its probes does.
fn is_told_by_keys(pattern: &Pattern) -> bool {
    match &pattern.kind {
        PatternKind::Text { cased: false, shape } => match shape {
            TextShape::Exact(_) => true,
            TextShape::Prefix(text) | TextShape::Suffix(text) | TextShape::Contains(text) => !text.is_empty(),
            TextShape::Anything | TextShape::Glob(_) => false,
        },
        PatternKind::Exists(true) | PatternKind::Bool(_) | PatternKind::Compare(_, Bound::Severity(_)) => true,
        _ => false,
    }
}

/// Probes of which at least one holds wherever the pattern does; `None` where there are none.
fn probes(pattern: &Pattern) -> Option<Vec<Probe>> {
    Some(match &pattern.kind {
        PatternKind::Text { cased: _, shape } => match shape {
            TextShape::Anything => vec![Probe::Present],
            TextShape::Exact(text) => vec![Probe::Exact(fold(text).into())],
            TextShape::Prefix(text) => vec![part(text, Probe::Prefix)],
            TextShape::Suffix(text) => vec![part(text, Probe::Suffix)],
            TextShape::Contains(text) => vec![part(text, Probe::Contains)],
            TextShape::Glob(regex) => within(regex),
        },
        PatternKind::Regex(regex) => within(regex),
        PatternKind::Network(_) | PatternKind::Number(_) | PatternKind::Compare(_, Bound::Number(_)) => {
            vec![Probe::Present]
        }
        PatternKind::Exists(true) => vec![Probe::Present],
        PatternKind::Bool(wanted) => vec![Probe::Exact(wanted.to_string().into())],
        PatternKind::Compare(comparison, Bound::Severity(bound)) => {
            let words = Severity::ALL.iter().map(|severity| severity.as_str()).chain(["none"]);
            words
                .filter(|word| severity_word(word).is_some_and(|severity| comparison.accepts(severity.cmp(bound))))
                .map(|word| Probe::Exact(word.into()))
                .collect()
        }
        // Absence cannot be looked up; and what is not known here is tested in full.
        _ => return None,
    })
}

fn part(text: &str, probe: impl Fn(Box<str>) -> Probe) -> Probe {
    if text.is_empty() { Probe::Present } else { probe(fold(text).into()) }
}

fn within(regex: &regex::Regex) -> Vec<Probe> {
    match literals::required(regex) {
        Some(texts) => texts.into_iter().map(|text| Probe::Contains(text.into())).collect(),
        None => vec![Probe::Present],
    }
}
