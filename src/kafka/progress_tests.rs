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
        ledger_from: Some(1_000_000_000_000),
    };
    let metadata = tally.to_metadata();
    assert!(!metadata.is_empty() && metadata.len() <= MAX_COMMIT_METADATA, "{}", metadata.len());
    assert_eq!(Tally::from_metadata(&metadata), Some(tally));
}

#[test]
fn counts_go_on_from_our_own_metadata_and_begin_anew_otherwise() {
    let mut first = Progress::resume(&assigned(None, 5, 9));
    for offset in 5..8 {
        assert!(first.begin(offset, 0));
        first.finish(offset, skipped());
    }
    let point = first.commit_point(7).unwrap();
    assert_eq!(point.offset, 8);

    let second = Progress::resume(&assigned(Some((8, &point.metadata)), 5, 9));
    assert_eq!((second.tally().base, second.tally().records, second.prefix()), (5, 3, 8));
    assert_eq!(second.commit_point(7), None);
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
    assert!(progress.begin(0, 0));
    assert!(!progress.begin(0, 0));
    progress.finish(0, skipped());
    progress.finish(0, skipped());
    assert!(!progress.begin(0, 0));
    assert_eq!(progress.tally().records, 1);
}

#[test]
fn a_beginning_is_committed_once_so_that_the_next_owner_knows_where_to_look() {
    let mut first = Progress::resume(&assigned(None, 5, 9));
    assert_eq!(first.inherits(), None, "nobody of ours was there before");
    let point = first.commit_point(40).unwrap();
    assert_eq!((point.offset, Tally::from_metadata(&point.metadata).unwrap().ledger_from), (5, Some(40)));
    first.committed(5);
    assert_eq!(first.commit_point(41), None);

    let resume = |low, high| Progress::resume(&assigned(Some((5, &point.metadata)), low, high));
    assert_eq!(resume(5, 9).inherits(), Some(40));
    assert_eq!(resume(5, 5).inherits(), None, "there is nothing that anybody could have read");
    assert_eq!(resume(7, 9).inherits(), Some(40), "some expired unread, the others may have been in hand");
    assert_eq!(resume(0, 4).inherits(), None, "another topic of that name");
    let foreign = Progress::resume(&assigned(Some((5, "somebody else's")), 5, 9));
    assert_eq!(foreign.inherits(), None);
}

#[test]
fn what_was_in_hand_of_an_owner_before_keeps_its_place_in_the_ledger() {
    let metadata = r#"{"v":1,"b":0,"r":5,"o":5,"q":5,"l":40}"#;
    let mut progress = Progress::resume(&assigned(Some((5, metadata)), 0, 8));
    let place = |progress: &Progress, ledger_end| {
        let point = progress.commit_point(ledger_end).unwrap();
        (point.offset, Tally::from_metadata(&point.metadata).unwrap().ledger_from)
    };
    // Up to the end that the topic had then, it may have been read by the other.
    for offset in 5..10 {
        assert!(progress.begin(offset, 90 + offset));
    }
    progress.finish(5, skipped());
    assert_eq!(place(&progress, 200), (6, Some(40)));
    progress.finish(6, skipped());
    progress.finish(7, skipped());
    assert_eq!(place(&progress, 200), (8, Some(98)));
    progress.finish(8, skipped());
    progress.finish(9, skipped());
    assert_eq!(place(&progress, 200), (10, Some(200)));
    // We have appended nothing yet: what the other knew is the best there is.
    assert_eq!(place(&progress, 0), (10, Some(40)));
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
        let mut last_commit = None;
        // Where the ledger ended when each record was begun; it grows by a record at each step.
        let mut ledger_end = 0;
        let mut begun_at: Vec<(i64, i64)> = Vec::new();
        for step in steps {
            ledger_end += 1;
            match step {
                Step::Read(gap) => {
                    next += gap;
                    begun_at.push((next, ledger_end));
                    prop_assert!(progress.begin(next, ledger_end));
                    open.push(next);
                }
                Step::Finish(which) if !open.is_empty() => {
                    let offset = open.swap_remove(which.index(open.len()));
                    progress.finish(offset, skipped());
                    finished.push(offset);
                }
                Step::Commit => {
                    if let Some(point) = progress.commit_point(ledger_end) {
                        prop_assert!(last_commit.is_none_or(|last_commit| point.offset > last_commit));
                        last_commit = Some(point.offset);
                        progress.committed(point.offset);
                        let tally = Tally::from_metadata(&point.metadata).unwrap();
                        let covered = finished.iter().filter(|offset| **offset < point.offset).count();
                        prop_assert_eq!(tally.records, covered as u64);
                        prop_assert_eq!(tally.accounted(), tally.observed);
                        // Whatever was begun and is not committed wrote to the ledger from there on, and no record less is read.
                        let uncommitted = begun_at.iter().filter(|(offset, _)| *offset >= point.offset);
                        let first = uncommitted.map(|(_, ledger_end)| *ledger_end).min();
                        prop_assert_eq!(tally.ledger_from, Some(first.unwrap_or(ledger_end)));
                    }
                    prop_assert_eq!(progress.commit_point(ledger_end), None);
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
