//! The index: which rules can match an alert at all, found without looking at every rule.
//!
//! For each rule [`necessary`] reads clauses: lists of keys of which every matching alert holds at least one. A rule with a
//! clause whose keys few rules share is *keyed*: it is a candidate where the alert holds one of them. The others are
//! *broad*: each field in turn strikes out those whose clause it refutes, many rules per machine word. What is left is
//! tested in full, so that the index decides what is looked at and never what matches.

mod broad;
mod keys;
mod literals;
mod lookup;
mod necessary;
mod scratch;

use std::collections::HashMap;

pub use scratch::Scratch;

use self::broad::{Broad, RowId, Stage};
use self::keys::{KeyId, Keys};
use self::lookup::Lookup;
use self::necessary::{Clause, Reader};
use super::document::Rule;
use super::field::Field;
use crate::alert::{Alert, Device};

/// So few rules are faster tested one by one.
const LINEAR: usize = 3;
/// A key that more rules share makes too many candidates.
const POPULAR: u32 = 12;
/// A clause that is guessed to hold this often refutes too little to be looked up.
const USELESS: f64 = 0.85;

/// Finds the rules that can match.
#[derive(Debug, Default)]
pub(super) struct Index {
    rules: usize,
    /// Every rule is a candidate.
    linear: bool,
    /// In the order in which fields are looked at.
    steps: Vec<Step>,
    broad: Broad,
    mixed: Option<Stage>,
    /// What follows where the alert holds a key.
    effects: Vec<Effect>,
}

/// One field.
#[derive(Debug)]
struct Step {
    slot: usize,
    lookup: Lookup,
    stage: Option<Stage>,
    /// No keyed rule asks: it need not be looked at where no broad rule is left.
    only_for_stage: bool,
}

/// What follows from one key.
#[derive(Debug, Clone, Default)]
struct Effect {
    /// Keyed rules that need it.
    keyed: Vec<u32>,
    row: Option<RowId>,
    mixed_row: Option<RowId>,
}

impl Index {
    /// Reads all rules once. It takes some microseconds per rule.
    pub(super) fn build(rules: &[Rule], fields: &[Field]) -> Self {
        if rules.len() <= LINEAR {
            return Self { rules: rules.len(), linear: true, ..Self::default() };
        }
        let mut reader = Reader { fields, keys: Keys::default() };
        let clauses: Vec<Vec<Clause>> = rules.iter().map(|rule| reader.clauses(rule)).collect();
        Builder::new(reader.keys, &clauses).build(fields.len())
    }

    /// Puts the rules that can match into the scratch's candidates, in no order, each once. Reads the fields it looks at.
    pub(super) fn find(&self, fields: &[Field], alert: &Alert, device: &Device, scratch: &mut Scratch) {
        let Scratch { facts, candidates, met_rules, met_keys, alive, passing, rows, mixed_rows, .. } = scratch;
        candidates.clear();
        if self.linear {
            candidates.extend((0..self.rules).filter_map(|rule| u32::try_from(rule).ok()));
            return;
        }
        met_rules.begin(self.rules);
        met_keys.begin(self.effects.len());
        self.broad.begin(alive);
        mixed_rows.clear();
        let mut any_left = !self.broad.rules.is_empty();
        for step in &self.steps {
            if step.only_for_stage && !any_left {
                continue;
            }
            facts.read(step.slot, &fields[step.slot], alert, device);
            rows.clear();
            step.lookup.keys_of(facts.slot(step.slot), |key| {
                if !met_keys.add(key) {
                    return;
                }
                let effect = &self.effects[key as usize];
                candidates.extend(effect.keyed.iter().filter(|rule| met_rules.add(**rule)));
                rows.extend(effect.row);
                mixed_rows.extend(effect.mixed_row);
            });
            if let Some(stage) = step.stage.as_ref().filter(|_| any_left) {
                any_left = self.broad.strike(stage, rows, alive, passing);
            }
        }
        if let Some(stage) = self.mixed.as_ref().filter(|_| any_left) {
            any_left = self.broad.strike(stage, mixed_rows, alive, passing);
        }
        if any_left {
            self.broad.left(alive, |rule| candidates.push(rule));
        }
    }
}

/// What is known while an index is built.
struct Builder<'c> {
    keys: Keys,
    clauses: &'c [Vec<Clause>],
    /// Rules that have each key in some clause.
    sharing: Vec<u32>,
}

impl<'c> Builder<'c> {
    fn new(keys: Keys, clauses: &'c [Vec<Clause>]) -> Self {
        let mut sharing = vec![0; keys.len()];
        for key in clauses.iter().flatten().flat_map(|clause| clause.keys.iter()) {
            sharing[*key as usize] += 1;
        }
        Self { keys, clauses, sharing }
    }

    /// The clause that makes a rule keyed: all its keys are rare among rules.
    fn rare_clause(&self, clauses: &'c [Clause]) -> Option<&'c Clause> {
        let rare = |clause: &&Clause| clause.keys.iter().all(|key| self.sharing[*key as usize] <= POPULAR);
        let useful = clauses.iter().filter(|clause| clause.likelihood < USELESS || clause.keys.is_empty());
        useful.filter(rare).min_by(|one, other| one.likelihood.total_cmp(&other.likelihood))
    }

    fn build(self, slots: usize) -> Index {
        let mut effects = vec![Effect::default(); self.keys.len()];
        let mut broad: Vec<(u32, &[Clause])> = Vec::new();
        for (rule, clauses) in (0_u32..).zip(self.clauses) {
            match self.rare_clause(clauses) {
                Some(clause) => clause.keys.iter().for_each(|key| effects[*key as usize].keyed.push(rule)),
                None => broad.push((rule, clauses)),
            }
        }
        let broad_clauses: Vec<&[Clause]> = broad.iter().map(|(_, clauses)| *clauses).collect();
        let mut bits = Broad::new(broad.into_iter().map(|(rule, _)| rule).collect());
        let mut stages: HashMap<Option<usize>, Stage> = HashMap::new();
        for slot in (0..slots).map(Some).chain([None]) {
            let of_slot =
                |clauses: &&'c [Clause]| clauses.iter().find(|clause| clause.slot == slot && is_useful(clause));
            let asked: Vec<(u32, &Clause)> = (0_u32..)
                .zip(&broad_clauses)
                .filter_map(|(number, clauses)| Some((number, of_slot(clauses)?)))
                .collect();
            if asked.is_empty() {
                continue;
            }
            let (stage, rows) = bits.stage(asked.into_iter());
            stages.insert(slot, stage);
            for (key, row) in rows {
                let effect = &mut effects[key as usize];
                *(if slot.is_some() { &mut effect.row } else { &mut effect.mixed_row }) = Some(row);
            }
        }
        let steps = self.steps(slots, &effects, &mut stages);
        let rules = self.clauses.len();
        Index { rules, linear: false, steps, broad: bits, mixed: stages.remove(&None), effects }
    }

    fn steps(&self, slots: usize, effects: &[Effect], stages: &mut HashMap<Option<usize>, Stage>) -> Vec<Step> {
        let mut of_slot: Vec<Vec<KeyId>> = vec![Vec::new(); slots];
        for (key, effect) in (0..).zip(effects) {
            if !effect.keyed.is_empty() || effect.row.is_some() || effect.mixed_row.is_some() {
                of_slot[self.keys.get(key).slot].push(key);
            }
        }
        let mut steps: Vec<Step> = Vec::new();
        for (slot, keys) in of_slot.into_iter().enumerate() {
            let stage = stages.remove(&Some(slot));
            if keys.is_empty() && stage.is_none() {
                continue;
            }
            let only_for_stage = keys.iter().all(|key| effects[*key as usize].keyed.is_empty());
            let lookup = Lookup::new(keys.iter().map(|key| (*key, self.keys.get(*key))));
            steps.push(Step { slot, lookup, stage, only_for_stage });
        }
        // Texts are searched last, when perhaps nobody asks any more.
        steps.sort_by_key(|step| (step.lookup.is_slow(), !step.only_for_stage));
        steps
    }
}

fn is_useful(clause: &Clause) -> bool {
    clause.likelihood < USELESS
}
