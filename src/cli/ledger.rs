//! `ledger`: the proof of what happened, and a look at it.

use super::ledger_audit::{self, LedgerAuditArgs};
use super::ledger_tail::{self, LedgerTailArgs, TailLine};
use super::{CliError, Context, Exit, OutputFormat, load_sections, runtime};

/// Sections of the configuration that these commands need.
const SECTIONS: &[&str] = &["kafka", "alerts", "scheduler"];

/// The commands about the ledger.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Recompute the balance from the topics, and name every promise that the ledger breaks.
    Audit(LedgerAuditArgs),
    /// Show what the ledger says, one line per event.
    Tail(LedgerTailArgs),
}

/// Runs the command.
///
/// # Errors
/// An audit that finds something (5), or Kafka trouble.
pub fn run(command: &Command, context: &mut Context) -> Result<(), CliError> {
    match command {
        Command::Audit(args) => audit(args, context),
        Command::Tail(args) => tail(args, context),
    }
}

fn audit(args: &LedgerAuditArgs, context: &mut Context) -> Result<(), CliError> {
    let config = load_sections(args.config.as_deref(), SECTIONS, context)?;
    let audit = ledger_audit::audit(args, &config.kafka, &config.scheduler, &config.alerts);
    let report = runtime()?.block_on(audit)?;
    match context.output {
        OutputFormat::Json => context.json(&report)?,
        OutputFormat::Text => context.line(ledger_audit::render_text(&report).trim_end())?,
    }
    if report.exit_code() == 0 { Ok(()) } else { Err(CliError::Reported(Exit::InputErrors)) }
}

fn tail(args: &LedgerTailArgs, context: &mut Context) -> Result<(), CliError> {
    let config = load_sections(args.config.as_deref(), SECTIONS, context)?;
    let json = context.output == OutputFormat::Json;
    let mut written = Ok(());
    let tail = ledger_tail::tail(args, &config.kafka, |line: &TailLine| {
        written = match line.json() {
            Ok(line) if json => context.line(line),
            Err(error) if json => Err(anyhow::Error::new(error).into()),
            _ => context.line(line.text()),
        };
        written.is_ok()
    });
    runtime()?.block_on(tail).map_err(anyhow::Error::new)?;
    written
}
