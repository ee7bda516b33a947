//! What chance does to the world: requests, outages, crashes and hand-overs.

use super::*;

/// Redeliveries come within the memory of the fold.
const REDELIVERED_WITHIN: SignedDuration = SignedDuration::from_mins(40);

impl World {
    pub(super) fn arrivals(&mut self) {
        let burst = self.chance.fault(Fault::Burst, self.hard.arrivals / 20);
        let mut at_least = if burst { self.chance.dice.between(6, 15) } else { 0 };
        while at_least > 0 || self.chance.dice.chance(self.hard.arrivals) {
            at_least = at_least.saturating_sub(1);
            let number = self.requests.len() as u64;
            let mut request = input::request(&mut self.chance, &self.hard, self.now, number);
            if !self.requests.is_empty() && self.chance.fault(Fault::DuplicateAlert, 50) {
                let (_, other) = &self.requests[self.chance.dice.index(self.requests.len())];
                request.device = other.device.clone();
                request.alerts[0].id.clone_from(&other.alerts[0].id);
            }
            if self.plan.no_devices.contains(&input::device_of(&request.device.id)) {
                continue;
            }
            self.requests.push((self.now, request.clone()));
            self.land_later(request.into());
        }
        if !self.requests.is_empty() {
            let (first, request) = self.requests[self.chance.dice.index(self.requests.len())].clone();
            if first + REDELIVERED_WITHIN > self.now && self.chance.fault(Fault::Redelivery, self.hard.arrivals / 8) {
                self.land_later(request.into());
            }
        }
        self.api.outage(&mut self.chance, &self.hard, self.now);
        self.api.foreign(&mut self.chance, self.now, &self.hard);
    }

    /// A record that no owner of the partition wrote.
    pub(super) fn land_later(&mut self, body: EventBody) {
        let lands = self.now + self.chance.dice.millis(1, 60);
        self.at(lands, Happening::Land(None, Box::new(ScanEvent::new(self.now, "tenant", body)), 0));
    }

    pub(super) fn start_owner(&mut self) -> Kept {
        let begin = self.committed.clone();
        if begin.position > 0 {
            self.chance.coverage.saw("log", "replay_from_the_middle");
        }
        let id = self.next_owner;
        self.next_owner += 1;
        self.chance.tell(|| format!("worker-{id} starts, reads from {begin:?}"));
        let seed = self.chance.dice.next();
        let owner = Owner::start(id, &self.hard, self.protects_later, seed, &self.log, begin, self.now);
        let claim = Claim { claim: owner.claim.clone(), owner: format!("worker-{id}"), version: "0".to_owned() };
        self.owners.push(owner);
        self.append(self.owners.len() - 1, ScanEvent::new(self.now, "tenant", claim))
    }

    /// The process ends: answers are lost, and so are its last appends.
    pub(super) fn die(&mut self, id: u64) {
        self.chance.tell(|| format!("worker-{id} ends"));
        self.owners.retain(|owner| owner.id != id);
        let may_lose = self.chance.may(Fault::LostAppend);
        let mut survive = if may_lose { self.chance.dice.between(0, 6) } else { u64::MAX };
        let (mut lost, mut gone) = (false, Vec::new());
        for (key, happening) in &self.queue {
            match happening {
                Happening::Land(Some(owner), ..) if *owner == id => match survive.checked_sub(1) {
                    Some(left) => survive = left,
                    None => {
                        lost = true;
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
        if lost {
            self.chance.struck(Fault::LostAppend);
        }
    }

    pub(super) fn trouble_owners(&mut self) -> Kept {
        // The group gives the partition to somebody when nobody has it.
        if self.owners.is_empty() && self.chance.dice.chance(500) {
            self.start_owner()?;
        }
        let often = self.hard.owners / 3;
        if let Some(id) = self.any_owner().filter(|_| self.chance.fault(Fault::Crash, often)) {
            self.die(id);
        }
        if !self.owners.is_empty() && self.owners.len() < 3 && self.chance.fault(Fault::HandOver, often) {
            self.start_owner()?;
        }
        if let Some(id) = self.any_owner().filter(|_| self.chance.fault(Fault::StoppedOwner, often)) {
            for owner in self.owners.iter_mut().filter(|owner| owner.id == id) {
                owner.stopped = true;
            }
            if self.owners.len() < 3 && self.chance.dice.chance(700) {
                self.start_owner()?;
            }
        }
        for id in self.owner_ids() {
            self.wake(id)?;
        }
        self.claim_again()?;
        // A former owner that has read of its successor goes, after a while.
        let newest = self.owners.last().map(|owner| owner.id);
        let former = self.owners.iter().find(|owner| Some(owner.id) != newest && !owner.stopped).map(|owner| owner.id);
        if let Some(id) = former
            && self.chance.dice.chance(150)
        {
            self.die(id);
        }
        Ok(())
    }

    fn any_owner(&mut self) -> Option<u64> {
        (!self.owners.is_empty()).then(|| self.owners[self.chance.dice.index(self.owners.len())].id)
    }

    /// The claim of a former owner may land after that of its successor, which stops then. Whoever the group gave the
    /// partition to must claim it anew.
    pub(super) fn claim_again(&mut self) -> Kept {
        let Some(owner) = self.owners.last().filter(|owner| !owner.stopped) else { return Ok(()) };
        let claimed = owner.scheduler.state().claims.iter().any(|(_, claim)| *claim == owner.claim);
        if claimed && !owner.scheduler.is_owner() {
            self.chance.coverage.saw("log", "claim_overtaken");
            self.die(owner.id);
            self.start_owner()?;
        }
        Ok(())
    }

    /// A stopped process may go on, with all that was due meanwhile.
    fn wake(&mut self, id: u64) -> Kept {
        let Some(index) = self.owners.iter().position(|owner| owner.id == id && owner.stopped) else { return Ok(()) };
        if !self.chance.dice.chance(250) {
            return Ok(());
        }
        self.chance.tell(|| format!("worker-{id} goes on"));
        self.owners[index].stopped = false;
        // Threads wake in any order.
        if self.chance.fault(Fault::DecidesBeforeReading, 500) {
            self.poll(id)?;
        }
        while let Some(due) = self.owners.iter_mut().find(|owner| owner.id == id).and_then(|o| o.deferred.pop_front()) {
            self.due(id, due)?;
        }
        Ok(())
    }

    /// The newest owner commits how far a successor need not read; a fold from there must know what matters.
    pub(super) fn commit(&mut self) -> Kept {
        let Some(owner) = self.owners.last().filter(|owner| !owner.stopped && owner.scheduler.is_owner()) else {
            return Ok(());
        };
        let settings = &self.hard.settings;
        let state = owner.scheduler.state();
        let end = offset(owner.position);
        let clock = owner.clock(self.now);
        let needed = state.oldest_needed(clock, settings.quota.hour_window, settings.blast_radius.per, end);
        let position = usize::try_from(needed).unwrap_or(0);
        ensure("replay", position >= self.committed.position, || {
            format!("the oldest record needed went back from {} to {needed}", self.committed.position)
        })?;
        self.committed = Begin { position, claim: state.claim_before(needed).map(str::to_owned) };
        let committed = self.committed.clone();
        self.chance.tell(|| format!("commits {committed:?}"));
        // Costly: few commits are looked at.
        if !self.chance.dice.chance(80) {
            return Ok(());
        }
        self.compare("a fold from the committed offset", &self.fold(&Begin::default()), &self.fold(&self.committed))
    }
}
