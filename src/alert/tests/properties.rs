//! What holds for all bytes, all documents and all alerts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{Alert, AlertContract, DecodeOptions, Device, FileInfo, Mitre, Severity, Threat, User, decode};
use super::fixture;

/// A text that survives trimming: no white space at its ends.
fn text() -> impl Strategy<Value = String> {
    "[^\\s\\u{85}\\u{feff}]([^\\u{0}]{0,20}[^\\s\\u{85}\\u{feff}])?"
}

fn word() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

fn words() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(text(), 0..4)
}

fn device() -> impl Strategy<Value = Device> {
    (proptest::option::of("[0-9a-f]{40}"), (word(), word(), word(), word()), proptest::option::of(words()), words())
        .prop_map(|(id, (name, os, group, risk), tags, ip)| Device { id, name, os, group, tags, risk, ip })
}

fn alert() -> impl Strategy<Value = Alert> {
    let texts = proptest::array::uniform16(word());
    let moment = proptest::option::of((-9_000_000_000_i64..9_000_000_000, 0..1_000_000_000_i32));
    let labels = proptest::collection::btree_map("[^\\u{0}]{0,10}", "[a-z]{1,9}", 0..4);
    let severity = proptest::sample::select(Severity::ALL.to_vec());
    (texts, severity, moment, words(), labels, proptest::collection::vec(device(), 0..5)).prop_map(
        |(texts, severity, moment, technique, labels, devices)| {
            let [id, title, description, category, status, source, detection_source, tenant, incident_id, rest @ ..] =
                texts;
            let [threat, family, user, domain, file, path, sha1] = rest;
            Alert {
                id: id.unwrap_or_else(|| "1".to_owned()),
                title,
                description,
                severity,
                category,
                status,
                source,
                detection_source,
                created_at: moment
                    .map(|(second, nanosecond)| Timestamp::new(second, nanosecond.copysign(second)).unwrap()),
                tenant,
                incident_id,
                threat: Threat { name: threat, family },
                mitre: Mitre { technique },
                user: User { name: user, domain },
                file: FileInfo { name: file, path, sha1, sha256: None },
                labels: BTreeMap::from_iter(labels),
                devices: super::super::devices::tidied(devices),
                ..Alert::default()
            }
        },
    )
}

/// Nanoseconds of a moment before 1970 count backwards.
trait CopySign {
    fn copysign(self, of: i64) -> Self;
}

impl CopySign for i32 {
    fn copysign(self, of: i64) -> Self {
        if of < 0 { -self } else { self }
    }
}

/// Documents near our own format: most keys are right, most values are.
fn near_documents() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        8 => "[a-zA-Z0-9:.]{1,8}".prop_map(Value::from),
        1 => proptest::sample::select(vec!["High", "low", "CRITICAL", "severe"]).prop_map(Value::from),
        1 => Just(json!("2026-03-02T09:13:52.345Z")),
        1 => "[x]{510,515}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!(1.5)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let names =
        ["id", "name", "os", "group", "tags", "risk", "ip", "family", "technique", "domain", "path", "sha1", "typo"];
    let value = scalar.prop_recursive(3, 24, 4, move |inner| {
        let key = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..3)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    });
    let keys = vec![
        "title",
        "description",
        "severity",
        "category",
        "created_at",
        "incident_id",
        "threat",
        "mitre",
        "user",
        "file",
        "labels",
        "device",
        "devices",
        "mine",
    ];
    let members =
        proptest::collection::btree_map(proptest::sample::select(keys).prop_map(str::to_owned), value.clone(), 0..4);
    (members, prop_oneof![4 => Just(json!("1")), 1 => value]).prop_map(|(members, id)| {
        let mut members = Map::from_iter(members);
        members.insert("id".to_owned(), id);
        Value::Object(members)
    })
}

fn fixtures() -> Vec<Vec<u8>> {
    ["own-alert.json", "own-array.json", "mde-page.json", "graph-several-devices.json"].map(fixture).to_vec()
}

proptest! {
    #[test]
    fn an_alert_comes_back_as_it_went(alert in alert(), keep_raw: bool) {
        let bytes = serde_json::to_vec(&alert).unwrap();
        let options = DecodeOptions { keep_raw, ..DecodeOptions::default() };
        let mut decoded = decode(&bytes, &options).unwrap();
        prop_assert_eq!(decoded.len(), 1);
        let back = decoded.remove(0).alert;
        prop_assert_eq!(back.raw.is_null(), !keep_raw);
        prop_assert_eq!(Alert { raw: Value::Null, ..back }, alert);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes, &DecodeOptions::default()));
    }

    #[test]
    fn arbitrary_json_like_text_never_panics(text in "[\\[\\]{}\",:0-9a-z\\\\ eE+.-]{0,120}") {
        drop(decode(text.as_bytes(), &DecodeOptions::default()));
    }

    /// Flipped, cut, doubled: whatever happens, the answer is an answer, and the same one twice.
    #[test]
    fn mutated_documents_never_panic(
        which in 0..4_usize,
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
    ) {
        let mut bytes = fixtures().swap_remove(which);
        for (place, byte, kind) in mutations {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                _ => bytes.extend_from_within(at..(at + 40).min(bytes.len())),
            }
        }
        let options = DecodeOptions { keep_raw: true, ..DecodeOptions::default() };
        prop_assert_eq!(decode(&bytes, &options), decode(&bytes, &options));
    }

    #[test]
    fn a_cut_document_is_never_taken(which in 0..4_usize, at: prop::sample::Index) {
        let bytes = fixtures().swap_remove(which);
        let whole = bytes.trim_ascii_end();
        prop_assert!(decode(&whole[..at.index(whole.len())], &DecodeOptions::default()).is_err());
    }

    /// The decoder takes exactly what the schema takes.
    #[test]
    fn schema_and_decoder_agree(document in near_documents()) {
        thread_local! {
            static SCHEMA: jsonschema::Validator = {
                let schema = schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<AlertContract>();
                jsonschema::draft7::options().should_validate_formats(true).build(schema.as_value()).unwrap()
            };
        }
        let decoded = decode(document.to_string().as_bytes(), &DecodeOptions::default());
        let (valid, problems) = SCHEMA.with(|schema| {
            (schema.is_valid(&document), schema.iter_errors(&document).map(|error| error.to_string()).collect::<Vec<_>>())
        });
        prop_assert_eq!(valid, decoded.is_ok(), "{} {:?} {:?}", document, decoded, problems);
    }
}
