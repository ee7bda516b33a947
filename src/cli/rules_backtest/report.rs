//! What a backtest found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// What a backtest found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BacktestReport {
    /// What was read.
    pub input: InputReport,
    /// One per rule set: the one that is tested, and the one it is compared with.
    pub runs: Vec<RunReport>,
    /// What the first set would change, where there are two.
    pub difference: Option<Difference>,
    /// How fast it was, where that was asked for.
    pub timing: Option<Timing>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct InputReport {
    /// Records read, blank lines aside.
    pub records: u64,
    /// Alerts in them.
    pub alerts: u64,
    /// Records that could not be decoded, by reason.
    pub undecodable: BTreeMap<&'static str, u64>,
    /// Time of the first alert, in the order of the file.
    pub first: Option<Timestamp>,
    /// Latest time of any alert.
    pub last: Option<Timestamp>,
    /// Records without a time: they came with the one before.
    pub without_time: u64,
    /// Records whose time is before that of the one before them: they came with it.
    pub out_of_order: u64,
}

/// What one rule set did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// Where the rules are from.
    pub rules: String,
    /// The hash of the set.
    pub ruleset: String,
    /// Observations (alert and device) by outcome and reason, in the ledger's words: `suppressed: cooldown`.
    pub outcomes: BTreeMap<String, u64>,
    /// Scans that Defender was asked for.
    pub scans: u64,
    /// Of these, Quick ones.
    pub quick_scans: u64,
    /// Of these, Full ones.
    pub full_scans: u64,
    /// Distinct devices scanned.
    pub devices_scanned: usize,
    /// Requests that shared a scan with an earlier one from its start.
    pub merged: u64,
    /// Requests that joined a scan under way.
    pub joined: u64,
    /// Most devices that waited at one time for a slot of the quota.
    pub peak_queue: usize,
    /// From an alert to the call that it led to.
    pub delay: Delay,
    /// Minutes during which devices waited and the short window was full.
    pub minutes_at_minute_limit: f64,
    /// Minutes during which devices waited and the long window was full, but for its reserve.
    pub minutes_at_hour_limit: f64,
    /// Distinct devices that only a protection kept from a scan.
    pub protected_devices: usize,
    /// Caps on devices that were reached, each with the requests it held back.
    pub caps_reached: BTreeMap<String, u64>,
    /// Devices looked up because an alert did not tell what a protection looks at; each was taken for unprotected.
    pub look_ups: u64,
    /// Requests without an outcome two weeks after the last alert.
    pub unfinished: usize,
    /// Rules by the scans they asked for.
    pub top_rules: Vec<RuleRow>,
    /// Devices by their scans.
    pub top_devices: Vec<DeviceRow>,
}

/// Seconds, to the next whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Delay {
    /// Requests that led to a call.
    pub requests: u64,
    /// Half of them waited no longer.
    pub p50_seconds: u64,
    /// Nineteen of twenty waited no longer.
    pub p95_seconds: u64,
    /// None waited longer.
    pub max_seconds: u64,
}

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RuleRow {
    /// Its id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Observations it matched.
    pub matches: u64,
    /// Scans it asked for, alone or with others.
    pub scans: u64,
}

/// What happened to one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeviceRow {
    /// Machine id.
    pub device_id: String,
    /// Name, where an alert told it.
    pub name: Option<String>,
    /// Requests for it.
    pub requests: u64,
    /// Scans of it.
    pub scans: u64,
}

/// What the first set would change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// Observations for which only the first set asks for a scan.
    pub only_first: u64,
    /// Observations for which only the second does.
    pub only_second: u64,
    /// Observations for which both do, in the same words.
    pub same: u64,
    /// Observations for which both do, with another scan, mode, priority, comment or cooldown.
    pub otherwise: u64,
    /// Some of those that differ, for a look.
    pub examples: Vec<String>,
}

/// How fast it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// Records per second, decoded and nothing else.
    pub decoded_per_second: f64,
    /// Records per second of the whole backtest, decoding included.
    pub backtested_per_second: f64,
    /// The second as a part of the first.
    pub ratio: f64,
}
