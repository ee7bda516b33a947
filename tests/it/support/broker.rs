//! One helper for two brokers: librdkafka's mock cluster, and a real one when `KAFKA_BOOTSTRAP_SERVERS` names it.

use std::time::Duration;

use alert_responder::kafka::{EmbeddedBroker, Settings, ensure_topics};
use uuid::Uuid;

/// A broker with topics of this test's own.
pub(crate) struct Broker {
    pub(crate) settings: Settings,
    /// Kept alive; `None` when the broker is a real one.
    pub(crate) embedded: Option<EmbeddedBroker>,
}

impl Broker {
    /// Topics and groups get names that no other test has.
    pub(crate) async fn start(alerts_partitions: i32) -> Self {
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
        if let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            let settings = named(Settings {
                bootstrap_servers,
                session_timeout: Duration::from_secs(6),
                revoke_budget: Duration::from_secs(3),
                delivery_timeout: Duration::from_secs(10),
                fetch_wait_max: Duration::from_millis(100),
                ..Settings::default()
            });
            ensure_topics(&settings).await.expect("topics");
            return Self { settings, embedded: None };
        }
        let names = named(Settings::default());
        let embedded = EmbeddedBroker::start(&[
            (&names.alerts_topic, alerts_partitions),
            (&names.ledger_topic, 1),
            (&names.dead_letters_topic, 1),
        ])
        .expect("embedded broker");
        Self { settings: named(embedded.settings()), embedded: Some(embedded) }
    }
}
