//! Calls on their way from a worker to the API and back.

use std::time::Duration;

use super::super::outage::Outage;
use super::*;

impl World {
    /// A worker asks for a call.
    pub(super) fn calls(&mut self, index: usize, call: Call, clock: Timestamp) -> Kept {
        let id = self.owners[index].id;
        self.chance.tell(|| format!("worker-{id} calls {call:?}"));
        let scan = matches!(call, Call::Scan { .. });
        let what = match &call {
            Call::Scan { scan_id, attempt, .. } => {
                self.checks.launched(&self.owners[index], scan_id, *attempt, clock)?;
                "scan"
            }
            Call::List { .. } => "list",
            Call::LookUp { .. } => "look_up",
            Call::Cancel { .. } => "cancel",
        };
        self.chance.coverage.saw("command", what);
        let slow = scan && self.chance.fault(Fault::SlowToLeave, self.hard.api / 20);
        let delay = if slow { self.chance.dice.millis(1000, 9000) } else { self.chance.dice.millis(0, 40) };
        self.at(self.now + delay, Happening::To(id, Due::Send(call)));
        Ok(())
    }

    /// A worker's call leaves the process, or does not.
    pub(super) fn send(&mut self, id: u64, call: Call) -> Kept {
        let now = self.now;
        let outage = self.api.outage_at(now);
        let mut back = now + self.chance.dice.millis(5, 400);
        let reply = match call {
            Call::Scan { scan_id, attempt, device_id, scan_type, comment, .. } => {
                let decided = self.decided.get(&(scan_id.clone(), attempt)).copied().unwrap_or(Timestamp::MIN);
                let latest = decided.saturating_add(self.hard.settings.leave_within);
                let too_late = latest.is_ok_and(|latest| latest < now);
                if too_late {
                    self.chance.coverage.saw("api", "left_too_late");
                }
                if !too_late {
                    self.api.sent(id, &scan_id, now, &self.hard.settings)?;
                }
                if too_late
                    || outage == Some(Outage::NoConnection)
                    || self.chance.fault(Fault::ConnectionRefused, self.hard.api / 6)
                {
                    let answer = ScanReply::NotSent { too_late, detail: "not sent".to_owned() };
                    Reply::Scan { scan_id, attempt, answer }
                } else {
                    let slow = self.chance.fault(Fault::SlowToArrive, self.hard.api / 8);
                    let (low, high) = if slow { (1000, 29_000) } else { (5, 300) };
                    let at = now + self.chance.dice.millis(low, high);
                    let device = input::device_of(&device_id);
                    let post = Post { at, sent: now, owner: id, scan_id, attempt, device, scan_type, comment };
                    self.at(at, Happening::Arrive(Box::new(post)));
                    return Ok(());
                }
            }
            Call::List { created_since } => {
                let answer = if outage.is_some() {
                    ReadReply::Failed
                } else if self.hard.may_not_read {
                    self.chance.struck(Fault::ListNotPermitted);
                    ReadReply::NotPermitted
                } else if self.chance.fault(Fault::ListFailed, self.hard.api) {
                    ReadReply::Failed
                } else if let Some(wait) = self.reads_limited() {
                    ReadReply::RateLimited(wait)
                } else {
                    ReadReply::Complete(self.api.list(&mut self.chance, &self.hard, created_since, now))
                };
                if self.chance.fault(Fault::ListSlow, self.hard.api / 4) {
                    back = now + self.chance.dice.millis(1000, 28_000);
                }
                let Some(owner) = self.owners.iter().find(|owner| owner.id == id) else { return Ok(()) };
                Reply::List { created_since, started_at: owner.clock(now), answer }
            }
            Call::LookUp { device_id } => {
                let device = input::device_of(&device_id);
                let answer = if outage.is_some() {
                    ReadReply::Failed
                } else if self.hard.may_not_read {
                    self.chance.struck(Fault::LookUpNotPermitted);
                    ReadReply::NotPermitted
                } else if input::look_up_fails(device) || self.chance.fault(Fault::LookUpFailed, self.hard.api) {
                    ReadReply::Failed
                } else if let Some(wait) = self.reads_limited() {
                    ReadReply::RateLimited(wait)
                } else {
                    ReadReply::Complete(input::facts(device, self.api.tagged_at.is_some()))
                };
                Reply::LookUp { device_id, answer }
            }
            Call::Cancel { action_id } => {
                self.api.cancel(&action_id, now);
                return Ok(());
            }
        };
        self.at(back, Happening::To(id, Due::Answer(reply, now)));
        Ok(())
    }

    /// Whether a call that reads is answered with a 429, and the wait that it asks for, if any.
    fn reads_limited(&mut self) -> Option<Option<Duration>> {
        let limited = self.chance.fault(Fault::ReadsLimited, self.hard.api / 5);
        limited.then(|| self.chance.dice.chance(500).then(|| Duration::from_secs(self.chance.dice.between(0, 120))))
    }

    pub(super) fn arrive(&mut self, post: Post) -> Kept {
        self.chance.tell(|| format!("API gets {post:?}"));
        self.checks.arrives(&Sight { hardness: &self.hard, api: &self.api, now: self.now, read: usize::MAX }, &post)?;
        let (scan_id, attempt, sent, owner) = (post.scan_id.clone(), post.attempt, post.sent, post.owner);
        let mut answer = self.api.arrive(&mut self.chance, &self.hard, post);
        let mut back = self.now + self.chance.dice.millis(5, 1500);
        let late = self.chance.fault(Fault::AnswerTooLate, self.hard.api / 10);
        if late || back > sent + CALL_TIMEOUT {
            answer = ScanReply::InDoubt { detail: "timed out".to_owned(), retry_after: None };
            back = sent + CALL_TIMEOUT;
        }
        self.at(back, Happening::To(owner, Due::Answer(Reply::Scan { scan_id, attempt, answer }, sent)));
        Ok(())
    }
}
