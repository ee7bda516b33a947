//! The report of `rules backtest` for people: one column per rule set.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::report::{BacktestReport, RunReport};

/// Width of the names of numbers.
const NAMES: usize = 44;
/// Width of a column.
const COLUMN: usize = 14;

/// The report for people.
#[must_use]
pub fn render_text(report: &BacktestReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail: the results are dropped by name.
    let input = &report.input;
    let undecodable: u64 = input.undecodable.values().sum();
    let _ignored = writeln!(
        text,
        "{} alerts in {} records, {undecodable} not decodable{}",
        input.alerts,
        input.records,
        input.undecodable.iter().map(|(reason, count)| format!(", {reason} {count}")).collect::<String>()
    );
    if let (Some(first), Some(last)) = (input.first, input.last) {
        let _ignored = writeln!(text, "from {first:.0} to {last:.0}");
    }
    for (count, what) in [
        (input.without_time, "records tell no time: they came with the one before"),
        (input.out_of_order, "records are older than the one before: they came with it"),
    ] {
        if count > 0 {
            let _ignored = writeln!(text, "note: {count} {what}");
        }
    }
    for (number, run) in report.runs.iter().enumerate() {
        let name = if number == 0 { "rules" } else { "against" };
        let _ignored = writeln!(text, "{name}: {} (rule set {})", run.rules, run.ruleset);
    }
    if report.runs.len() > 1 {
        let _ignored =
            writeln!(text, "\n{:<NAMES$}{:>COLUMN$}{:>COLUMN$}{:>COLUMN$}", "", "rules", "against", "difference");
    } else {
        text.push('\n');
    }
    for (name, value) in numbers() {
        row(&mut text, name, &report.runs.iter().map(value).collect::<Vec<_>>());
    }
    text.push('\n');
    let words: BTreeSet<&String> = report.runs.iter().flat_map(|run| run.outcomes.keys()).collect();
    for word in words {
        let counts = report.runs.iter().map(|run| whole(run.outcomes.get(word).copied().unwrap_or(0)));
        row(&mut text, &format!("outcome {word}"), &counts.collect::<Vec<_>>());
    }
    for run in &report.runs {
        lists(&mut text, run, report.runs.len() > 1);
    }
    if let Some(difference) = &report.difference {
        let _ignored = writeln!(
            text,
            "\nasked for by both in the same words {}, in other words {}, by the first only {}, by the second only {}",
            difference.same, difference.otherwise, difference.only_first, difference.only_second
        );
        for example in &difference.examples {
            let _ignored = writeln!(text, "  {}", plain(example));
        }
    }
    if let Some(timing) = report.timing {
        let _ignored = writeln!(
            text,
            "\nspeed: {:.0} records a second; decoding alone {:.0}; ratio {:.2}",
            timing.backtested_per_second, timing.decoded_per_second, timing.ratio
        );
    }
    text
}

type Number = (&'static str, fn(&RunReport) -> f64);

/// The numbers of a run, each with its name.
fn numbers() -> [Number; 16] {
    [
        ("scans", |run| whole(run.scans)),
        ("  Quick", |run| whole(run.quick_scans)),
        ("  Full", |run| whole(run.full_scans)),
        ("devices scanned", |run| count(run.devices_scanned)),
        ("requests merged into one scan", |run| whole(run.merged)),
        ("requests that joined a running scan", |run| whole(run.joined)),
        ("most devices waiting for the quota", |run| count(run.peak_queue)),
        ("seconds from alert to call, half within", |run| whole(run.delay.p50_seconds)),
        ("  19 of 20 within", |run| whole(run.delay.p95_seconds)),
        ("  the longest", |run| whole(run.delay.max_seconds)),
        ("minutes at the limit of the short window", |run| run.minutes_at_minute_limit),
        ("minutes at the limit of the long window", |run| run.minutes_at_hour_limit),
        ("protected devices", |run| count(run.protected_devices)),
        ("caps on devices reached", |run| count(run.caps_reached.len())),
        ("look-ups, each assumed to find no protection", |run| whole(run.look_ups)),
        ("requests without an end", |run| count(run.unfinished)),
    ]
}

fn row(text: &mut String, name: &str, values: &[f64]) {
    let _ignored = write!(text, "{name:<NAMES$}");
    for value in values {
        let _ignored = write!(text, "{:>COLUMN$}", number(*value));
    }
    if let [one, other] = values {
        let sign = if one > other { "+" } else { "" };
        let _ignored = write!(text, "{:>COLUMN$}", format!("{sign}{}", number(one - other)));
    }
    text.push('\n');
}

fn lists(text: &mut String, run: &RunReport, named: bool) {
    let of = if named { format!(" of {}", run.rules) } else { String::new() };
    for (cap, requests) in &run.caps_reached {
        let _ignored = writeln!(text, "\ncap reached{of}: {}; requests held back {requests}", plain(cap));
    }
    let _ignored = writeln!(text, "\n{:>8} {:>8}  rule{of}", "scans", "matches");
    for rule in &run.top_rules {
        let _ignored = writeln!(text, "{:>8} {:>8}  {} ({})", rule.scans, rule.matches, rule.title, rule.rule_id);
    }
    let _ignored = writeln!(text, "\n{:>8} {:>8}  device{of}", "scans", "requests");
    for device in &run.top_devices {
        let name = device.name.as_deref().unwrap_or(&device.device_id);
        let _ignored = writeln!(text, "{:>8} {:>8}  {}", device.scans, device.requests, plain(name));
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn count(number: usize) -> f64 {
    whole(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one backtest are far below 2^52")]
const fn whole(number: u64) -> f64 {
    number as f64
}

/// An alert's text must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
