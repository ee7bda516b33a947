//! Reading the ledger as its owner.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{EventError, ScanEvent};
use crate::kafka::alerts::Commit;
use crate::kafka::client::{self, Cluster};
use crate::kafka::error::KafkaError;
use crate::kafka::group::{Assigned, GroupConsumer, GroupEvent, GroupOptions};
use crate::kafka::record::ConsumedRecord;
use crate::kafka::settings::Settings;

/// A record of the ledger, read back.
#[derive(Debug)]
pub struct LedgerRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The broker's or producer's time of it.
    pub timestamp: Option<Timestamp>,
    /// What it says, or why that cannot be read.
    pub event: Result<ScanEvent, EventError>,
}

impl From<ConsumedRecord> for LedgerRecord {
    fn from(record: ConsumedRecord) -> Self {
        Self {
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            // A tombstone is no record of ours: it reads as malformed JSON.
            event: ScanEvent::from_json(record.payload.as_deref().unwrap_or_default()),
        }
    }
}

/// What the owner of a partition hears.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, moved once; a box would cost an allocation a record")]
pub enum LedgerInput {
    /// The partition is ours. Nothing of it is read until [`LedgerConsumer::start_from`] is called for it.
    Assigned(Assigned),
    /// The next record. Offsets rise; they may have gaps.
    Record(LedgerRecord),
    /// The partition is no longer ours. No record of it follows, and commits for it fail.
    Revoked {
        /// The partition.
        partition: i32,
        /// Whether it was taken without asking: this member had been silent for too long.
        lost: bool,
    },
    /// The offset that the next record of a partition will get, told every few seconds.
    HighWatermark {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// Trouble. [`KafkaError::OffsetOutOfRange`] and [`KafkaError::ConsumerFatal`] end the reading: close the consumer and
    /// decide. After anything else the consumer goes on by itself.
    Error(KafkaError),
}

/// A member of the dispatch group. At any time at most one of its live members owns a partition; a member that was thrown
/// out may not know it yet, which is what claims are for.
#[derive(Debug)]
pub struct LedgerConsumer {
    group: GroupConsumer,
    /// Partitions that were revoked together and are told one by one.
    revoked: VecDeque<(i32, bool)>,
}

impl LedgerConsumer {
    /// Joins the dispatch group in the background.
    ///
    /// # Errors
    /// Wrong settings.
    pub fn join(settings: &Settings) -> Result<Self, KafkaError> {
        let config = client::group_consumer(settings, Cluster::Ledger, &settings.dispatch_group_id())?;
        let options = GroupOptions {
            topic: settings.ledger_topic.clone(),
            // Nothing has to be finished: what was not appended is not decided, and an older commit only replays more.
            release_budget: Duration::ZERO,
            queue_records: 20_000,
            queue_bytes: 32 << 20,
        };
        Ok(Self { group: GroupConsumer::join(&config, options)?, revoked: VecDeque::new() })
    }

    /// What happens next. Waits for ever when nothing does. Safe to cancel.
    pub async fn next(&mut self) -> LedgerInput {
        loop {
            if let Some((partition, lost)) = self.revoked.pop_front() {
                return LedgerInput::Revoked { partition, lost };
            }
            let event = self.group.next().await;
            if let Some(input) = self.input(event) {
                return input;
            }
        }
    }

    /// What has already happened, if anything.
    pub fn try_next(&mut self) -> Option<LedgerInput> {
        loop {
            if let Some((partition, lost)) = self.revoked.pop_front() {
                return Some(LedgerInput::Revoked { partition, lost });
            }
            let event = self.group.try_next()?;
            if let Some(input) = self.input(Some(event)) {
                return Some(input);
            }
        }
    }

    /// An event in the ledger's words; `None` for what is not told, and for partitions that are now told one by one.
    fn input(&mut self, event: Option<GroupEvent>) -> Option<LedgerInput> {
        Some(match event {
            // Whoever stands by waits for a partition and for nothing else.
            Some(GroupEvent::Joined) => return None,
            Some(GroupEvent::Assigned(assigned)) => LedgerInput::Assigned(assigned),
            Some(GroupEvent::Record { record, .. }) => LedgerInput::Record(record.into()),
            Some(GroupEvent::Revoked { partitions, lost }) => {
                self.revoked.extend(partitions.into_iter().map(|partition| (partition, lost)));
                return None;
            }
            Some(GroupEvent::HighWatermark { partition, offset }) => LedgerInput::HighWatermark { partition, offset },
            Some(GroupEvent::Error(error)) => LedgerInput::Error(error),
            None => LedgerInput::Error(KafkaError::ConsumerFatal("its thread has ended".to_owned())),
        })
    }

    /// Starts to read an assigned partition at an offset; see [`Assigned::start`] and [`Assigned::is_out_of_range`]. May be
    /// called again to read from elsewhere.
    ///
    /// # Errors
    /// [`KafkaError::NotAssigned`].
    pub fn start_from(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        self.group.start_from(partition, offset)
    }

    /// Whether the partition is ours, as far as is known here.
    #[must_use]
    pub fn is_assigned(&self, partition: i32) -> bool {
        self.group.is_assigned(partition)
    }

    /// Commits the next offset to read, with at most 1,024 bytes of metadata, and waits for the broker's word.
    ///
    /// # Errors
    /// [`KafkaError::NotAssigned`], [`KafkaError::Commit`], [`KafkaError::MetadataTooLarge`].
    pub async fn commit(&self, partition: i32, offset: i64, metadata: &str) -> Result<(), KafkaError> {
        self.group.commit(vec![Commit { partition, offset, metadata: metadata.to_owned() }]).await
    }

    /// Oldest and next offset of a partition, asked of its broker.
    ///
    /// # Errors
    /// [`KafkaError::Query`].
    pub async fn watermarks(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        self.group.watermarks(partition).await
    }

    /// Ends reading and waits for the group to be left, at most for `budget`; a commit under way puts that off. Dropping leaves it too, without waiting.
    pub async fn close(self, budget: Duration) {
        self.group.close(budget).await;
    }
}
