//! Requests: each is made once and ends once.

use std::time::Duration;

use super::lane::{Key, Lane, Place, key};
use super::thresholds::Reach;
use super::violation::ViolationCode;
use crate::event::{AlertRef, DeviceRef, Failed, FailedReason, Mode, Outcome, Requested, Shadowed, Suppressed};

/// What intake writes as the claim of its own failures.
const INTAKE: &str = "intake";

/// The worker knows an ended request again for no longer.
pub(super) const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Who is known to have written of a request first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A `requested` record.
    Requested,
    /// Intake's own `failed` record: there is no request.
    Intake,
    /// Before the log that is left begins, or nowhere.
    Unknown,
}

/// A request that the log names.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) origin: Origin,
    /// Offset and time (milliseconds since 1970) of the record that made it.
    pub(super) offset: i64,
    made_at: i64,
    /// Partition and offset of the alert's record; the partition is -1 for another topic.
    pub(super) source: (i32, i64),
    /// Present until it has ended.
    pub(super) open: Option<Box<Open>>,
    pub(super) end: Option<End>,
    /// Whether its end may have been void: it was written before the first claim of a log that begins late.
    pub(super) doubtful: bool,
}

/// A request that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: Box<str>,
    pub(super) device: Key,
    pub(super) device_id: Box<str>,
    pub(super) mode: Option<Mode>,
    /// The scan that covers it.
    pub(super) scan: Option<Box<str>>,
    /// Its record, where the log holds it.
    pub(super) asked: Option<Box<Requested>>,
    /// What it comes to, where it awaits a threshold.
    pub(super) reach: Reach,
}

/// A request that was made once more after its end, by a worker that may still have known it.
#[derive(Debug)]
pub(super) struct Again {
    offset: i64,
    made_at: i64,
    open: Box<Open>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) offset: i64,
    pub(super) outcome: Outcome,
    identity: u64,
}

impl Lane {
    /// Where an alert was observed; -1 stands for a topic that is not balanced.
    fn source(alerts: &[AlertRef], place: &Place<'_>) -> (i32, i64) {
        let alert = alerts.first().filter(|alert| alert.topic == place.options.alerts_topic);
        alert.map_or((-1, -1), |alert| (alert.partition, alert.offset))
    }

    pub(super) fn requested(&mut self, body: &Requested, place: &mut Place<'_>) {
        let Some(id) = body.request_ids.first() else {
            return self
                .violation(ViolationCode::UnreadableRecord, &[], place, || "a request without an id".to_owned());
        };
        let memory = place.options.memory;
        // The worker may know one again for longer than this audit says.
        let reach = self.count_alert(body, !self.requests.contains_key(&key(id)), place);
        let open = Open {
            id: id.as_str().into(),
            device: key(&body.device.id),
            device_id: body.device.id.as_str().into(),
            mode: Some(body.mode),
            scan: None,
            asked: self.is_first(body, place).then(|| Box::new(body.clone())),
            reach,
        };
        self.know_alert(body, id);
        let known = self.requests.get_mut(&key(id));
        let Some(known) = known else {
            let request = Request {
                origin: Origin::Requested,
                offset: place.offset,
                made_at: place.time.as_millisecond(),
                source: Self::source(&body.alerts, place),
                open: Some(Box::new(open)),
                end: None,
                doubtful: false,
            };
            self.requests.insert(key(id), request);
            return;
        };
        if known.origin == Origin::Intake {
            let first = known.offset;
            return self.violation(ViolationCode::SecondOutcome, &[first], place, || {
                format!("request {id} had already failed at intake")
            });
        }
        // The worker forgets by the clock of the dispatch side, and the latest requests much later than the others.
        let age = self.dispatch_clock.map_or(0, |clock| clock.as_millisecond().saturating_sub(known.made_at));
        let older = |than: Duration| i128::from(age) > i128::try_from(than.as_millis()).unwrap_or(i128::MAX);
        if known.end.is_none() || known.origin != Origin::Requested || !older(memory) {
            place.repeated = true;
            return;
        }
        let mut again = Again { offset: place.offset, made_at: place.time.as_millisecond(), open: Box::new(open) };
        if self.again.contains_key(&key(id)) {
            // Which of the records made it, if one did, is not told.
            (again.open.asked, again.open.reach) = (None, Reach::default());
        }
        self.again.insert(key(id), again);
        if older(A_DAY.saturating_add(place.options.clock_tolerance)) {
            // Somebody reads old alerts again: the request lives once more.
            self.live_again(key(id));
        } else {
            place.repeated = true;
        }
    }

    /// A record about these requests shows that those live that were made again after their end.
    pub(super) fn show_alive(&mut self, ids: &[String], place: &Place<'_>) {
        if self.again.is_empty() {
            return;
        }
        for id in ids.iter().map(|id| key(id)) {
            // The record of its end may come twice, too.
            let end = self.requests.get(&id).and_then(|request| request.end);
            if end.is_some_and(|end| end.identity != place.identity) && self.live_again(id) {
                self.counts.duplicates = self.counts.duplicates.saturating_sub(1);
            }
        }
    }

    fn live_again(&mut self, id: Key) -> bool {
        let (Some(again), Some(request)) = (self.again.remove(&id), self.requests.get_mut(&id)) else { return false };
        (request.offset, request.made_at) = (again.offset, again.made_at);
        (request.open, request.end, request.doubtful) = (Some(again.open), None, false);
        self.counts.requested_again += 1;
        true
    }

    /// Whether this is certainly the first record of the request: the first one binds, and in a log that begins late it may
    /// be gone while the request was still open or known again.
    fn is_first(&self, body: &Requested, place: &Place<'_>) -> bool {
        let age = body.expires_at.duration_since(place.time).unsigned_abs();
        self.reaches_back(age.max(A_DAY), place.time)
    }

    /// Takes a request of a log that begins late on trust: it was made before the log that is left, or its end was void.
    pub(super) fn trust(&mut self, id: &str, device: &DeviceRef, place: &Place<'_>) {
        let request = self.requests.entry(key(id)).or_insert_with(|| Request {
            origin: Origin::Unknown,
            offset: place.offset,
            made_at: place.time.as_millisecond(),
            source: (-1, -1),
            open: None,
            end: None,
            doubtful: true,
        });
        if std::mem::take(&mut request.doubtful) {
            request.end = None;
            request.open = Some(Box::new(Open {
                id: id.into(),
                device: key(&device.id),
                device_id: device.id.as_str().into(),
                mode: None,
                scan: None,
                asked: None,
                reach: Reach::default(),
            }));
        }
    }

    /// Ends a request. `scan` is the scan that ends with it, where one does.
    pub(super) fn end(
        &mut self,
        id: &str,
        device: &DeviceRef,
        outcome: Outcome,
        scan: Option<&str>,
        place: &mut Place<'_>,
    ) {
        let known = self.requests.contains_key(&key(id));
        if !known && self.complete {
            self.violation(ViolationCode::TerminalWithoutRequest, &[], place, || {
                format!("request {id} ends as {} and was never made", describe(outcome))
            });
        }
        if !known || !self.complete {
            self.trust(id, device, place);
        }
        let Some(request) = self.requests.get_mut(&key(id)) else { return };
        if let Some(end) = request.end {
            if end.identity == place.identity {
                place.repeated = true;
            } else if request.origin == Origin::Intake {
                self.violation(ViolationCode::SecondOutcome, &[end.offset], place, || {
                    format!("request {id} ends as {} and had failed at intake", describe(outcome))
                });
            } else {
                self.violation(ViolationCode::SecondTerminal, &[end.offset], place, || {
                    format!("request {id} ends as {} and had ended as {}", describe(outcome), describe(end.outcome))
                });
            }
            return;
        }
        let inside = request.open.as_ref().and_then(|open| open.scan.clone());
        if let Some(inside) = inside.filter(|inside| scan != Some(&**inside)) {
            // The scan's own end is still to come, and ends the request for good.
            let intent = self.scans.get(&inside).map(|scan| scan.offset).into_iter().collect::<Vec<_>>();
            self.violation(ViolationCode::TerminalInsideScan, &intent, place, || {
                format!("request {id} ends as {} while scan {inside} covers it", describe(outcome))
            });
            return;
        }
        request.open = None;
        request.end = Some(End { offset: place.offset, outcome, identity: place.identity });
    }

    pub(super) fn shadowed(&mut self, body: &Shadowed, place: &mut Place<'_>) {
        if self.counts_under(&body.claim) {
            self.show_alive(&body.request_ids, place);
            self.device(&body.device.id).may_rest(body.cooldown_until);
            body.request_ids.iter().for_each(|id| self.end(id, &body.device, Outcome::Shadowed, None, place));
        }
    }

    pub(super) fn suppressed(&mut self, body: &Suppressed, place: &mut Place<'_>) {
        if self.counts_under(&body.claim) {
            self.show_alive(&body.request_ids, place);
            self.check_suppressed(body, place);
            let outcome = Outcome::Suppressed(body.reason);
            body.request_ids.iter().for_each(|id| self.end(id, &body.device, outcome, None, place));
        }
    }

    pub(super) fn failed(&mut self, body: &Failed, place: &mut Place<'_>) {
        if body.claim == INTAKE && body.reason == FailedReason::EvaluationError {
            body.request_ids.iter().for_each(|id| self.failed_at_intake(id, &body.alerts, place));
            return;
        }
        if !self.counts_under(&body.claim) {
            return;
        }
        self.show_alive(&body.request_ids, place);
        self.check_failed(body, place);
        if let Some(until) = body.device_unfit_until {
            self.device(&body.device.id).unfit(body.reason, until, place.offset);
        }
        if let Some(scan_id) = &body.scan_id {
            self.scan_failed(scan_id, body, place);
        }
        if let (Some(scan_type), Some(until)) = (body.scan_type, body.cooldown_until) {
            self.device(&body.device.id).rests(scan_type, until, place.offset);
        }
        let scan = body.scan_id.as_deref();
        for id in &body.request_ids {
            self.end(id, &body.device, Outcome::Failed(body.reason), scan, place);
        }
    }

    /// A rule could not be evaluated: intake says so in the ledger, one record per observation, and asks for nothing.
    fn failed_at_intake(&mut self, id: &str, alerts: &[AlertRef], place: &mut Place<'_>) {
        let Some(known) = self.requests.get(&key(id)) else {
            let outcome = Outcome::Failed(FailedReason::EvaluationError);
            let request = Request {
                origin: Origin::Intake,
                offset: place.offset,
                made_at: place.time.as_millisecond(),
                source: Self::source(alerts, place),
                open: None,
                end: Some(End { offset: place.offset, outcome, identity: place.identity }),
                doubtful: false,
            };
            self.requests.insert(key(id), request);
            return;
        };
        if known.origin == Origin::Intake {
            place.repeated = true;
        } else {
            let first = known.offset;
            self.violation(ViolationCode::SecondOutcome, &[first], place, || {
                format!("request {id} fails at intake and had been made before")
            });
        }
    }

    /// The text of a request that has not ended.
    pub(super) fn name_of(&self, request: Key) -> String {
        let open = self.requests.get(&request).and_then(|request| request.open.as_ref());
        open.map_or_else(|| "(ended)".to_owned(), |open| open.id.to_string())
    }
}

/// An outcome with its reason, in words.
pub(super) fn describe(outcome: Outcome) -> String {
    match outcome.reason() {
        "" => outcome.as_str().to_owned(),
        reason => format!("{} ({reason})", outcome.as_str()),
    }
}
