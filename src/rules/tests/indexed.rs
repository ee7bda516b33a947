//! The index never changes what matches: thousands of rule sets, drawn from a pool of rules of every kind, against alerts
//! made of the same few letters and words, by the index and by testing every rule.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::alert::{Alert, Device, Severity};
use crate::rules::document::Rule;
use crate::rules::engine::{Index, Scratch};
use crate::rules::facts::Facts;
use crate::rules::{RuleInfo, RuleSet};

/// Values that are alike: letters whose case is odd, parts of each other, wildcards, numbers, addresses, words.
const WORDS: [&str; 40] = [
    "a",
    "ab",
    "AB",
    "abc",
    "bca",
    "aab",
    "é",
    "É",
    "ΟΔΟΣ",
    "οδος",
    "οδοσ",
    "K",
    "\u{212a}",
    "s",
    "ſ",
    "İ",
    "ß",
    "1",
    "1.0",
    "5",
    "7.5",
    "10.1.2.3",
    "fe80::1",
    "true",
    "False",
    "none",
    "high",
    "Medium",
    "critical",
    "emotet",
    "Emotet!rfn",
    "Trojan:Win32/Emotet",
    "powershell -enc",
    "x-ab-y",
    "no-scan",
    "T1059",
    "a*b",
    "a?b",
    "",
    " ",
];
const TEXT_FIELDS: [&str; 14] = [
    "title",
    "description",
    "category",
    "status",
    "source",
    "threat.name",
    "mitre.technique",
    "user.name",
    "file.path",
    "device.name",
    "device.tags",
    "device.os",
    "labels.a",
    "raw.list.name",
];
const EXPRESSIONS: [&str; 12] = [
    "ab+c?",
    "^A",
    "(?i)emotet",
    "emotet|trojan",
    "spot|ſ",
    "[kK]",
    "a.b",
    "(ab){2,}",
    "^(no|x)-(scan|ab)",
    "(?i)k",
    "[aA][bB]",
    "b$",
];
const CONDITIONS: [&str; 12] = [
    "a",
    "not a",
    "a and b",
    "a or b",
    "a and not b",
    "not (a or b)",
    "1 of them",
    "all of them",
    "2 of them",
    "not not a",
    "(a or b) and not c",
    "(a and b) or (b and c) or not (not a)",
];

fn word(random: &mut StdRng) -> String {
    let one = |random: &mut StdRng| (*WORDS.choose(random).unwrap_or(&"a")).to_owned();
    if random.random_bool(0.3) { one(random) + &one(random) } else { one(random) }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn list(random: &mut StdRng, least: usize, mut one: impl FnMut(&mut StdRng) -> String) -> String {
    let values: Vec<String> = (0..random.random_range(least..least + 3)).map(|_| one(random)).collect();
    if values.len() == 1 { values.concat() } else { format!("[{}]", values.join(", ")) }
}

/// One line of a selection.
fn line(random: &mut StdRng) -> String {
    let field = *TEXT_FIELDS.choose(random).unwrap_or(&"title");
    match random.random_range(0..20) {
        0..10 => {
            let operator = *["", "|contains", "|startswith", "|endswith"].choose(random).unwrap_or(&"");
            let cased = if random.random_bool(0.2) { "|cased" } else { "" };
            let negated = if random.random_bool(0.15) { "|neq" } else { "" };
            let all = random.random_bool(0.2);
            let values = list(random, if all { 2 } else { 1 }, |random| match word(random) {
                text if text.is_empty() && !operator.is_empty() => quoted("a"),
                text if random.random_bool(0.15) => quoted(&format!("{text}*{}", word(random))),
                text => quoted(&text),
            });
            format!("{field}{operator}{cased}{}{negated}: {values}", if all { "|all" } else { "" })
        }
        10..13 => {
            let flags = if random.random_bool(0.5) { "|i" } else { "" };
            let negated = if random.random_bool(0.15) { "|neq" } else { "" };
            let values = list(random, 1, |random| quoted(EXPRESSIONS.choose(random).unwrap_or(&"a")));
            format!("{field}|re{flags}{negated}: {values}")
        }
        13 => {
            let order = *["gt", "gte", "lt", "lte"].choose(random).unwrap_or(&"gt");
            let severity = *["unspecified", "low", "high", "critical"].choose(random).unwrap_or(&"low");
            format!("{}|{order}: {severity}", if random.random_bool(0.5) { "severity" } else { "device.risk" })
        }
        14 => format!(
            "severity: {}",
            list(random, 1, |random| {
                (*["low", "Medium", "HIGH", "informational"].choose(random).unwrap_or(&"low")).to_owned()
            })
        ),
        15 => format!("labels.a|gte: {}", ["1", "5", "7.5"].choose(random).unwrap_or(&"1")),
        16 => format!(
            "{field}: {}",
            ["1", "5", "7.5", "true", "false", "null", "[null, 'ab']"].choose(random).unwrap_or(&"1")
        ),
        17 => format!("{field}|exists: {}", random.random_bool(0.5)),
        18 => format!(
            "device.ip|cidr: {}",
            list(random, 1, |random| {
                (*["10.0.0.0/8", "10.1.2.3/32", "fe80::/10", "0.0.0.0/0"].choose(random).unwrap_or(&"0.0.0.0/0"))
                    .to_owned()
            })
        ),
        _ => format!("{field}: '*'"),
    }
}

fn rule(random: &mut StdRng, number: usize) -> String {
    let mut text =
        format!("title: t\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{ category: alert }}\ndetection:\n");
    for name in ["a", "b", "c"] {
        text += &format!("  {name}:\n");
        for _ in 0..random.random_range(1..3) {
            let mut lines: Vec<String> = (0..random.random_range(1..3)).map(|_| line(random)).collect();
            // A map has each key once.
            lines.sort();
            lines.dedup_by(|one, other| one.split(": ").next() == other.split(": ").next());
            text += &format!("    - {}\n", lines.join("\n      "));
        }
    }
    let condition = CONDITIONS.choose(random).unwrap_or(&"a");
    text + &format!("  condition: {condition}\nresponse: {{ scan: Quick }}\n")
}

fn alert(random: &mut StdRng) -> Alert {
    let text = |random: &mut StdRng| random.random_bool(0.7).then(|| word(random));
    let words = |random: &mut StdRng| (0..random.random_range(0..3)).map(|_| word(random)).collect::<Vec<_>>();
    let mut alert = Alert {
        id: word(random),
        title: text(random),
        description: text(random),
        severity: *Severity::ALL.choose(random).unwrap_or(&Severity::Low),
        category: text(random),
        status: text(random),
        source: text(random),
        ..Alert::default()
    };
    alert.threat.name = text(random);
    alert.mitre.technique = words(random);
    alert.user.name = text(random);
    alert.file.path = text(random);
    alert.labels.extend(text(random).map(|text| ("a".to_owned(), text)));
    let names: Vec<_> = words(random).into_iter().map(|name| json!({ "name": name })).collect();
    alert.raw = match random.random_range(0..4) {
        0 => json!(null),
        1 => json!({ "list": { "name": random.random_range(0..8) } }),
        2 => json!({ "list": [{ "name": [] }, { "name": true }] }),
        _ => json!({ "list": names }),
    };
    alert.devices = vec![Device {
        name: text(random),
        os: text(random),
        tags: random.random_bool(0.7).then(|| words(random)),
        risk: text(random),
        ip: if random.random_bool(0.5) { vec!["10.1.2.3".to_owned(), word(random)] } else { Vec::new() },
        ..Device::default()
    }];
    alert
}

/// What the index leaves, tested in full, and what testing every rule says.
fn both(rules: &[Rule], set: &RuleSet, index: &Index, scratch: &mut Scratch, alert: &Alert) -> (Vec<u32>, Vec<u32>) {
    let device = &alert.devices[0];
    scratch.begin(set.fields.len());
    index.find(&set.fields, alert, device, scratch);
    scratch.keep_matching(
        |facts| facts.read_all(&set.fields, alert, device),
        |_| true,
        |at, facts| rules[at as usize].holds(facts),
    );
    let facts = Facts::gather(&set.fields, alert, device);
    let linear = (0_u32..).zip(rules).filter(|(_, rule)| rule.holds(&facts)).map(|(at, _)| at).collect();
    (scratch.matched.clone(), linear)
}

#[test]
fn the_index_finds_what_testing_every_rule_finds() {
    let mut random = StdRng::seed_from_u64(17);
    let texts: Vec<String> = (0..400).map(|number| rule(&mut random, number)).collect();
    let pool = RuleSet::from_sources(
        texts.chunks(50).enumerate().map(|(at, chunk)| (format!("{at}.yml"), chunk.join("---\n"))),
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let sets = 2_000;
    let (mut scratch, mut compared, mut matched, mut tested) = (Scratch::default(), 0, 0, 0);
    for set in 0..sets {
        // A few rules often, so that every way of building an index is met, and all of them sometimes.
        let count = if set % 200 == 0 { pool.rules.len() } else { random.random_range(1..40) };
        let mut chosen: Vec<Rule> = pool.rules.sample(&mut random, count).cloned().collect();
        // Rules that share all their keys are broad.
        for _ in 0..random.random_range(0..3) * 8 {
            chosen.extend_from_within(..count.min(3));
        }
        let index = Index::build(&chosen, &pool.fields);
        for _ in 0..4 {
            let alert = alert(&mut random);
            let (indexed, linear) = both(&chosen, &pool, &index, &mut scratch, &alert);
            assert_eq!(
                indexed,
                linear,
                "{alert:#?}\n{:#?}",
                linear.iter().filter(|at| !indexed.contains(at)).map(|at| &chosen[*at as usize]).collect::<Vec<_>>()
            );
            compared += chosen.len();
            matched += linear.len();
            tested += scratch.candidate_count();
        }
    }
    println!("{sets} rule sets, {compared} pairs of rule and alert: {matched} match, {tested} were tested");
    assert!(matched * 50 > compared, "most rules never match: the comparison says little");
    assert!(tested * 4 < compared * 3, "the index prunes next to nothing: {tested} of {compared}");
}

#[test]
fn the_public_ways_to_ask_agree() {
    let mut random = StdRng::seed_from_u64(23);
    let texts: Vec<String> = (0..120).map(|number| rule(&mut random, number)).collect();
    let set = RuleSet::from_sources([("a.yml", texts.join("---\n"))]).unwrap_or_else(|errors| panic!("{errors}"));
    let mut scratch = Scratch::default();
    for _ in 0..300 {
        let alert = alert(&mut random);
        let device = &alert.devices[0];
        let ids = |found: Vec<&RuleInfo>| found.into_iter().map(|info| info.id.clone()).collect::<Vec<_>>();
        let linear = ids(set.matching_linear(&alert, device, super::now()).collect());
        assert_eq!(ids(set.matching(&mut scratch, &alert, device, super::now()).collect()), linear);
        let evaluation = set.evaluate(&alert, device, super::now());
        assert_eq!(evaluation.matches.iter().map(|each| each.rule_id.clone()).collect::<Vec<_>>(), linear);
        assert_eq!(evaluation, set.evaluate_with(&mut scratch, &alert, device, super::now()));
        assert_eq!(evaluation, set.explain(&alert, device, super::now()).evaluation);
    }
}
