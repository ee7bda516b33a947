//! The command line: one file per command. The only room that prints.
//!
//! To add a command: a file with `pub struct Args` (`clap::Args`) and `pub fn run(args: &Args, context: &mut Context) ->
//! Result<(), CliError>`, its `mod` line, a variant of [`Command`], and an arm in [`run`].

pub mod check;
pub mod completions;
pub mod config;
mod context;
mod error;
pub mod health;
// The modules `demo`, `decode`, `ledger`, `produce`, `rules`, `run` and `simulator` are wired here when the rooms meet.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::config::{Config, Loaded};
use crate::telemetry::{REVISION, VERSION};

pub use context::{Context, OutputFormat};
pub use error::{CliError, Exit, report};

/// From alert events on Kafka to antivirus scans by Microsoft Defender for Endpoint, with proof.
#[derive(Debug, Parser)]
#[command(name = "alert-responder", version = version(), propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// How results are shown.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 unexpected, 2 usage, 3 invalid configuration or rules, \
    4 work left after the grace period, 5 the input had errors, 130 interrupted a second time.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the configuration and the rules, without starting anything.
    Check(check::Args),
    /// Show the configuration or its schema.
    #[command(subcommand)]
    Config(config::Command),
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Ask a running worker whether it is ready: for health checks of containers that have no shell.
    Healthcheck(health::Args),
    // Run(run::Args), Demo(demo::Args), Decode(decode::Args), Produce(produce::Args), Simulator(simulator::Args),
    // Rules(rules::Command) and Ledger(ledger::Command) are wired here when the rooms meet.
}

/// The option that names the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file (YAML). Without one, the defaults and the environment hold.
    #[arg(long, value_name = "FILE", env = "ALERT_RESPONDER_CONFIG")]
    pub config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// [`CliError::Config`] with every fault.
    pub fn load(&self, context: &Context) -> Result<Loaded, CliError> {
        Ok(Config::load(self.config.as_deref(), &context.environment)?)
    }
}

/// Runs a command.
///
/// # Errors
/// Those of the command; [`report`] turns them into a message and an exit code.
pub fn run(command: &Command, context: &mut Context) -> Result<(), CliError> {
    match command {
        Command::Check(args) => check::run(args, context),
        Command::Config(command) => config::run(command, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Healthcheck(args) => health::run(args, context),
        // The other commands are wired here when the rooms meet.
    }
}

/// Says what is wrong with a command line, or shows the help or the version that was asked for.
#[must_use]
pub fn report_usage(error: &clap::Error) -> ExitCode {
    // A reader that went away is no failure.
    drop(error.print());
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Fine.into() }
}

/// The runtime of a command that waits for the network.
///
/// # Errors
/// [`CliError::Unexpected`] where the system gives no threads.
pub fn runtime() -> Result<Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| anyhow::Error::new(error).context("cannot start the runtime").into())
}

fn version() -> String {
    format!("{VERSION} (revision {REVISION})")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
