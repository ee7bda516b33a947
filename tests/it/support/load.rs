//! Alerts of every kind, and what must become of each, decided here and not by the code under test.

use std::collections::{BTreeMap, BTreeSet};

use alert_responder::simulator::machine_id_of;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

/// Rules that the load is made for: a quick scan that can wait, one that cannot, and one in shadow.
pub(crate) const RULES: &str = r#"
title: Malware
id: 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77
logsource: { category: alert }
detection: { malware: { category: Malware }, condition: malware }
level: medium
response: { scan: Quick, priority: 50, cooldown: 6h, comment: "Check machine for viruses due to alert {{ alert.id }}", mode: live }
---
title: Ransomware
id: 1c0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a78
logsource: { category: alert }
detection: { ransomware: { category: Ransomware }, condition: ransomware }
level: critical
response: { scan: Quick, priority: 95, cooldown: 6h, comment: "Ransomware: alert {{ alert.id }}", mode: live }
---
title: Suspicious
id: 2d0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a79
logsource: { category: alert }
detection: { suspicious: { category: SuspiciousActivity }, condition: suspicious }
level: low
response: { scan: Quick, cooldown: 1s, comment: "Would check due to alert {{ alert.id }}", mode: shadow }
"#;

/// Behaviours of some devices, by the simulator's table; none of them keeps a scan from coming about in the end.
const TROUBLED: &[&str] = &[
    "sim-503-once",
    "sim-cut-after-create-once",
    "sim-html-after-create-once",
    "sim-null-fields",
    "sim-late-create-once",
    "sim-cut-before-create-once",
    "sim-fails",
    "sim-429-once",
    "sim-500-empty-once",
];
/// Devices that cannot be scanned.
const UNSCANNABLE: &[&str] = &["sim-unsupported", "sim-old-client", "sim-disallowed"];

/// What one record must come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Machine ids that a scan is asked for, live or in shadow.
    pub(crate) requested: Vec<String>,
    /// Reasons of observations that are skipped.
    pub(crate) skipped: Vec<&'static str>,
    /// Reason why it is a dead letter.
    pub(crate) dead: Option<&'static str>,
}

/// Records, and what must become of them.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// In the order in which they are to be written; some are written more than once.
    pub(crate) lines: Vec<String>,
    pub(crate) fates: BTreeMap<String, Fate>,
    /// Every device's name.
    pub(crate) devices: Vec<String>,
    /// Machine ids that exactly one scan must come about for.
    pub(crate) intended: BTreeSet<String>,
}

/// A device's machine id.
pub(crate) fn id_of(name: &str) -> String {
    machine_id_of(name)
}

/// One alert of a category for one device.
fn alert(id: &str, category: &str, device: &str) -> String {
    json!({ "id": id, "title": "An alert", "severity": "high", "category": category,
            "device": { "id": id_of(device), "name": device } })
    .to_string()
}

impl Load {
    /// `count` records about `devices` devices, all from the seed. New devices come in the first two thirds.
    pub(crate) fn of(count: usize, devices: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut load = Self { devices: (0..devices).map(device_name).collect(), ..Self::default() };
        let mut known = 0;
        for number in 0..count {
            // Half of the devices are there from the start, so that there is a queue.
            let due = devices / 2 + devices * number * 3 / (count * 4);
            if known < devices && (known < devices / 2 || known < due) {
                let name = load.devices[known].clone();
                known += 1;
                load.request(number, if number % 7 == 0 { "Ransomware" } else { "Malware" }, &[&name]);
                continue;
            }
            load.any(number, known, &mut random);
        }
        assert_eq!(known, devices, "every device has its alert");
        load
    }

    /// One alert that asks for a live scan of each of these devices.
    pub(crate) fn for_each(names: &[&str]) -> Self {
        let mut load = Self { devices: names.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() };
        for (number, name) in names.iter().enumerate() {
            load.request(number, "Malware", &[name]);
        }
        load
    }

    fn any(&mut self, number: usize, known: usize, random: &mut StdRng) {
        let name = |random: &mut StdRng| random.random_range(0..known);
        let (one, two) = (self.devices[name(random)].clone(), self.devices[name(random)].clone());
        let id = format!("a-{number}");
        let skipped = |reason| Fate { skipped: vec![reason], ..Fate::default() };
        let dead = |reason| Fate { dead: Some(reason), ..Fate::default() };
        match random.random_range(0..100) {
            0..5 => self.push(alert(&id, "Phishing", &one), skipped("no_rule")),
            5..7 => self.push(format!("{{\"id\": \"{id}\","), dead("not_json")),
            7..9 => self.push(json!({ "unknown": id }).to_string(), dead("unknown_format")),
            9..11 => self.push(json!({ "id": id, "category": "Malware" }).to_string(), skipped("no_device")),
            11..13 => self.push(
                json!({ "id": id, "category": "Malware", "device": { "name": one } }).to_string(),
                skipped("ambiguous_device"),
            ),
            13..15 => self.push(
                json!({ "id": id, "category": "Malware", "status": "resolved", "device": { "id": id_of(&one) } })
                    .to_string(),
                skipped("alert_closed"),
            ),
            15..25 if !self.lines.is_empty() => {
                let again = self.lines.choose(random).cloned().unwrap_or_default();
                self.lines.push(again);
            }
            25..30 => self.request(number, "SuspiciousActivity", &[&one]),
            30..35 if one != two => self.request(number, "Malware", &[&one, &two]),
            35..40 => self.request(number, "Ransomware", &[&one]),
            _ => self.request(number, "Malware", &[&one]),
        }
    }

    fn request(&mut self, number: usize, category: &str, names: &[&str]) {
        let ids: Vec<String> = names.iter().map(|name| id_of(name)).collect();
        let devices: Vec<_> = names.iter().zip(&ids).map(|(name, id)| json!({ "id": id, "name": name })).collect();
        let line = json!({ "id": format!("a-{number}"), "title": "An alert", "severity": "high", "category": category,
                           "devices": devices });
        if category != "SuspiciousActivity" {
            let scannable = names.iter().zip(&ids).filter(|(name, _)| !is_unscannable(name));
            self.intended.extend(scannable.map(|(_, id)| id.clone()));
        }
        self.push(line.to_string(), Fate { requested: ids, ..Fate::default() });
    }

    fn push(&mut self, line: String, fate: Fate) {
        self.fates.insert(line.clone(), fate);
        self.lines.push(line);
    }

    /// The flags that make the simulator know the devices.
    pub(crate) fn machines(&self) -> Vec<String> {
        let machines = self.devices.iter().filter(|name| !is_unknown(name));
        machines.flat_map(|name| ["--machine".to_owned(), name.clone()]).collect()
    }

    /// Requests that all the lines must come to.
    pub(crate) fn requests(&self) -> usize {
        self.lines.iter().map(|line| self.fates[line].requested.len()).sum()
    }
}

fn device_name(number: usize) -> String {
    match number % 12 {
        3 => format!("{}-{number}", TROUBLED[number / 12 % TROUBLED.len()]),
        7 if number % 24 == 7 => format!("{}-{number}", UNSCANNABLE[number / 24 % UNSCANNABLE.len()]),
        7 => format!("gone-{number}"),
        _ => format!("ws-{number}"),
    }
}

/// Defender knows no such device.
fn is_unknown(name: &str) -> bool {
    name.starts_with("gone-")
}

fn is_unscannable(name: &str) -> bool {
    is_unknown(name) || UNSCANNABLE.iter().any(|behaviour| name.starts_with(behaviour))
}
