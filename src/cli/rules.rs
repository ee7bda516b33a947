//! `rules`: what the rules are worth before they press the button.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;

use super::orders::Target;
use super::rules_backtest::{self, RulesBacktestArgs};
use super::rules_check::{self, RulesCheckArgs};
use super::rules_diff::{self, RulesDiffArgs};
use super::rules_explain::{self, RulesExplainArgs};
use super::rules_test::{self, RulesTestArgs};
use super::{CliError, Context, Exit, OutputFormat, load_rules, load_sections, schemas};
use crate::alert::decode;
use crate::config::Config;

/// The commands about rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a folder of rules and run the tests they carry.
    Check(RulesCheckArgs),
    /// Run the tests that stand in rule files and beside them.
    Test(RulesTestArgs),
    /// Play alerts of the past through the rules, the scheduler and the quota, in simulated time.
    Backtest(Box<RulesBacktestArgs>),
    /// Tell what changed between two rule sets.
    Diff(RulesDiffArgs),
    /// Tell what the rules say about an alert, and why.
    Explain(RulesExplainArgs),
    /// Show the JSON Schema of rule files and of defaults.yaml (draft-07), for editors.
    Schema,
}

/// Runs the command.
///
/// # Errors
/// Invalid rules (3), failed tests or alerts that do not decode (5).
pub fn run(command: &Command, context: &mut Context) -> Result<(), CliError> {
    match command {
        Command::Check(args) => check(args, context),
        Command::Test(args) => test(args, context),
        Command::Backtest(args) => rules_backtest::command(args, context),
        Command::Diff(args) => rules_diff::command(args, context),
        Command::Explain(args) => explain(args, context),
        Command::Schema => context.json(&schemas::rule()),
    }
}

fn check(args: &RulesCheckArgs, context: &mut Context) -> Result<(), CliError> {
    let report = rules_check::run(args, Timestamp::now());
    match context.output {
        OutputFormat::Json => context.json(&report)?,
        OutputFormat::Text => context.line(rules_check::render_text(&report).trim_end())?,
    }
    match report.exit_code() {
        0 => Ok(()),
        5 => Err(CliError::Reported(Exit::InputErrors)),
        _ => Err(CliError::Reported(Exit::Invalid)),
    }
}

fn test(args: &RulesTestArgs, context: &mut Context) -> Result<(), CliError> {
    let report = rules_test::run(args);
    let to_standard_output = args.junit.as_deref().is_some_and(|path| path.as_os_str() == "-");
    if let Some(path) = &args.junit {
        let xml = rules_test::render_junit(&report);
        if to_standard_output {
            context.line(xml.trim_end())?;
        } else {
            std::fs::write(path, xml).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    if !to_standard_output {
        match context.output {
            OutputFormat::Json => context.json(&report)?,
            OutputFormat::Text => context.line(rules_test::render_text(&report).trim_end())?,
        }
    }
    match report.exit_code() {
        0 => Ok(()),
        5 => Err(CliError::Reported(Exit::InputErrors)),
        _ => Err(CliError::Reported(Exit::Invalid)),
    }
}

fn explain(args: &RulesExplainArgs, context: &mut Context) -> Result<(), CliError> {
    let asked = args.config.config.is_some() || args.ledger;
    let sections: &[&str] = if args.ledger { &["alerts", "scheduler", "kafka"] } else { &["alerts", "scheduler"] };
    let config =
        if asked { load_sections(args.config.config.as_deref(), sections, context)? } else { Config::default() };
    let rules = Arc::new(load_rules(&args.rules)?);
    let bytes = read(&args.alert)?;
    let decoded = decode(&bytes, &config.alerts.options(rules.needs_raw()))
        .map_err(|error| CliError::InputErrors(format!("{}: {}: {error}", args.alert.display(), error.code())))?;
    let alerts: Vec<_> = decoded.into_iter().map(|decoded| decoded.alert).collect();
    let now = Timestamp::now();
    let mut report = rules_explain::run(&rules, &alerts, args.only_matches, now);
    if asked {
        let state = args.ledger.then(|| Target::state(&config)).transpose()?;
        let surroundings = rules_explain::Surroundings { config: &config, state: state.as_ref() };
        rules_explain::add_guards(&mut report, &rules, &alerts, &surroundings, now);
    }
    match context.output {
        OutputFormat::Json => context.json(&report),
        OutputFormat::Text => context.line(rules_explain::render_text(&report).trim_end()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display())).map_err(CliError::from)
}

#[cfg(test)]
#[path = "rules_guide_tests.rs"]
mod guide;
