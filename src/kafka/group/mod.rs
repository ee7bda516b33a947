//! A member of a consumer group whose partitions start where somebody says, and are let go when somebody says.
//!
//! librdkafka wants to be polled whatever else happens, and calls back in the middle of a rebalance. So each member has a
//! thread of its own that polls, and hands events over to async code through a channel. The channel is bounded by the
//! gate in [`shared`]: when nobody takes records, the thread first waits and then pauses its partitions, but goes on
//! polling, so that a slow worker stays a member.

mod look_up;
mod shared;
#[cfg(test)]
mod tests;
mod thread;

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::sync::{mpsc, oneshot};

use self::shared::{CommitGuard, Shared};
use self::thread::GroupContext;
use super::alerts::Commit;
use super::client::{QUERY_TIMEOUT, blocking};
use super::error::KafkaError;
use super::panics::caught;
use super::record::ConsumedRecord;

/// Most bytes that brokers and Event Hubs take as commit metadata.
pub const MAX_COMMIT_METADATA: usize = 1024;

/// An offset that was committed, with what was said along with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// The metadata of the commit; empty when none was given, or some that is not UTF-8 and so none of ours.
    pub metadata: String,
}

impl Committed {
    /// `None` where nothing was committed.
    pub(super) fn of(element: &TopicPartitionListElem<'_>) -> Option<Self> {
        let Offset::Offset(offset) = element.offset() else { return None };
        Some(Self { offset, metadata: caught(|| element.metadata().to_owned()).unwrap_or_default() })
    }
}

/// A partition has been assigned to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The partition.
    pub partition: i32,
    /// Counts the assignments of this consumer: two assignments of one partition differ in it.
    pub epoch: u64,
    /// What the group last committed there, if anything.
    pub committed: Option<Committed>,
    /// Oldest offset that the log holds.
    pub low_watermark: i64,
    /// The offset that the next record will get.
    pub high_watermark: i64,
}

impl Assigned {
    /// Where reading goes on: the committed offset, or the beginning when there is none or the log no longer holds it.
    #[must_use]
    pub fn start(&self) -> i64 {
        match &self.committed {
            Some(committed) if !self.is_out_of_range() => committed.offset,
            _ => self.low_watermark,
        }
    }

    /// Whether the committed offset is outside the log: records expired unread, or the topic was truncated or recreated.
    #[must_use]
    pub fn is_out_of_range(&self) -> bool {
        self.committed
            .as_ref()
            .is_some_and(|committed| committed.offset < self.low_watermark || committed.offset > self.high_watermark)
    }
}

type PreparedCommit = (Arc<BaseConsumer<GroupContext>>, TopicPartitionList, Vec<CommitGuard>, Commit);

/// What happens to a member.
#[derive(Debug)]
pub(super) enum GroupEvent {
    /// The group has told us our share, be it nothing.
    Joined,
    /// Nothing is read before [`GroupConsumer::start_from`].
    Assigned(Assigned),
    Record {
        epoch: u64,
        record: ConsumedRecord,
    },
    /// `lost`: the group has already given the partition away; commits will fail.
    Revoked {
        partitions: Vec<i32>,
        lost: bool,
    },
    HighWatermark {
        partition: i32,
        offset: i64,
    },
    Error(KafkaError),
}

/// How a member behaves.
#[derive(Debug, Clone)]
pub(super) struct GroupOptions {
    pub(super) topic: String,
    /// On revoke, how long to wait for [`GroupConsumer::release`]; zero: partitions go at once.
    pub(super) release_budget: Duration,
    /// Records that may wait in the channel.
    pub(super) queue_records: usize,
    /// Their bytes.
    pub(super) queue_bytes: usize,
}

/// Where the thread puts what it has: records wait apart, so that a revocation is heard while they do.
#[derive(Debug, Clone)]
pub(super) struct Senders {
    control: mpsc::UnboundedSender<GroupEvent>,
    records: mpsc::UnboundedSender<GroupEvent>,
}

impl Senders {
    fn send(&self, event: GroupEvent) {
        let sender = if matches!(event, GroupEvent::Record { .. }) { &self.records } else { &self.control };
        // The receiver is gone only when the member is being closed.
        drop(sender.send(event));
    }
}

/// The async side of a member.
#[derive(Debug)]
pub(super) struct GroupConsumer {
    topic: String,
    shared: Arc<Shared>,
    consumer: Weak<BaseConsumer<GroupContext>>,
    control: mpsc::UnboundedReceiver<GroupEvent>,
    records: mpsc::UnboundedReceiver<GroupEvent>,
    /// A record that was taken and has to wait for the control events before it.
    held: Option<GroupEvent>,
    ended: Option<oneshot::Receiver<()>>,
}

impl GroupConsumer {
    pub(super) fn join(config: &ClientConfig, options: GroupOptions) -> Result<Self, KafkaError> {
        let topic = options.topic.clone();
        let shared = Arc::new(Shared::new(&options));
        let (send_control, control) = mpsc::unbounded_channel();
        let (send_record, records) = mpsc::unbounded_channel();
        let senders = Senders { control: send_control, records: send_record };
        let (end, ended) = oneshot::channel();
        let consumer = thread::start(config, options, Arc::clone(&shared), senders, end)?;
        Ok(Self { topic, shared, consumer, control, records, held: None, ended: Some(ended) })
    }

    /// The next event, control events first. Records of a partition that is no longer ours, or not in this epoch, are left
    /// out. Safe to cancel. `None` when the thread has ended.
    pub(super) async fn next(&mut self) -> Option<GroupEvent> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            // Both channels were empty just now.
            tokio::select! {
                biased;
                event = self.control.recv() => return event,
                record = self.records.recv() => self.held = Some(record?),
            }
        }
    }

    /// The next event that is not a record. Safe to cancel.
    pub(super) async fn next_control(&mut self) -> Option<GroupEvent> {
        self.control.recv().await
    }

    /// The next event, if there is one already.
    pub(super) fn try_next(&mut self) -> Option<GroupEvent> {
        loop {
            // A record was sent after the assignment that it belongs to. Looking for control events only once a record is in
            // hand makes sure that they are handed out in that order.
            if self.held.is_none() {
                self.held = self.records.try_recv().ok();
            }
            if let Ok(event) = self.control.try_recv() {
                return Some(event);
            }
            let event = self.held.take()?;
            if let GroupEvent::Record { epoch, record } = &event {
                self.shared.took(record.size());
                if !self.shared.is_reading(record.partition, *epoch) {
                    continue;
                }
            }
            return Some(event);
        }
    }

    /// Starts to read a partition at an offset, once [`GroupEvent::Assigned`] was seen for it.
    pub(super) fn start_from(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        if self.shared.request_start(partition, offset) { Ok(()) } else { Err(KafkaError::NotAssigned { partition }) }
    }

    /// After [`GroupEvent::Revoked`]: everything is done for the partition, it may go.
    pub(super) fn release(&self, partition: i32) {
        self.shared.release(partition);
    }

    pub(super) fn is_assigned(&self, partition: i32) -> bool {
        self.shared.epoch(partition).is_some()
    }

    /// Commits offsets in one request. A revoke in progress waits for it, so that it never lands after the partition has
    /// gone to somebody else.
    pub(super) fn commit(&self, commits: Vec<Commit>) -> impl Future<Output = Result<(), KafkaError>> + Send + use<> {
        let prepared = self.prepare(commits);
        async move {
            let (consumer, offsets, guards, first) = prepared?;
            blocking(move || {
                let result = consumer.commit(&offsets, CommitMode::Sync);
                drop(guards);
                result.map_err(|error| KafkaError::commit(first.partition, first.offset, &error))
            })
            .await?
        }
    }

    fn prepare(&self, commits: Vec<Commit>) -> Result<PreparedCommit, KafkaError> {
        let mut offsets = TopicPartitionList::new();
        let mut guards = Vec::with_capacity(commits.len());
        for Commit { partition, offset, metadata } in &commits {
            if metadata.len() > MAX_COMMIT_METADATA {
                return Err(KafkaError::MetadataTooLarge { size: metadata.len(), limit: MAX_COMMIT_METADATA });
            }
            let mut element = offsets.add_partition(&self.topic, *partition);
            element
                .set_offset(Offset::Offset(*offset))
                .map_err(|error| KafkaError::commit(*partition, *offset, &error))?;
            element.set_metadata(metadata);
            let guard = Shared::begin_commit(&self.shared, *partition);
            guards.push(guard.ok_or(KafkaError::NotAssigned { partition: *partition })?);
        }
        let first = commits.into_iter().next().ok_or(KafkaError::Closed)?;
        Ok((self.consumer.upgrade().ok_or(KafkaError::Closed)?, offsets, guards, first))
    }

    /// Oldest and next offset of a partition, asked of its broker.
    pub(super) async fn watermarks(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let consumer = self.consumer.upgrade().ok_or(KafkaError::Closed)?;
        let topic = self.topic.clone();
        blocking(move || {
            consumer
                .fetch_watermarks(&topic, partition, QUERY_TIMEOUT)
                .map_err(|error| KafkaError::query(format!("watermarks of partition {partition} of `{topic}`"), &error))
        })
        .await?
    }

    /// Ends reading and waits for the group to be left, at most for `budget`; a commit under way puts that off.
    pub(super) async fn close(mut self, budget: Duration) {
        self.shared.close();
        if let Some(ended) = self.ended.take() {
            // Past the budget the thread ends by itself, whenever librdkafka lets it.
            drop(tokio::time::timeout(budget, ended).await);
        }
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.shared.close();
    }
}
