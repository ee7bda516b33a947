//! Our own format: `schemas/alert.schema.json`, which [`super::contract`] generates.
//!
//! The top level is open: keys that we do not know stay in the raw object. The objects inside it are closed, because a
//! misspelt `device.id` would otherwise mean an alert without a device.

use std::collections::BTreeMap;

use super::error::{DecodeError, DecodeReason, quoted};
use super::fields::Fields;
use super::json::Json;
use super::limits::{DESCRIPTION_CHARS, LABEL_CHARS, LABELS, PATH_CHARS, TITLE_CHARS, WORD_CHARS};
use super::model::{Alert, Device, FileInfo, Mitre, Severity, Threat, User};
use super::settings::Settings;

pub(super) const DEVICE_KEYS: &[&str] = &["id", "name", "os", "group", "tags", "risk", "ip"];
pub(super) const THREAT_KEYS: &[&str] = &["name", "family"];
pub(super) const MITRE_KEYS: &[&str] = &["technique"];
pub(super) const USER_KEYS: &[&str] = &["name", "domain"];
pub(super) const FILE_KEYS: &[&str] = &["name", "path", "sha1", "sha256"];

/// What other systems call our fields: nearer than any spelling distance.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("hostname", "device.name"),
    ("host", "device.name"),
    ("computer", "device.name"),
    ("computername", "device.name"),
    ("computerdnsname", "device.name"),
    ("devicename", "device.name"),
    ("deviceid", "device.id"),
    ("machineid", "device.id"),
    ("mdedeviceid", "device.id"),
    ("platform", "device.os"),
    ("osplatform", "device.os"),
    ("rbacgroupname", "device.group"),
    ("ipaddress", "device.ip"),
    ("ipaddresses", "device.ip"),
    ("ips", "device.ip"),
    ("riskscore", "device.risk"),
    ("techniques", "mitre.technique"),
    ("username", "user.name"),
    ("account", "user.name"),
    ("accountname", "user.name"),
    ("folder", "file.path"),
    ("filename", "file.name"),
];

/// The field that a word of another system means, whatever its case and punctuation.
#[must_use]
pub fn field_called(word: &str) -> Option<&'static str> {
    let plain = plain(word);
    OTHER_NAMES.iter().find(|(other, _)| *other == plain).map(|(_, ours)| *ours)
}

fn plain(word: &str) -> String {
    word.to_ascii_lowercase().replace(['_', '-', ' ', '.'], "")
}

/// One alert of our own format.
///
/// # Errors
/// `invalid` where it breaks the contract, `too_large` for too many devices.
pub(super) fn alert(fields: &Fields<'_, '_>, limits: &Settings) -> Result<Alert, DecodeError> {
    Ok(Alert {
        id: fields.required_identifier("id")?,
        title: fields.prose("title", TITLE_CHARS)?,
        description: fields.prose("description", DESCRIPTION_CHARS)?,
        severity: severity(fields)?,
        category: fields.word("category")?,
        status: fields.word("status")?,
        source: fields.word("source")?,
        detection_source: fields.word("detection_source")?,
        created_at: fields.timestamp("created_at")?,
        tenant: fields.word("tenant")?,
        incident_id: fields.identifier("incident_id")?,
        threat: closed(fields, "threat", THREAT_KEYS, |threat| {
            Ok(Threat { name: threat.word("name")?, family: threat.word("family")? })
        })?,
        mitre: closed(fields, "mitre", MITRE_KEYS, |mitre| {
            Ok(Mitre { technique: mitre.words("technique")?.unwrap_or_default() })
        })?,
        user: closed(fields, "user", USER_KEYS, |user| {
            Ok(User { name: user.word("name")?, domain: user.word("domain")? })
        })?,
        file: closed(fields, "file", FILE_KEYS, |file| {
            Ok(FileInfo {
                name: file.word("name")?,
                path: file.text("path", PATH_CHARS)?,
                sha1: file.word("sha1")?,
                sha256: file.word("sha256")?,
            })
        })?,
        labels: labels(fields)?,
        devices: devices(fields, limits)?,
        ..Alert::default()
    })
}

fn severity(fields: &Fields<'_, '_>) -> Result<Severity, DecodeError> {
    let Some(word) = fields.word("severity")? else { return Ok(Severity::Unspecified) };
    Severity::from_word(&word).ok_or_else(|| {
        let words = Severity::ALL.map(Severity::as_str);
        fields.error("severity", format!("{} is no severity{}", quoted(&word), suggestion(&word, &words)))
    })
}

/// An object of which all keys must be known.
fn closed<T: Default>(
    fields: &Fields<'_, '_>,
    key: &str,
    keys: &[&str],
    read: impl FnOnce(&Fields<'_, '_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let Some(inner) = fields.object(key)? else { return Ok(T::default()) };
    refuse_strangers(&inner, keys)?;
    read(&inner)
}

fn refuse_strangers(fields: &Fields<'_, '_>, keys: &[&str]) -> Result<(), DecodeError> {
    fields.stranger(keys).map_or(Ok(()), |stranger| {
        Err(fields.error(stranger, format!("unknown key {}{}", quoted(stranger), suggestion(stranger, keys))))
    })
}

fn devices(fields: &Fields<'_, '_>, limits: &Settings) -> Result<Vec<Device>, DecodeError> {
    let single = fields.object("device")?;
    let several = fields.list("devices")?;
    if single.is_some() && several.is_some() {
        return Err(fields.error("devices", "`device` and `devices` are both there; send one of them"));
    }
    if let Some(single) = single {
        return Ok(vec![device(&single)?]);
    }
    let count = several.map_or(0, <[_]>::len);
    check_device_count(fields, "devices", count, limits)?;
    let mut devices = Vec::with_capacity(count);
    fields.each_object("devices", |fields| {
        devices.push(device(&fields)?);
        Ok(())
    })?;
    Ok(devices)
}

/// Refuses more devices than the settings allow.
pub(super) fn check_device_count(
    fields: &Fields<'_, '_>,
    key: &str,
    count: usize,
    limits: &Settings,
) -> Result<(), DecodeError> {
    let most = limits.max_devices_per_alert;
    if count > most {
        let detail = format!("{count} devices; at most {most} are allowed (max_devices_per_alert)");
        return Err(fields.path().key(key).error_of(DecodeReason::TooLarge, detail));
    }
    Ok(())
}

fn device(fields: &Fields<'_, '_>) -> Result<Device, DecodeError> {
    refuse_strangers(fields, DEVICE_KEYS)?;
    let ip = match fields.get("ip") {
        Some(Json::Text(_)) => fields.word("ip")?.into_iter().collect(),
        Some(Json::Array(_)) | None => fields.words("ip")?.unwrap_or_default(),
        Some(other) => {
            let detail = format!("expected an address or an array of addresses, found {}", other.kind());
            return Err(fields.error("ip", detail));
        }
    };
    Ok(Device {
        id: fields.word("id")?,
        name: fields.word("name")?,
        os: fields.word("os")?,
        group: fields.word("group")?,
        tags: fields.words("tags")?,
        risk: fields.word("risk")?,
        ip,
    })
}

fn labels(fields: &Fields<'_, '_>) -> Result<BTreeMap<String, String>, DecodeError> {
    let Some(inner) = fields.object("labels")? else { return Ok(BTreeMap::new()) };
    if inner.members().len() > LABELS {
        return Err(inner.path().error(format!("{} labels; at most {LABELS} are allowed", inner.members().len())));
    }
    let mut labels = BTreeMap::new();
    for (key, _) in inner.members() {
        if key.chars().nth(WORD_CHARS).is_some() {
            return Err(inner.error(key, format!("a label's name is longer than {WORD_CHARS} characters; shorten it")));
        }
        if let Some(value) = inner.text(key, LABEL_CHARS)? {
            labels.insert(key.clone().into_owned(), value);
        }
    }
    Ok(labels)
}

/// `; did you mean ...` where a known word is near, else the list of them.
fn suggestion(word: &str, known: &[&str]) -> String {
    let plain = plain(word);
    let other_name = field_called(word).and_then(|field| field.rsplit('.').next());
    let nearest = other_name.filter(|name| known.contains(name)).or_else(|| {
        // A hostile word may be a megabyte long, and the distance is quadratic.
        let candidates = known.iter().filter(|_| plain.len() <= 32);
        let (distance, candidate) =
            candidates.map(|candidate| (strsim::damerau_levenshtein(&plain, candidate), *candidate)).min()?;
        (distance <= 1 + candidate.len() / 4).then_some(candidate)
    });
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => format!("; known are {}", known.join(", ")),
    }
}
