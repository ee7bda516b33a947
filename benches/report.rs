//! One table: what an alert costs by the number of rules, next to other engines and to parsing the alert.
//!
//! Every figure is processor time, the median of several rounds; the rounds of all engines take turns, so that other work on the machine
//! disturbs all of them. Arguments after `--`: numbers of rules (1 10 100 1000 10000 without any).

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use alert_responder::rules::Scratch;
use jiff::Timestamp;
use rsigma_eval::event::JsonEvent;
use shapes::{SHAPES, Sample, cel, cel_matches, load, rsigma, rules, samples};

const ALERTS: usize = 2_000;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(60);

/// One contestant: evaluates an alert and says how many rules matched.
struct Runner<'r> {
    name: &'static str,
    run: Box<dyn FnMut(&Sample) -> usize + 'r>,
    at: usize,
    rounds: Vec<f64>,
}

impl<'r> Runner<'r> {
    fn new(name: &'static str, run: impl FnMut(&Sample) -> usize + 'r) -> Self {
        Self { name, run: Box::new(run), at: 0, rounds: Vec::new() }
    }

    /// Nanoseconds per alert over one round.
    fn round(&mut self, alerts: &[Sample]) {
        let began = cpu();
        let mut done = 0_u32;
        while cpu() - began < ROUND {
            for _ in 0..64 {
                black_box((self.run)(black_box(&alerts[self.at % alerts.len()])));
                self.at += 1;
                done += 1;
            }
        }
        self.rounds.push((cpu() - began).as_nanos() as f64 / f64::from(done));
    }

    fn median(&mut self) -> f64 {
        self.rounds.sort_by(f64::total_cmp);
        self.rounds[self.rounds.len() / 2]
    }
}

/// Processor time of this thread: other work on the machine does not count.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn main() {
    let mut counts: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![1, 10, 100, 1_000, 10_000];
    }
    let alerts = samples(ALERTS);
    let bytes: usize = alerts.iter().map(|alert| alert.json.len()).sum();
    println!("alerts of {} bytes; ns per alert, median of {ROUNDS} rounds", bytes / alerts.len());
    println!(
        "{:<10} {:>6} {:>8} {:>9} {:>9} {:>11} {:>11} {:>12} {:>7} | {:>8} {:>8} {:>9} {:>7}",
        "shape",
        "rules",
        "matches",
        "index",
        "decision",
        "linear",
        "rsigma",
        "cel",
        "parse",
        "rsigma/i",
        "cel/i",
        "linear/i",
        "i/parse"
    );
    for shape in SHAPES {
        for count in &counts {
            row(shape, *count, &alerts);
        }
    }
}

fn row(shape: &str, count: usize, alerts: &[Sample]) {
    let written = rules(shape, count);
    let set = load(&written);
    let engine = rsigma(&written);
    let programs = cel(&written);
    let now = Timestamp::UNIX_EPOCH;
    let mut scratch = Scratch::default();
    let mut other_scratch = Scratch::default();
    let mut matches = 0;
    for (number, sample) in alerts.iter().enumerate() {
        let device = &sample.alert.devices[0];
        let found = set.matching(&mut scratch, &sample.alert, device, now).count();
        matches += found;
        if number < 40 {
            assert_eq!(found, set.matching_linear(&sample.alert, device, now).count());
            assert_eq!(found, engine.evaluate(&JsonEvent::borrow(&sample.fields)).len(), "{}", sample.fields);
            assert_eq!(found, cel_matches(&programs, &sample.lower), "{}", sample.lower);
        }
    }
    let mut runners = [
        Runner::new("index", |sample| set.matching(&mut scratch, &sample.alert, &sample.alert.devices[0], now).count()),
        Runner::new("decision", |sample| {
            set.evaluate_with(&mut other_scratch, &sample.alert, &sample.alert.devices[0], now).matches.len()
        }),
        Runner::new("linear", |sample| set.matching_linear(&sample.alert, &sample.alert.devices[0], now).count()),
        Runner::new("rsigma", |sample| engine.evaluate(&JsonEvent::borrow(&sample.fields)).len()),
        Runner::new("cel", |sample| cel_matches(&programs, &sample.lower)),
        Runner::new("parse", |sample| {
            serde_json::from_slice::<serde_json::Value>(&sample.json).map_or(0, |value| usize::from(value.is_object()))
        }),
    ];
    for _ in 0..ROUNDS {
        for runner in &mut runners {
            runner.round(alerts);
        }
    }
    let [index, decision, linear, rsigma, cel, parse] = runners.each_mut().map(Runner::median);
    debug_assert_eq!(runners[0].name, "index");
    println!(
        "{shape:<10} {count:>6} {:>8.2} {index:>9.0} {decision:>9.0} {linear:>11.0} {rsigma:>11.0} {cel:>12.0} {parse:>7.0} | \
         {:>8.1} {:>8.1} {:>9.1} {:>7.3}",
        matches as f64 / alerts.len() as f64,
        rsigma / index,
        cel / index,
        linear / index,
        index / parse,
    );
}
