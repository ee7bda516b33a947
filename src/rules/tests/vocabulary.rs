//! Rules of every kind of test and alerts, made of the same few words that are alike, from a seed.

use jiff::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::json;

use crate::alert::{Alert, Device, Severity};

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
fn line(random: &mut StdRng, ours: bool) -> String {
    let field = *TEXT_FIELDS.choose(random).unwrap_or(&"title");
    match random.random_range(0..if ours { 27 } else { 20 }) {
        20.. => only_ours(random, field),
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
        13 if ours => {
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

/// One line with what Sigma has beyond plain comparisons.
fn only_ours(random: &mut StdRng, field: &str) -> String {
    let mut pick = |words: &[&'static str]| *words.choose(random).unwrap_or(&"");
    let anchor = pick(&["", "|contains", "|startswith", "|endswith"]);
    let cased = pick(&["", "|cased"]);
    let other = pick(&TEXT_FIELDS);
    let order = pick(&["", "|gt", "|gte", "|lt", "|lte"]);
    let negated = pick(&["", "", "|neq"]);
    match random.random_range(0..6) {
        0 | 1 => format!("{field}|fieldref{anchor}{cased}{negated}: {other}"),
        2 => format!("created_at|hour{order}: {}", random.random_range(0..24)),
        3 => format!("created_at|minute{order}: {}", random.random_range(0..60)),
        4 => format!(
            "{field}|windash{anchor}{cased}: {}",
            list(random, 1, |random| quoted(&format!("-{}", word(random))))
        ),
        _ => {
            let encoding = *["base64", "base64offset", "wide|base64offset"].choose(random).unwrap_or(&"base64");
            format!(
                "{field}|{encoding}|contains: {}",
                list(random, 1, |random| quoted(&format!("abc{}", word(random).replace(['*', '?'], ""))))
            )
        }
    }
}

/// A filter of some rules, with one selection.
pub(super) fn filter(random: &mut StdRng, number: usize, rules: &str) -> String {
    let line = line(random, true);
    format!(
        "title: f\nid: 00000000-0000-4000-8001-{number:012}\nlogsource: {{ category: alert }}\nfilter:\n  rules: {rules}\n  \
         a:\n    {line}\n  condition: not a\n"
    )
}

/// A rule with three selections. `ours`: also with what only we understand, which is the order of severities.
pub(super) fn rule(random: &mut StdRng, number: usize, ours: bool) -> String {
    let mut text =
        format!("title: t\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{ category: alert }}\ndetection:\n");
    for name in ["a", "b", "c"] {
        text += &format!("  {name}:\n");
        if ours && random.random_bool(0.1) {
            text += &format!("    - {}\n    - {}\n", quoted(&format!("a{}", word(random))), quoted("Emotet"));
            continue;
        }
        for _ in 0..random.random_range(1..3) {
            let mut lines: Vec<String> = (0..random.random_range(1..3)).map(|_| line(random, ours)).collect();
            // A map has each key once.
            lines.sort();
            lines.dedup_by(|one, other| one.split(": ").next() == other.split(": ").next());
            text += &format!("    - {}\n", lines.join("\n      "));
        }
    }
    let condition = CONDITIONS.choose(random).unwrap_or(&"a");
    text + &format!("  condition: {condition}\nresponse: {{ scan: Quick }}\n")
}

/// An alert of such words.
pub(super) fn alert(random: &mut StdRng) -> Alert {
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
    // Drawn from the words, so that what else is drawn stays what it is.
    let hours = alert.title.as_ref().map_or(7, |title| 7 * title.len());
    alert.created_at =
        i64::try_from(hours).ok().and_then(|hours| Timestamp::from_second(1_777_000_000 + 3_661 * hours).ok());
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
