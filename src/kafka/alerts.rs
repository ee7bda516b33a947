//! Reading the alerts topic as a member of the intake group.

use std::future::Future;
use std::time::Duration;

use super::client::{self, Cluster};
use super::error::KafkaError;
use super::group::{Assigned, GroupConsumer, GroupEvent, GroupOptions};
use super::record::ConsumedRecord;
use super::settings::Settings;

/// What intake hears.
#[derive(Debug)]
pub enum AlertsInput {
    /// The group has told us our share, which may be nothing: we are a member. Told again in every rebalance.
    Joined,
    /// A partition is ours. Nothing of it is read until [`AlertsConsumer::start_from`] is called for it.
    Assigned(Assigned),
    /// The next record of a partition that is ours.
    Record(ConsumedRecord),
    /// Partitions are being taken away: no record of them follows. Unless `lost`, finish what is in hand, commit, and call
    /// [`AlertsConsumer::release`] for each; the group waits for that, for [`Settings::revoke_budget`] at most.
    Revoked {
        /// The partitions.
        partitions: Vec<i32>,
        /// They are already gone; commits fail.
        lost: bool,
    },
    /// The offset that the next record of a partition will get, told every few seconds.
    HighWatermark {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// Trouble. After [`KafkaError::ConsumerFatal`] and [`KafkaError::OffsetOutOfRange`] the consumer must be made anew; after
    /// anything else it goes on by itself.
    Error(KafkaError),
}

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// At most 1,024 bytes.
    pub metadata: String,
}

/// A member of the intake group.
#[derive(Debug)]
pub struct AlertsConsumer {
    group: GroupConsumer,
}

impl AlertsConsumer {
    /// Joins the group in the background; brokers that are away are waited for.
    ///
    /// # Errors
    /// Wrong settings.
    pub fn join(settings: &Settings) -> Result<Self, KafkaError> {
        let config = client::group_consumer(settings, Cluster::Alerts, &settings.group_id)?;
        let options = GroupOptions {
            topic: settings.alerts_topic.clone(),
            release_budget: settings.revoke_budget,
            queue_records: 10_000,
            queue_bytes: 32 << 20,
        };
        Ok(Self { group: GroupConsumer::join(&config, options)? })
    }

    /// What happens next; assignments and revocations come before records that wait. Safe to cancel.
    pub async fn next(&mut self) -> AlertsInput {
        input(self.group.next().await)
    }

    /// Like [`Self::next`], and leaves records where they are: for times when there is no room for more.
    pub async fn next_but_records(&mut self) -> AlertsInput {
        input(self.group.next_control().await)
    }

    /// What has already happened, if anything.
    pub fn try_next(&mut self) -> Option<AlertsInput> {
        self.group.try_next().map(|event| input(Some(event)))
    }

    /// Starts to read an assigned partition at an offset, as a rule [`Assigned::start`].
    ///
    /// # Errors
    /// [`KafkaError::NotAssigned`].
    pub fn start_from(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        self.group.start_from(partition, offset)
    }

    /// Commits offsets in one request and waits for the broker's word. The future does not borrow the consumer.
    pub fn commit(&self, commits: Vec<Commit>) -> impl Future<Output = Result<(), KafkaError>> + Send + use<> {
        self.group.commit(commits)
    }

    /// After [`AlertsInput::Revoked`]: the partition may go.
    pub fn release(&self, partition: i32) {
        self.group.release(partition);
    }

    /// Whether the partition is ours, as far as is known here.
    #[must_use]
    pub fn is_assigned(&self, partition: i32) -> bool {
        self.group.is_assigned(partition)
    }

    /// Ends reading and waits for the group to be left, at most for `budget`; a commit under way puts that off. Dropping leaves it too, without waiting.
    pub async fn close(self, budget: Duration) {
        self.group.close(budget).await;
    }
}

fn input(event: Option<GroupEvent>) -> AlertsInput {
    match event {
        Some(GroupEvent::Joined) => AlertsInput::Joined,
        Some(GroupEvent::Assigned(assigned)) => AlertsInput::Assigned(assigned),
        Some(GroupEvent::Record { record, .. }) => AlertsInput::Record(record),
        Some(GroupEvent::Revoked { partitions, lost }) => AlertsInput::Revoked { partitions, lost },
        Some(GroupEvent::HighWatermark { partition, offset }) => AlertsInput::HighWatermark { partition, offset },
        Some(GroupEvent::Error(error)) => AlertsInput::Error(error),
        None => AlertsInput::Error(KafkaError::ConsumerFatal("its thread has ended".to_owned())),
    }
}
