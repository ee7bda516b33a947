//! What all formats do with the devices of an alert.

use super::model::Device;

/// Length of a Defender machine id (Microsoft's page on the machine resource shows 40 hexadecimal digits).
const MACHINE_ID_DIGITS: usize = 40;

/// Machine ids in lower case, devices that say nothing dropped, devices with the same id merged into the first of them.
///
/// Merging fills what the first leaves out and unites tags and addresses. Devices without an id are never merged: two
/// computers may share a name.
pub(super) fn tidied(devices: Vec<Device>) -> Vec<Device> {
    let mut tidy: Vec<Device> = Vec::with_capacity(devices.len());
    for mut device in devices {
        if device == Device::default() {
            continue;
        }
        if let Some(id) = device.id.as_mut().filter(|id| is_machine_id(id)) {
            id.make_ascii_lowercase();
        }
        match tidy.iter_mut().find(|earlier| device.id.is_some() && earlier.id == device.id) {
            Some(earlier) => merge(earlier, device),
            None => tidy.push(device),
        }
    }
    tidy
}

fn is_machine_id(id: &str) -> bool {
    id.len() == MACHINE_ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn merge(into: &mut Device, from: Device) {
    let Device { id: _, name, os, group, tags, risk, ip } = from;
    into.name = into.name.take().or(name);
    into.os = into.os.take().or(os);
    into.group = into.group.take().or(group);
    into.risk = into.risk.take().or(risk);
    if let Some(tags) = tags {
        unite(into.tags.get_or_insert_default(), tags);
    }
    unite(&mut into.ip, ip);
}

fn unite(into: &mut Vec<String>, from: Vec<String>) {
    for text in from {
        if !into.contains(&text) {
            into.push(text);
        }
    }
}
