//! What intake tells those who watch it.

use jiff::Timestamp;

use super::decision::RecordDecision;
use crate::kafka::{Assigned, KafkaError, Tally};

/// Hears what intake does. Every method does nothing unless it is overridden, must return at once and may be called often.
pub trait IntakeObserver: Send + Sync {
    /// We are a member of the group, with partitions or without. Told again in every rebalance.
    fn joined(&self) {}
    /// A partition is ours.
    fn assigned(&self, _assigned: &Assigned) {}
    /// A partition has gone; `lost` without notice.
    fn revoked(&self, _partition: i32, _lost: bool) {}
    /// A record was read and decided; its events are on their way.
    fn read(&self, _decision: &RecordDecision) {}
    /// Everything that the decision asks for is durable: count its outcomes.
    fn decided(&self, _decision: &RecordDecision) {}
    /// The broker has a commit: everything below `offset` is decided, and these are its counts.
    fn committed(&self, _partition: i32, _offset: i64, _tally: &Tally) {}
    /// Records of a partition that are not yet behind its decided prefix.
    fn lag(&self, _partition: i32, _records: u64) {}
    /// Told twice a second: records whose decision is not durable yet, and of each partition since when the oldest of them is held, if
    /// there is one.
    fn in_hand(&self, _records: usize, _oldest: &[(i32, Option<Timestamp>)]) {}
    /// Something went wrong; intake goes on.
    fn trouble(&self, _error: &KafkaError) {}
}

/// Nobody watches.
impl IntakeObserver for () {}
