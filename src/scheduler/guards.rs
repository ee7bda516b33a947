//! The last guard before a call: the protected devices, with the look-ups that they need.

use jiff::Timestamp;

use super::Scheduler;
use super::command::Command;
use super::local::LookUp;
use super::protection::Protection;
use super::state::after;
use crate::event::{DeviceRef, FailedReason, Mode, SuppressedReason};

impl Scheduler {
    /// Whether a protection holds the device back, for now or for good.
    pub(super) fn held_by_protection(
        &mut self,
        device_id: &str,
        device: &DeviceRef,
        ids: &[String],
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mode = if ids.iter().any(|id| self.acts_live(id)) { Mode::Live } else { Mode::Shadow };
        let (reason, detail) = match self.protection_of(device_id, device) {
            Protection::Free => return false,
            Protection::Protected(detail) => (SuppressedReason::Protected, detail),
            Protection::Unknown(what) => match self.local.look_ups.get(device_id) {
                Some(LookUp::NotFound(_)) => {
                    let until = after(now, self.settings.unfit_memory.device_not_found);
                    let (reason, detail) = (FailedReason::DeviceNotFound, "Defender knows no such machine");
                    self.end_failed(device, ids, reason, detail, Some(until), now, commands);
                    return true;
                }
                // A device in no group has none that could match; one without a name could have any.
                Some(LookUp::Known(..)) if what == "group" => return false,
                Some(LookUp::Known(..) | LookUp::Unknown(_)) => {
                    (SuppressedReason::ProtectionUnknown, format!("the device's {what} cannot be told"))
                }
                Some(LookUp::Wanted(..) | LookUp::InFlight(_)) => return true,
                None if self.local.may_not_read => (
                    SuppressedReason::ProtectionUnknown,
                    format!("the alert does not tell the device's {what}, and the application may not read machines"),
                ),
                None => {
                    self.local.look_ups.insert(device_id.to_owned(), LookUp::Wanted(now, 0));
                    return true;
                }
            },
        };
        self.end_suppressed(device_id, ids.to_vec(), reason, mode, Some(detail), now, commands);
        true
    }

    /// What the protections say about a device: by `device`, and by what any alert of its open requests tells, unless
    /// Defender itself told.
    pub(super) fn protection_of(&self, device_id: &str, device: &DeviceRef) -> Protection {
        let known = matches!(self.local.look_ups.get(device_id), Some(LookUp::Known(..)));
        let state = self.state.devices.get(device_id);
        let waiting = state.into_iter().flat_map(|device| &device.queued);
        let scanned = state.and_then(|device| self.state.scans.get(device.scan.as_ref()?));
        let asking = waiting.chain(scanned.into_iter().flat_map(|scan| &scan.requests)).filter(|_| !known);
        asking
            .filter_map(|id| self.state.requests.get(id))
            .map(|request| self.protector.check(&request.asked.device))
            .find(|protection| matches!(protection, Protection::Protected(_)))
            .unwrap_or_else(|| self.protector.check(device))
    }

    /// All that is known of a device, from its requests and from a look-up.
    pub(super) fn device_ref(&self, device_id: &str, requests: &[String]) -> DeviceRef {
        let mut device = DeviceRef { id: device_id.to_owned(), ..DeviceRef::default() };
        for asked in requests.iter().filter_map(|id| self.state.requests.get(id)).map(|r| &r.asked.device) {
            device.name = device.name.or_else(|| asked.name.clone());
            device.group = device.group.or_else(|| asked.group.clone());
            device.tags = device.tags.or_else(|| asked.tags.clone());
        }
        // What Defender says now beats what an alert said then.
        if let Some(LookUp::Known(_, facts)) = self.local.look_ups.get(device_id) {
            device.name = facts.name.clone().or(device.name);
            device.group = facts.group.clone().or(device.group);
            device.tags = facts.tags.clone().or(device.tags);
        }
        device
    }
}
