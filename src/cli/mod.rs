//! The command line: one file per command. The only room that prints.
//!
//! To add a command: a file with `pub struct Args` (`clap::Args`) and `pub fn run(args: &Args, context: &mut Context) ->
//! Result<(), CliError>`, its `mod` line, a variant of [`Command`], and an arm in [`run`].

pub mod check;
pub mod completions;
pub mod config;
mod context;
pub mod dead_letters;
pub mod decode;
pub mod demo;
mod error;
pub mod halt;
pub mod health;
mod http_client;
pub mod ledger;
pub mod ledger_audit;
pub mod ledger_tail;
mod orders;
pub mod produce;
mod replay;
pub mod rules;
pub mod rules_backtest;
pub mod rules_check;
pub mod rules_diff;
mod rules_effective;
pub mod rules_explain;
pub mod rules_test;
pub mod run;
pub mod sample;
pub mod schemas;
pub mod silences;
pub mod simulator;
mod time;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::config::{Config, Loaded};
use crate::rules::RuleSet;
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

/// How long calls that block a thread are waited for when all else is done.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what happens to each kind of alert: broker, Defender and worker in one process, nothing to set up.
    Demo(demo::Args),
    /// Read alerts, decide, and make Defender scan: the worker.
    Run(run::Args),
    /// Show what the worker sees of a file of alerts.
    Decode(decode::DecodeArgs),
    /// Write a file of alerts to the alerts topic.
    Produce(ProduceCommand),
    /// Write made-up alerts, for backtests and load tests.
    Sample(sample::Args),
    /// Run a local Defender for Endpoint.
    Simulator(Box<simulator::SimulatorArgs>),
    /// Prove what happened, and look at it.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Look at records that could not be decoded, and send them again.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Stop every scan and cancellation, on every replica, until somebody resumes. Requests wait and nothing is lost.
    Halt(halt::HaltArgs),
    /// Go on after `halt`.
    Resume(halt::ResumeArgs),
    /// Let a cap on devices that tripped count anew.
    Rearm(halt::RearmArgs),
    /// Hold back for a while what a person wants held back.
    #[command(subcommand)]
    Silences(silences::Command),
    /// Check, test, backtest, compare and explain rules.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Check the configuration and the rules, without starting anything.
    Check(check::Args),
    /// Show the configuration or its schema.
    #[command(subcommand)]
    Config(config::Command),
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Ask a running worker whether it is ready: for health checks of containers that have no shell.
    Healthcheck(health::Args),
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
        Command::Demo(args) => demo::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Decode(args) => decode_alerts(args, context),
        Command::Produce(args) => produce_alerts(args, context),
        Command::Sample(args) => sample::run(args, context),
        Command::Simulator(args) => runtime()?.block_on(simulator::run(args.as_ref().clone(), context)),
        Command::Ledger(command) => ledger::run(command, context),
        Command::DeadLetters(command) => dead_letters::run(command, context),
        Command::Halt(args) => halt::halt(args, context),
        Command::Resume(args) => halt::resume(args, context),
        Command::Rearm(args) => halt::rearm(args, context),
        Command::Silences(command) => silences::run(command, context),
        Command::Rules(command) => rules::run(command, context),
    }
}

/// Options of `produce`.
#[derive(Debug, clap::Args)]
pub struct ProduceCommand {
    /// The configuration: brokers and topic.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to write, and where.
    #[command(flatten)]
    pub produce: produce::ProduceArgs,
}

fn produce_alerts(args: &ProduceCommand, context: &mut Context) -> Result<(), CliError> {
    let settings = load_sections(args.config.config.as_deref(), &["kafka"], context)?.kafka;
    runtime()?.block_on(produce::run(&args.produce, &settings, context))
}

fn decode_alerts(args: &decode::DecodeArgs, context: &mut Context) -> Result<(), CliError> {
    let mut input: Box<dyn BufRead> = if args.is_stdin() {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(&args.file)
            .map_err(|error| anyhow::Error::new(error).context(format!("cannot open {}", args.file.display())))?;
        Box::new(std::io::BufReader::new(file))
    };
    let options = load_sections(args.config.config.as_deref(), &["alerts"], context)?.alerts.options(false);
    let summary = decode::run(&mut input, &args.name(), &options, &mut context.out, &mut std::io::stderr())?;
    if summary.failed == 0 { Ok(()) } else { Err(CliError::Reported(Exit::InputErrors)) }
}

/// Reads a configuration of which a command needs some sections only.
///
/// # Errors
/// [`CliError::Config`] with every fault of those sections.
pub fn load_sections(path: Option<&Path>, sections: &[&str], context: &Context) -> Result<Config, CliError> {
    Ok(Config::load_sections(path, &context.environment, sections)?.config)
}

/// Loads a folder of rules.
///
/// # Errors
/// [`CliError::Rules`] with every fault, each with its place.
pub fn load_rules(directory: &Path) -> Result<RuleSet, CliError> {
    RuleSet::load_dir(directory).map_err(|errors| CliError::Rules(errors.to_string()))
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

/// Waits for what is asked, and then a moment for calls that block a thread: a runtime that is merely dropped waits for them for
/// ever, and a commit to brokers that are away takes long.
pub fn wait_for<T>(runtime: Runtime, asked: impl Future<Output = T>) -> T {
    let answer = runtime.block_on(asked);
    runtime.shutdown_timeout(LAST_CALLS);
    answer
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

    #[test]
    fn a_call_that_blocks_does_not_keep_the_process() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (answer, answered) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let runtime = runtime().expect("a runtime");
            let asked = async {
                // As a commit to brokers that are away.
                drop(tokio::task::spawn_blocking(move || released.recv()));
                7
            };
            answer.send(wait_for(runtime, asked)).expect("somebody waits");
        });
        assert_eq!(answered.recv_timeout(Duration::from_secs(20)), Ok(7));
        drop(release);
        waiting.join().expect("no panic");
    }
}
