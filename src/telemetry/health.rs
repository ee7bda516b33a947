//! Is the worker alive, and is it ready? Two questions with different answers.
//!
//! *Alive* means that every loop came round lately. It never depends on Kafka or the API: a restart would help neither, and
//! each restart moves partitions about. *Ready* is the conjunction of named conditions.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Metrics;

/// Stands in place of a time for a loop that has ended in good order.
const FINISHED: i64 = i64::MAX;

/// The loops of the worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Liveness {
    metrics: Metrics,
    loops: Arc<Mutex<Vec<Arc<Watched>>>>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    limit: Duration,
    /// Milliseconds since 1970 of the last round.
    last: AtomicI64,
}

/// How one loop does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopState {
    /// Its name.
    pub name: &'static str,
    /// Since its last round; zero where the clock was set back. `None` for one that has ended in good order.
    pub since: Option<Duration>,
    /// Longest allowed.
    pub limit: Duration,
}

impl LoopState {
    /// Whether it came round lately enough, or need not any more.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.since.is_none_or(|since| since <= self.limit)
    }
}

impl Liveness {
    /// No loops yet. Rounds also show in `loop_last_progress_timestamp_seconds`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, loops: Arc::default() }
    }

    /// Watches a loop from now on: it must say [`Progress::beat`] more often than `limit`. One of the same name is replaced.
    #[must_use]
    pub fn register(&self, name: &'static str, limit: Duration, now: Timestamp) -> Progress {
        let watched = Arc::new(Watched { name, limit, last: AtomicI64::new(now.as_millisecond()) });
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|other| other.name != name);
        loops.push(Arc::clone(&watched));
        drop(loops);
        let progress = Progress { watched, metrics: self.metrics.clone() };
        progress.beat(now);
        progress
    }

    /// How every loop does, in order of registration.
    #[must_use]
    pub fn check(&self, now: Timestamp) -> Vec<LoopState> {
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |watched: &Arc<Watched>| {
            let last = watched.last.load(Ordering::Relaxed);
            let since = u64::try_from(now.as_millisecond().saturating_sub(last)).unwrap_or(0);
            let since = (last != FINISHED).then(|| Duration::from_millis(since));
            LoopState { name: watched.name, since, limit: watched.limit }
        };
        loops.iter().map(state).collect()
    }
}

/// A loop's handle.
#[derive(Debug, Clone)]
pub struct Progress {
    watched: Arc<Watched>,
    metrics: Metrics,
}

impl Progress {
    /// The loop came round.
    pub fn beat(&self, now: Timestamp) {
        self.watched.last.store(now.as_millisecond(), Ordering::Relaxed);
        self.metrics.loop_progress(self.watched.name, now);
    }

    /// The loop ended in good order, for example while the worker drains: it is not watched any more. A loop that is merely
    /// dropped stays watched and will be missed.
    pub fn finish(self) {
        self.watched.last.store(FINISHED, Ordering::Relaxed);
    }
}

/// What must hold for the worker to be ready. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<Vec<Named>>>,
}

type Named = (&'static str, Arc<AtomicBool>);

/// One condition's handle.
#[derive(Debug, Clone)]
pub struct Condition(Arc<AtomicBool>);

impl Readiness {
    /// Adds a condition, named by what holds when it is met (`rules loaded`, `not draining`).
    #[must_use]
    pub fn condition(&self, name: &'static str, holds: bool) -> Condition {
        let flag = Arc::new(AtomicBool::new(holds));
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.retain(|(other, _)| *other != name);
        conditions.push((name, Arc::clone(&flag)));
        Condition(flag)
    }

    /// Every condition and whether it holds. Without any condition nobody is ready.
    #[must_use]
    pub fn check(&self) -> Vec<(&'static str, bool)> {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.iter().map(|(name, flag)| (*name, flag.load(Ordering::Acquire))).collect()
    }

    /// Whether all hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let conditions = self.check();
        !conditions.is_empty() && conditions.iter().all(|(_, holds)| *holds)
    }
}

impl Condition {
    /// It holds, or no longer does.
    pub fn set(&self, holds: bool) {
        self.0.store(holds, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    fn liveness() -> Liveness {
        Liveness::new(Metrics::new("t").expect("the table is sound"))
    }

    fn alive(liveness: &Liveness, now: Timestamp) -> Vec<(&'static str, bool)> {
        liveness.check(now).iter().map(|state| (state.name, state.is_alive())).collect()
    }

    #[test]
    fn a_loop_is_alive_while_it_comes_round_within_its_limit() {
        let liveness = liveness();
        let intake = liveness.register("intake", Duration::from_secs(10), at(100));
        let _dispatch = liveness.register("dispatch", Duration::from_secs(60), at(100));
        assert_eq!(alive(&liveness, at(110)), [("intake", true), ("dispatch", true)]);
        assert_eq!(alive(&liveness, at(111)), [("intake", false), ("dispatch", true)]);
        intake.beat(at(111));
        assert_eq!(alive(&liveness, at(121)), [("intake", true), ("dispatch", true)]);
    }

    #[test]
    fn a_loop_that_finished_is_not_missed_and_one_that_was_dropped_is() {
        let liveness = liveness();
        liveness.register("intake", Duration::from_secs(1), at(0)).finish();
        drop(liveness.register("dispatch", Duration::from_secs(1), at(0)));
        assert_eq!(alive(&liveness, at(100)), [("intake", true), ("dispatch", false)]);
    }

    #[test]
    fn a_clock_that_is_set_back_kills_nobody() {
        let liveness = liveness();
        let _intake = liveness.register("intake", Duration::from_secs(1), at(1000));
        assert_eq!(liveness.check(at(10))[0].since, Some(Duration::ZERO));
    }

    #[test]
    fn progress_shows_as_a_metric() {
        let liveness = liveness();
        liveness.register("intake", Duration::from_secs(1), at(5)).beat(at(1000));
        let text = liveness.metrics.encode().expect("text");
        assert!(
            text.contains("alert_responder_loop_last_progress_timestamp_seconds{loop=\"intake\"} 1000\n"),
            "{text}"
        );
    }

    #[test]
    fn ready_means_every_condition_and_at_least_one() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        let rules = readiness.condition("rules loaded", false);
        let draining = readiness.condition("not draining", true);
        assert!(!readiness.is_ready());
        rules.set(true);
        assert!(readiness.is_ready());
        draining.set(false);
        assert_eq!(readiness.check(), [("rules loaded", true), ("not draining", false)]);
    }
}
