//! How much slower a backtest is than reading alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::report::{BacktestReport, Timing};
use super::{RulesBacktestArgs, input};
use crate::alert::decode;
use crate::cli::CliError;
use crate::config::Config;

/// Decodes the same file once more, in the same process and with the same options, and nothing else.
pub(super) fn against_decoding(
    args: &RulesBacktestArgs,
    config: &Config,
    took: Duration,
    report: &BacktestReport,
) -> Result<Timing, CliError> {
    let options = config.alerts.options(false);
    let (mut file, _) = input::open(args.file.as_deref())?;
    let began = Instant::now();
    let mut records: u64 = 0;
    input::each_record(&mut *file, options.limits.max_record_bytes, |record, _| {
        records += 1;
        let _decoded = black_box(decode(record, &options));
    })?;
    let decoded_per_second = per_second(records, began.elapsed());
    let backtested_per_second = per_second(report.input.records, took);
    let ratio = if decoded_per_second > 0.0 { backtested_per_second / decoded_per_second } else { 0.0 };
    Ok(Timing { decoded_per_second, backtested_per_second, ratio })
}

fn per_second(records: u64, took: Duration) -> f64 {
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    f64::from(records) / took.as_secs_f64().max(f64::EPSILON)
}
