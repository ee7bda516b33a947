//! Numbers as rules and alerts write them. Whole ones are compared exactly: ids have more digits than a float keeps.

use std::cmp::Ordering;

/// A number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    /// The number that a text reads as.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let float = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Float);
        text.parse().ok().map(Self::Whole).or_else(float)
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(&other)),
            _ => self.as_float().partial_cmp(&other.as_float()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "beside a fraction nothing is exact")]
    const fn as_float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}
