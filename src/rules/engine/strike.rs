//! One bit per rule, and each field strikes out the rules it refutes.

use std::collections::HashMap;

use super::keys::KeyId;
use super::necessary::Clause;

/// A row with fewer rules than one in so many words is a list and not a bitmap.
const SPARSE: usize = 2;

/// What one field, or the clauses over several, say about every rule.
#[derive(Debug)]
pub(super) struct Stage {
    /// Rules that ask nothing here, and so pass.
    unasked: Vec<u64>,
}

/// The rules that need a key.
#[derive(Debug)]
enum Row {
    Few(Vec<u32>),
    Many(Vec<u64>),
}

/// Which rules each key lets pass.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rules: usize,
    rows: Vec<Row>,
}

/// Which row a key lets pass.
pub(super) type RowId = u32;

impl Stage {
    /// How many rules it can never strike out.
    pub(super) fn unasked(&self) -> usize {
        self.unasked.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl Rows {
    pub(super) const fn new(rules: usize) -> Self {
        Self { rules, rows: Vec::new() }
    }

    const fn words(&self) -> usize {
        self.rules.div_ceil(64)
    }

    /// The stage of some clauses, each with the number of its rule, at most one per rule; and for each key its row.
    pub(super) fn stage<'c>(
        &mut self,
        clauses: impl Iterator<Item = (u32, &'c Clause)>,
    ) -> (Stage, HashMap<KeyId, RowId>) {
        let mut unasked = Vec::new();
        self.begin(&mut unasked);
        let mut by_key: HashMap<KeyId, Vec<u32>> = HashMap::new();
        for (rule, clause) in clauses {
            unasked[(rule / 64) as usize] &= !(1 << (rule % 64));
            for key in clause.keys.iter() {
                by_key.entry(*key).or_default().push(rule);
            }
        }
        let mut rows = HashMap::new();
        for (key, rules) in by_key {
            rows.insert(key, u32::try_from(self.rows.len()).unwrap_or(RowId::MAX));
            self.rows.push(row(rules, self.words()));
        }
        (Stage { unasked }, rows)
    }

    /// Every rule's bit.
    pub(super) fn begin(&self, alive: &mut Vec<u64>) {
        alive.clear();
        alive.resize(self.words(), u64::MAX);
        let beyond = self.words() * 64 - self.rules;
        if let Some(last) = alive.last_mut() {
            *last >>= beyond;
        }
    }

    /// Strikes out what the stage refutes, given the rows of the keys that the alert holds; whether any rule is left.
    pub(super) fn strike(&self, stage: &Stage, rows: &[RowId], alive: &mut [u64], passing: &mut Vec<u64>) -> bool {
        passing.clear();
        // What the rows let pass of those that are left; few rules are kept by number, which spares a pass over all words.
        let mut few = true;
        for row in rows {
            match &self.rows[*row as usize] {
                Row::Few(rules) if few => {
                    passing.extend(rules.iter().filter(|rule| has(alive, **rule)).map(|rule| u64::from(*rule)))
                }
                Row::Few(rules) => rules.iter().for_each(|rule| set(passing, *rule)),
                Row::Many(words) => {
                    if std::mem::take(&mut few) {
                        unfold(passing, words.len());
                    }
                    passing.iter_mut().zip(words).for_each(|(pass, word)| *pass |= word);
                }
            }
        }
        let mut left = 0;
        if few {
            for (alive, unasked) in alive.iter_mut().zip(&stage.unasked) {
                *alive &= unasked;
                left |= *alive;
            }
            for rule in passing.iter() {
                // It was a rule's number before.
                set(alive, u32::try_from(*rule).unwrap_or_default());
            }
            left != 0 || !passing.is_empty()
        } else {
            for ((alive, unasked), pass) in alive.iter_mut().zip(&stage.unasked).zip(passing.iter()) {
                *alive &= unasked | pass;
                left |= *alive;
            }
            left != 0
        }
    }
}

fn has(bits: &[u64], rule: u32) -> bool {
    bits[(rule / 64) as usize] >> (rule % 64) & 1 != 0
}

fn set(bits: &mut [u64], rule: u32) {
    bits[(rule / 64) as usize] |= 1 << (rule % 64);
}

/// Turns a list of numbers into bits.
fn unfold(rules: &mut Vec<u64>, words: usize) {
    let count = rules.len();
    rules.resize(count + words, 0);
    for at in 0..count {
        let rule = rules[at];
        let word = count + usize::try_from(rule / 64).unwrap_or_default();
        rules[word] |= 1 << (rule % 64);
    }
    rules.drain(..count);
}

/// Tells the rules whose bit is set, ascending.
pub(super) fn each(alive: &[u64], mut tell: impl FnMut(u32)) {
    for (first, word) in (0_u32..).step_by(64).zip(alive) {
        let mut left = *word;
        while left != 0 {
            tell(first + left.trailing_zeros());
            left &= left - 1;
        }
    }
}

fn row(rules: Vec<u32>, words: usize) -> Row {
    if rules.len() * SPARSE <= words {
        return Row::Few(rules);
    }
    let mut bits = vec![0; words];
    for rule in rules {
        set(&mut bits, rule);
    }
    Row::Many(bits)
}
