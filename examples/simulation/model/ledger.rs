//! The ledger as a reader outside sees it: a small fold of its own, which shares nothing with the scheduler's.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::counts::{Counts, Wanted};
use super::event::{Intent, Requested, ScanType};
use super::input::DEVICES;
use super::orders::Orders;

/// A request that landed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) asked: Requested,
    /// What it comes to by the counts of its device.
    pub(crate) wants: Wanted,
    pub(crate) time: Timestamp,
    /// Terminal records that name it and count.
    pub(crate) ended: u32,
    /// It failed, or repeated another: it is no reason to hold the same alert back.
    pub(crate) may_come_again: bool,
}

/// A device rests until then, unless a wider scan is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(crate) until: Timestamp,
    pub(crate) scan_type: ScanType,
    /// Position of the record that says so.
    pub(crate) position: usize,
}

/// Between two attempts of a scan.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    pub(crate) scan_id: String,
    pub(crate) attempt: u32,
    pub(crate) retry_at: Timestamp,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    /// Requests that wait.
    pub(crate) waiting: BTreeSet<String>,
    /// The scan that has not ended.
    pub(crate) scan: Option<String>,
    pub(crate) retry: Option<Retry>,
    pub(crate) rests: Vec<Rest>,
    /// It cannot be scanned, and is not asked for until then.
    pub(crate) unfit: Option<Timestamp>,
    /// Scans that ended, oldest first.
    pub(crate) covers: Vec<Covers>,
    /// How often the rest has grown, and until when the next scan makes it grow again.
    pub(crate) row: Option<(u32, Timestamp)>,
}

/// What a scan that ended covers.
#[derive(Debug, Clone)]
pub(crate) struct Covers {
    pub(crate) began_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) scan_type: ScanType,
    pub(crate) until: Timestamp,
}

/// Where a scan's latest attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Intended,
    /// The API accepted it.
    Open,
    /// It joined somebody else's action.
    Foreign,
    /// It joined an action that nobody may look at.
    Unseen,
    /// It failed for good.
    Refused,
    /// Its requests wait again.
    Retry,
    Ended,
}

#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub(crate) device: usize,
    pub(crate) attempt: u32,
    /// Attempts that counted.
    pub(crate) counted: u32,
    pub(crate) stage: Stage,
    /// Nobody learned what became of some attempt.
    pub(crate) unresolved: bool,
    /// The action that a record names.
    pub(crate) action: Option<String>,
    /// What is wanted, then what runs.
    pub(crate) scope: ScanType,
    /// Rest that its requests want, in seconds.
    pub(crate) cooldown: u64,
    /// It is followed until then.
    pub(crate) follow_until: Option<Timestamp>,
    pub(crate) requests: Vec<String>,
}

/// An intent that counts.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) intent: Intent,
    pub(crate) time: Timestamp,
    /// Position of its record.
    pub(crate) position: usize,
    pub(crate) withdrawn: bool,
    pub(crate) launched: bool,
}

/// See the module.
pub(crate) struct Ledger {
    pub(crate) claim: Option<String>,
    pub(crate) asked: HashMap<String, Asked>,
    /// Requests of an alert for a device, in order.
    pub(crate) alerts: HashMap<(String, usize), Vec<String>>,
    pub(crate) open: usize,
    pub(crate) devices: Vec<Device>,
    pub(crate) scans: HashMap<String, Scan>,
    pub(crate) attempts: HashMap<(String, u32), Attempt>,
    /// Attempts in order.
    pub(crate) order: Vec<(String, u32)>,
    /// When the kill switch was pulled.
    pub(crate) halted: Option<Timestamp>,
    pub(crate) orders: Orders,
    pub(crate) counts: Counts,
    /// Records that landed.
    pub(crate) records: usize,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            claim: None,
            asked: HashMap::new(),
            alerts: HashMap::new(),
            open: 0,
            devices: vec![Device::default(); DEVICES],
            scans: HashMap::new(),
            attempts: HashMap::new(),
            order: Vec::new(),
            halted: None,
            orders: Orders::default(),
            counts: Counts::default(),
            records: 0,
        }
    }

    pub(crate) fn in_force(&self, claim: &str) -> bool {
        self.claim.as_deref() == Some(claim)
    }

    /// Whether this attempt is the one that waits for a result.
    pub(crate) fn awaits(&self, scan_id: &str, attempt: u32) -> bool {
        self.scans.get(scan_id).is_some_and(|scan| scan.attempt == attempt && scan.stage == Stage::Intended)
    }

    /// The scan's requests wait again.
    pub(crate) fn requeue(&mut self, scan_id: &str, retry_at: Timestamp) {
        let Some(scan) = self.scans.get_mut(scan_id) else { return };
        scan.stage = Stage::Retry;
        let device = &mut self.devices[scan.device];
        device.scan = None;
        device.retry = Some(Retry { scan_id: scan_id.to_owned(), attempt: scan.attempt, retry_at });
        device.waiting.extend(scan.requests.drain(..));
    }

    pub(crate) fn opens(
        &mut self,
        scan_id: &str,
        stage: Stage,
        action: Option<String>,
        scope: ScanType,
        follow_until: Timestamp,
    ) {
        if let Some(scan) = self.scans.get_mut(scan_id) {
            scan.stage = stage;
            scan.action = action;
            scan.scope = scope;
            scan.follow_until = Some(follow_until);
        }
    }

    pub(crate) fn ends(&mut self, scan_id: &str) {
        if let Some(scan) = self.scans.get_mut(scan_id) {
            scan.stage = Stage::Ended;
            self.devices[scan.device].scan = None;
        }
    }

    pub(crate) fn unfit(&mut self, device: usize, until: Option<Timestamp>) {
        self.devices[device].unfit = self.devices[device].unfit.max(until);
    }

    pub(crate) fn rest(&mut self, device: usize, until: Timestamp, scan_type: ScanType) {
        let position = self.records.saturating_sub(1);
        let rests = &mut self.devices[device].rests;
        rests.retain(|rest| rest.until > until || rest.scan_type > scan_type);
        if rests.iter().all(|rest| rest.until < until || rest.scan_type < scan_type) {
            rests.push(Rest { until, scan_type, position });
        }
    }
}
