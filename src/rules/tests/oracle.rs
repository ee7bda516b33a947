//! The compiled evaluator agrees with `rsigma-eval`, an independent engine, on generated rules and alerts.

use proptest::prelude::*;
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use serde_json::{Map, Value, json};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::{generated, vocabulary};
use crate::alert::{Alert, DecodeOptions, Severity, decode};
use crate::rules::{Decision, RuleSet};

/// The event as another engine sees it: what the alert does not say is not there.
fn event(alert: &Alert) -> Value {
    let mut event = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            event.insert(name.to_owned(), value);
        }
    };
    put("category", alert.category.clone().map(Value::from));
    put("title", alert.title.clone().map(Value::from));
    put("threat", alert.threat.name.clone().map(|name| json!({ "name": name })));
    put("created_at", alert.created_at.map(|time| time.to_string().into()));
    put("device", alert.devices[0].tags.clone().map(|tags| json!({ "tags": tags })));
    Value::Object(event)
}

/// What differs, and whether a rule's text shows it.
type Difference = (&'static str, fn(&str) -> bool);

/// Where the two engines may differ, and why ours is what we want. A difference that no line explains is a bug; a line
/// that explains nothing is out of date.
const DIFFERENCES: &[Difference] = &[
    // `startswith: a*b` compiles to `a.*b$` there: the two anchors are swapped.
    ("a wildcard inside `startswith` or `endswith`", |text| {
        text.lines().any(|line| {
            let (key, values) = line.split_once(": ").unwrap_or_default();
            (key.contains("startswith") || key.contains("endswith")) && values.contains(['*', '?'])
        })
    }),
    // The text `1` is taken for `true` there. We take the words alone: a tag `1` says nothing of truth.
    ("`true` or `false` compared with the text `1` or `0`", |text| text.contains(": true") || text.contains(": false")),
    // `[null, ab]` does not hold for a field that is not there, though `null` alone does. Sigma's lists are alternatives.
    ("`null` in a list of values", |text| text.contains("[null, ")),
    // `ΟΔΟΣ` has another lower case at the end of a word than within one. We take both small sigmas for one letter.
    ("a Greek sigma", |text| text.contains(['Σ', 'σ', 'ς'])),
];

/// What is said of a group of fields.
fn said(fields: &[(&str, &Option<String>)]) -> Option<Value> {
    let said: Map<String, Value> =
        fields.iter().filter_map(|(name, text)| Some(((*name).to_owned(), json!(text.as_ref()?)))).collect();
    (!said.is_empty()).then_some(Value::Object(said))
}

/// Everything a rule can ask about, as another engine sees it.
fn whole_event(alert: &Alert) -> Value {
    let device = &alert.devices[0];
    let list = |list: &[String]| (!list.is_empty()).then(|| json!(list));
    let mut event = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            event.insert(name.to_owned(), value);
        }
    };
    for (name, text) in [
        ("title", &alert.title),
        ("description", &alert.description),
        ("category", &alert.category),
        ("status", &alert.status),
        ("source", &alert.source),
        ("detection_source", &alert.detection_source),
        ("tenant", &alert.tenant),
        ("incident_id", &alert.incident_id),
    ] {
        put(name, text.clone().map(Value::from));
    }
    put("severity", Some(json!(alert.severity.as_str())));
    put("mitre", list(&alert.mitre.technique).map(|technique| json!({ "technique": technique })));
    put("threat", said(&[("name", &alert.threat.name), ("family", &alert.threat.family)]));
    put("user", said(&[("name", &alert.user.name), ("domain", &alert.user.domain)]));
    let file = &alert.file;
    put("file", said(&[("name", &file.name), ("path", &file.path), ("sha1", &file.sha1), ("sha256", &file.sha256)]));
    put("labels", (!alert.labels.is_empty()).then(|| json!(alert.labels)));
    put("raw", Some(alert.raw.clone()));
    let mut said = Map::new();
    for (name, value) in [
        ("id", device.id.clone().map(Value::from)),
        ("group", device.group.clone().map(Value::from)),
        ("risk", device.risk.clone().map(Value::from)),
        ("name", device.name.clone().map(Value::from)),
        ("os", device.os.clone().map(Value::from)),
        ("tags", device.tags.clone().map(Value::from)),
        ("ip", list(&device.ip)),
    ] {
        said.extend(value.map(|value| (name.to_owned(), value)));
    }
    put("device", Some(Value::Object(said)));
    Value::Object(event)
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts are quoted")]
fn every_difference_from_the_oracle_is_explained() {
    let mut random = StdRng::seed_from_u64(5);
    let alerts: Vec<Alert> = (0..60).map(|_| vocabulary::alert(&mut random)).collect();
    let events: Vec<Value> = alerts.iter().map(whole_event).collect();
    let (mut pairs, mut agreed_matches) = (0, 0);
    let mut explained = vec![0; DIFFERENCES.len()];
    let mut unexplained = Vec::new();
    for number in 0..420 {
        let text = vocabulary::rule(&mut random, number, false);
        let ours = super::load(&text);
        let mut oracle = Engine::new();
        oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        for (alert, event) in alerts.iter().zip(&events) {
            pairs += 1;
            let mine = !super::evaluate(&ours, alert).matches.is_empty();
            let theirs = !oracle.evaluate(&JsonEvent::borrow(event)).is_empty();
            if mine == theirs {
                agreed_matches += usize::from(mine);
            } else if let Some(line) = DIFFERENCES.iter().position(|(_, explains)| explains(&text)) {
                explained[line] += 1;
            } else {
                unexplained.push(format!("ours {mine}, theirs {theirs}\n{text}\n{event}"));
            }
        }
    }
    println!("{pairs} pairs of rule and alert: {agreed_matches} match in both, differences by reason {explained:?}");
    assert!(
        unexplained.is_empty(),
        "{} differences, the first:\n{}",
        unexplained.len(),
        unexplained[..unexplained.len().min(3)].join("\n\n")
    );
    assert!(!explained.contains(&0), "a line of the table explains nothing: {explained:?}");
    assert!(pairs >= 20_000 && agreed_matches > 2_000);
}

/// Files in the style of public rules: the set to start from, and one rule for each construct.
#[test]
#[expect(clippy::print_stdout, reason = "the counts are quoted")]
fn rule_files_in_the_public_style_match_what_the_oracle_matches() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut alerts: Vec<Alert> = Vec::new();
    for file in std::fs::read_dir(root.join("tests/data/alerts")).unwrap() {
        let options = DecodeOptions { keep_raw: true, ..DecodeOptions::default() };
        if let Ok(decoded) = decode(&std::fs::read(file.unwrap().path()).unwrap(), &options) {
            alerts.extend(decoded.into_iter().map(|decoded| decoded.alert).filter(|alert| !alert.devices.is_empty()));
        }
    }
    let mut random = StdRng::seed_from_u64(9);
    // Each of them also with something taken away or said differently.
    for alert in alerts.clone() {
        for _ in 0..40 {
            alerts.push(changed(alert.clone(), &mut random));
        }
    }
    let (mut rules, mut pairs, mut matched) = (0, 0, Vec::new());
    for folder in ["rules", "tests/data/rules"] {
        let ours = RuleSet::load_dir(&root.join(folder)).unwrap_or_else(|errors| panic!("{errors}"));
        let mut oracle = Engine::new();
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yml") {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            // The order of severities is ours alone: written out for the oracle.
            let text = text.replace("severity|gte: high", "severity: [high, critical]");
            let text = text.replace("device.risk|gte: high", "device.risk: [high, critical]");
            let text = text.replace("severity|gte: medium", "severity: [medium, high, critical]");
            oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        }
        rules += ours.rules().len();
        for alert in &alerts {
            let event = whole_event(alert);
            let theirs = oracle.evaluate(&JsonEvent::borrow(&event));
            let mut theirs: Vec<String> = theirs.into_iter().filter_map(|found| found.header.rule_id).collect();
            theirs.sort();
            let mine = super::evaluate(&ours, alert).matches;
            let mine: Vec<String> = mine.into_iter().map(|found| found.rule_id).collect();
            assert_eq!(mine, theirs, "{event:#}");
            pairs += ours.rules().len();
            matched.extend(mine);
        }
    }
    let matches = matched.len();
    matched.sort();
    matched.dedup();
    println!("{rules} rules, {pairs} pairs of rule and alert: {matches} match, by {} rules", matched.len());
    assert!(rules >= 30 && matched.len() * 2 > rules, "only {} of {rules} rules ever match", matched.len());
}

/// An alert that says a little less, or something else.
fn changed(mut alert: Alert, random: &mut StdRng) -> Alert {
    let titles =
        ["Ransomware", "mimikatz read lsass", "excel started cmd.exe", "a *? test", "Emotet malware", "emotet"];
    let names = ["a.pdf.exe", "A.PDF.EXE", "x\\mimikatz.exe", "procdump64.exe"];
    let device = &mut alert.devices[0];
    for _ in 0..3 {
        match random.random_range(0..14) {
            0 => alert.title = titles.choose(random).map(|title| (*title).to_owned()),
            1 => alert.file.name = names.choose(random).map(|name| (*name).to_owned()),
            2 => alert.category = ["Ransomware", "malware"].choose(random).map(|word| (*word).to_owned()),
            3 => alert.severity = *Severity::ALL.choose(random).unwrap_or(&Severity::High),
            4 => {
                alert.threat.name =
                    ["Ransom:Win32/A", "Trojan:Win32/Emotet"].choose(random).map(|name| (*name).to_owned())
            }
            5 => alert.user.name = None,
            6 => alert.description = Some("powershell.exe -ENC and cmd.exe".to_owned()),
            7 => device.os = Some("WindowsServer2022".to_owned()),
            8 => device.tags = Some(vec!["no-scan".to_owned()]),
            9 => device.group = ["Servers", "EMEA-Workstations"].choose(random).map(|group| (*group).to_owned()),
            10 => device.ip = vec!["fe80::1".to_owned()],
            11 => alert.labels.extend([("team".to_owned(), "Blue".to_owned()), ("score".to_owned(), "7".to_owned())]),
            12 => alert.mitre.technique = vec!["T1059.001".to_owned()],
            _ => alert.threat.family = None,
        }
    }
    alert
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn our_matches_are_those_of_the_oracle(
        rule in generated::rule().prop_map(generated::Rule::for_the_oracle),
        alerts in prop::collection::vec(generated::alert(), 16),
    ) {
        let text = rule.to_yaml();
        let ours = super::load(&text);
        let mut oracle = Engine::new();
        oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        for alert in &alerts {
            let json = event(alert);
            let theirs = !oracle.evaluate(&JsonEvent::borrow(&json)).is_empty();
            prop_assert_eq!(
                !super::evaluate(&ours, alert).matches.is_empty(), theirs, "the oracle says {}\n{}\n{}", theirs, text, json
            );
        }
    }

    #[test]
    fn our_filters_take_back_what_the_oracle_takes_back(
        rule in generated::rule().prop_map(generated::Rule::for_the_oracle),
        filter in generated::rule().prop_map(generated::Rule::for_the_oracle_as_a_filter),
        target in prop::sample::select(vec!["any", "[00000000-0000-4000-8000-000000000001]"]),
        logsource in prop::sample::select(vec!["", "logsource: { category: alert }\n"]),
        alerts in prop::collection::vec(generated::alert(), 16),
    ) {
        let body: String = filter.detection().lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("{}---\ntitle: f\n{logsource}filter:\n  rules: {target}\n{body}", rule.to_yaml());
        let ours = super::load(&text);
        let mut oracle = Engine::new();
        oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        for alert in &alerts {
            let json = event(alert);
            let theirs = !oracle.evaluate(&JsonEvent::borrow(&json)).is_empty();
            let answer = super::evaluate(&ours, alert);
            prop_assert_eq!(!answer.matches.is_empty(), theirs, "the oracle says {}\n{}\n{}", theirs, text, json);
            prop_assert_eq!(theirs, rule.holds(alert) && filter.holds(alert));
            prop_assert_eq!(answer.decision == Decision::Filtered, rule.holds(alert) && !filter.holds(alert));
        }
    }
}

/// Encodings whose Base64 the oracle finds, we find, too: its patterns are ours and one more character.
#[test]
fn base64_within_a_text_is_found_wherever_the_oracle_finds_it() {
    let mut found = 0;
    for encoding in ["", "wide|", "utf16be|", "utf16|"] {
        let text =
            super::rule(&format!("s:\n  title|{encoding}base64offset|contains: evil\ncondition: s"), "scan: Quick");
        let ours = super::load(&text);
        let mut oracle = Engine::new();
        oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&text).unwrap()).unwrap();
        for length in 0..6 {
            let before = "x".repeat(length);
            for after in ["", "\0", "y"] {
                let bytes = generated::encode(encoding, &format!("{before}evil{after}"));
                let devices = vec![crate::alert::Device::default()];
                let alert = Alert { title: Some(generated::base64(&bytes)), devices, ..Alert::default() };
                let theirs = !oracle.evaluate(&JsonEvent::borrow(&event(&alert))).is_empty();
                let mine = !super::evaluate(&ours, &alert).matches.is_empty();
                assert!(mine || !theirs, "{text}{alert:?}");
                found += usize::from(theirs);
            }
        }
    }
    assert!(found > 10, "{found}");
}

/// The list of departures in the guide is true: in each of them the oracle says otherwise than we do.
#[test]
fn the_oracle_departs_where_the_guide_says() {
    let cases: &[(&str, &str, bool)] = &[
        ("title|startswith: 'a*b'", "xaxb", false),
        ("title|endswith: 'a*b'", "axbx", false),
        // `an evil thing` in Base64: what follows `evil` shows in its last character.
        ("title|base64offset|contains: evil", "YW4gZXZpbCB0aGluZw==", true),
        ("title|windash: ' /enc '", " -enc ", true),
        ("title|windash: ' -e*'", " /enc", true),
        ("title|expand: '%category%'", "x", false),
        ("'|all': [emotet, found]", "emotet was found", true),
        ("title|fieldref: device.tags", "vip", true),
        ("created_at|hour|gte: 3", "x", true),
        ("title: true", "yes", false),
        ("title: 9007199254740993", "9007199254740992", false),
    ];
    for (test, title, expected) in cases {
        let text = super::rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick");
        let mut alert = Alert { title: Some((*title).to_owned()), category: Some("x".to_owned()), ..super::sample() };
        alert.created_at = Some("2026-05-01T12:00:00Z".parse().unwrap());
        let lists = [("category.list", "nothing"), ("rule.yml", text.as_str())];
        let ours = crate::rules::RuleSet::from_sources(lists).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(!super::evaluate(&ours, &alert).matches.is_empty(), *expected, "{test} on {title}");
        let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
        let mut oracle = Engine::new();
        let theirs = match oracle.add_collection(&collection) {
            Ok(()) => !oracle.evaluate(&JsonEvent::borrow(&event(&alert))).is_empty(),
            Err(_) => false,
        };
        assert_ne!(theirs, *expected, "{test} on {title}");
    }
}
