//! What the audit found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::inputs::AuditOptions;
use super::lane::Lane;
use super::quota::count_calls;
use super::scans::Phase;
use super::violation::{Violation, ViolationCode, Violations};
use crate::event::{DeadLetterReason, Outcome, SkippedReason};

/// What the audit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise that the log can show is kept.
    Balanced,
    /// Some promise is broken.
    Violated,
    /// A newer version wrote the log: this one cannot audit it.
    TooNew,
}

/// What the audit found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// What it comes to.
    pub verdict: Verdict,
    /// Each partition of the ledger that holds records.
    pub ledger: Vec<LaneReport>,
    /// Requests of the ledger.
    pub requests: RequestReport,
    /// Outcomes of observations: outcome, reason (empty where it has none), count.
    pub outcomes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Observations that ended nowhere and are not in flight.
    pub unaccounted: u64,
    /// Calls to the API.
    pub calls: CallReport,
    /// Each partition of the alerts topic whose commit carries counts.
    pub alerts: Vec<PartitionReport>,
    /// Violations by code, all of them.
    pub violation_counts: BTreeMap<ViolationCode, u64>,
    /// The first violations of each code.
    pub violations: Vec<Violation>,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

impl AuditReport {
    /// 0 where everything holds, else 5.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Balanced => 0,
            Verdict::Violated | Verdict::TooNew => 5,
        }
    }
}

/// One partition of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneReport {
    /// The partition.
    pub partition: i32,
    /// Its tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// First offset read.
    pub from: i64,
    /// Last offset read.
    pub to: i64,
    /// Whether that is the whole log. Otherwise what began before is taken on trust.
    pub complete: bool,
    /// From here on everything is checked; absent where it cannot be told which decisions counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds_from: Option<i64>,
    /// Records read.
    pub records: u64,
    /// Repetitions of a record, as at-least-once delivery allows.
    pub duplicates: u64,
    /// Decisions under a claim that was no longer the latest: they do not count.
    pub void: u64,
    /// Results that came after the attempt had one.
    pub late: u64,
    /// Times the partition changed its owner.
    pub claims: u64,
    /// Requests that were made once more after they had long ended.
    pub requested_again: u64,
    /// The offset of a record that needs a newer version, and which: the audit ends before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_new: Option<(i64, u32)>,
}

/// Requests of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestReport {
    /// Distinct requests.
    pub made: u64,
    /// Those that ended.
    pub ended: u64,
    /// Those that have not ended yet.
    pub in_flight: InFlight,
}

/// Requests that have not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// All of them.
    pub total: u64,
    /// Waiting for a scan.
    pub waiting: u64,
    /// Their scan is being called for, or its fate is in doubt.
    pub calling: u64,
    /// Their scan is running.
    pub running: u64,
    /// Those that wait although they were too old a while ago. Normal while the worker is down.
    pub overdue: u64,
    /// The oldest.
    pub oldest: Vec<OpenRequest>,
}

/// A request that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenRequest {
    /// Partition of the ledger.
    pub partition: i32,
    /// Offset of the record that made it.
    pub offset: i64,
    /// The request.
    pub request_id: String,
    /// Machine id.
    pub device_id: String,
    /// The scan that covers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_id: Option<String>,
}

/// Calls to the API, all tenants together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallReport {
    /// Intents that counted.
    pub intents: u64,
    /// Intents that were withdrawn before their call.
    pub withdrawn: u64,
    /// Attempts that ended without a scan.
    pub failed: u64,
    /// Scans accepted.
    pub accepted: u64,
    /// Attempts that met a running scan.
    pub joined: u64,
    /// The busiest windows.
    pub windows: Vec<WindowReport>,
}

/// The busiest window of one length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowReport {
    /// Partition of the ledger: one tenant.
    pub partition: i32,
    /// Length of the window in seconds.
    pub seconds: u64,
    /// The most calls that are proved for any such window.
    pub calls: u64,
    /// Calls allowed.
    pub limit: u32,
}

/// One partition of the alerts topic, by its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The partition.
    pub partition: i32,
    /// Offset at which the counting began.
    pub base: i64,
    /// Committed offset: the counts end before it.
    pub committed: i64,
    /// Observations.
    pub observed: u64,
    /// Those that became requests.
    pub requested: u64,
    /// Those that failed at intake.
    pub failed: u64,
    /// Those that were skipped.
    pub skipped: BTreeMap<SkippedReason, u64>,
    /// Records that went to the dead letters.
    pub dead_lettered: BTreeMap<DeadLetterReason, u64>,
    /// Observations counted in the topic itself, where it still holds all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_in_topic: Option<u64>,
    /// Observations that ended nowhere.
    pub unaccounted: u64,
}

/// Puts the findings together.
pub(super) fn draw(
    options: AuditOptions,
    mut lanes: BTreeMap<i32, Lane>,
    alerts: Vec<PartitionReport>,
    mut violations: Violations,
    mut notes: Vec<String>,
) -> AuditReport {
    let mut outcomes: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut add = |outcome: Outcome, count: u64| {
        let reasons = outcomes.entry(outcome.as_str().to_owned()).or_default();
        let sum = reasons.entry(outcome.reason().to_owned()).or_default();
        *sum = sum.saturating_add(count);
    };
    for partition in &alerts {
        partition.skipped.iter().for_each(|(reason, count)| add(Outcome::Skipped(*reason), *count));
        partition.dead_lettered.iter().for_each(|(reason, count)| add(Outcome::DeadLettered(*reason), *count));
    }
    let mut unaccounted = alerts.iter().fold(0_u64, |sum, partition| sum.saturating_add(partition.unaccounted));
    let (mut requests, mut calls, mut ledger) = (RequestReport::default(), CallReport::default(), Vec::new());
    let mut too_new = false;
    for lane in lanes.values_mut() {
        lane.close_log(&mut violations);
        let lane = &*lane;
        lane.requests.values().filter_map(|request| request.end).for_each(|end| add(end.outcome, 1));
        unaccounted = unaccounted.saturating_add(count_requests(lane, &mut requests, &options, &mut violations));
        count_calls(lane, &options, &mut calls, &mut violations, &mut notes);
        too_new |= lane.too_new.is_some();
        ledger.extend(lane_report(lane));
        notes.extend(lane_notes(lane));
    }
    requests.in_flight.oldest.sort_by_key(|open| (open.partition, open.offset));
    requests.in_flight.oldest.truncate(options.listed_in_flight);
    notes.push("protected devices: the log does not say which devices were protected when".to_owned());
    let verdict = if too_new {
        Verdict::TooNew
    } else if violations.counts.is_empty() && unaccounted == 0 {
        Verdict::Balanced
    } else {
        Verdict::Violated
    };
    violations.listed.sort_by_key(|violation| (violation.partition, violation.offsets.last().copied(), violation.code));
    AuditReport {
        verdict,
        ledger,
        requests,
        outcomes,
        unaccounted,
        calls,
        alerts,
        violation_counts: violations.counts,
        violations: violations.listed,
        notes,
    }
}

/// Counts a lane's requests; returns those that neither ended nor can end, because their scan is over.
fn count_requests(lane: &Lane, report: &mut RequestReport, options: &AuditOptions, violations: &mut Violations) -> u64 {
    let mut lost = 0;
    let now = options.at_rest.or(lane.clock);
    let is_overdue = |expires_at: Timestamp| {
        expires_at.saturating_add(options.overdue_margin).is_ok_and(|due| now.is_some_and(|now| due < now))
    };
    let (mut listed, mut overdue) = (Vec::new(), Vec::new());
    for request in lane.requests.values() {
        report.made += 1;
        let Some(open) = &request.open else {
            report.ended += 1;
            continue;
        };
        let phase = open.scan.as_ref().and_then(|scan| lane.scans.get(scan)).map(|scan| scan.phase);
        report.in_flight.total += 1;
        match phase {
            None | Some(Phase::Retrying) => {
                report.in_flight.waiting += 1;
                let expired = open.asked.as_ref().map(|asked| asked.expires_at).filter(|expires| is_overdue(*expires));
                if let Some(expires_at) = expired {
                    report.in_flight.overdue += 1;
                    overdue.push((request.offset, &open.id, expires_at));
                }
            }
            Some(Phase::Calling | Phase::Refused) => report.in_flight.calling += 1,
            Some(Phase::Running) => report.in_flight.running += 1,
            Some(Phase::Ended) => {
                report.in_flight.total -= 1;
                lost += 1;
            }
        }
        listed.push((request.offset, open));
    }
    overdue.sort_unstable();
    // While halted a request may wait for as long as people take.
    let judged = options.at_rest.is_some() && lane.halted.is_none();
    for (offset, id, expires_at) in overdue.into_iter().filter(|_| judged) {
        violations.ledger(ViolationCode::RequestOverdue, lane.partition, &[offset], || {
            format!("request {id} waits, and was too old from {expires_at} on")
        });
    }
    listed.sort_unstable_by_key(|(offset, _)| *offset);
    report.in_flight.oldest.extend(listed.into_iter().take(options.listed_in_flight).map(|(offset, open)| {
        OpenRequest {
            partition: lane.partition,
            offset,
            request_id: open.id.to_string(),
            device_id: open.device_id.to_string(),
            scan_id: open.scan.as_deref().map(str::to_owned),
        }
    }));
    lost
}

fn lane_report(lane: &Lane) -> Option<LaneReport> {
    let (from, to) = lane.reach?;
    Some(LaneReport {
        partition: lane.partition,
        tenant: lane.tenant.clone(),
        from,
        to,
        complete: lane.complete,
        holds_from: lane.holds_from,
        records: lane.counts.records,
        duplicates: lane.counts.duplicates,
        void: lane.counts.void,
        late: lane.counts.late,
        claims: lane.counts.claims,
        requested_again: lane.counts.requested_again,
        too_new: lane.too_new,
    })
}

fn lane_notes(lane: &Lane) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some((offset, needed)) = lane.too_new {
        notes.push(format!(
            "ledger {}@{offset}: the record needs reader version {needed}; audit with a newer version of alert-responder",
            lane.partition
        ));
    }
    if let Some((from, _)) = lane.reach.filter(|_| !lane.complete) {
        let partition = lane.partition;
        notes.push(match lane.holds_from {
            Some(holds) => format!(
                "ledger partition {partition} begins at offset {from}: the audit holds from offset {holds}, and takes what began before on trust"
            ),
            None => format!(
                "ledger partition {partition} begins at offset {from}, after the claim that is in force: which decisions counted cannot be told, so only the balance is checked"
            ),
        });
    }
    notes
}
