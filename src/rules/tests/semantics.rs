//! Each modifier, value and condition form against one alert.

use super::{matches, rule, sample};
use crate::alert::Alert;

fn holds(test: &str) -> bool {
    matches(&rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick"), &sample())
}

#[test]
fn field_tests_hold_as_sigma_says() {
    let cases: &[(&str, bool)] = &[
        // Equality ignores letter case; `cased` does not.
        ("category: malware", true),
        ("category: malwar", false),
        ("category|cased: malware", false),
        ("category|cased: Malware", true),
        ("severity: HIGH", true),
        ("severity: [low, medium]", false),
        ("severity: [medium, high]", true),
        // Wildcards and escapes.
        ("category: M*re", true),
        ("category: M?lware", true),
        ("category: M?ware", false),
        ("category: '*'", true),
        (r"category: Malware\*", false),
        (r"file.path: C:\Users\\*\AppData\\*", true),
        (r"file.path: C:\Users\*\AppData\\*", false),
        (r"file.path|contains: \ada\", true),
        (r"file.path|contains: \bob\", false),
        (r"file.path: 'C:\\Users\\ada\\AppData\\Local\\Temp'", true),
        // Parts of a text.
        ("threat.name|contains: emotet", true),
        ("threat.name|contains: 'WIN?2/em'", true),
        ("threat.name|startswith: 'trojan:'", true),
        ("threat.name|startswith: win32", false),
        ("threat.name|endswith: '!RFN'", true),
        ("threat.name|contains|cased: emotet", false),
        ("title|contains: [ransom, malware]", true),
        ("title|contains|all: [emotet, malware]", true),
        ("title|contains|all: [emotet, ransom]", false),
        // A field with several values holds where any does; `all` may be met by different values.
        ("device.tags: VIP", true),
        ("device.tags|contains|all: [fin, vip]", true),
        ("mitre.technique|startswith: T1486", true),
        ("device.tags: pentest", false),
        // Regular expressions search, and mind letter case unless told not to.
        (r"threat.name|re: 'Win\d+'", true),
        (r"threat.name|re: 'win\d+'", false),
        (r"threat.name|re|i: 'win\d+'", true),
        (r"threat.name|re: '^Win'", false),
        // Networks.
        ("device.ip|cidr: 10.0.0.0/8", true),
        ("device.ip|cidr: [192.168.0.0/16, 'fe80::/10']", true),
        ("device.ip|cidr: 192.168.0.0/16", false),
        ("device.name|cidr: 10.0.0.0/8", false),
        // Present or not.
        ("device.group: null", true),
        ("device.group:", true),
        ("device.name: null", false),
        ("device.group|exists: false", true),
        ("device.name|exists: true", true),
        ("device.group|exists: true", false),
        ("device.group: [null, servers]", true),
        // Order.
        ("severity|gte: high", true),
        ("severity|gt: high", false),
        ("severity|lt: Critical", true),
        ("severity|lte: medium", false),
        ("device.risk|gte: medium", true),
        ("device.risk|gt: medium", false),
        ("incident_id|gt: 41", true),
        ("incident_id: 42", true),
        ("incident_id: 43", false),
        ("labels.score|gte: 7.5", true),
        ("labels.score|gt: 7.5", false),
        ("labels.team: blue", true),
        ("labels.none: blue", false),
        ("labels.team|gt: 1", false),
        // Not equal: the field must be there, and no value may be found.
        ("category|neq: Ransomware", true),
        ("category|neq: malware", false),
        ("category|neq: [Ransomware, malware]", false),
        ("device.tags|neq: vip", false),
        ("device.tags|neq: server", true),
        ("device.group|neq: servers", false),
        ("title|contains|neq: ransom", true),
        ("device.ip|cidr|neq: 10.0.0.0/8", false),
        ("severity|lt|neq: medium", true),
        ("title|contains|all|neq: [emotet, ransom]", true),
        // The original JSON; arrays match any element.
        ("raw.count: 5", true),
        ("raw.count: '5'", true),
        ("raw.count|gt: 4", true),
        ("raw.count|lt: 5", false),
        ("raw.evidence.kind: device", true),
        ("raw.evidence.kind: user", false),
        ("raw.evidence.sizes: 20", true),
        ("raw.evidence.isTest: true", true),
        ("raw.evidence.isTest: false", false),
        ("raw.nothing: null", true),
        ("raw.nothing|exists: false", true),
        ("raw.absent.deep|exists: false", true),
        ("raw.evidence|exists: true", true),
        ("raw.empty|exists: true", true),
        ("raw.empty: null", false),
        ("format: alert_responder", true),
        ("format: mde_alert", false),
    ];
    let wrong: Vec<_> = cases.iter().filter(|(test, expected)| holds(test) != *expected).collect();
    assert!(wrong.is_empty(), "wrong: {wrong:#?}");
}

#[test]
fn conditions_combine_selections() {
    // yes_* hold, no_* do not.
    let selections =
        "yes_a:\n  category: malware\nyes_b:\n  severity: high\nno_a:\n  category: other\nno_b:\n  severity: low\n";
    let cases: &[(&str, bool)] = &[
        ("yes_a", true),
        ("no_a", false),
        ("not no_a", true),
        ("yes_a and yes_b", true),
        ("yes_a and no_b", false),
        ("no_a or yes_b", true),
        ("no_a or no_b", false),
        ("no_a or yes_a and yes_b", true),
        ("(yes_a or yes_b) and no_a", false),
        ("yes_a or yes_b and no_a", true),
        ("not yes_a or yes_b", true),
        ("not (yes_a or yes_b)", false),
        ("1 of yes_*", true),
        ("any of no_*", false),
        ("1 of *_a", true),
        ("all of yes_*", true),
        ("all of *_a", false),
        ("1 of them", true),
        ("all of them", false),
        ("2 of them", true),
        ("3 of them", false),
        ("yes_a and not 1 of no_*", true),
        ("[no_a, yes_a]", true),
        ("[no_a, no_b]", false),
    ];
    for (condition, expected) in cases {
        let text = rule(&format!("{selections}condition: {condition}"), "scan: Quick");
        assert_eq!(matches(&text, &sample()), *expected, "{condition}");
    }
}

#[test]
fn keys_of_a_map_are_all_needed_and_maps_of_a_list_are_any() {
    let cases: &[(&str, bool)] = &[
        ("s:\n  category: malware\n  severity: high", true),
        ("s:\n  category: malware\n  severity: low", false),
        ("s:\n  - category: other\n  - severity: high", true),
        ("s:\n  - category: other\n    severity: high\n  - severity: low", false),
        ("s: { category: malware }", true),
    ];
    for (detection, expected) in cases {
        let text = rule(&format!("{detection}\ncondition: s"), "scan: Quick");
        assert_eq!(matches(&text, &sample()), *expected, "{detection}");
    }
}

#[test]
fn selections_that_start_with_an_underscore_are_hidden_from_them() {
    let text = rule("_x:\n  category: other\ns:\n  category: malware\ncondition: all of them", "scan: Quick");
    assert!(matches(&text, &sample()));
}

#[test]
fn an_empty_list_of_tags_is_not_silence() {
    let mut alert = sample();
    alert.devices[0].tags = Some(Vec::new());
    for (test, expected) in
        [("device.tags|exists: true", true), ("device.tags: null", false), ("device.tags|neq: vip", true)]
    {
        let text = rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick");
        assert_eq!(matches(&text, &alert), expected, "{test}");
    }
    alert.devices[0].tags = None;
    for (test, expected) in
        [("device.tags|exists: true", false), ("device.tags: null", true), ("device.tags|neq: vip", false)]
    {
        let text = rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick");
        assert_eq!(matches(&text, &alert), expected, "{test}");
    }
}

#[test]
fn only_rules_that_ask_for_raw_make_the_set_need_it() {
    let without = rule("s:\n  category: malware\ncondition: s", "scan: Quick");
    let with = rule("s:\n  raw.a.b: malware\ncondition: s", "scan: Quick");
    assert!(!super::load(&without).needs_raw());
    assert!(super::load(&with).needs_raw());
}

#[test]
fn whole_numbers_are_compared_exactly() {
    let cases: &[(&str, &str, bool)] = &[
        ("incident_id: 638900417123456789", "638900417123456789", true),
        ("incident_id: 638900417123456789", "638900417123456790", false),
        ("incident_id: 18446744073709551615", "18446744073709551615", true),
        ("incident_id: 18446744073709551615", "18446744073709551614", false),
        ("incident_id: '12345678901234567890123'", "12345678901234567890123", true),
        ("incident_id|gt: 5", "12345678901234567890123", true),
        ("incident_id|gt: 9007199254740992", "9007199254740993", true),
        ("incident_id|gte: 9007199254740993", "9007199254740992", false),
        ("incident_id|lt: -9007199254740992", "-9007199254740993", true),
        ("incident_id: 5", "5.0", true),
        ("incident_id: 5", "05", true),
        ("incident_id|gt: 5.5", "6", true),
        ("incident_id: 0x10", "16", true),
        ("incident_id: 0o17", "15", true),
        ("incident_id|gte: 0x10", "15", false),
        ("incident_id: '0x10'", "0x10", true),
        ("incident_id: 0xfg", "0xfg", true),
    ];
    for (test, id, expected) in cases {
        let alert = Alert { incident_id: Some((*id).to_owned()), ..sample() };
        let text = rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick");
        assert_eq!(matches(&text, &alert), *expected, "{test} on {id}");
    }
}
