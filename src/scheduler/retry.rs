//! How long to wait before the next attempt: full jitter under an exponential curve.
//!
//! `backoff` gives the curve only. Its randomisation is off and its clock unused: the jitter comes from the generator
//! that the scheduler was given, so that a seeded simulation repeats itself to the millisecond.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use rand::{Rng, RngExt as _};

/// Top of the wait before attempt `failures + 1`, without jitter: `first`, doubled with each failure, up to `longest`.
#[must_use]
pub(super) fn ceiling(first: Duration, longest: Duration, failures: u32) -> Duration {
    let mut curve = ExponentialBackoff {
        current_interval: first,
        initial_interval: first,
        randomization_factor: 0.0,
        multiplier: 2.0,
        max_interval: longest,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    // Past 32 doublings every curve has long reached its top.
    let steps = failures.clamp(1, 32);
    (0..steps).filter_map(|_| curve.next_backoff()).last().unwrap_or(longest).min(longest)
}

/// A wait chosen evenly between half of [`ceiling`] and all of it: for a wait that must not come to nothing.
pub(super) fn half_jitter(random: &mut impl Rng, first: Duration, longest: Duration, failures: u32) -> Duration {
    let top = u64::try_from(ceiling(first, longest, failures).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.random_range(top / 2..=top))
}

/// A wait chosen evenly between nothing and [`ceiling`].
pub(super) fn full_jitter(random: &mut impl Rng, first: Duration, longest: Duration, failures: u32) -> Duration {
    let top = u64::try_from(ceiling(first, longest, failures).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.random_range(0..=top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_doubles_up_to_its_top() {
        let seconds = |failures| ceiling(Duration::from_secs(5), Duration::from_secs(60), failures).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 100].map(seconds), [5, 10, 20, 40, 60, 60]);
    }
}
