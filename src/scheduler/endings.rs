//! How requests end, and the rest that a scan leaves to its device.

use jiff::Timestamp;

use super::state::{Cooldown, State};
use crate::event::ScanType;

impl State {
    pub(super) fn rest(
        &mut self,
        device_id: &str,
        until: Timestamp,
        scan_type: ScanType,
        offset: i64,
        time: Timestamp,
    ) {
        let clock = self.clock.unwrap_or(time);
        let device = self.devices.entry(device_id.to_owned()).or_default();
        let new = Cooldown { until, scan_type, offset, time };
        // Of two rests the longer holds, and the wider scan; then both records are needed to tell.
        device.cooldown = Some(match device.cooldown.take().filter(|old| old.until > clock) {
            Some(old) => Cooldown {
                until: old.until.max(until),
                scan_type: old.scan_type.max(scan_type),
                offset: old.offset.min(offset),
                time: old.time.min(time),
            },
            None => new,
        });
    }

    /// Takes a request off its device's queue; false if it did not wait there.
    pub(super) fn unqueue(&mut self, request_id: &str) -> bool {
        let Some(request) = self.requests.get(request_id) else { return false };
        self.devices.get_mut(&request.asked.device.id).is_some_and(|device| device.queued.remove(request_id))
    }

    /// Requests that waited end; `may_come_again` as in [`Self::end`].
    pub(super) fn end_queued(&mut self, request_ids: &[String], may_come_again: bool) -> bool {
        let mut changed = false;
        for id in request_ids {
            if !self.unqueue(id) {
                continue;
            }
            changed = true;
            let Some(device_id) = self.requests.get(id).map(|request| request.asked.device.id.clone()) else {
                continue;
            };
            self.end([id].into_iter(), may_come_again);
            if let Some(device) = self.devices.get_mut(&device_id)
                && device.queued.is_empty()
            {
                // With nothing left to scan for, the attempts before do not matter any more.
                device.retry = None;
            }
        }
        changed
    }

    /// Requests end. After a failure the same alert may ask again, and one that repeated another stands for nothing.
    pub(super) fn end<'a>(&mut self, request_ids: impl Iterator<Item = &'a String>, may_come_again: bool) {
        for id in request_ids {
            let Some(request) = self.requests.remove(id).filter(|_| may_come_again) else { continue };
            if let Some(alert) = request.asked.alerts.first() {
                self.forget_alert((alert.id.clone(), request.asked.device.id), id);
            }
        }
    }
}
