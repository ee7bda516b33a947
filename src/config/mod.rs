//! Configuration: defaults, then a YAML file, then the environment, checked as a whole.
//!
//! Each room defines its own settings (default, unit, meaning); this room composes them, knows where every value came from,
//! and reports every fault at once with its place. Every key of the file is also an environment variable:
//! `kafka.bootstrap_servers` is `ALERT_RESPONDER__KAFKA__BOOTSTRAP_SERVERS`.

mod check;
mod environment;
mod error;
mod layers;
mod print;
mod reference;
mod schema;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Settings as AlertSettings;
use crate::defender::Settings as DefenderSettings;
use crate::kafka::Settings as KafkaSettings;
use crate::rules::Mode;
use crate::scheduler::Settings as SchedulerSettings;
use crate::telemetry::{AdminSettings, Settings as TelemetrySettings};
use crate::worker::Settings as WorkerSettings;

pub use error::{ConfigError, ConfigErrors, Place, Position};
pub use print::Row;
pub use schema::{ENVIRONMENT_PREFIX, Key};

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "alert-responder configuration")]
pub struct Config {
    /// `shadow` decides and records, and starts no scan; `live` starts scans for rules that are live. Default: `shadow`.
    pub mode: Mode,
    /// The kill switch: `true` stops every scan and every cancellation, and reads go on; requests wait and nothing is lost.
    /// Default: `false`.
    pub halted: bool,
    /// The brokers and topics.
    pub kafka: KafkaSettings,
    /// What the alerts topic may hold.
    pub alerts: AlertSettings,
    /// Where the rules are.
    pub rules: RulesSettings,
    /// Microsoft Defender for Endpoint: tenant, credentials, hosts.
    pub defender: DefenderSettings,
    /// Quotas, cooldowns, protections and deadlines.
    pub scheduler: SchedulerSettings,
    /// Metrics, health endpoints and logs.
    pub telemetry: TelemetrySettings,
    /// Orders of operators over HTTP.
    pub admin: AdminSettings,
    /// Start and stop of the worker.
    pub worker: WorkerSettings,
}

/// Where the rules are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RulesSettings {
    /// Directory that is read for rule documents (`*.yml`, `*.yaml`), sub-directories included. Default: `rules`.
    pub directory: PathBuf,
    /// How often the directory is looked at; rules that changed take over without a restart, unless they have an error. `0s`
    /// turns that off; SIGHUP has them read at once in any case. Default: `10s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub reload_interval: Duration,
}

impl Default for RulesSettings {
    fn default() -> Self {
        Self { directory: PathBuf::from("rules"), reload_interval: Duration::from_secs(10) }
    }
}

impl RulesSettings {
    fn validate(&self) -> Vec<String> {
        let empty = self.directory.as_os_str().is_empty();
        empty.then(|| "directory is empty; name the directory that holds the rules".to_owned()).into_iter().collect()
    }
}

impl Config {
    /// How long a call can take is told to the client and to the scheduler, which must not believe a call over too early.
    fn call_timeouts(&self) -> Vec<String> {
        let (client, scheduler) = (self.defender.call_timeout, self.scheduler.call_timeout);
        let short = scheduler < client;
        let message = format!(
            "call_timeout ({scheduler:?}) is shorter than defender.call_timeout ({client:?}); a call could arrive after it \
             was believed over"
        );
        short.then_some(message).into_iter().collect()
    }
}

impl layers::Sections for Config {
    fn faults(&self) -> Vec<(&'static str, String)> {
        let sections = [
            ("kafka", self.kafka.validate()),
            ("alerts", self.alerts.validate()),
            ("rules", self.rules.validate()),
            ("defender", self.defender.validate()),
            ("scheduler", self.scheduler.validate()),
            ("telemetry", self.telemetry.validate()),
            ("admin", self.admin.validate()),
            ("worker", self.worker.validate()),
            ("scheduler", self.call_timeouts()),
        ];
        sections.into_iter().flat_map(|(name, faults)| faults.into_iter().map(move |fault| (name, fault))).collect()
    }
}

/// A configuration that passed every check, and where its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The place of every value that is not a default, by dotted path; items of lists as `path[0]`.
    pub origins: BTreeMap<String, Place>,
}

impl Config {
    /// Reads and checks a configuration. The environment is given as a map, so that tests need no process of their own.
    ///
    /// # Errors
    /// Every fault at once, each with file, line and column or the variable's name, and with its mend.
    pub fn load(path: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Loaded, ConfigErrors> {
        layers::load(path, environment, |_| true).map(|(config, origins)| Loaded { config, origins })
    }

    /// As [`Self::load`], for a command that needs some sections only: what is missing or out of bounds in the others is
    /// none of its business. Unknown keys and values of the wrong type are faults everywhere.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn load_sections(
        path: Option<&Path>,
        environment: &BTreeMap<String, String>,
        sections: &[&str],
    ) -> Result<Loaded, ConfigErrors> {
        let wanted = |section: &str| sections.contains(&section);
        layers::load(path, environment, wanted).map(|(config, origins)| Loaded { config, origins })
    }

    /// The JSON Schema of the configuration file (draft-07, which editors read).
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::json_schema::<Self>()
    }

    /// Every key that can be set, in order of the schema.
    #[must_use]
    pub fn keys() -> Vec<Key> {
        schema::keys(&Self::schema())
    }

    /// `docs/configuration.md`, generated from the documentation of the settings types.
    #[must_use]
    pub fn reference() -> String {
        reference::markdown(&Self::schema())
    }
}

impl Loaded {
    /// Every key with its value and its origin. Secrets are redacted.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        print::rows(&Config::keys(), &self.config, &self.origins)
    }

    /// Keys that name a file which cannot be read, with the reason. Not a fault of the configuration as such: it may be
    /// checked on a machine that does not hold the secrets.
    #[must_use]
    pub fn unreadable_files(&self) -> Vec<String> {
        let values = serde_json::to_value(&self.config).unwrap_or_default();
        let keys = Config::keys();
        let files = keys.iter().filter(|key| key.path.ends_with("_file"));
        let named =
            files.filter_map(|key| Some((&key.path, print::value_at(&values, &key.path)?.as_str()?.to_owned())));
        let tried = named.map(|(key, path)| (key, std::fs::File::open(&path), path));
        tried.filter_map(|(key, opened, path)| Some(format!("{key}: cannot read {path}: {}", opened.err()?))).collect()
    }
}
