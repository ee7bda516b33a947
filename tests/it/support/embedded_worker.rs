//! The worker as a process beside an embedded broker.
//!
//! The mock cluster answers no admin calls, and no configuration file can say that a broker is one. So the process is this
//! test binary once more, with the same worker in it; against a real broker it is the program itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alert_responder::config::Config;
use alert_responder::rules::RuleSet;
use alert_responder::telemetry;
use alert_responder::worker::{Worker, WorkerError};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Names the configuration to the process.
const CONFIG: &str = "ALERT_RESPONDER_TEST_WORKER";

/// Program, arguments and variables that start such a process.
pub(super) fn command(config: &Path) -> (PathBuf, Vec<String>, (&'static str, String)) {
    let program = std::env::current_exe().expect("a test binary");
    let arguments = [concat!(module_path!(), "::runs_as_a_worker_when_told_to"), "--exact", "--nocapture"];
    // The path of a test begins behind the name of the crate.
    let arguments = arguments.map(|argument| argument.trim_start_matches("it::").to_owned());
    (program, arguments.to_vec(), (CONFIG, config.display().to_string()))
}

/// Does nothing in a test run: it is what the process runs.
#[test]
fn runs_as_a_worker_when_told_to() {
    if let Some(config) = std::env::var_os(CONFIG) {
        std::process::exit(run(Path::new(&config)));
    }
}

#[tokio::main]
async fn run(config: &Path) -> i32 {
    let mut config = Config::load(Some(config), &BTreeMap::new()).expect("a configuration").config;
    config.kafka.embedded = true;
    telemetry::logs::init(&config.telemetry, Some("1")).expect("a log");
    let rules = RuleSet::load_dir(&config.rules.directory).expect("rules");
    let worker = Worker::new(config, rules).expect("a worker").watching_rules();
    let listener = worker.listen().await.expect("a port");
    let shutdown = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate()).expect("signals");
    let work = worker.run(listener, shutdown.clone());
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => {
                if let Err(error) = &ended {
                    tracing::error!(%error, "The worker cannot go on.");
                }
                return exit_code(&ended.map(|leftover| leftover.is_some()));
            }
            _ = terminated.recv() => shutdown.cancel(),
        }
    }
}

/// As the program's own.
fn exit_code(ended: &Result<bool, WorkerError>) -> i32 {
    match ended {
        Ok(false) => 0,
        Ok(true) => 4,
        Err(error) if error.is_configuration() => 3,
        Err(_) => 1,
    }
}
