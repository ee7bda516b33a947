//! Stand-ins for the settings of rooms that are still being built. Each goes when its room has its own.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! pending {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {}

        impl $name {
            pub(super) fn validate(&self) -> Vec<String> {
                Vec::new()
            }
        }
    )+};
}

pending! {
    /// What the alerts topic may hold.
    AlertSettings
    /// Microsoft Defender for Endpoint.
    DefenderSettings
    /// Quotas and guards.
    SchedulerSettings
}

/// The brokers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// Brokers to start from, `host:port` with commas.
    pub bootstrap_servers: String,
}

impl KafkaSettings {
    pub(super) fn validate(&self) -> Vec<String> {
        let missing = self.bootstrap_servers.is_empty();
        missing.then(|| "bootstrap_servers is not set; name a broker".to_owned()).into_iter().collect()
    }
}

/// Start and stop of the worker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// How long the worker may take to finish its work after it was told to stop. Default: `25s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub shutdown_grace: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { shutdown_grace: Duration::from_secs(25) }
    }
}

impl WorkerSettings {
    pub(super) fn validate(&self) -> Vec<String> {
        Vec::new()
    }
}
