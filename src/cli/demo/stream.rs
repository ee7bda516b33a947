//! The sample alerts of the demo, and the devices they name.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::simulator::{SimMachine, machine_id_of};

/// Entra tenant of the demo, which the simulator knows.
pub(super) const TENANT: &str = "1228d172-029d-54e1-81c4-e82adcba5353";

/// The device of the burst.
pub(super) const BURST_DEVICE: &str = "ws-17";

/// Devices that answer in their own way, by the name that the simulator reads it from.
const SPECIAL_DEVICES: [&str; 11] = [
    "sim-busy-400-ws-201",
    "sim-busy-existing-ws-202",
    "sim-busy-full-400-ws-203",
    "sim-unsupported-kiosk-204",
    "sim-429-once-ws-205",
    "sim-429-no-retry-after-once-ws-206",
    "sim-503-once-ws-207",
    "sim-cut-after-create-once-ws-208",
    "sim-pending-forever-laptop-209",
    "sim-fails-ws-210",
    "sim-cancelled-ws-211",
];

/// What is produced, in order: lines for the alerts topic.
#[derive(Debug)]
pub(super) struct Stream {
    /// Everything but what must come later.
    pub(super) first: Vec<String>,
    /// Comes when the burst's scan has ended: repeated alerts and devices that rest.
    pub(super) second: Vec<String>,
    /// Devices that the simulator knows.
    pub(super) machines: Vec<SimMachine>,
}

/// Numbers alerts from 3200 on, so that the burst begins with alert 3212.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0 - 1
    }
}

/// Makes the stream; alerts are a minute old at `now`.
pub(super) fn sample(now: Timestamp) -> Stream {
    let raised = now - SignedDuration::from_mins(1);
    let mut numbers = Numbers(3200);
    let mut machines: Vec<SimMachine> = Vec::new();
    let mut first = Vec::new();

    // No rule wants these.
    for number in 0..12 {
        first.push(own(numbers.next(), "Phishing", "medium", device(&format!("ws-{number}")), raised));
    }
    // A burst for one device: one scan whose comment lists them all.
    for severity in ["high", "high", "medium", "high", "medium"] {
        first.push(own(numbers.next(), "Malware", severity, device(BURST_DEVICE), raised));
    }
    // One of each kind of trouble; their rule's priority puts them before the crowd.
    for name in SPECIAL_DEVICES {
        first.push(own(numbers.next(), "CredentialAccess", "high", device(name), raised));
    }
    // A Full scan wanted where an analyst's Full scan is running.
    first.push(own(numbers.next(), "Ransomware", "high", device("sim-busy-full-existing-ws-212"), raised));
    // Ransomware: Full, and before everything else.
    for number in 18..21 {
        first.push(mde(numbers.next(), "Ransomware", "High", &format!("ws-{number}"), raised));
    }
    // Protected: by the name in the alert; by a tag that only Defender knows; and one that cannot be told.
    first.push(own(numbers.next(), "Malware", "high", device("dc-01"), raised));
    first.push(own(
        numbers.next(),
        "Malware",
        "high",
        json!({"id": machine_id_of("build-07"), "name": "build-07"}),
        raised,
    ));
    first.push(own(
        numbers.next(),
        "Malware",
        "high",
        json!({"id": machine_id_of("sim-lookup-404-ws-213"), "name": "sim-lookup-404-ws-213"}),
        raised,
    ));
    first.push(own(
        numbers.next(),
        "Malware",
        "high",
        json!({"id": machine_id_of("sim-lookup-503-ws-214"), "name": "sim-lookup-503-ws-214"}),
        raised,
    ));
    // A device that Defender does not know.
    first.push(own(numbers.next(), "Malware", "high", device("ws-gone"), raised));
    // Alerts without a device id: none at all, a name alone, another id.
    first.push(own(numbers.next(), "Malware", "high", Value::Null, raised));
    first.push(own(numbers.next(), "Malware", "high", json!({"name": "ws-18"}), raised));
    first.push(own(numbers.next(), "Malware", "high", json!({"id": "349f2c58-095a-5a0b-9c82-7f6c55c016de"}), raised));
    // Too old; closed at its source; of another tenant.
    first.push(own(numbers.next(), "Malware", "high", device("ws-19"), now - SignedDuration::from_hours(72)));
    let mut closed = own_value(numbers.next(), "Malware", "high", device("ws-20"), raised);
    closed["status"] = json!("Resolved");
    first.push(closed.to_string());
    let mut foreign = own_value(numbers.next(), "Malware", "high", device("ws-20"), raised);
    foreign["tenant"] = json!("00000000-0000-0000-0000-000000000000");
    first.push(foreign.to_string());
    // In shadow.
    for number in 30..36 {
        first.push(own(numbers.next(), "UnwantedSoftware", "low", device(&format!("ws-{number}")), raised));
    }
    // Records that cannot be decoded.
    first.push("this is not JSON".to_owned());
    first.push(json!({"hello": "world"}).to_string());
    first.push(json!({"id": numbers.next(), "severity": "hihg", "category": "Malware"}).to_string());
    // More devices than the short window of the quota allows, in all three formats, some with two alerts.
    for number in 40..130 {
        let name = format!("ws-{number}");
        match number % 3 {
            0 => first.push(own(numbers.next(), "Malware", "high", device(&name), raised)),
            1 => first.push(mde(numbers.next(), "Malware", "Medium", &name, raised)),
            _ => first.push(graph(numbers.next(), "Malware", "high", &name, raised)),
        }
        if number % 2 == 0 {
            first.push(own(numbers.next(), "Malware", "medium", device(&name), raised));
        }
    }
    // No rule wants these either.
    for number in 40..134 {
        first.push(own(numbers.next(), "SuspiciousActivity", "low", device(&format!("ws-{number}")), raised));
    }

    let mut second = vec![
        // The same alert again, as sources do on every update.
        own(3212, "Malware", "high", device(BURST_DEVICE), raised),
        own(3213, "Malware", "high", device(BURST_DEVICE), raised),
    ];
    // New alerts for devices that were just scanned: they rest.
    for _ in 0..4 {
        second.push(own(numbers.next(), "Malware", "high", device(BURST_DEVICE), raised));
    }
    // A Full scan may pass a rest that a Quick scan set.
    second.push(own(numbers.next(), "Ransomware", "high", device(BURST_DEVICE), raised));
    // New devices, after every token was revoked.
    for number in 140..152 {
        second.push(own(numbers.next(), "Malware", "high", device(&format!("ws-{number}")), raised));
    }

    for name in (0..152).map(|number| format!("ws-{number}")) {
        machines.push(SimMachine::named(&name));
    }
    for name in SPECIAL_DEVICES.iter().chain(&[
        "sim-busy-full-existing-ws-212",
        "sim-lookup-404-ws-213",
        "sim-lookup-503-ws-214",
        "dc-01",
    ]) {
        machines.push(SimMachine::named(name));
    }
    machines.push(SimMachine { tags: vec!["no-scan".to_owned()], ..SimMachine::named("build-07") });
    Stream { first, second, machines }
}

/// A device as our own format tells it, with its tags: nothing about it is unknown.
fn device(name: &str) -> Value {
    json!({"id": machine_id_of(name), "name": name, "os": "Windows11", "tags": ["office"]})
}

fn own(number: u32, category: &str, severity: &str, device: Value, raised: Timestamp) -> String {
    own_value(number, category, severity, device, raised).to_string()
}

fn own_value(number: u32, category: &str, severity: &str, device: Value, raised: Timestamp) -> Value {
    let mut alert = json!({
        "id": number.to_string(),
        "title": format!("{category} was detected"),
        "category": category,
        "severity": severity,
        "created_at": raised.to_string(),
    });
    if !device.is_null() {
        alert["device"] = device;
    }
    alert
}

/// The alert resource of Defender for Endpoint. It tells no tags, so the protection by tag asks Defender.
fn mde(number: u32, category: &str, severity: &str, name: &str, raised: Timestamp) -> String {
    json!({
        "id": number.to_string(),
        "incidentId": 40_000 + number,
        "severity": severity,
        "status": "New",
        "detectionSource": "WindowsDefenderAv",
        "category": category,
        "title": format!("'{category}' was detected"),
        "alertCreationTime": raised.to_string(),
        "machineId": machine_id_of(name),
        "computerDnsName": name,
        "aadTenantId": TENANT,
        "mitreTechniques": ["T1204.002"],
    })
    .to_string()
}

/// A Microsoft Graph security alert.
fn graph(number: u32, category: &str, severity: &str, name: &str, raised: Timestamp) -> String {
    json!({
        "@odata.type": "#microsoft.graph.security.alert",
        "id": number.to_string(),
        "status": "new",
        "severity": severity,
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": "antivirus",
        "tenantId": TENANT,
        "title": format!("'{category}' was detected"),
        "category": category,
        "createdDateTime": raised.to_string(),
        "evidence": [{
            "@odata.type": "#microsoft.graph.security.deviceEvidence",
            "mdeDeviceId": machine_id_of(name),
            "deviceDnsName": name,
            "osPlatform": "Windows11",
            "detailedRoles": ["PrimaryDevice"],
        }],
    })
    .to_string()
}
