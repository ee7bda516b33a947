//! What chance does to the world: requests, operators, crashes, hand-overs and clocks.

use super::*;

/// Redeliveries come within the memory of the fold.
const REDELIVERED_WITHIN: SignedDuration = SignedDuration::from_mins(40);

impl World {
    pub(super) fn arrivals(&mut self) {
        while self.dice.chance(self.hard.arrivals) {
            let number = self.requests.len() as u64;
            let mut request = input::request(&mut self.dice, &self.hard, self.now, number);
            if !self.requests.is_empty() && self.dice.chance(100) {
                let (_, other) = &self.requests[self.dice.index(self.requests.len())];
                if self.dice.chance(500) {
                    request.device = other.device.clone();
                    request.alerts[0].id.clone_from(&other.alerts[0].id);
                    self.coverage.saw("fault duplicate_alert");
                }
            }
            self.requests.push((self.now, request.clone()));
            self.land_later(request.into());
        }
        if !self.requests.is_empty() && self.dice.chance(self.hard.arrivals / 8) {
            let (first, request) = self.requests[self.dice.index(self.requests.len())].clone();
            if first + REDELIVERED_WITHIN > self.now {
                self.coverage.saw("fault redelivery");
                self.land_later(request.into());
            }
        }
        if self.dice.chance(self.hard.arrivals / 10) {
            self.api.foreign(&mut self.dice, self.now, &mut self.coverage);
        }
    }

    /// A record that no owner of the partition wrote.
    fn land_later(&mut self, body: EventBody) {
        let lands = self.now + self.dice.millis(1, 60);
        self.at(lands, Happening::Land(None, Box::new(ScanEvent::new(self.now, "tenant", body))));
    }

    pub(super) fn control(&mut self, control: ControlAction) {
        self.halted = control == ControlAction::Halted;
        self.coverage.saw(if self.halted { "fault halted" } else { "fault resumed" });
        self.land_later(Control { control, author: "operator".to_owned(), comment: None }.into());
    }

    pub(super) fn operate(&mut self) {
        if self.dice.chance(if self.halted { 150 } else { 8 }) {
            self.control(if self.halted { ControlAction::Resumed } else { ControlAction::Halted });
        }
        for owner in &mut self.owners {
            if !owner.stopped && self.dice.chance(if owner.halted { 200 } else { 6 }) {
                owner.halted = !owner.halted;
                owner.scheduler.set_halted(owner.halted);
                self.coverage.saw("fault halted_locally");
            }
            if self.hard.skew && self.dice.chance(50) {
                owner.clock_ahead = self.dice.millis(0, 6000) - SignedDuration::from_secs(3);
                self.coverage.saw("fault clock_jump");
            }
        }
    }

    pub(super) fn start_owner(&mut self) -> Done {
        let (from, begin) = self.committed.clone();
        if from > 0 {
            self.coverage.saw("log replay_from_the_middle");
        }
        let id = self.next_owner;
        self.next_owner += 1;
        let seed = self.dice.between(0, u64::MAX);
        let owner = Owner::start(id, &self.hard, seed, &self.log, from, begin, self.now);
        let claim = Claim { claim: owner.claim.clone(), owner: format!("worker-{id}"), version: "0".to_owned() };
        self.owners.push(owner);
        let event = ScanEvent::new(self.now, "tenant", claim);
        self.append(self.owners.len() - 1, event)
    }

    /// The process ends: answers are lost, and so are its last appends.
    pub(super) fn crash(&mut self, id: u64) {
        self.owners.retain(|owner| owner.id != id);
        let mut survive = self.dice.between(0, 6);
        let (mut lost, mut gone) = (0, Vec::new());
        for (key, happening) in &self.queue {
            match happening {
                Happening::Land(Some(owner), _) if *owner == id => match survive.checked_sub(1) {
                    Some(left) => survive = left,
                    None => {
                        lost += 1;
                        gone.push(*key);
                    }
                },
                Happening::To(owner, _) if *owner == id => gone.push(*key),
                _ => {}
            }
        }
        for key in gone {
            self.queue.remove(&key);
        }
        if lost > 0 {
            self.coverage.count("fault lost_append", lost);
        }
    }

    pub(super) fn trouble_owners(&mut self) -> Done {
        // The group gives the partition to somebody when nobody has it.
        if self.owners.is_empty() && self.dice.chance(500) {
            self.start_owner()?;
        }
        if self.dice.chance(self.hard.owners) && !self.owners.is_empty() {
            let id = self.owners[self.dice.index(self.owners.len())].id;
            match self.dice.between(0, 2) {
                0 => {
                    self.coverage.saw("fault crash");
                    self.crash(id);
                }
                1 if self.owners.len() < 3 => {
                    self.coverage.saw("fault hand_over");
                    self.start_owner()?;
                }
                _ => {
                    self.coverage.saw("fault stopped_owner");
                    for owner in self.owners.iter_mut().filter(|owner| owner.id == id) {
                        owner.stopped = true;
                    }
                    if self.owners.len() < 3 && self.dice.chance(700) {
                        self.start_owner()?;
                    }
                }
            }
        }
        for id in self.owners.iter().map(|owner| owner.id).collect::<Vec<_>>() {
            self.wake(id)?;
        }
        self.claim_again()?;
        // A former owner that has read of its successor goes, after a while.
        let newest = self.owners.last().map(|owner| owner.id);
        let former = self.owners.iter().find(|owner| Some(owner.id) != newest && !owner.stopped).map(|owner| owner.id);
        if let Some(id) = former
            && self.dice.chance(150)
        {
            self.crash(id);
        }
        Ok(())
    }

    /// The claim of a former owner may land after that of its successor, which stops then. Whoever the group gave the
    /// partition to must claim it anew.
    pub(super) fn claim_again(&mut self) -> Done {
        let Some(owner) = self.owners.last().filter(|owner| !owner.stopped) else { return Ok(()) };
        let claimed = owner.scheduler.state().claims.iter().any(|(_, claim)| *claim == owner.claim);
        if claimed && !owner.scheduler.is_owner() {
            self.coverage.saw("fault claim_overtaken");
            self.crash(owner.id);
            self.start_owner()?;
        }
        Ok(())
    }

    /// A stopped process may go on, with all that was due meanwhile.
    fn wake(&mut self, id: u64) -> Done {
        let Some(index) = self.owners.iter().position(|owner| owner.id == id && owner.stopped) else { return Ok(()) };
        if !self.dice.chance(if self.hard.owners == 0 { 1000 } else { 250 }) {
            return Ok(());
        }
        self.owners[index].stopped = false;
        // Threads wake in any order: some poll before they read.
        if self.dice.chance(500) {
            self.poll(id)?;
        }
        while let Some(due) = self.owners.iter_mut().find(|owner| owner.id == id).and_then(|o| o.deferred.pop_front()) {
            self.due(id, due)?;
        }
        Ok(())
    }

    /// The newest owner commits how far a successor need not read; a fold from there must know what matters.
    pub(super) fn commit(&mut self) -> Done {
        let Some(owner) = self.owners.last().filter(|owner| !owner.stopped && owner.scheduler.is_owner()) else {
            return Ok(());
        };
        let settings = &self.hard.settings;
        let state = owner.scheduler.state();
        let clock = owner.clock(self.now);
        let end = offset(owner.position);
        let needed = state.oldest_needed(clock, settings.quota.hour_window, settings.blast_radius.per, end);
        let needed = usize::try_from(needed).map_err(|_| "an offset below 0".to_owned())?;
        if needed < self.committed.0 {
            return Err(format!("the oldest record needed went back from {} to {needed}", self.committed.0));
        }
        self.committed = (needed, state.claim_before(offset(needed)).map(str::to_owned));
        // Costly: one commit in three is looked at.
        if !self.dice.chance(333) {
            return Ok(());
        }
        let mut part = State::starting_under(self.committed.1.clone());
        for (position, event) in self.log.iter().enumerate().skip(needed) {
            part.apply(offset(position), event);
        }
        self.compare("a fold from the committed offset", &self.checks.whole, &part)
    }
}
