//! Our own format.

use super::super::{Device, Format, Severity, own};
use super::{fixture, one, told};

const MACHINE: &str = "2eeb1689b274fc8f816c48ac9219e820fc4de080";

#[test]
fn every_field_arrives() {
    let alert = one(fixture("own-alert.json"));
    assert_eq!(alert.format, Format::AlertResponder);
    assert_eq!(alert.id, "3212");
    assert_eq!(alert.title.as_deref(), Some("'Emotet' malware was detected"));
    assert_eq!(alert.severity, Severity::High);
    assert_eq!(alert.category.as_deref(), Some("Malware"));
    assert_eq!(alert.status.as_deref(), Some("New"));
    assert_eq!(alert.source.as_deref(), Some("siem"));
    assert_eq!(alert.detection_source.as_deref(), Some("WindowsDefenderAv"));
    assert_eq!(alert.created_at.unwrap().to_string(), "2026-03-02T09:13:52.3456789Z");
    assert_eq!(alert.incident_id.as_deref(), Some("48213"));
    assert_eq!(alert.threat.name.as_deref(), Some("Trojan:Win32/Emotet!rfn"));
    assert_eq!(alert.threat.family.as_deref(), Some("Emotet"));
    assert_eq!((alert.user.name.as_deref(), alert.user.domain.as_deref()), (Some("jdoe"), Some("CORP")));
    assert_eq!(alert.file.path.as_deref(), Some("C:\\Users\\jdoe\\Downloads"));
    assert_eq!(alert.labels["queue"], "tier1");
    assert_eq!(
        alert.devices,
        [Device {
            id: Some(MACHINE.to_owned()),
            name: Some("ws-0417.corp.contoso.com".to_owned()),
            os: Some("Windows11".to_owned()),
            group: Some("EMEA-Workstations".to_owned()),
            tags: Some(vec!["finance".to_owned()]),
            risk: None,
            ip: vec!["10.20.4.17".to_owned()],
        }]
    );
}

#[test]
fn texts_are_trimmed_and_empty_means_absent() {
    let alert = one(r#"{"id":" 3212\t","title":"  ","category":"","severity":" High ","created_at":" ",
        "tenant":"\n t \n","labels":{"a":"","b":" x "},"device":{"name":" ws-17 ","tags":[" a ",""," "],"ip":" "}}"#);
    assert_eq!(alert.id, "3212");
    assert_eq!((alert.title, alert.category, alert.created_at), (None, None, None));
    assert_eq!(alert.severity, Severity::High);
    assert_eq!(alert.tenant.as_deref(), Some("t"));
    assert_eq!(alert.labels.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "x".to_owned())]);
    assert_eq!(alert.devices[0].name.as_deref(), Some("ws-17"));
    assert_eq!(alert.devices[0].tags.as_deref(), Some(&["a".to_owned()][..]));
    assert!(alert.devices[0].ip.is_empty());
}

#[test]
fn severities_in_any_letter_case() {
    for severity in Severity::ALL {
        for word in [severity.as_str().to_owned(), severity.as_str().to_uppercase()] {
            assert_eq!(one(format!(r#"{{"id":1,"severity":"{word}"}}"#)).severity, severity);
        }
    }
    assert_eq!(one(r#"{"id":1}"#).severity, Severity::Unspecified);
    assert_eq!(
        told(r#"{"id":1,"severity":"Hihg"}"#),
        "invalid: /severity: `Hihg` is no severity; did you mean `high`?"
    );
    assert_eq!(
        told(r#"{"id":1,"severity":"4"}"#),
        "invalid: /severity: `4` is no severity; known are unspecified, informational, low, medium, high, critical"
    );
}

#[test]
fn ids_may_be_integers() {
    assert_eq!(one(r#"{"id":18446744073709551615}"#).id, "18446744073709551615");
    assert_eq!(one(r#"{"id":-7,"incident_id":0}"#).incident_id.as_deref(), Some("0"));
    for id in ["1.5", "18446744073709551616", "1e3"] {
        assert!(told(format!(r#"{{"id":{id}}}"#)).contains("write it as a string"), "{id}");
    }
    assert_eq!(told(r#"{"id":" ","device":{}}"#), "invalid: /id: `id` is required and must not be empty");
    assert_eq!(told(r#"{"device":{}}"#), "invalid: /id: `id` is required and must not be empty");
}

#[test]
fn device_or_devices() {
    assert!(one(r#"{"id":1}"#).devices.is_empty());
    assert!(one(r#"{"id":1,"device":null,"devices":null}"#).devices.is_empty());
    assert!(one(r#"{"id":1,"device":{}}"#).devices.is_empty(), "a device that says nothing is none");
    assert_eq!(one(r#"{"id":1,"device":{"name":"a"},"devices":null}"#).devices.len(), 1);
    assert_eq!(one(r#"{"id":1,"devices":[{"name":"a"},{"name":"b"}]}"#).devices.len(), 2);
    assert_eq!(
        told(r#"{"id":1,"device":{"name":"a"},"devices":[]}"#),
        "invalid: /devices: `device` and `devices` are both there; send one of them"
    );
    assert!(told(r#"{"id":1,"devices":[{"name":"a"},null]}"#).starts_with("invalid: /devices/1: expected an object"));
}

#[test]
fn one_address_or_several() {
    assert_eq!(one(r#"{"id":1,"device":{"ip":"10.0.0.1"}}"#).devices[0].ip, ["10.0.0.1"]);
    assert_eq!(one(r#"{"id":1,"device":{"ip":["10.0.0.1","fd00::1"]}}"#).devices[0].ip, ["10.0.0.1", "fd00::1"]);
    assert!(told(r#"{"id":1,"device":{"ip":1}}"#).starts_with("invalid: /device/ip: expected an address"));
    assert!(told(r#"{"id":1,"device":{"ip":["a",1]}}"#).starts_with("invalid: /device/ip/1: expected a string"));
}

#[test]
fn told_and_not_told_tags_differ() {
    assert_eq!(one(r#"{"id":1,"device":{"name":"a"}}"#).devices[0].tags, None);
    assert_eq!(one(r#"{"id":1,"device":{"name":"a","tags":null}}"#).devices[0].tags, None);
    assert_eq!(one(r#"{"id":1,"device":{"name":"a","tags":[]}}"#).devices[0].tags, Some(vec![]));
}

#[test]
fn unknown_keys_inside_are_refused_with_the_nearest_known() {
    for (record, wanted) in [
        (r#"{"id":1,"device":{"hostname":"a"}}"#, "/device/hostname: unknown key `hostname`; did you mean `name`?"),
        (r#"{"id":1,"device":{"machineId":"a"}}"#, "/device/machineId: unknown key `machineId`; did you mean `id`?"),
        (r#"{"id":1,"device":{"Name":"a"}}"#, "/device/Name: unknown key `Name`; did you mean `name`?"),
        (r#"{"id":1,"devices":[{},{"tag":"a"}]}"#, "/devices/1/tag: unknown key `tag`; did you mean `tags`?"),
        (r#"{"id":1,"threat":{"famly":"a"}}"#, "/threat/famly: unknown key `famly`; did you mean `family`?"),
        (
            r#"{"id":1,"mitre":{"techniques":[]}}"#,
            "/mitre/techniques: unknown key `techniques`; did you mean `technique`?",
        ),
        (r#"{"id":1,"user":{"upn":"a"}}"#, "/user/upn: unknown key `upn`; known are name, domain"),
        (r#"{"id":1,"file":{"md5":"a"}}"#, "/file/md5: unknown key `md5`; known are name, path, sha1, sha256"),
    ] {
        assert_eq!(told(record), format!("invalid: {wanted}"));
    }
    // At the top they are the user's own.
    assert_eq!(one(r#"{"id":1,"sevrity":"high","hostname":"a"}"#).severity, Severity::Unspecified);
}

#[test]
fn lengths_are_bounded() {
    let x = |count: usize| "é".repeat(count);
    assert_eq!(one(format!(r#"{{"id":"{}"}}"#, x(512))).id, x(512));
    assert_eq!(told(format!(r#"{{"id":"{}"}}"#, x(513))), "invalid: /id: longer than 512 characters; shorten it");
    assert!(told(format!(r#"{{"id":1,"device":{{"name":"{}"}}}}"#, x(513))).starts_with("invalid: /device/name: "));
    assert!(
        told(format!(r#"{{"id":1,"device":{{"tags":["a","{}"]}}}}"#, x(513))).starts_with("invalid: /device/tags/1")
    );
    let tags = |count: usize| format!(r#"{{"id":1,"device":{{"tags":[{}]}}}}"#, vec![r#""t""#; count].join(","));
    assert_eq!(one(tags(256)).devices[0].tags.as_ref().unwrap().len(), 256);
    assert!(told(tags(257)).starts_with("invalid: /device/tags: 257 entries"));
    let labels = |count: usize| {
        let labels: Vec<_> = (0..count).map(|n| format!(r#""k{n}":"v""#)).collect();
        format!(r#"{{"id":1,"labels":{{{}}}}}"#, labels.join(","))
    };
    assert_eq!(one(labels(64)).labels.len(), 64);
    assert!(told(labels(65)).starts_with("invalid: /labels: 65 labels"));
    // Prose is cut, at a character.
    assert_eq!(one(format!(r#"{{"id":1,"title":"{}"}}"#, x(1025))).title.unwrap(), x(1024));
    assert_eq!(one(format!(r#"{{"id":1,"description":"{}"}}"#, x(9000))).description.unwrap(), x(8192));
}

#[test]
fn moments_are_rfc_3339() {
    let at = |text: &str| one(format!(r#"{{"id":1,"created_at":"{text}"}}"#)).created_at.unwrap().to_string();
    assert_eq!(at("2026-03-02T09:13:52.123456789Z"), "2026-03-02T09:13:52.123456789Z");
    assert_eq!(at("2026-03-02t10:13:52+01:00"), "2026-03-02T09:13:52Z");
    for text in [
        "2026-03-02",
        "2026-03-02 09:13:52Z",
        "2026-13-02T09:13:52Z",
        "2026-02-30T09:13:52Z",
        "1772442832",
        "2026-03-02T09:13:52",
        "2026-03-02T09:13:52.1234567890Z",
        "2026-03-02T25:13:52Z",
        "yesterday",
    ] {
        let told = told(format!(r#"{{"id":1,"created_at":"{text}"}}"#));
        assert!(told.starts_with("invalid: /created_at: ") && told.contains("RFC 3339"), "{told}");
    }
}

#[test]
fn machine_ids_are_lower_case_and_the_same_device_is_there_once() {
    let upper = MACHINE.to_uppercase();
    let alert = one(format!(
        r#"{{"id":1,"devices":[
            {{"name":"first"}},
            {{"id":"{upper}","os":"Windows11","ip":"10.0.0.1"}},
            {{"id":"{MACHINE}","name":"ws-17","os":"Linux","tags":["a"],"ip":["10.0.0.1","10.0.0.2"]}},
            {{"name":"first"}},
            {{"id":"ABC"}}, {{"id":"abc"}}]}}"#
    ));
    assert_eq!(alert.devices.len(), 5);
    let merged = &alert.devices[1];
    assert_eq!(merged.id.as_deref(), Some(MACHINE));
    assert_eq!(merged.name.as_deref(), Some("ws-17"));
    assert_eq!(merged.os.as_deref(), Some("Windows11"), "the first one wins");
    assert_eq!(merged.tags.as_deref(), Some(&["a".to_owned()][..]));
    assert_eq!(merged.ip, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(alert.devices[3].id.as_deref(), Some("ABC"), "not a machine id, so left as it is");
}

#[test]
fn closed_is_told_by_the_status() {
    for (status, closed) in [("Resolved", true), ("dismissed", true), ("CLOSED", true), ("New", false), ("", false)] {
        let alert = one(format!(r#"{{"id":1,"status":"{status}"}}"#));
        assert_eq!(alert.is_closed(), closed, "{status}");
        assert_eq!(alert.status.as_deref().unwrap_or_default(), status);
    }
    assert!(!one(r#"{"id":1}"#).is_closed());
}

#[test]
fn the_schema_has_the_keys_that_the_decoder_takes() {
    let schema = schemars::schema_for!(super::super::AlertContract);
    for (definition, keys) in [
        ("Device", own::DEVICE_KEYS),
        ("Threat", own::THREAT_KEYS),
        ("Mitre", own::MITRE_KEYS),
        ("User", own::USER_KEYS),
        ("File", own::FILE_KEYS),
    ] {
        let properties = schema.pointer(&format!("/$defs/{definition}/properties")).unwrap().as_object().unwrap();
        let mut wanted = keys.to_vec();
        wanted.sort_unstable();
        assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), wanted, "{definition}");
    }
}
