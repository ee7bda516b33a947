//! The partitions that are ours, and how far each has come.

use std::collections::{BTreeMap, HashMap};

use super::decision::Recorded;
use crate::kafka::Progress;

/// Records that may be finished and wait behind one that is not, with those that are not: each is remembered until the prefix
/// has passed it, and read again by the next owner if we die before.
const MOST_HELD: usize = 20_000;

/// A partition that is ours.
pub(super) struct Owned {
    pub(super) epoch: u64,
    pub(super) progress: Progress,
    /// What an owner before us wrote about records that are still to come, by offset.
    pub(super) recorded: HashMap<i64, Vec<Recorded>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Partitions(pub(super) BTreeMap<i32, Owned>);

impl Partitions {
    /// A partition, if it is still ours by the same assignment.
    pub(super) fn under(&mut self, partition: i32, epoch: u64) -> Option<&mut Owned> {
        self.0.get_mut(&partition).filter(|owned| owned.epoch == epoch)
    }

    /// Whether more records may be taken: one whose appends take their time must not let those behind it pile up.
    pub(super) fn has_room(&self) -> bool {
        self.0.values().map(|owned| owned.progress.held()).sum::<usize>() < MOST_HELD
    }

    /// Records of some partitions whose decision is not durable yet.
    pub(super) fn open(&self, partitions: &[i32]) -> usize {
        let owned = partitions.iter().filter_map(|partition| self.0.get(partition));
        owned.map(|owned| owned.progress.open()).sum()
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Assigned, RecordOutcomes};

    #[test]
    fn no_more_records_are_taken_when_too_many_wait_behind_one() {
        let mut partitions = Partitions::default();
        for partition in 0..2 {
            let assigned = Assigned { partition, epoch: 1, committed: None, low_watermark: 0, high_watermark: 0 };
            let owned = Owned { epoch: 1, progress: Progress::resume(&assigned), recorded: HashMap::new() };
            partitions.0.insert(partition, owned);
        }
        let mut next = 0;
        // The first record of partition 0 is stuck; everything behind it, and all of partition 1, is finished at once.
        while partitions.has_room() {
            for partition in 0..2 {
                let owned = partitions.under(partition, 1).expect("it is ours");
                assert!(owned.progress.begin(next, 0));
                if (partition, next) != (0, 0) {
                    owned.progress.finish(next, RecordOutcomes::default());
                }
            }
            next += 1;
            assert!(next <= 20_000, "what waits behind one record has no end");
        }
        assert_eq!((partitions.open(&[0, 1]), next), (1, 20_000));
        let owned = partitions.under(0, 1).expect("it is ours");
        owned.progress.finish(0, RecordOutcomes::default());
        assert_eq!((owned.progress.held(), owned.progress.prefix()), (0, 20_000));
        assert!(partitions.has_room());
    }
}
