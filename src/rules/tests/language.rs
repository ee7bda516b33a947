//! The parts of Sigma beyond plain comparisons: encodings, references, times, keywords, lists.

use super::{evaluate, matches, now, rule, sample};
use crate::alert::Alert;
use crate::rules::{DiagnosticCode as Code, LoadOptions, RuleSet};

fn says(test: &str, alert: &Alert) -> bool {
    matches(&rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick"), alert)
}

fn titled(title: &str) -> Alert {
    Alert { title: Some(title.to_owned()), ..sample() }
}

#[test]
fn encoded_values_are_found_as_sigma_says() {
    // From `printf evil | base64`, `printf evil | iconv -t UTF-16LE | base64`, and so on.
    let cases: &[(&str, &str, bool)] = &[
        ("title|base64: evil", "ZXZpbA==", true),
        ("title|base64: evil", "x ZXZpbA==", false),
        ("title|base64|contains: evil", "x ZXZpbA== y", true),
        ("title|base64|startswith: evil", "ZXZpbA== y", true),
        ("title|base64|endswith: evil", "y ZXZpbA==", true),
        // Letter case is ignored as everywhere, unless it counts.
        ("title|base64: evil", "zxzpba==", true),
        ("title|base64|cased: evil", "zxzpba==", false),
        ("title|base64|cased: evil", "ZXZpbA==", true),
        ("title|wide|base64: evil", "ZQB2AGkAbAA=", true),
        ("title|utf16le|base64: evil", "ZQB2AGkAbAA=", true),
        ("title|utf16be|base64: evil", "AGUAdgBpAGw=", true),
        ("title|utf16|base64: evil", "//5lAHYAaQBsAA==", true),
        ("title|wide|base64: evil", "ZXZpbA==", false),
        // Within a longer text: `say evil things`, `an evil thing`, `my evil`.
        ("title|base64offset|contains: evil", "c2F5IGV2aWwgdGhpbmdz", true),
        ("title|base64offset|contains: evil", "YW4gZXZpbCB0aGluZw==", true),
        ("title|base64offset: evil", "bXkgZXZpbA==", true),
        ("title|base64offset: evil", "bXkgZ29vZA==", false),
        // A backslash makes a star a letter: `printf 'a*b' | base64`.
        (r"title|base64: 'a\*b'", "YSpi", true),
        ("title|base64|contains|all: [evil, good]", "ZXZpbA== Z29vZA==", true),
        ("title|base64|contains|all: [evil, good]", "ZXZpbA==", false),
        ("title|base64|contains|neq: evil", "ZXZpbA==", false),
    ];
    for (test, title, expected) in cases {
        assert_eq!(says(test, &titled(title)), *expected, "{test} on {title}");
    }
}

#[test]
fn any_dash_stands_for_any_dash() {
    for title in ["run -enc x", "run /enc x", "run –enc x", "run —enc x", "run ―ENC x"] {
        for value in ["' -enc '", "' /enc '"] {
            assert!(says(&format!("title|contains|windash: {value}"), &titled(title)), "{title} {value}");
            assert!(says(&format!("title|windash|contains: {value}"), &titled(title)), "{title} {value}");
        }
    }
    assert!(!says("title|contains|windash: ' -enc '", &titled("run +enc x")));
    assert!(!says("title|contains|windash|cased: ' -enc '", &titled("run -ENC x")));
    assert!(says("title|windash: 'run -e* x'", &titled("run /enc x")));
    assert!(says("title|windash: 'plain'", &titled("Plain")));
    let many = "-".repeat(64);
    assert!(says(&format!("title|windash: '{many}'"), &titled(&"/".repeat(64))), "no form is written out");
}

#[test]
fn fields_are_compared_with_each_other() {
    let mut alert = titled("WS-17 has a problem");
    alert.user.name = Some("Ada".to_owned());
    alert.labels.insert("owner".to_owned(), "ada".to_owned());
    alert.labels.insert("tag".to_owned(), "VIP".to_owned());
    let cases: &[(&str, bool)] = &[
        ("user.name|fieldref: labels.owner", true),
        ("user.name|fieldref|cased: labels.owner", false),
        ("user.name|fieldref: title", false),
        ("title|fieldref|startswith: device.name", true),
        ("title|fieldref|contains: device.name", true),
        ("title|fieldref|endswith: device.name", false),
        ("user.name|fieldref: [title, labels.owner]", true),
        ("user.name|fieldref|all: [title, labels.owner]", false),
        // Any value of the one and any value of the other.
        ("device.tags|fieldref: labels.tag", true),
        ("labels.tag|fieldref: device.tags", true),
        // What is not there is not the same as anything.
        ("user.name|fieldref: user.domain", false),
        ("user.domain|fieldref: file.name", false),
        ("user.name|fieldref|neq: labels.owner", false),
        ("user.name|fieldref|neq: title", true),
        ("user.domain|fieldref|neq: title", false),
    ];
    for (test, expected) in cases {
        assert_eq!(says(test, &alert), *expected, "{test}");
    }
}

#[test]
fn parts_of_times_are_those_of_utc() {
    let mut alert = sample();
    // A Saturday, by ISO 8601 of week 53 of the year before; 23:30 in UTC.
    alert.created_at = Some("2027-01-03T00:30:00+01:00".parse().unwrap());
    alert.labels.insert("seen".to_owned(), "2026-05-06T07:08:09Z".to_owned());
    let cases: &[(&str, bool)] = &[
        ("created_at|year: 2027", true),
        ("created_at|year: 2026", false),
        ("created_at|day: 2", true),
        ("created_at|hour: 23", true),
        ("created_at|minute: 30", true),
        ("created_at|week: 53", true),
        ("created_at|month: [1, 12]", true),
        ("created_at|hour|gte: 22", true),
        ("created_at|hour|lt: 23", false),
        ("created_at|hour|lte: 23", true),
        ("created_at|hour|gt: 23", false),
        ("created_at|hour|neq: 23", false),
        ("labels.seen|hour: 7", true),
        ("labels.team|hour: 7", false),
    ];
    for (test, expected) in cases {
        assert_eq!(says(test, &alert), *expected, "{test}");
    }
    alert.created_at = None;
    assert!(!says("created_at|hour|gte: 0", &alert));
    assert!(!says("created_at|hour|neq: 3", &alert));
}

#[test]
fn keywords_are_searched_in_the_text_of_every_field() {
    let cases: &[(&str, bool)] = &[
        ("s: emotet", true),
        ("s: ransom", false),
        ("s: [ransom, emotet]", true),
        ("s: [ransom, 'win*emo?et']", true),
        ("s: [blue]", true),
        ("s: ws-17", true),
        ("s: finance", true),
        ("s: [high]", false),
        ("s: [alert_responder]", false),
        // A number is searched as text.
        ("s: [3212]", true),
        ("s: { '|all': [emotet, finance] }", true),
        ("s: { '|all': [emotet, ransom] }", false),
        ("s: { '|cased': emotet }", false),
        ("s: { '|cased': Emotet }", true),
        ("s: { '|startswith': trojan }", true),
        ("s: { '|endswith': trojan }", false),
        (r"s: { '|re': 'Emo\w+' }", true),
        ("s: { '|contains|all': [emotet, finance], severity: high }", true),
        ("s: { '|contains|all': [emotet, finance], severity: low }", false),
        // Maps and words in one list: any of them.
        ("s: [ransom, { category: malware }]", true),
        ("s: [emotet, { category: other }]", true),
        ("s: [ransom, { category: other }]", false),
    ];
    for (selection, expected) in cases {
        let text = rule(&format!("{selection}\ncondition: s"), "scan: Quick");
        assert_eq!(matches(&text, &sample()), *expected, "{selection}");
    }
}

#[test]
fn the_original_json_is_no_place_for_keywords() {
    let text = rule("s: a.exe\ncondition: s", "scan: Quick");
    assert!(!matches(&text, &sample()));
    assert!(!super::load(&text).needs_raw());
}

fn with_lists(detection: &str, lists: &[(&str, &str)]) -> Result<RuleSet, crate::rules::RuleErrors> {
    let text = rule(&format!("s:\n  {detection}\ncondition: s"), "scan: Quick");
    let lists = lists.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    RuleSet::from_sources(lists.chain([("rule.yml".to_owned(), text)]))
}

#[test]
fn placeholders_stand_for_the_values_of_a_list() {
    let lists = &[
        ("lists/names.list", "# computers\n\nws-17\n  dc-*  \r\n"),
        ("nets.list", "10.0.0.0/8\n"),
        ("no.list", "#\n"),
    ];
    let cases: &[(&str, bool)] = &[
        ("device.name|expand: '%names%'", true),
        ("device.name|expand: 'x%names%'", false),
        ("device.name|expand|startswith: '%names%'", true),
        ("device.name|expand|neq: '%names%'", false),
        ("device.name|expand: ['%no%', '%names%']", true),
        ("device.ip|cidr|expand: '%nets%'", true),
        ("title|expand|contains: '%names%'", false),
        ("device.name|expand: '%no%'", false),
        ("device.name|expand|neq: '%no%'", true),
        // Without `expand` a percent sign is one.
        ("device.name: '%names%'", false),
    ];
    for (test, expected) in cases {
        let rules = with_lists(test, lists).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(!evaluate(&rules, &sample()).matches.is_empty(), *expected, "{test}");
    }
    let mut alert = sample();
    alert.devices[0].name = Some("dc-1".to_owned());
    let rules = with_lists("device.name|expand: '%names%'", lists).unwrap();
    assert!(!evaluate(&rules, &alert).matches.is_empty(), "values of lists may have wildcards, as in the rule");
    let rules = with_lists("title|expand: '%a%-%b%'", &[("a.list", "1\n2"), ("b.list", "x\ny")]).unwrap();
    assert!(!evaluate(&rules, &titled("2-X")).matches.is_empty(), "every combination");
    let warned = with_lists("device.name|expand: '%no%'", lists).unwrap();
    assert!(warned.warnings().iter().any(|finding| finding.code == Code::EmptyList));
}

#[test]
fn lists_take_part_in_the_name_of_the_set() {
    let hash = |values: &str| {
        let rules = with_lists("device.name|expand: '%names%'", &[("names.list", values)]).unwrap();
        rules.hash().to_owned()
    };
    assert_ne!(hash("a"), hash("b"));
}

#[test]
fn bad_lists_are_refused() {
    let code = |test: &str, lists: &[(&str, &str)]| {
        let errors = with_lists(test, lists).unwrap_err();
        (errors.diagnostics[0].code, errors.to_string())
    };
    let test = "device.name|expand: '%names%'";
    let (found, shown) = code(test, &[("name.list", "a")]);
    assert!(found == Code::UnknownList && shown.contains("did you mean `%name%`"), "{shown}");
    let (found, shown) = code(test, &[("a/names.list", "a"), ("b/names.list", "b")]);
    assert!(found == Code::InvalidList && shown.contains("a/names.list"), "{shown}");
    assert_eq!(code(test, &[("na mes.list", "a")]).0, Code::InvalidList);
    let (found, shown) = code(test, &[("names.list", &format!("ok\n{}", "x".repeat(2000)))]);
    assert!(found == Code::InvalidList && shown.contains("names.list:2:1"), "{shown}");
    assert_eq!(code(test, &[("names.list", &"a\n".repeat(60_000))]).0, Code::InvalidList);
    let (found, shown) = code("title|expand: '%a%%a%%a%%a%'", &[("a.list", &"a\n".repeat(1000))]);
    assert!(found == Code::InvalidList && shown.contains("more than"), "{shown}");
    let (found, _) = code("device.ip|cidr|expand: '%a%'", &[("a.list", "10.0.0.0/8\nnowhere")]);
    assert_eq!(found, Code::InvalidCidr);
}

#[test]
fn lists_are_read_from_the_folder_of_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let text = rule("s:\n  device.name|expand: '%names%'\ncondition: s", "scan: Quick");
    std::fs::write(folder.path().join("names.list"), "ws-17\n").unwrap();
    assert_eq!(RuleSet::load_dir(folder.path()).unwrap_err().diagnostics[0].code, Code::NoRules, "lists alone");
    std::fs::write(folder.path().join("rule.yml"), text).unwrap();
    let rules = RuleSet::load_dir(folder.path()).unwrap();
    assert!(!evaluate(&rules, &sample()).matches.is_empty());
}

#[test]
fn foreign_rules_load_where_any_field_may_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let text = rule("s:\n  EventID: 4688\n  CommandLine|contains|windash: ' -enc '\ncondition: s", "scan: Quick")
        + "simulation: []\n";
    std::fs::write(folder.path().join("rule.yml"), text).unwrap();
    assert!(RuleSet::load_dir(folder.path()).is_err());
    let rules = RuleSet::load_dir_with(folder.path(), LoadOptions { any_field: true }).unwrap();
    assert!(rules.needs_raw());
    let mut alert = sample();
    let device = alert.devices[0].clone();
    assert!(rules.evaluate(&alert, &device, now()).matches.is_empty());
    alert.raw = serde_json::json!({ "EventID": 4688, "CommandLine": "powershell /enc x" });
    assert!(!rules.evaluate(&alert, &device, now()).matches.is_empty());
}
