//! The last guards before a call: the blast radius, and the protected devices with the look-ups that they need.

use jiff::Timestamp;

use super::Scheduler;
use super::command::Command;
use super::local::LookUp;
use super::protection::Protection;
use super::state::after;
use crate::event::{DeviceRef, EventBody, Failed, FailedReason, Mode, SuppressedReason};

impl Scheduler {
    /// Whether one more distinct device would pass a cap, and which.
    pub(super) fn blast_radius_reached(&self, device_id: &str, requests: &[String], now: Timestamp) -> Option<String> {
        let total = &self.settings.blast_radius;
        let distinct = |per: std::time::Duration, rule: Option<&str>| {
            let mut devices: Vec<&str> = self
                .state
                .reached
                .iter()
                .rev()
                .take_while(|reached| after(reached.time, per) > now)
                .filter(|reached| rule.is_none_or(|rule| reached.rule_ids.iter().any(|id| id == rule)))
                .map(|reached| reached.device_id.as_str())
                .chain(self.local.pending_devices(rule))
                .collect();
            devices.sort_unstable();
            devices.dedup();
            (devices.contains(&device_id), devices.len())
        };
        let reaches =
            |(known, count): (bool, usize), cap: u32| !known && count >= usize::try_from(cap).unwrap_or(usize::MAX);
        if reaches(distinct(total.per, None), total.devices) {
            return Some(format!("{} devices in {:?}, all rules together", total.devices, total.per));
        }
        self.state.limits_of(requests).into_iter().find_map(|limit| {
            let per = std::time::Duration::from_secs(limit.per_seconds);
            reaches(distinct(per, Some(&limit.rule_id)), limit.devices)
                .then(|| format!("rule {} allows {} devices in {per:?}", limit.rule_id, limit.devices))
        })
    }

    /// Whether a protection holds the device back, for now or for good.
    pub(super) fn held_by_protection(
        &mut self,
        device_id: &str,
        device: &DeviceRef,
        ids: &[String],
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mode = if self.mode == Mode::Live && ids.iter().any(|id| self.state.is_live(id)) {
            Mode::Live
        } else {
            Mode::Shadow
        };
        let (reason, detail) = match self.protector.check(device) {
            Protection::Free => return false,
            Protection::Protected(detail) => (SuppressedReason::Protected, detail),
            Protection::Unknown(what) => match self.local.look_ups.get(device_id) {
                Some(LookUp::NotFound(_)) => {
                    self.end_not_found(device_id, device, ids, now, commands);
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

    fn end_not_found(
        &mut self,
        device_id: &str,
        device: &DeviceRef,
        ids: &[String],
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let body = Failed {
            device_unfit_until: None,
            claim: self.claim.clone(),
            scan_id: None,
            request_ids: ids.to_vec(),
            device: device.clone(),
            alerts: self.state.alerts_of(ids),
            reason: FailedReason::DeviceNotFound,
            detail: Some("Defender knows no such machine".to_owned()),
        };
        self.append(now, device_id, EventBody::Failed(body), commands);
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
            device.tags = Some(facts.tags.clone());
        }
        device
    }
}
