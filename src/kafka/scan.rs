//! Looking at topics from outside: whole topics, tails, watermarks and committed offsets, without joining a group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::ask::{answered, layout, make, servers};
use super::client::{self, Cluster, LogContext, QUERY_TIMEOUT, blocking};
use super::error::KafkaError;
use super::group::Committed;
use super::record::ConsumedRecord;
use super::settings::Settings;

/// A scan that is given nothing to read for so long is given up.
const STALLED: Duration = Duration::from_secs(30);
/// Records that may wait to be taken.
const AHEAD: usize = 1000;

/// Oldest and next offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The partition.
    pub partition: i32,
    /// Oldest offset that the log holds.
    pub low: i64,
    /// The offset that the next record will get.
    pub high: i64,
}

/// How much of a topic is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanExtent {
    /// From the oldest record to what was the newest when the scan began; then the stream ends.
    Everything,
    /// From the oldest record, and on for ever.
    FromBeginning,
    /// What is written from now on, for ever.
    FromEnd,
    /// From this offset in every partition (or the oldest record that is left behind it) to what was the newest when the scan
    /// began; then the stream ends.
    EverythingFrom(i64),
    /// From this offset in every partition (or the oldest record that is left behind it), and on for ever.
    FollowFrom(i64),
    /// As [`Self::EverythingFrom`], of one partition alone.
    PartitionFrom {
        /// The partition.
        partition: i32,
        /// Where it is begun.
        offset: i64,
    },
}

impl ScanExtent {
    /// Where a partition is begun.
    fn start(self, marks: &Watermarks) -> i64 {
        match self {
            Self::Everything | Self::FromBeginning => marks.low,
            Self::FromEnd => marks.high,
            // The broker refuses an offset that is not there, on either side.
            Self::EverythingFrom(offset) | Self::FollowFrom(offset) | Self::PartitionFrom { offset, .. } => {
                offset.max(marks.low).min(marks.high)
            }
        }
    }

    const fn ends(self) -> bool {
        matches!(self, Self::Everything | Self::EverythingFrom(_) | Self::PartitionFrom { .. })
    }

    /// Whether a partition is read at all.
    const fn reads(self, number: i32) -> bool {
        match self {
            Self::PartitionFrom { partition, .. } => partition == number,
            _ => true,
        }
    }
}

/// Records of a topic, in the order of offsets within each partition. Dropping it ends the reading.
#[derive(Debug)]
pub struct RecordStream {
    records: mpsc::Receiver<Scanned>,
    ended: bool,
}

/// What the thread of a scan says.
#[derive(Debug)]
enum Scanned {
    Record(ConsumedRecord),
    /// The last word of a scan that failed.
    Failed(KafkaError),
    /// The last word of one that came to its end.
    End,
}

impl RecordStream {
    /// Begins to read a topic.
    ///
    /// # Errors
    /// Wrong settings, a topic that does not exist, no answer from the cluster.
    pub async fn open(
        settings: &Settings,
        cluster: Cluster,
        topic: &str,
        extent: ScanExtent,
    ) -> Result<Self, KafkaError> {
        let mut config = client::consumer(settings, cluster)?;
        // librdkafka assigns nothing without a group name; this one is never joined and never committed to.
        config.set("group.id", format!("{}.reader", settings.group_id)).set("enable.partition.eof", "true");
        let topic = topic.to_owned();
        let (sender, records) = mpsc::channel(AHEAD);
        let scan = blocking(move || Scan::begin(&config, &topic, extent)).await??;
        std::thread::Builder::new()
            .name("kafka-scan".to_owned())
            .spawn(move || scan.run(&sender))
            .map_err(|error| KafkaError::Client(format!("cannot start a thread: {error}")))?;
        Ok(Self { records, ended: false })
    }

    /// The next record; `None` at the end. After an error the stream ends.
    pub async fn next(&mut self) -> Option<Result<ConsumedRecord, KafkaError>> {
        if self.ended {
            return None;
        }
        let scanned = self.records.recv().await;
        self.ended = !matches!(scanned, Some(Scanned::Record(_)));
        match scanned {
            Some(Scanned::Record(record)) => Some(Ok(record)),
            Some(Scanned::Failed(error)) => Some(Err(error)),
            Some(Scanned::End) => None,
            // Whoever takes a part for the whole draws wrong conclusions.
            None => Some(Err(KafkaError::ConsumerFatal("its thread has ended before the scan".to_owned()))),
        }
    }
}

/// Every record that a topic holds, in the order of partition and offset. For topics that fit in memory.
///
/// # Errors
/// As for [`RecordStream`].
pub async fn read_all(settings: &Settings, cluster: Cluster, topic: &str) -> Result<Vec<ConsumedRecord>, KafkaError> {
    let mut stream = RecordStream::open(settings, cluster, topic, ScanExtent::Everything).await?;
    let mut records = Vec::new();
    while let Some(record) = stream.next().await {
        records.push(record?);
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// Watermarks of every partition of a topic.
///
/// # Errors
/// A topic that does not exist, no answer from the cluster.
pub async fn watermarks(settings: &Settings, cluster: Cluster, topic: &str) -> Result<Vec<Watermarks>, KafkaError> {
    let config = client::consumer(settings, cluster)?;
    let topic = topic.to_owned();
    blocking(move || ask_watermarks(&make(&config)?, &config, &topic)).await?
}

/// What a group has committed on a topic, by partition; partitions without a commit are left out.
///
/// # Errors
/// A topic that does not exist, no answer from the cluster.
pub async fn committed(
    settings: &Settings,
    cluster: Cluster,
    group_id: &str,
    topic: &str,
) -> Result<BTreeMap<i32, Committed>, KafkaError> {
    let mut config = client::consumer(settings, cluster)?;
    config.set("group.id", group_id);
    let topic = topic.to_owned();
    blocking(move || {
        let consumer = make(&config)?;
        let mut asked = TopicPartitionList::new();
        for partition in partitions(&consumer, &config, &topic)? {
            asked.add_partition(&topic, partition);
        }
        let what = || format!("offsets that the group committed on `{topic}`");
        let answer = answered(&consumer, &config, what(), consumer.committed_offsets(asked, QUERY_TIMEOUT))?;
        let mut committed = BTreeMap::new();
        for element in answer.elements() {
            element.error().map_err(|error| KafkaError::query(what(), &error))?;
            committed.extend(Committed::of(&element).map(|found| (element.partition(), found)));
        }
        Ok(committed)
    })
    .await?
}

/// Numbers of the partitions of a topic.
pub(super) fn partitions(
    consumer: &BaseConsumer<LogContext>,
    config: &ClientConfig,
    topic: &str,
) -> Result<Vec<i32>, KafkaError> {
    layout(consumer, config, topic)?.map(|layout| layout.partitions).ok_or_else(|| KafkaError::TopicMissing {
        topic: topic.to_owned(),
        bootstrap_servers: servers(config).to_owned(),
    })
}

fn ask_watermarks(
    consumer: &BaseConsumer<LogContext>,
    config: &ClientConfig,
    topic: &str,
) -> Result<Vec<Watermarks>, KafkaError> {
    let mut found = Vec::new();
    for partition in partitions(consumer, config, topic)? {
        let what = format!("watermarks of partition {partition} of `{topic}`");
        let marks = consumer.fetch_watermarks(topic, partition, QUERY_TIMEOUT);
        let (low, high) = answered(consumer, config, what, marks)?;
        found.push(Watermarks { partition, low, high });
    }
    found.sort_by_key(|watermarks| watermarks.partition);
    Ok(found)
}

struct Scan {
    consumer: BaseConsumer<LogContext>,
    /// Where each partition ends, for a scan that ends.
    open: Option<BTreeMap<i32, i64>>,
    /// Longest silence of the brokers.
    stalled: Duration,
}

impl Scan {
    fn begin(config: &ClientConfig, topic: &str, extent: ScanExtent) -> Result<Self, KafkaError> {
        let consumer = make(config)?;
        let mut watermarks = ask_watermarks(&consumer, config, topic)?;
        watermarks.retain(|marks| extent.reads(marks.partition));
        let mut assignment = TopicPartitionList::new();
        for marks in &watermarks {
            assignment
                .add_partition_offset(topic, marks.partition, Offset::Offset(extent.start(marks)))
                .map_err(|error| KafkaError::Consume(error.to_string()))?;
        }
        consumer.assign(&assignment).map_err(|error| KafkaError::Consume(error.to_string()))?;
        let open = extent.ends().then(|| {
            watermarks
                .iter()
                .filter(|marks| extent.start(marks) < marks.high)
                .map(|marks| (marks.partition, marks.high))
                .collect()
        });
        Ok(Self { consumer, open, stalled: STALLED })
    }

    fn run(mut self, sender: &mpsc::Sender<Scanned>) {
        let mut last_progress = Instant::now();
        while !sender.is_closed() && self.open.as_ref().is_none_or(|open| !open.is_empty()) {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let record = ConsumedRecord::copy(&message);
                    let end = self.open.as_mut().map(|open| (open.get(&record.partition).copied(), open));
                    if let Some((end, open)) = end {
                        let Some(end) = end.filter(|end| record.offset < *end) else {
                            open.remove(&record.partition);
                            continue;
                        };
                        if record.offset + 1 >= end {
                            open.remove(&record.partition);
                        }
                    }
                    if sender.blocking_send(Scanned::Record(record)).is_err() {
                        return;
                    }
                    // Only now: whoever takes the records may take their time.
                    last_progress = Instant::now();
                }
                // The last offsets before the end may hold no record (transaction markers, compaction).
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    if let Some(open) = &mut self.open {
                        open.remove(&partition);
                    }
                }
                Some(Err(error)) => match KafkaError::consumed(&error) {
                    KafkaError::Consume(reason) => tracing::warn!(reason, "Reading a topic met trouble and goes on."),
                    error => return drop(sender.blocking_send(Scanned::Failed(error))),
                },
                None => {}
            }
            if self.open.is_some() && last_progress.elapsed() > self.stalled {
                let error =
                    KafkaError::TimedOut { what: "reading a topic".to_owned(), seconds: self.stalled.as_secs() };
                return drop(sender.blocking_send(Scanned::Failed(error)));
            }
        }
        drop(sender.blocking_send(Scanned::End));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{EmbeddedBroker, produce_lines};

    #[tokio::test]
    async fn a_scan_whose_thread_has_died_does_not_end_as_if_it_were_complete() {
        let (sender, records) = mpsc::channel(1);
        let mut stream = RecordStream { records, ended: false };
        drop(sender);
        assert!(matches!(stream.next().await, Some(Err(KafkaError::ConsumerFatal(_)))));
        assert!(stream.next().await.is_none());

        let (sender, records) = mpsc::channel(1);
        let mut stream = RecordStream { records, ended: false };
        sender.send(Scanned::End).await.unwrap();
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_pauses_does_not_stall_the_scan() {
        let broker = EmbeddedBroker::start(&[("alerts", 1)]).unwrap();
        let settings = broker.settings();
        produce_lines(&settings, "alerts", &b"1\n2\n3\n4\n"[..]).await.unwrap();
        let mut config = client::consumer(&settings, Cluster::Alerts).unwrap();
        config.set("group.id", "g").set("enable.partition.eof", "true");
        let mut scan = blocking(move || Scan::begin(&config, "alerts", ScanExtent::Everything)).await.unwrap().unwrap();
        scan.stalled = Duration::from_secs(4);
        let (sender, records) = mpsc::channel(1);
        let thread = std::thread::spawn(move || scan.run(&sender));
        let mut stream = RecordStream { records, ended: false };
        let mut count = 0;
        while let Some(record) = stream.next().await {
            record.unwrap();
            count += 1;
            if count == 1 {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
        assert_eq!(count, 4);
        thread.join().unwrap();
    }

    #[test]
    fn a_scan_begins_where_it_was_told_and_never_outside_the_log() {
        let marks = Watermarks { partition: 0, low: 10, high: 20 };
        for (extent, start) in [
            (ScanExtent::Everything, 10),
            (ScanExtent::FromBeginning, 10),
            (ScanExtent::FromEnd, 20),
            (ScanExtent::EverythingFrom(0), 10),
            (ScanExtent::EverythingFrom(15), 15),
            (ScanExtent::FollowFrom(15), 15),
            (ScanExtent::FollowFrom(99), 20),
            (ScanExtent::PartitionFrom { partition: 0, offset: 3 }, 10),
        ] {
            assert_eq!(extent.start(&marks), start, "{extent:?}");
        }
        let one = ScanExtent::PartitionFrom { partition: 1, offset: 3 };
        assert_eq!([0, 1].map(|partition| one.reads(partition)), [false, true]);
        assert!(ScanExtent::EverythingFrom(3).reads(0));
    }
}
