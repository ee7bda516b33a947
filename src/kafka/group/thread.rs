//! The thread that polls librdkafka for one member of a group.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::oneshot;

use super::look_up::{Asked, LookUps};
use super::shared::{Shared, Stage};
use super::{Assigned, Committed, GroupEvent, GroupOptions, Senders};
use crate::kafka::client::LogContext;
use crate::kafka::error::KafkaError;
use crate::kafka::record::ConsumedRecord;

/// Longest wait in one poll: how soon a word from the async side is heeded.
const POLL: Duration = Duration::from_millis(20);
/// How long a full channel merely holds the thread up, before partitions are paused (which costs fetching anew).
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest wait for a partition to be moved.
const SEEK: Duration = Duration::from_secs(5);
/// On revoke, longest wait for commits that are under way.
const COMMITS_END: Duration = Duration::from_secs(5);

/// librdkafka's callbacks for one member. They run on its thread, in the middle of a poll.
pub(super) struct GroupContext {
    shared: Arc<Shared>,
    events: Senders,
    release_budget: Duration,
    log: LogContext,
}

impl GroupContext {
    fn send(&self, event: GroupEvent) {
        self.events.send(event);
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) {
        let numbers: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        // Where to start is looked up outside the callback; until then nothing may be fetched. Any offset will do, and
        // this one needs no commit to exist.
        let result = partitions
            .set_all_offsets(Offset::Beginning)
            .and_then(|()| consumer.incremental_assign(partitions))
            .and_then(|()| if numbers.is_empty() { Ok(()) } else { consumer.pause(partitions) });
        if let Err(error) = result {
            self.send(GroupEvent::Error(KafkaError::ConsumerFatal(error.to_string())));
            return;
        }
        // Told even when nothing is assigned: a member that stands by has joined, too.
        self.send(GroupEvent::Joined);
        self.shared.assign(numbers);
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let numbers: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let lost = consumer.assignment_lost();
        let announced = self.shared.leave(&numbers);
        if !announced.is_empty() {
            self.send(GroupEvent::Revoked { partitions: announced, lost });
        }
        let waits = !lost && !self.shared.is_closing() && !self.release_budget.is_zero();
        let budget = if waits { self.release_budget } else { COMMITS_END };
        if !self.shared.forget(&numbers, budget, waits) {
            tracing::warn!(partitions = ?numbers, ?budget, "Partitions are let go with work unfinished.");
        }
        if let Err(error) = consumer.incremental_unassign(partitions) {
            self.send(GroupEvent::Error(KafkaError::ConsumerFatal(error.to_string())));
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.log.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        for partition in partitions.filter(|partition| partition.ls_offset >= 0 && partition.desired) {
            self.send(GroupEvent::HighWatermark { partition: partition.partition, offset: partition.ls_offset });
        }
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, partitions);
        } else {
            self.revoked(consumer, partitions);
        }
    }
}

/// Makes the member and starts its thread, which ends after [`Shared::close`].
pub(super) fn start(
    config: &ClientConfig,
    options: GroupOptions,
    shared: Arc<Shared>,
    events: Senders,
    end: oneshot::Sender<()>,
) -> Result<Weak<BaseConsumer<GroupContext>>, KafkaError> {
    let log = LogContext::of(config);
    let context = GroupContext { shared, events, release_budget: options.release_budget, log };
    let consumer: BaseConsumer<GroupContext> =
        config.create_with_context(context).map_err(|error| KafkaError::client(&error))?;
    consumer.subscribe(&[&options.topic]).map_err(|error| KafkaError::client(&error))?;
    let consumer = Arc::new(consumer);
    let weak = Arc::downgrade(&consumer);
    std::thread::Builder::new()
        .name("kafka-consumer".to_owned())
        .spawn(move || {
            Poller { consumer, options, look_ups: LookUps::default(), paused: Vec::new() }.run();
            // By now the consumer has left the group, unless a commit or a question is under way: it holds the consumer for
            // as long as that takes, and leaves with it.
            let _nobody_waits = end.send(());
        })
        .map_err(|error| KafkaError::Client(format!("cannot start a thread: {error}")))?;
    Ok(weak)
}

struct Poller {
    consumer: Arc<BaseConsumer<GroupContext>>,
    options: GroupOptions,
    look_ups: LookUps,
    /// Partitions that were paused because the channel was full.
    paused: Vec<i32>,
}

impl Poller {
    fn run(mut self) {
        while !self.shared().is_closing() {
            self.look_up();
            self.start_reading();
            self.mind_the_gate();
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => self.deliver(&message),
                Some(Err(error)) => self.consumer.context().send(GroupEvent::Error(KafkaError::consumed(&error))),
            }
        }
    }

    fn shared(&self) -> &Shared {
        &self.consumer.context().shared
    }

    fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.options.topic, partition);
        }
        list
    }

    fn deliver(&self, message: &BorrowedMessage<'_>) {
        let record = ConsumedRecord::copy(message);
        if let Some(epoch) = self.shared().read(message.partition(), message.offset()) {
            self.shared().queued(record.size());
            self.consumer.context().send(GroupEvent::Record { epoch, record });
        }
    }

    /// Asks for committed offsets and watermarks of partitions that are new, and announces those that are answered for.
    fn look_up(&mut self) {
        let new: Vec<Asked> = self
            .shared()
            .partitions(|stage| stage == Stage::LookUp)
            .into_iter()
            .map(|(partition, epoch, _)| (partition, epoch))
            .collect();
        let due = self.look_ups.due(&new, Instant::now());
        let Some(patience) = due.iter().map(|asked| self.look_ups.patience(*asked)).max() else { return };
        let topic = &self.options.topic;
        let asked = self.list(due.iter().map(|(partition, _)| *partition));
        let committed = match self.consumer.committed_offsets(asked, patience) {
            Ok(committed) => committed,
            Err(error) => {
                let error = KafkaError::query(format!("committed offsets of `{topic}`"), &error);
                due.into_iter().for_each(|asked| self.look_ups.failed(asked, Instant::now()));
                return self.consumer.context().send(GroupEvent::Error(error));
            }
        };
        for asked @ (partition, _) in due {
            match self.find(&committed, asked) {
                Ok(assigned) => {
                    self.shared().set_stage(partition, Stage::Announced);
                    self.consumer.context().send(GroupEvent::Assigned(assigned));
                }
                Err(error) => {
                    self.look_ups.failed(asked, Instant::now());
                    let what = format!("offsets of partition {partition} of `{}`", self.options.topic);
                    self.consumer.context().send(GroupEvent::Error(KafkaError::query(what, &error)));
                    // It may have taken its whole time. The others have their turn after the next poll.
                    return;
                }
            }
        }
    }

    fn find(&self, committed: &TopicPartitionList, asked: Asked) -> Result<Assigned, ClientError> {
        let (topic, (partition, epoch)) = (&self.options.topic, asked);
        let committed = match committed.find_partition(topic, partition) {
            Some(element) => {
                element.error()?;
                Committed::of(&element)
            }
            None => None,
        };
        let (low_watermark, high_watermark) =
            self.consumer.fetch_watermarks(topic, partition, self.look_ups.patience(asked))?;
        Ok(Assigned { partition, epoch, committed, low_watermark, high_watermark })
    }

    /// Moves partitions to where they were told to start, and lets them flow.
    fn start_reading(&mut self) {
        for (partition, _, stage) in self.shared().partitions(|stage| matches!(stage, Stage::StartAt(_))) {
            let Stage::StartAt(offset) = stage else { continue };
            // It fails while librdkafka is still about to take the partition up: the next round tries again.
            if let Err(error) = self.consumer.seek(&self.options.topic, partition, Offset::Offset(offset), SEEK) {
                tracing::debug!(partition, offset, %error, "The partition cannot be moved yet.");
                continue;
            }
            self.shared().set_stage(partition, Stage::Reading { next: offset });
            if !self.paused.is_empty() {
                self.paused.push(partition);
            } else if let Err(error) = self.consumer.resume(&self.list([partition])) {
                self.consumer.context().send(GroupEvent::Error(KafkaError::Consume(error.to_string())));
                self.shared().set_stage(partition, stage);
            }
        }
    }

    /// Holds the thread up while the channel is full, and pauses partitions when that lasts.
    fn mind_the_gate(&mut self) {
        if self.paused.is_empty() {
            if self.shared().wait_for_room(PATIENCE) {
                return;
            }
            let reading = self.shared().partitions(|stage| matches!(stage, Stage::Reading { .. }));
            let reading: Vec<i32> = reading.into_iter().map(|(partition, ..)| partition).collect();
            if self.consumer.pause(&self.list(reading.iter().copied())).is_ok() {
                self.paused = reading;
                self.shared().set_paused(true);
            }
        } else if self.shared().has_room() {
            let reading = self.shared().partitions(|stage| matches!(stage, Stage::Reading { .. }));
            let still_ours = |partition: &i32| reading.iter().any(|(ours, ..)| ours == partition);
            let resumed = self.list(self.paused.iter().copied().filter(still_ours));
            if resumed.count() == 0 || self.consumer.resume(&resumed).is_ok() {
                self.paused.clear();
                self.shared().set_paused(false);
            }
        }
    }
}
