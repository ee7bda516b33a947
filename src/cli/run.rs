//! `run`: the worker, until it is told to stop.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CliError, ConfigArgs, Context, Exit, load_rules, runtime, wait_for};
use crate::config::Config;
use crate::event::Mode;
use crate::rules::RuleSet;
use crate::telemetry;
use crate::worker::{Worker, WorkerError};

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Runs the command.
///
/// # Errors
/// An invalid configuration or rule set (3), work left after the grace period (4), a second interrupt (130), or whatever
/// keeps the worker from going on (1).
pub fn run(args: &Args, context: &mut Context) -> Result<(), CliError> {
    let config = args.config.load(context)?.config;
    let rules = load_rules(&config.rules.directory)?;
    let no_color = context.environment.get("NO_COLOR").map(String::as_str);
    telemetry::logs::init(&config.telemetry, no_color).context("cannot start the log")?;
    wait_for(runtime()?, work(config, rules))
}

async fn work(config: Config, rules: RuleSet) -> Result<(), CliError> {
    say_what_runs(&config, &rules);
    let shutdown = CancellationToken::new();
    let worker = Worker::new(config, rules).map_err(failed)?.watching_rules();
    let listener = worker.listen().await.map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let work = worker.run(listener, shutdown.clone());
    tokio::pin!(work);
    let mut told = 0_u8;
    let leftover = loop {
        tokio::select! {
            leftover = &mut work => break leftover.map_err(failed)?,
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        told += 1;
        if told > 1 {
            tracing::warn!("Told to stop a second time; what is under way is left to the next start.");
            return Err(CliError::Reported(Exit::Interrupted));
        }
        tracing::info!("Told to stop; what is under way is finished first.");
        shutdown.cancel();
    };
    if leftover.is_some() {
        tracing::warn!(
            records = leftover.records,
            calls = leftover.calls,
            "Stopped with work left after worker.shutdown_grace: the next owner reads the records again and resolves the calls; \
             nothing is lost."
        );
        return Err(CliError::Reported(Exit::WorkLeft));
    }
    tracing::info!("Stopped with nothing left to do.");
    Ok(())
}

fn say_what_runs(config: &Config, rules: &RuleSet) {
    tracing::info!(
        version = telemetry::VERSION,
        revision = telemetry::REVISION,
        mode = config.mode.as_str(),
        rules = rules.rules().len(),
        ruleset = rules.hash(),
        tenant = config.defender.tenant_id,
        "The worker starts."
    );
    if config.mode == Mode::Shadow {
        tracing::info!(
            "In shadow: every decision is made and recorded, and no scan is started. Set `mode: live` to start scans."
        );
    }
    for warning in rules.warnings_at(jiff::Timestamp::now()) {
        tracing::warn!(%warning, "A rule has a weakness.");
    }
}

/// The exit code of a worker that cannot go on. The log has said why, and nothing else stands between its lines.
fn failed(error: WorkerError) -> CliError {
    tracing::error!(%error, code = error.code(), "The worker cannot go on.");
    CliError::Reported(if error.is_configuration() { Exit::Invalid } else { Exit::Unexpected })
}
