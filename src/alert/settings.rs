//! How large and how deep a record may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds of what is decoded. They protect the worker from one record that would hold up all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Largest record in bytes; a larger one becomes a dead letter (`too_large`). Default 1048576 (1 MiB), as Kafka's own.
    pub max_record_bytes: usize,
    /// Deepest nesting of arrays and objects; a deeper record becomes a dead letter (`too_deep`). Default 64.
    pub max_depth: usize,
    /// Most alerts in one record (an array or a page); more make a dead letter (`too_large`). Default 1000.
    pub max_alerts_per_record: usize,
    /// Most devices in one alert; more make a dead letter (`too_large`). Default 100.
    pub max_devices_per_alert: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_record_bytes: 1024 * 1024, max_depth: 64, max_alerts_per_record: 1000, max_devices_per_alert: 100 }
    }
}

impl Settings {
    /// What is wrong with the values; empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        // The JSON parser itself gives up at 128 levels; 120 keeps our own answer the one that is seen.
        [
            ("max_record_bytes", self.max_record_bytes, 1024, 64 * 1024 * 1024),
            ("max_depth", self.max_depth, 8, 120),
            ("max_alerts_per_record", self.max_alerts_per_record, 1, 100_000),
            ("max_devices_per_alert", self.max_devices_per_alert, 1, 10_000),
        ]
        .into_iter()
        .filter(|(_, value, least, most)| value < least || value > most)
        .map(|(key, value, least, most)| format!("{key} is {value}; set it between {least} and {most}"))
        .collect()
    }

    /// The options of a decoder with these bounds.
    #[must_use]
    pub fn options(&self, keep_raw: bool) -> DecodeOptions {
        DecodeOptions { limits: self.clone(), keep_raw }
    }
}

/// What [`super::decode`] needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecodeOptions {
    /// Bounds of the record.
    pub limits: Settings,
    /// Whether [`super::Alert::raw`] is filled. It costs a copy of every alert: ask only when a rule reads `raw.*`.
    pub keep_raw: bool,
}
