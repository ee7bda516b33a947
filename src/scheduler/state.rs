//! What the ledger folds to. Every field follows from records alone: no clock, no configuration.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::counts::{Counts, Wants};
use super::covered::EndedScan;
use super::orders::Orders;
use super::unfit::Unfit;
use crate::event::{Action, AlertRef, DeviceRef, FailedReason, Genesis, Mode, Requested, RuleLimit, ScanType};

/// How long, in time of the log, ended requests and alert ids are remembered: a redelivered or repeated alert within
/// it is known again. Constant, because the fold must not depend on configuration.
pub const MEMORY: Duration = Duration::from_secs(3600);

/// How long, in time of the log, scanned devices are remembered for the blast radius.
pub const RADIUS_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// A moment that is `duration` after `time`, or the end of time.
#[must_use]
pub(super) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// A moment that is `duration` before `time`, or the beginning of time.
#[must_use]
pub(super) fn before(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_sub(duration).unwrap_or(Timestamp::MIN)
}

/// A request that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The record that asked.
    pub asked: Requested,
    /// Time of that record.
    pub requested_at: Timestamp,
    /// Offset of that record.
    pub offset: i64,
    /// The scan that covers it; `None` while it waits.
    pub scan: Option<String>,
    /// What it comes to by the counts of its device.
    pub wants: Wants,
}

/// A device with anything to remember.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceState {
    /// Requests that wait.
    pub queued: BTreeSet<String>,
    /// The scan that is intended, refused or open.
    pub scan: Option<String>,
    /// A scan whose last attempt failed and may be repeated.
    pub retry: Option<Retry>,
    /// The device rests.
    pub cooldown: Option<Cooldown>,
    /// The device would rest, had shadow requests been scanned.
    pub shadow_cooldown: Option<Cooldown>,
    /// Defender does not know the device or cannot scan it.
    pub unfit: Option<Unfit>,
    /// Scans that ended a while ago, oldest first.
    pub ended: Vec<EndedScan>,
    /// Scans in a row, where the rest grows with each.
    pub row: Option<Row>,
}

/// Scans of a device in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// How often the rest has grown.
    pub step: u32,
    /// A scan that begins until then makes it grow once more.
    pub until: Timestamp,
    /// Offset of the record that says so.
    pub offset: i64,
    /// Time of that record.
    pub time: Timestamp,
}

/// A scan between two attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The scan.
    pub scan_id: String,
    /// The attempt that failed last.
    pub attempt: u32,
    /// Attempts that counted.
    pub counted: u32,
    /// Not before.
    pub retry_at: Timestamp,
    /// Offset of the oldest record that its attempts rest on.
    pub begun: i64,
}

/// A device rests.
#[derive(Debug, Clone, PartialEq)]
pub struct Cooldown {
    /// Until then.
    pub until: Timestamp,
    /// The scan that set it; a `Full` may pass what a `Quick` set.
    pub scan_type: ScanType,
    /// Offset of the record that set it.
    pub offset: i64,
    /// Time of that record.
    pub time: Timestamp,
}

/// A scan that was intended.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// The device.
    pub device: DeviceRef,
    /// Latest attempt.
    pub attempt: u32,
    /// Attempts that counted so far.
    pub counted: u32,
    /// Quick or Full; the scope of the running action once that is known.
    pub scan_type: ScanType,
    /// Highest priority of its requests.
    pub priority: u8,
    /// Comment of the call.
    pub comment: String,
    /// Rules that asked.
    pub rule_ids: Vec<String>,
    /// Longest cooldown of the requests, as it has grown.
    pub cooldown: Duration,
    /// How often in a row it has grown.
    pub cooldown_step: u32,
    /// How long after its end it still grows with the next scan.
    pub cooldown_grows_for: Option<Duration>,
    /// Requests it was started for.
    pub requests: Vec<String>,
    /// Requests that joined it.
    pub joined: Vec<String>,
    /// Offset of the oldest record that its attempts rest on: the first of the requests they covered.
    pub begun: i64,
    /// Where it stands.
    pub phase: Phase,
}

impl Scan {
    /// When the latest attempt was intended, while it has no result.
    pub(super) fn begun_at(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Intended { time, .. } => Some(*time),
            Phase::Refused { .. } | Phase::Open { .. } => None,
        }
    }
}

/// Where a scan stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// The attempt has no result yet: about to be called, under way, or in doubt.
    Intended {
        /// Ownership under which it was intended.
        claim: String,
        /// When.
        time: Timestamp,
        /// When a list may resolve it.
        resolve_after: Timestamp,
    },
    /// Ended for good; the terminal record is still to come.
    Refused {
        /// Why.
        reason: FailedReason,
        /// What happened.
        detail: Option<String>,
        /// Defender does not know the device or cannot scan it: no call for it before.
        unfit_until: Option<Timestamp>,
    },
    /// Accepted or joined: an action runs.
    Open {
        /// The action, where known.
        action: Option<Action>,
        /// When the attempt that was accepted or joined was intended: the action is not older, unless it is foreign.
        since: Timestamp,
        /// Whether the action was somebody else's: it may be much older than `since`.
        foreign: bool,
        /// Followed until then.
        follow_until: Timestamp,
    },
}

/// A call that counts against the quota.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The scan.
    pub scan_id: String,
    /// The attempt.
    pub attempt: u32,
    /// The moment by which the call had certainly arrived.
    pub arrived_by: Timestamp,
    /// Offset of the intent.
    pub offset: i64,
    /// Whose clock said so.
    pub claim: String,
}

/// A device that counts against the blast radius.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    /// Time of the intent.
    pub time: Timestamp,
    /// The scan.
    pub scan_id: String,
    /// The attempt.
    pub attempt: u32,
    /// Machine id.
    pub device_id: String,
    /// Rules that asked.
    pub rule_ids: Vec<String>,
    /// Offset of the intent.
    pub offset: i64,
}

/// A redelivered request: the record at `offset` repeats the one at `first`.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// Time of the repetition.
    pub time: Timestamp,
    /// Its offset.
    pub offset: i64,
    /// Offset of the record it repeats.
    pub first: i64,
}

/// A request or alert that is remembered after its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Time of the `requested` record.
    pub time: Timestamp,
    /// Offset of the `requested` record.
    pub offset: i64,
    /// The request.
    pub request_id: String,
    /// Alert id and machine id.
    pub alert: (String, String),
}

/// The fold of a tenant's ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// How the log began, once read.
    pub genesis: Option<Genesis>,
    /// The latest claim.
    pub claim: Option<String>,
    /// Every claim that was read, with its offset; the one that was in force before has the lowest offset of all.
    pub claims: VecDeque<(i64, String)>,
    /// Latest time of any record.
    pub clock: Option<Timestamp>,
    /// Orders in force.
    pub orders: Orders,
    /// Requests that have not ended.
    pub requests: HashMap<String, Request>,
    /// Devices with anything to remember.
    pub devices: HashMap<String, DeviceState>,
    /// Scans that have not ended.
    pub scans: HashMap<String, Scan>,
    /// Calls that count against the quota, oldest intent first.
    pub slots: VecDeque<Slot>,
    /// Devices that count against the blast radius, oldest first.
    pub reached: VecDeque<Reached>,
    /// No call before this moment, and the offset of the record that says so.
    pub paused_until: Option<(Timestamp, i64)>,
    /// 429s in a row.
    pub rate_limited_in_a_row: u32,
    /// Requests seen lately, open or ended, oldest first.
    pub remembered: VecDeque<Remembered>,
    /// Redelivered requests, oldest first.
    pub repeats: VecDeque<Repeat>,
    /// Ids in `remembered`.
    pub known_requests: HashSet<String>,
    /// Alerts that count towards thresholds.
    pub counts: Counts,
    /// Requests of (alert id, machine id) in `remembered`, in order; not those that failed or repeated another.
    pub known_alerts: HashMap<(String, String), Vec<String>>,
}

impl State {
    /// A state that begins in the middle of a log, under the claim that was in force there.
    #[must_use]
    pub fn starting_under(claim: Option<String>) -> Self {
        let claims = claim.iter().map(|claim| (i64::MIN, claim.clone())).collect();
        Self { claim, claims, ..Self::default() }
    }

    /// The alert references of requests, in the order given; requests that ended are left out.
    #[must_use]
    pub fn alerts_of<'a>(&'a self, requests: impl IntoIterator<Item = &'a String>) -> Vec<AlertRef> {
        requests
            .into_iter()
            .filter_map(|id| self.requests.get(id))
            .flat_map(|request| request.asked.alerts.iter().cloned())
            .collect()
    }

    /// Requests that neither wait at a device nor belong to a scan. Always 0; a metric measures it.
    #[must_use]
    pub fn unaccounted(&self) -> usize {
        let in_scans = self.scans.iter().flat_map(|(scan_id, scan)| {
            scan.requests.iter().chain(&scan.joined).map(move |id| (Some(scan_id.as_str()), id.as_str()))
        });
        let in_queues = self.devices.values().flat_map(|device| &device.queued).map(|id| (None, id.as_str()));
        let held: HashSet<(Option<&str>, &str)> = in_scans.chain(in_queues).collect();
        let lost = |(id, request): &(&String, &Request)| !held.contains(&(request.scan.as_deref(), id.as_str()));
        self.requests.iter().filter(lost).count()
    }

    /// The mode of a request.
    #[must_use]
    pub fn is_live(&self, request_id: &str) -> bool {
        self.requests.get(request_id).is_some_and(|request| request.wants.mode == Mode::Live)
    }

    /// Scan and priority that a request comes to, without what rules ask for whose caps are tripped.
    #[must_use]
    pub fn wanted_by(&self, request: &Request) -> (ScanType, u8) {
        request.wants.without(|rule| self.orders.is_tripped(Some(rule)))
    }

    /// Device caps of the rules that ask for any of these requests, each once.
    #[must_use]
    pub fn limits_of<'a>(&'a self, requests: impl IntoIterator<Item = &'a String>) -> Vec<RuleLimit> {
        let requests: Vec<&Request> = requests.into_iter().filter_map(|id| self.requests.get(id)).collect();
        let any = requests.iter().any(|request| request.wants.asks.is_empty());
        let asking: HashSet<&str> =
            requests.iter().flat_map(|request| &request.wants.asks).map(|ask| ask.rule_id.as_str()).collect();
        let mut limits: Vec<RuleLimit> = Vec::new();
        for limit in requests.iter().flat_map(|request| &request.asked.limits) {
            if (any || asking.contains(limit.rule_id.as_str())) && !limits.contains(limit) {
                limits.push(limit.clone());
            }
        }
        limits
    }
}
