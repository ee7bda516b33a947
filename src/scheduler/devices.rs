//! From waiting requests to intents: the guards, the order, and the moment at which a scan is started.

use jiff::Timestamp;

use super::breaker::Probe;
use super::command::Command;
use super::growth::Rest;
use super::local::{LookUp, Timer};
use super::quota::Remaining;
use super::state::{Cooldown, Phase, Request, Scan, after};
use super::{Scheduler, covered, silences};
use crate::event::{Intent, Joined, Mode, Shadowed, Suppressed, SuppressedReason};

/// Alphabet of scan ids: no letters that are read as digits.
const SCAN_ID_ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

impl Scheduler {
    /// Applies the guards to a device's waiting requests, and places the device among those ready for a scan.
    pub(super) fn settle_device(&mut self, device_id: &str, now: Timestamp, commands: &mut Vec<Command>) {
        self.local.unrank(device_id);
        if self.local.is_busy(device_id) {
            return;
        }
        let Some(device) = self.state.devices.get(device_id) else { return };
        if device.queued.is_empty() {
            return;
        }
        let queued: Vec<String> = device.queued.iter().cloned().collect();
        if self.suppress(device_id, &queued, now, commands) || self.end_unfit(device_id, &queued, now, commands) {
            return;
        }
        let (live, shadow): (Vec<String>, Vec<String>) = queued.into_iter().partition(|id| self.acts_live(id));
        self.watch_expiry(device_id, live.iter().chain(&shadow));
        if !shadow.is_empty() && self.merge_window_over(device_id, &shadow, now) {
            self.end_in_shadow(device_id, &shadow, now, commands);
            return;
        }
        if live.is_empty() {
            return;
        }
        let scan = self.state.devices.get(device_id).and_then(|device| device.scan.clone());
        match scan {
            Some(scan_id) => self.join(device_id, &scan_id, &live, now, commands),
            None => self.place(device_id, &live, now),
        }
    }

    /// Ends what duplicate, age or cooldown hold back; whether anything was.
    fn suppress(&mut self, device_id: &str, queued: &[String], now: Timestamp, commands: &mut Vec<Command>) -> bool {
        let mut held: Vec<(SuppressedReason, Option<String>, Mode, Vec<String>)> = Vec::new();
        // While a scan is open, requests join it; the rest begins to matter when it has ended, or takes no more of them.
        let scan = self.state.devices.get(device_id).and_then(|device| self.state.scans.get(device.scan.as_ref()?));
        let joins = scan.is_some_and(|scan| self.has_room(scan));
        for id in queued {
            let Some(request) = self.state.requests.get(id) else { continue };
            let Some((reason, detail)) = self.held_back_by(device_id, id, request, joins, now) else { continue };
            let mode = self.mode_of(request);
            match held.iter_mut().find(|(one, why, other, _)| *one == reason && *why == detail && *other == mode) {
                Some((.., ids)) => ids.push(id.clone()),
                None => held.push((reason, detail, mode, vec![id.clone()])),
            }
        }
        let any = !held.is_empty();
        for (reason, detail, mode, ids) in held {
            self.end_suppressed(device_id, ids, reason, mode, detail, now, commands);
        }
        any
    }

    /// Which guard holds a request back, and what it saw. `joins`: it may join a scan of the device.
    fn held_back_by(
        &self,
        device_id: &str,
        id: &str,
        request: &Request,
        joins: bool,
        now: Timestamp,
    ) -> Option<(SuppressedReason, Option<String>)> {
        let asked = &request.asked;
        let alert = asked.alerts.first()?;
        let key = (alert.id.clone(), device_id.to_owned());
        if self.state.first_of_alert(&key).is_some_and(|first| first != id) {
            return Some((SuppressedReason::Duplicate, None));
        }
        if let Some(interval) = &asked.terms.outside_active_time {
            return Some((SuppressedReason::OutsideActiveTime, Some(interval.clone())));
        }
        if let Some(below) = &request.wants.below {
            return Some((SuppressedReason::BelowThreshold, Some(below.clone())));
        }
        if asked.expires_at <= now {
            return Some((SuppressedReason::TooOld, None));
        }
        if let Some(silence) = self.silence_of(device_id, id, request, now) {
            return Some((SuppressedReason::Silenced, Some(silences::told(silence))));
        }
        if let Some(scan) = self.state.covering_scan(request, now) {
            return Some((SuppressedReason::Covered, Some(covered::told(scan))));
        }
        let device = self.state.devices.get(device_id)?;
        let (wanted, _) = self.state.wanted_by(request);
        let rests =
            |rest: &Option<Cooldown>| rest.as_ref().is_some_and(|rest| rest.until > now && wanted <= rest.scan_type);
        let live = self.acts_live(id);
        let resting = rests(&device.cooldown) || (!live && rests(&device.shadow_cooldown));
        (resting && !joins).then_some((SuppressedReason::Cooldown, None))
    }

    /// Whether the device of a scan rests for one of its requests: an answer to an earlier attempt came after the scan was
    /// decided on once more.
    pub(super) fn is_any_covered_by_rest(&self, scan: &Scan, now: Timestamp) -> bool {
        let rest = self.state.devices.get(&scan.device.id).and_then(|device| device.cooldown.as_ref());
        let Some(rest) = rest.filter(|rest| rest.until > now) else { return false };
        let mut requests = scan.requests.iter().filter_map(|id| self.state.requests.get(id));
        requests.any(|request| self.state.wanted_by(request).0 <= rest.scan_type)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the record")]
    pub(super) fn end_suppressed(
        &mut self,
        device_id: &str,
        ids: Vec<String>,
        reason: SuppressedReason,
        mode: Mode,
        detail: Option<String>,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        for ids in self.portions(&ids) {
            let body = Suppressed {
                claim: self.claim.clone(),
                device: self.device_ref(device_id, &ids),
                alerts: self.state.alerts_of(&ids),
                request_ids: ids,
                reason,
                mode,
                detail: detail.clone(),
            };
            self.append(now, device_id, body.into(), commands);
        }
    }

    /// Looks at the device again when the first of these requests grows too old.
    fn watch_expiry<'a>(&mut self, device_id: &str, requests: impl Iterator<Item = &'a String>) {
        let first = requests.filter_map(|id| self.state.requests.get(id)).map(|request| request.asked.expires_at).min();
        if let Some(first) = first {
            self.local.timers.insert((first, Timer::Device(device_id.to_owned())));
        }
    }

    /// Whether one of these requests has waited for company long enough; else looks again when one has.
    fn merge_window_over(&mut self, device_id: &str, requests: &[String], now: Timestamp) -> bool {
        let windows = requests.iter().filter_map(|id| self.state.requests.get(id)).map(|request| {
            let own = request.asked.terms.merge_window_seconds.map(std::time::Duration::from_secs);
            after(request.requested_at, own.unwrap_or(self.settings.merge_window))
        });
        let due = windows.min().unwrap_or(now);
        if due > now {
            self.local.timers.insert((due, Timer::Device(device_id.to_owned())));
        }
        due <= now
    }

    fn first_requested(&self, requests: &[String]) -> Option<Timestamp> {
        requests.iter().filter_map(|id| self.state.requests.get(id)).map(|request| request.requested_at).min()
    }

    /// Shadow requests pass the same protection as live ones, and end where the call would be.
    fn end_in_shadow(&mut self, device_id: &str, ids: &[String], now: Timestamp, commands: &mut Vec<Command>) {
        let device = self.device_ref(device_id, ids);
        if self.held_by_protection(device_id, &device, ids, now, commands) {
            return;
        }
        let Some(plan) = self.plan(ids, None) else { return };
        let rest = self.rest_of_requests(device_id, ids, now);
        // One scan would have been for all of them, and each of its records says so.
        for request_ids in self.portions(ids) {
            let body = Shadowed {
                claim: self.claim.clone(),
                alerts: self.state.alerts_of(&request_ids),
                request_ids,
                device: device.clone(),
                rule_ids: plan.rule_ids.clone(),
                scan_type: plan.scan_type,
                priority: plan.priority,
                comment: plan.comment.clone(),
                cooldown_until: after(now, std::time::Duration::from_secs(rest.seconds)),
            };
            self.append(now, device_id, body.into(), commands);
        }
    }

    /// Requests that the device's open scan covers join it; a wider one waits for its end.
    fn join(&mut self, device_id: &str, scan_id: &str, live: &[String], now: Timestamp, commands: &mut Vec<Command>) {
        let Some(scan) = self.state.scans.get(scan_id) else { return };
        let Phase::Open { action, follow_until, .. } = &scan.phase else { return };
        let covered: Vec<String> = live
            .iter()
            .filter(|id| self.state.requests.get(*id).is_some_and(|r| self.state.wanted_by(r).0 <= scan.scan_type))
            .cloned()
            .collect();
        let joining = self.that_fit(scan, covered);
        let joined = self.portions(&joining).into_iter().map(|ids| Joined {
            claim: self.claim.clone(),
            scan_id: scan_id.to_owned(),
            attempt: None,
            device: scan.device.clone(),
            alerts: self.state.alerts_of(&ids),
            request_ids: ids,
            scan_type: scan.scan_type,
            action: action.clone(),
            arrived_by: None,
            follow_until: *follow_until,
            cooldown_until: after(now, scan.cooldown),
        });
        for body in joined.collect::<Vec<_>>() {
            self.append(now, device_id, body.into(), commands);
        }
    }

    /// Ranks the device among those ready, or looks again when it will be.
    fn place(&mut self, device_id: &str, live: &[String], now: Timestamp) {
        if matches!(self.local.look_ups.get(device_id), Some(LookUp::Wanted(..) | LookUp::InFlight(_))) {
            return;
        }
        let retry_at = self.state.devices.get(device_id).and_then(|device| device.retry.as_ref()).map(|r| r.retry_at);
        if let Some(retry_at) = retry_at.filter(|retry_at| *retry_at > now) {
            self.local.timers.insert((retry_at, Timer::Device(device_id.to_owned())));
            return;
        }
        if retry_at.is_none() && !self.merge_window_over(device_id, live, now) {
            return;
        }
        let priority = self.highest_priority(live);
        let since = self.first_requested(live).unwrap_or(now);
        // A point of priority is worth a fixed time of waiting, so the order between two devices never changes while
        // they wait, and no device waits for ever.
        let aged = since.as_millisecond().saturating_mul(i64::from(self.settings.ageing_points_per_hour)) / 3600;
        let rank = aged.saturating_sub(i64::from(priority).saturating_mul(1000));
        let urgent = priority >= self.settings.quota.reserve_priority;
        self.local.rank(urgent, (rank, since, device_id.to_owned()));
    }

    fn highest_priority(&self, requests: &[String]) -> u8 {
        let priorities =
            requests.iter().filter_map(|id| self.state.requests.get(id)).map(|r| self.state.wanted_by(r).1);
        priorities.max().unwrap_or(0)
    }

    /// Starts scans in order, as far as quota, pauses and the number of calls in flight allow.
    pub(super) fn start_scans(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.is_halted() || self.is_paused(now) {
            return;
        }
        let mut room = self.settings.max_calls_in_flight.saturating_sub(self.local.in_flight());
        let mut left = self.remaining(now);
        while room > 0 && self.local.breaker.may_begin(now) {
            let urgent = self.local.ready_urgent.first();
            let ordinary = self.local.ready.first().filter(|_| left.allows(0, &self.settings.quota));
            let next = match (urgent, ordinary) {
                (Some(urgent), Some(ordinary)) => Some(urgent.min(ordinary)),
                (one, other) => one.or(other),
            };
            let Some((_, _, device_id)) = next.cloned() else { return };
            let urgent = self.local.ranks.get(&device_id).is_some_and(|(urgent, _)| *urgent);
            if !left.allows(if urgent { u8::MAX } else { 0 }, &self.settings.quota) {
                return;
            }
            self.local.unrank(&device_id);
            if self.start_scan(&device_id, now, commands) {
                left = left.less_one();
                room -= 1;
            }
        }
    }

    /// Appends the intent of a device's scan unless a last guard holds it back; whether it did.
    fn start_scan(&mut self, device_id: &str, now: Timestamp, commands: &mut Vec<Command>) -> bool {
        let Some(device) = self.state.devices.get(device_id) else { return false };
        let live: Vec<String> = device.queued.iter().filter(|id| self.acts_live(id)).cloned().collect();
        let retry = device.retry.clone();
        if live.is_empty() {
            // A cap that tripped since it was ranked: it is settled once more.
            self.local.dirty.insert(device_id.to_owned());
            return false;
        }
        if self.suppress(device_id, &live, now, commands) || self.end_unfit(device_id, &live, now, commands) {
            return false;
        }
        let target = self.device_ref(device_id, &live);
        if !self.is_within_blast_radius(device_id, &live, now, commands) {
            return false;
        }
        // Protection is asked last, so that no other rule can come after it.
        if self.held_by_protection(device_id, &target, &live, now, commands) {
            return false;
        }
        let (scan_id, attempt) = match retry {
            Some(retry) => (retry.scan_id, retry.attempt.saturating_add(1)),
            None => (self.new_scan_id(), 1),
        };
        let live = self.first_portion(live);
        let Some(plan) = self.plan(&live, Some(&scan_id)) else { return false };
        let rest = self.rest_of_requests(device_id, &live, now);
        self.local.breaker.begin(Probe::Scan(scan_id.clone(), attempt));
        let latest_arrival = after(after(now, self.settings.leave_within), self.settings.call_timeout);
        let body = Intent {
            cooldown_step: rest.step,
            cooldown_grows_for_seconds: rest.grows_for,
            claim: self.claim.clone(),
            scan_id,
            attempt,
            device: target,
            alerts: plan.alerts,
            rule_ids: plan.rule_ids,
            scan_type: plan.scan_type,
            priority: plan.priority,
            comment: plan.comment,
            latest_arrival,
            resolve_after: after(latest_arrival, self.settings.settle),
            cooldown_seconds: rest.seconds,
            limits: self.state.limits_of(&live),
            request_ids: live,
        };
        self.append(now, device_id, body.into(), commands);
        true
    }

    /// Whether a pause of all calls is in force.
    pub(super) fn is_paused(&self, now: Timestamp) -> bool {
        self.state.paused_until.is_some_and(|(until, _)| until > now)
            || self.local.paused_until.is_some_and(|until| until > now)
    }

    /// What is left of the quota.
    pub(super) fn remaining(&self, now: Timestamp) -> Remaining {
        let pending = self.local.outstanding_intents();
        Remaining::at(now, &self.state.slots, &self.claim, pending, &self.settings.quota)
    }

    fn rest_of_requests(&self, device_id: &str, requests: &[String], now: Timestamp) -> Rest {
        let asked: Vec<&Request> = requests.iter().filter_map(|id| self.state.requests.get(id)).collect();
        self.rest_of(device_id, &asked, now)
    }

    fn new_scan_id(&mut self) -> String {
        use rand::RngExt as _;
        loop {
            let id: String = (0..8)
                .map(|_| char::from(SCAN_ID_ALPHABET[self.random.random_range(0..SCAN_ID_ALPHABET.len())]))
                .collect();
            if !self.state.scans.contains_key(&id) {
                return id;
            }
        }
    }
}
