//! One helper for two brokers: librdkafka's mock cluster, and a real one when `KAFKA_BOOTSTRAP_SERVERS` names it.

use std::process::Command;
use std::time::Duration;

use alert_responder::kafka::{ClusterSettings, EmbeddedBroker, Settings, ensure_topics};
use tempfile::TempDir;
use uuid::Uuid;

/// A broker with topics of this test's own.
pub(crate) struct Broker {
    pub(crate) settings: Settings,
    /// Kept alive; `None` when the broker is a real one.
    pub(crate) embedded: Option<EmbeddedBroker>,
    /// A real one that this test started.
    own: Option<OwnBroker>,
    /// Where the alerts are, when [`Broker::set_up`] concerns the ledger alone.
    _alerts: Option<EmbeddedBroker>,
}

/// A real broker of one test, by the script that starts all of them.
struct OwnBroker {
    directory: TempDir,
}

impl OwnBroker {
    fn script(&self, word: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/kafka.sh");
        let output = Command::new(script).arg(word).arg(self.directory.path()).output().expect("the script");
        assert!(output.status.success(), "{word}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let _stopped = self.script("kill");
    }
}

impl Broker {
    /// Topics and groups get names that no other test has.
    pub(crate) async fn start(alerts_partitions: i32) -> Self {
        match std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            Ok(bootstrap_servers) => Self::with(alerts_partitions, Some(bootstrap_servers)).await,
            Err(_) => Self::with(alerts_partitions, None).await,
        }
    }

    /// A broker that no other test has, so that it may be away: a real one where the others use a real one.
    pub(crate) async fn start_own(alerts_partitions: i32) -> Self {
        if std::env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_none() {
            return Self::with(alerts_partitions, None).await;
        }
        let own = OwnBroker { directory: tempfile::tempdir().expect("a directory") };
        let started = own.script("start");
        let address = started.rsplit('=').next().expect("an address").to_owned();
        Self { own: Some(own), ..Self::with(alerts_partitions, Some(address)).await }
    }

    /// Two clusters: the alerts on one, the ledger and the dead letters on the other, which may be away.
    pub(crate) async fn start_split(alerts_partitions: i32) -> Self {
        let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") else {
            let mut broker = Self::with(alerts_partitions, None).await;
            let alerts = EmbeddedBroker::start(&[(&broker.settings.alerts_topic, alerts_partitions)]);
            let alerts = alerts.expect("embedded broker");
            let address =
                std::mem::replace(&mut broker.settings.bootstrap_servers, alerts.settings().bootstrap_servers);
            broker.settings.ledger.cluster = Some(ClusterSettings {
                bootstrap_servers: address,
                librdkafka: broker.settings.librdkafka.clone(),
                ..ClusterSettings::default()
            });
            return Self { _alerts: Some(alerts), ..broker };
        };
        let mut broker = Self::start_own(alerts_partitions).await;
        let address = std::mem::replace(&mut broker.settings.bootstrap_servers, bootstrap_servers);
        let cluster = ClusterSettings { bootstrap_servers: address, ..ClusterSettings::default() };
        broker.settings.ledger.cluster = Some(cluster);
        ensure_topics(&broker.settings).await.expect("topics");
        broker
    }

    /// Takes a broker of one's own away, or brings it back with everything it held.
    pub(crate) fn set_up(&self, up: bool) {
        match (&self.embedded, &self.own) {
            (Some(embedded), _) => embedded.set_up(up),
            (None, Some(own)) => drop(own.script(if up { "start" } else { "stop" })),
            (None, None) => panic!("this broker belongs to all tests"),
        }
    }

    /// Takes a broker of one's own away without warning.
    pub(crate) fn kill(&self) {
        match &self.own {
            Some(own) => drop(own.script("kill")),
            None => self.set_up(false),
        }
    }

    async fn with(alerts_partitions: i32, real: Option<String>) -> Self {
        let id = Uuid::new_v4().simple().to_string();
        let named = |settings: Settings| {
            let mut settings = Settings {
                group_id: format!("g-{id}"),
                alerts_topic: format!("alerts-{id}"),
                ledger_topic: format!("scans-{id}"),
                dead_letters_topic: format!("dead-{id}"),
                create_topics: true,
                create_alerts_partitions: alerts_partitions,
                create_replication_factor: 1,
                ..settings
            };
            settings.ledger.allow_single_replica = true;
            settings
        };
        if let Some(bootstrap_servers) = real {
            let settings = named(Settings {
                bootstrap_servers,
                session_timeout: Duration::from_secs(6),
                revoke_budget: Duration::from_secs(3),
                delivery_timeout: Duration::from_secs(10),
                fetch_wait_max: Duration::from_millis(100),
                ..Settings::default()
            });
            ensure_topics(&settings).await.expect("topics");
            return Self { settings, embedded: None, own: None, _alerts: None };
        }
        let names = named(Settings::default());
        let embedded = EmbeddedBroker::start(&[
            (&names.alerts_topic, alerts_partitions),
            (&names.ledger_topic, 1),
            (&names.dead_letters_topic, 1),
        ])
        .expect("embedded broker");
        Self { settings: named(embedded.settings()), embedded: Some(embedded), own: None, _alerts: None }
    }
}
