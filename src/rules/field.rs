//! The fields a rule can ask about, and what one alert and one device say in them.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value as Json;

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

    pub(super) const fn ordering(&self) -> Ordering {
        match self {
            Self::Named(NamedField::Severity | NamedField::DeviceRisk) => Ordering::Severity,
            Self::Named(NamedField::IncidentId | NamedField::Id) | Self::Label(_) | Self::Raw(_) => Ordering::Number,
            Self::Named(_) | Self::Everything => Ordering::None,
        }
    }

    /// Reads the field.
    pub(super) fn read<'a>(&self, alert: &'a Alert, device: &'a Device) -> Slot<'a> {
        match self {
            Self::Named(field) => field.read(alert, device),
            Self::Label(name) => Slot::one(alert.labels.get(name)),
            Self::Raw(path) => {
                let mut values = Vec::new();
                if collect_raw(&alert.raw, path, &mut values) { Slot::Present(values) } else { Slot::Missing }
            }
            Self::Everything => Slot::Present(everything(alert, device)),
        }
    }
}

/// What keywords are searched in. Words of closed lists and times are left out: nobody wrote them.
fn everything<'a>(alert: &'a Alert, device: &'a Device) -> Vec<FieldValue<'a>> {
    let closed = [NamedField::Severity, NamedField::Format, NamedField::CreatedAt];
    let mut values: Vec<FieldValue<'a>> = alert.labels.values().map(|text| FieldValue::from(text.as_str())).collect();
    for field in NamedField::ALL.iter().filter(|field| !closed.contains(field)) {
        if let Slot::Present(found) = field.read(alert, device) {
            values.extend(found);
        }
    }
    values
}

impl NamedField {
    /// Whether the field has any number of values.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::MitreTechnique | Self::DeviceTags | Self::DeviceIp)
    }

    pub(super) fn read<'a>(self, alert: &'a Alert, device: &'a Device) -> Slot<'a> {
        match self {
            Self::Id => Slot::Present(vec![FieldValue::from(alert.id.as_str())]),
            Self::Title => Slot::one(alert.title.as_ref()),
            Self::Description => Slot::one(alert.description.as_ref()),
            Self::Severity => Slot::Present(vec![FieldValue::from(alert.severity.as_str())]),
            Self::Category => Slot::one(alert.category.as_ref()),
            Self::Status => Slot::one(alert.status.as_ref()),
            Self::Source => Slot::one(alert.source.as_ref()),
            Self::DetectionSource => Slot::one(alert.detection_source.as_ref()),
            Self::CreatedAt => alert
                .created_at
                .map_or(Slot::Missing, |time| Slot::Present(vec![FieldValue::new(Cow::Owned(time.to_string()))])),
            Self::Tenant => Slot::one(alert.tenant.as_ref()),
            Self::IncidentId => Slot::one(alert.incident_id.as_ref()),
            Self::Format => Slot::Present(vec![FieldValue::from(alert.format.as_str())]),
            Self::ThreatName => Slot::one(alert.threat.name.as_ref()),
            Self::ThreatFamily => Slot::one(alert.threat.family.as_ref()),
            Self::MitreTechnique => Slot::many_or_missing(&alert.mitre.technique),
            Self::UserName => Slot::one(alert.user.name.as_ref()),
            Self::UserDomain => Slot::one(alert.user.domain.as_ref()),
            Self::FileName => Slot::one(alert.file.name.as_ref()),
            Self::FilePath => Slot::one(alert.file.path.as_ref()),
            Self::FileSha1 => Slot::one(alert.file.sha1.as_ref()),
            Self::FileSha256 => Slot::one(alert.file.sha256.as_ref()),
            Self::DeviceId => Slot::one(device.id.as_ref()),
            Self::DeviceName => Slot::one(device.name.as_ref()),
            Self::DeviceOs => Slot::one(device.os.as_ref()),
            Self::DeviceGroup => Slot::one(device.group.as_ref()),
            Self::DeviceTags => device.tags.as_ref().map_or(Slot::Missing, |tags| Slot::Present(texts(tags))),
            Self::DeviceRisk => Slot::one(device.risk.as_ref()),
            Self::DeviceIp => Slot::many_or_missing(&device.ip),
        }
    }
}

/// What an alert says in one field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Slot<'a> {
    /// The alert does not say; a JSON `null` is the same.
    Missing,
    /// It says so many values, possibly none (an empty list of tags).
    Present(Vec<FieldValue<'a>>),
}

impl<'a> Slot<'a> {
    fn one(text: Option<&'a String>) -> Self {
        text.map_or(Self::Missing, |text| Self::Present(vec![FieldValue::from(text.as_str())]))
    }

    fn many_or_missing(list: &'a [String]) -> Self {
        if list.is_empty() { Self::Missing } else { Self::Present(texts(list)) }
    }

    pub(super) fn values(&self) -> &[FieldValue<'a>] {
        match self {
            Self::Missing => &[],
            Self::Present(values) => values,
        }
    }
}

fn texts(list: &[String]) -> Vec<FieldValue<'_>> {
    list.iter().map(|text| FieldValue::from(text.as_str())).collect()
}

/// One value, as written and without letter case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldValue<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) folded: Cow<'a, str>,
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(Cow::Borrowed(text))
    }
}

impl<'a> FieldValue<'a> {
    fn new(text: Cow<'a, str>) -> Self {
        let already_folded = text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let folded = if already_folded { text.clone() } else { Cow::Owned(fold(&text)) };
        Self { text, folded }
    }

    pub(super) fn number(&self) -> Option<f64> {
        self.text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.text.parse().ok()
    }

    pub(super) fn time(&self) -> Option<Timestamp> {
        self.text.parse().ok()
    }

    pub(super) fn severity(&self) -> Option<Severity> {
        severity_word(&self.folded)
    }
}

/// Text without letter case: patterns and values go through the same function.
pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// The severity a lower-case word names. Defender's risk score says `none` for the lowest.
pub(super) fn severity_word(folded: &str) -> Option<Severity> {
    if folded == "none" {
        return Some(Severity::Unspecified);
    }
    Severity::ALL.into_iter().find(|severity| severity.as_str() == folded)
}

/// Collects what a path reaches; false where it reaches nothing but `null`.
fn collect_raw<'a>(json: &'a Json, path: &[String], values: &mut Vec<FieldValue<'a>>) -> bool {
    match (json, path) {
        (Json::Null, _) => false,
        (Json::Array(items), []) => {
            for item in items {
                collect_raw(item, &[], values);
            }
            true
        }
        (Json::Array(items), _) => {
            let mut found = false;
            // Every element is visited, so that the values of all of them are collected.
            for item in items {
                found |= collect_raw(item, path, values);
            }
            found
        }
        (Json::Object(_), []) => true,
        (Json::Object(map), [step, rest @ ..]) => map.get(step).is_some_and(|inner| collect_raw(inner, rest, values)),
        (Json::String(text), []) => {
            values.push(FieldValue::from(text.as_str()));
            true
        }
        (Json::Bool(_) | Json::Number(_), []) => {
            values.push(FieldValue::new(Cow::Owned(json.to_string())));
            true
        }
        (_, _) => false,
    }
}

/// What one (alert, device) says in every field that a rule set asks about: read once, tested often.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    slots: Vec<Slot<'a>>,
}

impl<'a> Facts<'a> {
    pub(super) fn gather(fields: &[Field], alert: &'a Alert, device: &'a Device) -> Self {
        Self { slots: fields.iter().map(|field| field.read(alert, device)).collect() }
    }

    pub(super) fn slot(&self, index: usize) -> &Slot<'a> {
        &self.slots[index]
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
