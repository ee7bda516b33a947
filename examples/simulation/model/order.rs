//! Order under scarcity, told from outside: no scan starts before another that was as ready and more urgent.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::broken::{Kept, ensure};
use super::event::{Control, ControlAction, EventBody, Mode, ScanEvent};
use super::hardness::Hardness;
use super::input::{self, DEVICES};
use super::ledger::{Asked, Ledger};
use super::owner::Owner;
use super::scheduler::Command;

/// Checks the intents among what one poll asked for; `on_the_way` are devices with records under way before it.
pub(crate) fn check(
    hardness: &Hardness,
    ledger: &Ledger,
    log: &[ScanEvent],
    owner: &Owner,
    on_the_way: &BTreeSet<usize>,
    commands: &[Command],
    clock: Timestamp,
) -> Kept {
    // Decisions of a former owner are void, and what it knows is old.
    if !ledger.in_force(&owner.claim) {
        return Ok(());
    }
    let bodies = || {
        commands.iter().filter_map(|command| match command {
            Command::Append { body, .. } => Some(&**body),
            Command::Call(_) => None,
        })
    };
    let intents = bodies().filter_map(|body| match body {
        EventBody::Intent(intent) => Some(intent),
        _ => None,
    });
    let stands = |asked: &Asked| (ledger.orders.wanted(asked, owner.position).1, asked.time);
    let mut lowest: Option<(f64, bool, usize)> = None;
    for intent in intents {
        let device = input::device_of(&intent.device.id);
        let asked = intent.request_ids.iter().filter_map(|id| ledger.asked.get(id));
        let Some((score, urgent)) = standing(hardness, asked.map(stands), clock) else {
            continue;
        };
        if let Some((before, _, other)) = lowest {
            ensure("order", before + 0.01 >= score, || {
                format!("{other} of {before} starts before {device} of {score}")
            })?;
        }
        lowest = Some((score, urgent, device));
    }
    let Some((lowest, urgent, last)) = lowest else { return Ok(()) };
    // What it has not read yet, it cannot know.
    let unread = log.iter().skip(owner.position).filter_map(|event| device_of(ledger, &event.body));
    let touched: BTreeSet<usize> =
        unread.chain(bodies().filter_map(|body| device_of(ledger, body))).chain(on_the_way.iter().copied()).collect();
    let appended = owner.trips_on_the_way.iter().map(Option::as_ref);
    let trips: BTreeSet<Option<&String>> = appended.chain(bodies().filter_map(trip_of)).collect();
    for number in 0..DEVICES {
        let device = &ledger.devices[number];
        let waits = device.retry.as_ref().is_some_and(|retry| retry.retry_at > clock);
        if device.waiting.is_empty()
            || device.scan.is_some()
            || waits
            || touched.contains(&number)
            || input::needs_look_up(hardness, number)
        {
            continue;
        }
        let asked = device.waiting.iter().filter_map(|id| ledger.asked.get(id));
        let live = asked.filter(|asked| asked.wants.mode == Mode::Live && !ledger.orders.keeps(asked, owner.position));
        // Without the rule they may come to less: they wait for the record that says so.
        if live.clone().flat_map(|asked| &asked.wants.asks).any(|ask| trips.contains(&Some(&ask.rule_id))) {
            continue;
        }
        let waiting = live.clone().map(stands);
        let Some((score, is_urgent)) = standing(hardness, waiting, clock) else { continue };
        let merged = live.clone().any(|asked| {
            let own = asked.asked.terms.merge_window_seconds.map(Duration::from_secs);
            let window = own.unwrap_or(hardness.settings.merge_window);
            asked.time.saturating_add(window).is_ok_and(|due| due <= clock)
        });
        if device.retry.is_none() && !merged {
            continue;
        }
        // An urgent one may use the reserve where an ordinary one may not.
        ensure("order", score <= lowest + 0.01 || (urgent && !is_urgent), || {
            format!("{last} of {lowest} starts before {number} of {score}, which was ready")
        })?;
    }
    Ok(())
}

/// The cap that a record trips.
pub(crate) fn trip_of(body: &EventBody) -> Option<Option<&String>> {
    match body {
        EventBody::Control(Control { control: ControlAction::Tripped { rule_id, .. }, .. }) => Some(rule_id.as_ref()),
        _ => None,
    }
}

pub(crate) fn device_of(ledger: &Ledger, body: &EventBody) -> Option<usize> {
    let told = body.device().map(|device| input::device_of(&device.id));
    told.or_else(|| ledger.scans.get(body.scan_id()?).map(|scan| scan.device))
}

/// Priority with ageing, and whether it may use the reserve.
fn standing(
    hardness: &Hardness,
    asked: impl Iterator<Item = (u8, Timestamp)> + Clone,
    clock: Timestamp,
) -> Option<(f64, bool)> {
    let priority = asked.clone().map(|(priority, _)| priority).max()?;
    let first = asked.map(|(_, time)| time).min()?;
    let hours = clock.duration_since(first).as_secs_f64() / 3600.0;
    let score = f64::from(priority) + hours * f64::from(hardness.settings.ageing_points_per_hour);
    Some((score, priority >= hardness.settings.quota.reserve_priority))
}
