//! The fold: one record changes the state. Pure; replaying the same records always gives the same state.
//!
//! Decisions (intent, shadowed, suppressed, failed, finished, withdrawn, a join without a call) count only under the
//! claim in force at their offset: a paused former owner's are void. Facts (what came of a call) count from whoever
//! made the call, as long as the attempt has no result yet.
//!
//! Replay may start in the middle of the log, after the beginning of things that have ended since. So what outlives its
//! scan (a rest, a quota slot, a reached device, a pause, the end of a request) is taken from the one record that says
//! it, whether or not the records before it were read; only what is still open needs its whole story, and
//! [`State::oldest_needed`] keeps that.

use std::time::Duration;

use jiff::Timestamp;

use super::state::{Cooldown, Phase, Reached, Remembered, Repeat, Request, Retry, Scan, Slot, State};
use super::unfit::Unfit;
use crate::event::{
    Accepted, AttemptFailed, AttemptResult, ControlAction, EventBody, Failed, Finished, Intent, Joined, Requested,
    ScanEvent, Shadowed, Suppressed, SuppressedReason, Withdrawn,
};

/// What a record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It changed the state.
    Changed,
    /// It was void: under a claim no longer in force, out of turn, or a repetition.
    Void,
}

impl State {
    /// Folds one record.
    pub fn apply(&mut self, offset: i64, event: &ScanEvent) -> Applied {
        let time = event.time;
        // Intake and operators' commands may run on any host; only the dispatch side's own clocks may move the time of the log.
        let elsewhere = match &event.body {
            EventBody::Requested(_) => true,
            EventBody::Control(control) => !matches!(control.control, ControlAction::Tripped { .. }),
            _ => false,
        };
        if !elsewhere {
            let clock = self.clock.map_or(time, |clock| clock.max(time));
            self.clock = Some(clock);
            self.orders.dispatch_wrote(clock);
        }
        let changed = match &event.body {
            EventBody::Genesis(genesis) => {
                let first = self.genesis.is_none();
                self.genesis.get_or_insert_with(|| genesis.clone());
                first
            }
            EventBody::Claim(claim) => {
                self.claim = Some(claim.claim.clone());
                self.claims.push_back((offset, claim.claim.clone()));
                true
            }
            EventBody::Control(control) => self.ordered(offset, time, &control.control),
            EventBody::Carried(carried) => self.carried(offset, time, carried),
            EventBody::Requested(requested) => self.requested(offset, time, requested),
            EventBody::Intent(intent) => self.intent(offset, time, intent),
            EventBody::Withdrawn(withdrawn) => self.withdrawn(time, withdrawn),
            EventBody::AttemptFailed(failed) => self.attempt_failed(offset, failed),
            EventBody::Accepted(accepted) => self.accepted(offset, time, accepted),
            EventBody::Joined(joined) => self.joined(offset, time, joined),
            EventBody::Shadowed(shadowed) => self.shadowed(offset, time, shadowed),
            EventBody::Suppressed(suppressed) => self.suppressed(suppressed),
            EventBody::Failed(failed) => self.failed(offset, time, failed),
            EventBody::Finished(finished) => self.finished(offset, time, finished),
        };
        self.forget();
        if changed { Applied::Changed } else { Applied::Void }
    }

    pub(super) fn in_force(&self, claim: &str) -> bool {
        self.claim.as_deref() == Some(claim)
    }

    fn requested(&mut self, offset: i64, time: Timestamp, asked: &Requested) -> bool {
        let (Some(id), Some(alert)) = (asked.request_ids.first(), asked.alerts.first()) else { return false };
        if let Some(first) = self.first_seen(id) {
            self.repeats.push_back(Repeat { time, offset, first });
            return false;
        }
        let alert = (alert.id.clone(), asked.device.id.clone());
        self.known_alerts.entry(alert.clone()).or_default().push(id.clone());
        self.known_requests.insert(id.clone());
        self.remembered.push_back(Remembered { time, offset, request_id: id.clone(), alert });
        self.devices.entry(asked.device.id.clone()).or_default().queued.insert(id.clone());
        let wants = self.counts.count(offset, time, asked);
        let request = Request { asked: asked.clone(), requested_at: time, offset, scan: None, wants };
        self.requests.insert(id.clone(), request);
        true
    }

    fn intent(&mut self, offset: i64, time: Timestamp, intent: &Intent) -> bool {
        if !self.in_force(&intent.claim) || intent.request_ids.is_empty() {
            return false;
        }
        self.count_call(offset, time, intent);
        let first_request = intent.request_ids.iter().filter_map(|id| self.requests.get(id)).map(|r| r.offset).min();
        let begun = first_request.unwrap_or(offset);
        let Some(device) = self.devices.get_mut(&intent.device.id) else { return false };
        let (expected, counted, begun) = match &device.retry {
            Some(retry) if retry.scan_id == intent.scan_id => {
                (retry.attempt.saturating_add(1), retry.counted, begun.min(retry.begun))
            }
            Some(_) => return false,
            None => (1, 0, begun),
        };
        let in_turn = device.scan.is_none()
            && intent.attempt == expected
            && !self.scans.contains_key(&intent.scan_id)
            && intent.request_ids.iter().all(|id| device.queued.contains(id));
        if !in_turn {
            return false;
        }
        device.retry = None;
        device.scan = Some(intent.scan_id.clone());
        for id in &intent.request_ids {
            device.queued.remove(id);
            if let Some(request) = self.requests.get_mut(id) {
                request.scan = Some(intent.scan_id.clone());
            }
        }
        self.scans.insert(
            intent.scan_id.clone(),
            Scan {
                device: intent.device.clone(),
                attempt: intent.attempt,
                counted,
                scan_type: intent.scan_type,
                priority: intent.priority,
                comment: intent.comment.clone(),
                rule_ids: intent.rule_ids.clone(),
                cooldown: Duration::from_secs(intent.cooldown_seconds),
                cooldown_step: intent.cooldown_step,
                cooldown_grows_for: intent.cooldown_grows_for_seconds.map(Duration::from_secs),
                requests: intent.request_ids.clone(),
                joined: Vec::new(),
                begun,
                phase: Phase::Intended { claim: intent.claim.clone(), time, resolve_after: intent.resolve_after },
            },
        );
        true
    }

    /// An intent under the claim in force may become a call: it counts even where it is out of turn, or begins before
    /// the records that were read.
    fn count_call(&mut self, offset: i64, time: Timestamp, intent: &Intent) {
        if self.slots.iter().any(|slot| slot.scan_id == intent.scan_id && slot.attempt == intent.attempt) {
            return;
        }
        self.slots.push_back(Slot {
            scan_id: intent.scan_id.clone(),
            attempt: intent.attempt,
            arrived_by: intent.latest_arrival,
            offset,
            claim: intent.claim.clone(),
        });
        self.reached.push_back(Reached {
            time,
            scan_id: intent.scan_id.clone(),
            attempt: intent.attempt,
            device_id: intent.device.id.clone(),
            rule_ids: intent.rule_ids.clone(),
            offset,
        });
    }

    /// Whether this attempt is the one that waits for a result.
    fn awaits(&self, scan_id: &str, attempt: u32) -> bool {
        self.scans
            .get(scan_id)
            .is_some_and(|scan| scan.attempt == attempt && matches!(scan.phase, Phase::Intended { .. }))
    }

    fn withdrawn(&mut self, time: Timestamp, withdrawn: &Withdrawn) -> bool {
        if !self.in_force(&withdrawn.claim) {
            return false;
        }
        // Nothing left the process, so neither the quota nor the blast radius was touched.
        self.slots.retain(|slot| slot.scan_id != withdrawn.scan_id || slot.attempt != withdrawn.attempt);
        self.reached.retain(|reached| reached.scan_id != withdrawn.scan_id || reached.attempt != withdrawn.attempt);
        self.awaits(&withdrawn.scan_id, withdrawn.attempt) && self.requeue(&withdrawn.scan_id, time, 0)
    }

    fn attempt_failed(&mut self, offset: i64, failed: &AttemptFailed) -> bool {
        self.hold_slot(&failed.scan_id, failed.attempt, failed.arrived_by);
        if let Some(until) = failed.lane_paused_until
            && self.paused_until.is_none_or(|(paused, _)| until > paused)
        {
            self.paused_until = Some((until, offset));
        }
        if failed.result == AttemptResult::RateLimited {
            self.rate_limited_in_a_row = self.rate_limited_in_a_row.saturating_add(1);
        }
        if !self.awaits(&failed.scan_id, failed.attempt) {
            return false;
        }
        if let Some(retry_at) = failed.retry_at {
            return self.requeue(&failed.scan_id, retry_at, u32::from(failed.counts));
        }
        if let Some(scan) = self.scans.get_mut(&failed.scan_id) {
            let reason = failed.reason.unwrap_or(crate::event::FailedReason::Rejected);
            scan.phase =
                Phase::Refused { reason, detail: failed.detail.clone(), unfit_until: failed.device_unfit_until };
        }
        true
    }

    /// Gives a scan's requests back to the device's queue, to be attempted again from `retry_at`.
    fn requeue(&mut self, scan_id: &str, retry_at: Timestamp, counted: u32) -> bool {
        let Some(scan) = self.scans.remove(scan_id) else { return false };
        let device = self.devices.entry(scan.device.id.clone()).or_default();
        device.scan = None;
        device.retry = Some(Retry {
            scan_id: scan_id.to_owned(),
            attempt: scan.attempt,
            counted: scan.counted.saturating_add(counted),
            retry_at,
            begun: scan.begun,
        });
        for id in scan.requests {
            if let Some(request) = self.requests.get_mut(&id) {
                request.scan = None;
                device.queued.insert(id);
            }
        }
        true
    }

    fn accepted(&mut self, offset: i64, time: Timestamp, accepted: &Accepted) -> bool {
        self.hold_slot(&accepted.scan_id, accepted.attempt, accepted.arrived_by);
        self.rate_limited_in_a_row = 0;
        self.rest(&accepted.device.id, accepted.cooldown_until, accepted.scan_type, offset, time);
        self.in_a_row(&accepted.device.id, accepted.cooldown_step, accepted.cooldown_grows_until, offset, time);
        if !self.awaits(&accepted.scan_id, accepted.attempt) {
            return false;
        }
        if let Some(scan) = self.scans.get_mut(&accepted.scan_id) {
            let since = scan.begun_at().map_or(time, |intended| intended.min(time));
            scan.phase = Phase::Open {
                action: Some(accepted.action.clone()),
                since,
                foreign: false,
                follow_until: accepted.follow_until,
            };
        }
        true
    }

    fn joined(&mut self, offset: i64, time: Timestamp, joined: &Joined) -> bool {
        if let Some(attempt) = joined.attempt {
            if let Some(arrived_by) = joined.arrived_by {
                self.hold_slot(&joined.scan_id, attempt, arrived_by);
            }
            self.rate_limited_in_a_row = 0;
            self.rest(&joined.device.id, joined.cooldown_until, joined.scan_type, offset, time);
            if !self.awaits(&joined.scan_id, attempt) {
                return false;
            }
            if let Some(scan) = self.scans.get_mut(&joined.scan_id) {
                let since = scan.begun_at().map_or(time, |intended| intended.min(time));
                scan.joined.append(&mut scan.requests);
                scan.scan_type = joined.scan_type;
                scan.phase = Phase::Open {
                    action: joined.action.clone(),
                    since,
                    foreign: true,
                    follow_until: joined.follow_until,
                };
            }
            return true;
        }
        let open = self.scans.get(&joined.scan_id).is_some_and(|scan| matches!(scan.phase, Phase::Open { .. }));
        if !self.in_force(&joined.claim) || !open {
            return false;
        }
        let mut changed = false;
        for id in &joined.request_ids {
            if self.unqueue(id) {
                changed = true;
                if let (Some(request), Some(scan)) = (self.requests.get_mut(id), self.scans.get_mut(&joined.scan_id)) {
                    request.scan = Some(joined.scan_id.clone());
                    scan.joined.push(id.clone());
                }
            }
        }
        changed
    }

    fn shadowed(&mut self, offset: i64, time: Timestamp, shadowed: &Shadowed) -> bool {
        if !self.in_force(&shadowed.claim) {
            return false;
        }
        let rest = Cooldown { until: shadowed.cooldown_until, scan_type: shadowed.scan_type, offset, time };
        self.devices.entry(shadowed.device.id.clone()).or_default().shadow_cooldown = Some(rest);
        self.end_queued(&shadowed.request_ids, false)
    }

    fn suppressed(&mut self, suppressed: &Suppressed) -> bool {
        let repeats = suppressed.reason == SuppressedReason::Duplicate;
        self.in_force(&suppressed.claim) && self.end_queued(&suppressed.request_ids, repeats)
    }

    fn failed(&mut self, offset: i64, time: Timestamp, failed: &Failed) -> bool {
        if !self.in_force(&failed.claim) {
            return false;
        }
        if let Some(until) = failed.device_unfit_until {
            self.remember_unfit(&failed.device.id, Unfit { reason: failed.reason, until, offset, time });
        }
        if let (Some(until), Some(scan_type)) = (failed.cooldown_until, failed.scan_type) {
            self.rest(&failed.device.id, until, scan_type, offset, time);
        }
        if let Some(scan_id) = &failed.scan_id
            && self.scans.get(scan_id).is_some_and(|scan| matches!(scan.phase, Phase::Refused { .. }))
            && let Some(scan) = self.scans.remove(scan_id)
        {
            if let Some(device) = self.devices.get_mut(&scan.device.id) {
                device.scan = None;
            }
            self.end(scan.requests.iter().chain(&scan.joined), true);
            return true;
        }
        self.end_queued(&failed.request_ids, true)
    }

    fn finished(&mut self, offset: i64, time: Timestamp, finished: &Finished) -> bool {
        if !self.in_force(&finished.claim) {
            return false;
        }
        self.rest(&finished.device.id, finished.cooldown_until, finished.scan_type, offset, time);
        self.remember_ended(offset, time, finished);
        if finished.cooldown_grows_until.is_some() {
            self.in_a_row(&finished.device.id, finished.cooldown_step, finished.cooldown_grows_until, offset, time);
        }
        let failed = finished.status.failed_reason().is_some();
        match self.scans.get(&finished.scan_id).map(|scan| matches!(scan.phase, Phase::Open { .. })) {
            Some(false) => return false,
            // The scan began before the records that were read; its requests need not have.
            None => {
                let own = self.end_queued(&finished.request_ids, failed);
                return self.end_queued(&finished.joined_request_ids, failed) || own;
            }
            Some(true) => {}
        }
        let Some(scan) = self.scans.remove(&finished.scan_id) else { return false };
        if let Some(device) = self.devices.get_mut(&scan.device.id) {
            device.scan = None;
        }
        self.end(scan.requests.iter().chain(&scan.joined), failed);
        true
    }

    fn hold_slot(&mut self, scan_id: &str, attempt: u32, arrived_by: Timestamp) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.scan_id == scan_id && slot.attempt == attempt) {
            // A late answer never shortens what the intent reserved for the other side's clock being behind ours.
            slot.arrived_by = arrived_by;
        }
    }
}
