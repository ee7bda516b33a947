//! A second look at candidates, by keys alone and in little memory: a rule that is tested in full is scattered over a dozen
//! places, and with thousands of rules none of them is in the processor's cache.

use std::collections::HashMap;
use std::rc::Rc;

use super::keys::KeyId;
use super::necessary::Clause;
use super::scratch::Stamps;

/// Clauses that are kept for one rule.
const MOST: usize = 6;
/// Marks a clause that must not hold.
const NOT: u32 = 1 << 31;

/// What keys say about a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    DoesNotHold,
    /// It has to be tested in full.
    Unknown,
}

/// The guards of one rule, in one line of the cache.
#[derive(Debug, Clone, Copy, Default)]
struct Guard {
    clauses: [u32; MOST],
    count: u8,
    /// The clauses say everything about the rule.
    exact: bool,
}

/// The guards of all rules.
#[derive(Debug, Default)]
pub(super) struct Guards {
    rules: Vec<Guard>,
    /// Where the keys of each clause begin; one more at the end.
    starts: Vec<u32>,
    keys: Vec<KeyId>,
}

/// On the way to guards: clauses that are the same for many rules are kept once.
#[derive(Debug, Default)]
pub(super) struct GuardsBuilder {
    guards: Guards,
    numbers: HashMap<Rc<[KeyId]>, u32>,
}

impl GuardsBuilder {
    /// Adds the guards of the next rule: what it needs, or, where it is told, all that it says.
    pub(super) fn push(&mut self, needed: &[Clause], exactly: Option<&[(Clause, bool)]>) {
        let mut clauses = Vec::new();
        let exactly = exactly.filter(|clauses| clauses.len() <= MOST);
        match exactly {
            Some(exact) => {
                let number = |(clause, wanted): &(Clause, bool)| self.number(clause) | if *wanted { 0 } else { NOT };
                clauses.extend(exact.iter().map(number));
            }
            None => {
                let mut best: Vec<&Clause> = needed.iter().filter(|clause| clause.keys.len() <= 64).collect();
                best.sort_by(|one, other| one.likelihood.total_cmp(&other.likelihood));
                clauses.extend(best.into_iter().take(MOST).map(|clause| self.number(clause)));
            }
        }
        let mut guard = Guard { exact: exactly.is_some(), ..Guard::default() };
        for (place, clause) in guard.clauses.iter_mut().zip(clauses) {
            *place = clause;
            guard.count += 1;
        }
        self.guards.rules.push(guard);
    }

    fn number(&mut self, clause: &Clause) -> u32 {
        if let Some(number) = self.numbers.get(&clause.keys) {
            return *number;
        }
        let guards = &mut self.guards;
        // Rule sets are far too small for either number to be reached.
        let number = u32::try_from(guards.starts.len()).unwrap_or(NOT - 1);
        guards.starts.push(u32::try_from(guards.keys.len()).unwrap_or(u32::MAX));
        guards.keys.extend_from_slice(&clause.keys);
        self.numbers.insert(Rc::clone(&clause.keys), number);
        number
    }

    pub(super) fn build(self) -> Guards {
        self.guards
    }
}

impl Guards {
    /// The keys of all guards, which have to be looked up.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().copied()
    }

    fn keys_of(&self, clause: u32) -> &[KeyId] {
        let start = self.starts[clause as usize] as usize;
        let end = self.starts.get(clause as usize + 1).map_or(self.keys.len(), |end| *end as usize);
        &self.keys[start..end]
    }

    /// What the keys that the alert holds say about a rule.
    pub(super) fn verdict(&self, rule: u32, held: &Stamps) -> Verdict {
        let guard = &self.rules[rule as usize];
        let refuted = guard.clauses[..usize::from(guard.count)].iter().any(|clause| {
            let holds = self.keys_of(clause & !NOT).iter().any(|key| held.has(*key));
            holds == (clause & NOT != 0)
        });
        match (refuted, guard.exact) {
            (true, _) => Verdict::DoesNotHold,
            (false, true) => Verdict::Holds,
            (false, false) => Verdict::Unknown,
        }
    }
}
