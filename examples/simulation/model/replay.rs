//! A fold of the scheduler that begins in the middle of the log knows what one from the beginning knows. The only check
//! that looks inside.

use std::time::Duration;

use jiff::Timestamp;

use super::hardness::Hardness;
use super::scheduler::{Cooldown, State};

pub(crate) fn offset(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// What of two folds must be the same at `now`, wherever each began. Rests, slots, reached devices and pauses that are
/// over by then may be missing.
pub(crate) fn difference(hardness: &Hardness, now: Timestamp, whole: &State, part: &State) -> Option<String> {
    let settings = &hardness.settings;
    let after = |time: Timestamp, length: Duration| time.saturating_add(length).unwrap_or(Timestamp::MAX);
    let told = |state: &State| {
        let mut lines = vec![
            format!("claim {:?}", state.claim),
            format!("halted {}", state.orders.halted.is_some()),
            format!("paused {:?}", state.paused_until.map(|(until, _)| until).filter(|until| *until > now)),
        ];
        lines.extend(state.requests.iter().map(|(id, request)| format!("request {id} {request:?}")));
        lines.extend(state.scans.iter().map(|(id, scan)| format!("scan {id} {scan:?}")));
        lines.extend(state.known_requests.iter().map(|id| format!("known {id}")));
        for slot in state.slots.iter().filter(|slot| after(slot.arrived_by, settings.quota.hour_window) > now) {
            lines.push(format!("slot {} {} {}", slot.scan_id, slot.attempt, slot.arrived_by));
        }
        for reached in state.reached.iter().filter(|reached| after(reached.time, settings.blast_radius.per) > now) {
            lines.push(format!("reached {} {} {:?}", reached.time, reached.device_id, reached.rule_ids));
        }
        for (id, device) in &state.devices {
            let rests = |rest: &Option<Cooldown>| {
                rest.as_ref().filter(|rest| rest.until > now).map(|rest| (rest.until, rest.scan_type))
            };
            let line =
                (&device.queued, &device.scan, &device.retry, rests(&device.cooldown), rests(&device.shadow_cooldown));
            if *device != Default::default() && line != (&Default::default(), &None, &None, None, None) {
                lines.push(format!("device {id} {line:?}"));
            }
        }
        lines.sort_unstable();
        lines
    };
    let (whole, part) = (told(whole), told(part));
    let missing: Vec<_> = whole.iter().filter(|line| !part.contains(line)).collect();
    let extra: Vec<_> = part.iter().filter(|line| !whole.contains(line)).collect();
    (!missing.is_empty() || !extra.is_empty()).then(|| format!("missing {missing:#?}, extra {extra:#?}"))
}
