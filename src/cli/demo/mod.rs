//! `demo`: broker, Defender and worker in one process, and 300 alerts that show what happens to each kind.

mod report;
mod settings;
mod stream;
mod watch;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::report::Report;
use self::settings::{HOUR, MINUTE, PER_HOUR, PER_MINUTE, configuration, simulator_config};
use self::stream::{BURST_DEVICE, Stream, sample};
use self::watch::Watch;
use super::{CliError, Context, Exit, OutputFormat, load_rules, runtime};
use crate::config::Config;
use crate::event::ScanEvent;
use crate::kafka::{Cluster, EmbeddedBroker, RecordStream, ScanExtent, Tally, committed, produce_lines};
use crate::rules::RuleSet;
use crate::simulator::Simulator;
use crate::telemetry::{self, LogFormat};
use crate::worker::Worker;

/// The demo gives up after this time: something is wrong then.
const LONGEST: Duration = Duration::from_secs(120);

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave everything running at the end, with metrics and health on 127.0.0.1:9090.
    #[arg(long)]
    pub serve: bool,
    /// Rules of your own instead of the demo's; they are watched, and take over when they change.
    #[arg(long, value_name = "DIR")]
    pub rules: Option<std::path::PathBuf>,
    /// Show the worker's log, too.
    #[arg(long)]
    pub log: bool,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Reported`] with exit code 5 where an alert is unaccounted for, 1 where something else goes wrong.
pub fn run(args: &Args, context: &mut Context) -> Result<(), CliError> {
    runtime()?.block_on(demo(args, context))
}

async fn demo(args: &Args, context: &mut Context) -> Result<(), CliError> {
    let stream = sample(Timestamp::now());
    let rules = match &args.rules {
        Some(folder) => load_rules(folder)?,
        None => RuleSet::from_sources([("demo rules", include_str!("rules.yml"))])
            .map_err(|errors| CliError::Rules(errors.to_string()))?,
    };
    let broker =
        EmbeddedBroker::start(&[("alerts", 6), ("alert-responder.scans", 1), ("alert-responder.dead-letters", 1)])
            .context("cannot start the embedded broker")?;
    let simulator = Simulator::start(simulator_config(&stream)).await.context("cannot start the simulator")?;
    let mut config = configuration(&broker, &simulator.url(), args.serve);
    config.telemetry.log_level = if args.log { "info" } else { "off" }.to_owned();
    config.telemetry.log_format = LogFormat::Auto;
    telemetry::logs::init(&config.telemetry, context.environment.get("NO_COLOR").map(String::as_str))
        .context("cannot start the log")?;

    let shutdown = CancellationToken::new();
    if let Some(folder) = &args.rules {
        config.rules.directory.clone_from(folder);
        config.rules.reload_interval = Duration::from_secs(1);
    }
    let worker = Worker::new(config.clone(), rules).context("cannot make the worker")?;
    let worker = if args.rules.is_some() { worker.watching_rules() } else { worker };
    let listener = worker.listen().await.context("cannot serve metrics")?;
    let address = listener.local_addr().context("cannot serve metrics")?;
    tell(format_args!(
        "Kafka (embedded), Defender (simulated) and the worker run in this process, in live mode.\n\
         Time is scaled: the quota's minute is {} s, its hour {} s, and a lost answer is resolved in seconds.",
        MINUTE.as_secs(),
        HOUR.as_secs()
    ));
    let work = worker.run(listener, shutdown.clone());
    tokio::pin!(work);
    let seen = tokio::select! {
        seen = timeout(LONGEST, follow(&config, &stream, &simulator)) => match seen {
            Ok(seen) => seen?,
            Err(_) => return Err(anyhow::anyhow!("the demo did not come to rest within {LONGEST:?}; run it with --log").into()),
        },
        ended = &mut work => {
            ended.context("the worker stopped")?;
            return Err(anyhow::anyhow!("the worker stopped by itself").into());
        }
    };
    let windows = [("minute", PER_MINUTE, MINUTE), ("hour", PER_HOUR, HOUR)];
    let report = Report::new(seen.produced, &seen.watch, &seen.tallies, &simulator, windows);
    match context.output {
        OutputFormat::Json => context.json(&report)?,
        OutputFormat::Text => context.line(format_args!("\n{}", report.render_text(&seen.watch).trim_end()))?,
    }
    if args.serve {
        tell(format_args!(
            "Serving http://{address}/metrics, /readyz and /livez, and the simulator's log on {}/simulator/log. Ctrl-C ends it.",
            simulator.url()
        ));
        tokio::select! {
            result = tokio::signal::ctrl_c() => result.context("cannot listen for Ctrl-C")?,
            ended = &mut work => { ended.context("the worker stopped")?; }
        }
    }
    shutdown.cancel();
    work.await.context("the worker did not stop in order")?;
    simulator.stop().await;
    if report.unaccounted == 0 { Ok(()) } else { Err(CliError::Reported(Exit::InputErrors)) }
}

/// What was seen from outside.
struct Seen {
    produced: u64,
    watch: Watch,
    tallies: BTreeMap<i32, Tally>,
}

/// Produces the alerts and reads the ledger until every one of them has an outcome.
async fn follow(config: &Config, stream: &Stream, simulator: &Simulator) -> anyhow::Result<Seen> {
    let kafka = &config.kafka;
    let began = Instant::now();
    let mut seen = Seen { produced: 0, watch: Watch::default(), tallies: BTreeMap::new() };
    let mut second = Some(&stream.second);
    seen.produced += produce(config, &stream.first).await?;
    let mut ledger = RecordStream::open(kafka, Cluster::Ledger, &kafka.ledger_topic, ScanExtent::FromBeginning).await?;
    let mut tick = interval(Duration::from_millis(250));
    let mut progress = Progress::new();
    loop {
        tokio::select! {
            record = ledger.next() => {
                let record = record.context("the ledger ended")??;
                seen.watch.read(&ScanEvent::from_json(record.payload.as_deref().unwrap_or_default())?);
            }
            _ = tick.tick() => {
                let committed = committed(kafka, Cluster::Alerts, &kafka.group_id, &kafka.alerts_topic).await?;
                seen.tallies = committed
                    .into_iter()
                    .filter_map(|(partition, committed)| Some((partition, Tally::from_metadata(&committed.metadata)?)))
                    .collect();
                let decided: u64 = seen.tallies.values().map(|tally| tally.records).sum();
                let requested: u64 = seen.tallies.values().map(|tally| tally.requested).sum();
                progress.show(began.elapsed(), &seen, decided);
                // The burst's scan has ended: now its device rests.
                if seen.watch.scan_ended(BURST_DEVICE) && let Some(second) = second.take() {
                    simulator.revoke_tokens();
                    seen.produced += produce(config, second).await?;
                    continue;
                }
                let all_requested = usize::try_from(requested) == Ok(seen.watch.requested);
                if second.is_none() && decided == seen.produced && all_requested && seen.watch.open.is_empty() {
                    progress.end();
                    return Ok(seen);
                }
            }
        }
    }
}

async fn produce(config: &Config, lines: &[String]) -> anyhow::Result<u64> {
    let text = lines.join("\n");
    let report = produce_lines(&config.kafka, &config.kafka.alerts_topic, text.as_bytes()).await?;
    anyhow::ensure!(report.failed == 0, "{} alerts could not be produced", report.failed);
    Ok(report.produced)
}

/// One line on standard error: rewritten on a terminal, every few seconds elsewhere.
struct Progress {
    terminal: bool,
    last: Option<Duration>,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: None }
    }

    fn show(&mut self, elapsed: Duration, seen: &Seen, decided: u64) {
        let every = if self.terminal { Duration::ZERO } else { Duration::from_secs(5) };
        if self.last.is_some_and(|last| elapsed < last + every) {
            return;
        }
        self.last = Some(elapsed);
        let line = format!(
            "{:>3} s  {} of {} records decided, {} requests open, {} scans accepted",
            elapsed.as_secs(),
            decided,
            seen.produced,
            seen.watch.open.len(),
            seen.watch.scans.len()
        );
        let mut stderr = std::io::stderr();
        // Progress that nobody can read is no reason to stop.
        drop(if self.terminal { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") });
        drop(stderr.flush());
    }

    fn end(&self) {
        if self.terminal {
            drop(writeln!(std::io::stderr()));
        }
    }
}

/// Talk goes to standard error, so that standard output holds the result alone.
fn tell(words: std::fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr(), "{words}"));
}
