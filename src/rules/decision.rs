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
    /// Decide and record, start no scan.
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

/// A count that must be reached by the alerts of one device: a correlation document, or a rule's `escalate`. Only the
/// ledger's owner sees all alerts of a device, so the rules say what to count and the fold of the ledger counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// The correlation, or the rule that escalates. Alerts of one device are counted under this name.
    pub rule_id: String,
    /// This alert's value where distinct values are counted (`value_count`); absent where alerts are (`event_count`).
    /// The same alert id counts once, however often it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Reached when at least so many were seen, this alert included.
    pub at_least: u32,
    /// Length of the window, in seconds, up to and including this alert.
    pub within_seconds: u64,
    /// Scan that is wanted once it is reached.
    pub scan_type: ScanType,
    /// Priority once it is reached, 0 to 100.
    pub priority: u8,
    /// A correlation in shadow counts, and its result asks for nothing.
    pub mode: Mode,
}

/// What one live rule asks for by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleAsk {
    /// The rule.
    pub rule_id: String,
    /// Scan that it wants.
    pub scan_type: ScanType,
    /// Its priority, 0 to 100.
    pub priority: u8,
}

/// How the rest of a device grows when it is scanned again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CooldownGrowth {
    /// Each scan that follows within `longest_seconds` of the end of a rest multiplies the next rest by this; at least 2.
    pub factor: u32,
    /// Longest rest, in seconds.
    pub longest_seconds: u64,
}

/// What a response says beyond the scan itself. It goes into the ledger as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResponseTerms {
    /// Rules that matched and are in shadow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow_rule_ids: Vec<String>,
    /// What each live rule asks for, so that a rule whose cap on devices trips asks for nothing any more. A rule outside of
    /// its active time asks for nothing, and a count only once it is reached. Where it is absent, every rule that matched and
    /// is not in shadow asks for the response as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<RuleAsk>,
    /// Counts that this alert adds to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// No rule asks for a scan by itself: one of `thresholds` must be reached, else it ends as
    /// `suppressed{below_threshold}`.
    #[serde(skip_serializing_if = "is_false")]
    pub awaits_threshold: bool,
    /// How long a first request waits for others of the same device, in seconds, where a rule says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_window_seconds: Option<u64>,
    /// The time interval outside of which the alert came, where every rule concerned was inactive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside_active_time: Option<String>,
    /// How the rest of the device grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_growth: Option<CooldownGrowth>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
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
    /// Everything else that the responses say.
    #[serde(flatten)]
    pub terms: ResponseTerms,
}

/// What a rule set says about one (alert, device).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one is made for each observation and handed on; a box would cost more")]
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
