//! How several matches become one decision, and what comments say.

use std::time::Duration;

use super::{evaluate, load, now, sample};
use crate::rules::{Decision, Mode, RuleSet, ScanDecision, ScanType};

fn document(number: u8, level: &str, response: &str) -> String {
    format!(
        "---\ntitle: rule {number}\nid: 00000000-0000-4000-8000-00000000000{number}\nlogsource: {{ category: alert }}\n\
         detection:\n  s:\n    category: malware\n  condition: s\nlevel: {level}\nresponse: {response}\n"
    )
}

fn scan(text: &str) -> ScanDecision {
    match evaluate(&load(text), &sample()).decision {
        Decision::Scan(scan) => scan,
        other => panic!("{other:?}"),
    }
}

fn id(number: u8) -> String {
    format!("00000000-0000-4000-8000-00000000000{number}")
}

#[test]
fn defaults_come_from_the_level_and_the_design() {
    for (level, priority) in [("informational", 10), ("low", 30), ("medium", 50), ("high", 70), ("critical", 90)] {
        let decision = scan(&document(1, level, "{ scan: Quick }"));
        assert_eq!(decision.priority, priority, "{level}");
        assert_eq!(decision.cooldown, Duration::from_hours(6));
        assert_eq!(decision.max_alert_age, Duration::from_hours(24));
        assert_eq!(decision.mode, Mode::Live);
        assert_eq!(decision.comment, "Check machine for viruses due to alert 3212");
        assert!(decision.limits.is_empty());
    }
}

#[test]
fn live_matches_shape_the_response_together() {
    let text = document(1, "low", "{ scan: Full, comment: one, cooldown: 1h, max_alert_age: 10h }")
        + &document(3, "high", "{ scan: Quick, comment: three, cooldown: 2h, limit: { devices: 5, per: 1h } }")
        + &document(2, "high", "{ scan: Quick, comment: two, cooldown: 30m, max_alert_age: 2d }")
        + &document(4, "critical", "{ scan: Full, comment: four, cooldown: 9h, max_alert_age: 1h, mode: shadow }");
    let decision = scan(&text);
    assert_eq!(decision.scan_type, ScanType::Full);
    assert_eq!((decision.priority, decision.comment.as_str()), (70, "two"), "a tie goes to the lower id");
    assert_eq!(decision.cooldown, Duration::from_hours(2));
    assert_eq!(decision.max_alert_age, Duration::from_hours(10));
    assert_eq!(decision.mode, Mode::Live);
    assert_eq!(decision.rule_ids, [id(2), id(1), id(3), id(4)], "the winner first, then by id");
    assert_eq!(decision.limits.len(), 1);
    assert_eq!((decision.limits[0].rule_id.clone(), decision.limits[0].per_seconds), (id(3), 3600));
    let asks: Vec<_> =
        decision.terms.asks.iter().map(|ask| (ask.rule_id.clone(), ask.scan_type, ask.priority)).collect();
    let each = [(id(1), ScanType::Full, 30), (id(2), ScanType::Quick, 70), (id(3), ScanType::Quick, 70)];
    assert_eq!(asks, each, "one in shadow asks for nothing");
    let all = evaluate(&load(&text), &sample()).matches;
    assert_eq!(
        all.iter().map(|each| each.mode).collect::<Vec<_>>(),
        [Mode::Live, Mode::Live, Mode::Live, Mode::Shadow]
    );
}

#[test]
fn shadow_matches_alone_shape_a_shadow_decision() {
    let text =
        document(1, "low", "{ scan: Full, mode: shadow }") + &document(2, "high", "{ scan: Quick, mode: shadow }");
    let decision = scan(&text);
    assert_eq!((decision.mode, decision.scan_type, decision.priority), (Mode::Shadow, ScanType::Full, 70));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let (one, two) =
        (document(1, "high", "{ scan: Quick, comment: one }"), document(2, "high", "{ scan: Full, comment: two }"));
    let forward = RuleSet::from_sources([("a.yml", &one), ("b.yml", &two)]).unwrap();
    let backward = RuleSet::from_sources([("b.yml", &two), ("a.yml", &one)]).unwrap();
    assert_eq!(evaluate(&forward, &sample()), evaluate(&backward, &sample()));
    assert_eq!(forward.hash(), backward.hash());
    let other = RuleSet::from_sources([("a.yml", &one)]).unwrap();
    assert_ne!(forward.hash(), other.hash());
    assert_eq!(forward.hash().len(), 16);
}

#[test]
fn a_document_without_response_never_asks_for_a_scan() {
    let text = document(1, "high", "{ scan: Quick }").replace("response: { scan: Quick }\n", "");
    let answer = evaluate(&load(&text), &sample());
    assert_eq!(answer.decision, Decision::NoRule);
    assert!(answer.matches.is_empty());
}

#[test]
fn a_rule_matches_until_the_end_of_its_last_day() {
    let rules = load(&document(1, "high", "{ scan: Quick, expires: 2026-05-01 }"));
    let device = crate::alert::Device::default();
    let at = |time: &str| !rules.evaluate(&sample(), &device, time.parse().unwrap()).matches.is_empty();
    assert!(at("2026-05-01T23:59:59Z"));
    assert!(!at("2026-05-02T00:00:00Z"));
    assert!(rules.explain(&sample(), &device, "2026-06-01T00:00:00Z".parse().unwrap()).rules[0].expired.is_some());
}

#[test]
fn comments_are_one_safe_line() {
    let mut alert = sample();
    alert.title = Some("  a\n\tb\u{1b}[31m\u{202e}c\u{0}  ".to_owned());
    let comment = |template: &str, alert: &crate::alert::Alert| {
        let rules = load(&document(1, "high", &format!("{{ scan: Quick, comment: \"{template}\" }}")));
        match evaluate(&rules, alert).decision {
            Decision::Scan(scan) => scan.comment,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(comment(" {{ alert.title }} ", &alert), "a b [31mc");
    assert_eq!(comment("{{ alert.user.name }}/{{ alert.labels.nope }}", &alert), "unknown/unknown");
    assert_eq!(comment("{{ alert.user.name | default('nobody') }}", &alert), "nobody");
    assert_eq!(comment("{% if alert.user.name %}yes{% else %}no{% endif %}", &alert), "no");
    assert_eq!(comment("{{ device.tags }} {{ rule.level }} {{ alert.labels.team }}", &alert), "Finance, vip high Blue");
    alert.title = Some("x".repeat(5000));
    let long = comment("{{ alert.title }}", &alert);
    assert_eq!(long.chars().count(), 1000);
    assert!(long.ends_with('…'));
}

#[test]
fn an_absent_value_reads_unknown_wherever_it_ends_up() {
    let bare = crate::alert::Alert { id: "7".to_owned(), category: Some("malware".to_owned()), ..Default::default() };
    for (template, expected) in [
        ("{{ device.name }}", "unknown"),
        ("{{ device.name | upper }}", "UNKNOWN"),
        ("{{ alert.labels.x | trim }}", "unknown"),
        ("{{ 'on ' ~ device.name ~ '!' }}", "on unknown!"),
        ("{{ device.tags }}", "unknown"),
        ("{{ 'with ' ~ device.tags }}", "with unknown"),
        ("{{ rule.description | upper }}", "UNKNOWN"),
        ("{{ device.name | upper | default('it') }}", "UNKNOWN"),
        ("{{ device.name | default('it') | upper }}", "IT"),
        ("{{ device.name | d('it') }}", "it"),
        ("{{ device.tags | default('no tags') }}", "no tags"),
        ("{{ device.name or 'it' }}", "it"),
        ("{{ 'yes' if device.name else 'no' }}", "no"),
        ("{{ 'none' if device.name is none else 'some' }}", "none"),
        ("{{ 'none' if device.name is not none else 'some' }}", "some"),
        ("{{ 'same' if device.name == 'unknown' else 'other' }}", "other"),
        ("{% for tag in device.tags %}{{ tag }}{% else %}no tags{% endfor %}", "no tags"),
        ("{{ device.tags | length }} {{ device.tags | join(', ') }}", "0"),
    ] {
        let rules = load(&document(1, "high", &format!("{{ scan: Quick, comment: \"{template}\" }}")));
        match super::evaluate(&rules, &bare).decision {
            Decision::Scan(scan) => assert_eq!(scan.comment, expected, "{template}"),
            other => panic!("{template}: {other:?}"),
        }
    }
}

#[test]
fn a_comment_that_renders_to_nothing_is_an_evaluation_error() {
    let mut alert = sample();
    let text = document(1, "high", "{ scan: Quick, comment: \"{{ alert.title }}\" }");
    alert.title = Some("\u{200b}\n".to_owned());
    match evaluate(&load(&text), &alert).decision {
        Decision::EvaluationError { rule_ids, detail } => {
            assert_eq!(rule_ids, [id(1)]);
            assert!(detail.contains("empty"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn getters_report_the_longest_of_the_set() {
    let text = document(1, "low", "{ scan: Full, cooldown: 3d }")
        + &document(2, "low", "{ scan: Full, max_alert_age: 2d, mode: shadow }");
    let rules = load(&text);
    assert_eq!(rules.longest_cooldown(), Duration::from_hours(72));
    assert_eq!(rules.longest_max_alert_age(), Duration::from_hours(48));
    assert_eq!(rules.rules().len(), 2);
}

#[test]
fn an_explanation_agrees_with_the_evaluation_and_says_what_was_seen() {
    let text = document(1, "high", "{ scan: Quick }").replace(
        "    category: malware\n  condition: s",
        "    category: malware\n    device.name|startswith: [dc-, ws-]\n  not_here:\n    device.group: servers\n  condition: s and not not_here",
    );
    let rules = load(&text);
    let alert = sample();
    let explanation = rules.explain(&alert, &alert.devices[0], now());
    assert_eq!(explanation.evaluation, evaluate(&rules, &alert));
    let rule = &explanation.rules[0];
    assert!(rule.matched && rule.selections[0].held && !rule.selections[1].held);
    let shown = explanation.to_string();
    for line in [
        "alert 3212, device WS-17, rule set ",
        "decision: Quick scan\n",
        "rule \"rule 1\" matches",
        "  condition: s and not not_here: holds",
        "    yes category: alert says \"Malware\"; rule wants malware",
        "    yes device.name|startswith: alert says \"WS-17\"; rule wants any of dc-, ws- (found)",
        "    no  device.group: alert says nothing; rule wants servers",
    ] {
        assert!(shown.contains(line), "{line}\n---\n{shown}");
    }
}

#[test]
fn a_rule_set_can_be_shared_between_tasks() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<RuleSet>();
}
