//! Makes a failing history short: leaves out what it fails without.

use crate::model::Plan;
use crate::model::fault::Fault;
use crate::model::input::DEVICES;
use crate::run::play_safely;

/// The smallest plan found that still breaks the same promise.
pub(crate) fn shrink(plan: &Plan, promise: &str) -> Plan {
    let fails = |plan: &Plan| play_safely(plan, false).broken.is_some_and(|broken| broken.promise == promise);
    let mut best = plan.clone();
    loop {
        let before = best.size();
        best = without_steps(best, &fails);
        for fault in Fault::ALL {
            if !best.without.contains(*fault) {
                keep(&mut best, |plan| plan.without = plan.without.with(*fault), &fails);
            }
        }
        for device in 0..DEVICES {
            if !best.no_devices.contains(&device) {
                let leave_out = |plan: &mut Plan| {
                    plan.no_devices.push(device);
                    plan.no_devices.sort_unstable();
                };
                keep(&mut best, leave_out, &fails);
            }
        }
        if best.size() >= before {
            return best;
        }
    }
}

/// Takes a change if the plan fails with it.
fn keep(best: &mut Plan, change: impl FnOnce(&mut Plan), fails: &impl Fn(&Plan) -> bool) -> bool {
    let mut plan = best.clone();
    change(&mut plan);
    let taken = fails(&plan);
    if taken {
        *best = plan;
    }
    taken
}

/// Leaves steps out: the last ones first, then runs of them, of half the length each time.
fn without_steps(mut best: Plan, fails: &impl Fn(&Plan) -> bool) -> Plan {
    while best.steps > 1 {
        let fewer = best.steps * 3 / 4;
        let cut = |plan: &mut Plan| {
            plan.steps = fewer;
            plan.skipped.retain(|step| *step <= fewer);
        };
        if !keep(&mut best, cut, fails) {
            break;
        }
    }
    let mut length = best.steps.div_ceil(2);
    while length > 0 {
        let mut first = 1;
        while first <= best.steps {
            let run = first..=(first + length - 1).min(best.steps);
            first += length;
            if run.clone().all(|step| best.skipped.contains(&step)) {
                continue;
            }
            let leave_out = |plan: &mut Plan| {
                plan.skipped.extend(run);
                plan.skipped.sort_unstable();
                plan.skipped.dedup();
            };
            keep(&mut best, leave_out, fails);
        }
        length /= 2;
    }
    best
}
