//! Alerts that were raised while a scan was running: most of them because of it.
//!
//! A scan finds something, Defender raises an alert for it, and the rules ask for a scan: without this guard and the rest
//! of the device, that would go on for ever.

use std::time::Duration;

use jiff::Timestamp;

use super::state::{MEMORY, Request, State, after};
use crate::event::{Finished, FinishedStatus, ScanType};

/// Ended scans that are remembered for one device, at most.
const PER_DEVICE: usize = 8;

/// Longest time for which one is remembered; most alerts are too old by then. Constant, because the fold must not depend
/// on configuration.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A scan that ended with success, and what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedScan {
    /// When it began, as far as we know.
    pub began_at: Timestamp,
    /// When we learned that it had ended.
    pub ended_at: Timestamp,
    /// Quick or Full.
    pub scan_type: ScanType,
    /// Remembered until then: for as long as the device rests, but an hour at least and a day at most.
    pub until: Timestamp,
    /// Offset of the record.
    pub offset: i64,
}

impl State {
    /// Remembers what a scan covered. One that failed, was cancelled or timed out covered nothing.
    pub(super) fn remember_ended(&mut self, offset: i64, time: Timestamp, finished: &Finished) {
        let Some(began_at) = finished.began_at.filter(|_| finished.status == FinishedStatus::Succeeded) else { return };
        let clock = self.clock.unwrap_or(time);
        let scans = &mut self.devices.entry(finished.device.id.clone()).or_default().ended;
        scans.retain(|scan| scan.until > clock);
        if scans.len() >= PER_DEVICE {
            scans.remove(0);
        }
        let until = finished.cooldown_until.clamp(after(time, MEMORY), after(time, LONGEST));
        scans.push(EndedScan { began_at, ended_at: time, scan_type: finished.scan_type, until, offset });
    }

    /// The ended scan that was running when the request's alert was raised and that covers what it asks for.
    pub(super) fn covering_scan(&self, request: &Request, now: Timestamp) -> Option<&EndedScan> {
        let raised = request.asked.alert_created_at?;
        let (wanted, _) = self.wanted_by(request);
        self.devices.get(&request.asked.device.id)?.ended.iter().find(|scan| {
            scan.until > now && scan.began_at <= raised && raised <= scan.ended_at && wanted <= scan.scan_type
        })
    }
}

/// What a `suppressed` record says of such a scan.
pub(super) fn told(scan: &EndedScan) -> String {
    format!("raised while a {} scan was running, from {} to {}", scan.scan_type, scan.began_at, scan.ended_at)
}
