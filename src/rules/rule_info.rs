//! What there is to know about the rules of a set from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use serde::Serialize;

use super::decision::{CooldownGrowth, Mode, ScanType};
use super::document::Rule;
use super::layer::Origin;
use super::rule_set::RuleSet;
use super::threshold::CountInfo;

/// What there is to know about a rule from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    /// The rule's `id`, or its title where it has none. Unique in the set.
    pub id: String,
    /// The rule's title.
    pub title: String,
    /// Sigma's status word, where the rule has one.
    pub status: Option<&'static str>,
    /// Sigma's level word, where the rule has one.
    pub level: Option<&'static str>,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// How many tests it carries.
    pub tests: usize,
    /// What it asks for; `None` for a building block, which never asks for a scan.
    pub response: Option<ResponseInfo>,
    /// Set where this is a correlation: what it counts.
    pub counts: Option<CountInfo>,
}

/// The response of a rule, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResponseInfo {
    /// Quick or Full.
    pub scan: ScanType,
    /// The comment's template.
    pub comment: String,
    /// 0 to 100.
    pub priority: u8,
    /// Rest for the device after the scan.
    pub cooldown: Duration,
    /// How that rest grows, where it does.
    pub cooldown_growth: Option<CooldownGrowth>,
    /// Age of an alert beyond which the rule wants no scan.
    pub max_alert_age: Duration,
    /// What becomes of the scan where the rule asks for one again and again.
    pub escalate: Option<EscalationInfo>,
    /// How long a first request waits for others of the same device; `None` for what the configuration says.
    pub merge_window: Option<Duration>,
    /// Names of the time intervals within which the rule is active; none for always.
    pub active: Vec<String>,
    /// The rule's own mode.
    pub mode: Mode,
    /// Last day (UTC) on which the rule matches.
    pub expires: Option<Date>,
    /// Distinct devices allowed per window.
    pub limit_devices: Option<u32>,
    /// Length of that window in seconds.
    pub limit_per_seconds: Option<u64>,
    /// Where each key comes from that a rule may leave out.
    pub origins: BTreeMap<&'static str, Origin>,
}

/// The escalation of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EscalationInfo {
    /// The scan that is wanted then.
    pub to: ScanType,
    /// Scans that the rule must have asked for before.
    pub after: u32,
    /// Length of the window in seconds.
    pub within_seconds: u64,
}

/// Says what there is to know about one rule of a set.
pub(super) fn info(rule: &Rule, rules: &[Rule]) -> RuleInfo {
    RuleInfo {
        id: rule.id.clone(),
        title: rule.title.clone(),
        status: rule.status,
        level: rule.level.map(|level| level.as_str()),
        file: rule.file.clone(),
        line: rule.line,
        tests: rule.tests.len(),
        counts: rule.correlation.as_ref().map(|correlation| RuleSet::count_info(rules, correlation)),
        response: rule.response.as_ref().map(|response| ResponseInfo {
            scan: response.scan,
            comment: response.comment.clone(),
            priority: response.priority,
            cooldown: response.cooldown,
            cooldown_growth: response.cooldown_growth,
            max_alert_age: response.max_alert_age,
            escalate: response.escalate.map(|escalation| EscalationInfo {
                to: escalation.to,
                after: escalation.after,
                within_seconds: escalation.within_seconds,
            }),
            merge_window: response.merge_window,
            active: response.active_names.clone(),
            mode: response.mode,
            expires: response.expires.map(|(date, _)| date),
            limit_devices: response.limit.map(|(devices, _)| devices),
            limit_per_seconds: response.limit.map(|(_, per)| per),
            origins: response.origins.clone(),
        }),
    }
}
