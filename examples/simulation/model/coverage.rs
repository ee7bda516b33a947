//! What histories have seen, by group and word: every command, record, transition, answer and fault must come up.
//!
//! A new item is a word in [`wanted`]. A word that is counted and not wanted is an error as well, so that no count is
//! forgotten here. Closed lists of the event vocabulary are wanted whole, but for what [`OUT_OF_REACH`] names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::event::{AttemptResult, EventBody, FailedReason, FinishedStatus, SuppressedReason, WithdrawReason};
use super::fault::Fault;

/// Group and word.
pub(crate) type Item = (&'static str, &'static str);

/// Counts by item.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    counts: HashMap<Item, u64, BuildHasherDefault<WordHasher>>,
    /// Changes with every record of the log.
    pub(crate) fingerprint: u64,
}

/// Words are few and short: the last bytes and the length tell them apart well enough.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let last = bytes.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last));
        let first = bytes.first_chunk::<4>().map_or(0, |first| u32::from_le_bytes(*first));
        let mixed = (u64::from(last) << 32 | u64::from(first)) ^ bytes.len() as u64;
        self.0 = (self.0.rotate_left(5) ^ mixed).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

const COMMANDS: &[&str] = &["append", "scan", "list", "look_up", "cancel"];

/// Answers that follow from the device or from its actions, not from a fault.
const ANSWERS: &[&str] =
    &["created", "already_running", "existing_action", "not_found", "unsupported", "still_limited", "left_too_late"];

const LOG: &[&str] = &[
    "former_owners_decision_void",
    "former_owners_fact_counts",
    "replay_from_the_middle",
    "claim_overtaken",
    "redelivery_ignored",
    "scanned_again_by_choice",
    "silence_replaced",
    "rest_has_grown",
];

const THRESHOLD: &[&str] = &["escalated", "reached", "reached_in_shadow"];

/// What outages were like, and what became of calls in them.
const OUTAGE: &[&str] = &["unauthorized", "failing", "no_connection", "lost_and_not_counted"];

const TRANSITIONS: &[&str] = &[
    "waiting > intended",
    "retry > intended",
    "waiting > joined",
    "waiting > shadowed",
    "waiting > suppressed",
    "waiting > failed",
    "intended > open by answer",
    "intended > open by list",
    "intended > open foreign",
    "intended > open unseen",
    "intended > retry",
    "intended > withdrawn",
    "intended > refused",
    "refused > failed",
    "open > finished",
    "foreign > finished",
    "unseen > finished",
];

const CONTROL: &[&str] = &["halted", "resumed", "tripped", "rearmed", "silence_set", "silence_ended"];

const CARRIED: &[&str] = &["halted", "cooldown", "tripped", "silence", "device_unfit", "quiet"];

/// Items of closed lists that nothing in the scheduler can cause, or not yet, and why. One that is seen all the same is
/// an error: it has become wanted.
const OUT_OF_REACH: &[(Item, &str)] = &[
    (("failed", "timed_out"), "a `finished` record says it"),
    (("failed", "cancelled"), "a `finished` record says it"),
    (("failed", "action_failed"), "a `finished` record says it"),
    (("failed", "evaluation_error"), "intake writes it"),
    (("withdrawn", "protected"), "the list is fixed for as long as a worker runs, and asked before the intent"),
    (("retried", "device_not_found"), "final"),
    (("retried", "unsupported_device"), "final"),
    (("retried", "rejected"), "final"),
    (("retried", "in_doubt"), "final"),
    (("final", "not_sent"), "always tried again"),
    (("final", "rate_limited"), "always tried again"),
    (("final", "unauthorized"), "always tried again"),
    (("final", "busy"), "always tried again"),
];

/// What comes up too seldom to be waited for, and which unit test sees to it.
const RARE: &[(Item, &str)] =
    &[(("withdrawn", "resting"), "an_intent_that_lands_behind_a_late_acceptance_is_withdrawn_and_the_rest_is_kept")];

/// Everything that must come up.
pub(crate) fn wanted() -> BTreeSet<Item> {
    let mut wanted = closed_lists();
    wanted.retain(|item| OUT_OF_REACH.iter().chain(RARE).all(|(other, _)| other != item));
    let mut add = |group: &'static str, words: &[&'static str]| wanted.extend(words.iter().map(|word| (group, *word)));
    add("command", COMMANDS);
    add("api", ANSWERS);
    add("log", LOG);
    add("transition", TRANSITIONS);
    add("control", CONTROL);
    add("carried", CARRIED);
    add("threshold", THRESHOLD);
    add("outage", OUTAGE);
    wanted
}

fn closed_lists() -> BTreeSet<Item> {
    let mut all: BTreeSet<Item> = BTreeSet::new();
    all.extend(Fault::ALL.iter().map(|fault| ("fault", fault.word())));
    all.extend(EventBody::NAMES.iter().map(|name| ("record", *name)));
    all.extend(AttemptResult::ALL.iter().flat_map(|r| [("retried", r.as_str()), ("final", r.as_str())]));
    all.extend(FinishedStatus::ALL.iter().map(|status| ("finished", status.as_str())));
    all.extend(SuppressedReason::ALL.iter().map(|reason| ("suppressed", reason.as_str())));
    all.extend(FailedReason::ALL.iter().map(|reason| ("failed", reason.as_str())));
    use WithdrawReason as W;
    let withdrawn = [W::Halted, W::TooLate, W::Protected, W::TooOld, W::Paused, W::Silenced, W::Tripped, W::Resting];
    all.extend(withdrawn.map(|reason| ("withdrawn", withdrawn_word(reason))));
    all
}

pub(crate) const fn withdrawn_word(reason: WithdrawReason) -> &'static str {
    match reason {
        WithdrawReason::Halted => "halted",
        WithdrawReason::TooLate => "too_late",
        WithdrawReason::Protected => "protected",
        WithdrawReason::TooOld => "too_old",
        WithdrawReason::Paused => "paused",
        WithdrawReason::Silenced => "silenced",
        WithdrawReason::Tripped => "tripped",
        WithdrawReason::Resting => "resting",
    }
}

impl Coverage {
    pub(crate) fn saw(&mut self, group: &'static str, word: &'static str) {
        *self.counts.entry((group, word)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.fingerprint = self.fingerprint.wrapping_add(other.fingerprint);
        for (item, count) in &other.counts {
            *self.counts.entry(*item).or_default() += count;
        }
    }

    /// Every wanted item and every one that was counted, by name.
    pub(crate) fn told(&self) -> BTreeMap<String, u64> {
        let all = wanted().into_iter().chain(self.counts.keys().copied());
        let count = |item: &Item| self.counts.get(item).copied().unwrap_or(0);
        all.map(|item| (format!("{} {}", item.0, item.1), count(&item))).collect()
    }

    /// What should have come up and did not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = wanted().into_iter().filter(|item| !self.counts.contains_key(item));
        missing.map(|(group, word)| format!("{group} {word}")).collect()
    }

    /// What came up and nobody wants.
    pub(crate) fn unlisted(&self) -> Vec<String> {
        let wanted = wanted();
        let unlisted: BTreeSet<&Item> = self
            .counts
            .keys()
            .filter(|item| !wanted.contains(*item) && RARE.iter().all(|(rare, _)| rare != *item))
            .collect();
        unlisted.into_iter().map(|(group, word)| format!("{group} {word}")).collect()
    }
}
