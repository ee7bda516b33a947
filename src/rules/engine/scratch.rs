//! Buffers of an evaluation, kept from alert to alert.

use super::strike::Row;
use crate::rules::facts::{FactStore, Facts};

/// Buffers that an evaluation works in. Whoever evaluates many alerts keeps one, and after the first alerts nothing is
/// allocated for an alert that no rule matches.
///
/// It holds nothing that matters: any scratch may be used with any rule set.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(in crate::rules) facts: FactStore,
    /// Indexes of the rules that match, ascending.
    pub(in crate::rules) matched: Vec<u32>,
    /// Indexes of rules that have to be tested in full.
    pub(super) candidates: Vec<u32>,
    /// Rules of which the index knows that they hold.
    pub(super) decided: Vec<u32>,
    /// Keys that the alert holds.
    pub(super) met: Stamps,
    /// One bit per rule: not refuted yet.
    pub(super) alive: Vec<u64>,
    /// What one stage lets pass.
    pub(super) passing: Vec<u64>,
    /// Rules that sparse fields let pass, once for each field.
    pub(super) named: Vec<u32>,
    /// Rows of the stage at hand, and of the stage over several fields.
    pub(super) rows: Vec<Row>,
    pub(super) mixed_rows: Vec<Row>,
}

impl Scratch {
    /// How many rules were tested in full in the last evaluation: what the index left.
    #[must_use]
    pub const fn candidate_count(&self) -> usize {
        self.candidates.len()
    }

    /// Forgets the last alert.
    pub(in crate::rules) fn begin(&mut self, slots: usize) {
        self.facts.begin(slots);
        self.candidates.clear();
        self.decided.clear();
        self.matched.clear();
    }

    /// Keeps the rules that hold and still answer, in the order of rules. The fields that the index did not need are read
    /// where some rule has to be tested in full.
    pub(in crate::rules) fn keep_matching(
        &mut self,
        read_all: impl FnOnce(&mut FactStore),
        answers: impl Fn(u32) -> bool,
        holds: impl Fn(u32, &Facts<'_>) -> bool,
    ) {
        self.matched.extend(self.decided.iter().copied().filter(|rule| answers(*rule)));
        if !self.candidates.is_empty() {
            read_all(&mut self.facts);
            let facts = Facts::of(&self.facts);
            let found = self.candidates.iter().copied().filter(|rule| answers(*rule) && holds(*rule, &facts));
            self.matched.extend(found);
        }
        self.matched.sort_unstable();
    }
}

/// A set of small numbers that is emptied in one step.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    stamps: Vec<u32>,
    now: u32,
}

impl Stamps {
    /// Empties the set, which from now on takes numbers below `size`.
    pub(super) fn begin(&mut self, size: usize) {
        if self.now == u32::MAX {
            self.stamps.fill(0);
            self.now = 0;
        }
        self.now += 1;
        if self.stamps.len() < size {
            self.stamps.resize(size, 0);
        }
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.stamps[number as usize] == self.now
    }

    /// Whether the number is new to the set.
    pub(super) fn add(&mut self, number: u32) -> bool {
        let stamp = &mut self.stamps[number as usize];
        std::mem::replace(stamp, self.now) != self.now
    }
}
