//! What stands between a decision and a scan: everything that the configuration knows, and what the ledger remembers.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::production;
use crate::alert::{Alert, Device};
use crate::config::Config;
use crate::event::{DeviceRef, EventBody, Mode, Requested};
use crate::rules::RuleSet;
use crate::scheduler::{Protection, Protector, State};
use crate::worker::Decider;

/// What one guard says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// Its name: `device`, `mode`, `kill_switch`, `age`, `cooldown`, `duplicate`, `active_time`, `threshold`, `limit`,
    /// `protected`, `silences` or `open_scan`.
    pub guard: &'static str,
    /// What it would do.
    pub verdict: Verdict,
    /// What it looked at.
    pub detail: String,
}

/// What a guard would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let it through.
    Passes,
    /// Stop it, or hold it back.
    Stops,
    /// It cannot be told from what is at hand.
    Unknown,
}

/// Everything there is to ask.
pub struct Surroundings<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// What the ledger folded to, where it was read.
    pub state: Option<&'c State>,
}

impl Surroundings<'_> {
    /// Every guard in the order of production, for one alert and device. Without a request the guards behind have nothing
    /// to look at.
    #[must_use]
    pub fn guards(&self, rules: &Arc<RuleSet>, alert: &Alert, device: Option<&Device>, now: Timestamp) -> Vec<Guard> {
        let decider = Decider {
            rules: Arc::clone(rules),
            options: self.config.alerts.options(false),
            tenant: self.config.defender.tenant_id.clone(),
            mode: self.config.mode,
            topic: self.config.kafka.alerts_topic.clone(),
        };
        let decision = production::decide(&decider, alert, device, now);
        if let Some(reason) = decision.skipped.first() {
            return vec![stops("intake", format!("skipped: {reason}"))];
        }
        let requested = decision.requested.into_iter().find_map(|event| match event.body {
            EventBody::Requested(body) => Some(body),
            _ => None,
        });
        let Some(asked) = requested else {
            return vec![stops("intake", "the response could not be built".to_owned())];
        };
        let mut guards = self.of_the_configuration(&asked, now);
        match self.state {
            Some(state) => guards.extend(of_the_ledger(&asked, state, now)),
            None => {
                let detail =
                    "cooldown, duplicates, open scans, silences and tripped caps are in the ledger: ask with --ledger";
                guards.push(unknown("ledger", detail.to_owned()));
            }
        }
        guards
    }

    fn of_the_configuration(&self, asked: &Requested, now: Timestamp) -> Vec<Guard> {
        let mut guards = Vec::new();
        let told =
            |holds: bool, guard, detail: String| if holds { passes(guard, detail) } else { stops(guard, detail) };
        guards.push(match (self.config.mode, asked.mode) {
            (Mode::Shadow, _) => stops("mode", "the worker is in shadow (`mode`): recorded, not sent".to_owned()),
            (Mode::Live, Mode::Shadow) => stops("mode", "every rule that matches is in shadow".to_owned()),
            (Mode::Live, Mode::Live) => passes("mode", "worker and rule are live".to_owned()),
        });
        let halted = self.config.halted;
        guards.push(told(!halted, "kill_switch", format!("`halted` is {halted} in the configuration")));
        guards.push(told(now < asked.expires_at, "age", format!("worth a scan until {:.0}", asked.expires_at)));
        if let Some(times) = &asked.terms.outside_active_time {
            guards.push(stops("active_time", format!("outside of {times}")));
        }
        for threshold in &asked.terms.thresholds {
            let (count, seconds) = (threshold.at_least, threshold.within_seconds);
            let detail =
                format!("{}: {count} within {seconds}s asks for a {} scan", threshold.rule_id, threshold.scan_type);
            let waits = asked.terms.awaits_threshold && count > 1;
            guards.push(if waits { unknown("threshold", detail) } else { passes("threshold", detail) });
        }
        let total = &self.config.scheduler.blast_radius;
        guards.push(unknown("limit", format!("{} devices in {:?}, all rules together", total.devices, total.per)));
        for limit in &asked.limits {
            let detail = format!("{} devices in {}s by rule {}", limit.devices, limit.per_seconds, limit.rule_id);
            guards.push(unknown("limit", detail));
        }
        guards.push(protected(&Protector::new(&self.config.scheduler.protected), &asked.device));
        guards
    }
}

fn protected(protector: &Protector, device: &DeviceRef) -> Guard {
    match protector.check(device) {
        Protection::Free => passes("protected", "no protection of the configuration matches".to_owned()),
        Protection::Protected(detail) => stops("protected", detail),
        Protection::Unknown(what) => {
            unknown("protected", format!("the alert does not tell the device's {what}; it would be looked up"))
        }
    }
}

fn of_the_ledger(asked: &Requested, state: &State, now: Timestamp) -> Vec<Guard> {
    let mut guards = Vec::new();
    if state.orders.halted.is_some() {
        guards.push(stops("kill_switch", "pulled by an order in the ledger".to_owned()));
    }
    let device = state.devices.get(&asked.device.id);
    let rest = device.and_then(|device| device.cooldown.as_ref()).filter(|rest| rest.until > now);
    guards.push(match rest {
        Some(rest) if asked.scan_type > rest.scan_type => passes(
            "cooldown",
            format!("the device rests until {:.0}, and a Full scan may pass what a Quick one set", rest.until),
        ),
        Some(rest) => {
            stops("cooldown", format!("the device rests until {:.0} after a {} scan", rest.until, rest.scan_type))
        }
        None => passes("cooldown", "the device does not rest".to_owned()),
    });
    let key = asked.alerts.first().map(|alert| (alert.id.clone(), asked.device.id.clone()));
    if let Some(request) = key.and_then(|key| state.first_of_alert(&key)) {
        guards.push(stops("duplicate", format!("request {request} asked for the same alert and device")));
    }
    let open = device.and_then(|device| device.scan.as_ref()).and_then(|scan| Some((scan, state.scans.get(scan)?)));
    if let Some((id, scan)) = open {
        let joins = if scan.scan_type >= asked.scan_type { "it joins" } else { "it waits for the end of" };
        guards.push(stops("open_scan", format!("{joins} the {} scan {id}", scan.scan_type)));
    }
    for rule in state.orders.tripped.keys() {
        let concerns = rule.as_ref().is_none_or(|rule| asked.rule_ids.contains(rule));
        if concerns {
            let rule = rule.as_deref().unwrap_or("all rules together");
            guards.push(stops("limit", format!("tripped: {rule}")));
        }
    }
    let in_force = state.orders.silences.values().map(|(silence, _)| silence);
    for silence in in_force.filter(|silence| silence.starts_at <= now && now < silence.ends_at) {
        let matchers = silence.matchers.iter().map(|matcher| format!("{}={}", matcher.field, matcher.value));
        let matchers = matchers.collect::<Vec<_>>().join(", ");
        guards.push(unknown("silences", format!("{} until {:.0}, where {matchers}", silence.id, silence.ends_at)));
    }
    guards
}

const fn passes(guard: &'static str, detail: String) -> Guard {
    Guard { guard, verdict: Verdict::Passes, detail }
}

const fn stops(guard: &'static str, detail: String) -> Guard {
    Guard { guard, verdict: Verdict::Stops, detail }
}

const fn unknown(guard: &'static str, detail: String) -> Guard {
    Guard { guard, verdict: Verdict::Unknown, detail }
}
