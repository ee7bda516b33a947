//! What must hold, told from outside: from the API's log of calls and actions, from the requests that were made, and
//! from the records that landed, read by the small fold of [`super::ledger`]. Nothing here asks the scheduler.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::api::{Api, Post};
use super::broken::{Kept, ensure};
use super::event::{Intent, Mode, ScanType};
use super::hardness::Hardness;
use super::input;
use super::ledger::{Attempt, Device, Ledger, Rest, Stage};
use super::owner::Owner;

/// A worker that does not stand still has read what landed so long ago.
const READ_WITHIN: SignedDuration = SignedDuration::from_secs(6);

/// An alert is known for this long at least.
const KNOWN_FOR: Duration = Duration::from_secs(50 * 60);

/// What a check looks at, beside the ledger.
pub(crate) struct Sight<'a> {
    pub(crate) hardness: &'a Hardness,
    pub(crate) api: &'a Api,
    pub(crate) now: Timestamp,
    /// Records that the writer of a record had read when it decided.
    pub(crate) read: usize,
}

/// See the module.
pub(crate) struct Checks {
    pub(crate) ledger: Ledger,
    /// Pauses that records demand: until when, and how many attempts had landed before.
    pauses: Vec<(Timestamp, usize)>,
    /// How many attempts had landed before the kill switch was pulled.
    halted_before: usize,
    leave_within: Duration,
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Why a device rests for whoever has read so many records.
fn resting(device: &Device, wanted: ScanType, time: Timestamp, read: usize) -> Option<&Rest> {
    let mut known = device.rests.iter().filter(|rest| rest.position < read);
    known.find(|rest| rest.until > time && wanted <= rest.scan_type)
}

impl Checks {
    pub(crate) fn new(leave_within: Duration) -> Self {
        Self { ledger: Ledger::new(), pauses: Vec::new(), halted_before: 0, leave_within }
    }

    /// A worker asks for a call: it has read its intent back, and so everything before it.
    pub(crate) fn launched(&mut self, owner: &Owner, scan_id: &str, attempt: u32, clock: Timestamp) -> Kept {
        let key = (scan_id.to_owned(), attempt);
        let place = self.ledger.order.iter().rposition(|other| *other == key).unwrap_or(usize::MAX);
        let Some(made) = self.ledger.attempts.get_mut(&key) else {
            return ensure("intent", false, || format!("{key:?} is called without an intent that counts"));
        };
        ensure("intent", made.intent.claim == owner.claim, || format!("{key:?} is called by another owner"))?;
        ensure("intent", !made.withdrawn, || format!("{key:?} is called although it was withdrawn"))?;
        ensure("one_post_per_scan", !made.launched, || format!("{key:?} is called twice"))?;
        made.launched = true;
        let latest = later(made.time, self.leave_within);
        ensure("too_late", clock <= latest, || format!("{key:?} is called at {clock}, after {latest}"))?;
        let device = input::device_of(&made.intent.device.id);
        ensure("protected", !owner.protects_later || device != input::PROTECTED_LATER, || {
            format!("{key:?} is called for a device that its worker's configuration protects")
        })?;
        let requests = made.intent.request_ids.iter().filter_map(|id| self.ledger.asked.get(id));
        let mut silences =
            requests.map(|asked| self.ledger.orders.binding_silence(&asked.asked, owner.position, clock));
        let silence = silences.find_map(|silence| silence);
        ensure("silence", silence.is_none(), || format!("{key:?} is called at {clock} despite {silence:?}"))?;
        let mut requests = made.intent.request_ids.iter().filter_map(|id| self.ledger.asked.get(id));
        let known = &self.ledger.devices[device];
        let rest = requests.find_map(|asked| {
            resting(known, self.ledger.orders.wanted(asked, owner.position).0, clock, owner.position)
        });
        ensure("cooldown", rest.is_none(), || {
            format!("{key:?} is called at {clock} while the device rests: {rest:?}")
        })?;
        let halted = owner.halted || (self.ledger.halted.is_some() && self.halted_before <= place);
        ensure("kill_switch", !halted, || format!("{key:?} is called while halted"))?;
        let by_log = self.pauses.iter().find(|(until, before)| *until > clock && *before <= place);
        let told = owner.paused_until.filter(|until| *until > clock);
        ensure("pause", by_log.is_none() && told.is_none(), || {
            format!("{key:?} is called at {clock} despite a pause: {by_log:?} {told:?}")
        })
    }

    /// A call is about to arrive at the API.
    pub(crate) fn arrives(&self, sight: &Sight<'_>, post: &Post) -> Kept {
        let key = (post.scan_id.clone(), post.attempt);
        let Some(made) = self.ledger.attempts.get(&key) else {
            return ensure("intent", false, || format!("{post:?} has no intent that counts"));
        };
        let intent = &made.intent;
        let same = input::device_of(&intent.device.id) == post.device && intent.scan_type == post.scan_type;
        ensure("intent", same && intent.comment == post.comment && !made.withdrawn, || {
            format!("{post:?} is not what {intent:?} says")
        })?;
        self.within_quota(sight, post, made)?;
        self.not_protected(sight, post)?;
        let leave_within = SignedDuration::try_from(sight.hardness.settings.leave_within).unwrap_or_default();
        if let Some(halted) = self.ledger.halted {
            ensure("kill_switch", post.sent <= halted + READ_WITHIN + leave_within, || {
                format!("{post:?} left long after the kill switch was pulled at {halted}")
            })?;
        }
        self.not_tripped(post, made)?;
        if sight.hardness.may_scan_twice() {
            return Ok(());
        }
        ensure("one_post_per_scan", !sight.api.by_scan.contains_key(&post.scan_id), || {
            format!("{post:?} although an earlier attempt was accepted")
        })?;
        let open = sight.api.open_action(post.device, sight.now);
        let ours = open.and_then(|open| open.ours.as_ref()).and_then(|(scan, _)| self.ledger.scans.get(scan));
        ensure("one_open_scan", ours.is_none_or(|scan| scan.stage == Stage::Ended), || {
            format!("{post:?} while our own {open:?} is open")
        })?;
        self.rested(sight, post)
    }

    /// Both windows, by the API's own clock, and the reserve.
    fn within_quota(&self, sight: &Sight<'_>, post: &Post, made: &Attempt) -> Kept {
        let (quota, slack) = (&sight.hardness.settings.quota, sight.hardness.slack());
        let since = |window: Duration| {
            let begin = post.at.saturating_sub(window).unwrap_or(Timestamp::MIN) + slack;
            sight.api.posts.iter().rev().take_while(move |other| other.at > begin)
        };
        for (window, limit) in [(quota.minute_window, quota.per_minute), (quota.hour_window, quota.per_hour)] {
            ensure("quota", since(window).count() < limit as usize, || {
                format!("more than {limit} calls arrive in {window:?}: {post:?}")
            })?;
        }
        let priority = made.intent.priority;
        if priority >= quota.reserve_priority {
            return Ok(());
        }
        let earlier = |other: &&Post| {
            let other = self.ledger.attempts.get(&(other.scan_id.clone(), other.attempt));
            other.is_some_and(|other| other.time + slack < made.time)
        };
        let free = quota.per_hour - quota.per_hour * quota.reserve_percent / 100;
        let before = since(quota.hour_window).filter(earlier).count();
        ensure("reserve", before < free as usize, || format!("{post:?} of priority {priority} uses the reserve"))
    }

    fn not_protected(&self, sight: &Sight<'_>, post: &Post) -> Kept {
        ensure("protected", !input::is_protected(sight.hardness, post.device), || {
            format!("a protected device is called: {post:?}")
        })?;
        let settings = &sight.hardness.settings;
        // A look-up may be on its way while the tag is set, and is believed from its answer on.
        let believed = settings.reads.device_memory + settings.leave_within + settings.call_timeout;
        let tagged = sight.api.tagged_at.filter(|_| post.device == input::TAGGED_LATER);
        ensure(
            "protected",
            tagged.is_none_or(|tagged| post.sent <= later(tagged, believed) + sight.hardness.slack()),
            || format!("a device that was tagged at {tagged:?} is called: {post:?}"),
        )
    }

    /// The device has rested since each of our scans of it, from the later of creation and end.
    fn rested(&self, sight: &Sight<'_>, post: &Post) -> Kept {
        for position in &sight.api.by_device[post.device] {
            let action = &sight.api.actions[*position];
            let Some((scan_id, attempt)) = action.ours.as_ref().filter(|_| action.scope >= post.scan_type) else {
                continue;
            };
            let scan = self.ledger.scans.get(scan_id);
            let known = scan.is_some_and(|scan| !scan.unresolved && scan.action.as_ref() == Some(&action.id));
            let (true, Some(made)) = (known, self.ledger.attempts.get(&(scan_id.clone(), *attempt))) else { continue };
            let cooldown = Duration::from_secs(made.intent.cooldown_seconds);
            let followed = scan.and_then(|scan| scan.follow_until).unwrap_or(Timestamp::MAX);
            let end = action.ends.map(|(end, _)| end).filter(|end| *end + sight.hardness.slack() < followed);
            let rested = later(end.unwrap_or(action.created_at).max(action.created_at), cooldown);
            ensure("cooldown", post.at + sight.hardness.slack() >= rested, || {
                format!("{post:?} arrives before {rested}, when the rest after {action:?} ends")
            })?;
        }
        Ok(())
    }

    /// An intent that counts: the guards must have let it through, as things were when it was decided.
    fn intended(&self, sight: &Sight<'_>, intent: &Intent, time: Timestamp) -> Kept {
        let hardness = sight.hardness;
        let device = &self.ledger.devices[input::device_of(&intent.device.id)];
        ensure("shadow", hardness.mode == Mode::Live, || "an intent in shadow".to_owned())?;
        ensure("one_open_scan", device.scan.is_none(), || format!("{intent:?} while {:?} is open", device.scan))?;
        let next = match &device.retry {
            Some(retry) => {
                ensure("retry", retry.retry_at <= time + hardness.slack(), || {
                    format!("{intent:?} at {time} before {}", retry.retry_at)
                })?;
                retry.scan_id == intent.scan_id && retry.attempt + 1 == intent.attempt
            }
            None => intent.attempt == 1 && !self.ledger.scans.contains_key(&intent.scan_id),
        };
        ensure("attempts", next, || format!("{intent:?} after {:?}", device.retry))?;
        let mut widest = None;
        for id in &intent.request_ids {
            let Some(asked) = self.ledger.asked.get(id).filter(|_| device.waiting.contains(id)) else {
                return ensure("intent", false, || format!("{intent:?} covers {id}, which does not wait"));
            };
            self.let_through(sight, asked, intent, time)?;
            self.first_of_its_alert(id, time)?;
            ensure("too_old", asked.asked.expires_at > time, || {
                format!("{intent:?} covers a request that is too old")
            })?;
            let (wanted, _) = self.ledger.orders.wanted(asked, sight.read);
            let rest = resting(device, wanted, time, sight.read);
            ensure("cooldown", rest.is_none(), || format!("{intent:?} at {time} while the device rests: {rest:?}"))?;
            widest = widest.max(Some(wanted));
        }
        ensure("intent", widest == Some(intent.scan_type), || format!("{intent:?} is not what its requests want"))?;
        self.not_in_vain(sight, intent, time)?;
        self.grown(sight, intent, time)?;
        let marker = format!("[scan {}]", intent.scan_id);
        ensure("intent", intent.comment.ends_with(&marker) == hardness.settings.comment_marker, || {
            format!("{intent:?} lacks its marker, or has one")
        })
    }

    /// No other request of the same alert came before, unless it failed or is long past.
    fn first_of_its_alert(&self, id: &String, time: Timestamp) -> Kept {
        let Some(asked) = self.ledger.asked.get(id) else { return Ok(()) };
        let alert =
            asked.asked.alerts.first().map(|alert| (alert.id.clone(), input::device_of(&asked.asked.device.id)));
        let all = alert.and_then(|alert| self.ledger.alerts.get(&alert)).map_or(&[][..], Vec::as_slice);
        let before = all.iter().take_while(|other| *other != id).filter_map(|other| self.ledger.asked.get(other));
        let known = before.filter(|other| !other.may_come_again && later(other.time, KNOWN_FOR) > time).last();
        ensure("duplicate", known.is_none(), || format!("{asked:?} repeats {known:?}"))
    }

    /// What is left when everything has healed and had its time.
    pub(crate) fn at_the_end(&self, sight: &Sight<'_>) -> Kept {
        let left = || self.ledger.asked.values().filter(|asked| asked.ended == 0).collect::<Vec<_>>();
        ensure("ends", self.ledger.open == 0, || format!("requests never end: {:?}", left()))?;
        let times = self.ledger.asked.iter().find(|(_, asked)| asked.ended != 1);
        ensure("conservation", times.is_none(), || format!("{times:?} did not end once"))?;
        for action in &sight.api.actions {
            let Some((scan_id, _)) = &action.ours else { continue };
            let Some(scan) = self.ledger.scans.get(scan_id) else { continue };
            let told = scan.unresolved || scan.action.is_some();
            ensure("told", told || sight.hardness.may_scan_twice(), || {
                format!("no record tells of {action:?}; {scan:?}")
            })?;
        }
        Ok(())
    }
}

/// Whether a scan of this scope covers a request.
fn covers(scope: ScanType, wanted: ScanType) -> bool {
    scope >= wanted
}

mod caps;
mod justified;
mod records;
