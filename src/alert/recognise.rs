//! Which format an object is in, told by its keys alone.
//!
//! 1. `@odata.type` names the Graph alert: Graph. It names another Graph type: unknown.
//! 2. A key of a format that we do not read (CloudEvents, Sentinel, …): unknown, with its name.
//! 3. Keys that only Graph has, or only MDE, or only our own: that format. Keys of two formats: unknown, never a guess.
//! 4. None of them, but an `id`: our own, whose only required field that is.

use super::error::{DecodeError, DecodeReason, quoted};
use super::json::{Json, Member, member, refuse_duplicates_here};
use super::model::Format;
use super::path::Path;

/// Keys that tell a format from the other two.
const MARKERS: [(Format, &[&str]); 3] = [
    (Format::GraphAlert, &["createdDateTime", "lastUpdateDateTime", "serviceSource", "providerAlertId", "alertWebUrl"]),
    (
        Format::MdeAlert,
        &["machineId", "computerDnsName", "alertCreationTime", "investigationState", "aadTenantId", "rbacGroupName"],
    ),
    (Format::AlertResponder, &["device", "devices", "created_at"]),
];

/// What an object looks like that we do not read.
struct Stranger {
    name: &'static str,
    keys: &'static [&'static str],
}

/// Every key must be there. None of the lists is met by a format that we read.
const STRANGERS: &[Stranger] = &[
    Stranger { name: "a CloudEvents envelope; send its data alone", keys: &["specversion"] },
    Stranger { name: "a Defender XDR streaming record; it is not supported yet", keys: &["records"] },
    Stranger {
        name: "a Defender XDR streaming record; it is not supported yet",
        keys: &["category", "properties", "tenantId"],
    },
    Stranger { name: "a Sentinel alert; it is not supported yet", keys: &["SystemAlertId"] },
    Stranger { name: "a Sentinel incident or alert; it is not supported yet", keys: &["id", "properties"] },
    Stranger { name: "a Graph legacy alert; ask for alerts_v2", keys: &["vendorInformation"] },
    Stranger { name: "a bundle of alerts; send them as an array", keys: &["alerts"] },
    Stranger { name: "an OCSF event; it is not supported yet", keys: &["class_uid"] },
    Stranger { name: "an Elastic alert; it is not supported yet", keys: &["@timestamp"] },
    Stranger { name: "a Wazuh alert; it is not supported yet", keys: &["rule", "agent"] },
];

/// What every "unknown format" message ends with.
const KNOWN: &str = "known are our own (needs `id`), MDE alerts and Graph alerts_v2";

/// The alerts of a record: one object, an array of them, or a page (`{"value": [...]}`), which only the Microsoft formats have.
///
/// Calls `act` with each object's place and format, in order.
///
/// # Errors
/// `unknown_format` for what is none of these, `too_large` for more than `most` alerts, and whatever `act` says.
pub(super) fn each_alert<'t, 'r>(
    record: &'t Json<'r>,
    most: usize,
    mut act: impl FnMut(&'t Json<'r>, Path<'_>, Format) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let root = Path::ROOT;
    let (items, path, in_page) = match record {
        Json::Array(items) => (items, root, false),
        Json::Object(members) => match member(members, "value") {
            Some(Json::Array(items)) if member(members, "id").is_none() => {
                refuse_duplicates_here(members, &root)?;
                (items, root.key("value"), true)
            }
            _ => return act(record, root, recognise(members, &root)?),
        },
        other => {
            let detail = format!("the record is {}; {KNOWN}, alone or in an array", other.kind());
            return Err(root.error_of(DecodeReason::UnknownFormat, detail));
        }
    };
    if items.len() > most {
        let detail = format!("{} alerts; at most {most} are allowed (max_alerts_per_record)", items.len());
        return Err(path.error_of(DecodeReason::TooLarge, detail));
    }
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let Json::Object(members) = item else {
            return Err(path.error_of(DecodeReason::UnknownFormat, format!("{} is no alert; {KNOWN}", item.kind())));
        };
        let format = recognise(members, &path)?;
        if in_page && format == Format::AlertResponder {
            let detail = "a page (`value`) holds MDE or Graph alerts, this is neither; send our own as a plain array";
            return Err(path.error_of(DecodeReason::UnknownFormat, detail));
        }
        act(item, path, format)?;
    }
    Ok(())
}

fn recognise(members: &[Member<'_>], path: &Path<'_>) -> Result<Format, DecodeError> {
    let has = |key: &&str| matches!(member(members, key), Some(value) if *value != Json::Null);
    let unknown = |detail: String| Err(path.error_of(DecodeReason::UnknownFormat, detail));

    if let Some(Json::Text(odata_type)) = member(members, "@odata.type") {
        let name = odata_type.trim_start_matches('#').to_ascii_lowercase();
        if name == "microsoft.graph.security.alert" {
            return Ok(Format::GraphAlert);
        }
        if name.starts_with("microsoft.graph.") {
            return unknown(format!("{} is no alert of alerts_v2; {KNOWN}", quoted(odata_type)));
        }
    }
    if let Some(stranger) = STRANGERS.iter().find(|stranger| stranger.keys.iter().all(has)) {
        return unknown(format!("this looks like {}; {KNOWN}", stranger.name));
    }
    let mut found = MARKERS
        .iter()
        .filter_map(|(format, keys)| keys.iter().find(|key| member(members, key).is_some()).map(|key| (*format, *key)));
    match (found.next(), found.next()) {
        (Some((format, _)), None) => Ok(format),
        (Some((one, key)), Some((other, other_key))) => unknown(format!(
            "the key `{key}` says {}, the key `{other_key}` says {}; send one of them",
            one.as_str(),
            other.as_str()
        )),
        (None, _) if member(members, "id").is_some() => Ok(Format::AlertResponder),
        (None, _) => unknown(format!("no key tells the format; {KNOWN}")),
    }
}
