//! Writing alerts: one record per line of a file. For demos, tests and trying a rule out.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rdkafka::message::OwnedHeaders;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::client::{self, Cluster};
use super::error::KafkaError;
use super::producer::{Delivery, NewRecord, RecordProducer};
use super::settings::Settings;

/// Records that may wait for their acknowledgement.
const MOST_UNDER_WAY: usize = 10_000;
/// Failures that are told one by one.
const MOST_TOLD: usize = 20;

/// What became of the lines.
#[derive(Debug, Default)]
pub struct ProduceReport {
    /// Lines that were acknowledged.
    pub produced: u64,
    /// Lines that were not.
    pub failed: u64,
    /// The first failures: line number, from 1, and why.
    pub failures: Vec<(u64, KafkaError)>,
}

impl ProduceReport {
    fn count(&mut self, line: u64, result: Result<(i32, i64), KafkaError>) {
        match result {
            Ok(_) => self.produced += 1,
            Err(error) => {
                self.failed += 1;
                if self.failures.len() < MOST_TOLD {
                    self.failures.push((line, error));
                }
            }
        }
    }
}

/// Writes every line that is not blank to a topic of the alerts' cluster, as it is and without a key. Lines go out in their
/// order, spread over partitions.
///
/// # Errors
/// Wrong settings, an input that cannot be read, a producer that failed for good. Lines that could not be written are in
/// the report.
pub async fn produce_lines<R: AsyncBufRead + Unpin>(
    settings: &Settings,
    topic: &str,
    mut input: R,
) -> Result<ProduceReport, KafkaError> {
    let producer = RecordProducer::new(&client::producer(settings, Cluster::Alerts)?)?;
    let mut report = ProduceReport::default();
    let mut under_way = FuturesUnordered::new();
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).await? == 0 {
            break;
        }
        number += 1;
        let content = line.trim_ascii();
        if content.is_empty() {
            continue;
        }
        loop {
            match enqueue(&producer, topic, content) {
                Ok(delivery) => {
                    under_way.push(async move { (number, delivery.await) });
                    break;
                }
                Err(KafkaError::QueueFull) => match under_way.next().await {
                    Some((line, result)) => report.count(line, result),
                    // A queue that is full with nothing under way is no queue.
                    None => return Err(KafkaError::QueueFull),
                },
                Err(error @ KafkaError::ProducerFatal(_)) => return Err(error),
                Err(error) => {
                    report.count(number, Err(error));
                    break;
                }
            }
        }
        if under_way.len() >= MOST_UNDER_WAY
            && let Some((line, result)) = under_way.next().await
        {
            report.count(line, result);
        }
    }
    while let Some((line, result)) = under_way.next().await {
        report.count(line, result);
    }
    report.failures.sort_by_key(|(line, _)| *line);
    Ok(report)
}

fn enqueue(producer: &RecordProducer, topic: &str, content: &[u8]) -> Result<Delivery, KafkaError> {
    producer.enqueue(NewRecord {
        topic,
        partition: None,
        key: None,
        payload: Some(content),
        headers: OwnedHeaders::new(),
        timestamp: None,
    })
}
