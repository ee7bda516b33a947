//! Why the worker cannot start, or stopped by itself.

use std::net::SocketAddr;

use crate::defender::DefenderError;
use crate::kafka::KafkaError;
use crate::telemetry::TelemetryError;

/// Why the worker cannot start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Kafka: settings, missing or unfit topics.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The client cannot be made.
    #[error(transparent)]
    Defender(#[from] DefenderError),
    /// Metrics cannot be made.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Metrics and health cannot be served.
    #[error("cannot listen on telemetry.listen {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The admin API cannot be served.
    #[error("cannot serve the admin API on admin.listen {address}: {reason}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The ledger forgets too soon.
    #[error("{0}")]
    Retention(String),
    /// A loop ended by itself.
    #[error("the {0} loop ended by itself: {1}")]
    LoopEnded(&'static str, String),
}

impl WorkerError {
    /// Stable code for logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Kafka(error) => error.code(),
            Self::Defender(error) => error.code(),
            Self::Telemetry(error) => error.code(),
            Self::Listen { .. } => "listen",
            Self::Admin { .. } => "admin",
            Self::Retention(_) => "ledger_retention",
            Self::LoopEnded(..) => "loop_ended",
        }
    }

    /// Whether somebody must change the configuration or the topics, rather than wait or look for a bug.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Kafka(error) => matches!(
                error,
                KafkaError::Settings(_)
                    | KafkaError::SecretFile { .. }
                    | KafkaError::Client(_)
                    | KafkaError::TopicMissing { .. }
                    | KafkaError::TopicUnfit { .. }
            ),
            Self::Defender(_) | Self::Retention(_) | Self::Listen { .. } | Self::Admin { .. } => true,
            Self::Telemetry(_) | Self::LoopEnded(..) => false,
        }
    }
}
