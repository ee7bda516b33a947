//! Questions to a cluster, and why it does not answer.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

use super::client::{LogContext, QUERY_TIMEOUT};
use super::error::KafkaError;

/// Events that are taken from a client that got no answer; a poll takes one of them.
const EVENTS: usize = 100;

impl rdkafka::consumer::ConsumerContext for LogContext {}

/// How a topic is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Numbers of its partitions.
    pub(super) partitions: Vec<i32>,
    /// Replicas of the partition that has the fewest.
    pub(super) replicas: usize,
}

/// A client that asks and, so far, reads nothing.
pub(super) fn make(config: &ClientConfig) -> Result<BaseConsumer<LogContext>, KafkaError> {
    config.create_with_context(LogContext::of(config)).map_err(|error| KafkaError::client(&error))
}

/// Where it asks.
pub(super) fn servers(config: &ClientConfig) -> &str {
    config.get("bootstrap.servers").unwrap_or_default()
}

/// The answer to a question, or why there is none. The error of the question itself only says that nothing came; what went
/// wrong on the way waits in the client until somebody polls.
pub(super) fn answered<T>(
    consumer: &BaseConsumer<LogContext>,
    config: &ClientConfig,
    what: impl Into<String>,
    answer: Result<T, ClientError>,
) -> Result<T, KafkaError> {
    answer.map_err(|error| {
        for _ in 0..EVENTS {
            drop(consumer.poll(Duration::ZERO));
        }
        let met = consumer.context().last_error().map_or_else(String::new, |met| format!("; {met}"));
        KafkaError::Query {
            what: what.into(),
            reason: format!("{error}{met} (bootstrap.servers: {})", servers(config)),
        }
    })
}

/// How a topic is laid out; `None` where it does not exist.
pub(super) fn layout(
    consumer: &BaseConsumer<LogContext>,
    config: &ClientConfig,
    topic: &str,
) -> Result<Option<Layout>, KafkaError> {
    let what = || format!("metadata of `{topic}`");
    let metadata = answered(consumer, config, what(), consumer.fetch_metadata(Some(topic), QUERY_TIMEOUT))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            return Err(KafkaError::TopicUnfit {
                topic: topic.to_owned(),
                problem: format!(
                    "this user may not describe it on {}, so nothing says whether it exists; allow Describe (Read and \
                     Write imply it)",
                    servers(config)
                ),
            });
        }
        Some(code) => return Err(KafkaError::Query { what: what(), reason: code.to_string() }),
    }
    let partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
    let replicas = found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
    Ok((!partitions.is_empty()).then_some(Layout { partitions, replicas }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rdkafka::mocking::MockCluster;
    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    fn asked(changes: &[(&str, &str)]) -> String {
        let mut config = ClientConfig::new();
        for (property, value) in changes {
            config.set(*property, *value);
        }
        let consumer = make(&config).unwrap();
        let answer = consumer.fetch_metadata(Some("alerts"), Duration::from_secs(2));
        let error = answered(&consumer, &config, "metadata of `alerts`", answer.map(drop)).unwrap_err();
        assert!(error.is_retryable());
        error.to_string()
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_told_with_the_reason_and_the_address() {
        let told = asked(&[("bootstrap.servers", "kafka.invalid:9092")]);
        assert!(told.contains("Failed to resolve 'kafka.invalid:9092'"), "{told}");
        assert!(told.ends_with("(bootstrap.servers: kafka.invalid:9092)"), "{told}");

        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let told = asked(&[("bootstrap.servers", &closed)]);
        assert!(told.contains("Connection refused") && told.contains(&closed), "{told}");

        // It speaks no TLS.
        let plain = MockCluster::new(1).unwrap();
        let told = asked(&[("bootstrap.servers", &plain.bootstrap_servers()), ("security.protocol", "ssl")]);
        assert!(told.contains("SSL_HANDSHAKE"), "{told}");
    }

    #[test]
    fn no_secret_is_in_the_reason() {
        let told = asked(&[
            ("bootstrap.servers", "127.0.0.1:9"),
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "OAUTHBEARER"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            // librdkafka repeats what it does not understand of it.
            ("sasl.oauthbearer.config", "principal=worker hunter2=x"),
        ]);
        assert!(told.contains("OAUTHBEARER") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_topic_that_may_not_be_described_is_not_called_missing() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("alerts", 2, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("allow.auto.create.topics", "false");
        let ask = || layout(&make(&config).unwrap(), &config, "alerts");
        assert_eq!(ask().unwrap(), Some(Layout { partitions: vec![0, 1], replicas: 1 }));
        let answers = |error| cluster.topic_error("alerts", error).unwrap();

        answers(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
        let error = ask().unwrap_err();
        assert!(matches!(error, KafkaError::TopicUnfit { .. }), "{error}");
        assert!(error.to_string().contains("allow Describe"), "{error}");

        answers(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
        assert_eq!(ask().unwrap(), None);

        answers(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
        let error = ask().unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
}
