//! `rules explain`: which selection held for an alert, what each field said, and what follows.

use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::alert::{Alert, Device};
use crate::rules::{Explanation, RuleSet};

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
}

/// One explanation per (alert, device).
#[derive(Debug, Clone, Serialize)]
pub struct RulesExplainReport {
    /// In the order of the alerts and their devices.
    pub explanations: Vec<Explanation>,
    /// Ids of alerts that name no device: whatever the rules say, nothing is scanned for them.
    pub without_device: Vec<String>,
}

/// Explains what the rules say about some alerts. An alert without a device is explained against an unknown one.
#[must_use]
pub fn run(rules: &RuleSet, alerts: &[Alert], only_matches: bool, now: Timestamp) -> RulesExplainReport {
    let mut report = RulesExplainReport { explanations: Vec::new(), without_device: Vec::new() };
    for alert in alerts {
        let unknown = [Device::default()];
        let devices = if alert.devices.is_empty() {
            report.without_device.push(alert.id.clone());
            &unknown[..]
        } else {
            &alert.devices[..]
        };
        for device in devices {
            let mut explanation = rules.explain(alert, device, now);
            explanation.rules.retain(|rule| rule.matched || !only_matches);
            report.explanations.push(explanation);
        }
    }
    report
}

/// The report for people.
#[must_use]
pub fn render_text(report: &RulesExplainReport) -> String {
    let mut text = String::new();
    for (number, explanation) in report.explanations.iter().enumerate() {
        let separator = if number == 0 { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ignored = write!(text, "{separator}{explanation}");
    }
    for id in &report.without_device {
        let _ignored = writeln!(text, "\nnote: alert {id} names no device: in production it is skipped (no_device)");
    }
    text
}
