//! What arrives: the devices of the tenant, what alerts and Defender tell of them, and the requests.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

use super::alert::Severity;
use super::chance::Chance;
use super::event::{AlertRef, DeviceRef, Mode, Requested, RuleLimit, ScanType, Silence, SilenceField, SilenceMatcher};
use super::fault::Fault;
use super::hardness::Hardness;
use super::scheduler::DeviceFacts;

/// Devices of the tenant. Those from 6 on are special, see the functions below.
pub(crate) const DEVICES: usize = 20;

/// Tagged at Defender in the course of some histories.
pub(crate) const TAGGED_LATER: usize = 12;

/// Protected by the configuration in the course of some histories.
pub(crate) const PROTECTED_LATER: usize = 11;

static IDS: LazyLock<Vec<String>> = LazyLock::new(|| (0..DEVICES).map(|device| format!("{device:040x}")).collect());

pub(crate) fn device_id(device: usize) -> String {
    IDS[device].clone()
}

/// The device's number; the ids are what [`device_id`] made.
pub(crate) fn device_of(id: &str) -> usize {
    id.get(36..).and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Protected all along: by name, by a tag that only Defender knows, by id, by group.
pub(crate) fn is_protected(hardness: &Hardness, device: usize) -> bool {
    let protected = &hardness.settings.protected;
    match device {
        9 | 19 => !protected.names.is_empty(),
        14 => !protected.groups.is_empty(),
        15 | 16 => true,
        _ => false,
    }
}

/// Defender answers that it cannot run the action.
pub(crate) const fn is_unsupported(device: usize) -> bool {
    device == 8
}

/// Defender does not know it.
pub(crate) const fn is_unknown(device: usize) -> bool {
    matches!(device, 7 | 18)
}

/// Alerts lack something that a protection looks at: name, tags or group.
pub(crate) fn needs_look_up(hardness: &Hardness, device: usize) -> bool {
    matches!(device, 6 | 10 | TAGGED_LATER | 16..=18)
        || (device == 13 && !hardness.settings.protected.groups.is_empty())
}

/// Look-ups of it always fail.
pub(crate) const fn look_up_fails(device: usize) -> bool {
    device == 17
}

/// What a look-up tells.
pub(crate) fn facts(device: usize, tagged: bool) -> Option<DeviceFacts> {
    let tags = if device == 16 || (device == TAGGED_LATER && tagged) { vec!["No-Scan".to_owned()] } else { Vec::new() };
    let name = (device != 10).then(|| name(device));
    (!is_unknown(device)).then_some(DeviceFacts { name, group: None, tags: Some(tags) })
}

fn name(device: usize) -> String {
    if matches!(device, 9 | 19) { format!("dc-{device}") } else { format!("ws-{device}") }
}

/// What alerts tell of a device.
fn told(device: usize) -> DeviceRef {
    let group = if device == 14 { "Tier 0 servers" } else { "Clients" };
    DeviceRef {
        id: device_id(device),
        name: (device != 10).then(|| name(device)),
        group: (device != 13).then(|| group.to_owned()),
        tags: (!matches!(device, 6 | TAGGED_LATER | 16..=18)).then(Vec::new),
    }
}

/// A request as intake would make it at `now`, the `number`th.
pub(crate) fn request(chance: &mut Chance, hardness: &Hardness, now: Timestamp, number: u64) -> Requested {
    let pace = u64::from(hardness.pace);
    let response = terms::response(chance, pace);
    // Counts are reached where alerts gather.
    let devices = if response.terms.awaits_threshold { 4 } else { DEVICES };
    let device = chance.dice.index(devices);
    let limited = response.rule_ids.iter().any(|rule| rule == "limited");
    let rule = response.rule_ids.first().cloned().unwrap_or_default();
    let back = chance.dice.millis(0, 900_000) * i32::try_from(pace).unwrap_or(1);
    let created = chance.dice.chance(500).then(|| now - back);
    // The clock of a source may be ahead.
    let created = created.or_else(|| chance.dice.chance(100).then(|| now + chance.dice.millis(0, 60_000)));
    let long = chance.dice.between(300, 3000) * pace;
    let soon = chance.dice.between(5, 9);
    let age = match () {
        () if chance.fault(Fault::BornTooOld, 20) => 0,
        () if chance.fault(Fault::SoonTooOld, 40) => soon,
        () => long,
    };
    let dice = &mut chance.dice;
    let scan_type = if dice.chance(250) { ScanType::Full } else { ScanType::Quick };
    let priority = [10, 50, 80, 95][dice.index(4)];
    let asks = response.terms.asks.iter();
    Requested {
        request_ids: vec![format!("request-{number}")],
        device: told(device),
        alerts: vec![AlertRef {
            id: format!("alert-{number}"),
            title: None,
            severity: Severity::High,
            topic: "alerts".to_owned(),
            partition: 0,
            offset: i64::try_from(number).unwrap_or(0),
            index: 0,
        }],
        rule_ids: response.rule_ids,
        ruleset: "rules".to_owned(),
        scan_type: asks.clone().map(|ask| ask.scan_type).max().unwrap_or(scan_type),
        priority: asks.map(|ask| ask.priority).max().unwrap_or(priority),
        comment: if hardness.same_comments {
            format!("by rule {rule}")
        } else {
            format!("due to alert alert-{number}")
        },
        mode: response.mode,
        alert_created_at: created,
        expires_at: now + SignedDuration::from_secs(i64::try_from(age).unwrap_or(0)),
        cooldown_seconds: dice.between(30, 1500) * pace,
        limits: if limited { vec![limit(hardness)] } else { Vec::new() },
        terms: response.terms,
        trace_id: None,
    }
}

/// The cap of the rule `limited`.
pub(crate) fn limit(hardness: &Hardness) -> RuleLimit {
    RuleLimit { rule_id: "limited".to_owned(), devices: 3, per_seconds: 300 * u64::from(hardness.pace) }
}

/// A silence as an operator would set it: one of few ids, so that some are replaced.
pub(crate) fn silence(chance: &mut Chance, hardness: &Hardness, now: Timestamp) -> Silence {
    let pace = i32::try_from(hardness.pace).unwrap_or(1);
    let dice = &mut chance.dice;
    let by = |field, value: String| SilenceMatcher { field, value };
    let any_device = dice.index(DEVICES);
    let first = match dice.index(6) {
        0 => by(SilenceField::Rule, ["limited", "OPEN", "sto*", "watch"][dice.index(4)].to_owned()),
        1 => by(SilenceField::DeviceId, device_id(any_device)),
        2 => by(SilenceField::DeviceName, "ws-1*".to_owned()),
        3 => by(SilenceField::DeviceGroup, "tier*".to_owned()),
        4 => by(SilenceField::AlertSeverity, "high".to_owned()),
        _ => by(SilenceField::AlertId, format!("alert-{}*", dice.index(9) + 1)),
    };
    let mut matchers = vec![first];
    if dice.chance(300) {
        matchers.push(by(SilenceField::DeviceId, device_id(any_device)));
    }
    let starts_at = if dice.chance(300) { now + dice.millis(0, 60_000) * pace } else { now - dice.millis(0, 5000) };
    let longest = if dice.chance(150) { 3_000_000 } else { 400_000 };
    Silence {
        id: format!("silence-{}", dice.index(4)),
        matchers,
        starts_at,
        ends_at: now + dice.millis(10_000, longest) * pace,
        author: "operator".to_owned(),
        comment: "maintenance".to_owned(),
    }
}

mod terms;
