//! Chance, what it struck, and the story of it.

use super::coverage::Coverage;
use super::dice::Dice;
use super::fault::{Fault, Faults};

/// See the module.
pub(crate) struct Chance {
    pub(crate) dice: Dice,
    without: Faults,
    pub(crate) coverage: Coverage,
    /// Faults that struck.
    pub(crate) faults: u64,
    /// What happened, for people; `None` when nobody asked.
    pub(crate) story: Option<Vec<String>>,
    /// Time since the beginning, for the story.
    pub(crate) elapsed: f64,
}

impl Chance {
    pub(crate) fn new(dice: Dice, without: Faults, tell: bool) -> Self {
        Self { dice, without, coverage: Coverage::default(), faults: 0, story: tell.then(Vec::new), elapsed: 0.0 }
    }

    /// Whether a fault strikes, so many times in a thousand.
    pub(crate) fn fault(&mut self, fault: Fault, in_a_thousand: u32) -> bool {
        let strikes = in_a_thousand > 0 && self.dice.chance(in_a_thousand) && !self.without.contains(fault);
        if strikes {
            self.struck(fault);
        }
        strikes
    }

    /// A fault struck, whatever the dice say.
    pub(crate) fn struck(&mut self, fault: Fault) {
        self.faults += 1;
        self.coverage.saw("fault", fault.word());
        self.tell(|| format!("FAULT {}", fault.word()));
    }

    pub(crate) const fn may(&self, fault: Fault) -> bool {
        !self.without.contains(fault)
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        let elapsed = self.elapsed;
        if let Some(story) = &mut self.story {
            story.push(format!("{elapsed:>10.3}s {}", what()));
        }
    }
}
