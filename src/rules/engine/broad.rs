//! Rules that share their keys with many others: one bit each, and each field strikes out those it refutes.

use std::collections::HashMap;

use super::keys::KeyId;
use super::necessary::Clause;

/// A row with fewer rules than one in so many words is a list and not a bitmap.
const SPARSE: usize = 2;

/// What one field, or the clauses over several, say about every broad rule.
#[derive(Debug)]
pub(super) struct Stage {
    /// Rules that ask nothing here, and so pass.
    unasked: Vec<u64>,
}

/// The broad rules that need a key.
#[derive(Debug)]
enum Row {
    Few(Vec<u32>),
    Many(Vec<u64>),
}

/// The rules themselves, by their own numbers.
#[derive(Debug, Default)]
pub(super) struct Broad {
    /// Index in the rule set of each.
    pub(super) rules: Vec<u32>,
    rows: Vec<Row>,
}

/// Which row a key lets pass.
pub(super) type RowId = u32;

impl Broad {
    pub(super) fn new(rules: Vec<u32>) -> Self {
        Self { rules, rows: Vec::new() }
    }

    pub(super) fn words(&self) -> usize {
        self.rules.len().div_ceil(64)
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
        let beyond = self.words() * 64 - self.rules.len();
        if let Some(last) = alive.last_mut() {
            *last >>= beyond;
        }
    }

    /// Strikes out what the stage refutes, given the rows of the keys that the alert holds; whether any rule is left.
    pub(super) fn strike(&self, stage: &Stage, rows: &[RowId], alive: &mut [u64], passing: &mut Vec<u64>) -> bool {
        let pass: &[u64] = if rows.is_empty() {
            &stage.unasked
        } else {
            passing.clear();
            passing.extend_from_slice(&stage.unasked);
            for row in rows {
                match &self.rows[*row as usize] {
                    Row::Few(rules) => rules.iter().for_each(|rule| passing[(rule / 64) as usize] |= 1 << (rule % 64)),
                    Row::Many(words) => passing.iter_mut().zip(words).for_each(|(pass, word)| *pass |= word),
                }
            }
            passing
        };
        let mut left = 0;
        for (alive, pass) in alive.iter_mut().zip(pass) {
            *alive &= pass;
            left |= *alive;
        }
        left != 0
    }

    /// Tells the rules that are left, as indexes in the rule set.
    pub(super) fn left(&self, alive: &[u64], mut tell: impl FnMut(u32)) {
        for (word, of_word) in alive.iter().zip(self.rules.chunks(64)) {
            let mut left = *word;
            while left != 0 {
                tell(of_word[left.trailing_zeros() as usize]);
                left &= left - 1;
            }
        }
    }
}

fn row(rules: Vec<u32>, words: usize) -> Row {
    if rules.len() * SPARSE <= words {
        return Row::Few(rules);
    }
    let mut bits = vec![0; words];
    for rule in rules {
        bits[(rule / 64) as usize] |= 1 << (rule % 64);
    }
    Row::Many(bits)
}
