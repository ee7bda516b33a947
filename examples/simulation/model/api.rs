//! A model of the API: what it does with each call, and its own log of them.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::chance::Chance;
use super::event::{AttemptResult, ScanType};
use super::fault::Fault;
use super::hardness::Hardness;
use super::input::{self, DEVICES};
use super::outage::{Outage, Period};
use super::scheduler::{Refusal, ScanReply, SeenAction};

/// A machine action.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) id: String,
    pub(crate) device: usize,
    pub(crate) scope: ScanType,
    pub(crate) comment: String,
    pub(crate) created_at: Timestamp,
    /// Lists show it from then on.
    visible_at: Timestamp,
    /// Scan and attempt, if it is ours.
    pub(crate) ours: Option<(String, u32)>,
    /// A list has left it out once, as happens while pages shift; it happens to no action twice.
    left_out: bool,
    /// When and how it ends, if ever.
    pub(crate) ends: Option<(Timestamp, &'static str)>,
}

impl Action {
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        match self.ends {
            Some((end, status)) if end <= now => status,
            _ if self.created_at + SignedDuration::from_secs(10) <= now => "InProgress",
            _ => "Pending",
        }
    }

    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.ends.is_none_or(|(end, _)| end > now)
    }

    fn seen(&self, now: Timestamp) -> SeenAction {
        SeenAction {
            id: self.id.clone(),
            device_id: Some(input::device_id(self.device)),
            status: self.status(now).to_owned(),
            scope: Some(self.scope),
            comment: Some(self.comment.clone()),
        }
    }
}

/// A call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) at: Timestamp,
    /// When it left, and from which worker.
    pub(crate) sent: Timestamp,
    pub(crate) owner: u64,
    pub(crate) scan_id: String,
    pub(crate) attempt: u32,
    pub(crate) device: usize,
    pub(crate) scan_type: ScanType,
    pub(crate) comment: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Api {
    pub(crate) actions: Vec<Action>,
    /// Positions in `actions`, by device, oldest first.
    pub(crate) by_device: [Vec<usize>; DEVICES],
    /// Positions in `actions`, by the scan of ours that made them.
    pub(crate) by_scan: HashMap<String, usize>,
    pub(crate) posts: Vec<Post>,
    /// Attempts that were told that something runs, and not what.
    pub(crate) told_running: HashSet<(String, u32)>,
    /// Calls are limited until then; whether the answers say so.
    limited: Option<(Timestamp, bool)>,
    /// Times in which nothing worked, oldest first.
    pub(super) outages: Vec<Period>,
    /// Attempts that their workers gave up and must have seen as part of an outage.
    pub(super) of_outage: HashSet<(u64, String, u32)>,
    /// When [`input::TAGGED_LATER`] was tagged.
    pub(crate) tagged_at: Option<Timestamp>,
}

impl Api {
    /// Somebody else's scan, if the device is free.
    pub(crate) fn foreign(&mut self, chance: &mut Chance, now: Timestamp, hardness: &Hardness) {
        let device = chance.dice.index(DEVICES);
        if self.open_action(device, now).is_some() || !chance.fault(Fault::ForeignScan, hardness.arrivals / 10) {
            return;
        }
        let ours = self.actions.iter().rev().find(|action| action.device == device && action.ours.is_some());
        let comment = match ours.map(|action| action.comment.clone()) {
            Some(copied) if chance.fault(Fault::CommentCopied, 200) => copied,
            _ => "by hand".to_owned(),
        };
        let scope = if chance.dice.chance(300) { ScanType::Full } else { ScanType::Quick };
        self.create(chance, now, device, scope, comment, None);
    }

    pub(crate) fn open_action(&self, device: usize, now: Timestamp) -> Option<&Action> {
        let latest = self.by_device[device].last().map(|position| &self.actions[*position]);
        latest.filter(|action| action.is_open(now))
    }

    fn create(
        &mut self,
        chance: &mut Chance,
        now: Timestamp,
        device: usize,
        scope: ScanType,
        comment: String,
        ours: Option<(String, u32)>,
    ) -> SeenAction {
        let lag = chance.dice.millis(1_000, 58_000);
        let visible_at = if chance.fault(Fault::ListLag, 200) { now + lag } else { now };
        let end = now + chance.dice.millis(5_000, 900_000);
        let how = ["Failed", "Cancelled", "TimeOut"][chance.dice.index(3)];
        let ends = match () {
            () if chance.fault(Fault::StuckDevice, 100) => None,
            () if chance.fault(Fault::ActionFails, 330) => Some((end, how)),
            () => Some((end, "Succeeded")),
        };
        let position = self.actions.len();
        let id = format!("action-{position}");
        if let Some((scan, _)) = &ours {
            self.by_scan.insert(scan.clone(), position);
        }
        self.by_device[device].push(position);
        let action = Action { id, device, scope, comment, created_at: now, visible_at, ours, left_out: false, ends };
        let seen = action.seen(now);
        chance.tell(|| format!("API makes {action:?}"));
        self.actions.push(action);
        seen
    }

    /// A call to start a scan arrives: what the API answers, if the answer gets through.
    pub(crate) fn arrive(&mut self, chance: &mut Chance, hardness: &Hardness, post: Post) -> ScanReply {
        let (now, trouble) = (post.at, hardness.api);
        self.posts.push(post.clone());
        let lost = |detail: Fault| ScanReply::InDoubt { detail: detail.word().to_owned(), retry_after: None };
        match self.outage_at(now) {
            Some(Outage::Unauthorized) => return refused(AttemptResult::Unauthorized, false),
            Some(Outage::Failing | Outage::NoConnection) => {
                self.lost_in_outage(&post);
                return lost(Fault::Outage);
            }
            None => {}
        }
        if let Some((until, told)) = self.limited.filter(|(until, _)| *until > now) {
            chance.coverage.saw("api", "still_limited");
            return rate_limited(told.then(|| until.duration_since(now)));
        }
        if input::is_unknown(post.device) {
            chance.coverage.saw("api", "not_found");
            return refused(AttemptResult::DeviceNotFound, false);
        }
        if input::is_unsupported(post.device) {
            chance.coverage.saw("api", "unsupported");
            return refused(AttemptResult::UnsupportedDevice, false);
        }
        if let Some(refusal) = self.refuse(chance, trouble, now) {
            return refusal;
        }
        if chance.fault(Fault::FailedBeforeCreation, trouble / 5) {
            return lost(Fault::FailedBeforeCreation);
        }
        if let Some(running) = self.open_action(post.device, now) {
            if chance.dice.chance(500) {
                chance.coverage.saw("api", "already_running");
                self.told_running.insert((post.scan_id, post.attempt));
                return ScanReply::AlreadyRunning;
            }
            chance.coverage.saw("api", "existing_action");
            return ScanReply::Action(running.seen(now));
        }
        chance.coverage.saw("api", "created");
        if self.by_scan.contains_key(&post.scan_id) {
            chance.coverage.saw("log", "scanned_again_by_choice");
        }
        let ours = Some((post.scan_id, post.attempt));
        let seen = self.create(chance, now, post.device, post.scan_type, post.comment, ours);
        match () {
            () if chance.fault(Fault::FailedAfterCreation, trouble / 10) => lost(Fault::FailedAfterCreation),
            () if chance.fault(Fault::AnswerLost, trouble / 5) => lost(Fault::AnswerLost),
            () => ScanReply::Action(seen),
        }
    }

    /// A definite no, by chance.
    fn refuse(&mut self, chance: &mut Chance, trouble: u32, now: Timestamp) -> Option<ScanReply> {
        let wait = if chance.dice.chance(100) {
            chance.dice.millis(60_000, 7_200_000)
        } else {
            chance.dice.millis(1000, 60_000)
        };
        if chance.fault(Fault::RateLimited, trouble / 10) {
            self.limited = Some((now + wait, true));
            return Some(rate_limited(Some(wait)));
        }
        if chance.fault(Fault::QuotaUsedByOthers, trouble / 20) {
            self.limited = Some((now + wait, false));
            return Some(rate_limited(None));
        }
        if chance.fault(Fault::RateLimitedBare, trouble / 15) {
            return Some(rate_limited(None));
        }
        let refusals = [
            (Fault::Unauthorized, trouble / 10, AttemptResult::Unauthorized),
            (Fault::Forbidden, trouble / 10, AttemptResult::Forbidden),
            (Fault::ForbiddenForGood, trouble / 30, AttemptResult::Forbidden),
            (Fault::Rejected, trouble / 15, AttemptResult::Rejected),
        ];
        let struck = refusals.into_iter().find(|(fault, often, _)| chance.fault(*fault, *often));
        struck.map(|(fault, _, result)| refused(result, fault == Fault::ForbiddenForGood))
    }

    /// What a list shows at `now` of actions made since a moment of the API's clock.
    pub(crate) fn list(
        &mut self,
        chance: &mut Chance,
        hardness: &Hardness,
        created_since: Timestamp,
        now: Timestamp,
    ) -> Vec<SeenAction> {
        let mut seen = Vec::new();
        for action in &mut self.actions {
            if action.visible_at > now || action.created_at + hardness.api_ahead < created_since {
                continue;
            }
            let old = now.duration_since(action.created_at) > SignedDuration::from_secs(90);
            if old && !action.left_out && chance.fault(Fault::ListLeavesOut, if hardness.api > 0 { 150 } else { 0 }) {
                action.left_out = true;
            } else {
                let mut action = action.seen(now);
                if chance.fault(Fault::ListNamesNoDevice, hardness.api / 10) {
                    action.device_id = None;
                }
                seen.push(action);
            }
        }
        seen
    }

    pub(crate) fn cancel(&mut self, action_id: &str, now: Timestamp) {
        for action in self.actions.iter_mut().filter(|action| action.id == action_id && action.is_open(now)) {
            action.ends = Some((now, "Cancelled"));
        }
    }

    pub(crate) fn action(&self, id: &str) -> Option<&Action> {
        id.strip_prefix("action-").and_then(|number| self.actions.get(number.parse::<usize>().ok()?))
    }
}

fn rate_limited(retry_after: Option<SignedDuration>) -> ScanReply {
    // The header speaks in whole seconds.
    let whole = |wait: SignedDuration| std::time::Duration::from_secs(wait.as_secs().unsigned_abs() + 1);
    ScanReply::Refused(Refusal { retry_after: retry_after.map(whole), ..refusal(AttemptResult::RateLimited, false) })
}

fn refused(result: AttemptResult, for_good: bool) -> ScanReply {
    ScanReply::Refused(refusal(result, for_good))
}

fn refusal(result: AttemptResult, for_good: bool) -> Refusal {
    Refusal {
        result,
        for_good,
        error_code: "Code".to_owned(),
        error_target: None,
        detail: "refused".to_owned(),
        retry_after: None,
    }
}
