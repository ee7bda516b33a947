//! Where metrics and health are served, and how logs look.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// Metrics, health endpoints and logs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port of `/livez`, `/readyz` and `/metrics`. They have no authentication: bind to all addresses
    /// (`0.0.0.0:9090`) only where a network policy or a container limits who can connect. Default: `127.0.0.1:9090`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Least level that is logged: `error`, `warn`, `info`, `debug` or `trace`, or a list of `target=level` with commas such
    /// as `info,alert_responder::worker=debug`. Default: `info`.
    pub log_level: String,
    /// Shape of the log on standard error. Default: `auto`.
    pub log_format: LogFormat,
}

/// Shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `text` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// Lines for people; colour only on a terminal and without `NO_COLOR`.
    Text,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
        }
    }
}

impl Settings {
    /// What is wrong with the values, each message beginning with its key.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let level = EnvFilter::try_new(&self.log_level).err();
        let level =
            level.map(|error| format!("log_level `{}` is no level: {error}; write for example `info`", self.log_level));
        level.into_iter().collect()
    }
}
