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
        lines.extend(state.orders.tripped.keys().map(|cap| format!("tripped {cap:?}")));
        let silences = state.orders.silences.values().map(|(silence, _)| silence);
        lines.extend(silences.filter(|silence| silence.ends_at > now).map(|silence| format!("silence {silence:?}")));
        lines.extend(state.requests.iter().map(|(id, request)| format!("request {id} {request:?}")));
        lines.extend(state.scans.iter().map(|(id, scan)| format!("scan {id} {scan:?}")));
        lines.extend(state.known_requests.iter().map(|id| format!("known {id}")));
        for slot in state.slots.iter().filter(|slot| after(slot.arrived_by, settings.quota.hour_window) > now) {
            lines.push(format!("slot {} {} {}", slot.scan_id, slot.attempt, slot.arrived_by));
        }
        for reached in state.reached.iter().filter(|reached| after(reached.time, settings.blast_radius.per) > now) {
            let rules = reached.rule_ids.iter().cloned().map(Some).chain([None]);
            let begin =
                |cap: &Option<String>| state.orders.rearmed.get(cap).is_none_or(|order| order.offset < reached.offset);
            let counts: Vec<_> = rules.filter(begin).collect();
            lines.push(format!("reached {} {} {counts:?}", reached.time, reached.device_id));
        }
        for (id, device) in &state.devices {
            let rests = |rest: &Option<Cooldown>| {
                rest.as_ref().filter(|rest| rest.until > now).map(|rest| (rest.until, rest.scan_type))
            };
            let unfit =
                device.unfit.as_ref().filter(|unfit| unfit.until > now).map(|unfit| (unfit.reason, unfit.until));
            let row = device.row.as_ref().filter(|row| row.until > now).map(|row| (row.step, row.until));
            let ended = device.ended.iter().filter(|scan| scan.until > now);
            let ended: Vec<_> = ended.map(|scan| (scan.began_at, scan.ended_at, scan.scan_type)).collect();
            if unfit.is_some() || row.is_some() || !ended.is_empty() {
                lines.push(format!("device {id} unfit {unfit:?}, row {row:?}, ended {ended:?}"));
            }
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
