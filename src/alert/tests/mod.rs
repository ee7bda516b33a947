//! Tests of the decoder: the record as such, each format, and properties that hold for all.

use std::path::Path;

use super::{Alert, DecodeError, DecodeOptions, Decoded, decode};

mod foreign;
mod own;
mod properties;
mod record;

/// A file of `tests/data/alerts`.
fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts").join(name)).unwrap()
}

fn decoded(bytes: impl AsRef<[u8]>) -> Vec<Decoded> {
    let bytes = bytes.as_ref();
    decode(bytes, &DecodeOptions::default()).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

fn one(bytes: impl AsRef<[u8]>) -> Alert {
    let mut decoded = decoded(bytes);
    assert_eq!(decoded.len(), 1);
    decoded.remove(0).alert
}

fn refused(bytes: impl AsRef<[u8]>) -> DecodeError {
    let bytes = bytes.as_ref();
    decode(bytes, &DecodeOptions::default()).expect_err(&String::from_utf8_lossy(bytes))
}

/// Reason, position and detail in one text.
fn told(bytes: impl AsRef<[u8]>) -> String {
    let error = refused(bytes);
    format!("{}: {error}", error.code())
}
