//! Metrics, logs and the HTTP endpoints that tell of the worker's health.

mod settings;

pub use settings::{LogFormat, Settings};
