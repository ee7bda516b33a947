//! One bit per rule, and each field strikes out the rules it refutes.

use std::collections::BTreeMap;

use super::keys::KeyId;
use super::necessary::Clause;

/// A row with fewer rules than one in so many words is a list and not a bitmap.
const SPARSE: usize = 2;

/// What one field, or the clauses over several, say about every rule.
#[derive(Debug)]
pub(super) struct Stage {
    /// Rules that ask nothing here, and so pass.
    pub(super) unasked: Vec<u64>,
    /// Every key lets few rules pass.
    pub(super) is_sparse: bool,
}

/// The rules that need a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row {
    /// A list: where it begins and ends in [`Rows::few`].
    Few(u32, u32),
    /// A bitmap: where it begins in [`Rows::many`].
    Many(u32),
}

/// Which rules each key lets pass.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rules: usize,
    /// A row with more rules is a bitmap.
    longest_list: usize,
    few: Vec<u32>,
    many: Vec<u64>,
}

impl Stage {
    /// How many rules it can never strike out.
    pub(super) fn unasked(&self) -> usize {
        self.unasked.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl Rows {
    /// For so many rules; `longest_list` where it is not to be told by their number.
    pub(super) fn new(rules: usize, longest_list: Option<usize>) -> Self {
        let longest_list = longest_list.unwrap_or(rules.div_ceil(64) / SPARSE);
        Self { rules, longest_list, ..Self::default() }
    }

    const fn words(&self) -> usize {
        self.rules.div_ceil(64)
    }

    /// The stage of some clauses, each with the number of its rule, at most one per rule; and for each key its row.
    pub(super) fn stage<'c>(&mut self, clauses: impl Iterator<Item = (u32, &'c Clause)>) -> (Stage, Vec<(KeyId, Row)>) {
        let mut unasked = Vec::new();
        self.begin(&mut unasked);
        let mut by_key: BTreeMap<KeyId, Vec<u32>> = BTreeMap::new();
        for (rule, clause) in clauses {
            unasked[(rule / 64) as usize] &= !(1 << (rule % 64));
            for key in clause.keys.iter() {
                by_key.entry(*key).or_default().push(rule);
            }
        }
        let rows: Vec<(KeyId, Row)> = by_key.into_iter().map(|(key, rules)| (key, self.row(&rules))).collect();
        let is_sparse = rows.iter().all(|(_, row)| matches!(row, Row::Few(..)));
        (Stage { unasked, is_sparse }, rows)
    }

    fn row(&mut self, rules: &[u32]) -> Row {
        // Sets of rules are far too small for either number to be reached.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        if rules.len() <= self.longest_list {
            let start = place(self.few.len());
            self.few.extend_from_slice(rules);
            return Row::Few(start, place(self.few.len()));
        }
        let start = self.many.len();
        self.many.resize(start + self.words(), 0);
        rules.iter().for_each(|rule| set(&mut self.many[start..], *rule));
        Row::Many(place(start))
    }

    fn list(&self, start: u32, end: u32) -> &[u32] {
        &self.few[start as usize..end as usize]
    }

    fn bitmap(&self, start: u32) -> &[u64] {
        &self.many[start as usize..start as usize + self.words()]
    }

    /// Tells the rules of a row.
    pub(super) fn each(&self, row: Row, tell: impl FnMut(u32)) {
        match row {
            Row::Few(start, end) => self.list(start, end).iter().copied().for_each(tell),
            Row::Many(start) => each(self.bitmap(start), tell),
        }
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
    pub(super) fn strike(&self, stage: &Stage, rows: &[Row], alive: &mut [u64], passing: &mut Vec<u64>) -> bool {
        passing.clear();
        passing.resize(self.words(), 0);
        for row in rows {
            match *row {
                Row::Few(start, end) => self.list(start, end).iter().for_each(|rule| set(passing, *rule)),
                Row::Many(start) => passing.iter_mut().zip(self.bitmap(start)).for_each(|(pass, word)| *pass |= word),
            }
        }
        let mut left = 0;
        for ((alive, unasked), pass) in alive.iter_mut().zip(&stage.unasked).zip(passing.iter()) {
            *alive &= unasked | pass;
            left |= *alive;
        }
        left != 0
    }
}

pub(super) fn has(bits: &[u64], rule: u32) -> bool {
    bits[(rule / 64) as usize] >> (rule % 64) & 1 != 0
}

pub(super) fn set(bits: &mut [u64], rule: u32) {
    bits[(rule / 64) as usize] |= 1 << (rule % 64);
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
