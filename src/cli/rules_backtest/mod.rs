//! `rules backtest`: what a rule set would have done to a stretch of alerts, guards, quota and all.

mod compare;
mod input;
mod measure;
mod report;
mod run;
mod text;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::time::duration;
use super::{CliError, ConfigArgs, Context, Exit, OutputFormat, load_rules, load_sections};
use crate::config::Config;
use crate::rules::RuleSet;

pub use report::{BacktestReport, Delay, DeviceRow, Difference, InputReport, RuleRow, RunReport, Timing};
pub use text::render_text;

/// How long scans take unless told otherwise.
const QUICK_TAKES: Duration = Duration::from_secs(600);
const FULL_TAKES: Duration = Duration::from_secs(7200);

/// Arguments of `rules backtest`.
///
/// Alerts are played in simulated time: each comes when it was raised (or, from a topic, when it was produced). Rules decide
/// as in production; the scheduler is the real one, live and from an empty ledger; Defender takes every call, and a scan
/// takes as long as you say.
#[derive(Debug, Clone, clap::Args)]
pub struct RulesBacktestArgs {
    /// File of alerts, one record per line, in any format that is decoded; `-` reads standard input.
    #[arg(value_name = "FILE", required_unless_present = "topic")]
    pub file: Option<PathBuf>,
    /// Read the alerts topic of the configuration instead; nothing is committed.
    #[arg(long, conflicts_with = "file")]
    pub topic: bool,
    /// Of the topic, only records from this time on.
    #[arg(long, value_name = "TIME", requires = "topic")]
    pub since: Option<Timestamp>,
    /// Of the topic, only records before this time.
    #[arg(long, value_name = "TIME", requires = "topic")]
    pub until: Option<Timestamp>,
    /// Of the topic, only records from this offset on, in every partition.
    #[arg(long, value_name = "OFFSET", requires = "topic")]
    pub from_offset: Option<i64>,
    /// Folder of rule files (*.yml, *.yaml), or one file.
    #[arg(long, value_name = "DIR", default_value = "rules")]
    pub rules: PathBuf,
    /// Other rules, over the same alerts: what the first would change.
    #[arg(long, value_name = "DIR")]
    pub against: Option<PathBuf>,
    /// Pace, protections and tenant are those of this configuration; without one, the defaults.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How long a Quick scan takes.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub quick_takes: Duration,
    /// How long a Full scan takes.
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration)]
    pub full_takes: Duration,
    /// Rules and devices shown of each list.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub top: usize,
    /// Also decode the file once more and do nothing else, and tell both speeds.
    #[arg(long, conflicts_with = "topic")]
    pub measure: bool,
}

impl RulesBacktestArgs {
    /// A file of alerts through rules, and through others where there are any, with defaults for the rest.
    #[must_use]
    pub fn of_file(file: &Path, rules: &Path, against: Option<&Path>) -> Self {
        Self {
            file: Some(file.to_path_buf()),
            topic: false,
            since: None,
            until: None,
            from_offset: None,
            rules: rules.to_path_buf(),
            against: against.map(Path::to_path_buf),
            config: ConfigArgs::default(),
            quick_takes: QUICK_TAKES,
            full_takes: FULL_TAKES,
            top: 10,
            measure: false,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Invalid rules or configuration (3), records that do not decode (5; the report is written all the same).
pub fn command(args: &RulesBacktestArgs, context: &mut Context) -> Result<(), CliError> {
    let sections: &[&str] = if args.topic { &["scheduler", "kafka"] } else { &["scheduler"] };
    let config = load_sections(args.config.config.as_deref(), sections, context)?;
    let report = run(args, &config)?;
    match context.output {
        OutputFormat::Json => context.json(&report)?,
        OutputFormat::Text => context.line(text::render_text(&report).trim_end())?,
    }
    if report.input.undecodable.is_empty() { Ok(()) } else { Err(CliError::Reported(Exit::InputErrors)) }
}

/// Plays the alerts.
///
/// # Errors
/// Rules that are refused, alerts that cannot be read.
pub fn run(args: &RulesBacktestArgs, config: &Config) -> Result<BacktestReport, CliError> {
    let mut runs = vec![one(args, config, &args.rules)?];
    if let Some(other) = &args.against {
        runs.push(one(args, config, other)?);
    }
    let keep_raw = runs.iter().any(run::Run::needs_raw);
    let mut play = run::Play::new(config.alerts.options(keep_raw), config.defender.tenant_id.clone(), runs);
    let began = std::time::Instant::now();
    if args.topic {
        input::topic(args, config, &mut play)?;
    } else {
        input::file(args.file.as_deref(), &mut play)?;
    }
    let mut report = play.finish(args.top);
    if args.measure {
        report.timing = Some(measure::against_decoding(args, config, began.elapsed(), &report)?);
    }
    Ok(report)
}

fn one(args: &RulesBacktestArgs, config: &Config, folder: &Path) -> Result<run::Run, CliError> {
    let rules: Arc<RuleSet> = Arc::new(load_rules(folder)?);
    let takes = [args.quick_takes, args.full_takes];
    Ok(run::Run::new(folder.display().to_string(), rules, config.scheduler.clone(), takes))
}
