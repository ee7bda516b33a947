//! Metrics, logs and the HTTP endpoints that tell of the worker's health.
//!
//! This room knows nothing of what the worker does: others tell it. It holds no globals; the log's subscriber is installed
//! by the command that runs.

mod admin;
mod health;
mod http;
pub mod logs;
mod metrics;
mod settings;
mod throttle;

pub use admin::{
    AdminApi, AdminError, AdminRequest, AdminSettings, AdminVerb, OrderBody, RearmBody, SilenceBody, serve_admin,
};
pub use health::{Condition, Liveness, LoopState, Progress, Readiness};
pub use http::{AdminState, serve};
pub use metrics::{
    ALL_RULES, ApiResult, BreakerState, Endpoint, Kind, Metric, Metrics, PriorityClass, QuotaWindow, RulesReload,
    ScanAttempt, TABLE,
};
pub use settings::{LogFormat, Settings};
pub use throttle::Throttle;

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Source revision of this build, where the build was told (`ALERT_RESPONDER_REVISION`).
pub const REVISION: &str = match option_env!("ALERT_RESPONDER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The metrics contradict themselves.
    #[error("metrics cannot be registered or written: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The log level cannot be read.
    #[error("telemetry.log_level is no level: {0}; write for example `info`")]
    LogLevel(#[from] tracing_subscriber::filter::ParseError),
    /// Another logger is installed.
    #[error("a logger is installed already: {0}")]
    LogInstalled(#[from] tracing::subscriber::SetGlobalDefaultError),
}

impl TelemetryError {
    /// Stable code for logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Metrics(_) => "metrics",
            Self::LogLevel(_) => "log_level",
            Self::LogInstalled(_) => "log_installed",
        }
    }
}
