//! How the worker starts, paces itself and stops.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Start, pace and stop of the worker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Name of this replica in claims and logs. Default: the host's name.
    pub name: Option<String>,
    /// After SIGTERM, the time in which calls under way are finished and recorded and offsets committed. Default `35s`: a call
    /// can take `leave_within` and `call_timeout` together.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub shutdown_grace: Duration,
    /// How often the dispatch side looks at its clock. Default `100ms`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub tick: Duration,
    /// How often the position in the ledger is committed. Default `5s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub dispatch_commit_interval: Duration,
    /// An owner that was superseded although the partition is still assigned to it waits this long before it claims it
    /// again. Default `10s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub reclaim_delay: Duration,
    /// Accept a ledger whose beginning is gone or that was recreated: the quota windows, cooldowns and open scans it held
    /// are forgotten. Default `false`: dispatch halts and says so. Set it for one start.
    pub accept_lost_ledger: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            shutdown_grace: Duration::from_secs(35),
            tick: Duration::from_millis(100),
            dispatch_commit_interval: Duration::from_secs(5),
            reclaim_delay: Duration::from_secs(10),
            accept_lost_ledger: false,
        }
    }
}

impl Settings {
    /// What is wrong with the values, each message naming the key and the mend.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.tick.is_zero() || self.tick > Duration::from_secs(1) {
            wrong.push("tick is outside 1ms to 1s; the default is 100ms".to_owned());
        }
        if self.dispatch_commit_interval.is_zero() {
            wrong.push("dispatch_commit_interval is 0; the default is 5s".to_owned());
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty() || name.len() > 256) {
            wrong.push("name is empty or longer than 256 bytes; leave it out to use the host's name".to_owned());
        }
        wrong
    }
}
