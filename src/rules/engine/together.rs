//! Fields of which every value concerns few rules, struck out together: the rules that the alert's values name are counted, and
//! one pass over all rules does for all the fields instead of one for each.

use super::strike::{Row, Rows, Stage, has, set};

/// What some sparse fields say about every rule.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// Rules that ask nothing in any of the fields, and so pass.
    unasked: Vec<u64>,
    /// No rule does.
    all_ask: bool,
    /// In how many of the fields a rule asks.
    asks: Vec<u8>,
}

impl Together {
    /// Of at most 255 stages.
    pub(super) fn new(stages: &[Stage], rules: usize) -> Self {
        let mut unasked = vec![u64::MAX; rules.div_ceil(64)];
        for stage in stages {
            unasked.iter_mut().zip(&stage.unasked).for_each(|(all, word)| *all &= word);
        }
        let number = |rule: usize| u32::try_from(rule).unwrap_or(u32::MAX);
        let asks = |rule: usize| stages.iter().filter(|stage| !has(&stage.unasked, number(rule))).count();
        let asks = (0..rules).map(|rule| u8::try_from(asks(rule)).unwrap_or(u8::MAX)).collect();
        let all_ask = unasked.iter().all(|word| *word == 0);
        Self { unasked, all_ask, asks }
    }

    /// Strikes out what the fields refute, given the rules that each of them [named](name); whether any rule is left.
    pub(super) fn strike(&self, named: &mut [u32], alive: &mut [u64]) -> bool {
        let mut left = 0;
        if self.all_ask {
            alive.fill(0);
        } else {
            for (alive, unasked) in alive.iter_mut().zip(&self.unasked) {
                *alive &= unasked;
                left |= *alive;
            }
        }
        named.sort_unstable();
        let mut any = left != 0;
        for times in named.chunk_by(|one, other| one == other) {
            if times.len() == usize::from(self.asks[times[0] as usize]) {
                set(alive, times[0]);
                any = true;
            }
        }
        any
    }
}

/// Adds the rules that one field lets pass and that are left, each once.
pub(super) fn name(rows: &Rows, of_field: &[Row], alive: &[u64], named: &mut Vec<u32>) {
    let from = named.len();
    for row in of_field {
        rows.each(*row, |rule| {
            if has(alive, rule) {
                named.push(rule);
            }
        });
    }
    if of_field.len() > 1 {
        named[from..].sort_unstable();
        let mut kept = from;
        for at in from..named.len() {
            if at == from || named[at] != named[at - 1] {
                named[kept] = named[at];
                kept += 1;
            }
        }
        named.truncate(kept);
    }
}
