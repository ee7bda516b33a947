use proptest::prelude::*;

use super::group::{Assigned, Committed, MAX_COMMIT_METADATA};
use super::progress::{Progress, RecordOutcomes, Tally};
use crate::event::{DeadLetterReason, FailedReason, SkippedReason};

fn assigned(committed: Option<(i64, &str)>, low: i64, high: i64) -> Assigned {
    Assigned {
        partition: 0,
        epoch: 1,
        committed: committed.map(|(offset, metadata)| Committed { offset, metadata: metadata.to_owned() }),
        low_watermark: low,
        high_watermark: high,
    }
}

fn skipped() -> RecordOutcomes {
    RecordOutcomes { observed: 1, skipped: vec![SkippedReason::NoRule], ..RecordOutcomes::default() }
}

#[test]
fn the_largest_metadata_fits() {
    let many = 1_000_000_000_000_000;
    let tally = Tally {
        version: 1,
        base: 1_000_000_000_000,
        records: many,
        observed: many,
        requested: many,
        // Intake itself fails an observation for one reason only.
        failed: [(FailedReason::EvaluationError, many)].into(),
        skipped: SkippedReason::ALL.iter().map(|reason| (*reason, many)).collect(),
        dead_lettered: DeadLetterReason::ALL.iter().map(|reason| (*reason, many)).collect(),
    };
    let metadata = tally.to_metadata();
    assert!(!metadata.is_empty() && metadata.len() <= MAX_COMMIT_METADATA, "{}", metadata.len());
    assert_eq!(Tally::from_metadata(&metadata), Some(tally));
}

#[test]
fn counts_go_on_from_our_own_metadata_and_begin_anew_otherwise() {
    let mut first = Progress::resume(&assigned(None, 5, 9));
    for offset in 5..8 {
        assert!(first.begin(offset));
        first.finish(offset, skipped());
    }
    let point = first.commit_point().unwrap();
    assert_eq!(point.offset, 8);

    let second = Progress::resume(&assigned(Some((8, &point.metadata)), 5, 9));
    assert_eq!((second.tally().base, second.tally().records, second.prefix()), (5, 3, 8));
    assert_eq!(second.commit_point(), None);
    for foreign in ["", "somebody else's", r#"{"v":2,"b":5,"r":3,"o":3,"q":0}"#] {
        let begun = Progress::resume(&assigned(Some((8, foreign)), 5, 9));
        assert_eq!((begun.tally().base, begun.tally().records, begun.prefix()), (8, 0, 8), "{foreign}");
    }
    // The log begins beyond the commit: what lay between is gone, and the old counts with it.
    let gone = Progress::resume(&assigned(Some((8, &point.metadata)), 20, 30));
    assert_eq!((gone.tally().base, gone.tally().records, gone.prefix()), (20, 0, 20));
}

#[test]
fn a_record_is_not_begun_twice() {
    let mut progress = Progress::resume(&assigned(None, 0, 9));
    assert!(progress.begin(0));
    assert!(!progress.begin(0));
    progress.finish(0, skipped());
    progress.finish(0, skipped());
    assert!(!progress.begin(0));
    assert_eq!(progress.tally().records, 1);
}

#[derive(Debug, Clone)]
enum Step {
    /// Read the next record, this many offsets further on.
    Read(i64),
    /// Finish one of the open records.
    Finish(prop::sample::Index),
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_i64..4).prop_map(Step::Read),
        3 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => Just(Step::Commit),
    ]
}

proptest! {
    #[test]
    fn the_prefix_is_never_ahead_of_an_open_record_and_never_goes_back(steps in prop::collection::vec(step(), 0..200)) {
        let mut progress = Progress::resume(&assigned(None, 10, 1_000));
        let mut next = 10;
        let mut open: Vec<i64> = Vec::new();
        let mut finished: Vec<i64> = Vec::new();
        let mut last_prefix = progress.prefix();
        let mut last_commit = 10;
        for step in steps {
            match step {
                Step::Read(gap) => {
                    next += gap;
                    prop_assert!(progress.begin(next));
                    open.push(next);
                }
                Step::Finish(which) if !open.is_empty() => {
                    let offset = open.swap_remove(which.index(open.len()));
                    progress.finish(offset, skipped());
                    finished.push(offset);
                }
                Step::Commit => {
                    if let Some(point) = progress.commit_point() {
                        prop_assert!(point.offset > last_commit);
                        last_commit = point.offset;
                        progress.committed(point.offset);
                        let tally = Tally::from_metadata(&point.metadata).unwrap();
                        let covered = finished.iter().filter(|offset| **offset < point.offset).count();
                        prop_assert_eq!(tally.records, covered as u64);
                        prop_assert_eq!(tally.accounted(), tally.observed);
                    }
                    prop_assert_eq!(progress.commit_point(), None);
                }
                Step::Finish(_) => {}
            }
            prop_assert!(progress.prefix() >= last_prefix);
            last_prefix = progress.prefix();
            prop_assert!(open.iter().all(|offset| *offset >= progress.prefix()));
            prop_assert_eq!(progress.open(), open.len());
            // With nothing open, everything read is in the prefix.
            if open.is_empty() && !finished.is_empty() {
                prop_assert_eq!(progress.prefix(), finished.iter().max().unwrap() + 1);
            }
        }
    }
}
