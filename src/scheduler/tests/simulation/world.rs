//! The world of one history: time, the log, the workers, the API, and chance.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::api::{Api, Post};
use super::checks::Checks;
use super::coverage::Coverage;
use super::event::{Claim, Control, ControlAction, EventBody, Requested, ResolvedBy, ScanEvent};
use super::input::{self, Dice};
use super::order;
use super::owner::{Due, Owner, difference, offset};
use super::scheduler::{Applied, Call, Command, ReadReply, Reply, ScanReply, State};

/// A call's answer comes within this time of its sending, or counts as lost.
const CALL_TIMEOUT: SignedDuration = SignedDuration::from_secs(30);

/// Something that happens at a certain time.
enum Happening {
    /// A record lands on the log; who appended it.
    Land(Option<u64>, Box<ScanEvent>),
    /// To a worker.
    To(u64, Due),
    /// A call arrives at the API; who sent it, when.
    Arrive(u64, Post, Timestamp),
}

/// See the module.
pub(super) struct World {
    seed: u64,
    step: u32,
    now: Timestamp,
    dice: Dice,
    hard: input::World,
    pub(super) log: Vec<ScanEvent>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    happened: u64,
    owners: Vec<Owner>,
    next_owner: u64,
    /// Offset and claim that a successor starts with.
    committed: (usize, Option<String>),
    api: Api,
    checks: Checks,
    coverage: Coverage,
    /// When each attempt was decided, by a clock that never jumps.
    decided: BTreeMap<(String, u32), Timestamp>,
    requests: Vec<(Timestamp, Requested)>,
    halted: bool,
}

type Done = Result<(), String>;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let hard = input::World::of(&mut dice);
        Self {
            seed,
            step: 0,
            now: Timestamp::from_second(1_772_352_000).unwrap_or(Timestamp::UNIX_EPOCH),
            dice,
            hard,
            log: Vec::new(),
            queue: BTreeMap::new(),
            happened: 0,
            owners: Vec::new(),
            next_owner: 0,
            committed: (0, None),
            api: Api::default(),
            checks: Checks::default(),
            coverage: Coverage::default(),
            decided: BTreeMap::new(),
            requests: Vec::new(),
            halted: false,
        }
    }

    /// The whole history; what it covered, or the promise it broke.
    pub(super) fn run(mut self, steps: u32) -> Result<Coverage, String> {
        self.history(steps).map_err(|broken| format!("seed {} step {}: {broken}", self.seed, self.step))?;
        Ok(self.coverage)
    }

    fn history(&mut self, steps: u32) -> Done {
        self.start_owner()?;
        while self.step < steps {
            self.step += 1;
            let pause = match self.dice.between(0, 99) {
                0..60 => self.dice.millis(10, 2_000),
                60..95 => self.dice.millis(1_000, 30_000),
                _ => self.dice.millis(30_000, 300_000),
            };
            let tick = if self.hard.pace > 1 { 60 } else { 5 };
            self.pass(pause * i32::try_from(self.hard.pace).unwrap_or(1), SignedDuration::from_secs(tick))?;
            if self.step.is_multiple_of(8) && self.owners.iter().any(|owner| owner.scheduler.state().unaccounted() != 0)
            {
                return Err("a worker holds requests in no structure".to_owned());
            }
            self.arrivals();
            self.trouble_owners()?;
            self.operate();
            if self.dice.chance(100) {
                self.commit()?;
            }
        }
        self.drain()
    }

    /// All faults off, one owner: everything must end.
    fn drain(&mut self) -> Done {
        self.hard.calm();
        while let Some(owner) = self.owners.first().map(|owner| owner.id) {
            self.crash(owner);
        }
        self.control(ControlAction::Resumed);
        self.start_owner()?;
        let tick = SignedDuration::from_secs(if self.hard.pace > 1 { 120 } else { 30 });
        for _ in 0..700 {
            self.step += 1;
            self.pass(tick, tick)?;
            self.claim_again()?;
            if self.checks.whole.requests.is_empty() && self.queue.is_empty() {
                break;
            }
        }
        self.checks.at_the_end(&self.hard, &self.api, &mut self.coverage)?;
        let mut again = State::default();
        for (offset, event) in (0..).zip(&self.log) {
            again.apply(offset, event);
        }
        self.compare("the last owner's fold", &again, self.owners[0].scheduler.state())?;
        self.commit()
    }

    fn compare(&self, what: &str, whole: &State, part: &State) -> Done {
        // A clock that is behind may still see what is over by the clock of another.
        let now = self.now + SignedDuration::from_secs(10);
        match difference(&self.hard, now, whole, part) {
            Some(difference) => Err(format!("{what} differs from a fold from the beginning: {difference}")),
            None => Ok(()),
        }
    }

    fn at(&mut self, time: Timestamp, happening: Happening) {
        self.happened += 1;
        self.queue.insert((time, self.happened), happening);
    }

    /// Time passes; workers look at least so often.
    fn pass(&mut self, duration: SignedDuration, tick: SignedDuration) -> Done {
        let end = self.now + duration;
        while self.now < end {
            let until = (self.now + tick).min(end);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
                self.now = self.now.max(entry.key().0);
                let happening = entry.remove();
                self.happens(happening)?;
            }
            self.now = until;
            for id in self.owners.iter().map(|owner| owner.id).collect::<Vec<_>>() {
                self.poll(id)?;
            }
        }
        Ok(())
    }

    fn happens(&mut self, happening: Happening) -> Done {
        match happening {
            Happening::Land(_, event) => self.land(*event),
            Happening::To(id, due) => {
                let Some(owner) = self.owners.iter_mut().find(|owner| owner.id == id) else { return Ok(()) };
                if owner.stopped {
                    owner.deferred.push_back(due);
                    return Ok(());
                }
                self.due(id, due)
            }
            Happening::Arrive(id, post, sent) => self.arrive(id, post, sent),
        }
    }

    fn land(&mut self, event: ScanEvent) -> Done {
        let applied = self.checks.landed(&self.hard, &self.api, offset(self.log.len()), &event)?;
        let former = event.body.claim().is_some_and(|claim| self.checks.whole.claim.as_deref() != Some(claim));
        match applied {
            Applied::Changed => {
                self.coverage.record(&event.body);
                if former {
                    self.coverage.saw("log fact_of_former_owner");
                }
                if let EventBody::Accepted(body) = &event.body
                    && body.resolved_by == ResolvedBy::List
                {
                    self.coverage.saw("resolved by_list");
                }
            }
            Applied::Void => {
                self.coverage.saw("log void");
                if former {
                    self.coverage.saw("log former_decision_void");
                }
            }
        }
        for byte in event.id().bytes() {
            self.coverage.fingerprint = self.coverage.fingerprint.wrapping_mul(1_099_511_628_211) ^ u64::from(byte);
        }
        self.log.push(event);
        for id in self.owners.iter().map(|owner| owner.id).collect::<Vec<_>>() {
            let delay = if self.dice.chance(20) { self.dice.millis(100, 3000) } else { self.dice.millis(1, 20) };
            self.at(self.now + delay, Happening::To(id, Due::Read));
        }
        Ok(())
    }

    fn due(&mut self, id: u64, due: Due) -> Done {
        let Some(index) = self.owners.iter().position(|owner| owner.id == id) else { return Ok(()) };
        match due {
            Due::Read => {
                self.owners[index].read(&self.log);
                self.poll(id)
            }
            Due::Send(call) => {
                self.send(id, call);
                Ok(())
            }
            Due::Answer(reply) => {
                let owner = &mut self.owners[index];
                let clock = owner.clock(self.now);
                if let Reply::Scan { answer: ScanReply::Refused(refusal), .. } = &reply
                    && let Some(wait) = refusal.retry_after
                {
                    owner.paused_until = owner.paused_until.max(clock.saturating_add(wait).ok());
                }
                let commands = owner.scheduler.reply(reply, clock);
                self.obey(id, commands, clock)?;
                self.poll(id)
            }
        }
    }

    fn poll(&mut self, id: u64) -> Done {
        let Some(owner) = self.owners.iter_mut().find(|owner| owner.id == id && !owner.stopped) else { return Ok(()) };
        let clock = owner.clock(self.now);
        let on_the_way: Vec<String> = owner.on_the_way.values().cloned().collect();
        let commands = owner.scheduler.poll(clock);
        order::check(&self.hard, owner, &on_the_way, &commands, clock)?;
        self.obey(id, commands, clock)
    }

    /// Does what a worker's scheduler asks for, as the worker would.
    fn obey(&mut self, id: u64, commands: Vec<Command>, clock: Timestamp) -> Done {
        for command in commands {
            let Some(index) = self.owners.iter().position(|owner| owner.id == id) else { return Ok(()) };
            match command {
                Command::Append { time, body } => {
                    self.coverage.saw("command append");
                    if let EventBody::Intent(intent) = &*body {
                        self.decided.insert((intent.scan_id.clone(), intent.attempt), self.now);
                    }
                    self.append(index, ScanEvent::new(time, "tenant", *body))?;
                }
                Command::Call(call) => {
                    let (what, slow) = match &call {
                        Call::Scan { scan_id, attempt, .. } => {
                            self.checks.launched(&self.owners[index], scan_id, *attempt, clock)?;
                            ("command scan", self.dice.chance(self.hard.api / 20))
                        }
                        Call::List { .. } => ("command list", false),
                        Call::LookUp { .. } => ("command look_up", false),
                        Call::Cancel { .. } => ("command cancel", false),
                    };
                    self.coverage.saw(what);
                    let delay = if slow { self.dice.millis(1000, 9000) } else { self.dice.millis(0, 40) };
                    self.at(self.now + delay, Happening::To(id, Due::Send(call)));
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, index: usize, event: ScanEvent) -> Done {
        let slow = self.dice.chance(self.hard.slow_log);
        if slow {
            self.coverage.saw("fault late_append");
        }
        let delay = if slow { self.dice.millis(1000, 12_000) } else { self.dice.millis(1, 60) };
        let owner = &mut self.owners[index];
        let lands = (self.now + delay).max(owner.last_land);
        owner.last_land = lands;
        let device = event.body.device().map(|device| device.id.clone());
        let device = device.or_else(|| {
            let scan = match &event.body {
                EventBody::Withdrawn(body) => &body.scan_id,
                EventBody::AttemptFailed(body) => &body.scan_id,
                _ => return None,
            };
            owner.scheduler.state().scans.get(scan).map(|scan| scan.device.id.clone())
        });
        let before = owner.on_the_way.insert(event.id(), device.unwrap_or_default());
        if before.is_some() && !matches!(event.body, EventBody::Carried(_)) {
            return Err(format!("{event:?} is decided again before it is read back"));
        }
        let id = owner.id;
        self.at(lands, Happening::Land(Some(id), Box::new(event)));
        Ok(())
    }

    /// A worker's call leaves the process, or does not.
    fn send(&mut self, id: u64, call: Call) {
        let now = self.now;
        let soon = now + self.dice.millis(5, 400);
        let reply = match call {
            Call::Scan { scan_id, attempt, device_id, scan_type, comment, .. } => {
                let decided = self.decided.get(&(scan_id.clone(), attempt)).copied().unwrap_or(Timestamp::MIN);
                let leave_within = self.hard.settings.leave_within;
                let too_late = decided.saturating_add(leave_within).is_ok_and(|latest| latest < now);
                if too_late || self.dice.chance(self.hard.api / 6) {
                    self.coverage.saw(if too_late { "client too_late" } else { "client refused_connection" });
                    let answer = ScanReply::NotSent { too_late, detail: "not sent".to_owned() };
                    Reply::Scan { scan_id, attempt, answer }
                } else {
                    let slow = self.dice.chance(self.hard.api / 8);
                    let arrives = now + if slow { self.dice.millis(1000, 29_000) } else { self.dice.millis(5, 300) };
                    let post = Post { at: arrives, scan_id, attempt, device_id, scan_type, comment };
                    self.at(arrives, Happening::Arrive(id, post, now));
                    return;
                }
            }
            Call::List { created_since } => {
                let answer = if self.hard.may_not_read {
                    self.coverage.saw("fault list_not_permitted");
                    ReadReply::NotPermitted
                } else if self.dice.chance(self.hard.api) {
                    self.coverage.saw("fault list_failed");
                    ReadReply::Failed
                } else {
                    let trouble = self.hard.api > 0;
                    ReadReply::Complete(self.api.list(&mut self.dice, trouble, created_since, now, &mut self.coverage))
                };
                let Some(owner) = self.owners.iter().find(|owner| owner.id == id) else { return };
                Reply::List { created_since, started_at: owner.clock(now), answer }
            }
            Call::LookUp { device_id } => {
                let answer = if self.hard.may_not_read {
                    ReadReply::NotPermitted
                } else if input::device_id(17) == device_id || self.dice.chance(self.hard.api) {
                    self.coverage.saw("fault look_up_failed");
                    ReadReply::Failed
                } else if input::is_unknown(&device_id) {
                    ReadReply::Complete(None)
                } else {
                    ReadReply::Complete(Some(input::facts(&device_id)))
                };
                Reply::LookUp { device_id, answer }
            }
            Call::Cancel { action_id } => {
                self.api.cancel(&action_id, now);
                return;
            }
        };
        self.at(soon, Happening::To(id, Due::Answer(reply)));
    }

    fn arrive(&mut self, id: u64, post: Post, sent: Timestamp) -> Done {
        self.checks.arrives(&self.hard, &self.api, &post)?;
        let (scan_id, attempt) = (post.scan_id.clone(), post.attempt);
        let mut answer = self.api.arrive(&mut self.dice, self.hard.api, post, &mut self.coverage);
        let mut back = self.now + self.dice.millis(5, 1500);
        if self.dice.chance(self.hard.api / 10) || back > sent + CALL_TIMEOUT {
            self.coverage.saw("api answer_too_late");
            answer = ScanReply::InDoubt { detail: "timed out".to_owned(), retry_after: None };
            back = sent + CALL_TIMEOUT;
        }
        self.at(back, Happening::To(id, Due::Answer(Reply::Scan { scan_id, attempt, answer })));
        Ok(())
    }
}

mod chance;
