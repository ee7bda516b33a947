//! What a rule set says about one alert and one device.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of the device is scanned; the words of the API (Microsoft's page on runAntiVirusScan).
/// Ordered: `Full` covers `Quick`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ScanType {
    /// Quick scan.
    Quick,
    /// Full scan; hours to days.
    Full,
}

impl ScanType {
    /// Both, weakest first.
    pub const ALL: [Self; 2] = [Self::Quick, Self::Full];

    /// The word the API expects, letter case included.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "Quick",
            Self::Full => "Full",
        }
    }
}

impl fmt::Display for ScanType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a decision may press the button. Ordered: `Live` is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and record, never call the API.
    #[default]
    Shadow,
    /// Call the API.
    Live,
}

impl Mode {
    /// Both, weakest first.
    pub const ALL: [Self; 2] = [Self::Shadow, Self::Live];

    /// The word used in configuration, rules, events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Live => "live",
        }
    }
}

/// One rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleMatch {
    /// The rule's `id`, or its title where it has none.
    pub rule_id: String,
    /// The rule's title.
    pub title: String,
    /// The rule's own mode.
    pub mode: Mode,
}

/// A rule's cap on distinct devices per window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleLimit {
    /// The rule that set it.
    pub rule_id: String,
    /// Distinct devices allowed in the window.
    pub devices: u32,
    /// Length of the window in seconds.
    pub per_seconds: u64,
}

/// The response that follows from all rules that matched: the strongest scan type of the live matches, the
/// highest priority and its comment (ties by rule id), the longest cooldown, the shortest age limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScanDecision {
    /// Quick or Full.
    pub scan_type: ScanType,
    /// Rendered comment of the winning rule, without merge list or scan marker.
    pub comment: String,
    /// 0 (least) to 100 (most urgent).
    pub priority: u8,
    /// Rest for the device after the scan.
    pub cooldown: Duration,
    /// Age of the alert beyond which a scan is pointless.
    pub max_alert_age: Duration,
    /// `Live` where at least one live rule matched; shadow matches then do not shape the response.
    pub mode: Mode,
    /// Ids of every rule that matched, the winner first, then by id.
    pub rule_ids: Vec<String>,
    /// Device caps of the rules that shaped the response.
    pub limits: Vec<RuleLimit>,
}

/// What a rule set says about one (alert, device).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// A scan is wanted.
    Scan(ScanDecision),
    /// No rule matched.
    NoRule,
    /// A rule matched, and a filter document (an exception) took every match back.
    Filtered,
    /// A rule matched but its response could not be built, for example a comment template that failed.
    EvaluationError {
        /// Rules concerned.
        rule_ids: Vec<String>,
        /// What went wrong, for people.
        detail: String,
    },
}
