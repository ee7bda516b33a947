//! The blast radius: caps on distinct devices, per rule and in total. A cap that would be passed trips, and its rule is in
//! shadow until somebody re-arms it.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::command::Command;
use super::state::{Request, Scan, after};
use crate::event::{Control, ControlAction, Mode, SuppressedReason};

/// Who trips a cap, in the `control` record.
const AUTHOR: &str = "alert-responder";

/// A cap that one more device would pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reached {
    /// The rule; `None` for the cap on all rules together.
    rule_id: Option<String>,
    devices: u32,
    per: Duration,
}

impl Reached {
    fn told(&self) -> String {
        let per = self.per;
        match &self.rule_id {
            None => format!("{} devices in {per:?}, all rules together", self.devices),
            Some(rule) => format!("rule {rule} allows {} devices in {per:?}", self.devices),
        }
    }
}

impl Scheduler {
    /// Whether a request may press the button: it, the worker and at least one of its rules are live.
    pub(super) fn acts_live(&self, request_id: &str) -> bool {
        self.mode == Mode::Live
            && self.state.requests.get(request_id).is_some_and(|request| self.mode_of(request) == Mode::Live)
    }

    /// The mode in which a request ends: its own, or shadow where a tripped cap holds every live rule of it.
    pub(super) fn mode_of(&self, request: &Request) -> Mode {
        let orders = &self.state.orders;
        let tripped = !orders.tripped.is_empty()
            && (orders.is_tripped(None) || self.wanted_by(request, |rule| !orders.is_tripped(Some(rule))).is_none());
        if tripped { Mode::Shadow } else { request.wants.mode }
    }

    /// The first rule that asks for a request and for which `holds`. A request that names no such rule counts as one that has
    /// one.
    fn wanted_by<'a>(&self, request: &'a Request, holds: impl Fn(&str) -> bool) -> Option<&'a str> {
        let asks = &request.wants.asks;
        if asks.is_empty() {
            return Some("");
        }
        asks.iter().map(|ask| ask.rule_id.as_str()).find(|rule| holds(rule))
    }

    /// The rules that a call for a request is for. A rule whose cap is tripped asks for nothing, and the device does not count
    /// against its cap.
    pub(super) fn asking_rules<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = &'a String> {
        let asks = &request.wants.asks;
        let tripped = |rule: &str| self.state.orders.is_tripped(Some(rule));
        let named = if asks.is_empty() { request.asked.rule_ids.as_slice() } else { &[] };
        named.iter().chain(asks.iter().map(|ask| &ask.rule_id).filter(move |rule| !tripped(rule)))
    }

    /// Whether a cap that tripped before the scan's latest intent keeps one of its requests back, or leaves them with less
    /// than the scan: the intent was decided by an owner that had not read that yet. What was intended before a trip is within the cap.
    pub(super) fn is_any_kept_by_an_earlier_trip(&self, scan_id: &str, scan: &Scan) -> bool {
        let orders = &self.state.orders;
        if orders.tripped.is_empty() {
            return false;
        }
        let slot = self.state.slots.iter().find(|slot| slot.scan_id == scan_id && slot.attempt == scan.attempt);
        let Some(intended) = slot.map(|slot| slot.offset) else { return false };
        let before = |rule: Option<&str>| {
            orders.tripped.iter().any(|(cap, order)| cap.as_deref() == rule && order.ordered < intended)
        };
        let requests = || scan.requests.iter().filter_map(|id| self.state.requests.get(id));
        let left = requests().map(|request| request.wants.without(|rule| before(Some(rule))).0).max();
        before(None)
            || left.is_some_and(|left| left < scan.scan_type)
            || requests().any(|request| self.wanted_by(request, |rule| !before(Some(rule))).is_none())
    }

    /// Caps that a scan of the device for these requests would pass.
    fn caps_reached(&self, device_id: &str, requests: &[String], now: Timestamp) -> Vec<Reached> {
        let total = &self.settings.blast_radius;
        let total = Reached { rule_id: None, devices: total.devices, per: total.per };
        let limits = self.state.limits_of(requests).into_iter().map(|limit| Reached {
            rule_id: Some(limit.rule_id),
            devices: limit.devices,
            per: Duration::from_secs(limit.per_seconds),
        });
        let tripped = |cap: &Reached| self.state.orders.is_tripped(cap.rule_id.as_deref());
        std::iter::once(total).chain(limits).filter(|cap| !tripped(cap) && self.passes(device_id, cap, now)).collect()
    }

    /// Whether one more distinct device would pass a cap.
    fn passes(&self, device_id: &str, cap: &Reached, now: Timestamp) -> bool {
        let rule = cap.rule_id.as_deref();
        let begin = self.state.orders.rearmed.get(&cap.rule_id).map_or(i64::MIN, |order| order.offset);
        let mut devices: Vec<&str> = self
            .state
            .reached
            .iter()
            // Not in the order of their times: the clocks of two owners may differ.
            .filter(|reached| reached.offset > begin && after(reached.time, cap.per) > now)
            .filter(|reached| rule.is_none_or(|rule| reached.rule_ids.iter().any(|id| id == rule)))
            .map(|reached| reached.device_id.as_str())
            .chain(self.local.pending_devices(rule, cap.per, now))
            .collect();
        devices.sort_unstable();
        devices.dedup();
        !devices.contains(&device_id) && devices.len() >= usize::try_from(cap.devices).unwrap_or(usize::MAX)
    }

    /// Whether a scan of the device for these requests passes no cap. Else the caps trip, and requests that no other rule
    /// asks for end; the others wait for the record of the trip, since without the tripped rule they may come to less.
    pub(super) fn is_within_blast_radius(
        &mut self,
        device_id: &str,
        requests: &[String],
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) -> bool {
        let reached = self.caps_reached(device_id, requests, now);
        let Some(first) = reached.first() else { return true };
        for cap in &reached {
            self.trip(cap, now, commands);
        }
        let orders = &self.state.orders;
        let is_reached = |rule: Option<&str>| reached.iter().find(|cap| cap.rule_id.as_deref() == rule);
        let held: Vec<String> = requests
            .iter()
            .filter(|id| {
                is_reached(None).is_some()
                    || self.state.requests.get(*id).is_some_and(|request| {
                        let free = |rule: &str| is_reached(Some(rule)).is_none() && !orders.is_tripped(Some(rule));
                        self.wanted_by(request, free).is_none()
                    })
            })
            .cloned()
            .collect();
        if !held.is_empty() {
            let detail = Some(is_reached(None).unwrap_or(first).told());
            self.end_suppressed(device_id, held, SuppressedReason::BlastRadius, Mode::Live, detail, now, commands);
        }
        false
    }

    /// Appends the trip of a cap, once.
    fn trip(&mut self, cap: &Reached, now: Timestamp, commands: &mut Vec<Command>) {
        if !self.local.tripping.insert(cap.rule_id.clone()) {
            return;
        }
        let control = ControlAction::Tripped {
            claim: self.claim.clone(),
            rule_id: cap.rule_id.clone(),
            devices: cap.devices,
            per_seconds: cap.per.as_secs(),
        };
        let body = Control { control, author: AUTHOR.to_owned(), comment: Some(cap.told()) };
        commands.push(Command::Append { time: now, body: Box::new(body.into()) });
    }
}
