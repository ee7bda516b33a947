//! Topics that are missing or unfit. The mock cluster answers no admin calls: most of this wants a real broker.

use alert_responder::kafka::{KafkaError, Settings, ensure_topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::support::broker::Broker;

#[tokio::test]
async fn a_missing_topic_is_named_with_the_mend() {
    let broker = Broker::start(1).await;
    let mut settings = broker.settings.clone();
    settings.create_topics = false;
    settings.dead_letters_topic = format!("{}-missing", settings.dead_letters_topic);
    let error = ensure_topics(&settings).await.unwrap_err();
    assert!(
        matches!(&error, KafkaError::TopicMissing { topic, .. } if *topic == settings.dead_letters_topic),
        "{error}"
    );
    assert!(error.to_string().contains("kafka.create_topics: true"), "{error}");
}

#[tokio::test]
async fn another_partition_count_of_the_ledger_refuses_to_start() {
    let broker = Broker::start(1).await;
    let mut settings = broker.settings.clone();
    settings.ledger.partitions = 2;
    let error = ensure_topics(&settings).await.unwrap_err();
    assert!(matches!(error, KafkaError::TopicUnfit { .. }), "{error}");
}

#[tokio::test]
async fn a_ledger_that_can_lose_records_needs_the_operators_word() {
    let broker = Broker::start(3).await;
    let report = ensure_topics(&broker.settings).await.unwrap();
    assert_eq!((report.alerts_partitions, report.created.len()), (3, 0));
    if broker.embedded.is_some() {
        // It tells nothing of durability.
        return;
    }
    assert_eq!(report.ledger_retention, Some(broker.settings.ledger.retention));
    assert!(!report.warnings.is_empty());
    let mut settings = broker.settings.clone();
    settings.ledger.allow_single_replica = false;
    let error = ensure_topics(&settings).await.unwrap_err();
    assert!(error.to_string().contains("kafka.ledger.allow_single_replica"), "{error}");
}

/// Makes a topic as its operator might have, under a name of its own.
async fn made(settings: &Settings, property: (&str, &str)) -> String {
    let name = format!("{}-{}", settings.ledger_topic, property.0);
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", &settings.bootstrap_servers).create().unwrap();
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set(property.0, property.1);
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    name
}

#[tokio::test]
async fn topics_that_would_drop_or_refuse_records_are_unfit() {
    let broker = Broker::start(1).await;
    if broker.embedded.is_some() {
        // It knows no such properties: the unit tests of the checks stand for this one.
        return;
    }
    let compacted = made(&broker.settings, ("cleanup.policy", "compact")).await;
    let small = made(&broker.settings, ("max.message.bytes", "1000000")).await;
    let dead_letters = Settings { dead_letters_topic: compacted.clone(), ..broker.settings.clone() };
    let ledger = Settings { ledger_topic: compacted, ..broker.settings.clone() };
    let refusing = Settings { ledger_topic: small, ..broker.settings.clone() };
    for (settings, mend) in [
        (dead_letters, "dead letter without a key"),
        (ledger, "holes into the ledger"),
        (refusing, "set max.message.bytes=1048588"),
    ] {
        let error = ensure_topics(&settings).await.unwrap_err();
        assert!(matches!(error, KafkaError::TopicUnfit { .. }) && error.to_string().contains(mend), "{error}");
    }
}
