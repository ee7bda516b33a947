//! What the program prints.
#![expect(clippy::print_stdout, reason = "a program speaks")]

use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use crate::arguments::{Arguments, Output};
use crate::model::Plan;
use crate::run::{Ran, play_safely, run};
use crate::shrink::shrink;

/// From so many histories on, everything must have come up.
const ENOUGH_FOR_COVERAGE: u64 = 1000;

const COMMAND: &str = "cargo run --release --example simulation --";

/// Plays one history and tells it.
pub(crate) fn replay(arguments: &Arguments, seed: u64) -> ExitCode {
    let plan = arguments.plan(seed);
    let mut played = play_safely(&plan, true);
    if let Some(broken) = played.broken.as_ref().filter(|_| arguments.shrink) {
        let shortest = shrink(&plan, broken.promise);
        println!("shortest: {COMMAND} {}", shortest.arguments());
        played = play_safely(&shortest, true);
    }
    for line in &played.story {
        println!("{line}");
    }
    match played.broken {
        Some(broken) => {
            println!("BROKEN {} in step {}: {}", broken.promise, played.steps, broken.detail);
            ExitCode::FAILURE
        }
        None => {
            println!("every promise was kept: {} steps, {} faults", played.steps, played.faults);
            ExitCode::SUCCESS
        }
    }
}

/// Plays many histories and tells what they came to.
pub(crate) fn histories(arguments: &Arguments) -> ExitCode {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or_else(processors);
    let began = Instant::now();
    let ran = run(threads, arguments.histories, arguments.failures.max(1), |number| {
        arguments.plan(arguments.seed.wrapping_add(number))
    });
    let seconds = began.elapsed().as_secs_f64();
    let enough = ran.histories >= ENOUGH_FOR_COVERAGE && arguments.without.is_empty();
    let missing = if enough { ran.coverage.missing() } else { Vec::new() };
    let unlisted = ran.coverage.unlisted();
    let shortest = ran.failures.first().filter(|_| arguments.shrink);
    let shortest = shortest.map(|failure| shrink(&failure.plan, failure.broken.promise));
    match arguments.output {
        Output::Json => print_json(&ran, seconds, &missing, &unlisted, shortest.as_ref()),
        Output::Text => print_text(&ran, seconds, &missing, &unlisted, shortest.as_ref()),
    }
    let fine = ran.failures.is_empty() && missing.is_empty() && unlisted.is_empty();
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_json(ran: &Ran, seconds: f64, missing: &[String], unlisted: &[String], shortest: Option<&Plan>) {
    let failures = ran.failures.iter().map(|failure| {
        json!({
            "seed": failure.plan.seed,
            "step": failure.step,
            "promise": failure.broken.promise,
            "detail": failure.broken.detail,
            "replay": format!("{COMMAND} {}", failure.plan.arguments()),
        })
    });
    let told = json!({
        "histories": ran.histories,
        "steps": ran.steps,
        "faults": ran.faults,
        "violations": ran.failures.len(),
        "failures": failures.collect::<Vec<_>>(),
        "shortest": shortest.map(|plan| format!("{COMMAND} {}", plan.arguments())),
        "coverage": ran.coverage.told(),
        "never_seen": missing,
        "seen_and_not_listed": unlisted,
        "fingerprint": format!("{:016x}", ran.coverage.fingerprint),
        "seconds": (seconds * 1000.0).round() / 1000.0,
    });
    println!("{told:#}");
}

fn print_text(ran: &Ran, seconds: f64, missing: &[String], unlisted: &[String], shortest: Option<&Plan>) {
    for (item, count) in ran.coverage.told() {
        println!("{count:>12}  {item}");
    }
    for failure in &ran.failures {
        println!("BROKEN {} in step {}: {}", failure.broken.promise, failure.step, failure.broken.detail);
        println!("  replay: {COMMAND} {}", failure.plan.arguments());
    }
    if let Some(plan) = shortest {
        println!("shortest: {COMMAND} {}", plan.arguments());
        let played = play_safely(plan, true);
        played.story.iter().for_each(|line| println!("  {line}"));
        if let Some(broken) = played.broken {
            println!("BROKEN {}: {}", broken.promise, broken.detail);
        }
    }
    for (what, items) in [("never seen", missing), ("seen and not listed", unlisted)] {
        if !items.is_empty() {
            println!("{what}: {}", items.join(", "));
        }
    }
    println!(
        "{} histories, {} steps, {} faults, {} violations in {seconds:.1} s",
        ran.histories,
        ran.steps,
        ran.faults,
        ran.failures.len()
    );
}
