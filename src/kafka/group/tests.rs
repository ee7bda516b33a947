use std::time::Duration;

use super::{GroupConsumer, GroupEvent, GroupOptions};
use crate::kafka::client::{self, Cluster};
use crate::kafka::{EmbeddedBroker, produce_lines};

const PATIENCE: Duration = Duration::from_secs(60);

/// The channel is full again and again, for longer than the thread's patience: partitions are paused, and nothing is lost,
/// doubled or reordered.
#[tokio::test]
async fn a_reader_that_takes_its_time_loses_nothing() {
    let broker = EmbeddedBroker::start(&[("alerts", 1)]).unwrap();
    let settings = broker.settings();
    let lines: String = (0..300).map(|number| format!("{number}\n")).collect();
    produce_lines(&settings, "alerts", lines.as_bytes()).await.unwrap();

    let config = client::group_consumer(&settings, Cluster::Alerts, "g").unwrap();
    let options = GroupOptions {
        topic: "alerts".to_owned(),
        release_budget: Duration::ZERO,
        queue_records: 50,
        queue_bytes: 1 << 20,
    };
    let mut consumer = GroupConsumer::join(&config, options).unwrap();
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
