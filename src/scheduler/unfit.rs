//! Devices that Defender does not know or cannot scan: they are not asked for again and again.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::command::Command;
use super::state::State;
use crate::event::{AttemptResult, Carried, DeviceRef, EventBody, Failed, FailedReason};

/// A device for which no call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Why its requests fail.
    pub reason: FailedReason,
    /// Until when.
    pub until: Timestamp,
    /// Offset of the record that says so.
    pub offset: i64,
    /// Time of that record.
    pub time: Timestamp,
}

impl State {
    /// Remembers an unfit device, unless it is known to be so for longer; whether it was.
    pub(super) fn remember_unfit(&mut self, device_id: &str, unfit: Unfit) -> bool {
        let device = self.devices.entry(device_id.to_owned()).or_default();
        let news = device.unfit.as_ref().is_none_or(|known| known.until <= unfit.until);
        if news {
            device.unfit = Some(unfit);
        }
        news
    }
}

impl Scheduler {
    /// How long a refusal is remembered; `None` where it says nothing of the device.
    pub(super) fn unfit_memory(&self, result: AttemptResult) -> Option<Duration> {
        let memory = &self.settings.unfit_memory;
        match result {
            AttemptResult::DeviceNotFound => Some(memory.device_not_found),
            AttemptResult::UnsupportedDevice => Some(memory.unsupported_device),
            _ => None,
        }
    }

    /// Ends requests for a device that is known to be unfit; whether it is.
    pub(super) fn end_unfit(
        &mut self,
        device_id: &str,
        ids: &[String],
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) -> bool {
        let Some(device) = self.state.devices.get(device_id) else { return false };
        let Some(unfit) = device.unfit.as_ref().filter(|unfit| unfit.until > now && device.scan.is_none()) else {
            return false;
        };
        let what = match unfit.reason {
            FailedReason::UnsupportedDevice => "Defender cannot scan this device",
            _ => "Defender does not know this device",
        };
        let detail = format!("{what}, as it said at {}; it is not asked again until {}", unfit.time, unfit.until);
        let (device, reason) = (self.device_ref(device_id, ids), unfit.reason);
        self.end_failed(&device, ids, reason, &detail, None, now, commands);
        true
    }

    /// Ends requests that no scan was begun for.
    #[expect(clippy::too_many_arguments, reason = "each is a field of the record")]
    pub(super) fn end_failed(
        &mut self,
        device: &DeviceRef,
        ids: &[String],
        reason: FailedReason,
        detail: &str,
        device_unfit_until: Option<Timestamp>,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        for request_ids in self.portions(ids) {
            let body = Failed {
                device_unfit_until,
                scan_type: None,
                cooldown_until: None,
                claim: self.claim.clone(),
                scan_id: None,
                alerts: self.state.alerts_of(&request_ids),
                request_ids,
                device: device.clone(),
                reason,
                detail: Some(detail.to_owned()),
            };
            self.append(now, &device.id, EventBody::Failed(body), commands);
        }
    }

    /// Unfit devices whose records are older than `old`, to be carried on.
    pub(super) fn unfit_to_carry(&self, old: Timestamp, now: Timestamp) -> Vec<Carried> {
        let mut carried: Vec<Carried> = self
            .state
            .devices
            .iter()
            .filter(|(id, _)| !self.local.is_busy(id))
            .filter_map(|(id, device)| Some((id, device.unfit.as_ref()?)))
            .filter(|(_, unfit)| unfit.until > now && unfit.time < old)
            .map(|(id, unfit)| Carried::DeviceUnfit {
                claim: self.claim.clone(),
                device: DeviceRef { id: id.clone(), ..DeviceRef::default() },
                reason: unfit.reason,
                device_unfit_until: unfit.until,
            })
            .collect();
        // A map's order is not the same twice; a history must be.
        carried.sort_unstable_by(|one, other| one.device().map(|d| &d.id).cmp(&other.device().map(|d| &d.id)));
        carried
    }
}
