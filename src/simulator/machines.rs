//! The fleet.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::config::{Config, SimMachine};
use super::names::Traits;

/// A device and what its name asks for.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) facts: SimMachine,
    pub(super) traits: Traits,
}

#[derive(Debug, Default)]
pub(super) struct Fleet {
    by_id: HashMap<String, Machine>,
    by_name: HashMap<String, String>,
    /// Ids in order of arrival, for lists.
    order: Vec<String>,
}

impl Fleet {
    /// Adds or replaces a device; returns its id.
    pub(super) fn add(&mut self, mut facts: SimMachine) -> String {
        if facts.id.is_empty() {
            facts.id = super::config::machine_id_of(&facts.name);
        }
        facts.id = facts.id.to_ascii_lowercase();
        let id = facts.id.clone();
        self.by_name.insert(facts.name.to_ascii_lowercase(), id.clone());
        let traits = Traits::of(&facts.name);
        if self.by_id.insert(id.clone(), Machine { facts, traits }).is_none() {
            self.order.push(id.clone());
        }
        id
    }

    /// A device by id: one of the fleet, or any at all where the configuration says so.
    pub(super) fn by_id(&self, id: &str, config: &Config) -> Option<Machine> {
        let id = id.to_ascii_lowercase();
        if config.unknown_ids.contains(&id) {
            return None;
        }
        if let Some(machine) = self.by_id.get(&id) {
            return Some(machine.clone());
        }
        if !config.any_machine || id.len() != 40 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let short: String = id.chars().take(8).collect();
        let facts = SimMachine { id, ..SimMachine::named(&format!("ws-{short}")) };
        Some(Machine { facts, traits: Traits::default() })
    }

    pub(super) fn by_name(&self, name: &str, config: &Config) -> Option<Machine> {
        self.by_id(self.by_name.get(&name.to_ascii_lowercase())?, config)
    }

    pub(super) fn traits_mut(&mut self, id: &str) -> Option<&mut Traits> {
        self.by_id.get_mut(&id.to_ascii_lowercase()).map(|machine| &mut machine.traits)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Machine> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }
}

/// The properties that a list of machines can be filtered by.
pub(super) const FILTERS: &[&str] = &[
    "computerDnsName",
    "id",
    "version",
    "deviceValue",
    "aadDeviceId",
    "machineTags",
    "lastSeen",
    "exposureLevel",
    "onboardingStatus",
    "lastIpAddress",
    "healthStatus",
    "osPlatform",
    "riskScore",
    "rbacGroupId",
    "rbacGroupName",
];

impl Machine {
    /// The device as the API shows it.
    pub(super) fn json(&self, now: &str) -> Value {
        let facts = &self.facts;
        json!({
            "id": facts.id, "mergedIntoMachineId": null, "isPotentialDuplication": false, "isExcluded": false,
            "exclusionReason": null, "computerDnsName": facts.name, "firstSeen": "2025-11-05T11:54:59.5717001Z",
            "lastSeen": now, "osPlatform": facts.os, "osVersion": null, "osProcessor": "x64", "version": "24H2",
            "lastIpAddress": facts.ip, "lastExternalIpAddress": "203.0.113.20", "agentVersion": "10.8790.26100.3476",
            "osBuild": 26100, "healthStatus": "Active", "deviceValue": "Normal",
            "rbacGroupId": if facts.group.is_some() { 140 } else { 0 }, "rbacGroupName": facts.group,
            "riskScore": facts.risk, "exposureLevel": "Low", "isAadJoined": true, "aadDeviceId": null,
            "machineTags": facts.tags, "onboardingStatus": "Onboarded", "osArchitecture": "64-bit",
            "managedBy": "Intune", "managedByStatus": "Success",
            "ipAddresses": facts.ip.iter().map(|ip| json!({ "ipAddress": ip, "macAddress": null, "type": "Ethernet",
                                                           "operationalStatus": "Up" })).collect::<Vec<_>>(),
            "vmMetadata": null,
        })
    }
}
