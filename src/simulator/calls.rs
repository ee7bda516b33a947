//! The log of every call received: what tests and people count from.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Either token endpoint.
    Token,
    /// `runAntiVirusScan`.
    Scan,
    /// The list of machine actions.
    ActionList,
    /// One machine action.
    ActionGet,
    /// Cancel of a machine action.
    ActionCancel,
    /// One machine.
    MachineGet,
    /// The list of machines.
    MachineList,
    /// Anything else.
    Other,
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    /// When it arrived, by the wall clock.
    pub at: Timestamp,
    /// When it arrived, in microseconds since the simulator started.
    pub monotonic_us: u64,
    /// What was called.
    pub endpoint: Endpoint,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Device of the path.
    pub machine_id: Option<String>,
    /// `ScanType` of the body.
    pub scan_type: Option<String>,
    /// `Comment` of the body.
    pub comment: Option<String>,
    /// Client id: of the token, or of the token request.
    pub app_id: Option<String>,
    /// Status answered; none when the connection was cut instead.
    pub status: Option<u16>,
    /// `error.code` answered.
    pub error_code: Option<String>,
    /// The action created or handed back.
    pub action_id: Option<String>,
    /// Whether this call made a new scan.
    pub created: bool,
}

/// The calls, bounded, with totals that are not.
#[derive(Debug)]
pub(super) struct CallLog {
    records: VecDeque<CallRecord>,
    capacity: usize,
    dropped: u64,
    file: Option<File>,
    statuses: BTreeMap<Endpoint, BTreeMap<String, u64>>,
    accepted: BTreeMap<String, u64>,
}

impl CallLog {
    pub(super) fn new(capacity: usize, file: Option<&Path>) -> std::io::Result<Self> {
        let file = file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        Ok(Self {
            records: VecDeque::new(),
            capacity: capacity.max(1),
            dropped: 0,
            file,
            statuses: BTreeMap::new(),
            accepted: BTreeMap::new(),
        })
    }

    pub(super) fn push(&mut self, record: CallRecord) {
        if let Some(file) = &mut self.file
            && let Ok(mut line) = serde_json::to_string(&record)
        {
            line.push('\n');
            // One write for each line, straight to the kernel: it outlives a kill of this process.
            if let Err(error) = file.write_all(line.as_bytes()) {
                tracing::error!(%error, "the simulator's log file cannot be written");
            }
        }
        let status = record.status.map_or_else(|| "cut".to_owned(), |status| status.to_string());
        *self.statuses.entry(record.endpoint).or_default().entry(status).or_default() += 1;
        if record.created
            && let Some(machine) = &record.machine_id
        {
            *self.accepted.entry(machine.clone()).or_default() += 1;
        }
        self.records.push_back(record);
        if self.records.len() > self.capacity {
            self.records.pop_front();
            self.dropped += 1;
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &CallRecord> {
        self.records.iter()
    }

    /// The most calls that lie within a window of this length, wherever it begins. A call exactly one window later is outside.
    pub(super) fn most_in_window(&self, window: Duration, endpoint: Endpoint) -> usize {
        let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        let (mut most, mut inside) = (0, VecDeque::new());
        for record in self.records.iter().filter(|record| record.endpoint == endpoint) {
            inside.push_back(record.monotonic_us);
            while inside.front().is_some_and(|first| first.saturating_add(window) <= record.monotonic_us) {
                inside.pop_front();
            }
            most = most.max(inside.len());
        }
        most
    }

    pub(super) fn summary(&self, windows: &[Duration]) -> Value {
        let most: Vec<Value> = windows
            .iter()
            .map(|window| {
                json!({ "window_ms": u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
                        "scan_calls": self.most_in_window(*window, Endpoint::Scan),
                        "action_list_calls": self.most_in_window(*window, Endpoint::ActionList) })
            })
            .collect();
        json!({
            "accepted_scans": self.accepted.values().sum::<u64>(),
            "accepted_by_machine": self.accepted,
            "statuses": self.statuses,
            "most_in_any_window": most,
            "dropped_records": self.dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64) -> CallRecord {
        CallRecord {
            at: Timestamp::UNIX_EPOCH,
            monotonic_us: at,
            endpoint: Endpoint::Scan,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            machine_id: Some("m".to_owned()),
            scan_type: None,
            comment: None,
            app_id: None,
            status: Some(201),
            error_code: None,
            action_id: None,
            created: true,
        }
    }

    #[test]
    fn the_fullest_window_may_begin_anywhere() {
        let mut log = CallLog::new(10, None).unwrap();
        for at in [0, 9, 10, 11, 19, 40] {
            log.push(record(at));
        }
        assert_eq!(log.most_in_window(Duration::from_micros(10), Endpoint::Scan), 3, "9, 10, 11, not 19");
        assert_eq!(log.most_in_window(Duration::from_micros(11), Endpoint::Scan), 4);
        assert_eq!(log.most_in_window(Duration::from_micros(11), Endpoint::Token), 0);
    }

    #[test]
    fn memory_is_bounded_and_totals_are_not() {
        let mut log = CallLog::new(2, None).unwrap();
        for at in 0..5 {
            log.push(record(at));
        }
        assert_eq!(log.records().count(), 2);
        let summary = log.summary(&[]);
        assert_eq!((&summary["accepted_scans"], &summary["dropped_records"]), (&json!(5), &json!(3)));
        assert_eq!(summary["statuses"]["scan"]["201"], 5);
    }
}
