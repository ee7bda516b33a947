//! The JSON Schema of the configuration, and what it tells of every key: the one source of names, types and meanings for
//! the checks, the editor and the documentation.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Prefix of every environment variable that is read as a key.
pub const ENVIRONMENT_PREFIX: &str = "ALERT_RESPONDER__";

/// One key that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its path, with dots: `kafka.bootstrap_servers`.
    pub path: String,
    /// Its type in words, for people.
    pub kind: String,
    /// Its default; `None` where there is none or it is a secret.
    pub default: Option<Value>,
    /// Its meaning, from the source's documentation.
    pub meaning: String,
    /// Whether its value is never shown.
    pub secret: bool,
    pub(super) schema: Value,
}

impl Key {
    /// The environment variable of the key.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.path.replace('.', "__").to_uppercase())
    }
}

/// The JSON Schema (draft-07, which is what editors read) of a settings type, without references.
pub(super) fn json_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Every key of a schema, in the order of the schema: sections are walked into, lists and maps are keys of their own.
pub(super) fn keys(schema: &Value) -> Vec<Key> {
    let mut found = Vec::new();
    collect(schema, "", &mut found);
    found
}

fn collect(schema: &Value, path: &str, found: &mut Vec<Key>) {
    for (name, property) in properties(schema).into_iter().flatten() {
        let path = join(path, name);
        let (inner, _) = resolve(property);
        if properties(inner).is_some() {
            collect(inner, &path, found);
            continue;
        }
        let secret = property.get("writeOnly").and_then(Value::as_bool).unwrap_or(false) || is_secret_name(name);
        found.push(Key {
            path,
            kind: kind(property),
            default: property.get("default").filter(|_| !secret).cloned(),
            meaning: text(property, "description").or_else(|| text(inner, "description")).unwrap_or_default(),
            secret,
            schema: property.clone(),
        });
    }
}

/// Appends a name to a dotted path.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether a name, also one of librdkafka's properties, is that of a secret value. A key that names a file is none.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let names_a_place = ["_file", ".location", "_url", ".url"].iter().any(|end| name.ends_with(end));
    let words = ["password", "secret", "key.pem", "key_pem", "jaas", "passphrase"];
    !names_a_place && words.iter().any(|word| name.contains(word))
}

fn text(schema: &Value, name: &str) -> Option<String> {
    schema.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The named properties of an object schema; `None` for anything else, a free map included.
pub(super) fn properties(schema: &Value) -> Option<&serde_json::Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// Strips the wrappers that say "or null" and "with a description": the schema inside, and whether null is allowed.
pub(super) fn resolve(schema: &Value) -> (&Value, bool) {
    if let Some([only]) = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        return resolve(only);
    }
    let nullable = types(schema).contains(&"null");
    let alternatives = alternatives(schema);
    let others: Vec<_> = alternatives.iter().filter(|schema| types(schema) != ["null"]).collect();
    match others.as_slice() {
        [only] if others.len() < alternatives.len() => (resolve(only).0, true),
        _ => (schema, nullable || others.len() < alternatives.len()),
    }
}

/// The schemas of which one must hold; empty where there is no choice.
pub(super) fn alternatives(schema: &Value) -> &[Value] {
    ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The JSON types that a schema names.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words of a closed list of texts; `None` where the schema is not one.
pub(super) fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().filter(|word| !word.is_null()).map(Value::as_str).collect();
    }
    let alternatives = alternatives(schema).iter().filter(|schema| types(schema) != ["null"]);
    let words: Vec<_> = alternatives.map(words).collect::<Option<Vec<_>>>()?.concat();
    (!words.is_empty()).then_some(words)
}

/// The type of a value in words.
pub(super) fn kind(schema: &Value) -> String {
    let (schema, _) = resolve(schema);
    if let Some(words) = words(schema) {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    }
    match types(schema).into_iter().find(|name| *name != "null") {
        Some("array") => match schema.get("items").map(kind) {
            Some(items) if items != "object" => format!("list of {items}"),
            _ => "list".to_owned(),
        },
        Some("object") => "map".to_owned(),
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}
