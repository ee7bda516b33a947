//! Selections at work: which of them hold for one alert and device.

use super::diagnostic::Span;
use super::facts::{Facts, Slot};
use super::pattern::Pattern;

/// A selection: it holds where any of its alternatives does (a list of maps), and an alternative where all its tests do.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) name: String,
    /// Where the name stands.
    pub(super) span: Span,
    pub(super) alternatives: Vec<Vec<FieldTest>>,
}

/// One line of a selection: a field, modifiers, and the values it is compared with.
#[derive(Debug, Clone)]
pub(super) struct FieldTest {
    pub(super) slot: usize,
    /// The key as written, for example `device.name|startswith`.
    pub(super) written: String,
    /// All values must be held, not any.
    pub(super) all: bool,
    /// The field is there and holds none of the values.
    pub(super) negated: bool,
    pub(super) patterns: Vec<Pattern>,
}

/// Told what was looked at, so that an explanation is what production did and not a second opinion.
///
/// Production uses [`Silent`], which compiles to nothing and lets the evaluation stop as soon as the answer is known.
pub(super) trait Witness {
    /// Look at everything, even where the answer is known.
    const THOROUGH: bool;
    /// One value was compared.
    fn pattern(&mut self, _pattern: &Pattern, _held: bool) {}
    /// All values of a test were compared.
    fn test(&mut self, _test: &FieldTest, _slot: Slot<'_>, _held: bool) {}
    /// All tests of one map were made.
    fn alternative(&mut self, _held: bool) {}
}

/// Production's witness: none.
pub(super) struct Silent;

impl Witness for Silent {
    const THOROUGH: bool = false;
}

impl Selection {
    pub(super) fn holds<W: Witness>(&self, facts: &Facts<'_>, witness: &mut W) -> bool {
        any_of::<W>(self.alternatives.iter().map(|tests| {
            let held = all_of::<W>(tests.iter().map(|test| test.holds(facts, witness)));
            witness.alternative(held);
            held
        }))
    }
}

impl FieldTest {
    /// A negated test needs something to look at: a device whose group is unknown is not *known to be in another group*.
    fn holds<W: Witness>(&self, facts: &Facts<'_>, witness: &mut W) -> bool {
        let slot = facts.slot(self.slot);
        let each = self.patterns.iter().map(|pattern| {
            let held = pattern.holds(slot, facts);
            witness.pattern(pattern, held);
            held
        });
        let combined = if self.all { all_of::<W>(each) } else { any_of::<W>(each) };
        let held = if self.negated { !combined && !matches!(slot, Slot::Missing) } else { combined };
        witness.test(self, slot, held);
        held
    }
}

fn all_of<W: Witness>(mut each: impl Iterator<Item = bool>) -> bool {
    if W::THOROUGH { each.fold(true, |all, held| all & held) } else { each.all(|held| held) }
}

fn any_of<W: Witness>(mut each: impl Iterator<Item = bool>) -> bool {
    if W::THOROUGH { each.fold(false, |any, held| any | held) } else { each.any(|held| held) }
}
