//! Calls: an intent for every call, a result for every intent, one scan of a device at a time.

use std::time::Duration;

use jiff::Timestamp;

use super::lane::{Key, Lane, Place, key};
use super::quota::Span;
use super::scans::{Phase, Scan};
use super::violation::ViolationCode;
use crate::event::{Accepted, AttemptFailed, AttemptResult, Intent, Joined, Mode, Withdrawn};

/// Whether somebody waits for the result of an attempt.
enum Awaited {
    Yes,
    /// It has one already.
    Late,
    /// Its intent may be older than the log that is left.
    BeforeTheLog,
    /// No valid intent announced it; the offset of a void one.
    Unannounced(Option<i64>),
}

impl Lane {
    pub(super) fn intent(&mut self, body: &Intent, place: &mut Place<'_>) {
        let scan_id: Box<str> = body.scan_id.as_str().into();
        if !self.counts_under(&body.claim) {
            self.void_intents.insert((scan_id, body.attempt), place.offset);
            return;
        }
        self.show_alive(&body.request_ids, place);
        if self.repeats_intent(body) {
            place.repeated = true;
            return;
        }
        self.counts.intents += 1;
        self.check_turn(body, place);
        self.check_device(body, place);
        let seen = self.seen(&body.request_ids);
        self.check_intent_guards(body, place);
        let silenced = self.check_silences(body, seen, place);
        self.check_radius(body, seen, place);
        let requests = self.take_requests(body, place);
        let call = self.calls.len();
        self.calls.push(Span { from: place.time, to: body.latest_arrival, offset: place.offset, left: true });
        self.device(&body.device.id).scan = Some(scan_id.clone());
        let device = key(&body.device.id);
        let halted = self.halted;
        let scan = self.scans.entry(scan_id).or_insert_with(|| Scan::of(device));
        // A short id may come again for another scan after the first has ended.
        if scan.phase == Phase::Ended {
            *scan = Scan::of(device);
        }
        scan.phase = Phase::Calling;
        scan.attempt = body.attempt;
        scan.offset = place.offset;
        scan.halted = halted;
        scan.silenced = silenced;
        scan.rest = Some(Duration::from_secs(body.cooldown_seconds));
        scan.call = Some(call);
        scan.requests = requests;
    }

    /// Whether it is a repetition of an intent that counted.
    fn repeats_intent(&self, body: &Intent) -> bool {
        let Some(scan) = self.scans.get(&*body.scan_id) else { return false };
        let for_open = || {
            let open = |id: &String| self.requests.get(&key(id)).is_some_and(|request| request.open.is_some());
            body.request_ids.iter().any(open)
        };
        body.attempt <= scan.attempt && !(scan.phase == Phase::Ended && body.attempt == 1 && for_open())
    }

    fn check_turn(&self, body: &Intent, place: &mut Place<'_>) {
        let Intent { scan_id, attempt, .. } = body;
        let (before, why) = match self.scans.get(&**scan_id) {
            None if *attempt == 1 || !self.complete => return,
            None => (None, "no attempt came before it".to_owned()),
            Some(scan) => match scan.phase {
                Phase::Retrying if *attempt == scan.attempt.saturating_add(1) => return,
                Phase::Ended if *attempt == 1 => return,
                Phase::Retrying => (Some(scan.offset), format!("the one before was attempt {}", scan.attempt)),
                Phase::Calling => (Some(scan.offset), format!("attempt {} has no result yet", scan.attempt)),
                Phase::Refused => (Some(scan.offset), format!("attempt {} had failed for good", scan.attempt)),
                Phase::Running => (Some(scan.offset), "the scan is running".to_owned()),
                Phase::Ended => (Some(scan.offset), "the scan had ended".to_owned()),
            },
        };
        let before: Vec<i64> = before.into_iter().collect();
        self.violation(ViolationCode::AttemptOutOfOrder, &before, place, || {
            format!("attempt {attempt} of scan {scan_id} out of turn: {why}")
        });
    }

    fn check_device(&mut self, body: &Intent, place: &mut Place<'_>) {
        let device = self.device(&body.device.id);
        let resting = device.forbids(body.scan_type, place.time);
        let other = device.scan.clone().filter(|scan| **scan != *body.scan_id);
        if let Some(other) = other {
            let offset: Vec<i64> = self.scans.get(&other).map(|scan| scan.offset).into_iter().collect();
            self.violation(ViolationCode::SecondScan, &offset, place, || {
                format!("scan {} of device {} while scan {other} is open", body.scan_id, body.device.id)
            });
        }
        if let Some((until, offset)) = resting {
            self.violation(ViolationCode::CooldownBroken, &[offset], place, || {
                format!(
                    "{} scan {} of device {}, which rests until {until}",
                    body.scan_type, body.scan_id, body.device.id
                )
            });
        }
    }

    /// The requests that an intent covers, checked and marked as covered.
    fn take_requests(&mut self, body: &Intent, place: &mut Place<'_>) -> Vec<Key> {
        let Intent { scan_id, device, .. } = body;
        for id in &body.request_ids {
            let known = self.requests.contains_key(&key(id));
            if !known && self.complete {
                self.violation(ViolationCode::IntentWithoutRequest, &[], place, || {
                    format!("scan {scan_id} covers request {id}, which was never made")
                });
            }
            if !known || !self.complete {
                self.trust(id, device, place);
            }
            let Some(request) = self.requests.get_mut(&key(id)) else { continue };
            let made = request.offset;
            let Some(open) = &mut request.open else {
                let ended = request.end.map_or(made, |end| end.offset);
                self.violation(ViolationCode::IntentForEnded, &[ended], place, || {
                    format!("scan {scan_id} covers request {id}, which has ended")
                });
                continue;
            };
            let (of_device, mode) = (open.device, open.mode);
            open.scan = Some(scan_id.as_str().into());
            if of_device != key(&device.id) {
                self.violation(ViolationCode::IntentWithoutRequest, &[made], place, || {
                    format!("scan {scan_id} of device {} covers request {id} of another device", device.id)
                });
            }
            if mode == Some(Mode::Shadow) {
                self.violation(ViolationCode::IntentForShadow, &[made], place, || {
                    format!("scan {scan_id} covers request {id}, which is in shadow")
                });
            }
        }
        body.request_ids.iter().map(|id| key(id)).collect()
    }

    fn awaited(&self, scan_id: &str, attempt: u32) -> Awaited {
        match self.scans.get(scan_id) {
            Some(scan) if scan.attempt == attempt && scan.phase == Phase::Calling => Awaited::Yes,
            Some(scan) if attempt <= scan.attempt => Awaited::Late,
            scan => match self.void_intents.get(&(scan_id.into(), attempt)) {
                None if scan.is_none() && !self.complete => Awaited::BeforeTheLog,
                void => Awaited::Unannounced(void.copied()),
            },
        }
    }

    fn unannounced(&self, what: &str, scan_id: &str, attempt: u32, void: Option<i64>, place: &mut Place<'_>) {
        let before: Vec<i64> = void.into_iter().collect();
        self.violation(ViolationCode::ResultWithoutIntent, &before, place, || {
            let why = if void.is_some() { "its intent was void" } else { "it has no intent" };
            format!("attempt {attempt} of scan {scan_id} is {what}, and {why}")
        });
    }

    pub(super) fn withdrawn(&mut self, body: &Withdrawn, place: &mut Place<'_>) {
        if !self.counts_under(&body.claim) {
            return;
        }
        match self.awaited(&body.scan_id, body.attempt) {
            Awaited::Yes => {
                self.counts.withdrawn += 1;
                if let Some(scan) = self.scans.get(&*body.scan_id) {
                    self.radius.give_back(scan.offset, place.options.clock_tolerance);
                }
                self.settle_call(&body.scan_id, None);
                self.give_back(&body.scan_id);
            }
            Awaited::Late => place.repeated = true,
            Awaited::BeforeTheLog => {}
            Awaited::Unannounced(void) => {
                self.unannounced("withdrawn", &body.scan_id, body.attempt, void, place);
            }
        }
    }

    /// The result of a scan's latest call: until when it was under way; `None` if nothing left the process.
    fn settle_call(&mut self, scan_id: &str, arrived_by: Option<Timestamp>) {
        let call = self.scans.get(scan_id).and_then(|scan| scan.call);
        if let Some(span) = call.and_then(|call| self.calls.get_mut(call)) {
            span.left = arrived_by.is_some();
            span.to = arrived_by.unwrap_or(span.to);
        }
    }

    /// A call certainly left: not while the kill switch was pulled. Its owner had read the switch before the intent.
    fn check_halt(&self, scan_id: &str, place: &mut Place<'_>) {
        self.check_silent_call(scan_id, place);
        let Some(scan) = self.scans.get(scan_id) else { return };
        if let (Some(pulled), Some(now)) = (scan.halted, self.halted)
            && pulled == now
        {
            self.violation(ViolationCode::CalledWhileHalted, &[pulled, scan.offset], place, || {
                format!("attempt {} of scan {scan_id} was intended and made while halted", scan.attempt)
            });
        }
    }

    pub(super) fn attempt_failed(&mut self, body: &AttemptFailed, place: &mut Place<'_>) {
        match self.awaited(&body.scan_id, body.attempt) {
            Awaited::Yes => {}
            Awaited::Late => return self.counts.late += 1,
            Awaited::BeforeTheLog => return,
            // Nothing left the process: no harm.
            Awaited::Unannounced(_) if body.result == AttemptResult::NotSent => return self.counts.late += 1,
            Awaited::Unannounced(void) => {
                return self.unannounced(body.result.as_str(), &body.scan_id, body.attempt, void, place);
            }
        }
        self.counts.attempts_failed += 1;
        let (left, answered) = match body.result {
            AttemptResult::NotSent => (false, false),
            // Whether a call was made at all is not told by these.
            AttemptResult::NotAccepted | AttemptResult::InDoubt | AttemptResult::Rejected => (true, false),
            AttemptResult::RateLimited
            | AttemptResult::Unauthorized
            | AttemptResult::Forbidden
            | AttemptResult::DeviceNotFound
            | AttemptResult::UnsupportedDevice
            | AttemptResult::Busy => (true, true),
        };
        if answered {
            self.check_halt(&body.scan_id, place);
        }
        self.settle_call(&body.scan_id, left.then_some(body.arrived_by));
        if let Some(scan) = self.scans.get_mut(&*body.scan_id) {
            scan.in_doubt |= body.result == AttemptResult::InDoubt;
            scan.phase = Phase::Refused;
        }
        if body.retry_at.is_some() {
            self.give_back(&body.scan_id);
        }
    }

    pub(super) fn accepted(&mut self, body: &Accepted, place: &mut Place<'_>) {
        let Accepted { scan_id, attempt, .. } = body;
        let action = Some(key(&body.action.id));
        self.device(&body.device.id).may_rest(body.cooldown_until);
        match self.awaited(scan_id, *attempt) {
            Awaited::Yes => {
                self.check_halt(scan_id, place);
                self.settle_call(scan_id, Some(body.arrived_by));
                self.same_requests(scan_id, &body.request_ids, place);
            }
            Awaited::Late => return self.accepted_late(body, place),
            Awaited::BeforeTheLog => self.adopt(scan_id, *attempt, &body.device, &body.request_ids, place),
            Awaited::Unannounced(void) => return self.unannounced("accepted", scan_id, *attempt, void, place),
        }
        self.counts.accepted += 1;
        self.check_rest(scan_id, body.cooldown_until, place);
        self.device(&body.device.id).rests(body.scan_type, body.cooldown_until, place.offset);
        if let Some(scan) = self.scans.get_mut(&**scan_id) {
            (scan.accepted, scan.action) = (true, action);
            scan.begin(place);
        }
    }

    /// Somebody else's finding, or a second scan.
    fn accepted_late(&mut self, body: &Accepted, place: &mut Place<'_>) {
        let Accepted { scan_id, attempt, action, .. } = body;
        let Some(scan) = self.scans.get(&**scan_id) else { return };
        let begun: Vec<i64> = scan.begun.map(|(_, offset)| offset).into_iter().collect();
        let joined_unseen = scan.begun.is_some() && scan.action.is_none();
        if scan.action == Some(key(&action.id)) {
            place.repeated = true;
        } else if scan.accepted {
            self.violation(ViolationCode::AcceptedTwice, &begun, place, || {
                format!("scan {scan_id} was accepted before, and now as action {}", action.id)
            });
        } else if scan.in_doubt || joined_unseen {
            self.counts.late += 1;
        } else {
            self.violation(ViolationCode::AcceptedAgainstRecord, &[scan.offset], place, || {
                format!(
                    "attempt {attempt} of scan {scan_id} was accepted as action {} after it counted as over",
                    action.id
                )
            });
        }
    }

    pub(super) fn joined(&mut self, body: &Joined, place: &mut Place<'_>) {
        let Joined { scan_id, .. } = body;
        let Some(attempt) = body.attempt else { return self.joined_running(body, place) };
        self.device(&body.device.id).may_rest(body.cooldown_until);
        match self.awaited(scan_id, attempt) {
            Awaited::Yes => {
                self.settle_call(scan_id, Some(body.arrived_by.unwrap_or(place.time)));
                self.same_requests(scan_id, &body.request_ids, place);
            }
            Awaited::Late => return self.counts.late += 1,
            Awaited::BeforeTheLog => self.adopt(scan_id, attempt, &body.device, &body.request_ids, place),
            Awaited::Unannounced(void) => return self.unannounced("joined", scan_id, attempt, void, place),
        }
        self.counts.joined += 1;
        self.check_rest(scan_id, body.cooldown_until, place);
        self.device(&body.device.id).rests(body.scan_type, body.cooldown_until, place.offset);
        if let Some(scan) = self.scans.get_mut(&**scan_id) {
            scan.action = body.action.as_ref().map(|action| key(&action.id));
            scan.joined.append(&mut scan.requests);
            scan.begin(place);
        }
    }
}
