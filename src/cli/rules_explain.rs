//! `rules explain`: which selection held for an alert, what each field said, and what follows.

mod guards;
mod production;
mod ranking;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::ConfigArgs;
use crate::alert::{Alert, Device};
use crate::event::SkippedReason;
use crate::rules::{Explanation, RuleSet};

pub use guards::{Guard, Surroundings, Verdict};
pub use ranking::{Contribution, rank};

/// Arguments of `rules explain`.
#[derive(Debug, Clone, clap::Args)]
pub struct RulesExplainArgs {
    /// Folder of rule files (*.yml, *.yaml), or one file.
    #[arg(long, value_name = "DIR", default_value = "rules")]
    pub rules: PathBuf,
    /// File with one or more alerts in any supported format; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub alert: PathBuf,
    /// Only rules that match, not why the others do not.
    #[arg(long)]
    pub only_matches: bool,
    /// Also tell which guard of this configuration would stop the scan: mode, age, protections and so on. Its bounds on a record
    /// hold for the file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also read the ledger of the configuration, for what it remembers of the device: rest, open scan, orders.
    #[arg(long)]
    pub ledger: bool,
}

/// One explanation per (alert, device).
#[derive(Debug, Clone, Serialize)]
pub struct RulesExplainReport {
    /// In the order of the alerts and their devices.
    pub explanations: Vec<Explained>,
    /// Ids of alerts that name no device: whatever the rules say, nothing is scanned for them.
    pub without_device: Vec<String>,
}

/// Why, and what then.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// What each rule saw, and what follows.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// Why production scans nothing here, whatever the rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedReason>,
    /// Every rule that matches, and what it gives to the response.
    pub ranking: Vec<Contribution>,
    /// What stands before the scan, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
}

/// Explains what the rules say about some alerts. An alert without a device is explained against an unknown one.
#[must_use]
pub fn run(rules: &Arc<RuleSet>, alerts: &[Alert], only_matches: bool, now: Timestamp) -> RulesExplainReport {
    let mut report = RulesExplainReport { explanations: Vec::new(), without_device: Vec::new() };
    for alert in alerts {
        if alert.devices.is_empty() {
            report.without_device.push(alert.id.clone());
        }
        for device in devices(alert) {
            let mut explanation = rules.explain(alert, device.unwrap_or(&Device::default()), now);
            let ranking = rank(&explanation);
            explanation.rules.retain(|rule| rule.matched || !only_matches);
            let skipped = production::skipped(rules, alert, device, now);
            report.explanations.push(Explained { explanation, skipped, ranking, guards: Vec::new() });
        }
    }
    report
}

/// The devices of an alert; one that is not there where it names none.
fn devices(alert: &Alert) -> impl Iterator<Item = Option<&Device>> {
    alert.devices.iter().map(Some).chain(alert.devices.is_empty().then_some(None))
}

/// Adds what each guard would do. `alerts` are those of the report, in the same order.
pub fn add_guards(
    report: &mut RulesExplainReport,
    rules: &Arc<RuleSet>,
    alerts: &[Alert],
    surroundings: &Surroundings<'_>,
    now: Timestamp,
) {
    let observations = alerts.iter().flat_map(|alert| devices(alert).map(move |device| (alert, device)));
    for (explained, (alert, device)) in report.explanations.iter_mut().zip(observations) {
        explained.guards = surroundings.guards(rules, alert, device, now);
    }
}

/// The report for people.
#[must_use]
pub fn render_text(report: &RulesExplainReport) -> String {
    let mut text = String::new();
    for (number, explanation) in report.explanations.iter().enumerate() {
        let separator = if number == 0 { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ignored = write!(text, "{separator}{}", explanation.explanation);
        if let Some(reason) = explanation.skipped {
            let because = production::because(reason);
            let _ignored = writeln!(text, "\nnote: in production the alert is skipped ({reason}): {because}");
        }
        if explanation.ranking.len() > 1 {
            text.push_str("\nwhat each rule gives to the response:\n");
        }
        for (place, rule) in (1..).zip(explanation.ranking.iter().filter(|_| explanation.ranking.len() > 1)) {
            let gives = rule.outweighed.map_or_else(|| rule.gives.join(", "), |why| format!("nothing: {why}"));
            let mode = rule.mode.as_str();
            let _ignored = writeln!(text, "  {place}. \"{}\", {mode}, priority {}: {gives}", rule.title, rule.priority);
        }
        if !explanation.guards.is_empty() {
            text.push_str("\nguards:\n");
        }
        for guard in &explanation.guards {
            let verdict = match guard.verdict {
                Verdict::Passes => "passes",
                Verdict::Stops => "STOPS",
                Verdict::Unknown => "open",
            };
            let detail: String = guard.detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ignored = writeln!(text, "  {verdict:<7} {:<12} {detail}", guard.guard);
        }
    }
    text
}
