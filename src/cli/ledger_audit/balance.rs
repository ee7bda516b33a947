//! The balance of the alerts topic: what intake committed, against the ledger, the dead letters and the topic itself.

use std::collections::BTreeMap;

use super::inputs::CommittedTally;
use super::lane::Lane;
use super::report::PartitionReport;
use super::requests::Origin;
use super::violation::{ViolationCode, Violations};
use crate::event::DeadLetterReason;

/// One partition of the alerts topic.
#[derive(Debug, Default)]
struct Partition {
    committed: Option<(i64, Option<CommittedTally>)>,
    /// Oldest offset that the topic still holds, where it was read.
    low: Option<i64>,
    /// Observations by offset, in the order of reading.
    observations: Vec<(i64, u32)>,
    dead_letters: BTreeMap<i64, DeadLetterReason>,
    /// Offsets of the records of requests, and of failures of intake.
    requested: Vec<i64>,
    failed: u64,
}

/// What is known of the alerts topic.
#[derive(Debug, Default)]
pub(super) struct Balance {
    partitions: BTreeMap<i32, Partition>,
    /// Older records of the ledger than those that were read are gone, if any were left to read.
    pub(super) ledger_late: bool,
    /// Older dead letters than those that were read are gone.
    pub(super) dead_letters_late: bool,
}

impl Balance {
    fn partition(&mut self, partition: i32) -> &mut Partition {
        self.partitions.entry(partition).or_default()
    }

    pub(super) fn committed(&mut self, partition: i32, offset: i64, tally: Option<CommittedTally>) {
        self.partition(partition).committed = Some((offset, tally));
    }

    pub(super) fn alerts_partition(&mut self, partition: i32, low: i64) {
        self.partition(partition).low = Some(low);
    }

    pub(super) fn alerts_record(&mut self, partition: i32, offset: i64, observations: u32) {
        self.partition(partition).observations.push((offset, observations));
    }

    pub(super) fn dead_letter(&mut self, partition: i32, offset: i64, reason: DeadLetterReason) {
        self.partition(partition).dead_letters.entry(offset).or_insert(reason);
    }

    /// Compares everything with everything.
    pub(super) fn check(
        mut self,
        lanes: &BTreeMap<i32, Lane>,
        violations: &mut Violations,
        notes: &mut Vec<String>,
    ) -> Vec<PartitionReport> {
        // A ledger without a single record that never held one shows nothing; nothing is what it must hold.
        let ledger_late = self.ledger_late
            || lanes.values().any(|lane| (!lane.complete && lane.reach.is_some()) || lane.too_new.is_some());
        self.collect_requests(lanes);
        let late = self.dead_letters_late;
        let mut reports = Vec::new();
        for (number, partition) in &mut self.partitions {
            partition.requested.sort_unstable();
            partition.observations.sort_unstable();
            partition.check_records(*number, violations);
            let Some((committed, tally)) = &partition.committed else {
                notes.push(format!("alerts partition {number}: nothing is committed, so nothing is balanced"));
                continue;
            };
            let Some(tally) = tally else {
                notes.push(format!(
                    "alerts partition {number}: the commit at offset {committed} carries no counts of ours"
                ));
                continue;
            };
            reports.push(partition.check_tally(*number, *committed, tally, (ledger_late, late), violations));
        }
        if ledger_late {
            notes.push("the ledger begins late: fewer requests than committed are no violation".to_owned());
        }
        if late {
            notes.push("the dead letters begin late: fewer of them than committed are no violation".to_owned());
        }
        reports
    }

    /// The requests of the ledger, by the record of their alert. Only those that the balance covers count as failed.
    fn collect_requests(&mut self, lanes: &BTreeMap<i32, Lane>) {
        for request in lanes.values().flat_map(|lane| lane.requests.values()) {
            let (number, offset) = request.source;
            if number < 0 {
                continue;
            }
            let partition = self.partition(number);
            match request.origin {
                Origin::Requested => partition.requested.push(offset),
                Origin::Intake if partition.covers(offset) => partition.failed += 1,
                Origin::Intake | Origin::Unknown => {}
            }
        }
    }
}

impl Partition {
    /// Whether the committed counts speak of this record.
    fn covers(&self, offset: i64) -> bool {
        let Some((committed, Some(tally))) = &self.committed else { return false };
        (tally.base..*committed).contains(&offset)
    }

    /// No record can lead to more requests than it has observations.
    fn check_records(&self, number: i32, violations: &mut Violations) {
        for chunk in self.requested.chunk_by(|one, other| one == other) {
            let Some(offset) = chunk.first() else { continue };
            let found = self.observations.binary_search_by_key(offset, |(offset, _)| *offset);
            let Some((_, observations)) = found.ok().and_then(|found| self.observations.get(found)) else { continue };
            if u64::from(*observations) < whole(chunk.len()) {
                violations.alerts(ViolationCode::ObservationsDiffer, || {
                    format!(
                        "alerts {number}@{offset}: {} requests come from a record with {observations} observations",
                        chunk.len()
                    )
                });
            }
        }
    }

    fn check_tally(
        &self,
        number: i32,
        committed: i64,
        tally: &CommittedTally,
        (ledger_late, dead_letters_late): (bool, bool),
        violations: &mut Violations,
    ) -> PartitionReport {
        let mut unaccounted = tally.observed.abs_diff(tally.accounted());
        if unaccounted > 0 {
            violations.alerts(ViolationCode::Unbalanced, || {
                format!(
                    "alerts partition {number}, offsets {} to {committed}: {} observations, and {} of them ended somewhere",
                    tally.base,
                    tally.observed,
                    tally.accounted()
                )
            });
        }
        // The audit may run beside the worker: what came after the commit is not compared.
        let differs = |found: u64, said: u64, late: bool| found > said || (found < said && !late);
        let said_failed = tally.failed.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let requested = whole(self.requested.iter().filter(|offset| self.covers(**offset)).count());
        for (what, found, said) in
            [("requests", requested, tally.requested), ("failures of intake", self.failed, said_failed)]
        {
            if differs(found, said, ledger_late) {
                unaccounted = unaccounted.saturating_add(said.saturating_sub(found));
                violations.alerts(ViolationCode::RequestsDiffer, || {
                    format!(
                        "alerts partition {number}, offsets {} to {committed}: {said} {what} were committed, and the ledger holds {found}",
                        tally.base
                    )
                });
            }
        }
        let mut dead_letters: BTreeMap<DeadLetterReason, u64> = BTreeMap::new();
        for (_, reason) in self.dead_letters.iter().filter(|(offset, _)| self.covers(**offset)) {
            *dead_letters.entry(*reason).or_default() += 1;
        }
        for reason in DeadLetterReason::ALL {
            let found = dead_letters.get(reason).copied().unwrap_or(0);
            let said = tally.dead_lettered.get(reason).copied().unwrap_or(0);
            if differs(found, said, dead_letters_late) {
                unaccounted = unaccounted.saturating_add(said.saturating_sub(found));
                violations.alerts(ViolationCode::DeadLettersDiffer, || {
                    format!(
                        "alerts partition {number}, offsets {} to {committed}: committed as dead letters ({reason}): {said}; found among the dead letters: {found}",
                        tally.base
                    )
                });
            }
        }
        let readable = self.low.is_some_and(|low| low <= tally.base);
        let observed_in_topic = readable.then(|| {
            let covered = self.observations.iter().filter(|(offset, _)| self.covers(*offset));
            covered.fold(0_u64, |sum, (_, observations)| sum.saturating_add(u64::from(*observations)))
        });
        if let Some(found) = observed_in_topic.filter(|found| *found != tally.observed) {
            unaccounted = unaccounted.saturating_add(found.saturating_sub(tally.observed));
            violations.alerts(ViolationCode::ObservationsDiffer, || {
                format!(
                    "alerts partition {number}, offsets {} to {committed}: {} observations were committed, and the topic holds {found}",
                    tally.base, tally.observed
                )
            });
        }
        PartitionReport {
            partition: number,
            base: tally.base,
            committed,
            observed: tally.observed,
            requested: tally.requested,
            failed: said_failed,
            skipped: tally.skipped.clone(),
            dead_lettered: tally.dead_lettered.clone(),
            observed_in_topic,
            unaccounted,
        }
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
