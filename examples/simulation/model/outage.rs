//! Times in which the API as a whole does not work. Who sees that makes few calls, and counts none of them against a scan.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::api::{Api, Post};
use super::broken::{Kept, ensure};
use super::chance::Chance;
use super::fault::Fault;
use super::hardness::Hardness;
use super::scheduler::Settings;

/// Answers from before an outage have come after this time.
const ANSWERED_WITHIN: SignedDuration = SignedDuration::from_secs(31);

/// What does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// 401.
    Unauthorized,
    /// 5xx, and no action is made.
    Failing,
    /// No connection.
    NoConnection,
}

/// One outage.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    kind: Outage,
    from: Timestamp,
    until: Timestamp,
    /// Calls for a scan that left in it since answers from before can not come any more: whose, when, for which scan.
    sent: Vec<(u64, Timestamp, String)>,
    /// Scans of which one of those was answered, by worker.
    troubled: HashSet<(u64, String)>,
    /// Attempts lost in it, by the worker that made them.
    lost: HashSet<(u64, String, u32)>,
}

impl Api {
    pub(super) fn outage(&mut self, chance: &mut Chance, hardness: &Hardness, now: Timestamp) {
        if self.outage_at(now).is_some() || !chance.fault(Fault::Outage, hardness.api.min(8)) {
            return;
        }
        let (kind, word) = [
            (Outage::Unauthorized, "unauthorized"),
            (Outage::Failing, "failing"),
            (Outage::NoConnection, "no_connection"),
        ][chance.dice.index(3)];
        chance.coverage.saw("outage", word);
        let until = now + chance.dice.millis(60_000, 1_200_000);
        chance.tell(|| format!("OUTAGE {kind:?} until {until}"));
        let (sent, troubled, lost) = Default::default();
        self.outages.push(Period { kind, from: now, until, sent, troubled, lost });
    }

    pub(super) fn outage_ends(&mut self, now: Timestamp) {
        if let Some(last) = self.outages.last_mut() {
            last.until = last.until.min(now);
        }
    }

    pub(super) fn outage_at(&self, now: Timestamp) -> Option<Outage> {
        self.outages.last().filter(|last| last.until > now).map(|last| last.kind)
    }

    /// A call for a scan leaves. Once nothing but trouble can come back, a worker makes as many as open its breaker and
    /// were under way by then, and after that one per wait.
    pub(super) fn sent(&mut self, owner: u64, scan_id: &str, now: Timestamp, settings: &Settings) -> Kept {
        let Some(last) = self.outages.last_mut().filter(|last| last.until > now) else { return Ok(()) };
        if now <= last.from + ANSWERED_WITHIN {
            return Ok(());
        }
        last.sent.push((owner, now, scan_id.to_owned()));
        let times: Vec<Timestamp> = last.sent.iter().filter(|sent| sent.0 == owner).map(|sent| sent.1).collect();
        let Some(first) = times.first() else { return Ok(()) };
        let breaker = &settings.breaker;
        let mut probes = 0;
        let mut wait = breaker.first_wait;
        let mut waited = Duration::ZERO;
        let elapsed = now.duration_since(*first).unsigned_abs();
        while waited <= elapsed {
            // A wait is at least half of its top.
            waited += wait / 2;
            wait = (wait * 2).min(breaker.longest_wait);
            probes += 1;
        }
        let most = breaker.failures as usize + settings.max_calls_in_flight + probes;
        ensure("breaker", times.len() <= most, || format!("worker-{owner} calls {} times in {last:?}", times.len()))
    }

    pub(super) fn lost_in_outage(&mut self, post: &Post) {
        if let Some(last) = self.outages.last_mut() {
            last.lost.insert((post.owner, post.scan_id.clone(), post.attempt));
        }
    }

    /// A worker is answered.
    pub(super) fn answered(&mut self, owner: u64, scan_id: &str, now: Timestamp) {
        if let Some(last) = self.outages.last_mut().filter(|last| last.until > now)
            && last.sent.iter().any(|sent| sent.0 == owner && sent.2 == scan_id)
        {
            last.troubled.insert((owner, scan_id.to_owned()));
        }
    }

    /// A worker decides that an attempt came to nothing. What it is answered after that it can not know yet.
    pub(super) fn given_up(&mut self, owner: u64, scan_id: &str, attempt: u32, settings: &Settings) {
        let key = (owner, scan_id.to_owned(), attempt);
        let must_be_seen = self.outages.iter().filter(|outage| outage.lost.contains(&key)).any(|outage| {
            outage.troubled.iter().filter(|(of, _)| *of == owner).count() >= settings.breaker.failures as usize
        });
        if must_be_seen {
            self.of_outage.insert(key);
        }
    }

    /// Whether an attempt was lost in an outage that its worker must have seen as one when it gave the attempt up.
    pub(super) fn is_of_outage(&self, owner: u64, scan_id: &str, attempt: u32) -> bool {
        self.of_outage.contains(&(owner, scan_id.to_owned(), attempt))
    }
}
