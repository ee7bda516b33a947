//! Looking up all keys of one field at once: a hash for whole values, automata for beginnings, parts and ends.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, BuildError, Input, MatchKind, StartKind};
use foldhash::fast::FixedState;

use super::keys::{Key, KeyId, Probe};
use crate::rules::facts::Slot;

/// Automata of so few bytes of patterns become tables, which are faster and larger.
const TABLE_BYTES: usize = 4_000;

/// The keys of one field.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    present: Option<KeyId>,
    /// Looked up with texts that strangers write, filled with those of rules: nobody can make it collide.
    exact: HashMap<Box<str>, KeyId, FixedState>,
    /// Bit n: some whole value has n bytes, the last bit: that or more.
    exact_lengths: u64,
    beginnings: Option<Automaton>,
    parts: Option<Automaton>,
    /// Keys that cannot be looked up, and so count as held.
    unknown: Vec<KeyId>,
}

/// Finds any number of texts in one pass.
#[derive(Debug)]
struct Automaton {
    searcher: AhoCorasick,
    anchored: Anchored,
    /// For each text the key that wants it anywhere (or at the start, where anchored), and the one that wants it at the end.
    keys: Vec<(Option<KeyId>, Option<KeyId>)>,
}

impl Lookup {
    pub(super) fn new<'k>(keys: impl Iterator<Item = (KeyId, &'k Key)>) -> Self {
        let mut lookup = Self::default();
        let mut beginnings = Texts::default();
        let mut parts = Texts::default();
        for (id, key) in keys {
            match &key.probe {
                Probe::Present => lookup.present = Some(id),
                Probe::Exact(text) => {
                    lookup.exact_lengths |= length_bit(text);
                    lookup.exact.insert(text.clone(), id);
                }
                Probe::Prefix(text) => beginnings.entry(text).0 = Some(id),
                Probe::Contains(text) => parts.entry(text).0 = Some(id),
                Probe::Suffix(text) => parts.entry(text).1 = Some(id),
            }
        }
        lookup.beginnings = beginnings.build(Anchored::Yes, &mut lookup.unknown);
        lookup.parts = parts.build(Anchored::No, &mut lookup.unknown);
        lookup
    }

    /// Whether texts are searched, which takes longer than a hash.
    pub(super) const fn is_slow(&self) -> bool {
        self.parts.is_some()
    }

    /// Tells every key that the field holds, some more than once.
    pub(super) fn keys_of(&self, slot: Slot<'_>, mut held: impl FnMut(KeyId)) {
        for key in &self.unknown {
            held(*key);
        }
        let Slot::Present(values) = slot else { return };
        if let Some(key) = self.present {
            held(key);
        }
        for value in values.iter() {
            if self.exact_lengths & length_bit(value.folded) != 0
                && let Some(key) = self.exact.get(value.folded)
            {
                held(*key);
            }
            for automaton in [&self.beginnings, &self.parts].into_iter().flatten() {
                automaton.keys_of(value.folded, &mut held);
            }
        }
    }
}

fn length_bit(text: &str) -> u64 {
    1 << text.len().min(63)
}

impl Automaton {
    fn keys_of(&self, text: &str, held: &mut impl FnMut(KeyId)) {
        let input = Input::new(text).anchored(self.anchored);
        // The kind of search is the one it was built for, so that it is never refused.
        let Ok(found) = self.searcher.try_find_overlapping_iter(input) else {
            self.keys.iter().for_each(|(one, other)| [one, other].into_iter().flatten().for_each(|key| held(*key)));
            return;
        };
        for place in found {
            let (anywhere, at_end) = self.keys[place.pattern().as_usize()];
            if let Some(key) = anywhere {
                held(key);
            }
            if let Some(key) = at_end.filter(|_| place.end() == text.len()) {
                held(key);
            }
        }
    }
}

/// Distinct texts with their keys, on the way to an automaton.
#[derive(Default)]
struct Texts<'k> {
    places: HashMap<&'k str, usize>,
    texts: Vec<&'k str>,
    keys: Vec<(Option<KeyId>, Option<KeyId>)>,
}

impl<'k> Texts<'k> {
    fn entry(&mut self, text: &'k str) -> &mut (Option<KeyId>, Option<KeyId>) {
        let place = *self.places.entry(text).or_insert(self.texts.len());
        if place == self.texts.len() {
            self.texts.push(text);
            self.keys.push((None, None));
        }
        &mut self.keys[place]
    }

    /// Keys of what cannot be built go to `unknown`: the automaton would be too large.
    fn build(self, anchored: Anchored, unknown: &mut Vec<KeyId>) -> Option<Automaton> {
        if self.texts.is_empty() {
            return None;
        }
        match searcher(&self.texts, anchored) {
            Ok(searcher) => Some(Automaton { searcher, anchored, keys: self.keys }),
            Err(_) => {
                unknown.extend(self.keys.into_iter().flat_map(|(one, other)| [one, other]).flatten());
                None
            }
        }
    }
}

fn searcher(texts: &[&str], anchored: Anchored) -> Result<AhoCorasick, BuildError> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let kind = if bytes <= TABLE_BYTES { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    let start = if anchored.is_anchored() { StartKind::Anchored } else { StartKind::Unanchored };
    AhoCorasick::builder().match_kind(MatchKind::Standard).start_kind(start).kind(Some(kind)).build(texts)
}
