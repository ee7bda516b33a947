use std::time::Duration;

use rdkafka::message::OwnedHeaders;
use rdkafka::mocking::MockCluster;

use super::{GroupConsumer, GroupEvent, GroupOptions};
use crate::kafka::client::{self, Cluster};
use crate::kafka::producer::{NewRecord, RecordProducer};
use crate::kafka::{EmbeddedBroker, Settings, produce_lines};

const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> GroupOptions {
    GroupOptions { topic: "alerts".to_owned(), release_budget: Duration::ZERO, queue_records: 50, queue_bytes: 1 << 20 }
}

/// The channel is full again and again, for longer than the thread's patience: partitions are paused, and nothing is lost,
/// doubled or reordered.
#[tokio::test]
async fn a_reader_that_takes_its_time_loses_nothing() {
    let broker = EmbeddedBroker::start(&[("alerts", 1)]).unwrap();
    let settings = broker.settings();
    let lines: String = (0..300).map(|number| format!("{number}\n")).collect();
    produce_lines(&settings, "alerts", lines.as_bytes()).await.unwrap();

    let config = client::group_consumer(&settings, Cluster::Alerts, "g").unwrap();
    let mut consumer = GroupConsumer::join(&config, options()).unwrap();
    let mut offsets = Vec::new();
    let mut waits = 0;
    while offsets.len() < 300 {
        match tokio::time::timeout(PATIENCE, consumer.next()).await.expect("an event in time") {
            Some(GroupEvent::Record { record, .. }) => {
                offsets.push(record.offset);
                // Until the thread has paused: told by itself, in its own time.
                if offsets.len() % 100 == 1 {
                    waits += 1;
                    while !consumer.shared.is_paused() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    assert!(consumer.shared.queued_records() <= 50, "the channel is bounded");
                }
            }
            Some(GroupEvent::Assigned(assigned)) => consumer.start_from(0, assigned.start()).unwrap(),
            Some(GroupEvent::Error(error)) if !error.is_retryable() => panic!("{error}"),
            Some(_) => {}
            None => panic!("the thread has ended"),
        }
    }
    assert_eq!((offsets, waits), ((0..300).collect(), 3));
    consumer.close(PATIENCE).await;
}

#[tokio::test]
async fn a_partition_without_a_leader_holds_no_other_up() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("alerts", 2, 1).unwrap();
    cluster.partition_leader("alerts", 0, None).unwrap();
    let settings = Settings {
        bootstrap_servers: cluster.bootstrap_servers(),
        fetch_wait_max: Duration::from_millis(5),
        session_timeout: Duration::from_secs(6),
        revoke_budget: Duration::from_secs(3),
        librdkafka: [("topic.metadata.refresh.fast.interval.ms".to_owned(), "50".to_owned())].into(),
        ..Settings::default()
    };
    let producer = RecordProducer::new(&client::producer(&settings, Cluster::Alerts).unwrap()).unwrap();
    let config = client::group_consumer(&settings, Cluster::Alerts, "g").unwrap();
    let mut consumer = GroupConsumer::join(&config, options()).unwrap();
    let (mut troubles, mut read) = (0, 0);
    loop {
        match tokio::time::timeout(PATIENCE, consumer.next()).await.expect("an event in time") {
            Some(GroupEvent::Error(error)) if error.to_string().contains("offsets of partition 0") => {
                troubles += 1;
                if troubles == 3 {
                    assert_eq!(read, 1, "the other partition is read meanwhile");
                    cluster.partition_leader("alerts", 0, Some(1)).unwrap();
                }
            }
            Some(GroupEvent::Assigned(assigned)) => {
                consumer.start_from(assigned.partition, assigned.start()).unwrap();
                if assigned.partition == 0 {
                    assert!(troubles >= 3, "it has a leader again");
                    break;
                }
                let record = NewRecord {
                    topic: "alerts",
                    partition: Some(1),
                    key: None,
                    payload: Some(b"x"),
                    headers: OwnedHeaders::new(),
                    timestamp: None,
                };
                producer.enqueue(record).unwrap().await.unwrap();
            }
            Some(GroupEvent::Record { record, .. }) => read += usize::from(record.partition == 1),
            Some(_) => {}
            None => panic!("the thread has ended"),
        }
    }
    consumer.close(PATIENCE).await;
}
