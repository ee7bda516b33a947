//! What is generated and checked in is what this build would generate. `UPDATE_SCHEMAS=1 cargo test` writes it anew.

use std::path::Path;

use alert_responder::config::Config;
use alert_responder::telemetry::Metrics;

/// Compares a checked-in file with what it must be, or writes it where that was asked for.
pub(crate) fn assert_checked_in(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(file.parent().expect("it is in a directory")).expect("a directory");
        std::fs::write(&file, expected).expect("it can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is out of date; run `UPDATE_SCHEMAS=1 cargo test` and look at the difference");
}

#[test]
fn the_schema_of_the_configuration() {
    let schema = serde_json::to_string_pretty(&Config::schema()).expect("plain data");
    assert_checked_in("schemas/config.schema.json", &format!("{schema}\n"));
    assert!(jsonschema::draft7::meta::is_valid(&Config::schema()));
}

#[test]
fn the_reference_of_the_configuration() {
    assert_checked_in("docs/configuration.md", &Config::reference());
}

#[test]
fn the_reference_of_the_metrics() {
    assert_checked_in("docs/metrics.md", &Metrics::reference());
}
