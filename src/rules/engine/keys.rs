//! Keys: what can be looked up in an alert at once for all rules.

use std::collections::HashMap;

use super::super::field::{Field, NamedField};

/// A key by its number.
pub(in crate::rules) type KeyId = u32;

/// Something that a field of an alert holds or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::rules) struct Key {
    pub(super) slot: usize,
    pub(super) probe: Probe,
}

/// What is looked for among the folded values of a field. Any of its values may hold it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::rules) enum Probe {
    /// The alert says something in this field.
    Present,
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
}

/// Every key of a rule set, once.
#[derive(Debug, Default)]
pub(in crate::rules) struct Keys {
    numbers: HashMap<Key, KeyId>,
    all: Vec<Key>,
}

impl Keys {
    pub(in crate::rules) fn number(&mut self, slot: usize, probe: Probe) -> KeyId {
        let key = Key { slot, probe };
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        // A rule set is at most some hundred MiB of text: its keys can be counted in 32 bits.
        let number = KeyId::try_from(self.all.len()).unwrap_or(KeyId::MAX);
        self.all.push(key.clone());
        self.numbers.insert(key, number);
        number
    }

    pub(super) fn get(&self, number: KeyId) -> &Key {
        &self.all[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// A guess how often alerts hold a key, from 0 to 1. A bad guess costs time and nothing else.
pub(in crate::rules) fn likelihood(field: &Field, probe: &Probe) -> f64 {
    let exact = match field {
        Field::Named(field) => exact_value(*field),
        Field::Label(_) => 0.1,
        Field::Raw(_) => 0.05,
        Field::Everything => 0.02,
    };
    match probe {
        Probe::Present => 0.9,
        Probe::Exact(_) => exact,
        Probe::Prefix(text) | Probe::Suffix(text) => part(exact, text, 0.02),
        // A part costs a look at the whole text.
        Probe::Contains(text) => part(exact, text, 0.04),
    }
}

fn part(exact: f64, text: &str, least: f64) -> f64 {
    let short = match text.len() {
        0 => 1.0,
        1 => 0.5,
        2 => 0.2,
        3 => 0.1,
        _ => least,
    };
    short.max(exact)
}

const fn exact_value(field: NamedField) -> f64 {
    match field {
        NamedField::Tenant | NamedField::Format => 0.8,
        NamedField::Severity | NamedField::Status | NamedField::DeviceRisk | NamedField::Source => 0.3,
        NamedField::Category | NamedField::DetectionSource | NamedField::DeviceOs | NamedField::UserDomain => 0.2,
        NamedField::DeviceGroup | NamedField::DeviceTags => 0.1,
        NamedField::Description => 0.06,
        NamedField::MitreTechnique => 0.05,
        NamedField::Title | NamedField::ThreatFamily | NamedField::FilePath => 0.02,
        NamedField::ThreatName | NamedField::FileName => 0.01,
        NamedField::Id
        | NamedField::CreatedAt
        | NamedField::IncidentId
        | NamedField::UserName
        | NamedField::FileSha1
        | NamedField::FileSha256
        | NamedField::DeviceId
        | NamedField::DeviceName
        | NamedField::DeviceIp => 0.001,
    }
}
