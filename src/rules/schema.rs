//! The JSON Schema (draft-07) of rule files and of the defaults file, for editors: what they complete, explain and refuse
//! while somebody types. `rules check` knows more; the schema never refuses what the loader takes.

use serde_json::{Map, Value, json};

use super::field::NamedField;
use super::header::LEVELS;
use super::modifiers;
use crate::alert::Severity;

/// The schema of a document: rule, filter, correlation, defaults, or a file of tests, told apart by their keys.
#[must_use]
pub fn rule_schema() -> Value {
    let refer = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let has = |key: &str| json!({ "required": [key] });
    let is_rule = json!({ "anyOf": [has("title"), has("id"), has("detection"), has("logsource")] });
    let without_rule = |key: &str| json!({ "required": [key], "not": is_rule });
    let is_defaults = json!({ "anyOf": [has("by_level"), has("time_intervals"), without_rule("response")] });
    let is_tests =
        json!({ "required": ["tests"], "not": { "anyOf": [has("detection"), has("response"), has("logsource")] } });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Rule file of alert-responder",
        "description": "A Sigma document with a response, or the defaults.yaml of a rules folder.",
        "type": "object",
        "if": has("correlation"),
        "then": refer("correlation_document"),
        "else": {
            "if": has("filter"),
            "then": refer("filter_document"),
            "else": {
                "if": is_defaults,
                "then": refer("defaults_document"),
                "else": { "if": is_tests, "then": refer("tests_document"), "else": refer("rule_document") },
            },
        },
        "definitions": definitions(),
    })
}

fn definitions() -> Value {
    let refer = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let response = described(refer("response"), "What follows where the rule matches.");
    let tests = json!({ "description": "Alerts, and what the rule must say of them.", "type": "array", "items": refer("test") });
    let expires =
        json!({ "description": "The last day, in UTC, on which it holds.", "type": "string", "format": "date" });
    let level = |word: &str| json!({ "$ref": "#/definitions/default_response", "description": format!("For rules of level {word}.") });
    let levels: Map<String, Value> = LEVELS.iter().map(|(word, _)| ((*word).to_owned(), level(word))).collect();
    json!({
        "rule_document": rule_document(&response, &tests),
        "filter_document": closed(with_header(json!({
            "logsource": refer("logsource"),
            "expires": expires,
            "filter": {
                "description": "For which rules, and selections and a condition that a match must hold, too.",
                "type": "object",
                "required": ["rules", "condition"],
                "properties": { "rules": refer("names"), "condition": refer("condition") },
                "additionalProperties": refer("selection"),
            },
        })), &["title", "filter"]),
        "correlation_document": closed(with_header(json!({
            "response": response,
            "generate": { "description": "Whether the rules that are counted also answer by themselves.", "type": "boolean" },
            "correlation": closed(json!({
                "type": { "enum": ["event_count", "value_count"] },
                "rules": refer("names"),
                "group-by": { "description": "[device.id]: alerts are counted by device.", "type": ["array", "string"] },
                "timespan": refer("duration"),
                "timeframe": refer("duration"),
                "condition": closed(json!({
                    "gte": { "type": "integer" },
                    "gt": { "type": "integer" },
                    "field": { "type": "string" },
                }), &[]),
                "generate": { "type": "boolean" },
            }), &["type", "rules", "condition"]),
        })), &["title", "correlation"]),
        "defaults_document": closed(json!({
            "response": described(refer("default_response"), "For every rule."),
            "by_level": closed(Value::Object(levels), &[]),
            "time_intervals": {
                "description": "Named times that `active` refers to.",
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,64}$", "not": { "const": "always" } },
                "additionalProperties": {
                    "anyOf": [refer("interval"), { "type": "array", "minItems": 1, "items": refer("interval") }],
                },
            },
        }), &[]),
        "tests_document": closed(json!({ "title": { "type": "string" }, "description": { "type": "string" }, "tests": tests }), &["tests"]),
        "response": closed(with(response_parts(), json!({
            "scan": { "description": "Quick, or Full: hours of disk load.", "enum": ["Quick", "Full"] },
            "expires": expires,
        })), &["scan"]),
        "default_response": closed(response_parts(), &[]),
        "interval": interval(),
        "logsource": { "description": "Sigma wants it; every alert is looked at.", "type": ["object", "null"] },
        "names": { "description": "Ids or names of rules.", "type": ["array", "string"], "items": { "type": "string" } },
        "condition": {
            "description": "Selections joined by and, or, not and parentheses; 1 of name_*; all of them.",
            "type": ["string", "array"],
            "items": { "type": "string" },
        },
        "selection": selection(),
        "scalar": { "type": ["string", "number", "boolean", "null"] },
        "duration": {
            "description": "For example 90s, 30m, 6h or 7d; a day has 24 hours.",
            "type": "string",
            "pattern": "^[0-9].*[a-zA-Z]$",
        },
        "test": test(),
        "alert": alert(),
        "closed_alert": { "propertyNames": { "enum": super::rule_test::ALERT_KEYS } },
        "device": closed(with(texts(super::rule_test::DEVICE_KEYS), json!({
            "tags": texts_or_none(),
            "ip": { "type": ["string", "array", "null"], "items": { "type": "string" } },
        })), &[]),
    })
}

fn rule_document(response: &Value, tests: &Value) -> Value {
    let refer = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let mut rule = closed(
        with_header(json!({
            "logsource": refer("logsource"),
            "detection": {
                "description": "Named selections and one condition.",
                "type": "object",
                "required": ["condition"],
                "properties": { "condition": refer("condition") },
                "additionalProperties": refer("selection"),
            },
            "response": response,
            "tests": tests,
        })),
        &["title", "detection"],
    );
    // The alerts of tests may have keys of their own only where the rule asks for the original JSON.
    let named = json!({ "propertyNames": { "not": { "pattern": "^raw\\." } } });
    let no_raw = json!({ "anyOf": [{ "type": "string" }, { "type": "object", "allOf": [named] }, { "type": "array", "items": named }] });
    rule["if"] = json!({ "properties": { "detection": { "additionalProperties": no_raw } } });
    rule["then"] =
        json!({ "properties": { "tests": { "items": { "properties": { "alert": refer("closed_alert") } } } } });
    rule
}

/// What every Sigma document may carry.
fn header() -> Value {
    json!({
        "title": { "description": "What the rule finds, in a line.", "type": "string", "maxLength": 256 },
        "id": { "description": "A UUID that stays with the rule.", "type": "string", "maxLength": 256 },
        "name": { "description": "Another way for filters and correlations to name the rule." },
        "status": { "enum": ["stable", "test", "experimental", "deprecated", "unsupported"] },
        "level": {
            "description": "The priority comes from it, unless the response says otherwise.",
            "enum": LEVELS.map(|(word, _)| word),
        },
        "description": {}, "related": {}, "taxonomy": {}, "license": {}, "author": {}, "references": {}, "date": {},
        "modified": {}, "fields": {}, "falsepositives": {}, "tags": {}, "scope": {},
    })
}

fn response_parts() -> Value {
    let refer = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let or_none = |value: Value| json!([value, { "const": "none" }]);
    json!({
        "comment": { "description": "The reason that Defender shows and audits; a Jinja template.", "type": "string", "minLength": 1 },
        "priority": {
            "description": "The higher goes first when the quota is short.",
            "type": "integer", "minimum": 0, "maximum": 100,
        },
        "cooldown": {
            "description": "Rest for the device after the scan.",
            "anyOf": [
                refer("duration"),
                closed(json!({
                    "first": refer("duration"),
                    "factor": { "description": "2 where it is left out.", "type": "integer", "minimum": 2, "maximum": 100 },
                    "longest": refer("duration"),
                }), &["first", "longest"]),
            ],
        },
        "max_alert_age": described(refer("duration"), "An older alert is not worth a scan."),
        "escalate": {
            "description": "A stronger scan where the rule asked for one of the same device so many times before.",
            "anyOf": or_none(closed(json!({
                "to": { "enum": ["Quick", "Full"] },
                "after": { "type": "integer", "minimum": 1, "maximum": 1000 },
                "within": refer("duration"),
            }), &["to", "after", "within"])),
        },
        "limit": {
            "description": "A rule that asks for more distinct devices in that time goes to shadow.",
            "anyOf": or_none(closed(json!({
                "devices": { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
                "per": refer("duration"),
            }), &["devices", "per"])),
        },
        "merge_window": described(refer("duration"), "How long a first request waits for others of the same device."),
        "active": {
            "description": "Names of time intervals of defaults.yaml within which the rule is active, or always.",
            "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1,
        },
        "mode": { "description": "shadow: decide and record, never send.", "enum": ["live", "shadow"] },
    })
}

fn interval() -> Value {
    let several = |description: &str, items: Value| json!({ "description": description, "anyOf": [items.clone(), { "type": "array", "minItems": 1, "items": items }] });
    let text = json!({ "type": "string" });
    closed(
        json!({
            "zone": { "description": "A time zone such as Europe/Berlin, or UTC.", "type": "string" },
            "weekdays": several("monday, or monday:friday.", text.clone()),
            "times": several("08:00-18:00; 22:00-06:00 goes on after midnight.", json!({ "type": "string", "pattern": "^ *[0-2][0-9]:[0-5][0-9] *- *[0-2][0-9]:[0-5][0-9] *$" })),
            "days": several("Days of the month: 15, 1:7, or -1 for the last.", json!({ "type": ["integer", "string"] })),
            "months": several("december, or june:august.", text),
        }),
        &["zone"],
    )
}

fn selection() -> Value {
    let values = json!({ "anyOf": [{ "$ref": "#/definitions/scalar" }, { "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/scalar" } }] });
    let names = NamedField::ALL.iter().map(|field| field.as_str());
    let properties: Map<String, Value> = names.clone().map(|name| (name.to_owned(), values.clone())).collect();
    let escaped = names.map(regex::escape).collect::<Vec<_>>().join("|");
    let pattern = format!("^({escaped}|labels\\.[^|]+|raw\\.[^|]+)(\\|({}))*$", modifiers::SUPPORTED.join("|"));
    let map = json!({
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        "patternProperties": { pattern: values },
        "additionalProperties": false,
    });
    json!({
        "description": "All keys of a map must hold; of a list of maps any; of a list of values any.",
        "anyOf": [
            map,
            { "type": "array", "minItems": 1, "items": { "anyOf": [map, { "type": ["string", "number", "boolean"] }] } },
            { "type": "string" },
        ],
    })
}

fn test() -> Value {
    let alert = json!({ "$ref": "#/definitions/alert" });
    closed(
        json!({
            "name": { "description": "What the test shows.", "type": "string" },
            "rule": { "description": "The id of the rule, where the test stands apart from it.", "type": "string" },
            "alert": alert,
            "expect": { "enum": ["scan", "none"] },
            "starts_at": { "description": "Time of the first step.", "type": "string" },
            "scan_takes": { "$ref": "#/definitions/duration" },
            "steps": {
                "description": "Alerts that come one after the other, and what becomes of each.",
                "type": "array",
                "items": closed(json!({ "at": { "type": "string" }, "alert": alert, "expect": {} }), &["at", "alert", "expect"]),
            },
        }),
        &["name"],
    )
}

fn alert() -> Value {
    let refer = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let words = Severity::ALL.map(|severity| severity.as_str());
    let mut properties = texts(super::rule_test::ALERT_KEYS);
    let groups = json!({
        "id": { "type": ["string", "integer"] },
        "incident_id": { "type": ["string", "integer", "null"] },
        "severity": { "anyOf": [{ "enum": words }, { "type": "string", "pattern": "^[A-Za-z]+$" }] },
        "threat": closed(texts(&["name", "family"]), &[]),
        "mitre": closed(json!({ "technique": texts_or_none() }), &[]),
        "user": closed(texts(&["name", "domain"]), &[]),
        "file": closed(texts(&["name", "path", "sha1", "sha256"]), &[]),
        "labels": { "type": "object", "additionalProperties": { "type": ["string", "null"] } },
        "device": refer("device"),
        "devices": { "type": "array", "items": refer("device") },
    });
    properties = with(properties, groups);
    json!({
        "description": "An alert of the project's own format.",
        "type": "object",
        "required": ["id"],
        "properties": properties,
    })
}

fn texts_or_none() -> Value {
    json!({ "type": ["array", "null"], "items": { "type": "string" } })
}

/// Keys whose values are a text.
fn texts(keys: &[&str]) -> Value {
    let value = || json!({ "type": ["string", "null"] });
    Value::Object(keys.iter().map(|key| ((*key).to_owned(), value())).collect())
}

fn closed(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

fn described(schema: Value, description: &str) -> Value {
    // Beside `$ref` draft-07 ignores everything.
    json!({ "description": description, "allOf": [schema] })
}

fn with_header(properties: Value) -> Value {
    with(header(), properties)
}

fn with(mut properties: Value, more: Value) -> Value {
    if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
        properties.extend(more);
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{correlation, defaults, document, filter, header};

    fn keys(schema: &Value) -> Vec<&str> {
        let mut keys: Vec<&str> = schema.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    fn sorted<'k>(keys: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
        let mut keys: Vec<&str> = keys.into_iter().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_schema_knows_the_keys_of_the_loader() {
        let schema = rule_schema();
        let of = |name: &str| keys(&schema["definitions"][name]["properties"]);
        assert_eq!(of("rule_document"), sorted(header::KNOWN.iter().chain(document::OWN_KEYS).copied()));
        assert_eq!(of("filter_document"), sorted(header::KNOWN.iter().chain(filter::OWN_KEYS).copied()));
        assert_eq!(of("correlation_document"), sorted(header::KNOWN.iter().chain(correlation::OWN_KEYS).copied()));
        assert_eq!(of("defaults_document"), sorted(defaults::KNOWN.iter().copied()));
        assert_eq!(of("default_response"), sorted(crate::rules::layer::KEYS));
        assert_eq!(of("response"), sorted(crate::rules::layer::KEYS.into_iter().chain(["scan", "expires"])));
        assert_eq!(of("interval"), sorted(crate::rules::active::KNOWN.iter().copied()));
        assert_eq!(of("alert"), sorted(crate::rules::rule_test::ALERT_KEYS.iter().copied()));
    }
}
