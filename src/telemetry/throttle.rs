//! Keeps one place in the code from filling the log.

use std::time::Duration;

use jiff::Timestamp;

/// Lets one line through per interval and counts those it held back. One per place in the code.
#[derive(Debug, Clone)]
pub struct Throttle {
    every: Duration,
    next: Option<Timestamp>,
    held_back: u64,
}

impl Throttle {
    /// One line every `every`. The house's habit is 10 s.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self { every, next: None, held_back: 0 }
    }

    /// Whether a line may be written now: `Some` with the number of lines held back since the last one.
    pub fn allow(&mut self, now: Timestamp) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.next = now.checked_add(self.every).ok();
        Some(std::mem::take(&mut self.held_back))
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_and_the_rest_is_counted() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("in range");
        let mut throttle = Throttle::default();
        assert_eq!(throttle.allow(at(0)), Some(0));
        assert_eq!(throttle.allow(at(1)), None);
        assert_eq!(throttle.allow(at(9_999)), None);
        assert_eq!(throttle.allow(at(10_000)), Some(2));
        assert_eq!(throttle.allow(at(10_001)), None);
        assert_eq!(throttle.allow(at(60_000)), Some(1));
    }
}
