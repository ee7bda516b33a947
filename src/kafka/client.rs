//! librdkafka's configuration for each kind of client, and what its log becomes.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::producer::BaseProducer;
use secrecy::ExposeSecret;

use super::error::KafkaError;
use super::settings::{ClusterView, SECRET, Settings};

/// Upper limit of one question to the cluster.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Which cluster a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Where the alerts are.
    Alerts,
    /// Where the ledger and the dead letters are; the same unless configured otherwise.
    Ledger,
}

/// librdkafka's own log lines and client errors, as events of `tracing`; and the last error, for whoever asked in vain.
pub(super) struct LogContext {
    /// The words of properties that are secrets: librdkafka repeats what it does not understand of some.
    secret_words: Vec<String>,
    last_error: Mutex<Option<String>>,
}

impl LogContext {
    pub(super) fn of(config: &ClientConfig) -> Self {
        let secrets = SECRET.iter().filter_map(|property| config.get(property));
        let words = secrets.flat_map(str::split_whitespace).map(str::to_owned);
        Self { secret_words: words.collect(), last_error: Mutex::new(None) }
    }

    /// What the client last met on its way to the brokers.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn scrubbed(&self, text: &str) -> String {
        self.secret_words.iter().fold(text.to_owned(), |text, word| text.replace(word, "…"))
    }
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, &self.scrubbed(message));
    }

    fn error(&self, error: ClientError, reason: &str) {
        let reason = self.scrubbed(reason);
        client_error(&error, &reason);
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" follows the reason of the last of them, which says more.
        if last.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last = Some(reason);
        }
    }
}

fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

fn client_error(error: &ClientError, reason: &str) {
    // librdkafka goes on by itself; callers learn of what concerns them from their own calls.
    tracing::warn!(target: "librdkafka", %error, "{reason}");
}

/// What every client of a cluster has in common.
pub(super) fn base(settings: &Settings, cluster: Cluster) -> Result<ClientConfig, KafkaError> {
    let problems = settings.validate();
    if !problems.is_empty() {
        return Err(KafkaError::Settings(problems.join("; ")));
    }
    let view = match cluster {
        Cluster::Alerts => settings.view("kafka"),
        Cluster::Ledger => settings.ledger_view(),
    };
    let mut config = ClientConfig::new();
    config
        .set("client.id", "alert-responder")
        .set("bootstrap.servers", view.bootstrap_servers)
        // Firewalls and Event Hubs (240 s) drop idle connections without a word.
        .set("socket.keepalive.enable", "true")
        .set("metadata.max.age.ms", "180000")
        .set("allow.auto.create.topics", "false");
    for (name, value) in view.librdkafka {
        config.set(name, value);
    }
    set_secrets(&mut config, &view)?;
    Ok(config)
}

fn set_secrets(config: &mut ClientConfig, view: &ClusterView<'_>) -> Result<(), KafkaError> {
    if let Some(password) = view.sasl_password {
        config.set("sasl.password", password.expose_secret());
    }
    let files = view.sasl_password_file.map(|path| ("sasl.password", path)).into_iter();
    let named = view.librdkafka_files.iter().map(|(name, path)| (name.as_str(), path));
    for (name, path) in files.chain(named) {
        let content = fs::read_to_string(path).map_err(|source| KafkaError::SecretFile {
            key: format!("{} ({name})", view.key),
            path: path.clone(),
            source,
        })?;
        config.set(name, content.trim_end_matches(['\n', '\r']));
    }
    Ok(())
}

/// A producer that keeps the order of what it is given and writes nothing twice within its life.
pub(super) fn producer(settings: &Settings, cluster: Cluster) -> Result<ClientConfig, KafkaError> {
    let mut config = base(settings, cluster)?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", settings.delivery_timeout.as_millis().to_string());
    set_defaults(
        &mut config,
        &[
            (&["linger.ms", "queue.buffering.max.ms"], "1"),
            // Dead letters may be as large as the brokers take; they say so when it is too much.
            (&["message.max.bytes"], "8388608"),
            // Bounded memory: 64 MiB or 50,000 records wait at most.
            (&["queue.buffering.max.kbytes"], "65536"),
            (&["queue.buffering.max.messages"], "50000"),
            // The same key goes where a Java client would put it.
            (&["partitioner"], "murmur2_random"),
        ],
    );
    Ok(config)
}

/// Sets what the operator may set otherwise, under any of its names: librdkafka takes the last of two, and there is no order
/// between them.
fn set_defaults(config: &mut ClientConfig, defaults: &[(&[&str], &str)]) {
    for (names, value) in defaults {
        if let Some(name) = names.first()
            && !names.iter().any(|name| config.config_map().contains_key(*name))
        {
            config.set(*name, *value);
        }
    }
}

/// A member of a consumer group.
pub(super) fn group_consumer(
    settings: &Settings,
    cluster: Cluster,
    group_id: &str,
) -> Result<ClientConfig, KafkaError> {
    let mut config = consumer(settings, cluster)?;
    let session = settings.session_timeout.as_millis();
    config
        .set("group.id", group_id)
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", (session / 10).clamp(100, 3000).to_string())
        .set("max.poll.interval.ms", (session * 2).max(300_000).to_string())
        .set("partition.assignment.strategy", "cooperative-sticky")
        // Where the lag comes from.
        .set("statistics.interval.ms", "5000");
    Ok(config)
}

/// A reader of partitions that it names itself.
pub(super) fn consumer(settings: &Settings, cluster: Cluster) -> Result<ClientConfig, KafkaError> {
    let mut config = base(settings, cluster)?;
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A position that the log no longer holds is an error that somebody decides about, never a silent jump.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", settings.fetch_wait_max.as_millis().to_string());
    // Per partition; librdkafka's default of 64 MiB makes a worker with many partitions and a lag run out of memory.
    set_defaults(&mut config, &[(&["queued.max.messages.kbytes"], "8192")]);
    Ok(config)
}

/// The settings that librdkafka refuses, each with the place of its cluster: a misspelt property, a value, a combination. No
/// broker is asked. A cluster with a secret that cannot be read is left out, for whoever checks may not have it; and where a
/// certificate cannot be read, only names and values are looked at.
#[must_use]
pub fn refused_settings(settings: &Settings) -> Vec<(&'static str, KafkaError)> {
    let second = settings.ledger.cluster.as_ref().map(|_| (Cluster::Ledger, "kafka.ledger.cluster"));
    let clusters = [(Cluster::Alerts, "kafka")].into_iter().chain(second);
    let tried = clusters.filter_map(|(cluster, key)| Some((key, try_clients(settings, cluster).err()?)));
    tried.filter(|(_, error)| matches!(error, KafkaError::Client(_))).collect()
}

fn try_clients(settings: &Settings, cluster: Cluster) -> Result<(), KafkaError> {
    let refused = |error| KafkaError::client(&error);
    let consumer = consumer(settings, cluster)?;
    let mut producer = producer(settings, cluster)?;
    // With it, and with a group, a client looks for the brokers at once.
    producer.remove("enable.idempotence");
    group_consumer(settings, cluster, &settings.group_id)?.create_native_config().map_err(refused)?;
    producer.create_native_config().map_err(refused)?;
    if named_files_exist(&consumer) {
        let _made: BaseConsumer<LogContext> =
            consumer.create_with_context(LogContext::of(&consumer)).map_err(refused)?;
        let _made: BaseProducer = producer.create().map_err(refused)?;
    }
    Ok(())
}

/// librdkafka reads these itself when it makes a client.
fn named_files_exist(config: &ClientConfig) -> bool {
    let mut files = config.config_map().into_iter().filter(|(name, _)| name.ends_with(".location"));
    files.all(|(_, path)| path == "probe" || Path::new(path).exists())
}

/// Runs a blocking librdkafka call off the async threads.
pub(super) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(call).await.map_err(|_| KafkaError::Closed)
}
