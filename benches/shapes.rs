//! Alerts and rule sets of three shapes, as Sigma and as CEL, for the comparisons.
//!
//! Alerts are Graph `alerts_v2` records of about 1.7 KB from a fleet of 10,000 devices. The shapes:
//!
//! - *selective*: nearly every rule names devices, users, hashes or threats;
//! - *broad*: every rule has the same severities and categories, and two or three of: a word of the title, the beginning
//!   of the threat's or the device's name, the system; some have exceptions. Many rules share each of these;
//! - *half*: one of each in turn.

#![allow(missing_docs)]

mod words;

use alert_responder::alert::{Alert, DecodeOptions, decode};
use alert_responder::rules::RuleSet;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use self::words::{CATEGORIES, FAMILIES, SENSORS, SEVERITIES, SITES, SYSTEMS, TITLE_WORDS};

const DEVICES: usize = 10_000;

/// The shapes by name.
pub const SHAPES: [&str; 3] = ["selective", "broad", "half"];

/// An alert in all forms that are measured.
pub struct Sample {
    /// The record.
    pub json: Vec<u8>,
    pub alert: Alert,
    /// The normalised fields as JSON, for `rsigma-eval`.
    pub fields: Value,
    /// The same in lower case, since CEL compares letters as they are.
    pub lower: Value,
}

fn device_name(number: usize) -> String {
    format!("{}-ws{:05}.corp.example.com", SITES[number % SITES.len()], number)
}

fn digest(number: usize) -> String {
    format!("{:08x}", number as u32 * 2_654_435_761_u32.wrapping_add(number as u32)).repeat(5)
}

fn threat_name(random: &mut StdRng) -> String {
    let family = FAMILIES.choose(random).unwrap();
    format!("Trojan:Win32/{family}.{}!ml", (b'A' + random.random_range(0..26_u8)) as char)
}

/// Alerts, the same for every shape.
pub fn samples(count: usize) -> Vec<Sample> {
    let mut random = StdRng::seed_from_u64(1);
    (0..count).map(|number| sample(number, &mut random)).collect()
}

fn sample(number: usize, random: &mut StdRng) -> Sample {
    let device = random.random_range(0..DEVICES);
    let words: Vec<&str> = TITLE_WORDS.sample(random, 4).copied().collect();
    let user = format!("user{:05}", random.random_range(0..DEVICES));
    let threat = threat_name(random);
    let record = json!({
        "@odata.type": "#microsoft.graph.security.alert",
        "id": format!("da6389004171234{number:05}_-1043211987"),
        "providerAlertId": format!("6389004171234{number:05}_-1043211987"),
        "incidentId": (40_000 + number).to_string(),
        "status": "new",
        "severity": SEVERITIES.choose(random),
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": SENSORS.choose(random),
        "productName": "Microsoft Defender for Endpoint",
        "tenantId": "1228d172-029d-54e1-81c4-e82adcba5353",
        "title": format!("'{}' {} {} {} on one endpoint", words[0], words[1], words[2], words[3]),
        "description": "Malware was found on the device.",
        "recommendedActions": "Run a full scan.",
        "category": CATEGORIES.choose(random),
        "alertWebUrl": "https://security.microsoft.com/alerts/da638900417123456789_-1043211987",
        "threatDisplayName": threat,
        "threatFamilyName": "family",
        "mitreTechniques": ["T1204.002"],
        "createdDateTime": "2026-03-02T09:13:52.3456789Z",
        "lastUpdateDateTime": "2026-03-02T09:14:10.2Z",
        "evidence": [
            {
                "@odata.type": "#microsoft.graph.security.deviceEvidence",
                "createdDateTime": "2026-03-02T09:13:53.42Z",
                "verdict": "unknown",
                "roles": ["compromised"],
                "detailedRoles": ["PrimaryDevice"],
                "tags": [if number.is_multiple_of(7) { "no-scan" } else { "finance" }],
                "mdeDeviceId": digest(device),
                "deviceDnsName": device_name(device),
                "osPlatform": SYSTEMS.choose(random),
                "riskScore": "medium",
                "rbacGroupName": format!("{}-Workstations", SITES[device % SITES.len()]),
                "ipInterfaces": ["10.20.4.17"],
                "loggedOnUsers": [{ "accountName": user, "domainName": "CORP" }]
            },
            {
                "@odata.type": "#microsoft.graph.security.fileEvidence",
                "verdict": "malicious",
                "fileDetails": {
                    "sha1": digest(random.random_range(0..DEVICES)),
                    "fileName": "invoice.exe",
                    "filePath": "C:\\Users\\ada\\Downloads",
                    "fileSize": 6_136_392
                }
            }
        ]
    });
    let json = serde_json::to_vec(&record).unwrap();
    let alert = decode(&json, &DecodeOptions::default()).unwrap().remove(0).alert;
    let device = &alert.devices[0];
    let fields = json!({
        "severity": alert.severity.as_str(),
        "category": alert.category,
        "detection_source": alert.detection_source,
        "title": alert.title,
        "threat": { "name": alert.threat.name },
        "user": { "name": alert.user.name },
        "file": { "sha1": alert.file.sha1 },
        "device": { "name": device.name, "os": device.os, "tags": device.tags },
    });
    let lower = serde_json::from_str(&fields.to_string().to_lowercase()).unwrap();
    Sample { json, alert, fields, lower }
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Equals,
    Contains,
    StartsWith,
}

struct Test {
    field: &'static str,
    operator: Operator,
    values: Vec<String>,
}

/// One rule, before it is written in some language.
pub struct Rule {
    wanted: Vec<Test>,
    except: Option<Test>,
}

fn test(field: &'static str, operator: Operator, values: Vec<String>) -> Test {
    Test { field, operator, values }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// So many rules of a shape.
pub fn rules(shape: &str, count: usize) -> Vec<Rule> {
    let mut random = StdRng::seed_from_u64(2);
    (0..count)
        .map(|number| match shape {
            "selective" => selective(&mut random),
            "broad" => broad(&mut random),
            _ if number % 2 == 0 => selective(&mut random),
            _ => broad(&mut random),
        })
        .collect()
}

fn selective(random: &mut StdRng) -> Rule {
    let several =
        |random: &mut StdRng| (0..random.random_range(1..4)).map(|_| random.random_range(0..DEVICES)).collect();
    let numbers: Vec<usize> = several(random);
    let rare = match random.random_range(0..4) {
        0 => test("device.name", Operator::Equals, numbers.into_iter().map(device_name).collect()),
        1 => test("user.name", Operator::Equals, numbers.iter().map(|user| format!("user{user:05}")).collect()),
        2 => test("file.sha1", Operator::Equals, numbers.into_iter().map(digest).collect()),
        _ => test("threat.name", Operator::Equals, vec![threat_name(random)]),
    };
    let mut wanted = vec![test("severity", Operator::Equals, strings(&["medium", "high"]))];
    if random.random_bool(0.5) {
        wanted.push(test("category", Operator::Equals, vec![(*CATEGORIES.choose(random).unwrap()).to_owned()]));
    }
    wanted.push(rare);
    Rule { wanted, except: exception(random) }
}

fn broad(random: &mut StdRng) -> Rule {
    let mut wanted = vec![
        test("severity", Operator::Equals, strings(&["medium", "high"])),
        test("category", Operator::Equals, strings(&["Malware", "Ransomware", "CredentialAccess", "Execution"])),
    ];
    let word = TITLE_WORDS.choose(random).unwrap();
    let family = FAMILIES.choose(random).unwrap();
    let site = SITES.choose(random).unwrap();
    let mut narrow = vec![
        test("title", Operator::Contains, vec![(*word).to_owned()]),
        test("threat.name", Operator::StartsWith, vec![format!("Trojan:Win32/{family}.")]),
        test("device.name", Operator::StartsWith, vec![format!("{site}-ws")]),
        test("device.os", Operator::Equals, vec![(*SYSTEMS.choose(random).unwrap()).to_owned()]),
    ];
    if random.random_bool(0.5) {
        narrow.remove(random.random_range(0..3));
    }
    wanted.extend(narrow);
    Rule { wanted, except: exception(random) }
}

fn exception(random: &mut StdRng) -> Option<Test> {
    match random.random_range(0..4) {
        0 => Some(test("device.tags", Operator::Contains, strings(&["no-scan"]))),
        1 => Some(test("device.name", Operator::StartsWith, strings(&["dc-", "adds-"]))),
        _ => None,
    }
}

impl Rule {
    /// As one Sigma document.
    pub fn sigma(&self, number: usize) -> String {
        let map = |tests: &[&Test]| -> String {
            tests
                .iter()
                .map(|test| {
                    let modifier = match test.operator {
                        Operator::Equals => "",
                        Operator::Contains => "|contains",
                        Operator::StartsWith => "|startswith",
                    };
                    let values: Vec<String> = test.values.iter().map(|value| format!("'{value}'")).collect();
                    format!("    {}{modifier}: [{}]\n", test.field, values.join(", "))
                })
                .collect()
        };
        let wanted: Vec<&Test> = self.wanted.iter().collect();
        let (except, condition) = match &self.except {
            Some(test) => (format!("  except:\n{}", map(&[test])), "wanted and not except"),
            None => (String::new(), "wanted"),
        };
        format!(
            "title: Rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{ category: alert }}\n\
             detection:\n  wanted:\n{}{except}  condition: {condition}\nresponse: {{ scan: Quick }}\n",
            map(&wanted)
        )
    }

    /// As one CEL expression over lower-case values.
    pub fn cel(&self) -> String {
        let one = |test: &Test| {
            let value = |value: &String| format!("'{}'", value.to_lowercase());
            if test.operator == Operator::Equals {
                let values: Vec<String> = test.values.iter().map(value).collect();
                return format!("{} in [{}]", test.field, values.join(", "));
            }
            let function = if test.operator == Operator::Contains { "contains" } else { "startsWith" };
            let is_list = test.field == "device.tags";
            let each: Vec<String> = test
                .values
                .iter()
                .map(|text| match is_list {
                    true => format!("{}.exists(each, each.{function}({}))", test.field, value(text)),
                    false => format!("{}.{function}({})", test.field, value(text)),
                })
                .collect();
            format!("({})", each.join(" || "))
        };
        let mut parts: Vec<String> = self.wanted.iter().map(one).collect();
        parts.extend(self.except.iter().map(|test| format!("!({})", one(test))));
        parts.join(" && ")
    }
}

/// The rules, loaded.
pub fn load(rules: &[Rule]) -> RuleSet {
    RuleSet::from_sources(files(rules)).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The rules as files of a thousand.
pub fn files(rules: &[Rule]) -> Vec<(String, String)> {
    rules
        .chunks(1_000)
        .enumerate()
        .map(|(file, chunk)| {
            let texts: Vec<String> = chunk.iter().enumerate().map(|(at, rule)| rule.sigma(file * 1_000 + at)).collect();
            (format!("{file:03}.yml"), texts.join("---\n"))
        })
        .collect()
}

/// The rules in `rsigma-eval`.
pub fn rsigma(rules: &[Rule]) -> rsigma_eval::Engine {
    let mut engine = rsigma_eval::Engine::new();
    for (_, text) in files(rules) {
        engine.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
    }
    engine
}

/// The rules in CEL.
pub fn cel(rules: &[Rule]) -> Vec<cel::Program> {
    rules.iter().map(|rule| cel::Program::compile(&rule.cel()).unwrap()).collect()
}

/// How many CEL programs hold; the context is built once for all.
pub fn cel_matches(programs: &[cel::Program], fields: &Value) -> usize {
    let mut context = cel::Context::default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        context.add_variable(name.as_str(), value).unwrap();
    }
    let holds = |program: &&cel::Program| matches!(program.execute(&context), Ok(cel::Value::Bool(true)));
    programs.iter().filter(holds).count()
}
