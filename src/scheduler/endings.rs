//! How requests end, and the rest that a scan leaves to its device.

use jiff::Timestamp;

use super::state::{Cooldown, Request, State};
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

    pub(super) fn end_queued(&mut self, request_ids: &[String], failed: bool) -> bool {
        let mut changed = false;
        for id in request_ids {
            if !self.unqueue(id) {
                continue;
            }
            changed = true;
            let Some(request) = self.requests.remove(id) else { continue };
            if failed {
                self.forget_alert(id, &request);
            }
            if let Some(device) = self.devices.get_mut(&request.asked.device.id)
                && device.queued.is_empty()
            {
                // With nothing left to scan for, the attempts before do not matter any more.
                device.retry = None;
            }
        }
        changed
    }

    pub(super) fn end<'a>(&mut self, request_ids: impl Iterator<Item = &'a String>, failed: bool) {
        for id in request_ids {
            if let Some(request) = self.requests.remove(id)
                && failed
            {
                self.forget_alert(id, &request);
            }
        }
    }

    /// After a failure, the same alert may ask again.
    fn forget_alert(&mut self, request_id: &str, request: &Request) {
        let Some(alert) = request.asked.alerts.first() else { return };
        let key = (alert.id.clone(), request.asked.device.id.clone());
        if self.known_alerts.get(&key).is_some_and(|first| first == request_id) {
            self.known_alerts.remove(&key);
            // One that came meanwhile asks in its place, and is known in its stead.
            let waiting = self.devices.get(&request.asked.device.id).into_iter().flat_map(|device| &device.queued);
            let same = waiting.filter_map(|id| Some((id, self.requests.get(id)?)));
            let same = same.filter(|(_, other)| other.asked.alerts.first().is_some_and(|other| other.id == alert.id));
            if let Some((next, _)) = same.min_by_key(|(_, other)| other.offset) {
                self.known_alerts.insert(key, next.clone());
            }
        }
    }
}
