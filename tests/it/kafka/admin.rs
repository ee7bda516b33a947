//! Topics that are missing or unfit. The mock cluster answers no admin calls: most of this wants a real broker.

use alert_responder::kafka::{KafkaError, ensure_topics};

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
