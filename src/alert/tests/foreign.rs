//! The Microsoft formats.

use serde_json::{Value, json};

use super::super::{Alert, Format, Severity};
use super::{decoded, fixture, one, told};

const MACHINE: &str = "2eeb1689b274fc8f816c48ac9219e820fc4de080";

fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::from_slice(&fixture(name)).unwrap();
    change(&mut value);
    value.to_string().into_bytes()
}

fn assert_emotet(alert: &Alert) {
    assert_eq!(alert.id, "da638900417123456789_-1043211987");
    assert_eq!(alert.title.as_deref(), Some("'Emotet' malware was detected"));
    assert_eq!(alert.description.as_deref(), Some("Malware was found on the device."));
    assert_eq!(alert.severity, Severity::Medium);
    assert_eq!(alert.category.as_deref(), Some("Malware"));
    assert_eq!(alert.source.as_deref(), Some("microsoftDefenderForEndpoint"));
    assert_eq!(alert.created_at.unwrap().to_string(), "2026-03-02T09:13:52.3456789Z");
    assert_eq!(alert.tenant.as_deref(), Some("1228d172-029d-54e1-81c4-e82adcba5353"));
    assert_eq!(alert.incident_id.as_deref(), Some("48213"));
    assert_eq!(alert.threat.name.as_deref(), Some("Trojan:Win32/Emotet!rfn"));
    assert_eq!(alert.threat.family.as_deref(), Some("Emotet"));
    assert_eq!(alert.mitre.technique, ["T1204.002"]);
    assert_eq!((alert.user.name.as_deref(), alert.user.domain.as_deref()), (Some("jdoe"), Some("CORP")));
    assert_eq!(alert.file.name.as_deref(), Some("invoice.exe"));
    assert_eq!(alert.file.path.as_deref(), Some("C:\\Users\\jdoe\\Downloads"));
    assert_eq!(alert.file.sha1.as_deref(), Some("c81b16fd0c3f34f33961e56ec848067fbd152775"));
    assert_eq!(alert.devices.len(), 1);
    assert_eq!(alert.devices[0].id.as_deref(), Some(MACHINE));
    assert_eq!(alert.devices[0].name.as_deref(), Some("ws-0417.corp.contoso.com"));
    assert_eq!(alert.devices[0].group.as_deref(), Some("EMEA-Workstations"));
}

#[test]
fn an_mde_alert_arrives_whole() {
    let alert = one(fixture("mde-alert.json"));
    assert_eq!(alert.format, Format::MdeAlert);
    assert_emotet(&alert);
    assert_eq!(alert.status.as_deref(), Some("New"));
    assert_eq!(alert.detection_source.as_deref(), Some("WindowsDefenderAv"));
    assert_eq!(alert.devices[0].tags, None, "the format says nothing of tags");
    assert!(!alert.is_closed());
}

#[test]
fn a_graph_alert_arrives_whole() {
    let alert = one(fixture("graph-alert.json"));
    assert_eq!(alert.format, Format::GraphAlert);
    assert_emotet(&alert);
    assert_eq!(alert.status.as_deref(), Some("new"));
    assert_eq!(alert.detection_source.as_deref(), Some("antivirus"));
    let device = &alert.devices[0];
    assert_eq!(device.os.as_deref(), Some("Windows11"));
    assert_eq!(device.risk.as_deref(), Some("medium"));
    assert_eq!(device.tags.as_deref(), Some(&["finance".to_owned()][..]));
    assert_eq!(device.ip, ["10.20.4.17"]);
}

#[test]
fn a_page_of_mde_alerts() {
    let page = decoded(fixture("mde-page.json"));
    assert_eq!(page.iter().map(|decoded| decoded.index).collect::<Vec<_>>(), [0, 1]);
    let second = &page[1].alert;
    assert_eq!(second.severity, Severity::Unspecified);
    assert!(second.is_closed());
    assert_eq!(second.status.as_deref(), Some("Resolved"));
    assert_eq!(second.devices[0].id.as_deref(), Some("b1946ac92492d2347c6235b4d2611184a1b2c3d4"));
    assert_eq!(second.devices[0].group, None);
    assert_eq!((second.user.name.as_deref(), second.file.name.as_deref()), (None, None));
}

#[test]
fn a_graph_alert_of_another_product_may_name_no_device() {
    let alert = &decoded(fixture("graph-page.json"))[1].alert;
    assert!(alert.devices.is_empty());
    assert_eq!(alert.severity, Severity::Unspecified, "unknownFutureValue");
    assert_eq!(alert.user.name.as_deref(), Some("svc-backup"));
    assert_eq!(alert.source.as_deref(), Some("microsoftDefenderForIdentity"));
    assert!(alert.is_closed());
}

#[test]
fn several_graph_devices_come_main_one_first_and_merged() {
    let alert = one(fixture("graph-several-devices.json"));
    let names: Vec<_> = alert.devices.iter().filter_map(|device| device.name.as_deref()).collect();
    assert_eq!(names, ["ws-0417.corp.contoso.com", "ws-0419.corp.contoso.com", "ws-0418.corp.contoso.com"]);
    let [main, unknown, source] = &alert.devices[..] else { panic!("{} devices", alert.devices.len()) };
    assert_eq!(main.id.as_deref(), Some(MACHINE));
    assert_eq!(main.tags.as_deref(), Some(&["finance".to_owned(), "vip".to_owned()][..]));
    assert_eq!(main.ip, ["10.20.4.17", "10.99.0.17"]);
    assert_eq!(main.os.as_deref(), Some("Windows11"));
    assert_eq!(unknown.id, None, "the Entra device id is never taken for a machine id");
    assert_eq!(source.tags, None, "an empty list of evidence tags is no proof that the machine has none");
    assert_eq!(alert.user.name.as_deref(), Some("jdoe"), "logged on to the main device");
}

#[test]
fn graph_is_recognised_without_its_type() {
    let without = changed("graph-alert.json", |alert| {
        alert.as_object_mut().unwrap().remove("@odata.type");
    });
    assert_emotet(&one(without));
}

#[test]
fn an_mde_alert_may_name_no_device() {
    let without = changed("mde-alert.json", |alert| {
        for key in ["machineId", "computerDnsName", "rbacGroupName", "relatedUser", "evidence"] {
            alert[key] = Value::Null;
        }
    });
    let alert = one(without);
    assert_eq!(alert.format, Format::MdeAlert);
    assert!(alert.devices.is_empty());
}

#[test]
fn what_microsoft_adds_is_tolerated() {
    for name in ["mde-alert.json", "graph-alert.json"] {
        let grown = changed(name, |alert| {
            alert["brandNew"] = json!({"a": [1, {"b": null}]});
            alert["severity"] = json!("catastrophic");
            alert["evidence"][0]["brandNew"] = json!([1]);
            let kind =
                json!({"@odata.type": "#microsoft.graph.security.teapotEvidence", "entityType": "Teapot", "lid": 1});
            alert["evidence"].as_array_mut().unwrap().insert(0, kind);
        });
        let alert = one(grown);
        assert_eq!(alert.severity, Severity::Unspecified);
        assert_eq!(alert.devices.len(), 1);
        assert_eq!(alert.file.name.as_deref(), Some("invoice.exe"));
    }
}

#[test]
fn what_we_read_must_keep_its_type() {
    type Case = (&'static str, fn(&mut Value), &'static str);
    let cases: [Case; 8] = [
        ("mde-alert.json", |alert| alert["id"] = Value::Null, "/id: `id` is required"),
        ("mde-alert.json", |alert| alert["machineId"] = json!(["a"]), "/machineId: expected a string, found an array"),
        ("mde-alert.json", |alert| alert["alertCreationTime"] = json!("soon"), "/alertCreationTime: `soon` is no RFC"),
        ("mde-alert.json", |alert| alert["relatedUser"] = json!("jdoe"), "/relatedUser: expected an object"),
        ("mde-alert.json", |alert| alert["evidence"][0] = json!(1), "/evidence/0: expected an object"),
        ("graph-alert.json", |alert| alert["evidence"] = json!({}), "/evidence: expected an array"),
        ("graph-alert.json", |alert| alert["evidence"][0]["tags"] = json!("a"), "/evidence/0/tags: expected an array"),
        (
            "graph-alert.json",
            |alert| alert["evidence"][0]["mdeDeviceId"] = json!(7),
            "/evidence/0/mdeDeviceId: expected",
        ),
    ];
    for (name, change, wanted) in cases {
        let told = told(changed(name, change));
        assert!(told.starts_with(&format!("invalid: {wanted}")), "{told}");
    }
    let mut page: Value = serde_json::from_slice(&fixture("mde-page.json")).unwrap();
    page["value"][1]["severity"] = json!(3);
    assert_eq!(told(page.to_string()), "invalid: /value/1/severity: expected a string, found a number");
}

#[test]
fn too_many_graph_devices_are_refused() {
    let crowded = changed("graph-alert.json", |alert| {
        let device = alert["evidence"][0].clone();
        alert["evidence"] = Value::Array(vec![device; 101]);
    });
    assert!(told(crowded).starts_with("too_large: /evidence: 101 devices"));
}
