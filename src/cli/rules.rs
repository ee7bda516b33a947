//! `rules`: what the rules are worth before they press the button.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;

use super::rules_check::{self, RulesCheckArgs};
use super::rules_explain::{self, RulesExplainArgs};
use super::{CliError, Context, Exit, OutputFormat, load_rules, schemas};
use crate::alert::{Settings as AlertSettings, decode};

/// The commands about rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a folder of rules and run the tests they carry.
    Check(RulesCheckArgs),
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

fn explain(args: &RulesExplainArgs, context: &mut Context) -> Result<(), CliError> {
    let rules = load_rules(&args.rules)?;
    let bytes = read(&args.alert)?;
    let options = AlertSettings::default().options(rules.needs_raw());
    let decoded = decode(&bytes, &options)
        .map_err(|error| CliError::InputErrors(format!("{}: {}: {error}", args.alert.display(), error.code())))?;
    let alerts: Vec<_> = decoded.into_iter().map(|decoded| decoded.alert).collect();
    let report = rules_explain::run(&rules, &alerts, args.only_matches, Timestamp::now());
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
