//! What the demo tells at its end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::watch::{ScanReport, Watch};
use crate::kafka::Tally;
use crate::simulator::{Endpoint, Simulator};

/// One window of the quota, as the API's side saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct WindowReport {
    /// Calls allowed.
    pub(super) limit: u32,
    /// Length of the window in seconds.
    pub(super) window_seconds: f64,
    /// Most calls that the simulator saw in any sliding window of that length.
    pub(super) most: usize,
}

/// Everything, for `--output json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Records produced to the alerts topic.
    pub(super) received: u64,
    /// Observations in them: (alert, device) pairs, alerts without a device, records that cannot be decoded.
    pub(super) observations: u64,
    /// Observations by outcome and reason; outcomes without reasons have the reason "".
    pub(super) outcomes: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Observations without an outcome.
    pub(super) unaccounted: i64,
    /// Scan calls that the simulator received, by HTTP status; `cut` where it cut the connection.
    pub(super) api_calls: BTreeMap<String, usize>,
    /// Scans that the API accepted.
    pub(super) scans: Vec<ScanReport>,
    /// The quota's windows.
    pub(super) quota: BTreeMap<&'static str, WindowReport>,
}

impl Report {
    /// Puts together what was seen from outside.
    pub(super) fn new(
        received: u64,
        watch: &Watch,
        tallies: &BTreeMap<i32, Tally>,
        simulator: &Simulator,
        windows: [(&'static str, u32, std::time::Duration); 2],
    ) -> Self {
        let observations: u64 = tallies.values().map(|tally| tally.observed).sum();
        let outcomes = watch.outcomes(tallies.values());
        let accounted: u64 = outcomes.values().flat_map(BTreeMap::values).sum();
        let mut api_calls = BTreeMap::new();
        for call in simulator.calls(Endpoint::Scan) {
            let status = call.status.map_or_else(|| "cut".to_owned(), |status| status.to_string());
            *api_calls.entry(status).or_default() += 1;
        }
        let quota = windows.into_iter().map(|(name, limit, window)| {
            let most = simulator.most_calls_in_any_sliding_window(window, Endpoint::Scan);
            (name, WindowReport { limit, window_seconds: window.as_secs_f64(), most })
        });
        Self {
            received,
            observations,
            unaccounted: i64::try_from(observations).unwrap_or(i64::MAX) - i64::try_from(accounted).unwrap_or(i64::MAX),
            outcomes,
            api_calls,
            scans: watch.scans.clone(),
            quota: quota.collect(),
        }
    }

    /// The table for people.
    pub(super) fn render_text(&self, watch: &Watch) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            text.push_str(&words.to_string());
            text.push('\n');
        };
        line(format_args!("{:<15} {:<20} {:>5}  example", "outcome", "reason", "count"));
        for (outcome, reasons) in ORDER.iter().filter_map(|outcome| self.outcomes.get_key_value(outcome)) {
            for (reason, count) in reasons {
                let example = watch.example(outcome, reason).map_or_else(
                    || explained(reason).to_owned(),
                    |example| format!("alert {} → {}", example.alert, example.said),
                );
                line(format_args!("{outcome:<15} {reason:<20} {count:>5}  {example}"));
            }
        }
        line(format_args!(
            "\n{} records received, {} observations, {} unaccounted for.",
            self.received, self.observations, self.unaccounted
        ));
        let calls: Vec<String> = self.api_calls.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        line(format_args!("Scan calls at the API: {}.", calls.join(", ")));
        for (name, window) in &self.quota {
            line(format_args!(
                "Quota per {name} (scaled to {} s): at most {} calls in any window, {} allowed.",
                window.window_seconds, window.most, window.limit
            ));
        }
        let merged = self.scans.iter().max_by_key(|scan| scan.alert_ids.len());
        if let Some(scan) = merged.filter(|scan| scan.alert_ids.len() > 1) {
            line(format_args!(
                "{} scans accepted. The one for the most alerts ({} on {}): \"{}\"",
                self.scans.len(),
                scan.alert_ids.len(),
                scan.device,
                scan.comment
            ));
        }
        text
    }
}

/// Outcomes as a newcomer would ask for them.
const ORDER: [&str; 7] = ["scanned", "joined", "shadowed", "suppressed", "skipped", "failed", "dead_lettered"];

/// What a reason means, for outcomes that the ledger does not name one by one.
fn explained(reason: &str) -> &'static str {
    match reason {
        "no_rule" => "no rule wants a scan",
        "no_device" => "the alert names no device",
        "ambiguous_device" => "the alert names a device and gives no id",
        "bad_device_id" => "the id is not a Defender machine id",
        "alert_closed" => "its source had closed the alert",
        "other_tenant" => "the alert belongs to another tenant",
        "not_json" => "the record is not JSON; its bytes are in the dead letters",
        "unknown_format" => "JSON of no known format; its bytes are in the dead letters",
        "invalid" => "a field breaks its contract; its bytes are in the dead letters",
        _ => "",
    }
}
