//! Integration tests: one binary, one module per promise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alert_docs;
mod schemas;
