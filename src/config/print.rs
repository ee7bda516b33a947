//! The merged configuration as rows: every key, its value, and where the value came from.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::error::Place;
use super::schema::{Key, is_secret_name};

/// What stands in place of a secret that is set.
pub(super) const REDACTED: &str = "<redacted>";

/// One key of the merged configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Dotted path.
    pub key: String,
    /// Its value; secrets are redacted. Null where it is not set.
    pub value: Value,
    /// `default`, `file` or `environment`.
    pub origin: &'static str,
    /// Where exactly: `file:line:column` or the variable's name. Absent for a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Every key with its value and origin.
pub(super) fn rows(keys: &[Key], settings: &impl Serialize, places: &BTreeMap<String, Place>) -> Vec<Row> {
    // Settings are plain data; a value that could not be written would show as not set.
    let values = serde_json::to_value(settings).unwrap_or_default();
    keys.iter()
        .map(|key| {
            let place = places.get(&key.path);
            let value = match value_at(&values, &key.path) {
                // A secret never gets into the serialised settings: only its origin tells whether it is set.
                None | Some(Value::Null) if key.secret && place.is_some() => Value::String(REDACTED.to_owned()),
                Some(value) if key.secret && !value.is_null() => Value::String(REDACTED.to_owned()),
                // A map of files names secrets and holds none.
                value if key.path.ends_with("_files") => value.cloned().unwrap_or_default(),
                value => value.map_or(Value::Null, redact),
            };
            let (origin, place) = match place {
                None | Some(Place::Whole) => ("default", None),
                Some(place @ (Place::File { .. } | Place::Path { .. })) => ("file", Some(place.to_string())),
                Some(Place::Environment { name }) => ("environment", Some(name.clone())),
            };
            Row { key: key.path.clone(), value, origin, place }
        })
        .collect()
}

/// The value at a dotted path.
pub(super) fn value_at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(values, |value, name| value.get(name))
}

/// A copy without the values of secret-looking names, for free maps such as librdkafka's properties.
fn redact(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| {
                let value = if is_secret_name(name) { Value::String(REDACTED.to_owned()) } else { redact(value) };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(redact).collect(),
        other => other.clone(),
    }
}
