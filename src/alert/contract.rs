//! The JSON Schema of our own format, as Rust types. The decoder in [`super::own`] is the judge; tests hold the two together.
//!
//! The doc comments here are what editors show.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::limits::{LABEL_CHARS, LABELS, LIST_ITEMS, PATH_CHARS, WORD_CHARS};
use super::model::Severity;

/// One security alert in the format of alert-responder. It may name no device, one (`device`) or several (`devices`), not
/// both. Texts are trimmed; null and the empty text mean absent. Keys that are not listed here are kept and can be matched
/// as `raw.*`.
#[derive(JsonSchema)]
#[schemars(
    title = "Alert",
    extend("not" = {
        "required": ["device", "devices"],
        "properties": { "device": { "type": "object" }, "devices": { "type": "array" } }
    })
)]
#[expect(dead_code, reason = "read by the schema generator alone")]
pub struct AlertContract {
    /// The source's own identifier. An integer is taken as its decimal text.
    #[schemars(schema_with = "required_identifier")]
    id: String,
    /// Short human title; cut after 1,024 characters.
    title: Option<String>,
    /// Longer human description; cut after 8,192 characters.
    description: Option<String>,
    /// How bad the source says it is, in any letter case. Absent means unspecified.
    #[schemars(default, skip_serializing_if = "Option::is_none", schema_with = "severity")]
    severity: Option<Severity>,
    /// Free text, for example Malware.
    #[schemars(length(max = WORD_CHARS))]
    category: Option<String>,
    /// State at the source. An alert that is resolved, dismissed or closed (in any letter case) is not acted on.
    #[schemars(length(max = WORD_CHARS))]
    status: Option<String>,
    /// The product that raised it.
    #[schemars(length(max = WORD_CHARS))]
    source: Option<String>,
    /// The sensor inside that product.
    #[schemars(length(max = WORD_CHARS))]
    detection_source: Option<String>,
    /// When the source created the alert: RFC 3339, up to nine fractional digits.
    #[schemars(extend("format" = "date-time"))]
    created_at: Option<String>,
    /// Entra tenant id.
    #[schemars(length(max = WORD_CHARS))]
    tenant: Option<String>,
    /// Incident this alert belongs to. An integer is taken as its decimal text.
    #[schemars(default, skip_serializing_if = "Option::is_none", schema_with = "identifier")]
    incident_id: Option<String>,
    /// The malware that was named.
    threat: Option<ThreatContract>,
    /// MITRE ATT&CK references.
    mitre: Option<MitreContract>,
    /// The user most concerned.
    user: Option<UserContract>,
    /// The file most concerned.
    file: Option<FileContract>,
    /// Free key-value pairs.
    #[schemars(default, skip_serializing_if = "Option::is_none", schema_with = "labels")]
    labels: Option<BTreeMap<String, String>>,
    /// The device, where the alert names one.
    device: Option<DeviceContract>,
    /// The devices, main device first, where the alert names several.
    devices: Option<Vec<DeviceContract>>,
}

/// The malware that a source named.
#[derive(JsonSchema)]
#[schemars(rename = "Threat", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema generator alone")]
struct ThreatContract {
    /// Full name, for example Trojan:Win32/Emotet!rfn.
    #[schemars(length(max = WORD_CHARS))]
    name: Option<String>,
    /// Family, for example Emotet.
    #[schemars(length(max = WORD_CHARS))]
    family: Option<String>,
}

/// MITRE ATT&CK references of an alert.
#[derive(JsonSchema)]
#[schemars(rename = "Mitre", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema generator alone")]
struct MitreContract {
    /// Technique ids, for example T1204.002.
    #[schemars(length(max = LIST_ITEMS), inner(length(max = WORD_CHARS)))]
    technique: Option<Vec<String>>,
}

/// The user most concerned by an alert.
#[derive(JsonSchema)]
#[schemars(rename = "User", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema generator alone")]
struct UserContract {
    /// Account name.
    #[schemars(length(max = WORD_CHARS))]
    name: Option<String>,
    /// Domain of the account.
    #[schemars(length(max = WORD_CHARS))]
    domain: Option<String>,
}

/// The file most concerned by an alert.
#[derive(JsonSchema)]
#[schemars(rename = "File", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema generator alone")]
struct FileContract {
    /// File name without its folder.
    #[schemars(length(max = WORD_CHARS))]
    name: Option<String>,
    /// Folder.
    #[schemars(length(max = PATH_CHARS))]
    path: Option<String>,
    /// SHA-1, hexadecimal.
    #[schemars(length(max = WORD_CHARS))]
    sha1: Option<String>,
    /// SHA-256, hexadecimal.
    #[schemars(length(max = WORD_CHARS))]
    sha256: Option<String>,
}

/// One device that an alert names.
#[derive(JsonSchema)]
#[schemars(rename = "Device", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema generator alone")]
struct DeviceContract {
    /// Defender machine id, 40 hexadecimal digits. Not the Entra device id.
    #[schemars(length(max = WORD_CHARS))]
    id: Option<String>,
    /// Computer name, short or fully qualified.
    #[schemars(length(max = WORD_CHARS))]
    name: Option<String>,
    /// Operating system platform, for example Windows11.
    #[schemars(length(max = WORD_CHARS))]
    os: Option<String>,
    /// Device group.
    #[schemars(length(max = WORD_CHARS))]
    group: Option<String>,
    /// Machine tags. Absent means not told; an empty list means that there are none.
    #[schemars(length(max = LIST_ITEMS), inner(length(max = WORD_CHARS)))]
    tags: Option<Vec<String>>,
    /// Risk in the source's words.
    #[schemars(length(max = WORD_CHARS))]
    risk: Option<String>,
    /// One address, or several.
    #[schemars(default, skip_serializing_if = "Option::is_none", schema_with = "addresses")]
    ip: Option<Vec<String>>,
}

fn required_identifier(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "string", "minLength": 1, "maxLength": WORD_CHARS, "pattern": "\\S" },
            { "type": "integer" }
        ]
    })
}

fn identifier(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer", "null"], "maxLength": WORD_CHARS })
}

fn severity(_: &mut SchemaGenerator) -> Schema {
    // The list is what an editor offers, the pattern is what is accepted: JSON Schema knows no letter case.
    let any_case = |word: &str| -> String {
        word.chars().map(|letter| format!("[{letter}{}]", letter.to_ascii_uppercase())).collect()
    };
    let words = Severity::ALL.map(Severity::as_str);
    let pattern = format!("^({})$", words.map(any_case).join("|"));
    json_schema!({
        "anyOf": [{ "enum": words }, { "type": "string", "pattern": pattern }, { "type": "null" }]
    })
}

fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "maxProperties": LABELS,
        "propertyNames": { "maxLength": WORD_CHARS },
        "additionalProperties": { "type": ["string", "null"], "maxLength": LABEL_CHARS }
    })
}

fn addresses(_: &mut SchemaGenerator) -> Schema {
    let one = json_schema!({ "type": "string", "maxLength": WORD_CHARS });
    json_schema!({
        "anyOf": [one, { "type": "array", "maxItems": LIST_ITEMS, "items": one }, { "type": "null" }]
    })
}
