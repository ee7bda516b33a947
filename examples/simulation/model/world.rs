//! The world of one history: time, the log, the workers, the API, and chance.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::api::{Api, Post};
use super::broken::{Kept, ensure};
use super::chance::Chance;
use super::checks::{Checks, Sight};
use super::dice::Dice;
use super::event::{AttemptResult, Claim, Control, ControlAction, EventBody, Genesis, Requested, ScanEvent};
use super::fault::Fault;
use super::hardness::Hardness;
use super::input;
use super::order;
use super::owner::{Begin, Due, Owner};
use super::plan::Plan;
use super::replay::{difference, offset};
use super::scheduler::{Call, Command, ReadReply, Reply, ScanReply, State};

/// A call's answer comes within this time of its sending, or counts as lost.
const CALL_TIMEOUT: SignedDuration = SignedDuration::from_secs(30);

/// Fewest faults of a history: it goes on until it has had them.
const FEWEST_FAULTS: u64 = 5;

/// Records of a whole history: it has far fewer, unless workers go round in circles.
const MOST_RECORDS: usize = 6000;

/// Something that happens at a certain time.
enum Happening {
    /// A record lands on the log; who appended it, and how many records it had read.
    Land(Option<u64>, Box<ScanEvent>, usize),
    /// To a worker.
    To(u64, Due),
    /// A call arrives at the API.
    Arrive(Box<Post>),
}

/// See the module.
pub(crate) struct World {
    plan: Plan,
    pub(crate) step: u32,
    began: Timestamp,
    now: Timestamp,
    pub(crate) chance: Chance,
    hard: Hardness,
    log: Vec<ScanEvent>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    happened: u64,
    owners: Vec<Owner>,
    next_owner: u64,
    /// Where a successor begins.
    committed: Begin,
    api: Api,
    checks: Checks,
    /// When each attempt was decided, by a clock that never jumps.
    decided: HashMap<(String, u32), Timestamp>,
    requests: Vec<(Timestamp, Requested)>,
    halted: bool,
    /// New workers protect one more device.
    protects_later: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, tell: bool) -> Self {
        let mut chance = Chance::new(Dice::of_step(plan.seed, 0), plan.without, tell);
        let hard = Hardness::of(&mut chance);
        chance.tell(|| format!("{hard:?}"));
        let leave_within = hard.settings.leave_within;
        let began = Timestamp::from_second(1_772_352_000).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            plan,
            step: 0,
            began,
            now: began,
            chance,
            hard,
            log: Vec::new(),
            queue: BTreeMap::new(),
            happened: 0,
            owners: Vec::new(),
            next_owner: 0,
            committed: Begin::default(),
            api: Api::default(),
            checks: Checks::new(leave_within),
            decided: HashMap::new(),
            requests: Vec::new(),
            halted: false,
            protects_later: false,
        }
    }

    /// The whole history.
    pub(crate) fn run(&mut self) -> Kept {
        let genesis = Genesis { log_id: "log".to_owned(), partition: 0, partitions: 1 };
        self.land(ScanEvent::new(self.now, "tenant", genesis), 0)?;
        self.start_owner()?;
        loop {
            self.step += 1;
            let over = self.step > self.plan.steps;
            // Where nothing may go wrong there is nothing to wait for.
            if over && (self.chance.faults >= FEWEST_FAULTS || self.step > self.plan.steps + 100 || !self.is_whole()) {
                break;
            }
            if over {
                self.hard.slow_log = 300;
            }
            self.chance.dice = Dice::of_step(self.plan.seed, self.step);
            if self.plan.skipped.binary_search(&self.step).is_ok() {
                continue;
            }
            self.random_step()?;
        }
        self.drain()
    }

    fn is_whole(&self) -> bool {
        self.plan == Plan::whole(self.plan.seed)
    }

    fn random_step(&mut self) -> Kept {
        let step = self.step;
        self.chance.tell(|| format!("--- step {step}"));
        let pause = match self.chance.dice.between(0, 99) {
            0..60 => self.chance.dice.millis(10, 2_000),
            60..95 => self.chance.dice.millis(1_000, 30_000),
            _ => self.chance.dice.millis(30_000, 300_000),
        };
        let tick = self.hard.tick();
        self.pass(pause * i32::try_from(self.hard.pace).unwrap_or(1), SignedDuration::from_secs(tick))?;
        self.arrivals();
        self.trouble_owners()?;
        self.operate();
        self.listens_to_orders()?;
        if self.chance.dice.chance(100) {
            self.commit()?;
        }
        Ok(())
    }

    /// All faults off, one owner: everything must end.
    fn drain(&mut self) -> Kept {
        self.chance.tell(|| "--- everything heals".to_owned());
        self.hard.heal();
        self.api.outage_ends(self.now);
        while let Some(owner) = self.owners.first().map(|owner| owner.id) {
            self.die(owner);
        }
        self.control(ControlAction::Resumed);
        self.start_owner()?;
        let tick = SignedDuration::from_secs(self.hard.tick() * if self.hard.pace > 1 { 2 } else { 6 });
        for _ in 0..700 {
            self.step += 1;
            self.pass(tick, tick)?;
            self.claim_again()?;
            if self.checks.ledger.open == 0 && self.queue.is_empty() {
                break;
            }
        }
        self.checks.at_the_end(&Sight { hardness: &self.hard, api: &self.api, now: self.now, read: usize::MAX })?;
        self.commit()?;
        let owner = self.owners.last().map(|owner| owner.scheduler.state());
        let whole = self.fold(&Begin::default());
        owner.map_or(Ok(()), |owner| self.compare("the last owner's fold", &whole, owner))
    }

    /// What the scheduler's own fold makes of the log, from a position on.
    fn fold(&self, begin: &Begin) -> State {
        let mut state = State::starting_under(begin.claim.clone());
        for (position, event) in self.log.iter().enumerate().skip(begin.position) {
            state.apply(offset(position), event);
        }
        state
    }

    fn compare(&self, what: &str, whole: &State, part: &State) -> Kept {
        // A clock that is behind may still see what is over by the clock of another.
        let now = self.now + SignedDuration::from_secs(10);
        ensure("conservation", part.unaccounted() == 0, || format!("{what} holds requests in no structure"))?;
        let difference = difference(&self.hard, now, whole, part);
        ensure("replay", difference.is_none(), || {
            format!("{what} differs from a fold from the beginning: {}", difference.unwrap_or_default())
        })
    }

    fn at(&mut self, time: Timestamp, happening: Happening) {
        self.happened += 1;
        self.queue.insert((time, self.happened), happening);
    }

    fn moves_to(&mut self, time: Timestamp) {
        self.now = self.now.max(time);
        self.chance.elapsed = self.now.duration_since(self.began).as_secs_f64();
    }

    /// Time passes; workers look at least so often.
    fn pass(&mut self, duration: SignedDuration, tick: SignedDuration) -> Kept {
        let end = self.now + duration;
        while self.now < end {
            let until = (self.now + tick).min(end);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
                let time = entry.key().0;
                let happening = entry.remove();
                self.moves_to(time);
                self.happens(happening)?;
            }
            self.moves_to(until);
            for id in self.owner_ids() {
                self.poll(id)?;
            }
        }
        Ok(())
    }

    fn owner_ids(&self) -> Vec<u64> {
        self.owners.iter().map(|owner| owner.id).collect()
    }

    fn happens(&mut self, happening: Happening) -> Kept {
        match happening {
            Happening::Land(_, event, read) => self.land(*event, read),
            Happening::To(id, due) => {
                let Some(owner) = self.owners.iter_mut().find(|owner| owner.id == id) else { return Ok(()) };
                if owner.stopped {
                    owner.deferred.push_back(due);
                    return Ok(());
                }
                self.due(id, due)
            }
            Happening::Arrive(post) => self.arrive(*post),
        }
    }

    fn land(&mut self, event: ScanEvent, read: usize) -> Kept {
        let position = self.log.len();
        ensure("ends", position < MOST_RECORDS, || format!("the ledger grows without end: {event:?}"))?;
        self.chance.tell(|| format!("LOG {position} {}", serde_json::to_string(&event).unwrap_or_default()));
        let sight = Sight { hardness: &self.hard, api: &self.api, now: self.now, read };
        self.checks.landed(&sight, &event, &mut self.chance.coverage)?;
        let mut fingerprint = self.chance.coverage.fingerprint;
        for byte in event.id().bytes() {
            fingerprint = fingerprint.wrapping_mul(1_099_511_628_211) ^ u64::from(byte);
        }
        self.chance.coverage.fingerprint = fingerprint;
        self.log.push(event);
        for id in self.owner_ids() {
            let late = self.chance.fault(Fault::LateRead, self.hard.slow_log / 3);
            let delay = if late { self.chance.dice.millis(100, 3000) } else { self.chance.dice.millis(1, 20) };
            let some = if self.chance.fault(Fault::ReadInBatches, self.hard.slow_log / 3) { 1 } else { usize::MAX };
            self.at(self.now + delay, Happening::To(id, Due::Read(some)));
        }
        Ok(())
    }

    fn due(&mut self, id: u64, due: Due) -> Kept {
        let Some(owner) = self.owners.iter_mut().find(|owner| owner.id == id) else { return Ok(()) };
        match due {
            Due::Read(at_most) => {
                owner.read(&self.log, at_most);
                if owner.position < self.log.len() {
                    let next = self.now + self.chance.dice.millis(1, 2000);
                    self.at(next, Happening::To(id, Due::Read(usize::MAX)));
                }
                self.poll(id)
            }
            Due::Send(call) => self.send(id, call),
            Due::Answer(mut reply, sent) => {
                let clock = owner.clock(self.now);
                // Who stood still meanwhile finds that the time for a read is over.
                if sent + CALL_TIMEOUT < self.now {
                    match &mut reply {
                        Reply::List { answer, .. } => *answer = ReadReply::Failed,
                        Reply::LookUp { answer, .. } => *answer = ReadReply::Failed,
                        Reply::Scan { .. } => {}
                    }
                }
                if let Reply::Scan { answer: ScanReply::Refused(refusal), .. } = &reply
                    && refusal.result == AttemptResult::RateLimited
                {
                    let wait = refusal.retry_after.unwrap_or(self.hard.settings.quota.pause_without_retry_after);
                    owner.paused_until = owner.paused_until.max(clock.saturating_add(wait).ok());
                }
                self.chance.tell(|| format!("worker-{id} is answered {reply:?}"));
                if let Reply::Scan { scan_id, .. } = &reply {
                    self.api.answered(id, scan_id, self.now);
                }
                let commands = owner.scheduler.reply(reply, clock);
                self.obey(id, commands, clock)?;
                self.poll(id)
            }
        }
    }

    fn poll(&mut self, id: u64) -> Kept {
        let Some(owner) = self.owners.iter_mut().find(|owner| owner.id == id && !owner.stopped) else { return Ok(()) };
        let clock = owner.clock(self.now);
        let commands = owner.scheduler.poll(clock);
        if commands.is_empty() {
            return Ok(());
        }
        let on_the_way: BTreeSet<usize> = owner.on_the_way.values().copied().flatten().collect();
        order::check(&self.hard, &self.checks.ledger, &self.log, owner, &on_the_way, &commands, clock)?;
        self.obey(id, commands, clock)
    }

    /// Does what a worker's scheduler asks for, as the worker would.
    fn obey(&mut self, id: u64, commands: Vec<Command>, clock: Timestamp) -> Kept {
        for command in commands {
            let Some(index) = self.owners.iter().position(|owner| owner.id == id) else { return Ok(()) };
            match command {
                Command::Append { time, body } => {
                    self.chance.coverage.saw("command", "append");
                    if let EventBody::Intent(intent) = &*body {
                        self.decided.insert((intent.scan_id.clone(), intent.attempt), self.now);
                    }
                    if let EventBody::AttemptFailed(failed) = &*body {
                        self.api.given_up(id, &failed.scan_id, failed.attempt, &self.hard.settings);
                    }
                    self.append(index, ScanEvent::new(time, "tenant", *body))?;
                }
                Command::Call(call) => self.calls(index, call, clock)?,
            }
        }
        Ok(())
    }

    fn append(&mut self, index: usize, event: ScanEvent) -> Kept {
        let slow = self.chance.fault(Fault::LateAppend, self.hard.slow_log);
        let delay = if slow { self.chance.dice.millis(1000, 12_000) } else { self.chance.dice.millis(1, 60) };
        let owner = &mut self.owners[index];
        let lands = (self.now + delay).max(owner.last_land);
        owner.last_land = lands;
        let (id, name, read) = (owner.id, event.id(), owner.position);
        self.chance.tell(|| format!("worker-{id} appends {name}"));
        let device = order::device_of(&self.checks.ledger, &event.body);
        if let Some(cap) = order::trip_of(&event.body) {
            owner.trips_on_the_way.insert(cap.cloned());
        }
        let before = owner.on_the_way.insert(name, device);
        ensure("truth", before.is_none() || matches!(event.body, EventBody::Carried(_)), || {
            format!("{event:?} is decided again before it is read back")
        })?;
        self.at(lands, Happening::Land(Some(id), Box::new(event), read));
        Ok(())
    }
}

mod calls;
mod operators;
mod trouble;
