//! The JSON Schemas of our public formats, generated from the Rust types. The files in `schemas/` are these, checked in.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

pub fn alert() -> Schema {
    generate::<crate::alert::AlertContract>()
}

pub fn scan_event() -> Schema {
    generate::<crate::event::ScanEvent>()
}

fn generate<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>()
}
