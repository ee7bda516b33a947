//! The JSON Schemas (draft-07, which editors read) of our public formats, generated from the Rust types.
//!
//! The files in `schemas/` are these, checked in; a test fails when they differ.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::alert::AlertContract;
use crate::event::{EventBody, ScanEvent};
use crate::rules::rule_schema;

/// Every schema with the name of its file in `schemas/`.
#[must_use]
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![("alert.schema.json", alert()), ("rule.schema.json", rule()), ("scan-event.schema.json", scan_event())]
}

/// Our own alert: what the alerts topic takes. Open at the top, closed inside.
#[must_use]
pub fn alert() -> Schema {
    generate::<AlertContract>("alert.schema.json")
}

/// A record of the ledger. One closed alternative per event, told apart by `event`.
#[must_use]
pub fn scan_event() -> Schema {
    let mut schema = generate::<ScanEvent>("scan-event.schema.json");
    if let Some(root) = schema.as_object_mut() {
        close_events(root);
    }
    schema
}

/// A rule file: rule, filter, correlation, or the defaults of a folder.
#[must_use]
pub fn rule() -> Schema {
    let mut schema = Schema::try_from(rule_schema()).unwrap_or_default();
    schema.insert("$id".to_owned(), id("rule.schema.json").into());
    schema
}

/// The text of the file: indented, with a line end.
#[must_use]
pub fn text(schema: &Schema) -> String {
    // Serialising the schema itself puts `$schema` and `title` first; its value would come in the order of the alphabet.
    serde_json::to_string_pretty(schema).map(|text| text + "\n").unwrap_or_default()
}

fn generate<T: JsonSchema>(file: &str) -> Schema {
    let settings = SchemaSettings::draft07().with_transform(OneLine);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), id(file).into());
    schema
}

fn id(file: &str) -> String {
    format!("{}/raw/main/schemas/{file}", env!("CARGO_PKG_REPOSITORY"))
}

/// Joins the lines of the descriptions, which end where the source code's do.
#[derive(Debug, Clone)]
struct OneLine;

impl Transform for OneLine {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description =
                description.split("\n\n").map(|text| text.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
        }
        transform_subschemas(self, schema);
    }
}

/// Puts the envelope and the body of every event into one closed object.
///
/// What the generator makes of a flattened tagged enum is right but open: draft-07 cannot close an object that is made of
/// parts, so a misspelt optional field would pass.
fn close_events(root: &mut Map<String, Value>) {
    let envelope = json!({ "properties": root.remove("properties"), "required": root.remove("required") });
    let variants = taken_array(root, "oneOf");
    let Some(Value::Object(mut definitions)) = root.remove("definitions") else { return };

    let mut events = Vec::new();
    for variant in variants {
        let name = variant.pointer("/allOf/0/$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        let Some(mut body) = name.and_then(|name| definitions.remove(name)) else { continue };
        // `carried` has one shape per fact.
        let shapes = body.as_object_mut().map(|body| taken_array(body, "oneOf")).unwrap_or_default();
        let shapes = if shapes.is_empty() { vec![body] } else { shapes };
        events.extend(shapes.iter().map(|shape| closed_event(&envelope, &variant, shape)));
    }
    definitions.values_mut().for_each(close);
    root.insert("oneOf".to_owned(), events.into());
    root.insert("properties".to_owned(), json!({ "event": { "enum": EventBody::NAMES } }));
    root.insert("required".to_owned(), json!(["event"]));
    root.insert("definitions".to_owned(), definitions.into());
}

/// One event as a closed object: the fields of all three parts.
fn closed_event(envelope: &Value, variant: &Value, shape: &Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in [envelope, variant, shape] {
        let part_properties = part.get("properties").and_then(Value::as_object);
        properties.extend(part_properties.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        required.extend(part.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
    }
    json!({
        "title": variant.pointer("/properties/event/const"),
        "description": variant.get("description"),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Closes an object, or every alternative of one.
fn close(definition: &mut Value) {
    if let Some(Value::Array(alternatives)) = definition.get_mut("oneOf") {
        alternatives.iter_mut().for_each(close);
    }
    if let Some(object) = definition.as_object_mut().filter(|object| object.contains_key("properties")) {
        object.insert("additionalProperties".to_owned(), false.into());
    }
}

fn taken_array(object: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    match object.remove(key) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}
