//! Rate limits, counted for each application and family of endpoints.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::config::{Quota, WindowKind};

/// Counts calls; times are microseconds since the start.
#[derive(Debug)]
pub(super) struct Quotas {
    limits: Vec<(usize, u64)>,
    kind: WindowKind,
    count_rejected: bool,
    calls: HashMap<(String, &'static str), VecDeque<u64>>,
}

impl Quotas {
    pub(super) fn new(quotas: &[Quota], kind: WindowKind, count_rejected: bool) -> Self {
        let micros = |window: Duration| u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
        let limits = quotas.iter().map(|quota| (quota.calls, micros(quota.window))).collect();
        Self { limits, kind, count_rejected, calls: HashMap::new() }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// The time until one would be allowed.
    pub(super) fn take(&mut self, app: &str, family: &'static str, now: u64) -> Result<(), Duration> {
        let calls = self.calls.entry((app.to_owned(), family)).or_default();
        let longest = self.limits.iter().map(|(_, window)| *window).max().unwrap_or_default();
        while calls.front().is_some_and(|first| first.saturating_add(longest) <= now) {
            calls.pop_front();
        }
        let mut wait = 0;
        for (limit, window) in &self.limits {
            let begin = match self.kind {
                // A call exactly one window ago no longer counts.
                WindowKind::Sliding => (now + 1).saturating_sub(*window),
                WindowKind::Fixed => now - now % window,
            };
            let first = calls.partition_point(|at| *at < begin);
            let counted = calls.len() - first;
            if counted >= *limit {
                let free_at = match self.kind {
                    // So many of the oldest must leave the window.
                    WindowKind::Sliding => calls.get(first + (counted - limit)).map_or(now + window, |at| at + window),
                    WindowKind::Fixed => begin + window,
                };
                wait = wait.max(free_at.saturating_sub(now).max(1));
            }
        }
        if wait == 0 || self.count_rejected {
            calls.push_back(now);
        }
        if wait == 0 { Ok(()) } else { Err(Duration::from_micros(wait)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(kind: WindowKind, count_rejected: bool) -> Quotas {
        Quotas::new(&[Quota { calls: 2, window: Duration::from_micros(10) }], kind, count_rejected)
    }

    #[test]
    fn a_sliding_window_forgets_one_call_at_a_time() {
        let mut quotas = quotas(WindowKind::Sliding, false);
        assert!(quotas.take("a", "scan", 5).is_ok() && quotas.take("a", "scan", 9).is_ok());
        assert_eq!(quotas.take("a", "scan", 12), Err(Duration::from_micros(3)));
        assert!(quotas.take("a", "list", 12).is_ok() && quotas.take("b", "scan", 12).is_ok(), "others are not touched");
        assert!(quotas.take("a", "scan", 15).is_ok());
        assert_eq!(quotas.take("a", "scan", 15), Err(Duration::from_micros(4)));
    }

    #[test]
    fn rejected_calls_may_count() {
        let mut quotas = quotas(WindowKind::Sliding, true);
        assert!(quotas.take("a", "scan", 0).is_ok() && quotas.take("a", "scan", 1).is_ok());
        assert!(quotas.take("a", "scan", 9).is_err());
        assert!(quotas.take("a", "scan", 10).is_err(), "1 and 9 are still in the window");
        assert!(quotas.take("a", "scan", 30).is_ok());
    }

    #[test]
    fn a_fixed_window_forgets_all_at_once() {
        let mut quotas = quotas(WindowKind::Fixed, false);
        assert!(quotas.take("a", "scan", 8).is_ok() && quotas.take("a", "scan", 9).is_ok());
        assert_eq!(quotas.take("a", "scan", 9), Err(Duration::from_micros(1)));
        assert!(quotas.take("a", "scan", 10).is_ok() && quotas.take("a", "scan", 11).is_ok());
    }
}
