//! The fields a rule can ask about, and how each is read from an alert and a device.

use serde_json::Value as Json;

use super::facts::FactStore;
use crate::alert::{Alert, Device, Severity};

/// A field of the normalised alert, a free label, or a path into the original JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    Named(NamedField),
    /// `labels.<name>`.
    Label(String),
    /// `raw.<a>.<b>`: an array on the way or at the end stands for any of its elements.
    Raw(Vec<String>),
    /// The text of all fields together, for keywords.
    Everything,
}

macro_rules! named_fields {
    ($($variant:ident => $name:literal),+ $(,)?) => {
        /// The fields that have a fixed name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum NamedField { $($variant),+ }

        impl NamedField {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

named_fields! {
    Id => "id",
    Title => "title",
    Description => "description",
    Severity => "severity",
    Category => "category",
    Status => "status",
    Source => "source",
    DetectionSource => "detection_source",
    CreatedAt => "created_at",
    Tenant => "tenant",
    IncidentId => "incident_id",
    Format => "format",
    ThreatName => "threat.name",
    ThreatFamily => "threat.family",
    MitreTechnique => "mitre.technique",
    UserName => "user.name",
    UserDomain => "user.domain",
    FileName => "file.name",
    FilePath => "file.path",
    FileSha1 => "file.sha1",
    FileSha256 => "file.sha256",
    DeviceId => "device.id",
    DeviceName => "device.name",
    DeviceOs => "device.os",
    DeviceGroup => "device.group",
    DeviceTags => "device.tags",
    DeviceRisk => "device.risk",
    DeviceIp => "device.ip",
}

/// What a field can be compared with by order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordering {
    /// By the order of severities.
    Severity,
    /// As numbers.
    Number,
    /// Not at all.
    None,
}

impl Field {
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let Some(named) = NamedField::ALL.iter().find(|field| field.as_str() == name) {
            return Some(Self::Named(*named));
        }
        if let Some(label) = name.strip_prefix("labels.").filter(|label| !label.is_empty()) {
            return Some(Self::Label(label.to_owned()));
        }
        let path: Vec<String> = name.strip_prefix("raw.")?.split('.').map(str::to_owned).collect();
        path.iter().all(|step| !step.is_empty()).then_some(Self::Raw(path))
    }

    /// A field of a foreign rule: a path into the original JSON, whatever its name.
    pub(super) fn foreign(name: &str) -> Self {
        let path: Vec<String> = name.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) { Self::Raw(vec![name.to_owned()]) } else { Self::Raw(path) }
    }

    /// Whether the field may hold a time.
    pub(super) const fn may_be_time(&self) -> bool {
        matches!(self, Self::Named(NamedField::CreatedAt) | Self::Label(_) | Self::Raw(_))
    }

    /// Every name a rule may write, with stand-ins for the free ones; for suggestions.
    pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
        NamedField::ALL.iter().map(|field| field.as_str()).chain(["labels.<name>", "raw.<path>"])
    }

    /// Where this is the part of names before the dot: one of them, the best known.
    pub(super) fn one_of_group(group: &str) -> Option<&'static str> {
        let of_group = |name: &&str| name.split_once('.').is_some_and(|(first, _)| first == group);
        let is_name = |name: &&str| name.ends_with(".name");
        Self::known_names().filter(of_group).find(is_name).or_else(|| Self::known_names().find(of_group))
    }

    pub(super) const fn ordering(&self) -> Ordering {
        match self {
            Self::Named(NamedField::Severity | NamedField::DeviceRisk) => Ordering::Severity,
            Self::Named(NamedField::IncidentId | NamedField::Id) | Self::Label(_) | Self::Raw(_) => Ordering::Number,
            Self::Named(_) | Self::Everything => Ordering::None,
        }
    }

    /// Reads the field's values into the store; false where the alert does not say.
    pub(super) fn read(&self, alert: &Alert, device: &Device, into: &mut FactStore) -> bool {
        match self {
            Self::Named(field) => field.read(alert, device, into),
            Self::Label(name) => one(alert.labels.get(name), into),
            Self::Raw(path) => collect_raw(&alert.raw, path, into),
            Self::Everything => {
                everything(alert, device, into);
                true
            }
        }
    }
}

/// What keywords are searched in. Words of closed lists and times are left out: nobody wrote them.
fn everything(alert: &Alert, device: &Device, into: &mut FactStore) {
    let closed = [NamedField::Severity, NamedField::Format, NamedField::CreatedAt];
    for text in alert.labels.values() {
        into.push(text);
    }
    for field in NamedField::ALL.iter().filter(|field| !closed.contains(field)) {
        field.read(alert, device, into);
    }
}

impl NamedField {
    /// Whether the field has any number of values.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::MitreTechnique | Self::DeviceTags | Self::DeviceIp)
    }

    fn read(self, alert: &Alert, device: &Device, into: &mut FactStore) -> bool {
        match self {
            Self::Id => word(&alert.id, into),
            Self::Title => one(alert.title.as_ref(), into),
            Self::Description => one(alert.description.as_ref(), into),
            Self::Severity => word(alert.severity.as_str(), into),
            Self::Category => one(alert.category.as_ref(), into),
            Self::Status => one(alert.status.as_ref(), into),
            Self::Source => one(alert.source.as_ref(), into),
            Self::DetectionSource => one(alert.detection_source.as_ref(), into),
            Self::CreatedAt => alert.created_at.is_some_and(|time| {
                into.push_displayed(time);
                true
            }),
            Self::Tenant => one(alert.tenant.as_ref(), into),
            Self::IncidentId => one(alert.incident_id.as_ref(), into),
            Self::Format => word(alert.format.as_str(), into),
            Self::ThreatName => one(alert.threat.name.as_ref(), into),
            Self::ThreatFamily => one(alert.threat.family.as_ref(), into),
            Self::MitreTechnique => many_or_missing(&alert.mitre.technique, into),
            Self::UserName => one(alert.user.name.as_ref(), into),
            Self::UserDomain => one(alert.user.domain.as_ref(), into),
            Self::FileName => one(alert.file.name.as_ref(), into),
            Self::FilePath => one(alert.file.path.as_ref(), into),
            Self::FileSha1 => one(alert.file.sha1.as_ref(), into),
            Self::FileSha256 => one(alert.file.sha256.as_ref(), into),
            Self::DeviceId => one(device.id.as_ref(), into),
            Self::DeviceName => one(device.name.as_ref(), into),
            Self::DeviceOs => one(device.os.as_ref(), into),
            Self::DeviceGroup => one(device.group.as_ref(), into),
            Self::DeviceTags => device.tags.as_ref().is_some_and(|tags| many(tags, into)),
            Self::DeviceRisk => one(device.risk.as_ref(), into),
            Self::DeviceIp => many_or_missing(&device.ip, into),
        }
    }
}

fn word(text: &str, into: &mut FactStore) -> bool {
    into.push(text);
    true
}

fn one(text: Option<&String>, into: &mut FactStore) -> bool {
    text.is_some_and(|text| word(text, into))
}

fn many(list: &[String], into: &mut FactStore) -> bool {
    for text in list {
        into.push(text);
    }
    true
}

fn many_or_missing(list: &[String], into: &mut FactStore) -> bool {
    many(list, into) && !list.is_empty()
}

/// The severity a lower-case word names. Defender's risk score says `none` for the lowest.
pub(super) fn severity_word(folded: &str) -> Option<Severity> {
    if folded == "none" {
        return Some(Severity::Unspecified);
    }
    Severity::ALL.into_iter().find(|severity| severity.as_str() == folded)
}

/// Collects what a path reaches; false where it reaches nothing but `null`.
fn collect_raw(json: &Json, path: &[String], into: &mut FactStore) -> bool {
    match (json, path) {
        (Json::Null, _) => false,
        (Json::Array(items), []) => {
            for item in items {
                collect_raw(item, &[], into);
            }
            true
        }
        (Json::Array(items), _) => {
            let mut found = false;
            // Every element is visited, so that the values of all of them are collected.
            for item in items {
                found |= collect_raw(item, path, into);
            }
            found
        }
        (Json::Object(_), []) => true,
        (Json::Object(map), [step, rest @ ..]) => map.get(step).is_some_and(|inner| collect_raw(inner, rest, into)),
        (Json::String(text), []) => word(text, into),
        (Json::Bool(_) | Json::Number(_), []) => {
            into.push_displayed(json);
            true
        }
        (_, _) => false,
    }
}

/// The fields a rule set asks about, each with its slot.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldTable {
    pub(super) fields: Vec<Field>,
    index: std::collections::HashMap<Field, usize>,
}

impl FieldTable {
    pub(super) fn slot_of(&mut self, field: &Field) -> usize {
        if let Some(slot) = self.index.get(field) {
            return *slot;
        }
        let slot = self.fields.len();
        self.fields.push(field.clone());
        self.index.insert(field.clone(), slot);
        slot
    }
}
