//! Chance that follows from a seed.

use jiff::SignedDuration;

/// A small generator (SplitMix64): each step of a history has its own, so that leaving one step out changes little in
/// the others.
pub(crate) struct Dice(u64);

impl Dice {
    /// The generator of one step of a history.
    pub(crate) fn of_step(seed: u64, step: u32) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(step) << 32));
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, in_a_thousand: u32) -> bool {
        self.next() % 1000 < u64::from(in_a_thousand)
    }

    /// Evenly from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn number(&mut self, low: u32, high: u32) -> u32 {
        u32::try_from(self.between(u64::from(low), u64::from(high))).unwrap_or(high)
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.between(low, high)).unwrap_or(0))
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, length as u64 - 1)).unwrap_or(0)
    }
}
