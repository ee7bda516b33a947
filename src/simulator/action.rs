//! A machine action and its life, which is computed from the time rather than driven.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::Life;

/// All times in microseconds since the start.
#[derive(Debug, Clone)]
pub(super) struct SimAction {
    pub(super) id: String,
    pub(super) machine_id: String,
    pub(super) machine_name: String,
    pub(super) scope: String,
    pub(super) comment: String,
    pub(super) requestor: String,
    pub(super) source: &'static str,
    pub(super) created: u64,
    /// In lists from then on; none: never.
    pub(super) listed: Option<u64>,
    pub(super) life: Life,
    pub(super) taken: u64,
    pub(super) ends: u64,
    pub(super) times_out: u64,
    /// When, by whom, why.
    pub(super) cancelled: Option<(u64, String, String)>,
}

impl SimAction {
    /// The status now, and since when.
    pub(super) fn status(&self, now: u64) -> (&'static str, u64) {
        let natural = |at: u64| match self.life {
            Life::PendingForever if at >= self.times_out => ("TimeOut", self.times_out),
            Life::RunsForever if at >= self.times_out => ("TimeOut", self.times_out),
            _ if at < self.taken || self.life == Life::PendingForever => ("Pending", self.created),
            _ if at < self.ends || self.life == Life::RunsForever => ("InProgress", self.taken),
            Life::Fails => ("Failed", self.ends),
            Life::CancelledBySomebody => ("Cancelled", self.ends),
            Life::UnknownStatus => ("Rescheduled", self.ends),
            _ => ("Succeeded", self.ends),
        };
        match &self.cancelled {
            Some((at, ..)) if *at <= now => ("Cancelled", *at),
            _ => natural(now),
        }
    }

    /// Whether it exists and is not over.
    pub(super) fn is_open(&self, now: u64) -> bool {
        self.created <= now && matches!(self.status(now).0, "Pending" | "InProgress")
    }

    /// The action as the API shows it.
    pub(super) fn json(&self, now: u64, start: Timestamp, old_spelling: bool) -> Value {
        let (status, since) = self.status(now);
        let time = |micros: u64| {
            let offset = jiff::SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
            format!("{:.7}", start.saturating_add(offset).unwrap_or(Timestamp::MAX))
        };
        let error = match status {
            "TimeOut" => -2_145_844_840,
            "Cancelled" => -2_147_467_260,
            "Failed" => -2_147_467_259,
            _ => 0,
        };
        let by_hand = self.cancelled.clone().filter(|(at, ..)| *at <= now);
        let cancelled = by_hand.or_else(|| {
            (status == "Cancelled").then(|| (since, "analyst@contoso.com".to_owned(), "not now".to_owned()))
        });
        let updated = if old_spelling { "lastUpdateTimeUtc" } else { "lastUpdateDateTimeUtc" };
        let mut value = json!({
            "id": self.id, "type": "RunAntiVirusScan", "title": null, "requestor": self.requestor,
            "requestorComment": self.comment, "status": status, "machineId": self.machine_id,
            "computerDnsName": self.machine_name, "creationDateTimeUtc": time(self.created),
            "cancellationRequestor": cancelled.as_ref().map(|(_, by, _)| by),
            "cancellationComment": cancelled.as_ref().map(|(_, _, why)| why),
            "cancellationDateTimeUtc": cancelled.as_ref().map(|(at, ..)| time(*at)),
            "errorHResult": error, "scope": self.scope, "externalId": null, "requestSource": self.source,
            "relatedFileInfo": null, "commands": [], "troubleshootInfo": null,
        });
        if let Some(object) = value.as_object_mut() {
            object.insert(updated.to_owned(), json!(time(since)));
        }
        value
    }
}
