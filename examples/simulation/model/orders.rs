//! Orders as a reader outside sees them: what was in force after so many records of the log. A fact that is carried on
//! says nothing new, so it is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::event::{ControlAction, Requested, ScanType, Silence, SilenceField, SilenceMatcher};
use super::ledger::Asked;

/// A change: position of its record, what it is about, and what it says.
type Changes<Key, Said> = Vec<(usize, Key, Said)>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Caps: tripped, and since when; or re-armed.
    caps: Changes<Option<String>, Option<Timestamp>>,
    silences: Changes<String, Option<Silence>>,
    /// The latest time that the dispatch side wrote.
    clock: Option<Timestamp>,
}

impl Orders {
    /// An order landed at `position`; a trip only counts where its owner's claim is in force.
    pub(crate) fn ordered(&mut self, position: usize, now: Timestamp, order: &ControlAction) {
        match order {
            ControlAction::Tripped { rule_id, .. } if !self.is_tripped(rule_id.as_deref(), position) => {
                self.caps.push((position, rule_id.clone(), Some(now)));
            }
            ControlAction::Rearmed { rule_id } => self.caps.push((position, rule_id.clone(), None)),
            ControlAction::SilenceSet { silence } => {
                self.silences.push((position, silence.id.clone(), Some(silence.clone())));
            }
            ControlAction::SilenceEnded { silence_id } => self.silences.push((position, silence_id.clone(), None)),
            ControlAction::Halted | ControlAction::Resumed | ControlAction::Tripped { .. } => {}
        }
    }

    /// A record of the dispatch side's own landed.
    pub(crate) fn dispatch_wrote(&mut self, time: Timestamp) {
        self.clock = self.clock.max(Some(time));
    }

    /// When a cap tripped that is tripped for whoever has read so many records.
    pub(crate) fn tripped_at(&self, rule: Option<&str>, read: usize) -> Option<Timestamp> {
        let mut known = self.caps.iter().filter(|(position, about, _)| *position < read && about.as_deref() == rule);
        known.next_back().and_then(|(.., tripped)| *tripped)
    }

    pub(crate) fn is_tripped(&self, rule: Option<&str>, read: usize) -> bool {
        self.tripped_at(rule, read).is_some()
    }

    /// Every cap that is tripped.
    pub(crate) fn tripped(&self, read: usize) -> BTreeSet<Option<String>> {
        let caps = self.caps.iter().map(|(_, cap, _)| cap);
        caps.filter(|cap| self.is_tripped(cap.as_deref(), read)).cloned().collect()
    }

    /// Position of the record from which on a cap counts.
    pub(crate) fn counts_from(&self, rule: Option<&str>, read: usize) -> usize {
        let mut rearmed = self
            .caps
            .iter()
            .filter(|(position, about, tripped)| *position < read && about.as_deref() == rule && tripped.is_none());
        rearmed.next_back().map_or(0, |(position, ..)| *position)
    }

    /// Silences that were set and not ended, whether or not they are over.
    pub(crate) fn silences(&self, read: usize) -> BTreeMap<&str, &Silence> {
        let mut set = BTreeMap::new();
        for (_, id, silence) in self.silences.iter().filter(|(position, ..)| *position < read) {
            match silence {
                Some(silence) => set.insert(id.as_str(), silence),
                None => set.remove(id.as_str()),
            };
        }
        set
    }

    /// A silence that must hold a request back: by the clock of who decides, and not past by that of the log, which a clock that
    /// jumped back may be behind.
    pub(crate) fn binding_silence(&self, asked: &Requested, read: usize, time: Timestamp) -> Option<&Silence> {
        self.silence_between(asked, read, time, self.clock.map_or(time, |clock| clock.max(time)))
    }

    /// A silence that may hold a request back.
    pub(crate) fn silence_of(&self, asked: &Requested, read: usize, time: Timestamp) -> Option<&Silence> {
        self.silence_between(asked, read, time, time)
    }

    fn silence_between(
        &self,
        asked: &Requested,
        read: usize,
        begun: Timestamp,
        not_over: Timestamp,
    ) -> Option<&Silence> {
        let all = self.silences(read).into_values();
        let mut in_force = all.filter(|silence| silence.starts_at <= begun && not_over < silence.ends_at);
        in_force.find(|silence| silence.matchers.iter().all(|matcher| matches(matcher, asked)))
    }

    /// Since when tripped caps keep every live rule of a request from asking, if they do.
    pub(crate) fn kept_since(&self, asked: &Asked, read: usize) -> Option<Timestamp> {
        if self.caps.is_empty() {
            return None;
        }
        let tripped = asked.wants.asks.iter().map(|ask| self.tripped_at(Some(&ask.rule_id), read));
        let last = tripped.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        [self.tripped_at(None, read), last].into_iter().flatten().min()
    }

    pub(crate) fn keeps(&self, asked: &Asked, read: usize) -> bool {
        self.kept_since(asked, read).is_some()
    }

    /// Scan and priority that a request comes to: a rule whose cap is tripped asks for nothing.
    pub(crate) fn wanted(&self, asked: &Asked, read: usize) -> (ScanType, u8) {
        let (asks, wants) = (&asked.wants.asks, &asked.wants);
        let free = || asks.iter().filter(|ask| !self.is_tripped(Some(&ask.rule_id), read));
        let scan_type = free().map(|ask| ask.scan_type).max();
        let priority = free().map(|ask| ask.priority).max();
        match scan_type.zip(priority) {
            Some(left) if free().count() < asks.len() => left,
            _ => (wants.scan_type, wants.priority),
        }
    }
}

/// The few kinds of matchers that [`super::input::silence`] makes.
fn matches(matcher: &SilenceMatcher, asked: &Requested) -> bool {
    let is = |text: &str| match matcher.value.strip_suffix('*') {
        Some(begin) => text.to_lowercase().starts_with(&begin.to_lowercase()),
        None => text.eq_ignore_ascii_case(&matcher.value),
    };
    match matcher.field {
        SilenceField::Rule => asked.rule_ids.iter().any(|rule| is(rule)),
        SilenceField::DeviceId => is(&asked.device.id),
        SilenceField::DeviceName => asked.device.name.as_deref().is_some_and(is),
        SilenceField::DeviceGroup => asked.device.group.as_deref().is_some_and(is),
        SilenceField::AlertId => asked.alerts.iter().any(|alert| is(&alert.id)),
        SilenceField::AlertSeverity => asked.alerts.iter().any(|alert| is(alert.severity.as_str())),
        SilenceField::DeviceTag | SilenceField::AlertTitle => false,
    }
}
