//! What a record that landed must say, given what the API did and what landed before.

use std::collections::BTreeSet;

use super::super::coverage::{Coverage, withdrawn_word};
use super::super::event::{
    Accepted, AttemptFailed, AttemptResult, Carried, ControlAction, EventBody, Finished, FinishedStatus, Joined,
    Requested, ResolvedBy, ScanEvent, SuppressedReason,
};
use super::super::ledger::{Asked, Scan};
use super::*;

impl Checks {
    /// A record landed.
    pub(crate) fn landed(&mut self, sight: &Sight<'_>, event: &ScanEvent, coverage: &mut Coverage) -> Kept {
        let current = event.body.claim().is_none_or(|claim| self.ledger.in_force(claim));
        self.ledger.records += 1;
        let counts = match &event.body {
            EventBody::Genesis(_) | EventBody::Claim(_) | EventBody::Requested(_) => true,
            EventBody::AttemptFailed(body) => self.ledger.awaits(&body.scan_id, body.attempt),
            EventBody::Accepted(body) => self.ledger.awaits(&body.scan_id, body.attempt),
            EventBody::Joined(body) => match body.attempt {
                Some(attempt) => self.ledger.awaits(&body.scan_id, attempt),
                None => current,
            },
            _ => current,
        };
        if counts {
            coverage.saw("record", event.body.name());
        }
        match (counts, current) {
            (true, false) if !matches!(event.body, EventBody::Claim(_)) => {
                coverage.saw("log", "former_owners_fact_counts");
            }
            (false, false) => coverage.saw("log", "former_owners_decision_void"),
            _ => {}
        }
        let time = event.time;
        let own = match &event.body {
            EventBody::Requested(_) => false,
            EventBody::Control(body) => matches!(body.control, ControlAction::Tripped { .. }),
            _ => true,
        };
        if own {
            self.ledger.orders.dispatch_wrote(time);
        }
        match &event.body {
            EventBody::Genesis(_) => Ok(()),
            EventBody::Claim(body) => {
                self.ledger.claim = Some(body.claim.clone());
                Ok(())
            }
            EventBody::Control(body) if counts => self.ordered(sight, &body.control, time, coverage),
            EventBody::Carried(body) if counts => {
                coverage.saw("carried", carried_word(body));
                Ok(())
            }
            EventBody::Requested(body) => {
                self.requested(body, time, coverage);
                Ok(())
            }
            EventBody::Intent(body) if counts => self.intent(sight, body, time, coverage),
            EventBody::Withdrawn(body) if counts => {
                coverage.saw("withdrawn", withdrawn_word(body.withdrawn));
                coverage.saw("transition", "intended > withdrawn");
                if let Some(made) = self.ledger.attempts.get_mut(&(body.scan_id.clone(), body.attempt)) {
                    ensure("truth", !made.launched, || format!("{body:?} was called and then withdrawn"))?;
                    made.withdrawn = true;
                }
                ensure("truth", self.ledger.awaits(&body.scan_id, body.attempt), || format!("{body:?} out of turn"))?;
                self.withdrawn(sight, body, time)?;
                self.ledger.requeue(&body.scan_id, time);
                Ok(())
            }
            EventBody::AttemptFailed(body) => self.attempt_failed(sight, body, time, counts, coverage),
            EventBody::Accepted(body) => self.accepted(sight, body, time, counts, coverage),
            EventBody::Joined(body) if body.attempt.is_some() => self.met(sight, body, counts, coverage),
            EventBody::Joined(body) if counts => self.joined(sight, body, time, coverage),
            EventBody::Shadowed(body) if counts => {
                coverage.saw("transition", "waiting > shadowed");
                self.shadowed(sight, body, time)?;
                self.end(&body.request_ids, false)
            }
            EventBody::Suppressed(body) if counts => {
                coverage.saw("suppressed", body.reason.as_str());
                coverage.saw("transition", "waiting > suppressed");
                self.justified(sight, body, time)?;
                self.end(&body.request_ids, body.reason == SuppressedReason::Duplicate)
            }
            EventBody::Failed(body) if counts => {
                coverage.saw("failed", body.reason.as_str());
                self.failed(sight, body, time)?;
                let device = input::device_of(&body.device.id);
                self.ledger.unfit(device, body.device_unfit_until);
                // What may be running all the same lets its device rest.
                if let (Some(until), Some(scan_type)) = (body.cooldown_until, body.scan_type) {
                    self.ledger.rest(device, until, scan_type);
                }
                match &body.scan_id {
                    Some(scan_id) => {
                        coverage.saw("transition", "refused > failed");
                        self.ends_scan(scan_id, body.request_ids.iter(), &[Stage::Refused])?;
                    }
                    None => coverage.saw("transition", "waiting > failed"),
                }
                self.end(&body.request_ids, true)
            }
            EventBody::Finished(body) if counts => self.finished(sight, body, time, coverage),
            _ => Ok(()),
        }
    }

    fn requested(&mut self, body: &Requested, time: Timestamp, coverage: &mut Coverage) {
        let (Some(id), Some(alert)) = (body.request_ids.first(), body.alerts.first()) else { return };
        if self.ledger.asked.contains_key(id) {
            coverage.saw("log", "redelivery_ignored");
            return;
        }
        let device = input::device_of(&body.device.id);
        self.ledger.open += 1;
        self.ledger.alerts.entry((alert.id.clone(), device)).or_default().push(id.clone());
        self.ledger.devices[device].waiting.insert(id.clone());
        let wants = self.ledger.counts.wanted(body, time);
        if wants.scan_type > body.scan_type {
            coverage.saw("threshold", "escalated");
        }
        if body.terms.awaits_threshold && !wants.below {
            coverage.saw("threshold", if wants.mode == Mode::Live { "reached" } else { "reached_in_shadow" });
        }
        let asked = Asked { asked: body.clone(), wants, time, ended: 0, may_come_again: false };
        self.ledger.asked.insert(id.clone(), asked);
    }

    fn intent(&mut self, sight: &Sight<'_>, body: &Intent, time: Timestamp, coverage: &mut Coverage) -> Kept {
        self.intended(sight, body, time)?;
        let number = input::device_of(&body.device.id);
        let device = &mut self.ledger.devices[number];
        coverage.saw("transition", if device.retry.is_some() { "retry > intended" } else { "waiting > intended" });
        device.retry = None;
        device.scan = Some(body.scan_id.clone());
        for id in &body.request_ids {
            device.waiting.remove(id);
        }
        let before = self.ledger.scans.get(&body.scan_id);
        let scan = Scan {
            device: number,
            attempt: body.attempt,
            counted: before.map_or(0, |before| before.counted),
            stage: Stage::Intended,
            unresolved: before.is_some_and(|before| before.unresolved),
            action: None,
            scope: body.scan_type,
            cooldown: body.cooldown_seconds,
            follow_until: None,
            requests: body.request_ids.clone(),
        };
        self.ledger.scans.insert(body.scan_id.clone(), scan);
        let key = (body.scan_id.clone(), body.attempt);
        let position = self.ledger.records - 1;
        let made = Attempt { intent: body.clone(), time, position, withdrawn: false, launched: false };
        self.ledger.attempts.insert(key.clone(), made);
        self.ledger.order.push(key);
        self.reach(sight, body, time)
    }

    fn attempt_failed(
        &mut self,
        sight: &Sight<'_>,
        body: &AttemptFailed,
        time: Timestamp,
        counts: bool,
        coverage: &mut Coverage,
    ) -> Kept {
        let hardness = sight.hardness;
        let made = sight.api.by_scan.get(&body.scan_id).map(|position| &sight.api.actions[*position]);
        let made = made.filter(|action| action.ours.as_ref().is_some_and(|(_, attempt)| *attempt == body.attempt));
        let honest = body.result == AttemptResult::InDoubt || hardness.may_scan_twice();
        ensure("truth", made.is_none() || honest, || format!("{body:?} but the API did make {made:?}"))?;
        if let Some(until) = body.lane_paused_until {
            self.pauses.push((until, self.ledger.order.len()));
        }
        if !counts {
            return Ok(());
        }
        let key = (body.scan_id.clone(), body.attempt);
        // What was told that something runs was refused; a list only says what to wait for.
        let doubtful = !hardness.may_scan_twice() && !sight.api.told_running.contains(&key);
        if body.result == AttemptResult::NotAccepted && doubtful {
            let resolve_after = self.ledger.attempts.get(&key).map(|made| made.intent.resolve_after);
            let proven = resolve_after.map(|from| later(from, hardness.settings.list_gap));
            ensure("doubt", proven.is_none_or(|proven| time + hardness.slack() >= proven), || {
                format!("{body:?} at {time}, before two lists can have shown it: {proven:?}")
            })?;
        }
        let writer = body.claim.strip_prefix("claim-").and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
        let spared = sight.api.is_of_outage(writer, &body.scan_id, body.attempt);
        let spared = spared && body.result == AttemptResult::NotAccepted;
        ensure("breaker", !spared || !body.counts, || format!("{body:?} counts, and nothing worked"))?;
        if spared {
            coverage.saw("outage", "lost_and_not_counted");
        }
        let Some(scan) = self.ledger.scans.get_mut(&body.scan_id) else { return Ok(()) };
        scan.counted += u32::from(body.counts);
        scan.unresolved |= body.result == AttemptResult::InDoubt || (made.is_some() && hardness.may_scan_twice());
        let result = body.result.as_str();
        match body.retry_at {
            Some(retry_at) => {
                let (counted, max) = (scan.counted, hardness.settings.retry.max_attempts);
                ensure("attempts", counted < max, || format!("{body:?} is tried again after {counted} attempts"))?;
                coverage.saw("retried", result);
                coverage.saw("transition", "intended > retry");
                self.ledger.requeue(&body.scan_id, retry_at);
            }
            None => {
                coverage.saw("final", result);
                coverage.saw("transition", "intended > refused");
                scan.stage = Stage::Refused;
            }
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        sight: &Sight<'_>,
        body: &Accepted,
        time: Timestamp,
        counts: bool,
        coverage: &mut Coverage,
    ) -> Kept {
        let device = input::device_of(&body.device.id);
        let action = sight.api.action(&body.action.id).filter(|action| action.device == device);
        let ours = action.and_then(|action| action.ours.as_ref()).is_some_and(|(scan, _)| *scan == body.scan_id);
        // Without a marker equal comments cannot be told apart, and somebody may copy one with its marker, that of an earlier
        // attempt too.
        let copied = |comment: &str| {
            let mut attempts = self.ledger.attempts.iter().filter(|((scan, _), _)| *scan == body.scan_id);
            attempts.any(|(_, made)| made.intent.comment == comment)
        };
        let alike = || {
            action.is_some_and(|action| {
                action.ours.is_none() && copied(&action.comment)
                    || !sight.hardness.settings.comment_marker && action.comment == body.comment
            })
        };
        ensure("truth", ours || alike(), || format!("{body:?} but {action:?}"))?;
        let enough = action.is_some_and(|action| action.scope >= body.scan_type);
        ensure("truth", enough, || format!("{body:?} says more than {action:?} does"))?;
        if let Some(made) = self.ledger.attempts.get(&(body.scan_id.clone(), body.attempt)) {
            let least = later(time, Duration::from_secs(made.intent.cooldown_seconds));
            ensure("cooldown", body.cooldown_until >= least, || format!("{body:?} sets a rest that is too short"))?;
        }
        self.ledger.rest(device, body.cooldown_until, body.scan_type);
        self.ledger.devices[device].row = body.cooldown_grows_until.map(|until| (body.cooldown_step, until));
        if body.cooldown_step > 0 {
            coverage.saw("log", "rest_has_grown");
        }
        if counts {
            coverage.saw(
                "transition",
                match body.resolved_by {
                    ResolvedBy::Answer => "intended > open by answer",
                    ResolvedBy::List => "intended > open by list",
                },
            );
            let seen = Some(body.action.id.clone());
            self.ledger.opens(&body.scan_id, Stage::Open, seen, body.scan_type, body.follow_until);
        }
        Ok(())
    }

    /// An attempt met an action that was running already.
    fn met(&mut self, sight: &Sight<'_>, body: &Joined, counts: bool, coverage: &mut Coverage) -> Kept {
        let device = input::device_of(&body.device.id);
        if let Some(action) = &body.action {
            let seen = sight.api.action(&action.id).filter(|seen| seen.device == device);
            let wanted = self.ledger.scans.get(&body.scan_id).map(|scan| scan.scope).filter(|_| counts);
            let enough = seen.is_some_and(|seen| wanted.is_none_or(|wanted| covers(seen.scope, wanted)));
            ensure("join", enough, || format!("{body:?} joins {seen:?}, which does not cover {wanted:?}"))?;
        }
        self.ledger.rest(device, body.cooldown_until, body.scan_type);
        if counts {
            let stage = if body.action.is_some() { Stage::Foreign } else { Stage::Unseen };
            let unseen = stage == Stage::Unseen;
            coverage.saw("transition", if unseen { "intended > open unseen" } else { "intended > open foreign" });
            let seen = body.action.as_ref().map(|action| action.id.clone());
            self.ledger.opens(&body.scan_id, stage, seen, body.scan_type, body.follow_until);
        }
        Ok(())
    }

    /// Waiting requests join their device's open scan.
    fn joined(&mut self, sight: &Sight<'_>, body: &Joined, time: Timestamp, coverage: &mut Coverage) -> Kept {
        coverage.saw("transition", "waiting > joined");
        body.request_ids.iter().try_for_each(|id| self.first_of_its_alert(id, time))?;
        let Some(scan) = self.ledger.scans.get_mut(&body.scan_id) else {
            return ensure("join", false, || format!("{body:?} joins no scan"));
        };
        let open = matches!(scan.stage, Stage::Open | Stage::Foreign | Stage::Unseen);
        ensure("join", open, || format!("{body:?} joins {scan:?}"))?;
        for id in &body.request_ids {
            let asked = self.ledger.asked.get(id);
            let wanted = asked.map(|asked| self.ledger.orders.wanted(asked, sight.read).0);
            ensure("join", wanted.is_some_and(|wanted| covers(scan.scope, wanted)), || {
                format!("{body:?}: {id} wants {wanted:?}, {scan:?}")
            })?;
            let waited = self.ledger.devices[scan.device].waiting.remove(id);
            ensure("join", waited, || format!("{body:?}: {id} does not wait"))?;
            scan.requests.push(id.clone());
        }
        Ok(())
    }

    fn finished(&mut self, sight: &Sight<'_>, body: &Finished, time: Timestamp, coverage: &mut Coverage) -> Kept {
        coverage.saw("finished", body.status.as_str());
        let Some(scan) = self.ledger.scans.get(&body.scan_id) else {
            return ensure("truth", false, || format!("{body:?} ends no scan"));
        };
        coverage.saw(
            "transition",
            match scan.stage {
                Stage::Open => "open > finished",
                Stage::Foreign => "foreign > finished",
                _ => "unseen > finished",
            },
        );
        let seen = body.action.as_ref().and_then(|action| sight.api.action(&action.id));
        let status = seen.map_or("", |seen| seen.status(sight.now));
        let overdue = scan.follow_until.is_some_and(|until| until <= time + sight.hardness.slack());
        let true_word = match body.status {
            FinishedStatus::Succeeded => status == "Succeeded",
            FinishedStatus::Failed => status == "Failed",
            FinishedStatus::Cancelled => status == "Cancelled",
            FinishedStatus::TimedOut => status == "TimeOut" || overdue,
        };
        ensure("truth", true_word, || format!("{body:?} at {time} but {seen:?}, {scan:?}"))?;
        let rest = later(time, Duration::from_secs(scan.cooldown));
        ensure("cooldown", body.cooldown_until >= rest, || format!("{body:?} sets a rest that is too short"))?;
        let device = scan.device;
        self.ledger.rest(device, body.cooldown_until, body.scan_type);
        if let Some(until) = body.cooldown_grows_until {
            self.ledger.devices[device].row = Some((body.cooldown_step, until));
        }
        self.covers(body, time);
        let named = body.request_ids.iter().chain(&body.joined_request_ids);
        self.ends_scan(&body.scan_id, named, &[Stage::Open, Stage::Foreign, Stage::Unseen])?;
        let failed = body.status != FinishedStatus::Succeeded;
        self.end(&body.request_ids, failed)?;
        self.end(&body.joined_request_ids, failed)
    }

    /// A terminal record of a scan names every request that it covers.
    fn ends_scan<'a>(&mut self, scan_id: &str, named: impl Iterator<Item = &'a String>, stages: &[Stage]) -> Kept {
        let named: BTreeSet<&String> = named.collect();
        let scan = self.ledger.scans.get(scan_id);
        let all: BTreeSet<&String> = scan.iter().flat_map(|scan| &scan.requests).collect();
        let fits = scan.is_some_and(|scan| stages.contains(&scan.stage));
        ensure("conservation", fits && named == all, || format!("{scan_id} ends {named:?}, not {all:?}: {scan:?}"))?;
        self.ledger.ends(scan_id);
        Ok(())
    }

    fn end(&mut self, request_ids: &[String], may_come_again: bool) -> Kept {
        for id in request_ids {
            let Some(asked) = self.ledger.asked.get_mut(id) else {
                return ensure("conservation", false, || format!("{id} ends and never was"));
            };
            asked.ended += 1;
            asked.may_come_again = may_come_again;
            ensure("conservation", asked.ended == 1, || format!("{id} ends again"))?;
            self.ledger.open -= 1;
            let device = &mut self.ledger.devices[input::device_of(&asked.asked.device.id)];
            device.waiting.remove(id);
            if device.waiting.is_empty() {
                // With nothing left to scan for, the attempts before do not matter any more.
                device.retry = None;
            }
        }
        Ok(())
    }
}

const fn carried_word(carried: &Carried) -> &'static str {
    match carried {
        Carried::Halted { .. } => "halted",
        Carried::Cooldown { .. } => "cooldown",
        Carried::Tripped { .. } => "tripped",
        Carried::Silence { .. } => "silence",
        Carried::DeviceUnfit { .. } => "device_unfit",
        Carried::Quiet { .. } => "quiet",
    }
}
