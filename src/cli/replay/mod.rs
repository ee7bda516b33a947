//! Simulated time: the real scheduler over a log that returns every record at once, and a Defender that takes every scan
//! and ends it after a given time. It goes from event to event, so a quiet day costs nothing.

mod api;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use self::api::Api;
use crate::event::{Claim, EventBody, Mode, Outcome, ScanEvent};
use crate::scheduler::{Call, Command, Reply, Scheduler, Settings};

/// The one owner that there is.
const CLAIM: &str = "replay";
/// How long a call takes.
const CALL_TAKES: Duration = Duration::from_millis(500);
/// Nothing is awaited for longer than this after the last alert.
const LONGEST_DRAIN: Duration = Duration::from_secs(14 * 24 * 3600);
/// Facts are never carried: the log does not age.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Learns of every record, in the order of the log.
pub(super) trait Watch {
    /// A record was read back, at its own time.
    fn record(&mut self, event: &ScanEvent);

    /// The world stood like this until `now`, and this is how it stands from here on.
    fn stands(&mut self, now: Timestamp, scheduler: &Scheduler) {
        let _ = (now, scheduler);
    }
}

/// See the module.
pub(super) struct World {
    now: Timestamp,
    scheduler: Scheduler,
    offset: i64,
    api: Api,
    replies: BTreeMap<(Timestamp, u64), Reply>,
    last_reply: u64,
    /// Records were appended since the scheduler was last asked.
    touched: bool,
}

impl World {
    /// A tenant with nothing in its ledger. `scan_takes`: from a scan's acceptance to its end, Quick and Full.
    pub(super) fn new(settings: Settings, mode: Mode, scan_takes: [Duration; 2], now: Timestamp) -> Self {
        let scheduler = Scheduler::new(settings, mode, CLAIM, None, NEVER, 1);
        let api = Api::new(scan_takes);
        let mut world = Self { now, scheduler, offset: 0, api, replies: BTreeMap::new(), last_reply: 0, touched: true };
        let claim = Claim { claim: CLAIM.to_owned(), owner: CLAIM.to_owned(), version: String::new() };
        world.scheduler.apply(0, &ScanEvent::new(now, "", claim));
        world.offset = 1;
        world
    }

    /// Devices that were looked up because their alerts did not tell what a protection looks at.
    pub(super) const fn looked_up(&self) -> u64 {
        self.api.looked_up
    }

    /// Appends what intake decided; what follows comes with the next [`Self::advance`].
    pub(super) fn append(&mut self, event: &ScanEvent, watch: &mut impl Watch) {
        self.scheduler.apply(self.offset, event);
        self.offset += 1;
        self.touched = true;
        self.api.seen(event);
        watch.record(event);
    }

    /// Lets everything happen that happens up to and at `until`. Time never goes back.
    pub(super) fn advance(&mut self, until: Timestamp, watch: &mut impl Watch) {
        if until <= self.now {
            return;
        }
        if self.touched {
            self.settle(watch);
        }
        while let Some(next) = self.next_event().filter(|next| *next <= until) {
            // Something due now that a poll did not do is left to the next moment, or time would stand still.
            self.now = if next > self.now { next } else { later(self.now, Duration::from_millis(1)) };
            while let Some(entry) = self.replies.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let reply = entry.remove();
                let commands = self.scheduler.reply(reply, self.now);
                self.take(commands, watch);
            }
            self.settle(watch);
        }
        self.now = self.now.max(until);
    }

    /// Lets everything come to its end; the number of requests that did not.
    pub(super) fn drain(&mut self, watch: &mut impl Watch) -> usize {
        let last = later(self.now, LONGEST_DRAIN);
        self.settle(watch);
        while !self.scheduler.state().requests.is_empty() {
            match self.next_event() {
                Some(next) if next <= last => self.advance(next.max(later(self.now, Duration::from_millis(1))), watch),
                _ => break,
            }
        }
        self.scheduler.state().requests.len()
    }

    fn next_event(&self) -> Option<Timestamp> {
        let wake = self.scheduler.next_wake(self.now);
        let reply = self.replies.first_key_value().map(|((time, _), _)| *time);
        // A list shows nothing new before a scan has ended.
        let follow = wake.follow.zip(self.api.first_end()).map(|(follow, end)| follow.max(end));
        [wake.work, reply, follow].into_iter().flatten().min()
    }

    fn settle(&mut self, watch: &mut impl Watch) {
        loop {
            let commands = self.scheduler.poll(self.now);
            if commands.is_empty() && !self.scheduler.has_work_now() {
                break;
            }
            self.take(commands, watch);
        }
        self.touched = false;
        watch.stands(self.now, &self.scheduler);
    }

    fn take(&mut self, commands: Vec<Command>, watch: &mut impl Watch) {
        for command in commands {
            match command {
                Command::Append { time, body } => self.append(&ScanEvent::new(time, "", *body), watch),
                Command::Call(call) => self.call(&call),
            }
        }
    }

    fn call(&mut self, call: &Call) {
        let answered = later(self.now, CALL_TAKES);
        if let Some(reply) = self.api.answer(call, answered) {
            self.last_reply += 1;
            self.replies.insert((answered, self.last_reply), reply);
        }
    }
}

/// A moment that is `duration` after `time`, or the end of time.
pub(super) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// What a record ends, and how: outcomes with the ids of the requests concerned.
pub(super) fn endings(body: &EventBody) -> Vec<(Outcome, &[String])> {
    match body {
        EventBody::Suppressed(body) => vec![(Outcome::Suppressed(body.reason), &body.request_ids[..])],
        EventBody::Shadowed(body) => vec![(Outcome::Shadowed, &body.request_ids[..])],
        EventBody::Failed(body) => vec![(Outcome::Failed(body.reason), &body.request_ids[..])],
        EventBody::Finished(body) => {
            let failed = body.status.failed_reason().map(Outcome::Failed);
            vec![
                (failed.unwrap_or(Outcome::Scanned), &body.request_ids[..]),
                (failed.unwrap_or(Outcome::Joined), &body.joined_request_ids[..]),
            ]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
