//! A scheduler with a log that returns every record at once, and an API that the test speaks for.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::alert::Severity;
use crate::event::{
    AlertRef, AttemptFailed, Claim, Control, ControlAction, DeviceRef, EventBody, Finished, Mode, Requested, ScanEvent,
    ScanType, SuppressedReason,
};
use crate::scheduler::{
    Applied, Call, Command, DeviceFacts, ReadReply, Refusal, Reply, ScanReply, Scheduler, SeenAction, Settings,
    marker_of,
};

/// See the module.
pub(super) struct Bench {
    pub(super) now: Timestamp,
    pub(super) settings: Settings,
    pub(super) mode: Mode,
    pub(super) log: Vec<ScanEvent>,
    pub(super) calls: VecDeque<Call>,
    pub(super) scheduler: Scheduler,
    claims: u64,
}

pub(super) fn start_time() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().expect("a time")
}

/// Retention is out of the way.
pub(super) const CARRY_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);

pub(super) fn device_id(device: &str) -> String {
    format!("{device:0>40}")
}

/// A request of alert `alert-<id>`: a live Quick scan of priority 50, resting six hours, good for a day.
pub(super) fn asked(id: &str, device: &str, now: Timestamp) -> Requested {
    Requested {
        terms: crate::event::ResponseTerms::default(),
        request_ids: vec![id.to_owned()],
        device: DeviceRef { id: device_id(device), name: Some(device.to_owned()), group: None, tags: None },
        alerts: vec![AlertRef {
            id: format!("alert-{id}"),
            title: None,
            severity: Severity::High,
            topic: "alerts".to_owned(),
            partition: 0,
            offset: 0,
            index: 0,
        }],
        rule_ids: vec!["rule-1".to_owned()],
        ruleset: "hash".to_owned(),
        scan_type: ScanType::Quick,
        priority: 50,
        comment: format!("due to alert alert-{id}"),
        mode: Mode::Live,
        alert_created_at: None,
        expires_at: now + SignedDuration::from_hours(24),
        cooldown_seconds: 6 * 3600,
        limits: Vec::new(),
        trace_id: None,
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Settings::default(), Mode::Live)
    }

    pub(super) fn with(settings: Settings, mode: Mode) -> Self {
        let scheduler = Scheduler::new(settings.clone(), mode, "claim-0", None, CARRY_AFTER, 1);
        let mut bench =
            Self { now: start_time(), settings, mode, log: Vec::new(), calls: VecDeque::new(), scheduler, claims: 0 };
        bench.claim("claim-0");
        bench
    }

    pub(super) fn claim(&mut self, claim: &str) {
        let claim = Claim { claim: claim.to_owned(), owner: "test".to_owned(), version: "0".to_owned() };
        self.write(claim.into());
    }

    /// A record at the end of the log, read back at once.
    pub(super) fn write(&mut self, body: EventBody) -> Applied {
        let event = ScanEvent::new(self.now, "tenant", body);
        let offset = i64::try_from(self.log.len()).expect("few records");
        self.log.push(event);
        self.scheduler.apply(offset, &self.log[self.log.len() - 1])
    }

    pub(super) fn control(&mut self, control: ControlAction) {
        self.write(Control { control, author: "test".to_owned(), comment: None }.into());
    }

    pub(super) fn request(&mut self, id: &str, device: &str) {
        let body = asked(id, device, self.now);
        self.write(body.into());
    }

    pub(super) fn request_with(&mut self, id: &str, device: &str, change: impl FnOnce(&mut Requested)) {
        let mut body = asked(id, device, self.now);
        change(&mut body);
        self.write(body.into());
    }

    pub(super) fn take(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Append { body, .. } => {
                    self.write(*body);
                }
                Command::Call(call) => self.calls.push_back(call),
            }
        }
    }

    /// Polls until nothing is left to do now.
    pub(super) fn run(&mut self) {
        for _ in 0..200 {
            let commands = self.scheduler.poll(self.now);
            if commands.is_empty() {
                return;
            }
            self.take(commands);
        }
        panic!("the scheduler never comes to rest: {:?}", self.names());
    }

    /// Time passes, in steps of at most ten seconds.
    pub(super) fn pass(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        while self.now < end {
            self.now = (self.now + SignedDuration::from_secs(10)).min(end);
            self.run();
        }
    }

    /// Hours pass in which little happens; the worker looks twice in each.
    pub(super) fn pass_hours(&mut self, hours: usize) {
        for minutes in [58, 2].into_iter().cycle().take(2 * hours) {
            self.now += SignedDuration::from_mins(minutes);
            self.run();
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        let commands = self.scheduler.reply(reply, self.now);
        self.take(commands);
        self.run();
    }

    /// The next call, which must be one that starts a scan.
    pub(super) fn next_scan(&mut self) -> (String, u32, String, ScanType) {
        match self.calls.pop_front() {
            Some(Call::Scan { scan_id, attempt, comment, scan_type, .. }) => (scan_id, attempt, comment, scan_type),
            other => panic!("no call of a scan but {other:?}; log {:?}", self.names()),
        }
    }

    pub(super) fn answer(&mut self, scan_id: &str, attempt: u32, answer: ScanReply) {
        self.reply(Reply::Scan { scan_id: scan_id.to_owned(), attempt, answer });
    }

    /// The next scan call is answered so; its scan id.
    pub(super) fn answer_next(&mut self, answer: impl FnOnce(&str, &str) -> ScanReply) -> String {
        let (scan_id, attempt, comment, _) = self.next_scan();
        let answer = answer(&scan_id, &comment);
        self.answer(&scan_id, attempt, answer);
        scan_id
    }

    /// The merge window passes and the scan that follows is accepted; its scan id.
    pub(super) fn accept_next(&mut self, action: &str) -> String {
        self.pass(5);
        let action = action.to_owned();
        self.answer_next(|_, comment| ScanReply::Action(seen(&action, "1", "Pending", Some(comment))))
    }

    /// Time passes until a list is asked for, and it is answered so.
    pub(super) fn list(&mut self, answer: ReadReply<Vec<SeenAction>>) {
        for _ in 0..1000 {
            if let Some(Call::List { created_since }) = self.calls.front().cloned() {
                self.calls.pop_front();
                self.reply(Reply::List { created_since, started_at: self.now, answer });
                return;
            }
            assert!(self.calls.is_empty(), "{:?}", self.calls);
            self.pass(10);
        }
        panic!("no list is ever asked for; log {:?}", self.names());
    }

    pub(super) fn look_up(&mut self, answer: ReadReply<Option<DeviceFacts>>) {
        match self.calls.pop_front() {
            Some(Call::LookUp { device_id }) => self.reply(Reply::LookUp { device_id, answer }),
            other => panic!("no look-up but {other:?}; log {:?}", self.names()),
        }
    }

    /// A new owner replays from the oldest record that is still needed.
    pub(super) fn restart(&mut self) {
        let end = i64::try_from(self.log.len()).expect("few records");
        let state = self.scheduler.state();
        let from = state.oldest_needed(self.now, self.settings.quota.hour_window, self.settings.blast_radius.per, end);
        let begin = state.claim_before(from).map(str::to_owned);
        self.claims += 1;
        let claim = format!("claim-{}", self.claims);
        self.scheduler =
            Scheduler::new(self.settings.clone(), self.mode, claim.clone(), begin, CARRY_AFTER, self.claims);
        self.calls.clear();
        for (offset, event) in (0..).zip(&self.log).skip(usize::try_from(from).expect("an offset")) {
            self.scheduler.apply(offset, event);
        }
        self.claim(&claim);
    }

    /// The next owner is configured otherwise.
    pub(super) fn restart_with(&mut self, settings: Settings) {
        self.settings = settings;
        self.restart();
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.log.iter().map(|event| event.body.name()).collect()
    }

    /// When the rest that the last record sets is over.
    pub(super) fn finished_until(&self) -> Timestamp {
        self.log
            .iter()
            .rev()
            .find_map(|event| match &event.body {
                EventBody::Finished(body) => Some(body.cooldown_until),
                _ => None,
            })
            .expect("a scan that ended")
    }

    /// The newest record.
    pub(super) fn last(&self) -> &EventBody {
        &self.log[self.log.len() - 1].body
    }

    pub(super) fn count(&self, name: &str) -> usize {
        self.log.iter().filter(|event| event.body.name() == name).count()
    }

    pub(super) fn open(&self) -> usize {
        assert_eq!(self.scheduler.state().unaccounted(), 0);
        self.scheduler.state().requests.len()
    }

    pub(super) fn suppressed(&self) -> Vec<(SuppressedReason, Vec<String>)> {
        self.log
            .iter()
            .filter_map(|event| match &event.body {
                EventBody::Suppressed(body) => Some((body.reason, body.request_ids.clone())),
                _ => None,
            })
            .collect()
    }

    pub(super) fn finished(&self) -> &Finished {
        match self.last() {
            EventBody::Finished(body) => body,
            other => panic!("not finished but {other:?}"),
        }
    }

    pub(super) fn last_failure(&self) -> &AttemptFailed {
        self.log
            .iter()
            .rev()
            .find_map(|event| match &event.body {
                EventBody::AttemptFailed(body) => Some(body),
                _ => None,
            })
            .expect("an attempt that failed")
    }
}

pub(super) fn seen(id: &str, device: &str, status: &str, comment: Option<&str>) -> SeenAction {
    SeenAction {
        id: id.to_owned(),
        device_id: Some(device_id(device)),
        status: status.to_owned(),
        scope: Some(ScanType::Quick),
        comment: comment.map(str::to_owned),
    }
}

/// A Full scan of our own that was begun.
pub(super) fn full(id: &str, device: &str, comment: &str) -> ScanReply {
    ScanReply::Action(SeenAction { scope: Some(ScanType::Full), ..seen(id, device, "Pending", Some(comment)) })
}

pub(super) fn refused(result: crate::event::AttemptResult, retry_after: Option<u64>) -> ScanReply {
    ScanReply::Refused(Refusal {
        result,
        for_good: false,
        error_code: "Code".to_owned(),
        error_target: None,
        detail: "said no".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    })
}

pub(super) fn in_doubt() -> ScanReply {
    ScanReply::InDoubt { detail: "cut".to_owned(), retry_after: None }
}

pub(super) fn marked(scan_id: &str) -> String {
    format!("anything {}", marker_of(scan_id))
}
