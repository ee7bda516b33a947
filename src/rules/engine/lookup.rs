//! Looking up all keys of one field at once: a hash for whole values, automata for beginnings, parts and ends.

use std::collections::HashMap;

use aho_corasick::automaton::OverlappingState;
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
    /// `None` where the automata would be too large.
    pub(super) fn new<'k>(keys: impl Iterator<Item = (KeyId, &'k Key)>) -> Option<Self> {
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
        lookup.beginnings = beginnings.build(Anchored::Yes).ok()?;
        lookup.parts = parts.build(Anchored::No).ok()?;
        Some(lookup)
    }

    /// Whether texts are searched, which takes longer than a hash.
    pub(super) const fn is_slow(&self) -> bool {
        self.parts.is_some()
    }

    /// Tells every key that the field holds, some more than once.
    pub(super) fn keys_of(&self, slot: Slot<'_>, mut held: impl FnMut(KeyId)) {
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
        let mut state = OverlappingState::start();
        loop {
            // Whether such a search is possible was tried when the automaton was built.
            if self.searcher.try_find_overlapping(input.clone(), &mut state).is_err() {
                return;
            }
            let Some(place) = state.get_match() else { return };
            // An anchored search ends where no text can go on, and until then also tells what it passes on its way.
            if self.anchored.is_anchored() && place.start() != 0 {
                continue;
            }
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

    fn build(self, anchored: Anchored) -> Result<Option<Automaton>, Refused> {
        if self.texts.is_empty() {
            return Ok(None);
        }
        let searcher = searcher(&self.texts, anchored).map_err(|_| Refused)?;
        let trial = Input::new("").anchored(anchored);
        searcher.try_find_overlapping(trial, &mut OverlappingState::start()).map_err(|_| Refused)?;
        Ok(Some(Automaton { searcher, anchored, keys: self.keys }))
    }
}

/// An automaton that cannot be built or used.
struct Refused;

fn searcher(texts: &[&str], anchored: Anchored) -> Result<AhoCorasick, BuildError> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let kind = if bytes <= TABLE_BYTES { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    let start = if anchored.is_anchored() { StartKind::Anchored } else { StartKind::Unanchored };
    AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .prefilter(false)
        .start_kind(start)
        .kind(Some(kind))
        .build(texts)
}
