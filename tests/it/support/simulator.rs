//! The simulated Defender as a process of its own, and what its log says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::process::{Process, http};

/// One line of the simulator's log.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    pub(crate) monotonic_us: u64,
    pub(crate) endpoint: String,
    pub(crate) machine_id: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) created: bool,
}

pub(crate) struct SimulatorProcess {
    address: SocketAddr,
    process: Process,
    log: PathBuf,
}

impl SimulatorProcess {
    pub(crate) async fn start(directory: &Path, arguments: &[String]) -> Self {
        let log = directory.join("calls.ndjson");
        let fixed = ["simulator", "--listen", "127.0.0.1:0", "--log", &log.display().to_string()].map(str::to_owned);
        let all: Vec<String> = fixed.into_iter().chain(arguments.iter().cloned()).collect();
        let mut process = Process::start("the simulator", &all, &directory.join("simulator.log"));
        let said = process.says("counted: ", Duration::from_secs(30)).await;
        let url = said.lines().next().and_then(|line| line.rsplit("http://").next()).expect("its address");
        Self { address: url.trim().parse().expect("an address"), process, log }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far, as written to the file at once.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        // A line without its end is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("a call")).collect()
    }

    /// The scan requests so far, whatever became of them.
    pub(crate) fn scans(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.endpoint == "scan").collect()
    }

    /// Switches a fault on, as the simulator's documentation writes it.
    pub(crate) fn fault(&self, plan: &serde_json::Value) {
        let answer = http(self.address, "POST", "/simulator/faults", &plan.to_string());
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{answer:?}");
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        let answer = http(self.address, "DELETE", "/simulator/faults", "");
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{answer:?}");
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.exited().is_none()
    }
}

/// The most calls in any window of this length, wherever it begins. A call exactly one window later is outside.
pub(crate) fn most_in_any_window(calls: &[Call], window: Duration) -> usize {
    let window = u64::try_from(window.as_micros()).expect("a short window");
    let mut times: Vec<u64> = calls.iter().map(|call| call.monotonic_us).collect();
    times.sort_unstable();
    let inside = |from: usize| times.iter().skip(from).take_while(|time| **time < times[from] + window).count();
    (0..times.len()).map(inside).max().unwrap_or(0)
}
