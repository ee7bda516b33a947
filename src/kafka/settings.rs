//! Settings of the Kafka room.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

/// librdkafka properties that the worker sets itself: its promises rest on them.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set kafka.bootstrap_servers"),
    ("metadata.broker.list", "set kafka.bootstrap_servers"),
    ("group.id", "set kafka.group_id"),
    (
        "group.instance.id",
        "replicas share a configuration, and two members with one id throw each other out for ever; leave it out",
    ),
    ("session.timeout.ms", "set kafka.session_timeout"),
    ("heartbeat.interval.ms", "it follows kafka.session_timeout"),
    ("max.poll.interval.ms", "the worker polls by itself"),
    ("fetch.wait.max.ms", "set kafka.fetch_wait_max"),
    ("enable.auto.commit", "offsets are committed when decisions are durable, never by a clock"),
    ("auto.commit.interval.ms", "offsets are committed when decisions are durable, never by a clock"),
    ("enable.auto.offset.store", "offsets are committed when decisions are durable, never by a clock"),
    ("auto.offset.reset", "a lost position is reported, not skipped"),
    ("partition.assignment.strategy", "all members of the group must agree on it"),
    ("group.protocol", "the classic protocol is used"),
    ("enable.idempotence", "the ledger's producer is always idempotent"),
    ("acks", "the ledger is acknowledged by all in-sync replicas"),
    ("request.required.acks", "the ledger is acknowledged by all in-sync replicas"),
    ("max.in.flight", "the order of the ledger rests on it"),
    ("max.in.flight.requests.per.connection", "the order of the ledger rests on it"),
    ("retries", "the order of the ledger rests on it"),
    ("message.send.max.retries", "the order of the ledger rests on it"),
    ("transactional.id", "the worker uses no transactions"),
    ("message.timeout.ms", "set kafka.delivery_timeout"),
    ("delivery.timeout.ms", "set kafka.delivery_timeout"),
    ("enable.partition.eof", "the worker sets it where it needs it"),
    ("delivery.report.only.error", "the worker waits for the word that a record is written"),
    ("statistics.interval.ms", "the lag is measured by it"),
    ("allow.auto.create.topics", "a topic with the brokers' defaults may lose records; set kafka.create_topics"),
    ("test.mock.num.brokers", "use the command `demo`"),
];

/// Bytes that a record of the ledger may have.
pub(super) const LARGEST_RECORD: usize = 1 << 20;

/// librdkafka properties whose values must not stand in a configuration file.
pub(super) const SECRET: &[&str] = &[
    // Refused by librdkafka; whoever comes from Java tries it, with the password inside.
    "sasl.jaas.config",
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "ssl_key",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.config",
];

/// Where Kafka is, which topics are used and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Brokers to ask first, `host:port`, comma-separated. Required.
    pub bootstrap_servers: String,
    /// Consumer group that reads alerts; the ledger is read by `<group_id>.dispatch`. Default `alert-responder`.
    pub group_id: String,
    /// Topic that alerts are read from. Default `alerts`.
    pub alerts_topic: String,
    /// The ledger: what was decided and done. Written by the worker alone. Default `alert-responder.scans`.
    pub ledger_topic: String,
    /// Topic for records that cannot be decoded; it lives on the ledger's cluster. Default `alert-responder.dead-letters`.
    pub dead_letters_topic: String,
    /// Whether missing topics are created at start. Default `false`: they are asked for by name.
    pub create_topics: bool,
    /// Partitions of an alerts topic that the worker creates. Default 6.
    pub create_alerts_partitions: i32,
    /// Replicas of the topics that the worker creates. Default 3.
    pub create_replication_factor: i32,
    /// The ledger's topic.
    pub ledger: LedgerSettings,
    /// A member of a consumer group that is silent for so long loses its partitions. Default `45s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub session_timeout: Duration,
    /// How long a broker may hold a fetch that has no data. Default `500ms`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub fetch_wait_max: Duration,
    /// A record that is not acknowledged within this time counts as failed (and may be in the log all the same).
    /// Default `30s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub delivery_timeout: Duration,
    /// When partitions are taken away, how long intake may take to finish what it holds. Default `15s`; shorter than
    /// `session_timeout`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub revoke_budget: Duration,
    /// File whose content is the SASL password. It is read when a client is made, so a new password wants a restart.
    pub sasl_password_file: Option<PathBuf>,
    /// The SASL password itself; meant for the environment. Never printed.
    #[serde(skip_serializing, deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub sasl_password: Option<SecretString>,
    /// Further librdkafka properties, such as `security.protocol`. Those that the worker's promises rest on are refused.
    pub librdkafka: BTreeMap<String, String>,
    /// librdkafka properties whose values are secrets: property to file, for example
    /// `ssl.key.password: /run/secrets/key-password`. Files are read when a client is made.
    pub librdkafka_files: BTreeMap<String, PathBuf>,
    /// The brokers are librdkafka's mock cluster, which answers no admin calls. Set by the embedded broker alone.
    #[serde(skip)]
    pub embedded: bool,
}

/// The ledger's topic, and its cluster where that is another one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerSettings {
    /// Accepts a ledger topic that can lose records with one broker: for demos and tests. Default `false`.
    pub allow_single_replica: bool,
    /// Retention of a ledger topic that the worker creates. Default `168h`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub retention: Duration,
    /// Partitions of the ledger's topic; with another number the worker does not start. Default 1.
    pub partitions: i32,
    /// Partition of the ledger's topic that holds the tenant's records, counted from 0. Default 0.
    pub partition: i32,
    /// Cluster of the ledger and the dead letters, where it is not that of the alerts. Default: the same.
    pub cluster: Option<ClusterSettings>,
}

/// How to reach a cluster other than that of the alerts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// Brokers of the ledger's cluster to ask first, `host:port`, comma-separated. Required.
    pub bootstrap_servers: String,
    /// File whose content is the SASL password of the ledger's cluster. It is read when a client is made, so a new password wants
    /// a restart.
    pub sasl_password_file: Option<PathBuf>,
    /// The SASL password of the ledger's cluster itself; meant for the environment. Never printed.
    #[serde(skip_serializing, deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub sasl_password: Option<SecretString>,
    /// Further librdkafka properties for the ledger's cluster; those of `kafka.librdkafka` do not hold there.
    pub librdkafka: BTreeMap<String, String>,
    /// librdkafka properties for the ledger's cluster whose values are secrets: property to file. Files are read when a client is
    /// made.
    pub librdkafka_files: BTreeMap<String, PathBuf>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bootstrap_servers: String::new(),
            group_id: "alert-responder".to_owned(),
            alerts_topic: "alerts".to_owned(),
            ledger_topic: "alert-responder.scans".to_owned(),
            dead_letters_topic: "alert-responder.dead-letters".to_owned(),
            create_topics: false,
            create_alerts_partitions: 6,
            create_replication_factor: 3,
            ledger: LedgerSettings::default(),
            session_timeout: Duration::from_secs(45),
            fetch_wait_max: Duration::from_millis(500),
            delivery_timeout: Duration::from_secs(30),
            revoke_budget: Duration::from_secs(15),
            sasl_password_file: None,
            sasl_password: None,
            librdkafka: BTreeMap::new(),
            librdkafka_files: BTreeMap::new(),
            embedded: false,
        }
    }
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            allow_single_replica: false,
            retention: Duration::from_secs(7 * 24 * 3600),
            partitions: 1,
            partition: 0,
            cluster: None,
        }
    }
}

impl Settings {
    /// The consumer group that reads the ledger.
    #[must_use]
    pub fn dispatch_group_id(&self) -> String {
        format!("{}.dispatch", self.group_id)
    }

    /// Brokers of the ledger and the dead letters.
    #[must_use]
    pub fn ledger_bootstrap_servers(&self) -> &str {
        self.ledger.cluster.as_ref().map_or(&self.bootstrap_servers, |cluster| &cluster.bootstrap_servers)
    }

    /// Everything that is wrong, each with its key and its mend; empty when all is well.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |ok: bool, problem: &str| {
            if !ok {
                problems.push(problem.to_owned());
            }
        };
        require(
            !self.bootstrap_servers.trim().is_empty(),
            "kafka.bootstrap_servers: name at least one broker, host:port",
        );
        // Event Hubs takes 256 characters, and our own suffix has to fit.
        require(!self.group_id.is_empty() && self.group_id.len() <= 240, "kafka.group_id: wants 1 to 240 characters");
        for (key, topic) in [
            ("alerts_topic", &self.alerts_topic),
            ("ledger_topic", &self.ledger_topic),
            ("dead_letters_topic", &self.dead_letters_topic),
        ] {
            require(
                is_topic_name(topic),
                &format!("kafka.{key}: `{topic}` is no topic name (1 to 249 of letters, digits, `.`, `_`, `-`)"),
            );
        }
        require(
            self.alerts_topic != self.ledger_topic
                && self.alerts_topic != self.dead_letters_topic
                && self.ledger_topic != self.dead_letters_topic,
            "kafka: alerts_topic, ledger_topic and dead_letters_topic must be three different topics",
        );
        require(self.create_alerts_partitions >= 1, "kafka.create_alerts_partitions: at least 1");
        require((1..=99).contains(&self.create_replication_factor), "kafka.create_replication_factor: 1 to 99");
        require(
            self.ledger.partition >= 0 && self.ledger.partition < self.ledger.partitions,
            "kafka.ledger.partition: must be below kafka.ledger.partitions, counted from 0",
        );
        require(
            self.ledger.retention >= Duration::from_secs(24 * 3600),
            "kafka.ledger.retention: at least 24h, or a restart after a night cannot know its past",
        );
        require(self.session_timeout >= Duration::from_secs(1), "kafka.session_timeout: at least 1s");
        require(
            self.revoke_budget < self.session_timeout,
            "kafka.revoke_budget: must be shorter than kafka.session_timeout",
        );
        require(
            self.fetch_wait_max >= Duration::from_millis(1) && self.fetch_wait_max <= Duration::from_secs(30),
            "kafka.fetch_wait_max: 1ms to 30s",
        );
        require(self.delivery_timeout >= Duration::from_secs(1), "kafka.delivery_timeout: at least 1s");
        self.view("kafka").validate(&mut problems);
        if let Some(cluster) = &self.ledger.cluster {
            if cluster.bootstrap_servers.trim().is_empty() {
                problems.push("kafka.ledger.cluster.bootstrap_servers: name at least one broker, host:port".to_owned());
            }
            cluster.view("kafka.ledger.cluster").validate(&mut problems);
        }
        problems
    }

    pub(super) fn view(&self, key: &'static str) -> ClusterView<'_> {
        ClusterView {
            key,
            bootstrap_servers: &self.bootstrap_servers,
            sasl_password_file: self.sasl_password_file.as_ref(),
            sasl_password: self.sasl_password.as_ref(),
            librdkafka: &self.librdkafka,
            librdkafka_files: &self.librdkafka_files,
        }
    }

    pub(super) fn ledger_view(&self) -> ClusterView<'_> {
        self.ledger.cluster.as_ref().map_or_else(|| self.view("kafka"), |cluster| cluster.view("kafka.ledger.cluster"))
    }
}

impl ClusterSettings {
    fn view(&self, key: &'static str) -> ClusterView<'_> {
        ClusterView {
            key,
            bootstrap_servers: &self.bootstrap_servers,
            sasl_password_file: self.sasl_password_file.as_ref(),
            sasl_password: self.sasl_password.as_ref(),
            librdkafka: &self.librdkafka,
            librdkafka_files: &self.librdkafka_files,
        }
    }
}

/// What is needed to connect to one cluster.
pub(super) struct ClusterView<'a> {
    /// Where in the settings it stands, for messages.
    pub(super) key: &'static str,
    pub(super) bootstrap_servers: &'a str,
    pub(super) sasl_password_file: Option<&'a PathBuf>,
    pub(super) sasl_password: Option<&'a SecretString>,
    pub(super) librdkafka: &'a BTreeMap<String, String>,
    pub(super) librdkafka_files: &'a BTreeMap<String, PathBuf>,
}

impl ClusterView<'_> {
    fn validate(&self, problems: &mut Vec<String>) {
        let key = self.key;
        if self.sasl_password.is_some() && self.sasl_password_file.is_some() {
            problems.push(format!("{key}: set sasl_password or sasl_password_file, not both"));
        }
        for (map, names) in [
            ("librdkafka", self.librdkafka.keys().collect::<Vec<_>>()),
            ("librdkafka_files", self.librdkafka_files.keys().collect()),
        ] {
            for name in names {
                if let Some((_, mend)) = OWNED.iter().find(|(owned, _)| owned == name) {
                    problems.push(format!("{key}.{map}: `{name}` belongs to the worker: {mend}"));
                } else if name == "sasl.password" {
                    problems.push(format!("{key}.{map}: `{name}`: use {key}.sasl_password_file"));
                } else if map == "librdkafka" && SECRET.contains(&name.as_str()) {
                    problems
                        .push(format!("{key}.{map}: `{name}` is a secret: name its file under {key}.librdkafka_files"));
                }
            }
        }
        // The ledger's records have to fit; the topic is asked for as much.
        let limit = self.librdkafka.get("message.max.bytes").and_then(|bytes| bytes.parse::<usize>().ok());
        if limit.is_some_and(|bytes| bytes < LARGEST_RECORD) {
            problems.push(format!("{key}.librdkafka: `message.max.bytes`: at least {LARGEST_RECORD}, or leave it out"));
        }
    }
}

fn is_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
