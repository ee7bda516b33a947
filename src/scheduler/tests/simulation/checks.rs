//! What must hold, told from outside: from the records that landed, the requests that were made and the API's own log.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::api::{Api, Post};
use super::coverage::Coverage;
use super::event::{AttemptResult, EventBody, FailedReason, Intent, Mode, Requested, ScanEvent, ScanType};
use super::input;
use super::owner::{Owner, may_call};
use super::scheduler::{Applied, State};

/// By how much a clock may be off in a history whose clocks jump, twice, and some delay.
const SKEW: SignedDuration = SignedDuration::from_secs(8);

/// See the module.
#[derive(Default)]
pub(super) struct Checks {
    /// The fold of everything that landed.
    pub(super) whole: State,
    /// Requests that landed, by id.
    pub(super) asked: HashMap<String, Requested>,
    /// How often each ended.
    ended: HashMap<String, u32>,
    /// Intents that counted, by scan and attempt.
    intents: HashMap<(String, u32), (Intent, Timestamp)>,
    withdrawn: HashSet<(String, u32)>,
    launched: HashSet<(String, u32)>,
    /// Scans of which we never learned what became of them.
    unresolved: HashSet<String>,
    /// Rests that ended scans left.
    rests: HashMap<String, Timestamp>,
}

type Checked = Result<(), String>;

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Checks {
    /// A record landed.
    pub(super) fn landed(
        &mut self,
        world: &input::World,
        api: &Api,
        offset: i64,
        event: &ScanEvent,
    ) -> Result<Applied, String> {
        if let EventBody::AttemptFailed(body) = &event.body {
            let made = |key: &(String, u32)| key.0 == body.scan_id && key.1 == body.attempt;
            let made = api.actions.iter().find(|action| action.ours.as_ref().is_some_and(made));
            ensure(made.is_none() || body.result == AttemptResult::InDoubt, || {
                format!("{body:?} but the API did make {made:?}")
            })?;
        }
        if let EventBody::Intent(intent) = &event.body {
            self.intended(world, intent, event.time)?;
        }
        let named = named(&event.body);
        let open_before = named.iter().filter(|id| self.whole.requests.contains_key(**id)).count();
        let all_before = self.whole.requests.len();
        let applied = self.whole.apply(offset, event);
        let gone: Vec<_> = named.iter().filter(|id| !self.whole.requests.contains_key(**id)).collect();
        let changed = applied == Applied::Changed;
        if event.body.is_terminal() && changed {
            ensure(open_before == named.len() && gone.len() == named.len(), || {
                format!("{event:?} names requests that it does not end")
            })?;
            for id in gone {
                *self.ended.entry((*id).clone()).or_default() += 1;
            }
        } else {
            let new = usize::from(matches!(event.body, EventBody::Requested(_)) && changed);
            ensure(self.whole.requests.len() == all_before + new, || format!("{event:?} ended requests silently"))?;
        }
        // Costly, and nothing mends it later.
        if offset % 8 == 0 {
            ensure(self.whole.unaccounted() == 0, || format!("requests are held by no structure after {event:?}"))?;
        }
        match &event.body {
            EventBody::Requested(body) if changed => {
                let id = body.request_ids[0].clone();
                let before = self.asked.insert(id.clone(), body.clone());
                ensure(before.is_none(), || format!("redelivered {id} is taken for a new request"))?;
            }
            EventBody::Intent(body) if changed => {
                let key = (body.scan_id.clone(), body.attempt);
                self.intents.insert(key, (body.clone(), event.time));
                self.reach(world, body, event.time)?;
            }
            EventBody::Withdrawn(body) if changed => {
                let key = (body.scan_id.clone(), body.attempt);
                ensure(!self.launched.contains(&key), || format!("{key:?} was called and then withdrawn"))?;
                self.withdrawn.insert(key);
            }
            EventBody::AttemptFailed(body) if body.result == AttemptResult::InDoubt => {
                self.unresolved.insert(body.scan_id.clone());
            }
            EventBody::Failed(body) if body.reason == FailedReason::InDoubt => {
                self.unresolved.extend(body.scan_id.clone());
            }
            EventBody::Finished(body) if changed => {
                self.rests.insert(body.scan_id.clone(), body.cooldown_until);
            }
            _ => {}
        }
        Ok(applied)
    }

    /// An intent must respect rest and age as they were when it was decided, if it counts at all.
    fn intended(&self, world: &input::World, intent: &Intent, time: Timestamp) -> Checked {
        if self.whole.claim.as_deref() != Some(&intent.claim) {
            return Ok(());
        }
        ensure(may_call(world.mode), || "an intent in shadow".to_owned())?;
        let device = self.whole.devices.get(&intent.device.id);
        let rest = device.and_then(|device| device.cooldown.as_ref()).filter(|rest| rest.until > time);
        for asked in intent.request_ids.iter().filter_map(|id| self.asked.get(id)) {
            ensure(asked.expires_at > time, || format!("{intent:?} covers a request that is too old"))?;
            ensure(rest.is_none_or(|rest| asked.scan_type > rest.scan_type), || {
                format!("{intent:?} at {time} while the device rests: {rest:?}")
            })?;
        }
        Ok(())
    }

    /// Distinct devices stay within the caps.
    fn reach(&self, world: &input::World, intent: &Intent, time: Timestamp) -> Checked {
        if world.skew {
            return Ok(());
        }
        let distinct = |per: Duration, rule: Option<&str>| {
            let of_rule = |intent: &Intent| rule.is_none_or(|rule| intent.rule_ids.iter().any(|id| id == rule));
            let alive = self.intents.iter().filter(|(key, _)| !self.withdrawn.contains(*key)).map(|(_, intent)| intent);
            alive
                .filter(|(other, at)| of_rule(other) && at.saturating_add(per).is_ok_and(|end| end > time))
                .map(|(other, _)| other.device.id.clone())
                .collect::<BTreeSet<_>>()
                .len()
        };
        let cap = &world.settings.blast_radius;
        ensure(distinct(cap.per, None) <= cap.devices as usize, || format!("blast radius passed by {intent:?}"))?;
        let limit = input::limit(world);
        let per = Duration::from_secs(limit.per_seconds);
        ensure(distinct(per, Some(&limit.rule_id)) <= limit.devices as usize, || {
            format!("the rule's cap is passed by {intent:?}")
        })
    }

    /// A worker asks for a call.
    pub(super) fn launched(&mut self, owner: &Owner, scan_id: &str, attempt: u32, clock: Timestamp) -> Checked {
        let key = (scan_id.to_owned(), attempt);
        ensure(self.intents.contains_key(&key), || format!("{key:?} is called without an intent that counts"))?;
        ensure(!self.withdrawn.contains(&key), || format!("{key:?} was withdrawn"))?;
        ensure(self.launched.insert(key.clone()), || format!("{key:?} is called twice"))?;
        ensure(!owner.halted && !owner.halted_by_log, || format!("{key:?} is called while halted"))?;
        ensure(owner.paused_until.is_none_or(|until| until <= clock), || {
            format!("{key:?} is called at {clock} despite a 429 until {:?}", owner.paused_until)
        })
    }

    /// A call is about to arrive at the API.
    pub(super) fn arrives(&self, world: &input::World, api: &Api, post: &Post) -> Checked {
        let slack = if world.skew { SKEW } else { SignedDuration::ZERO };
        let quota = &world.settings.quota;
        for (window, limit) in [(quota.minute_window, quota.per_minute), (quota.hour_window, quota.per_hour)] {
            let begin = post.at.saturating_sub(window).unwrap_or(Timestamp::MIN) + slack;
            let before = api.posts.iter().filter(|other| other.at > begin).count();
            ensure(before < limit as usize, || format!("more than {limit} calls arrive in {window:?}: {post:?}"))?;
        }
        let decided = |post: &Post| {
            self.intents.get(&(post.scan_id.clone(), post.attempt)).map(|(intent, at)| (intent.priority, *at))
        };
        if let Some((priority, at)) = decided(post).filter(|(priority, _)| *priority < quota.reserve_priority) {
            let begin = post.at.saturating_sub(quota.hour_window).unwrap_or(Timestamp::MIN) + slack;
            let earlier =
                |other: &&Post| other.at > begin && decided(other).is_some_and(|(_, before)| before + slack < at);
            let free = quota.per_hour - quota.per_hour * quota.reserve_percent / 100;
            let before = api.posts.iter().filter(earlier).count();
            ensure(before < free as usize, || format!("{post:?} of priority {priority} uses the reserve"))?;
        }
        ensure(!input::is_protected(&post.device_id), || format!("a protected device is called: {post:?}"))?;
        let Some((intent, _)) = self.intents.get(&(post.scan_id.clone(), post.attempt)) else {
            return Err(format!("{post:?} has no intent"));
        };
        let same = intent.device.id == post.device_id && intent.scan_type == post.scan_type;
        ensure(same && intent.comment == post.comment, || format!("{post:?} is not what {intent:?} says"))?;
        let live = intent.request_ids.iter().all(|id| self.asked.get(id).is_some_and(|asked| asked.mode == Mode::Live));
        ensure(live, || format!("{post:?} covers a request in shadow"))?;
        let other = self.whole.devices.get(&post.device_id).and_then(|device| device.scan.as_ref());
        ensure(other.is_none_or(|scan| *scan == post.scan_id), || {
            format!("{post:?} while {other:?} is open: {:?}", self.whole.scans)
        })
    }

    /// What the API's log shows at the end.
    pub(super) fn at_the_end(&self, world: &input::World, api: &Api, coverage: &mut Coverage) -> Checked {
        let left: Vec<_> = self.whole.requests.values().collect();
        ensure(left.is_empty(), || {
            format!("requests never end: {left:?} {:?} claim {:?}", self.whole.scans, self.whole.claim)
        })?;
        for id in self.asked.keys() {
            let times = self.ended.get(id).copied().unwrap_or(0);
            ensure(times == 1, || format!("{id} ended {times} times"))?;
        }
        let slack = if world.skew { SKEW } else { SignedDuration::ZERO };
        let ours = api.actions.iter().filter_map(|action| Some((action, action.ours.as_ref()?)));
        let ours: Vec<_> = ours.collect();
        for (position, (first, (scan, attempt))) in ours.iter().enumerate() {
            for (second, (other, again)) in ours.iter().skip(position + 1) {
                ensure(scan != other, || format!("scan {scan} was accepted twice: attempts {attempt} and {again}"))?;
                let passes = first.scope == ScanType::Quick && second.scope == ScanType::Full;
                if first.device_id != second.device_id || passes || self.unresolved.contains(scan) {
                    continue;
                }
                let Some((intent, _)) = self.intents.get(&(scan.clone(), *attempt)) else { continue };
                let rested = first.created_at.saturating_add(Duration::from_secs(intent.cooldown_seconds));
                let rested =
                    rested.unwrap_or(Timestamp::MAX).max(self.rests.get(scan).copied().unwrap_or(Timestamp::MIN));
                ensure(second.created_at + slack >= rested, || {
                    format!("{second:?} was made before {rested}, when the rest after {first:?} ends")
                })?;
            }
        }
        coverage.count("total requests", self.asked.len() as u64);
        coverage.count("total posts", api.posts.len() as u64);
        coverage.count("total scans of ours", ours.len() as u64);
        Ok(())
    }
}

/// Requests that a terminal record names.
fn named(body: &EventBody) -> Vec<&String> {
    match body {
        EventBody::Shadowed(body) => body.request_ids.iter().collect(),
        EventBody::Suppressed(body) => body.request_ids.iter().collect(),
        EventBody::Failed(body) => body.request_ids.iter().collect(),
        EventBody::Finished(body) => body.request_ids.iter().chain(&body.joined_request_ids).collect(),
        _ => Vec::new(),
    }
}
