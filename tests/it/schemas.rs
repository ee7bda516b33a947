//! The checked-in schemas are what the code generates, and schema and code agree on every example.
//!
//! `UPDATE_SCHEMAS=1 cargo test --test it schemas` writes the schemas anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use alert_responder::alert::{DecodeOptions, DecodeReason, decode};
use alert_responder::cli::schemas;
use alert_responder::event::{DeadLetterReason, EventBody, ScanEvent};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn validator(schema: &schemars::Schema) -> jsonschema::Validator {
    assert!(jsonschema::draft7::meta::is_valid(schema.as_value()), "no draft-07 schema");
    jsonschema::draft7::options().should_validate_formats(true).build(schema.as_value()).unwrap()
}

/// Every example of a kind: its path and its bytes. Never none.
fn examples(kind: &str, validity: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder().join("examples").join(kind).join(validity);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn the_checked_in_schemas_are_the_generated_ones() {
    for (file, schema) in schemas::all() {
        let path = folder().join(file);
        let generated = schemas::text(&schema);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == generated,
            "schemas/{file} is not what the code generates; run `UPDATE_SCHEMAS=1 cargo test --test it schemas`"
        );
    }
}

#[test]
fn every_object_of_the_event_schema_is_closed() {
    fn look(value: &Value, place: &str, open: &mut Vec<String>) {
        if let Value::Object(object) = value {
            let is_object = object.get("type").is_some_and(|kind| kind == "object");
            if is_object
                && object.contains_key("properties")
                && object.get("additionalProperties") != Some(&false.into())
            {
                open.push(place.to_owned());
            }
            object.iter().for_each(|(key, value)| look(value, &format!("{place}/{key}"), open));
        }
        if let Value::Array(items) = value {
            items.iter().enumerate().for_each(|(index, value)| look(value, &format!("{place}/{index}"), open));
        }
    }
    let mut open = Vec::new();
    look(schemas::scan_event().as_value(), "", &mut open);
    // The root itself is closed by its alternatives.
    assert_eq!(open, [""]);
}

#[test]
fn valid_alerts_pass_schema_and_decoder() {
    let validator = validator(&schemas::alert());
    for (path, bytes) in examples("alert", "valid") {
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let decoded = decode(&bytes, &DecodeOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(decoded.len(), 1, "{}", path.display());
        assert_eq!(decoded[0].alert.format.as_str(), "alert_responder", "{}", path.display());
    }
}

#[test]
fn invalid_alerts_fail_schema_and_decoder() {
    let validator = validator(&schemas::alert());
    for (path, bytes) in examples("alert", "invalid") {
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(!validator.is_valid(&value), "the schema takes {}", path.display());
        let error = decode(&bytes, &DecodeOptions::default()).expect_err(&path.display().to_string());
        assert_eq!(error.code(), "invalid", "{}: {error}", path.display());
    }
}

#[test]
fn valid_events_pass_the_schema_and_come_back_as_they_went() {
    let validator = validator(&schemas::scan_event());
    let mut seen = BTreeSet::new();
    for (path, bytes) in examples("scan-event", "valid") {
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let event = ScanEvent::from_json(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let written: Value = serde_json::from_slice(&event.to_json().unwrap()).unwrap();
        assert_eq!(written, value, "{}", path.display());
        seen.insert(event.body.name());
    }
    assert_eq!(seen, EventBody::NAMES.iter().copied().collect(), "an event without an example");
}

#[test]
fn invalid_events_fail_schema_and_reader() {
    let validator = validator(&schemas::scan_event());
    for (path, bytes) in examples("scan-event", "invalid") {
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(!validator.is_valid(&value), "the schema takes {}", path.display());
        assert!(ScanEvent::from_json(&bytes).is_err(), "the reader takes {}", path.display());
    }
}

#[test]
fn an_unknown_field_of_an_event_fails_the_schema() {
    let validator = validator(&schemas::scan_event());
    for (path, bytes) in examples("scan-event", "valid") {
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        value["trace"] = "x".into();
        assert!(!validator.is_valid(&value), "the schema takes a stranger in {}", path.display());
    }
}

#[test]
fn the_decoders_reasons_are_those_of_the_dead_letters() {
    let decoder: Vec<&str> = DecodeReason::ALL.iter().map(|reason| reason.code()).collect();
    let dead_letters: Vec<&str> = DeadLetterReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(decoder, dead_letters);
}
