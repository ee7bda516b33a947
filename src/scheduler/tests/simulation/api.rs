//! A model of the API: what it does with each call, and its own log of them.

use jiff::{SignedDuration, Timestamp};

use super::coverage::Coverage;
use super::event::{AttemptResult, ScanType};
use super::input::{self, Dice};
use super::scheduler::{Refusal, ScanReply, SeenAction};

/// A machine action.
#[derive(Debug, Clone)]
pub(super) struct Action {
    pub(super) id: String,
    pub(super) device_id: String,
    pub(super) scope: ScanType,
    pub(super) comment: String,
    pub(super) created_at: Timestamp,
    /// Lists show it from then on.
    visible_at: Timestamp,
    /// Scan and attempt, if it is ours.
    pub(super) ours: Option<(String, u32)>,
    /// A list has left it out once, as happens while pages shift; it happens to no action twice.
    left_out: bool,
    /// When and how it ends, if ever.
    ends: Option<(Timestamp, &'static str)>,
}

impl Action {
    fn status(&self, now: Timestamp) -> &'static str {
        match self.ends {
            Some((end, status)) if end <= now => status,
            _ if self.created_at + SignedDuration::from_secs(10) <= now => "InProgress",
            _ => "Pending",
        }
    }

    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.status(now), "Pending" | "InProgress")
    }

    fn seen(&self, now: Timestamp) -> SeenAction {
        SeenAction {
            id: self.id.clone(),
            device_id: Some(self.device_id.clone()),
            status: self.status(now).to_owned(),
            scope: Some(self.scope),
            comment: Some(self.comment.clone()),
        }
    }
}

/// A call that arrived.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) at: Timestamp,
    pub(super) scan_id: String,
    pub(super) attempt: u32,
    pub(super) device_id: String,
    pub(super) scan_type: ScanType,
    pub(super) comment: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Api {
    pub(super) actions: Vec<Action>,
    pub(super) posts: Vec<Post>,
    /// Somebody else uses up the limit.
    limited_until: Option<Timestamp>,
}

impl Api {
    /// Somebody else's scan, if the device is free.
    pub(super) fn foreign(&mut self, dice: &mut Dice, now: Timestamp, coverage: &mut Coverage) {
        let device_id = input::device_id(dice.index(input::DEVICES));
        if self.open_action(&device_id, now).is_none() {
            coverage.saw("fault foreign_action");
            let scope = if dice.chance(300) { ScanType::Full } else { ScanType::Quick };
            self.create(dice, now, device_id, scope, "by hand".to_owned(), None, coverage);
        }
    }

    fn open_action(&self, device_id: &str, now: Timestamp) -> Option<&Action> {
        self.actions.iter().find(|action| action.device_id == device_id && action.is_open(now))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the action")]
    fn create(
        &mut self,
        dice: &mut Dice,
        now: Timestamp,
        device_id: String,
        scope: ScanType,
        comment: String,
        ours: Option<(String, u32)>,
        coverage: &mut Coverage,
    ) -> SeenAction {
        let lag = if dice.chance(200) { dice.millis(0, 58_000) } else { SignedDuration::ZERO };
        if lag > SignedDuration::from_secs(1) {
            coverage.saw("fault list_lag");
        }
        let end = now + dice.millis(5_000, 900_000);
        let ends = match dice.between(0, 9) {
            0 => None,
            1 => Some((end, "Failed")),
            2 => Some((end, "Cancelled")),
            3 => Some((end, "TimeOut")),
            _ => Some((end, "Succeeded")),
        };
        let id = format!("action-{}", self.actions.len());
        let action = Action {
            id,
            device_id,
            scope,
            comment,
            created_at: now,
            visible_at: now + lag,
            ours,
            left_out: false,
            ends,
        };
        let seen = action.seen(now);
        self.actions.push(action);
        seen
    }

    /// A call to start a scan arrives: what the API answers, if the answer gets through.
    pub(super) fn arrive(&mut self, dice: &mut Dice, trouble: u32, post: Post, coverage: &mut Coverage) -> ScanReply {
        let now = post.at;
        self.posts.push(post.clone());
        let lost = |detail: &str| ScanReply::InDoubt { detail: detail.to_owned(), retry_after: None };
        if let Some(until) = self.limited_until.filter(|until| *until > now) {
            return rate_limited(Some(until.duration_since(now)), coverage);
        }
        if input::is_unknown(&post.device_id) {
            return refused("api not_found", AttemptResult::DeviceNotFound, coverage);
        }
        if input::is_unsupported(&post.device_id) {
            return refused("api unsupported", AttemptResult::UnsupportedDevice, coverage);
        }
        let mut after = None;
        if dice.chance(trouble) {
            match dice.between(0, 9) {
                0 => {
                    let wait =
                        if dice.chance(100) { dice.millis(60_000, 7_200_000) } else { dice.millis(1000, 60_000) };
                    self.limited_until = Some(now + wait);
                    return rate_limited(Some(wait), coverage);
                }
                1 => return rate_limited(None, coverage),
                2 => return refused("api unauthorized", AttemptResult::Unauthorized, coverage),
                3 => return refused("api forbidden", AttemptResult::Forbidden, coverage),
                4 if dice.chance(300) => {
                    return refused("api forbidden_for_good", AttemptResult::Forbidden, coverage);
                }
                4 => return refused("api rejected", AttemptResult::Rejected, coverage),
                5 | 6 => {
                    coverage.saw("api failed_before_creation");
                    return lost("502");
                }
                7 => after = Some("api failed_after_creation"),
                _ => after = Some("api cut_after_creation"),
            }
        }
        if let Some(running) = self.open_action(&post.device_id, now) {
            if dice.chance(500) {
                coverage.saw("api already_running");
                return ScanReply::AlreadyRunning;
            }
            coverage.saw("api existing_action");
            return ScanReply::Action(running.seen(now));
        }
        coverage.saw("api created");
        let ours = Some((post.scan_id, post.attempt));
        let seen = self.create(dice, now, post.device_id, post.scan_type, post.comment, ours, coverage);
        match after {
            Some(what) => {
                coverage.saw(what);
                lost(what)
            }
            None => ScanReply::Action(seen),
        }
    }

    pub(super) fn list(
        &mut self,
        dice: &mut Dice,
        trouble: bool,
        created_since: Timestamp,
        now: Timestamp,
        coverage: &mut Coverage,
    ) -> Vec<SeenAction> {
        let mut seen = Vec::new();
        for action in self.actions.iter_mut().filter(|a| a.visible_at <= now && a.created_at >= created_since) {
            let old = now.duration_since(action.created_at) > SignedDuration::from_secs(90);
            if trouble && old && !action.left_out && dice.chance(150) {
                coverage.saw("fault list_leaves_out");
                action.left_out = true;
            } else {
                seen.push(action.seen(now));
            }
        }
        seen
    }

    pub(super) fn cancel(&mut self, action_id: &str, now: Timestamp) {
        for action in self.actions.iter_mut().filter(|action| action.id == action_id && action.is_open(now)) {
            action.ends = Some((now, "Cancelled"));
        }
    }
}

fn rate_limited(retry_after: Option<SignedDuration>, coverage: &mut Coverage) -> ScanReply {
    let what = if retry_after.is_some() { "api rate_limited" } else { "api rate_limited_without_retry_after" };
    let ScanReply::Refused(refusal) = refused(what, AttemptResult::RateLimited, coverage) else {
        unreachable!("a refusal is what `refused` makes")
    };
    // The header speaks in whole seconds.
    let whole = |wait: SignedDuration| std::time::Duration::from_secs(wait.as_secs().unsigned_abs() + 1);
    ScanReply::Refused(Refusal { retry_after: retry_after.map(whole), ..refusal })
}

fn refused(what: &'static str, result: AttemptResult, coverage: &mut Coverage) -> ScanReply {
    coverage.saw(what);
    ScanReply::Refused(Refusal {
        result,
        for_good: what == "api forbidden_for_good",
        error_code: "Code".to_owned(),
        error_target: None,
        detail: what.to_owned(),
        retry_after: None,
    })
}
