//! The topics that the worker needs: there, and fit for what is promised on them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use super::ask::{layout, make, servers};
use super::client::{self, Cluster, LogContext, QUERY_TIMEOUT, blocking};
use super::error::KafkaError;
use super::settings::{LARGEST_RECORD, Settings};

/// How long every broker may take to know a topic that was created.
const VISIBLE: Duration = Duration::from_secs(5);
/// Segments of a ledger topic that the worker creates are closed daily, so that retention is kept to within a day.
const SEGMENT_MS: &str = "86400000";
/// The brokers' own default for a batch: a record of [`LARGEST_RECORD`] bytes and some room for its headers. Brokers may
/// have another.
const MAX_MESSAGE_BYTES: &str = "1048588";

/// Said where the brokers tell no setting of a topic.
const UNREADABLE: &str = "its configuration cannot be read, so nothing says that it keeps what is acknowledged; allow \
                          DescribeConfigs on it";

/// A dead letters topic that the worker creates, whatever the brokers' defaults are.
const KEEPS_EVERYTHING: [(&str, &str); 1] = [("cleanup.policy", "delete")];

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicsReport {
    /// Topics that were created.
    pub created: Vec<String>,
    /// Partitions of the alerts topic.
    pub alerts_partitions: usize,
    /// How long the ledger's records are kept; `None`: for ever, or not known (the embedded broker).
    pub ledger_retention: Option<Duration>,
    /// What the operator should know and what does not hold the worker up.
    pub warnings: Vec<String>,
}

struct Shape {
    partitions: usize,
    /// Of the partition that has the fewest.
    replicas: usize,
}

/// Checks the topics, creates those that are missing where `create_topics` allows it, and checks that the ledger cannot
/// lose records unless `ledger.allow_single_replica` accepts that.
///
/// # Errors
/// [`KafkaError::TopicMissing`], [`KafkaError::TopicUnfit`] with the mend, [`KafkaError::Query`] when the cluster does not
/// answer (worth a retry).
pub async fn ensure_topics(settings: &Settings) -> Result<TopicsReport, KafkaError> {
    let mut report = TopicsReport::default();
    let ledger_replication = settings.create_replication_factor;
    let retention = settings.ledger.retention.as_millis().to_string();
    let in_sync = (ledger_replication - 1).clamp(1, 2).to_string();
    let durable = [
        ("cleanup.policy", "delete"),
        ("retention.ms", retention.as_str()),
        ("retention.bytes", "-1"),
        ("segment.ms", SEGMENT_MS),
        ("min.insync.replicas", in_sync.as_str()),
        ("unclean.leader.election.enable", "false"),
        ("max.message.bytes", MAX_MESSAGE_BYTES),
    ];

    let alerts = Topics::new(settings, Cluster::Alerts)?;
    let shape = alerts
        .ensure(settings, &settings.alerts_topic, settings.create_alerts_partitions, &[], &mut report.created)
        .await?;
    report.alerts_partitions = shape.partitions;

    let ledger = Topics::new(settings, Cluster::Ledger)?;
    ledger.ensure(settings, &settings.dead_letters_topic, 1, &KEEPS_EVERYTHING, &mut report.created).await?;
    if !settings.embedded {
        let config = ledger.topic_config(&settings.dead_letters_topic).await?;
        if config.is_empty() {
            report.warnings.push(format!("topic `{}`: {UNREADABLE}", settings.dead_letters_topic));
        }
        if let Some(problem) = dead_letters_problem(&config) {
            return Err(KafkaError::TopicUnfit { topic: settings.dead_letters_topic.clone(), problem });
        }
    }
    let shape = ledger
        .ensure(settings, &settings.ledger_topic, settings.ledger.partitions, &durable, &mut report.created)
        .await?;
    let unfit = |problem: String| KafkaError::TopicUnfit { topic: settings.ledger_topic.clone(), problem };
    if usize::try_from(settings.ledger.partitions) != Ok(shape.partitions) {
        return Err(unfit(format!(
            "it has {} partitions and kafka.ledger.partitions says {}; the ledger's partitions are never changed once it \
             is written to",
            shape.partitions, settings.ledger.partitions
        )));
    }
    if !settings.embedded {
        let config = ledger.topic_config(&settings.ledger_topic).await?;
        let problems = durability_problems(&shape, &config);
        if !problems.is_empty() && !settings.ledger.allow_single_replica {
            return Err(unfit(format!(
                "it can lose records that were acknowledged: {}; mend the topic, or accept it with \
                 kafka.ledger.allow_single_replica: true",
                problems.join("; ")
            )));
        }
        report
            .warnings
            .extend(problems.into_iter().map(|problem| format!("topic `{}`: {problem}", settings.ledger_topic)));
        if let Some(problem) = compaction_problem(&config).or_else(|| size_problem(&config)) {
            return Err(unfit(problem));
        }
        report.ledger_retention = config
            .get("retention.ms")
            .and_then(|millis| millis.parse::<i64>().ok())
            .and_then(|millis| u64::try_from(millis).ok())
            .map(Duration::from_millis);
        if config.get("retention.bytes").is_some_and(|bytes| bytes != "-1") {
            report.warnings.push(format!(
                "topic `{}`: retention.bytes is set, so records may go before retention.ms",
                settings.ledger_topic
            ));
        }
    }
    Ok(report)
}

/// No operator's word helps here: the offsets of the ledger must have no gaps.
fn compaction_problem(config: &HashMap<String, String>) -> Option<String> {
    compaction(config).map(|policy| {
        format!(
            "cleanup.policy is `{policy}`, and compaction would tear holes into the ledger; set cleanup.policy=delete"
        )
    })
}

/// Dead letters have the keys of their records, or none.
fn dead_letters_problem(config: &HashMap<String, String>) -> Option<String> {
    compaction(config).map(|policy| {
        format!(
            "cleanup.policy is `{policy}`: the brokers would refuse every dead letter without a key, and drop all but the \
             last of each key; set cleanup.policy=delete"
        )
    })
}

/// The policy, where it compacts.
fn compaction(config: &HashMap<String, String>) -> Option<&str> {
    config.get("cleanup.policy").map(String::as_str).filter(|policy| *policy != "delete")
}

/// A record that the topic refuses would be appended again and again, and hold up everything behind it.
fn size_problem(config: &HashMap<String, String>) -> Option<String> {
    let bytes = config.get("max.message.bytes")?;
    bytes.parse::<usize>().is_ok_and(|bytes| bytes < LARGEST_RECORD).then(|| {
        format!(
            "max.message.bytes is {bytes}, and records of the ledger may have {LARGEST_RECORD}; set \
             max.message.bytes={MAX_MESSAGE_BYTES} or more"
        )
    })
}

fn durability_problems(shape: &Shape, config: &HashMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    if shape.replicas < 3 {
        problems.push(format!("a partition has {} replicas, 3 are wanted", shape.replicas));
    }
    // Brokers answer so instead of refusing.
    if config.is_empty() {
        problems.push(UNREADABLE.to_owned());
        return problems;
    }
    let in_sync = config.get("min.insync.replicas").and_then(|count| count.parse::<usize>().ok()).unwrap_or(1);
    if in_sync < 2 {
        problems.push(format!("min.insync.replicas is {in_sync}, 2 is wanted"));
    }
    if config.get("unclean.leader.election.enable").is_some_and(|value| value == "true") {
        problems.push("unclean.leader.election.enable is true, false is wanted".to_owned());
    }
    problems
}

/// Questions about the topics of one cluster.
struct Topics {
    config: ClientConfig,
    embedded: bool,
}

impl Topics {
    fn new(settings: &Settings, cluster: Cluster) -> Result<Self, KafkaError> {
        Ok(Self { config: client::consumer(settings, cluster)?, embedded: settings.embedded })
    }

    fn admin(&self) -> Result<AdminClient<LogContext>, KafkaError> {
        // Consumer properties would only earn warnings.
        let mut config = self.config.clone();
        for consumer_only in [
            "enable.auto.commit",
            "enable.auto.offset.store",
            "auto.offset.reset",
            "fetch.wait.max.ms",
            "queued.max.messages.kbytes",
        ] {
            config.remove(consumer_only);
        }
        config.create_with_context(LogContext::of(&config)).map_err(|error| KafkaError::client(&error))
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(QUERY_TIMEOUT)).operation_timeout(Some(QUERY_TIMEOUT))
    }

    async fn ensure(
        &self,
        settings: &Settings,
        topic: &str,
        partitions: i32,
        config: &[(&str, &str)],
        created: &mut Vec<String>,
    ) -> Result<Shape, KafkaError> {
        if let Some(shape) = self.shape(topic).await? {
            return Ok(shape);
        }
        if !settings.create_topics || self.embedded {
            return Err(KafkaError::TopicMissing {
                topic: topic.to_owned(),
                bootstrap_servers: servers(&self.config).to_owned(),
            });
        }
        let replication = TopicReplication::Fixed(settings.create_replication_factor);
        let new =
            config.iter().fold(NewTopic::new(topic, partitions, replication), |new, (key, value)| new.set(key, value));
        let what = format!("creating topic `{topic}`");
        let results = self
            .admin()?
            .create_topics([&new], &Self::options())
            .await
            .map_err(|error| KafkaError::query(&what, &error))?;
        for result in results {
            match result {
                Ok(_) => created.push(topic.to_owned()),
                // Another replica was faster.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(KafkaError::TopicUnfit {
                        topic: topic.to_owned(),
                        problem: format!(
                            "it does not exist and could not be created: {code}; create it by hand, or mend \
                             kafka.create_replication_factor ({})",
                            settings.create_replication_factor
                        ),
                    });
                }
            }
        }
        // The answer comes from the controller; the other brokers learn of the topic a moment later, and then of its leaders.
        let until = Instant::now() + VISIBLE;
        while Instant::now() < until {
            match self.shape(topic).await {
                Ok(Some(shape)) if usize::try_from(partitions) == Ok(shape.partitions) => return Ok(shape),
                Err(error) if !error.is_retryable() => return Err(error),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        Err(KafkaError::TimedOut { what, seconds: VISIBLE.as_secs() })
    }

    async fn shape(&self, topic: &str) -> Result<Option<Shape>, KafkaError> {
        let config = self.config.clone();
        let topic = topic.to_owned();
        blocking(move || {
            let layout = layout(&make(&config)?, &config, &topic)?;
            Ok(layout.map(|layout| Shape { partitions: layout.partitions.len(), replicas: layout.replicas }))
        })
        .await?
    }

    async fn topic_config(&self, topic: &str) -> Result<HashMap<String, String>, KafkaError> {
        let what = format!("configuration of topic `{topic}`");
        let answers = self
            .admin()?
            .describe_configs([&ResourceSpecifier::Topic(topic)], &Self::options())
            .await
            .map_err(|error| KafkaError::query(&what, &error))?;
        let mut config = HashMap::new();
        for answer in answers {
            let resource = answer.map_err(|code| KafkaError::Query { what: what.clone(), reason: code.to_string() })?;
            for entry in resource.entries {
                if let Some(value) = entry.value {
                    config.insert(entry.name, value);
                }
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: [(&str, &str); 2] = [("min.insync.replicas", "2"), ("unclean.leader.election.enable", "false")];

    fn config(entries: &[(&str, &str)]) -> HashMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_topic_that_can_lose_records_is_told_by_each_of_its_settings() {
        let problems = |replicas, entries: &[(&str, &str)]| {
            durability_problems(&Shape { partitions: 1, replicas }, &config(entries)).len()
        };
        assert_eq!(problems(3, &SAFE), 0);
        assert_eq!(problems(2, &SAFE), 1);
        assert_eq!(problems(3, &[("min.insync.replicas", "1"), SAFE[1]]), 1);
        assert_eq!(problems(3, &[SAFE[1]]), 1, "a broker that does not say has the default of 1");
        assert_eq!(problems(3, &[SAFE[0], ("unclean.leader.election.enable", "true")]), 1);
        assert_eq!(problems(1, &[("unclean.leader.election.enable", "true")]), 3);
        assert_eq!(problems(3, &[]), 1, "what may not be read is no proof");
    }

    #[test]
    fn a_ledger_that_refuses_large_records_is_unfit() {
        for fits in ["1048576", "1048588", "8388608"] {
            assert_eq!(size_problem(&config(&[("max.message.bytes", fits)])), None);
        }
        assert_eq!(size_problem(&config(&SAFE)), None, "a broker that does not say has the default");
        let problem = size_problem(&config(&[("max.message.bytes", "1048575")])).unwrap_or_default();
        assert!(problem.contains("set max.message.bytes=1048588"), "{problem}");
        assert!(MAX_MESSAGE_BYTES.parse::<usize>().is_ok_and(|bytes| bytes >= LARGEST_RECORD));
    }

    #[test]
    fn compacted_dead_letters_are_unfit() {
        assert_eq!(dead_letters_problem(&config(&[])), None);
        assert_eq!(dead_letters_problem(&config(&KEEPS_EVERYTHING)), None);
        for policy in ["compact", "compact,delete", "delete,compact"] {
            let problem = dead_letters_problem(&config(&[("cleanup.policy", policy)])).unwrap_or_default();
            assert!(problem.contains(policy) && problem.contains("set cleanup.policy=delete"), "{problem}");
        }
    }

    #[test]
    fn a_compacted_ledger_is_unfit() {
        assert_eq!(compaction_problem(&config(&SAFE)), None);
        assert_eq!(compaction_problem(&config(&[("cleanup.policy", "delete")])), None);
        for policy in ["compact", "compact,delete"] {
            let problem = compaction_problem(&config(&[("cleanup.policy", policy)])).unwrap_or_default();
            assert!(problem.contains(policy), "{problem}");
        }
    }
}
