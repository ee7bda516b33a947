//! The index: which rules can match an alert at all, found without looking at every rule.
//!
//! For each rule [`necessary`] reads clauses: lists of keys of which every matching alert holds at least one. All keys of a
//! field are looked up at once ([`lookup`]), and each field in turn strikes out the rules whose clause it refutes, 64 rules
//! per machine word ([`strike`]), or several fields at once where each value concerns few rules ([`together`]); once no rule
//! is left no further field is looked at. The [`guards`] then see to what is left: where keys say all that a rule says,
//! exceptions included, they are the answer, and what remains is tested in full.

mod guards;
mod keys;
mod literals;
mod lookup;
mod necessary;
mod scratch;
mod strike;
mod together;

use std::collections::HashMap;

pub use scratch::Scratch;

use self::guards::{Guards, GuardsBuilder, Verdict};
use self::keys::{KeyId, Keys};
use self::lookup::Lookup;
use self::necessary::{Clause, Reader};
use self::strike::{Row, Rows, Stage};
use self::together::Together;
use super::document::Rule;
use super::field::Field;
use crate::alert::{Alert, Device};

/// So few rules are faster tested one by one.
const LINEAR: usize = 3;
/// A clause that is guessed to hold this often refutes too little to be looked up.
const USELESS: f64 = 0.85;
/// So many fields are struck out together; one byte counts them.
const MOST_TOGETHER: usize = 255;

/// Finds the rules that can match.
#[derive(Debug, Default)]
pub(super) struct Index {
    rules: usize,
    /// Every rule is a candidate.
    linear: bool,
    /// In the order in which fields are looked at.
    steps: Vec<Step>,
    rows: Rows,
    together: Together,
    /// Clauses over several fields.
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
    strikes: Strikes,
}

/// How a field strikes out rules.
#[derive(Debug)]
enum Strikes {
    /// Not at all: guards look at it.
    Never,
    Alone(Stage),
    /// It is sparse, and more sparse fields follow.
    Together,
    /// It is the last of the sparse fields.
    LastTogether,
}

/// The rows of the rules that one key lets pass.
#[derive(Debug, Clone, Copy, Default)]
struct Effect {
    row: Option<Row>,
    mixed_row: Option<Row>,
}

impl Index {
    /// Reads all rules once. It takes some microseconds per rule.
    pub(super) fn build(rules: &[Rule], fields: &[Field]) -> Self {
        Self::build_with(rules, fields, None)
    }

    /// With lists of rules of that length instead of bitmaps.
    pub(super) fn build_with(rules: &[Rule], fields: &[Field], longest_list: Option<usize>) -> Self {
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
        let rows = Rows::new(rules.len(), longest_list);
        Self::assemble(&reader.keys, &clauses, guards.build(), fields.len(), rows).unwrap_or(linear)
    }

    /// `None` where an automaton would be too large.
    fn assemble(keys: &Keys, clauses: &[Vec<Clause>], guards: Guards, slots: usize, mut rows: Rows) -> Option<Self> {
        let mut effects = vec![Effect::default(); keys.len()];
        let mut stages: HashMap<Option<usize>, Stage> = HashMap::new();
        for slot in (0..slots).map(Some).chain([None]) {
            let of_slot = |clause: &&Clause| clause.slot == slot && is_useful(clause);
            let asked: Vec<(u32, &Clause)> =
                (0..).zip(clauses).filter_map(|(rule, all)| Some((rule, all.iter().find(of_slot)?))).collect();
            if asked.is_empty() {
                continue;
            }
            let (stage, by_key) = rows.stage(asked.into_iter());
            stages.insert(slot, stage);
            for (key, row) in by_key {
                let effect = &mut effects[key as usize];
                *(if slot.is_some() { &mut effect.row } else { &mut effect.mixed_row }) = Some(row);
            }
        }
        let mut wanted: Vec<bool> =
            effects.iter().map(|effect| effect.row.is_some() || effect.mixed_row.is_some()).collect();
        guards.keys().for_each(|key| wanted[key as usize] = true);
        let mixed = stages.remove(&None);
        let (steps, together) = steps(keys, slots, &wanted, &mut stages, clauses.len())?;
        Some(Self { rules: clauses.len(), linear: false, steps, rows, together, mixed, effects, guards })
    }

    /// Puts the rules that hold into the scratch's `decided`, and those that may into its `candidates`, each rule once.
    /// Reads the fields it looks at.
    pub(super) fn find(&self, fields: &[Field], alert: &Alert, device: &Device, scratch: &mut Scratch) {
        let Scratch { facts, candidates, decided, met, alive, passing, named, rows, mixed_rows, .. } = scratch;
        if self.linear {
            candidates.extend((0..self.rules).filter_map(|rule| u32::try_from(rule).ok()));
            return;
        }
        met.begin(self.effects.len());
        self.rows.begin(alive);
        mixed_rows.clear();
        named.clear();
        for step in &self.steps {
            facts.read(step.slot, &fields[step.slot], alert, device);
            rows.clear();
            step.lookup.keys_of(facts.slot(step.slot), |key| {
                if met.add(key) {
                    let effect = &self.effects[key as usize];
                    rows.extend(effect.row);
                    mixed_rows.extend(effect.mixed_row);
                }
            });
            let any_left = match &step.strikes {
                Strikes::Never => true,
                Strikes::Alone(stage) => self.rows.strike(stage, rows, alive, passing),
                Strikes::Together | Strikes::LastTogether => {
                    together::name(&self.rows, rows, alive, named);
                    matches!(step.strikes, Strikes::Together) || self.together.strike(named, alive)
                }
            };
            if !any_left {
                return;
            }
        }
        if let Some(stage) = &self.mixed
            && !self.rows.strike(stage, mixed_rows, alive, passing)
        {
            return;
        }
        strike::each(alive, |rule| match self.guards.verdict(rule, met) {
            Verdict::Holds => decided.push(rule),
            Verdict::Unknown => candidates.push(rule),
            Verdict::DoesNotHold => {}
        });
    }
}

/// The fields in the order in which they are looked at: what strikes out most for little comes first, and fields that are
/// struck out together in a row; texts are searched, and fields looked at for guards alone, when perhaps no rule is left.
fn steps(
    keys: &Keys,
    slots: usize,
    wanted: &[bool],
    stages: &mut HashMap<Option<usize>, Stage>,
    rules: usize,
) -> Option<(Vec<Step>, Together)> {
    let mut of_slot: Vec<Vec<KeyId>> = vec![Vec::new(); slots];
    for (key, _) in (0..).zip(wanted).filter(|(_, wanted)| **wanted) {
        of_slot[keys.get(key).slot].push(key);
    }
    let mut found: Vec<(usize, Lookup, Option<Stage>)> = Vec::new();
    for (slot, of_slot) in of_slot.into_iter().enumerate() {
        let stage = stages.remove(&Some(slot));
        if stage.is_some() || !of_slot.is_empty() {
            found.push((slot, Lookup::new(of_slot.iter().map(|key| (*key, keys.get(*key))))?, stage));
        }
    }
    let is_shared = |lookup: &Lookup, stage: &Stage| stage.is_sparse && !lookup.is_slow();
    found.sort_by_key(|(_, lookup, stage)| {
        let unasked = stage.as_ref().map_or(usize::MAX, Stage::unasked);
        (lookup.is_slow(), stage.is_none(), stage.as_ref().is_some_and(|stage| is_shared(lookup, stage)), unasked)
    });
    let mut shared = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    for (slot, lookup, stage) in found {
        let strikes = match stage {
            None => Strikes::Never,
            Some(stage) if is_shared(&lookup, &stage) && shared.len() < MOST_TOGETHER => {
                shared.push(stage);
                Strikes::Together
            }
            Some(stage) => Strikes::Alone(stage),
        };
        steps.push(Step { slot, lookup, strikes });
    }
    if let Some(last) = steps.iter_mut().rfind(|step| matches!(step.strikes, Strikes::Together)) {
        last.strikes = Strikes::LastTogether;
    }
    Some((steps, Together::new(&shared, rules)))
}

fn is_useful(clause: &Clause) -> bool {
    clause.likelihood < USELESS
}

#[cfg(test)]
mod tests;
