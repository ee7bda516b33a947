//! Scans after their intent: launching the call, following open actions and resolving what is in doubt, all by one
//! list of machine actions.

use std::time::Duration;

use jiff::Timestamp;

use super::answers::reaches;
use super::breaker::Probe;
use super::command::{Call, Command, SeenAction};
use super::growth::grows_until;
use super::local::{CallState, Timer};
use super::state::{Phase, Scan, after, before};
use super::{Protection, Scheduler, comment, marker_of};
use crate::event::{
    Action, EventBody, Failed, FailedReason, Finished, FinishedStatus, ResolvedBy, ScanType, WithdrawReason, Withdrawn,
};

/// Reach of a list before the moment that matters, for clocks that differ.
const LIST_MARGIN: Duration = Duration::from_secs(600);

impl Scheduler {
    /// Looks at every scan that something happened to or whose time has come.
    pub(super) fn settle_scans(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        self.local.drop_finished_calls(&self.state);
        while let Some(scan_id) = self.local.touched_scans.pop_first() {
            let Some(scan) = self.state.scans.get(&scan_id).cloned() else { continue };
            if self.local.is_busy(&scan.device.id) {
                // The record on its way will touch it again.
                continue;
            }
            match &scan.phase {
                Phase::Intended { claim, time, resolve_after } => {
                    let known = self.local.calls.get(&(scan_id.clone(), scan.attempt));
                    if *claim == self.claim && known.is_none() {
                        self.launch(&scan_id, &scan, *time, now, commands);
                    } else {
                        if *resolve_after > now {
                            self.local.timers.insert((*resolve_after, Timer::Scan(scan_id.clone())));
                        }
                        self.give_up_doubt(&scan_id, &scan, *resolve_after, now, commands);
                    }
                }
                Phase::Refused { reason, detail, unfit_until } => {
                    // It may be running all the same.
                    let doubted = *reason == FailedReason::InDoubt;
                    let all: Vec<String> = scan.requests.iter().chain(&scan.joined).cloned().collect();
                    let body = Failed {
                        device_unfit_until: *unfit_until,
                        scan_type: doubted.then_some(scan.scan_type),
                        cooldown_until: doubted.then(|| after(now, scan.cooldown)),
                        claim: self.claim.clone(),
                        scan_id: Some(scan_id.clone()),
                        alerts: self.state.alerts_of(&all),
                        request_ids: all,
                        device: scan.device.clone(),
                        reason: *reason,
                        detail: detail.clone(),
                    };
                    self.append(now, &scan.device.id, EventBody::Failed(body), commands);
                }
                Phase::Open { follow_until, action, foreign, .. } => {
                    if *follow_until <= now {
                        // Somebody else's scan is not ours to cancel, and a cancellation is a call like any other.
                        let cancel = self.settings.cancel_at_deadline && !foreign && !self.is_halted();
                        if let Some(action) = action.clone().filter(|_| cancel) {
                            commands.push(Command::Call(Call::Cancel { action_id: action.id }));
                        }
                        let action = action.clone();
                        self.finish(&scan_id, &scan, action, FinishedStatus::TimedOut, now, commands);
                    } else {
                        self.local.timers.insert((*follow_until, Timer::Scan(scan_id.clone())));
                    }
                }
            }
        }
    }

    /// The intent was read back: calls the API, unless something came between.
    fn launch(&mut self, scan_id: &str, scan: &Scan, time: Timestamp, now: Timestamp, commands: &mut Vec<Command>) {
        let too_old = scan
            .requests
            .iter()
            .filter_map(|id| self.state.requests.get(id))
            .all(|request| request.asked.expires_at <= now);
        let call = Probe::Scan(scan_id.to_owned(), scan.attempt);
        let withdrawn = if self.is_halted() {
            Some(WithdrawReason::Halted)
        } else if after(time, self.settings.leave_within) < now || now < before(time, self.settings.leave_within) {
            Some(WithdrawReason::TooLate)
        } else if self.is_paused(now) || !self.local.breaker.may_go_on(&call) {
            Some(WithdrawReason::Paused)
        } else if matches!(self.protection_of(&scan.device.id, &scan.device), Protection::Protected(_)) {
            Some(WithdrawReason::Protected)
        } else if self.is_any_silenced(&scan.device.id, &scan.requests, now) {
            Some(WithdrawReason::Silenced)
        } else if self.is_any_kept_by_an_earlier_trip(scan_id, scan) {
            Some(WithdrawReason::Tripped)
        } else if self.is_any_covered_by_rest(scan, now) {
            Some(WithdrawReason::Resting)
        } else if too_old {
            Some(WithdrawReason::TooOld)
        } else {
            None
        };
        if let Some(withdrawn) = withdrawn {
            self.local.breaker.dropped(&call);
            let body =
                Withdrawn { claim: self.claim.clone(), scan_id: scan_id.to_owned(), attempt: scan.attempt, withdrawn };
            self.append(now, &scan.device.id, body.into(), commands);
            return;
        }
        self.local.calls.insert((scan_id.to_owned(), scan.attempt), CallState::InFlight);
        commands.push(Command::Call(Call::Scan {
            scan_id: scan_id.to_owned(),
            attempt: scan.attempt,
            device_id: scan.device.id.clone(),
            scan_type: scan.scan_type,
            comment: scan.comment.clone(),
            intent_time: time,
        }));
    }

    /// Ends the finding of a scan's fate: the action ended, or its deadline passed.
    fn finish(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        action: Option<Action>,
        status: FinishedStatus,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let began_at = match scan.phase {
            Phase::Open { since, .. } => Some(since),
            Phase::Intended { .. } | Phase::Refused { .. } => None,
        };
        let body = Finished {
            began_at,
            cooldown_step: scan.cooldown_step,
            cooldown_grows_until: grows_until(after(now, scan.cooldown), scan.cooldown_grows_for),
            claim: self.claim.clone(),
            scan_id: scan_id.to_owned(),
            request_ids: scan.requests.clone(),
            joined_request_ids: scan.joined.clone(),
            device: scan.device.clone(),
            alerts: self.state.alerts_of(scan.requests.iter().chain(&scan.joined)),
            scan_type: scan.scan_type,
            action,
            status,
            cooldown_until: after(now, scan.cooldown),
        };
        self.append(now, &scan.device.id, body.into(), commands);
    }

    /// Asks for a list of machine actions when something open or in doubt needs one.
    pub(super) fn list(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.local.list_in_flight || self.local.may_not_read || self.are_reads_paused(now) {
            return;
        }
        let wanted = self.local.list_wanted && self.local.list_failures == 0;
        if !wanted && self.local.next_list_check.is_some_and(|next| now < next) {
            return;
        }
        let shortest = self.settings.follow_interval.min(self.settings.list_gap).min(self.settings.settle);
        let pause = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(5));
        self.local.next_list_check = Some(after(now, pause));
        let Some(created_since) = self.list_due(now) else { return };
        if !self.local.lists.take(now, &self.settings.reads) {
            return;
        }
        self.local.list_wanted = false;
        self.local.list_in_flight = true;
        self.local.last_list_try = Some(now);
        commands.push(Command::Call(Call::List { created_since }));
    }

    /// How far back the next list must reach; `None` if nothing needs one now.
    fn list_due(&self, now: Timestamp) -> Option<Timestamp> {
        let longest = self.settings.quick_deadline.max(self.settings.full_deadline);
        let follow = self.local.last_list_try.is_none_or(|last| after(last, self.settings.follow_interval) <= now);
        let mut due = self.local.list_wanted;
        let mut since: Option<Timestamp> = None;
        let mut reach = |moment: Timestamp| since = Some(since.map_or(moment, |since| since.min(moment)));
        for (scan_id, scan) in &self.state.scans {
            match &scan.phase {
                Phase::Intended { time, resolve_after, .. } => {
                    match self.call_state(scan_id, scan) {
                        // A running action of somebody else may be as old as Defender lets it grow.
                        Some(CallState::AlreadyRunning) => {
                            reach(before(now, longest));
                            due |= self.second_list_due(scan_id, now);
                        }
                        Some(CallState::InFlight | CallState::Answered) => {}
                        Some(CallState::InDoubt) | None => {
                            reach(before(*time, LIST_MARGIN));
                            due |= *resolve_after <= now && self.second_list_due(scan_id, now);
                        }
                    }
                }
                Phase::Open { since, foreign, .. } => {
                    reach(before(if *foreign { before(*since, longest) } else { *since }, LIST_MARGIN));
                    due |= follow;
                }
                Phase::Refused { .. } => {}
            }
        }
        since.filter(|_| due)
    }

    /// Whether a first list without a trace is old enough for the second, or there was none yet.
    fn second_list_due(&self, scan_id: &str, now: Timestamp) -> bool {
        self.local.negatives.get(scan_id).is_none_or(|first| after(*first, self.settings.list_gap) <= now)
    }

    /// Our call of the scan's latest attempt; `None` if a former owner made it, or nobody.
    fn call_state(&self, scan_id: &str, scan: &Scan) -> Option<CallState> {
        self.local.calls.get(&(scan_id.to_owned(), scan.attempt)).cloned()
    }

    /// Reads a complete list for every scan that is open or in doubt.
    pub(super) fn read_list(
        &mut self,
        created_since: Timestamp,
        started_at: Timestamp,
        actions: &[SeenAction],
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        self.local.last_list = Some(started_at);
        let mut by_id = std::collections::HashMap::new();
        let mut by_device: std::collections::HashMap<&str, Vec<&SeenAction>> = std::collections::HashMap::new();
        for action in actions {
            by_id.insert(action.id.as_str(), action);
            if let Some(device) = &action.device_id {
                by_device.entry(device).or_default().push(action);
            }
        }
        // The API leaves fields of a young action empty; by its marker it is known all the same.
        let of_none: Vec<&SeenAction> = actions.iter().filter(|action| action.device_id.is_none()).collect();
        let mut scan_ids: Vec<String> = self.state.scans.keys().cloned().collect();
        scan_ids.sort_unstable();
        for scan_id in scan_ids {
            let Some(scan) = self.state.scans.get(&scan_id).cloned() else { continue };
            if self.local.is_busy(&scan.device.id) {
                continue;
            }
            let of_device = by_device.get(scan.device.id.as_str()).map_or(&[][..], Vec::as_slice);
            match &scan.phase {
                Phase::Refused { .. } => {}
                Phase::Open { action, .. } => {
                    let seen = match action {
                        Some(action) => by_id.get(action.id.as_str()).copied(),
                        None => None,
                    };
                    if let Some((seen, status)) = seen.and_then(|seen| Some((seen, ended(&seen.status)?))) {
                        let action = Action { id: seen.id.clone(), status: seen.status.clone() };
                        self.finish(&scan_id, &scan, Some(action), status, now, commands);
                    }
                }
                Phase::Intended { time, resolve_after, .. } => {
                    let call = self.call_state(&scan_id, &scan);
                    if matches!(call, Some(CallState::InFlight | CallState::Answered)) {
                        continue;
                    }
                    let running = call == Some(CallState::AlreadyRunning);
                    // Without a marker, an action that names no device may be ours and may be anybody's.
                    let may_be_ours = |action: &&SeenAction| action.comment.as_ref() == Some(&scan.comment);
                    let unmarked = !scan.comment.contains(&marker_of(&scan_id));
                    let unclear = unmarked && of_none.iter().any(may_be_ours);
                    let conclusive = created_since <= *time && !unclear && (running || *resolve_after <= started_at);
                    let marked = Self::marked_in(&scan_id, &scan, of_device, &of_none);
                    if let Some(action) = marked {
                        let arrived_by = self.slot_arrival(&scan_id, scan.attempt).unwrap_or(now);
                        self.accept(&scan_id, &scan, action, ResolvedBy::List, arrived_by, now, commands);
                        continue;
                    }
                    self.resolve(&scan_id, &scan, of_device, running, conclusive, started_at, now, commands);
                }
            }
        }
    }

    /// The action of an attempt without a result: of its device, or, known by its marker, of no device that the list tells.
    /// One that scans less than is wanted is of an earlier attempt.
    fn marked_in<'a>(
        scan_id: &str,
        scan: &Scan,
        of_device: &[&'a SeenAction],
        of_none: &[&'a SeenAction],
    ) -> Option<&'a SeenAction> {
        let of_none = if scan.comment.contains(&marker_of(scan_id)) { of_none } else { &[] };
        of_device.iter().chain(of_none).copied().find(|action| {
            let found = action.comment.as_ref();
            reaches(action, scan.scan_type) && found.is_some_and(|found| comment::is_of(scan_id, &scan.comment, found))
        })
    }

    /// Resolves an attempt without a result from what a list shows of its device, its own action not being there.
    #[expect(clippy::too_many_arguments, reason = "one finding, told in full")]
    fn resolve(
        &mut self,
        scan_id: &str,
        scan: &Scan,
        of_device: &[&SeenAction],
        running: bool,
        conclusive: bool,
        started_at: Timestamp,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let arrived_by = self.slot_arrival(scan_id, scan.attempt).unwrap_or(now);
        let open = of_device.iter().filter(|action| ended(&action.status).is_none());
        let widest = open.max_by_key(|action| action.scope.unwrap_or(ScanType::Quick));
        match widest {
            Some(action) if (running || conclusive) && action.scope.unwrap_or(ScanType::Quick) >= scan.scan_type => {
                self.join_foreign(scan_id, scan, action, arrived_by, now, commands);
            }
            Some(_) if running => self.busy(scan_id, scan, arrived_by, now, commands),
            _ if !conclusive => {}
            _ => match self.local.negatives.get(scan_id) {
                None => {
                    self.local.negatives.insert(scan_id.to_owned(), started_at);
                }
                Some(first) if after(*first, self.settings.list_gap) <= started_at => {
                    self.not_accepted(scan_id, scan, arrived_by, now, commands);
                }
                Some(_) => {}
            },
        }
    }

    /// The moment by which an attempt's call had certainly arrived, as its intent reserved it.
    pub(super) fn slot_arrival(&self, scan_id: &str, attempt: u32) -> Option<Timestamp> {
        let slot = self.state.slots.iter().find(|slot| slot.scan_id == scan_id && slot.attempt == attempt);
        slot.map(|slot| slot.arrived_by)
    }
}

/// How an action ended; `None` while it is open, or in a state that we do not know.
pub(super) fn ended(status: &str) -> Option<FinishedStatus> {
    match status {
        "Succeeded" => Some(FinishedStatus::Succeeded),
        "Failed" => Some(FinishedStatus::Failed),
        "TimeOut" => Some(FinishedStatus::TimedOut),
        "Cancelled" => Some(FinishedStatus::Cancelled),
        _ => None,
    }
}
