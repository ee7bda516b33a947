//! What the index looks at; that it never changes what matches is in `rules/tests/indexed.rs`.

use jiff::Timestamp;

use super::Scratch;
use crate::alert::{Alert, Device, Severity};
use crate::rules::RuleSet;

/// Rules with these detections, one selection each.
fn rules(detections: impl IntoIterator<Item = String>) -> RuleSet {
    let texts = detections.into_iter().enumerate().map(|(number, detection)| {
        let text = format!(
            "title: t\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{ category: alert }}\ndetection:\n  \
             wanted:\n{detection}  condition: wanted\nresponse: {{ scan: Quick }}\n"
        );
        (format!("{number:05}.yml"), text)
    });
    RuleSet::from_sources(texts).unwrap_or_else(|errors| panic!("{errors}"))
}

fn alert(title: &str, device: &str) -> Alert {
    let device = Device { name: Some(device.to_owned()), ..Device::default() };
    Alert { title: Some(title.to_owned()), severity: Severity::High, devices: vec![device], ..Alert::default() }
}

/// Rules that the index leaves, and matches.
fn counts(rules: &RuleSet, alert: &Alert) -> (usize, usize) {
    let mut scratch = Scratch::default();
    let matches = rules.matching(&mut scratch, alert, &alert.devices[0], Timestamp::UNIX_EPOCH).count();
    (scratch.candidates.len() + scratch.decided.len(), matches)
}

#[test]
fn rules_are_found_by_value_beginning_part_and_end() {
    let set = rules((0..400).map(|number| {
        let test = match number % 4 {
            0 => format!("device.name: WS-{number}"),
            1 => format!("device.name|startswith: 'AB{number}-'"),
            2 => format!("title|contains: 'part{number}x'"),
            _ => format!("title|endswith: 'END{number}'"),
        };
        format!("    severity: [medium, high]\n    {test}\n")
    }));
    assert_eq!(counts(&set, &alert("nothing", "nobody")), (0, 0));
    assert_eq!(counts(&set, &alert("nothing", "ws-8")), (1, 1));
    assert_eq!(counts(&set, &alert("nothing", "ab9-17")), (1, 1));
    assert_eq!(counts(&set, &alert("nothing", "x-ab9-17")), (0, 0));
    assert_eq!(counts(&set, &alert("a PART10X of it", "nobody")), (1, 1));
    assert_eq!(counts(&set, &alert("end11 is here", "nobody")), (0, 0));
    assert_eq!(counts(&set, &alert("here is end11", "nobody")), (1, 1));
}

#[test]
fn rules_that_share_all_keys_are_struck_out_field_by_field() {
    let set = rules((0..900).map(|number| {
        let (word, site, system) = (number % 30, number / 30 % 15, number / 450);
        format!(
            "    severity: [medium, high]\n    title|contains: 'word{word}.'\n    device.name|startswith: 's{site}-'\n    \
             device.os: Windows{system}\n"
        )
    }));
    let mut one = alert("the word7. of it", "s3-17");
    one.devices[0].os = Some("windows1".to_owned());
    assert_eq!(counts(&set, &one), (1, 1));
    one.severity = Severity::Low;
    assert_eq!(counts(&set, &one), (0, 0));
}

#[test]
fn a_rule_without_anything_to_look_up_is_always_tested() {
    let set = rules((0..100).map(|number| format!("    device.name: [null, 'a{number}']\n")));
    assert_eq!(counts(&set, &alert("t", "a5")), (100, 1));
}

#[test]
fn literals_of_expressions_prune() {
    let set = rules((0..100).map(|number| format!("    title|re|i: '^(ab|cd)-word{number}x?[0-9]+$'\n")));
    // The other is `word4`.
    assert_eq!(counts(&set, &alert("CD-WORD42x7", "a")), (2, 1));
    let long_s = rules((0..100).map(|number| format!("    title|re|i: 'spot{number}s'\n")));
    assert_eq!(counts(&long_s, &alert("\u{17f}pot42\u{17f}", "a")).1, 1);
}

#[test]
fn hostile_texts_are_looked_up_like_any_other() {
    let set = rules((1..60).map(|length| {
        format!("    title|contains: '{}'\n    device.tags|endswith: '{}b'\n", "a".repeat(length), "a".repeat(length))
    }));
    let mut scratch = Scratch::default();
    for title in ["a".repeat(200_000), "\u{130}".repeat(50_000), "\0\u{10ffff}a\u{301}".repeat(20_000), String::new()] {
        let mut hostile = alert(&title, &title);
        hostile.devices[0].tags = Some((0..5_000).map(|number| format!("{}b", "a".repeat(number % 70))).collect());
        hostile.raw = (0..200).fold(serde_json::Value::Null, |inner, _| serde_json::json!([{ "a": inner }]));
        let device = &hostile.devices[0];
        let now = Timestamp::UNIX_EPOCH;
        let linear = set.matching_linear(&hostile, device, now).count();
        assert_eq!(set.matching(&mut scratch, &hostile, device, now).count(), linear);
    }
}
