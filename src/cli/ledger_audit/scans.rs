//! Scans: what they cover, and how they end.

use std::time::Duration;

use jiff::Timestamp;

use super::lane::{Key, Lane, Place, key};
use super::violation::ViolationCode;
use crate::event::{DeviceRef, Failed, Finished, Joined, Outcome};

/// Where a scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The latest attempt has no result.
    Calling,
    /// The latest attempt failed or was withdrawn; another may follow.
    Retrying,
    /// The latest attempt failed for good; the terminal record is to come.
    Refused,
    /// An action runs.
    Running,
    /// Over.
    Ended,
}

/// A scan that the log names.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) device: Key,
    pub(super) phase: Phase,
    pub(super) attempt: u32,
    /// Offset of the latest intent, or of the record that took its place.
    pub(super) offset: i64,
    /// The kill switch in force at the latest intent.
    pub(super) halted: Option<i64>,
    /// A silence that the last look before the latest attempt's call must have seen.
    pub(super) silenced: Option<i64>,
    /// The rest that the latest intent says.
    pub(super) rest: Option<Duration>,
    /// The latest attempt among the lane's calls.
    pub(super) call: Option<usize>,
    pub(super) requests: Vec<Key>,
    pub(super) joined: Vec<Key>,
    /// When the action was accepted or joined, and the record that says so.
    pub(super) begun: Option<(Timestamp, i64)>,
    pub(super) accepted: bool,
    pub(super) action: Option<Key>,
    /// Some attempt's fate was given up as unknown.
    pub(super) in_doubt: bool,
    /// Identity of the record that ended it.
    ended_by: u64,
    /// Its beginning is older than the log that is left: which requests it covers is not known.
    trusted: bool,
}

impl Lane {
    /// Gives a scan's requests back to wait for another attempt.
    pub(super) fn give_back(&mut self, scan_id: &str) {
        let Some(scan) = self.scans.get_mut(scan_id) else { return };
        scan.phase = Phase::Retrying;
        let (device, requests) = (scan.device, std::mem::take(&mut scan.requests));
        self.free(device, scan_id);
        for request in requests {
            if let Some(open) = self.requests.get_mut(&request).and_then(|request| request.open.as_mut()) {
                open.scan = None;
            }
        }
    }

    pub(super) fn free(&mut self, device: Key, scan_id: &str) {
        if let Some(device) = self.devices.get_mut(&device)
            && device.scan.as_deref() == Some(scan_id)
        {
            device.scan = None;
        }
    }

    /// A scan whose intent is older than the log that is left.
    pub(super) fn adopt(
        &mut self,
        scan_id: &str,
        attempt: u32,
        device: &DeviceRef,
        requests: &[String],
        place: &Place<'_>,
    ) {
        for id in requests {
            self.trust(id, device, place);
            if let Some(open) = self.requests.get_mut(&key(id)).and_then(|request| request.open.as_mut()) {
                open.scan = Some(scan_id.into());
            }
        }
        self.device(&device.id).scan = Some(scan_id.into());
        let requests = requests.iter().map(|id| key(id)).collect();
        let scan = Scan { attempt, offset: place.offset, requests, trusted: true, ..Scan::of(key(&device.id)) };
        self.scans.insert(scan_id.into(), scan);
    }

    /// Requests join a running scan without a call.
    pub(super) fn joined_running(&mut self, body: &Joined, place: &mut Place<'_>) {
        let Joined { scan_id, .. } = body;
        if !self.counts_under(&body.claim) {
            return;
        }
        self.show_alive(&body.request_ids, place);
        if !self.scans.contains_key(&**scan_id) && !self.complete {
            self.adopt(scan_id, 1, &body.device, &[], place);
            if let Some(scan) = self.scans.get_mut(&**scan_id) {
                scan.begin(place);
            }
        }
        let running = self.scans.get(&**scan_id).filter(|scan| scan.phase == Phase::Running);
        let Some(scan) = running else {
            let before: Vec<i64> = self.scans.get(&**scan_id).map(|scan| scan.offset).into_iter().collect();
            return self.violation(ViolationCode::JoinedWithoutScan, &before, place, || {
                format!("requests join scan {scan_id}, which is not running")
            });
        };
        if body.request_ids.iter().all(|id| scan.joined.contains(&key(id))) {
            place.repeated = true;
            return;
        }
        for id in &body.request_ids {
            if !self.complete {
                self.trust(id, &body.device, place);
            }
            let open = self.requests.get_mut(&key(id)).and_then(|request| request.open.as_mut());
            let free = open.filter(|open| open.scan.is_none());
            if let (Some(open), Some(scan)) = (free, self.scans.get_mut(&**scan_id)) {
                open.scan = Some(scan_id.as_str().into());
                scan.joined.push(key(id));
            } else {
                self.violation(ViolationCode::RequestNotOfScan, &[], place, || {
                    format!("request {id} joins scan {scan_id}, and does not wait for one")
                });
            }
        }
    }

    /// A record about a scan must name the requests that its intent covers.
    pub(super) fn same_requests(&self, scan_id: &str, named: &[String], place: &mut Place<'_>) {
        let requests = self.scans.get(scan_id).map(|scan| scan.requests.clone()).unwrap_or_default();
        self.compare(scan_id, &requests, named, place);
    }

    fn compare(&self, scan_id: &str, requests: &[Key], named: &[String], place: &mut Place<'_>) {
        let named_keys: std::collections::HashSet<Key> = named.iter().map(|id| key(id)).collect();
        let requests_of_scan: std::collections::HashSet<Key> = requests.iter().copied().collect();
        let offset: Vec<i64> = self.scans.get(scan_id).map(|scan| scan.offset).into_iter().collect();
        for request in requests.iter().filter(|request| !named_keys.contains(request)) {
            let name = self.name_of(*request);
            self.violation(ViolationCode::RequestForgotten, &offset, place, || {
                format!("scan {scan_id} covers request {name}, which is not named as it should be")
            });
        }
        for id in named.iter().filter(|id| !requests_of_scan.contains(&key(id))) {
            self.violation(ViolationCode::RequestNotOfScan, &offset, place, || {
                format!("request {id} is named, and scan {scan_id} does not cover it in this way")
            });
        }
    }

    /// The terminal record of a scan that was refused.
    pub(super) fn scan_failed(&mut self, scan_id: &str, body: &Failed, place: &mut Place<'_>) {
        let Some(scan) = self.scans.get(scan_id) else {
            if self.complete {
                self.violation(ViolationCode::FinishedWithoutScan, &[], place, || {
                    format!("scan {scan_id} fails and was never intended")
                });
            }
            return;
        };
        let (phase, offset) = (scan.phase, scan.offset);
        match phase {
            Phase::Ended => return,
            Phase::Refused | Phase::Retrying => {}
            Phase::Calling | Phase::Running => {
                self.violation(ViolationCode::TerminalInsideScan, &[offset], place, || {
                    format!("scan {scan_id} fails while its fate is open")
                });
            }
        }
        if phase != Phase::Retrying && !scan.trusted {
            let covered: Vec<Key> = scan.requests.iter().chain(&scan.joined).copied().collect();
            self.compare(scan_id, &covered, &body.request_ids, place);
        }
        self.close(scan_id, place);
    }

    fn close(&mut self, scan_id: &str, place: &Place<'_>) {
        let Some(scan) = self.scans.get_mut(scan_id) else { return };
        scan.phase = Phase::Ended;
        scan.ended_by = place.identity;
        (scan.requests, scan.joined) = (Vec::new(), Vec::new());
        let device = scan.device;
        self.free(device, scan_id);
    }

    pub(super) fn finished(&mut self, body: &Finished, place: &mut Place<'_>) {
        let Finished { scan_id, .. } = body;
        if !self.counts_under(&body.claim) {
            return;
        }
        match self.scans.get(&**scan_id) {
            Some(scan) if scan.phase == Phase::Ended && scan.ended_by == place.identity => {
                place.repeated = true;
                return;
            }
            Some(scan) if scan.phase == Phase::Running => {
                let begun = scan.begun.filter(|(begun, _)| {
                    let tolerance = place.options.clock_tolerance;
                    place.time.saturating_add(tolerance).is_ok_and(|latest| latest < *begun)
                });
                let ended = place.time;
                if let Some((begun, offset)) = begun {
                    self.violation(ViolationCode::TimesReversed, &[offset], place, || {
                        format!("scan {scan_id} ended at {ended} and began at {begun}")
                    });
                }
            }
            scan if scan.is_some() || self.complete => {
                let before: Vec<i64> = scan.map(|scan| scan.offset).into_iter().collect();
                self.violation(ViolationCode::FinishedWithoutScan, &before, place, || {
                    format!("scan {scan_id} ends, and was not running")
                });
            }
            _ => {
                self.adopt(scan_id, 1, &body.device, &body.request_ids, place);
                let joined: Vec<String> = body.joined_request_ids.clone();
                joined.iter().for_each(|id| self.trust(id, &body.device, place));
                if let Some(scan) = self.scans.get_mut(&**scan_id) {
                    scan.joined = joined.iter().map(|id| key(id)).collect();
                }
            }
        }
        if let Some(scan) = self.scans.get(&**scan_id).filter(|scan| scan.begun.is_some() && !scan.trusted) {
            let (requests, joined) = (scan.requests.clone(), scan.joined.clone());
            self.compare(scan_id, &requests, &body.request_ids, place);
            self.compare(scan_id, &joined, &body.joined_request_ids, place);
        }
        self.check_rest(scan_id, body.cooldown_until, place);
        let device = self.device(&body.device.id);
        device.rests(body.scan_type, body.cooldown_until, place.offset);
        device.ended(body, place.time);
        let failed = body.status.failed_reason().map(Outcome::Failed);
        for id in &body.request_ids {
            self.end(id, &body.device, failed.unwrap_or(Outcome::Scanned), Some(scan_id), place);
        }
        for id in &body.joined_request_ids {
            self.end(id, &body.device, failed.unwrap_or(Outcome::Joined), Some(scan_id), place);
        }
        self.close(scan_id, place);
    }
}

impl Scan {
    pub(super) fn of(device: Key) -> Self {
        Self {
            device,
            phase: Phase::Calling,
            attempt: 1,
            offset: -1,
            halted: None,
            silenced: None,
            rest: None,
            call: None,
            requests: Vec::new(),
            joined: Vec::new(),
            begun: None,
            accepted: false,
            action: None,
            in_doubt: false,
            ended_by: 0,
            trusted: false,
        }
    }

    pub(super) fn begin(&mut self, place: &Place<'_>) {
        self.begun = Some((place.time, place.offset));
        self.phase = Phase::Running;
    }
}
