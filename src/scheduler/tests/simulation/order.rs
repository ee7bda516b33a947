//! Order under scarcity, told from outside: no scan starts before another that was as ready and more urgent.

use jiff::Timestamp;

use super::event::{EventBody, Mode};
use super::input;
use super::owner::Owner;
use super::scheduler::{Command, Request, State};

/// Checks the intents among what one poll asked for; `on_the_way` are devices with records under way before it.
pub(super) fn check(
    world: &input::World,
    owner: &Owner,
    on_the_way: &[String],
    commands: &[Command],
    clock: Timestamp,
) -> Result<(), String> {
    let bodies = || {
        commands.iter().filter_map(|command| match command {
            Command::Append { body, .. } => Some(&**body),
            Command::Call(_) => None,
        })
    };
    let started: Vec<&str> = bodies()
        .filter_map(|body| match body {
            EventBody::Intent(intent) => Some(intent.device.id.as_str()),
            _ => None,
        })
        .collect();
    let Some(last) = started.last() else { return Ok(()) };
    let scores: Vec<f64> = started.iter().map(|device| standing(world, owner, device, clock).0).collect();
    if scores.windows(2).any(|pair| pair[0] + 0.01 < pair[1]) {
        return Err(format!("scans start out of order: {scores:?}"));
    }
    let (lowest, urgent) = standing(world, owner, last, clock);
    let touched: Vec<&str> = bodies().filter_map(|body| body.device().map(|device| device.id.as_str())).collect();
    for (id, device) in &owner.scheduler.state().devices {
        let busy = device.scan.is_some() || on_the_way.contains(id) || touched.contains(&id.as_str());
        let waits = device.retry.as_ref().is_some_and(|retry| retry.retry_at > clock);
        if busy || waits || input::needs_look_up(id) || !ready(world, owner, id, clock) {
            continue;
        }
        let (score, is_urgent) = standing(world, owner, id, clock);
        // An urgent one may use the reserve where an ordinary one may not.
        if score > lowest + 0.01 && (is_urgent || !urgent) {
            return Err(format!("{last} of {lowest} starts before {id} of {score}, which was ready"));
        }
    }
    Ok(())
}

/// Whether a device has live requests that have waited for company long enough.
fn ready(world: &input::World, owner: &Owner, id: &str, clock: Timestamp) -> bool {
    let state = owner.scheduler.state();
    let Some(device) = state.devices.get(id) else { return false };
    let live = device.queued.iter().filter_map(|id| state.requests.get(id)).filter(|r| is_live(state, r));
    let first = live.map(|request| request.requested_at).min();
    let window = world.settings.merge_window;
    device.retry.is_some() || first.is_some_and(|first| first.saturating_add(window).is_ok_and(|due| due <= clock))
}

/// Whether neither the request nor a tripped cap is in the way of a call.
fn is_live(state: &State, request: &Request) -> bool {
    let tripped = |rule: Option<&str>| state.orders.is_tripped(rule);
    let rules = &request.asked.rule_ids;
    request.asked.mode == Mode::Live && !tripped(None) && rules.iter().any(|rule| !tripped(Some(rule)))
}

/// Priority with ageing, and whether it may use the reserve.
fn standing(world: &input::World, owner: &Owner, id: &str, clock: Timestamp) -> (f64, bool) {
    let state = owner.scheduler.state();
    let queued = state.devices.get(id).map(|device| device.queued.iter().collect::<Vec<_>>()).unwrap_or_default();
    let live = queued.iter().filter_map(|id| state.requests.get(*id)).filter(|r| is_live(state, r));
    let live: Vec<_> = live.collect();
    let priority = live.iter().map(|request| request.asked.priority).max().unwrap_or(0);
    let first = live.iter().map(|request| request.requested_at).min().unwrap_or(clock);
    let hours = clock.duration_since(first).as_secs_f64() / 3600.0;
    let score = f64::from(priority) + hours * f64::from(world.settings.ageing_points_per_hour);
    (score, priority >= world.settings.quota.reserve_priority)
}
