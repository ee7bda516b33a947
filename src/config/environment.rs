//! Environment variables as keys: `ALERT_RESPONDER__KAFKA__BOOTSTRAP_SERVERS` is `kafka.bootstrap_servers`.
//!
//! A variable that is set to nothing counts as not set, because Compose files and charts produce those. A list may be
//! written with commas; a map, and a list of anything but texts, as YAML in one line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::{Checker, is_text, suggestion};
use super::error::{ConfigError, Place, Position};
use super::schema::{ENVIRONMENT_PREFIX, Key, resolve, types};
use super::yaml::{self, Node, Tree};

/// One key that the environment sets.
pub(super) struct Override {
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) places: BTreeMap<String, Place>,
}

/// Reads every variable with our prefix. Faults are appended to `errors`.
pub(super) fn overrides(
    environment: &BTreeMap<String, String>,
    keys: &[Key],
    errors: &mut Vec<ConfigError>,
) -> Vec<Override> {
    let by_name: BTreeMap<String, &Key> = keys.iter().map(|key| (key.environment_name(), key)).collect();
    let mut found = Vec::new();
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)) {
        let place = |_: Position| Place::Environment { name: name.clone() };
        let Some(key) = by_name.get(name) else {
            let hint = suggestion(name, by_name.keys().map(String::as_str));
            let message = format!("unknown key{hint}");
            errors.push(ConfigError { place: Place::Environment { name: name.clone() }, message });
            continue;
        };
        if text.is_empty() {
            continue;
        }
        let node = match read(text, &key.schema, &place) {
            Ok(node) => node,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let mut checker = Checker::new(&place);
        let value = checker.convert(&node, &key.schema, &key.path);
        // The fault of a secret must not show it.
        errors
            .extend(checker.errors.into_iter().map(|error| if key.secret { without_value(error, key) } else { error }));
        found.extend(value.map(|value| Override { path: key.path.clone(), value, places: checker.places }));
    }
    found
}

fn without_value(error: ConfigError, key: &Key) -> ConfigError {
    ConfigError { message: format!("`{}` is not {}", key.path, key.kind), ..error }
}

fn read(text: &str, schema: &Value, place: &dyn Fn(Position) -> Place) -> Result<Node, ConfigError> {
    let at = Position { line: 1, column: 1 };
    let (inner, _) = resolve(schema);
    let scalar = |text: &str, plain| Node { at, value: Tree::Scalar { text: text.trim().to_owned(), plain } };
    match types(inner).first() {
        Some(&"array") if !text.trim_start().starts_with('[') => {
            let plain = !inner.get("items").is_some_and(is_text);
            Ok(Node { at, value: Tree::Sequence(text.split(',').map(|item| scalar(item, plain)).collect()) })
        }
        Some(&"array" | &"object") => Ok(yaml::parse(text, place)?.unwrap_or_else(|| scalar("", true))),
        Some(&"string") => Ok(Node { at, value: Tree::Scalar { text: text.to_owned(), plain: false } }),
        _ => Ok(scalar(text, true)),
    }
}
