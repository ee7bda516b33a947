//! The rule guide is complete.

use std::path::Path;

#[test]
fn the_guide_names_every_field_and_response_key() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).unwrap();
    let keys = ["scan", "comment", "priority", "cooldown", "max_alert_age", "limit", "mode", "expires"];
    let fields = crate::rules::field::NamedField::ALL.iter().map(|field| field.as_str());
    let modifiers = crate::rules::modifiers::SUPPORTED.iter().copied().filter(|name| name.len() > 1);
    let missing: Vec<_> =
        keys.into_iter().chain(fields).chain(modifiers).filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
