//! The rule guide is complete.

use std::path::Path;

#[test]
fn the_guide_names_every_field_and_response_key() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).unwrap();
    let keys = crate::rules::layer::KEYS
        .into_iter()
        .chain(["scan", "expires"])
        .chain(crate::rules::active::KNOWN.iter().copied());
    let fields = crate::rules::field::NamedField::ALL.iter().map(|field| field.as_str());
    let modifiers = crate::rules::modifiers::SUPPORTED.iter().copied().filter(|name| name.len() > 1);
    let missing: Vec<_> =
        keys.chain(fields).chain(modifiers).filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
