//! The index: which rules can match an alert at all, found without looking at every rule.
//!
//! For each rule [`necessary`] reads clauses: lists of keys of which every matching alert holds at least one. A rule with a
//! clause whose keys few rules share is *keyed*: it is a candidate where the alert holds one of them. The others are
//! *broad*: each field in turn strikes out those whose clause it refutes, many rules per machine word. The [`guards`] then
//! look at the other clauses of each candidate. Where clauses say all that a rule says, that is the answer; what is left
//! is tested in full.

mod broad;
mod guards;
mod keys;
mod literals;
mod lookup;
mod necessary;
mod scratch;

use std::collections::HashMap;

pub use scratch::Scratch;

use self::broad::{Broad, RowId, Stage};
use self::guards::{Guards, GuardsBuilder, Verdict};
use self::keys::{KeyId, Keys};
use self::lookup::Lookup;
use self::necessary::{Clause, Reader};
use super::document::Rule;
use super::field::Field;
use crate::alert::{Alert, Device};

/// So few rules are faster tested one by one.
const LINEAR: usize = 3;
/// A key that more rules share makes too many candidates.
const POPULAR: u32 = 2;
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
    guards: Guards,
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
    /// A guard of a keyed rule asks for it.
    guards: bool,
    /// Keyed rules that need it.
    keyed: Vec<u32>,
    row: Option<RowId>,
    mixed_row: Option<RowId>,
}

impl Index {
    /// Reads all rules once. It takes some microseconds per rule.
    pub(super) fn build(rules: &[Rule], fields: &[Field]) -> Self {
        let linear = Self { rules: rules.len(), linear: true, ..Self::default() };
        if rules.len() <= LINEAR {
            return linear;
        }
        let mut reader = Reader { fields, keys: Keys::default() };
        let mut guards = GuardsBuilder::default();
        let mut clauses: Vec<Vec<Clause>> = Vec::with_capacity(rules.len());
        for rule in rules {
            let needed = reader.clauses(rule);
            guards.push(&needed, reader.exactly(rule).as_deref());
            clauses.push(needed);
        }
        Builder::new(reader.keys, &clauses, guards.build()).build(fields.len()).unwrap_or(linear)
    }

    /// Puts the rules that hold into the scratch's `decided`, and those that may into its `candidates`, in no order, each
    /// rule once. Reads the fields it looks at.
    pub(super) fn find(&self, fields: &[Field], alert: &Alert, device: &Device, scratch: &mut Scratch) {
        let Scratch { facts, candidates, decided, met_rules, met_keys, alive, passing, rows, mixed_rows, .. } = scratch;
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
        candidates.retain(|rule| {
            let verdict = self.guards.verdict(*rule, met_keys);
            if verdict == Verdict::Holds {
                decided.push(*rule);
            }
            verdict == Verdict::Unknown
        });
    }
}

/// What is known while an index is built.
struct Builder<'c> {
    keys: Keys,
    clauses: &'c [Vec<Clause>],
    /// Rules that have each key in some clause.
    sharing: Vec<u32>,
    guards: Guards,
}

impl<'c> Builder<'c> {
    fn new(keys: Keys, clauses: &'c [Vec<Clause>], guards: Guards) -> Self {
        let mut sharing = vec![0; keys.len()];
        for key in clauses.iter().flatten().flat_map(|clause| clause.keys.iter()) {
            sharing[*key as usize] += 1;
        }
        Self { keys, clauses, sharing, guards }
    }

    /// The clause that makes a rule keyed: all its keys are rare among rules.
    fn rare_clause(&self, clauses: &'c [Clause]) -> Option<&'c Clause> {
        let rare = |clause: &&Clause| clause.keys.iter().all(|key| self.sharing[*key as usize] <= POPULAR);
        let useful = clauses.iter().filter(|clause| clause.likelihood < USELESS || clause.keys.is_empty());
        useful.filter(rare).min_by(|one, other| one.likelihood.total_cmp(&other.likelihood))
    }

    /// `None` where an automaton would be too large.
    fn build(self, slots: usize) -> Option<Index> {
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
        let is_keyed = |rule: &usize| bits.rules.binary_search(&u32::try_from(*rule).unwrap_or(u32::MAX)).is_err();
        let guards = &self.guards;
        let mut guarding = vec![false; self.keys.len()];
        for rule in 0..self.clauses.len() {
            let keyed = is_keyed(&rule);
            for key in guards.keys_of(rule) {
                guarding[key as usize] = true;
                effects[key as usize].guards |= keyed;
            }
        }
        let steps = self.steps(slots, &effects, &guarding, &mut stages)?;
        let rules = self.clauses.len();
        let mixed = stages.remove(&None);
        Some(Index { rules, linear: false, steps, broad: bits, mixed, effects, guards: self.guards })
    }

    fn steps(
        &self,
        slots: usize,
        effects: &[Effect],
        guarding: &[bool],
        stages: &mut HashMap<Option<usize>, Stage>,
    ) -> Option<Vec<Step>> {
        let mut of_slot: Vec<Vec<KeyId>> = vec![Vec::new(); slots];
        for (key, (effect, guarding)) in (0..).zip(effects.iter().zip(guarding)) {
            if *guarding || !effect.keyed.is_empty() || effect.row.is_some() || effect.mixed_row.is_some() {
                of_slot[self.keys.get(key).slot].push(key);
            }
        }
        let mut steps: Vec<Step> = Vec::new();
        for (slot, keys) in of_slot.into_iter().enumerate() {
            let stage = stages.remove(&Some(slot));
            if keys.is_empty() && stage.is_none() {
                continue;
            }
            let effects = keys.iter().map(|key| &effects[*key as usize]);
            let only_for_stage = effects.clone().all(|effect| effect.keyed.is_empty() && !effect.guards);
            let lookup = Lookup::new(keys.iter().map(|key| (*key, self.keys.get(*key))))?;
            steps.push(Step { slot, lookup, stage, only_for_stage });
        }
        // Texts are searched last, when perhaps nobody asks any more.
        steps.sort_by_key(|step| (step.lookup.is_slow(), !step.only_for_stage));
        Some(steps)
    }
}

fn is_useful(clause: &Clause) -> bool {
    clause.likelihood < USELESS
}

#[cfg(test)]
mod tests;
