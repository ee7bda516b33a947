//! What one alert and one device say in the fields of a rule set: read once, tested often.
//!
//! Texts are copied into one buffer that is kept from alert to alert, so that reading allocates nothing once the buffers
//! have grown to what alerts need. A text without letter case of its own is its own folded form.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;
use std::ops::Range;

use jiff::Timestamp;

use super::field::{Field, severity_word};
use super::number::Number;
use crate::alert::{Alert, Device, Severity};

/// What an alert says in one field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot<'f> {
    /// The alert does not say; a JSON `null` is the same.
    Missing,
    /// It says so many values, possibly none (an empty list of tags).
    Present(Values<'f>),
}

impl<'f> Slot<'f> {
    pub(super) fn values(self) -> Values<'f> {
        match self {
            Self::Missing => Values { buffer: "", places: &[] },
            Self::Present(values) => values,
        }
    }
}

/// The values of one field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'f> {
    buffer: &'f str,
    places: &'f [Place],
}

impl<'f> Values<'f> {
    pub(super) fn iter(self) -> impl Iterator<Item = FieldValue<'f>> {
        let part = move |range: &Range<usize>| self.buffer.get(range.clone()).unwrap_or_default();
        self.places.iter().map(move |place| FieldValue { text: part(&place.text), folded: part(&place.folded) })
    }

    pub(super) fn first(self) -> Option<FieldValue<'f>> {
        self.iter().next()
    }
}

/// One value, as written and without letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldValue<'f> {
    pub(super) text: &'f str,
    pub(super) folded: &'f str,
}

impl FieldValue<'_> {
    pub(super) fn number(&self) -> Option<Number> {
        Number::parse(self.text)
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.text.parse().ok()
    }

    pub(super) fn time(&self) -> Option<Timestamp> {
        self.text.parse().ok()
    }

    pub(super) fn severity(&self) -> Option<Severity> {
        severity_word(self.folded)
    }
}

/// Text without letter case: patterns and values go through the same function.
///
/// It works character by character, so that a part of a text folds to a part of the folded text; the index relies on it.
/// The two small sigmas of Greek are one letter.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn fold_into(text: &str, into: &mut String) {
    into.extend(text.chars().flat_map(char::to_lowercase).map(|letter| if letter == 'ς' { 'σ' } else { letter }));
}

/// Where a value stands in the buffer.
#[derive(Debug, Clone)]
struct Place {
    text: Range<usize>,
    folded: Range<usize>,
}

/// Where the values of a slot stand.
#[derive(Debug, Clone, Copy)]
enum SlotPlace {
    Unread,
    Missing,
    Present { first: usize, end: usize },
}

/// The buffers behind [`Facts`], kept from alert to alert.
#[derive(Debug, Clone, Default)]
pub(super) struct FactStore {
    buffer: String,
    values: Vec<Place>,
    slots: Vec<SlotPlace>,
}

impl FactStore {
    /// Forgets the last alert; nothing is read yet of the next one.
    pub(super) fn begin(&mut self, slots: usize) {
        self.buffer.clear();
        self.values.clear();
        self.slots.clear();
        self.slots.resize(slots, SlotPlace::Unread);
    }

    /// Reads one field, unless it was read.
    pub(super) fn read(&mut self, slot: usize, field: &Field, alert: &Alert, device: &Device) {
        if matches!(self.slots[slot], SlotPlace::Unread) {
            let first = self.values.len();
            let present = field.read(alert, device, self);
            let end = self.values.len();
            self.slots[slot] = if present { SlotPlace::Present { first, end } } else { SlotPlace::Missing };
        }
    }

    /// Reads every field that was not read yet.
    pub(super) fn read_all(&mut self, fields: &[Field], alert: &Alert, device: &Device) {
        for (slot, field) in fields.iter().enumerate() {
            self.read(slot, field, alert, device);
        }
    }

    pub(super) fn slot(&self, index: usize) -> Slot<'_> {
        debug_assert!(!matches!(self.slots[index], SlotPlace::Unread), "a field is read before it is tested");
        match self.slots[index] {
            SlotPlace::Unread | SlotPlace::Missing => Slot::Missing,
            SlotPlace::Present { first, end } => {
                Slot::Present(Values { buffer: &self.buffer, places: &self.values[first..end] })
            }
        }
    }

    /// Adds a value to the field that is being read.
    pub(super) fn push(&mut self, text: &str) {
        let start = self.buffer.len();
        self.buffer.push_str(text);
        self.close(start);
    }

    /// Adds a value that has to be written first: a time, a number.
    pub(super) fn push_displayed(&mut self, value: impl Display) {
        let start = self.buffer.len();
        if write!(self.buffer, "{value}").is_err() {
            // Nothing that is written here refuses to be; half a value would be worse than an empty one.
            self.buffer.truncate(start);
        }
        self.close(start);
    }

    fn close(&mut self, start: usize) {
        let end = self.buffer.len();
        // Without an early end, so that it is done many bytes at a time.
        let odd = self.buffer.as_bytes()[start..]
            .iter()
            .fold(false, |odd, byte| odd | byte.is_ascii_uppercase() | !byte.is_ascii());
        let folded = if odd {
            self.fold(start..end);
            end..self.buffer.len()
        } else {
            start..end
        };
        self.values.push(Place { text: start..end, folded });
    }

    fn fold(&mut self, text: Range<usize>) {
        let end = text.end;
        let is_ascii = self.buffer.as_bytes()[text.clone()].is_ascii();
        if is_ascii {
            self.buffer.extend_from_within(text);
            if let Some(copy) = self.buffer.get_mut(end..) {
                copy.make_ascii_lowercase();
            }
        } else {
            // Rare enough for a copy of its own.
            let copy = self.buffer.get(text).unwrap_or_default().to_owned();
            fold_into(&copy, &mut self.buffer);
        }
    }
}

/// What one (alert, device) says in every field that a rule set asks about.
#[derive(Debug)]
pub(super) struct Facts<'f> {
    store: Cow<'f, FactStore>,
}

impl<'f> Facts<'f> {
    /// Reads every field into buffers of its own.
    pub(super) fn gather(fields: &[Field], alert: &Alert, device: &Device) -> Self {
        let mut store = FactStore::default();
        store.begin(fields.len());
        store.read_all(fields, alert, device);
        Self { store: Cow::Owned(store) }
    }

    /// What was read into somebody else's buffers.
    pub(super) const fn of(store: &'f FactStore) -> Self {
        Self { store: Cow::Borrowed(store) }
    }

    /// One field that says one text.
    pub(super) fn single(text: &str) -> Self {
        let mut store = FactStore::default();
        store.push(text);
        store.slots.push(SlotPlace::Present { first: 0, end: 1 });
        Self { store: Cow::Owned(store) }
    }

    pub(super) fn slot(&self, index: usize) -> Slot<'_> {
        self.store.slot(index)
    }
}
