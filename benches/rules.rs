//! Criterion's figures: one alert against rule sets of three shapes and five sizes, next to other engines.

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use alert_responder::rules::Scratch;
use criterion::{BenchmarkId, Criterion};
use jiff::Timestamp;
use rsigma_eval::event::JsonEvent;
use shapes::{SHAPES, Sample, cel, cel_matches, load, rsigma, rules, samples};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let alerts = samples(2_000);
    parse(&mut criterion, &alerts);
    for shape in SHAPES {
        for count in [1, 10, 100, 1_000, 10_000] {
            evaluate(&mut criterion, shape, count, &alerts);
        }
    }
    criterion.final_summary();
}

fn parse(criterion: &mut Criterion, alerts: &[Sample]) {
    let mut each = alerts.iter().cycle();
    criterion.bench_function("parse/serde_json::Value", |bencher| {
        bencher.iter(|| each.next().map(|sample| serde_json::from_slice::<serde_json::Value>(&sample.json).is_ok()));
    });
}

fn evaluate(criterion: &mut Criterion, shape: &str, count: usize, alerts: &[Sample]) {
    let written = rules(shape, count);
    let set = load(&written);
    let now = Timestamp::UNIX_EPOCH;
    let mut group = criterion.benchmark_group(shape);
    let mut bench = |name: &str, run: &mut dyn FnMut(&Sample) -> usize| {
        let mut each = alerts.iter().cycle();
        group.bench_function(BenchmarkId::new(name, count), |bencher| {
            bencher.iter(|| black_box(each.next().map(&mut *run)));
        });
    };
    let mut scratch = Scratch::default();
    bench("index", &mut |sample| set.matching(&mut scratch, &sample.alert, &sample.alert.devices[0], now).count());
    let mut scratch = Scratch::default();
    bench("decision", &mut |sample| {
        set.evaluate_with(&mut scratch, &sample.alert, &sample.alert.devices[0], now).matches.len()
    });
    let engine = rsigma(&written);
    bench("rsigma-eval", &mut |sample| engine.evaluate(&JsonEvent::borrow(&sample.fields)).len());
    let programs = cel(&written);
    bench("cel", &mut |sample| cel_matches(&programs, &sample.lower));
    group.finish();
}
