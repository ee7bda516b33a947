//! Rules that do nothing: what is warned of is certain.

use proptest::prelude::*;

use super::{load, now, rule};
use crate::alert::{Alert, Device, Severity};
use crate::rules::{Diagnostic, DiagnosticCode as Code, RuleSet};

fn found(detection: &str) -> Vec<(Code, u32)> {
    let rules = load(&rule(detection, "scan: Quick"));
    rules.warnings().iter().map(|finding| (finding.code, finding.line)).collect()
}

#[test]
fn a_rule_that_contradicts_itself_is_found() {
    for detection in [
        "s:\n  category: a\nt:\n  category: b\ncondition: s and t",
        "s:\n  category: [a, b]\nt:\n  category: [c, d]\ncondition: all of them",
        "s:\n  category: a\ncondition: s and not s",
        "s:\n  category: a\nt:\n  category: [A, b]\ncondition: s and not t",
        "s:\n  severity: low\nt:\n  severity|gte: high\ncondition: s and t",
        "s:\n  severity|gt: high\nt:\n  severity|lt: critical\ncondition: s and t",
        "s:\n  severity|exists: false\ncondition: s",
        "s:\n  category: null\nt:\n  category|contains: x\ncondition: s and t",
        "s:\n  device.tags: null\nt:\n  device.tags: vip\ncondition: s and t",
        "s:\n  device.name: dc-01\nt:\n  device.name|startswith: dc-\ncondition: s and not t",
        "s:\n  device.tags: vip\nt:\n  device.tags|contains: [vip, x]\ncondition: s and not t",
        "s:\n  category: a\n  category|neq: [A, b]\ncondition: s",
        "s:\n  category|cased: Abc\nt:\n  category|re: '^abc$'\ncondition: s and t",
        "s:\n  user.name: a\nt:\n  user.name: b\nu:\n  user.name: c\ncondition: 2 of them",
        "s:\n  - category: a\n    title: x\n  - category: b\n    title: x\nt:\n  category: c\ncondition: s and t",
        "s:\n  labels.team: a\nt:\n  labels.team: 5\ncondition: s and t",
    ] {
        assert!(found(detection).iter().any(|(code, _)| *code == Code::NeverMatches), "{detection}");
    }
    assert_eq!(found("s:\n  severity: low\n  severity|gte: high\ncondition: s"), [(Code::NeverMatches, 8)]);
}

#[test]
fn what_an_alert_could_match_is_left_alone() {
    for detection in [
        "s:\n  category: a\nt:\n  category: b\ncondition: s or t",
        "s:\n  device.tags: a\nt:\n  device.tags: b\ncondition: s and t",
        "s:\n  raw.x: a\nt:\n  raw.x: b\ncondition: s and t",
        "s:\n  category: abc\nt:\n  category|cased: ABC\ncondition: s and t",
        "s:\n  category: abc\nt:\n  category|re: ABC\ncondition: s and t",
        "s:\n  category: '5'\nt:\n  category: 5\ncondition: s and t",
        "s:\n  category: 5\nt:\n  category: '5'\ncondition: s and not t",
        "s:\n  severity|gte: medium\nt:\n  severity|lt: critical\ncondition: s and t",
        "s:\n  device.name|startswith: dc-\nt:\n  device.name: dc-01\ncondition: s and not t",
        "s:\n  category|neq: a\nt:\n  category: a\ncondition: s or t",
        "s:\n  category: a\nt:\n  category: b\nu:\n  title: c\ncondition: 2 of them",
        "s:\n  device.tags: null\nt:\n  device.tags: vip\ncondition: not s and not t",
    ] {
        assert_eq!(found(detection), [], "{detection}");
    }
}

#[test]
fn a_selection_that_nothing_matches_is_found_where_it_stands() {
    let text = "s:\n  category: a\nnever:\n  category: a\n  category|contains: b\ncondition: s and not never";
    assert_eq!(found(text), [(Code::NeverMatches, 7)]);
}

#[test]
fn what_is_found_stands_in_its_own_rule() {
    let flow = "{ s: { severity: low, severity|gte: high }, t: { category: a, category|neq: a }, condition: s or t }";
    let document = |id: u8, detection: &str| {
        format!(
            "title: t{id}\nid: 00000000-0000-4000-8000-00000000000{id}\nlogsource: {{ category: alert }}\ndetection: {detection}\n---\n"
        )
    };
    let text = document(1, flow)
        + &document(2, "\n  s:\n    category: a\n  condition: s")
        + &document(3, "{ s: { category: a }, u: { category: a, category|neq: a }, condition: s or u }");
    let rules = RuleSet::from_sources([("a.yml", text)]).unwrap();
    let found: Vec<_> = rules.warnings().iter().map(|finding| (finding.code, finding.line, finding.column)).collect();
    assert_eq!(found, [(Code::NeverMatches, 4, 93), (Code::NeverMatches, 17, 34)]);
}

fn two(one: (&str, &str), other: (&str, &str)) -> Vec<Diagnostic> {
    let document = |number: u8, (detection, response): (&str, &str)| {
        let id = format!("00000000-0000-4000-8000-00000000000{number}");
        let text = rule(detection, response).replace("00000000-0000-4000-8000-000000000001", &id);
        format!("---\n{}", text.replace("title: t", &format!("title: rule {number}")))
    };
    let intervals = "time_intervals: { nights: { zone: UTC, times: ['22:00-06:00'] }, days: { zone: UTC } }";
    let text = document(1, one) + &document(2, other);
    let rules = RuleSet::from_sources([("rules.yml", text.as_str()), ("defaults.yaml", intervals)]).unwrap();
    rules.warnings().iter().filter(|finding| finding.code == Code::ShadowedRule).cloned().collect()
}

#[test]
fn a_rule_within_a_stronger_one_is_found() {
    let wide = "s:\n  category: [malware, other]\ncondition: s";
    for narrow in [
        "s:\n  category: malware\ncondition: s",
        "a:\n  category: [OTHER, malware]\ncondition: a",
        "s:\n  category: malware\n  severity|gte: high\ncondition: s",
        "s:\n  category: malware\nt:\n  device.name: x\ncondition: s and not t",
        "s:\n  - category: malware\n    title: x\n  - category: other\ncondition: s",
    ] {
        let warnings = two((wide, "scan: Quick, priority: 60"), (narrow, "scan: Quick"));
        assert_eq!(warnings.len(), 1, "{narrow}");
        assert!(warnings[0].message.contains("the rule \"rule 1\" (rules.yml:2) matches too"), "{}", warnings[0]);
    }
    let except =
        |values: &str| format!("s:\n  category: malware\nt:\n  device.group: [{values}]\ncondition: s and not t");
    assert_eq!(two((&except("a"), "scan: Full, priority: 51"), (&except("a, b"), "scan: Quick")).len(), 1);
    assert_eq!(two((&except("a, b"), "scan: Full, priority: 51"), (&except("a"), "scan: Quick")).len(), 0);
    let all = |values: &str| format!("s:\n  title|contains|all: [{values}]\ncondition: s");
    assert_eq!(two((&all("a, b"), "scan: Full, priority: 51"), (&all("c, b, a"), "scan: Quick")).len(), 1);
    assert_eq!(two((&all("c, b, a"), "scan: Full, priority: 51"), (&all("a, b"), "scan: Quick")).len(), 0);
    // The same twice: the one that loses the tie.
    let twice = two((wide, "scan: Quick"), (wide, "scan: Quick"));
    assert_eq!((twice.len(), twice[0].line), (1, 12));
}

#[test]
fn a_rule_that_adds_something_is_left_alone() {
    let wide = "s:\n  category: [malware, other]\ncondition: s";
    let narrow = "s:\n  category: malware\ncondition: s";
    let strong = "scan: Quick, priority: 60";
    for (stronger, weaker) in [
        (strong, "scan: Full"),
        (strong, "scan: Quick, priority: 61"),
        (strong, "scan: Quick, cooldown: 7h"),
        (strong, "scan: Quick, cooldown: { first: 6h, longest: 7d }"),
        (strong, "scan: Quick, max_alert_age: 1h"),
        (strong, "scan: Quick, merge_window: 1s"),
        (strong, "scan: Quick, mode: shadow"),
        (strong, "scan: Quick, escalate: { to: Full, after: 1, within: 1d }"),
        ("scan: Quick, priority: 60, limit: { devices: 1, per: 1h }", "scan: Quick"),
        ("scan: Quick, priority: 60, expires: 2027-01-01", "scan: Quick"),
        ("scan: Quick, priority: 60, active: nights", "scan: Quick, active: days"),
    ] {
        assert!(two((wide, stronger), (narrow, weaker)).is_empty(), "{stronger} / {weaker}");
    }
    for other in [
        "s:\n  category: [malware, third]\ncondition: s",
        "s:\n  category|contains: malware\ncondition: s",
        "s:\n  title: malware\ncondition: s",
        "s:\n  category|neq: malware\ncondition: s",
        "s:\n  category: malware\ncondition: not s",
    ] {
        assert!(two((wide, strong), (other, "scan: Quick")).is_empty(), "{other}");
    }
}

#[test]
fn a_rule_without_rest_and_one_whose_day_has_passed_are_found() {
    let text = rule("s:\n  category: a\ncondition: s", "scan: Quick, cooldown: 0s, expires: 2026-04-30");
    let rules = load(&text);
    let codes = |time: &str| {
        rules.warnings_at(time.parse().unwrap()).iter().map(|finding| (finding.code, finding.line)).collect::<Vec<_>>()
    };
    assert_eq!(codes("2026-04-30T23:59:59Z"), [(Code::NoCooldown, 8)]);
    assert_eq!(codes("2026-05-01T00:00:00Z"), [(Code::NoCooldown, 8), (Code::ExpiredRule, 8)]);
}

#[test]
fn a_covered_rule_is_found_among_many() {
    let document = |number: usize| {
        rule(&format!("s:\n  category: malware\n  device.name: ws-{number}\ncondition: s"), "scan: Quick")
            .replace("00000000-0000-4000-8000-000000000001", &format!("00000000-0000-4000-8000-0000000{number:05}"))
            .replace("title: t", &format!("title: rule {number}"))
    };
    let last = rule("s:\n  category: malware\n  device.name: ws-1\ncondition: s", "scan: Full, priority: 99");
    let texts: Vec<_> = (0..1000).map(|number| (format!("{number}.yml"), document(number + 10))).collect();
    let all = texts.into_iter().chain([
        ("x.yml".to_owned(), document(1).replace("ws-1", "ws-500")),
        (
            "y.yml".to_owned(),
            last.replace("ws-1", "ws-500").replace("0001\n", "9999\n").replace("title: t", "title: last"),
        ),
    ]);
    let rules = RuleSet::from_sources(all).unwrap();
    let shadowed = rules.warnings().iter().filter(|finding| finding.code == Code::ShadowedRule).count();
    assert_eq!(shadowed, 2, "two rules ask for ws-500, and one asks for more");
}

const TESTS: [&str; 12] = [
    "category: a",
    "category: [a, b]",
    "category|cased: A",
    "category|re: 'a|b'",
    "category: null",
    "category|neq: a",
    "category|startswith: a",
    "severity|gte: high",
    "severity: [low, high]",
    "device.tags: a",
    "device.tags|contains|all: [a, b]",
    "device.tags|exists: true",
];

fn alerts() -> Vec<Alert> {
    let categories = [None, Some("a"), Some("A"), Some("b"), Some("ab"), Some("c")];
    let tags: [Option<&[&str]>; 5] = [None, Some(&[]), Some(&["a"]), Some(&["a", "b"]), Some(&["b"])];
    let mut alerts = Vec::new();
    for category in categories {
        for severity in [Severity::Low, Severity::Medium, Severity::High, Severity::Critical] {
            for tags in tags {
                let tags = tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect());
                alerts.push(Alert {
                    id: "1".to_owned(),
                    category: category.map(str::to_owned),
                    severity,
                    devices: vec![Device { tags, ..Device::default() }],
                    ..Alert::default()
                });
            }
        }
    }
    alerts
}

fn detection() -> impl Strategy<Value = String> {
    let line = prop::sample::select(TESTS.to_vec());
    let map = prop::collection::btree_map(0..3_u8, line, 1..3);
    let selection = prop::collection::vec(map, 1..3);
    let conditions = [
        "s0 and s1",
        "s0 and not s1",
        "s0 or s1 and not s2",
        "2 of them",
        "not 2 of them",
        "all of them",
        "not s0 and not s1",
        "1 of s*",
    ];
    (prop::collection::vec(selection, 3), prop::sample::select(conditions.to_vec())).prop_map(
        |(selections, condition)| {
            let mut text = String::new();
            for (number, maps) in selections.iter().enumerate() {
                text += &format!("s{number}:\n");
                for map in maps {
                    let mut keys = std::collections::BTreeSet::new();
                    let lines = map.values().filter(|line| keys.insert(line.split(':').next()));
                    let lines: Vec<_> = lines.copied().collect();
                    text += &format!("  - {}\n", lines.join("\n    "));
                }
            }
            text + &format!("condition: {condition}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No alert of a crowd matches what is said to match nothing, or escapes the rule that is said to cover.
    #[test]
    fn what_is_warned_of_is_true(one in detection(), other in detection()) {
        let document = |number: u8, detection: &str, response: &str| {
            rule(detection, response)
                .replace("0001\n", &format!("000{number}\n"))
                .replace("title: t", &format!("title: rule {number}"))
        };
        let text = format!("{}---\n{}", document(1, &one, "scan: Quick"), document(2, &other, "scan: Full, priority: 99"));
        let rules = load(&text);
        // The second document comes with its own title, and a finding stands in one of the two.
        let second = text.split("---").next().map_or(0, |first| first.matches('\n').count() + 1);
        let warned = |code, part: &str, number: u8| rules.warnings().iter().any(|finding| {
            finding.code == code
                && finding.message.contains(part)
                && (finding.line as usize > second) == (number == 2)
        });
        let never = [1, 2].map(|number| warned(Code::NeverMatches, "match this rule", number));
        let shadowed = warned(Code::ShadowedRule, "changes nothing", 1);
        for alert in alerts() {
            let answer = rules.evaluate(&alert, &alert.devices[0], now());
            let matched = ["0001", "0002"].map(|end| answer.matches.iter().any(|each| each.rule_id.ends_with(end)));
            for number in 0..2 {
                prop_assert!(!(never[number] && matched[number]), "{text}\n{alert:?}");
            }
            prop_assert!(!(shadowed && matched[0] && !matched[1]), "{text}\n{alert:?}");
        }
    }
}
