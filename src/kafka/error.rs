//! What can go wrong between us and Kafka.

use std::path::PathBuf;

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use crate::event::EventError;

/// An error of the Kafka room.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A setting is wrong.
    #[error("{0}")]
    Settings(String),
    /// A file with a secret could not be read.
    #[error("cannot read {key} from {}: {source}", path.display())]
    SecretFile {
        /// The setting that names the file.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// librdkafka refused a setting or could not make a client.
    #[error("cannot make a Kafka client: {0}; check kafka.librdkafka and the security settings")]
    Client(String),
    /// A topic that the worker needs does not exist.
    #[error("topic `{topic}` does not exist on {bootstrap_servers}; create it, or set kafka.create_topics: true")]
    TopicMissing {
        /// The topic.
        topic: String,
        /// Where it was looked for.
        bootstrap_servers: String,
    },
    /// A topic exists and is not as it has to be.
    #[error("topic `{topic}`: {problem}")]
    TopicUnfit {
        /// The topic.
        topic: String,
        /// What is wrong and what mends it.
        problem: String,
    },
    /// The producer's queue is full: wait for earlier records to be acknowledged.
    #[error("the producer's queue is full")]
    QueueFull,
    /// A record was not acknowledged. It may still be in the log.
    #[error("a record for topic `{topic}` was not acknowledged: {reason}")]
    NotAcknowledged {
        /// The topic.
        topic: String,
        /// librdkafka's words.
        reason: String,
        /// Whether the same record may be sent again with a hope of success.
        retryable: bool,
    },
    /// A record is larger than the producer or the brokers take.
    #[error(
        "a record for topic `{topic}` is too large: {reason}; raise the topic's max.message.bytes if it should fit"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The producer can no longer keep its order and must be replaced by a new one.
    #[error("the producer failed for good and has to be made anew: {0}")]
    ProducerFatal(String),
    /// The consumer failed for good and has to be made anew.
    #[error("the consumer failed for good and has to be made anew: {0}")]
    ConsumerFatal(String),
    /// Reading met trouble; librdkafka goes on by itself.
    #[error("reading from Kafka: {0}")]
    Consume(String),
    /// The position of a partition is not in its log any more. Nothing is read until the owner decides where to go on.
    #[error("the log no longer holds the position of a partition: it was truncated, or records expired unread: {0}")]
    OffsetOutOfRange(String),
    /// An offset was not committed.
    #[error("offset {offset} of partition {partition} was not committed: {reason}")]
    Commit {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// librdkafka's words.
        reason: String,
        /// Whether to try again while the partition is still ours.
        retryable: bool,
    },
    /// The metadata of a commit is larger than brokers take.
    #[error("commit metadata of {size} bytes; brokers take {limit}")]
    MetadataTooLarge {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// The partition is not (or no longer) assigned to this consumer.
    #[error("partition {partition} is not assigned to this consumer")]
    NotAssigned {
        /// The partition.
        partition: i32,
    },
    /// The cluster did not answer a question.
    #[error("{what}: {reason}")]
    Query {
        /// What was asked.
        what: String,
        /// librdkafka's words.
        reason: String,
    },
    /// Kafka did not answer in time.
    #[error("{what}: no answer within {seconds} s")]
    TimedOut {
        /// What was asked.
        what: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The consumer or producer has been closed.
    #[error("the Kafka client is closed")]
    Closed,
    /// A ledger record could not be written as JSON.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A file of alerts could not be read.
    #[error("cannot read the input: {0}")]
    Input(#[from] std::io::Error),
}

impl KafkaError {
    /// Stable code for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "invalid_settings",
            Self::SecretFile { .. } => "secret_file",
            Self::Client(_) => "client",
            Self::TopicMissing { .. } => "topic_missing",
            Self::TopicUnfit { .. } => "topic_unfit",
            Self::QueueFull => "queue_full",
            Self::NotAcknowledged { .. } => "not_acknowledged",
            Self::TooLarge { .. } => "too_large",
            Self::ProducerFatal(_) => "producer_fatal",
            Self::ConsumerFatal(_) => "consumer_fatal",
            Self::Consume(_) => "consume",
            Self::OffsetOutOfRange(_) => "offset_out_of_range",
            Self::Commit { .. } => "commit",
            Self::MetadataTooLarge { .. } => "metadata_too_large",
            Self::NotAssigned { .. } => "not_assigned",
            Self::Query { .. } => "query",
            Self::TimedOut { .. } => "timed_out",
            Self::Closed => "closed",
            Self::Event(error) => error.code(),
            Self::Input(_) => "input",
        }
    }

    /// Whether the same call may succeed later, without anybody changing anything but the weather.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::QueueFull | Self::Consume(_) | Self::Query { .. } | Self::TimedOut { .. } => true,
            Self::NotAcknowledged { retryable, .. } | Self::Commit { retryable, .. } => *retryable,
            _ => false,
        }
    }

    /// The one way from librdkafka's refusal of a client to words. Its own tell the value of the property that it refuses, which
    /// may be a secret: a typo in the name of one is enough.
    pub(super) fn client(error: &ClientError) -> Self {
        Self::Client(match error {
            ClientError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, property, _) => {
                format!("librdkafka has no property `{property}`")
            }
            ClientError::ClientConfig(_, description, property, _) => match reason_without_value(description) {
                Some(reason) => format!("librdkafka does not take the value of `{property}`: {reason}"),
                None => format!("librdkafka does not take the value of `{property}`"),
            },
            other => other.to_string(),
        })
    }

    pub(super) fn query(what: impl Into<String>, error: &ClientError) -> Self {
        Self::Query { what: what.into(), reason: error.to_string() }
    }

    pub(super) fn consumed(error: &ClientError) -> Self {
        match error {
            ClientError::MessageConsumptionFatal(_) => Self::ConsumerFatal(error.to_string()),
            ClientError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                Self::OffsetOutOfRange(error.to_string())
            }
            _ => Self::Consume(error.to_string()),
        }
    }

    pub(super) fn produced(topic: &str, error: &ClientError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Self::QueueFull,
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
                Self::TooLarge { topic: topic.to_owned(), reason: error.to_string() }
            }
            Some(RDKafkaErrorCode::Fatal) => Self::ProducerFatal(error.to_string()),
            code => Self::NotAcknowledged {
                topic: topic.to_owned(),
                reason: error.to_string(),
                retryable: !matches!(
                    code,
                    Some(
                        RDKafkaErrorCode::InvalidRecord
                            | RDKafkaErrorCode::InvalidTopic
                            | RDKafkaErrorCode::InvalidArgument
                    )
                ),
            },
        }
    }

    /// A commit that met a rebalance may be tried again only while the partition is still ours; every other error of
    /// the group (a member that was thrown out) ends with the partition being taken away.
    pub(super) fn commit(partition: i32, offset: i64, error: &ClientError) -> Self {
        let retryable = !matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::FencedInstanceId
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::OffsetMetadataTooLarge
            )
        );
        Self::Commit { partition, offset, reason: error.to_string(), retryable }
    }
}

/// What librdkafka says about a refused value behind the value itself. Most of its sentences repeat the value, whole or in
/// part, so only these are known to be harmless.
fn reason_without_value(description: &str) -> Option<&str> {
    if description.starts_with("Java ") {
        return Some(description);
    }
    let behind = |start: &str, marker: &str| {
        let (_, reason) = description.strip_prefix(start)?.rsplit_once(marker)?;
        Some(reason.trim_end())
    };
    behind("Configuration property", "not supported in this build: ")
        .or_else(|| behind("Configuration property", "is outside "))
        .or_else(|| behind("Unsupported value", "configuration property "))
}

#[cfg(test)]
mod tests {
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn no_value_that_librdkafka_refuses_is_told() {
        for (property, value, reason) in [
            // A typo of the name of a secret.
            ("ssl.key.pasword", "hunter2", "no property"),
            ("security.protocol", "hunter2", "does not take"),
            ("security.protocol", " hunter2 ", "does not take"),
            // A list of flags is told in parts.
            ("debug", "cgrp, hunter2", "does not take"),
            ("enable.auto.commit", "hunter2", "does not take"),
            ("socket.timeout.ms", "hunter2", "does not take"),
            ("socket.timeout.ms", "99999999", "allowed range 10..300000"),
            ("ssl.truststore.location", "hunter2", "use `ssl.ca.location`"),
            ("sasl.jaas.config", "password=hunter2;", "is not supported"),
        ] {
            let made: Result<BaseConsumer, _> = ClientConfig::new().set(property, value).create();
            let error = KafkaError::client(&made.err().expect("refused"));
            let told = format!("{error} {error:?}");
            assert!(told.contains(property) && told.contains(reason), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("99999999"), "{told}");
        }
    }
}
