//! Random histories of a whole tenant: owners that crash, stop and come back, a log that answers late, an API that
//! fails in every way it can, and clocks that jump. What must hold is checked from outside, on the API's own log, on
//! the requests that were made and on the records that landed.
//!
//! A history follows from its seed alone. `SIMULATION_SEED=<n>` replays one, `SIMULATION_HISTORIES=<n>` runs more.
//! Only this file names the crate, so that a program outside it can take the other files as they are.

mod api;
mod checks;
mod coverage;
mod input;
mod order;
mod owner;
mod world;

use crate::{alert, event, scheduler};
use coverage::Coverage;
use world::World;

/// Random steps of one history, before it is drained.
const STEPS: u32 = 200;

/// Histories of a plain `cargo test`.
const HISTORIES: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs histories `first..first + count` on a few threads; what they covered, and the first that broke a promise.
fn run(first: u64, count: u64) -> Result<Coverage, String> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4) as u64;
    let results: Vec<Result<Coverage, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut coverage = Coverage::default();
                    for seed in (first..first + count).filter(|seed| seed % threads == thread) {
                        coverage.add(&World::new(seed).run(STEPS)?);
                    }
                    Ok(coverage)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err("a history panicked".into()))).collect()
    });
    let mut coverage = Coverage::default();
    for result in results {
        coverage.add(&result?);
    }
    Ok(coverage)
}

#[test]
fn random_histories_keep_every_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        World::new(seed).run(STEPS).unwrap_or_else(|broken| panic!("{broken}"));
        return;
    }
    let histories = number("SIMULATION_HISTORIES").unwrap_or(HISTORIES);
    let coverage = run(0, histories).unwrap_or_else(|broken| panic!("{broken}"));
    let missing = coverage.missing();
    assert!(histories < HISTORIES || missing.is_empty(), "{histories} histories never saw {missing:?}: {coverage:?}");
    if number("SIMULATION_VERBOSE").is_some() {
        panic!("{coverage:#?}");
    }
}

#[test]
fn a_history_follows_from_its_seed() {
    let told = |seed| World::new(seed).run(STEPS).map(|coverage| format!("{coverage:?}"));
    for seed in 0..4 {
        assert_eq!(told(seed), told(seed));
    }
    assert_ne!(told(7), told(8));
}
