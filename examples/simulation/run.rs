//! Many histories, on several threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Broken, Coverage, Plan, Played, play};

/// A history that broke a promise.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) plan: Plan,
    pub(crate) step: u32,
    pub(crate) broken: Broken,
}

/// What many histories came to.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) histories: u64,
    pub(crate) steps: u64,
    pub(crate) faults: u64,
    pub(crate) coverage: Coverage,
    pub(crate) failures: Vec<Failure>,
}

/// Plays a history; a panic is a broken promise like any other.
pub(crate) fn play_safely(plan: &Plan, tell: bool) -> Played {
    catch_unwind(AssertUnwindSafe(|| play(plan, tell))).unwrap_or_else(|_| Played {
        broken: Some(Broken { promise: "panic", detail: "see above".to_owned() }),
        steps: 0,
        faults: 0,
        coverage: Coverage::default(),
        story: Vec::new(),
    })
}

/// Plays the histories that `plan_of` makes of the numbers from 0 to `histories`, until `failures` of them failed.
pub(crate) fn run(threads: usize, histories: u64, failures: u64, plan_of: impl Fn(u64) -> Plan + Sync) -> Ran {
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let work = || {
        let mut ran = Ran::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= histories || failed.load(Ordering::Relaxed) >= failures {
                return ran;
            }
            let plan = plan_of(number);
            let played = play_safely(&plan, false);
            ran.histories += 1;
            ran.steps += u64::from(played.steps);
            ran.faults += played.faults;
            ran.coverage.add(&played.coverage);
            if let Some(broken) = played.broken {
                ran.failures.push(Failure { plan, step: played.steps, broken });
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let mut all = Ran::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for ran in workers.into_iter().filter_map(|worker| worker.join().ok()) {
            all.histories += ran.histories;
            all.steps += ran.steps;
            all.faults += ran.faults;
            all.coverage.add(&ran.coverage);
            all.failures.extend(ran.failures);
        }
    });
    all.failures.sort_by_key(|failure| failure.plan.seed);
    all
}
