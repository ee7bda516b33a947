//! Devices that are never scanned. Fails closed: what cannot be told counts as a question, not as a no.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wildcard::Wildcard;
use crate::event::DeviceRef;

/// Devices that are never scanned, whatever a rule says. Names and groups take the wildcards `*` and `?`; letter case
/// is ignored everywhere.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectedDevices {
    /// Devices with these Defender machine ids are never scanned.
    pub ids: Vec<String>,
    /// Devices with these computer names are never scanned; `*` and `?` stand for any characters, for example `dc-*`. A short
    /// name also protects its fully qualified form.
    pub names: Vec<String>,
    /// Devices with these machine tags are never scanned. Where an alert does not tell the tags, the device is looked up.
    pub tags: Vec<String>,
    /// Devices in these device groups are never scanned; `*` and `?` stand for any characters.
    pub groups: Vec<String>,
}

/// What the protections say about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Nothing protects it.
    Free,
    /// Protected, and by what.
    Protected(String),
    /// A protection looks at something that is not known of the device.
    Unknown(&'static str),
}

/// The compiled list.
#[derive(Debug, Clone)]
pub struct Protector {
    ids: Vec<String>,
    names: Vec<Wildcard>,
    tags: Vec<String>,
    groups: Vec<Wildcard>,
}

impl ProtectedDevices {
    /// What is wrong with the values, each message naming the key and the mend.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for id in &self.ids {
            if id.len() != 40 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                wrong.push(format!("ids: `{id}` is not a Defender machine id (40 hexadecimal digits)"));
            }
        }
        for (key, values) in [("names", &self.names), ("tags", &self.tags), ("groups", &self.groups)] {
            if values.iter().any(|value| value.trim().is_empty()) {
                wrong.push(format!("{key}: an empty text protects nothing; remove it"));
            }
            if values.iter().any(|value| value.len() > 256) {
                wrong.push(format!("{key}: a text is longer than 256 bytes"));
            }
        }
        wrong
    }
}

impl Protector {
    /// Compiles the list.
    #[must_use]
    pub fn new(devices: &ProtectedDevices) -> Self {
        let lower = |values: &[String]| values.iter().map(|value| value.trim().to_lowercase()).collect();
        Self {
            ids: lower(&devices.ids),
            names: devices.names.iter().filter_map(|name| Wildcard::for_name(name)).collect(),
            tags: lower(&devices.tags),
            groups: devices.groups.iter().filter_map(|group| Wildcard::new(group)).collect(),
        }
    }

    /// Whether the device may be scanned, as far as `device` tells.
    #[must_use]
    pub fn check(&self, device: &DeviceRef) -> Protection {
        if self.ids.contains(&device.id.to_lowercase()) {
            return Protection::Protected("its id is on the protected list".to_owned());
        }
        if let Some(name) = &device.name
            && let Some(pattern) = self.names.iter().find(|pattern| pattern.matches(name))
        {
            return Protection::Protected(format!("its name matches the protected name `{}`", pattern.as_written()));
        }
        if let Some(group) = &device.group
            && let Some(pattern) = self.groups.iter().find(|pattern| pattern.matches(group))
        {
            return Protection::Protected(format!("its group matches the protected group `{}`", pattern.as_written()));
        }
        if let Some(tags) = &device.tags
            && let Some(tag) = tags.iter().find(|tag| self.tags.contains(&tag.trim().to_lowercase()))
        {
            return Protection::Protected(format!("it carries the protected tag `{tag}`"));
        }
        if !self.names.is_empty() && device.name.is_none() {
            return Protection::Unknown("name");
        }
        if !self.tags.is_empty() && device.tags.is_none() {
            return Protection::Unknown("tags");
        }
        if !self.groups.is_empty() && device.group.is_none() {
            return Protection::Unknown("group");
        }
        Protection::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protector() -> Protector {
        Protector::new(&ProtectedDevices {
            ids: vec!["A".repeat(40)],
            names: vec!["dc-*".to_owned(), "sql01.corp.contoso.com".to_owned()],
            tags: vec!["no-scan".to_owned()],
            groups: vec!["Tier 0*".to_owned()],
        })
    }

    fn device(name: Option<&str>, group: Option<&str>, tags: Option<&[&str]>) -> DeviceRef {
        DeviceRef {
            id: "b".repeat(40),
            name: name.map(str::to_owned),
            group: group.map(str::to_owned),
            tags: tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect()),
        }
    }

    #[test]
    fn each_kind_protects_and_case_is_ignored() {
        let check = |device: &DeviceRef| protector().check(device);
        let free = device(Some("ws-1"), Some("Workstations"), Some(&["finance"]));
        assert_eq!(check(&free), Protection::Free);
        assert!(matches!(check(&DeviceRef { id: "a".repeat(40), ..free.clone() }), Protection::Protected(_)));
        for name in ["DC-01", "dc-01.corp.contoso.com", "SQL01.corp.contoso.com"] {
            assert!(matches!(check(&device(Some(name), None, None)), Protection::Protected(_)), "{name}");
        }
        assert!(matches!(check(&device(Some("ws"), Some("tier 0 servers"), None)), Protection::Protected(_)));
        assert!(matches!(check(&device(Some("ws"), None, Some(&["No-Scan"]))), Protection::Protected(_)));
    }

    #[test]
    fn what_is_not_known_is_not_free() {
        let check = |device: &DeviceRef| protector().check(device);
        assert_eq!(check(&device(None, Some("w"), Some(&[]))), Protection::Unknown("name"));
        assert_eq!(check(&device(Some("ws"), Some("w"), None)), Protection::Unknown("tags"));
        assert_eq!(check(&device(Some("ws"), None, Some(&[]))), Protection::Unknown("group"));
        assert_eq!(Protector::new(&ProtectedDevices::default()).check(&device(None, None, None)), Protection::Free);
    }
}
