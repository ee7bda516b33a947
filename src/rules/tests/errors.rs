//! Findings: each kind with its place, its words and its help.

use super::rule;
use crate::rules::{DiagnosticCode as Code, DiagnosticLevel, RuleErrors, RuleSet};

fn errors(text: &str) -> RuleErrors {
    match RuleSet::from_sources([("rules/a.yml", text)]) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors,
    }
}

const HEAD: &str = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: { category: alert }\n";
const BODY: &str = "detection:\n  s:\n    category: malware\n  condition: s\n";

#[test]
fn a_finding_reads_like_a_compiler_error() {
    let text = format!(
        "{HEAD}detection:\n  malware:\n    devise.name|startswith: dc-\n  condition: malware and not domain_controler\n  domain_controllers:\n    device.name|startwith: dc-\n"
    );
    let shown = errors(&text).to_string();
    let expected = "\
error[unknown_field]: alerts have no field `devise.name`
 --> rules/a.yml:6:5
  |
6 |     devise.name|startswith: dc-
  |     ^^^^^^^^^^^^^^^^^^^^^^
  = help: did you mean `device.name`?

error[undefined_selection]: the condition names `domain_controler`, and no selection has that name
 --> rules/a.yml:7:30
  |
7 |   condition: malware and not domain_controler
  |                              ^^^^^^^^^^^^^^^^
  = help: did you mean `domain_controllers`?

error[unknown_modifier]: there is no modifier `startwith`
 --> rules/a.yml:9:5
  |
9 |     device.name|startwith: dc-
  |     ^^^^^^^^^^^^^^^^^^^^^
  = help: did you mean `startswith`?

the rule set is refused: 3 errors";
    assert_eq!(shown, expected);
}

/// (what follows the head, the code, the line and column, a part of message and help).
type Case = (&'static str, Code, (u32, u32), &'static str);

#[test]
fn every_kind_of_error_has_its_place_and_its_words() {
    let detection = "detection:\n  s:\n    ";
    let cases: &[Case] = &[
        ("detecton: {}\n", Code::UnknownKey, (4, 1), "did you mean `detection`"),
        ("DETECTION_s\nscan: Quick\n", Code::UnknownKey, (8, 1), "belongs below `response`"),
        ("DETECTION_s\nresponse: { scan: Quick, priorty: 3 }\n", Code::UnknownKey, (8, 26), "did you mean `priority`"),
        ("DETECTION_s\nresponse: { scan: quick }\n", Code::InvalidValue, (8, 19), "did you mean `Quick`"),
        ("DETECTION_s\nresponse: { priority: 3 }\n", Code::MissingKey, (8, 1), "which `scan`"),
        ("DETECTION_s\nresponse: { scan: Quick, priority: 101 }\n", Code::InvalidValue, (8, 36), "from 0 to 100"),
        ("DETECTION_s\nresponse: { scan: Quick, cooldown: soon }\n", Code::InvalidValue, (8, 36), "not a duration"),
        ("DETECTION_s\nresponse: { scan: Quick, mode: dry }\n", Code::InvalidValue, (8, 32), "shadow, live"),
        ("DETECTION_s\nresponse: { scan: Quick, expires: soon }\n", Code::InvalidValue, (8, 35), "2027-06-30"),
        ("DETECTION_s\nresponse: { scan: Quick, limit: { devices: 3 } }\n", Code::MissingKey, (8, 33), "`per`"),
        (
            "DETECTION_s\nresponse: { scan: Quick, limit: { devices: 3, per: 25h } }\n",
            Code::InvalidValue,
            (8, 52),
            "at most 24h",
        ),
        ("DETECTION_s\nresponse: { scan: Quick, escalate: {} }\n", Code::MissingKey, (8, 36), "`within`"),
        (
            "DETECTION_s\nresponse: { scan: Quick, escalate: { to: Full, after: 0, within: 1d } }\n",
            Code::InvalidValue,
            (8, 55),
            "from 1 to 1000",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, escalate: { to: Full, afer: 2, within: 1d } }\n",
            Code::UnknownKey,
            (8, 48),
            "did you mean `after`",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, cooldown: { first: 6h, longest: 6h } }\n",
            Code::InvalidValue,
            (8, 58),
            "could not grow",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, cooldown: { first: 6h, factor: 1, longest: 7d } }\n",
            Code::InvalidValue,
            (8, 57),
            "from 2 to 100",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, active: nights }\n",
            Code::UnknownInterval,
            (8, 34),
            "defaults.yaml, at the top",
        ),
        ("DETECTION_s\nresponse: { scan: Quick, active: [] }\n", Code::InvalidValue, (8, 34), "never be active"),
        ("DETECTION_s\nresponse: { scan: Quick, merge_window: 2y }\n", Code::InvalidValue, (8, 40), "not a duration"),
        ("DETECTION_s\nresponse: { scan: Quick, max_alert_age: 0s }\n", Code::InvalidValue, (8, 41), "at least 1s"),
        ("DETECTION_s\nactive: weekdays\n", Code::UnknownKey, (8, 1), "belongs below `response`"),
        ("DETECTION_s\ntime_intervals: {}\n", Code::UnknownKey, (8, 1), "live in defaults.yaml"),
        ("DETECTION_s\nsilences: []\n", Code::NotSupported, (8, 1), "`silences`"),
        ("DETECTION_s\naction: global\n", Code::NotSupported, (8, 1), "collections"),
        ("DETECTION_s\nrelated: [{ id: a, type: derved }]\n", Code::InvalidValue, (8, 26), "did you mean `derived`"),
        ("DETECTION_s\nrelated: [{ id: a }]\n", Code::MissingKey, (8, 11), "`type`"),
        ("DETECTION_s\nrelated: a\n", Code::InvalidValue, (8, 10), "must be a list"),
        ("DETECTION_s\nlevel: hihg\n", Code::InvalidValue, (8, 8), "did you mean `high`"),
        ("DETECTION_s\nstatus: stabel\n", Code::InvalidValue, (8, 9), "did you mean `stable`"),
        ("DETECTION_s\ntitle: again\n", Code::DuplicateKey, (8, 1), "there twice"),
        (
            "DETECTION_s\nresponse: { scan: Quick, comment: '{{ alert.titel }}' }\n",
            Code::InvalidTemplate,
            (8, 35),
            "did you mean `alert.title`",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, comment: '{{ alert.id' }\n",
            Code::InvalidTemplate,
            (8, 35),
            "not a Jinja template",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, comment: '{{ alert }}' }\n",
            Code::InvalidTemplate,
            (8, 35),
            "group of values",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, comment: '{{ alert.id | int }}' }\n",
            Code::InvalidTemplate,
            (8, 35),
            "cannot be rendered",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, comment: '{{ alert.id | nope }}' }\n",
            Code::InvalidTemplate,
            (8, 35),
            "nope",
        ),
        (
            "DETECTION_s\nresponse: { scan: Quick, comment: '{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}' }\n",
            Code::InvalidTemplate,
            (8, 35),
            "fuel",
        ),
        ("DETECTION_s\ntests: [{ name: a, alert: { id: 1, device: {} } }]\n", Code::MissingKey, (8, 9), "`expect`"),
        (
            "DETECTION_s\ntests: [{ name: a, expect: scan, alert: { id: 1, severty: low, device: {} } }]\n",
            Code::UnknownKey,
            (8, 50),
            "`severity`",
        ),
        (
            "DETECTION_s\ntests: [{ name: a, expect: maybe, alert: { id: 1, device: {} } }]\n",
            Code::InvalidValue,
            (8, 28),
            "scan, none",
        ),
        ("DETECTION_s\ntests: [{ name: a, expect: scan, alert: { id: 1 } }]\n", Code::MissingKey, (8, 41), "`device`"),
        ("detection:\n  s: {}\n  condition: s\n", Code::EmptyDetection, (5, 6), "hold for everything"),
        ("detection:\n  s:\n  condition: s\n", Code::EmptyDetection, (5, 3), "`s` is empty"),
        ("detection:\n  condition: s\n", Code::EmptyDetection, (4, 1), "no selection"),
        ("detection:\n  s: { category: a }\n", Code::MissingKey, (4, 1), "condition: s"),
        ("detection:\n  s: [word, [other]]\n  condition: s\n", Code::InvalidValue, (5, 13), "a list within a list"),
        ("detection:\n  s: [word, '']\n  condition: s\n", Code::InvalidValue, (5, 13), "hold for everything"),
        (
            "detection:\n  s: { category: a }\n  timeframe: 5m\n  condition: s\n",
            Code::NotSupported,
            (6, 3),
            "`timeframe`",
        ),
        (
            "detection:\n  s: { category: a }\n  condition: s and\n",
            Code::InvalidCondition,
            (6, 19),
            "cannot be understood",
        ),
        ("detection:\n  s: { category: a }\n  condition: s AND s\n", Code::InvalidCondition, (6, 16), "lower case"),
        (
            "detection:\n  s: { category: a }\n  condition: s | count() > 5\n",
            Code::InvalidCondition,
            (6, 16),
            "aggregations",
        ),
        ("detection:\n  s: { category: a }\n  condition: 1 of x_*\n", Code::UndefinedSelection, (6, 19), "`x_*`"),
        ("detection:\n  s: { category: a }\n  condition: 2 of them\n", Code::InvalidCondition, (6, 19), "only 1"),
        ("TESTcategory|base64|re: a", Code::InvalidModifiers, (6, 5), "`base64` changes a text, and `re`"),
        ("TESTcategory|windash|exists: true", Code::InvalidModifiers, (6, 5), "there is none here"),
        ("TESTdevice.ip|cidr|windash: 10.0.0.0/8", Code::InvalidModifiers, (6, 5), "only `expand`"),
        ("TESTcategory|wide: evil", Code::InvalidModifiers, (6, 5), "`wide|base64offset|contains`"),
        ("TESTcategory|base64|wide: evil", Code::InvalidModifiers, (6, 5), "write `wide` first"),
        ("TESTcategory|wide|utf16|base64: evil", Code::InvalidModifiers, (6, 5), "only one of `wide"),
        ("TESTcategory|base64|base64offset: evil", Code::InvalidModifiers, (6, 5), "choose one"),
        ("TESTcategory|base64offset|endswith: evil", Code::InvalidModifiers, (6, 5), "only `contains`"),
        ("TESTcategory|base64offset: e", Code::InvalidValue, (6, 28), "too short"),
        ("TESTcategory|base64: e*", Code::InvalidValue, (6, 22), "without wildcards"),
        ("TESTcategory|windash|base64: -e", Code::InvalidModifiers, (6, 5), "write the forms out"),
        ("TESTcategory|fieldref: titel", Code::UnknownField, (6, 24), "did you mean `title`"),
        ("TESTcategory|fieldref: 5", Code::InvalidValue, (6, 24), "not a number"),
        ("TESTcategory|fieldref|re: title", Code::InvalidModifiers, (6, 5), "`fieldref` compares texts"),
        ("TESTcategory|contains|fieldref: title", Code::InvalidModifiers, (6, 5), "stand after `fieldref`"),
        ("TESTcategory|fieldref|base64: title", Code::InvalidModifiers, (6, 5), "the name of a field"),
        ("TESTcategory|hour: 5", Code::InvalidModifiers, (6, 5), "holds no time"),
        ("TESTcreated_at|hour: 24", Code::InvalidValue, (6, 22), "from 0 to 23"),
        ("TESTcreated_at|hour: noon", Code::InvalidValue, (6, 22), "from 0 to 23"),
        ("TESTcreated_at|hour|day: 5", Code::InvalidModifiers, (6, 5), "only one of `minute"),
        ("TESTcreated_at|hour|contains: 5", Code::InvalidModifiers, (6, 5), "only `gt gte lt lte`"),
        ("TESTcreated_at|hour|cased: 5", Code::InvalidModifiers, (6, 5), "`cased` is about text"),
        ("TESTcategory|expand: plain", Code::InvalidValue, (6, 22), "needs a placeholder"),
        ("TESTcategory|expand: '%nobody%'", Code::UnknownList, (6, 22), "`nobody.list`"),
        ("TESTcategory|expand|all: ['%a%', '%b%']", Code::InvalidModifiers, (6, 5), "any value of its list"),
        ("TEST'|cidr': 10.0.0.0/8", Code::InvalidModifiers, (6, 5), "needs a field"),
        ("TEST'|neq': word", Code::InvalidModifiers, (6, 5), "negate in the condition"),
        ("TEST'|all': [word]", Code::InvalidModifiers, (6, 5), "two values"),
        ("TEST'|': word", Code::UnknownField, (6, 5), "no field ``"),
        ("TESTdevice.tags[any]: a", Code::NotSupported, (6, 5), "Sigma 3"),
        ("TESTraw.list[0].x: a", Code::NotSupported, (6, 5), "any of its elements"),
        ("TESTcategory|not: a", Code::UnknownModifier, (6, 5), "`neq`"),
        ("TESTcategory|contains|re: a", Code::InvalidModifiers, (6, 5), "only one of"),
        ("TESTcategory|i: a", Code::InvalidModifiers, (6, 5), "flags of `re`"),
        ("TESTcategory|contains|all: a", Code::InvalidModifiers, (6, 5), "two values"),
        ("TESTcategory|contains: ''", Code::InvalidValue, (6, 24), "hold for everything"),
        ("TESTcategory: []", Code::EmptyDetection, (6, 15), "empty list"),
        ("TESTcategory: { a: b }", Code::InvalidValue, (6, 15), "found a map"),
        ("TESTcategory|gt: a", Code::InvalidModifiers, (6, 18), "no order"),
        ("TESTseverity|gte: hi", Code::InvalidValue, (6, 19), "a severity"),
        ("TESTseverity: hihg", Code::InvalidValue, (6, 15), "did you mean `high`"),
        ("TESTincident_id|gt: many", Code::InvalidValue, (6, 21), "a number"),
        ("TESTincident_id: 99999999999999999999", Code::InvalidValue, (6, 18), "quote it"),
        ("TESTfile.sha1: [1234567890123456789012345678901234567890]", Code::InvalidValue, (6, 17), "quote it"),
        ("TESTcategory|exists: maybe", Code::InvalidValue, (6, 22), "`true` or `false`"),
        ("TESTcategory|re: 'a('", Code::InvalidRegex, (6, 18), "unclosed group"),
        (r"TESTcategory|re: '(\w{500}){500}'", Code::InvalidRegex, (6, 18), "size limit"),
        ("TESTdevice.ip|cidr: 10.0.0.1", Code::InvalidCidr, (6, 21), "10.0.0.1/32"),
        ("TESTdevice.ip|cidr: 10.0.0.0/40", Code::InvalidCidr, (6, 21), "prefix length"),
        ("TESTCommandLine: a", Code::UnknownField, (6, 5), "raw.<path>"),
        ("TESTcategory: !!int 5", Code::NotSupported, (6, 21), "tag"),
        ("TEST<<: { category: a }", Code::NotSupported, (6, 5), "merge keys"),
        ("TESTcategory: [a", Code::InvalidYaml, (7, 0), "not valid YAML"),
    ];
    let mut wrong = Vec::new();
    for (text, code, (line, column), part) in cases {
        let text = text.replace("TEST", detection).replace("DETECTION_s\n", BODY);
        let text = if text.contains("condition:") || !text.contains(detection) {
            text
        } else {
            format!("{text}\n  condition: s\n")
        };
        let found = match RuleSet::from_sources([("rules/a.yml", format!("{HEAD}{text}"))]) {
            Ok(_) => {
                wrong.push(format!("accepted:\n{text}"));
                continue;
            }
            Err(errors) => errors,
        };
        let fits = found.diagnostics.iter().any(|finding| {
            finding.code == *code
                && finding.line == *line
                && (finding.column == *column || *column == 0)
                && format!("{} {}", finding.message, finding.help.as_deref().unwrap_or_default()).contains(part)
        });
        if !fits {
            wrong.push(format!("wanted {code:?} at {line}:{column} with {part:?}, found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n=====\n"));
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    let bad = rule("s:\n  nope: a\ncondition: t", "");
    let found = RuleSet::from_sources([("b.yml", bad.as_str()), ("a.yml", "title: [")]).unwrap_err();
    let codes: Vec<_> = found.diagnostics.iter().map(|finding| (finding.file.as_str(), finding.code)).collect();
    assert_eq!(
        codes,
        [("a.yml", Code::InvalidYaml), ("b.yml", Code::UnknownField), ("b.yml", Code::UndefinedSelection)]
    );
}

#[test]
fn the_same_id_twice_is_an_error_in_the_second_file() {
    let text = rule("s:\n  category: a\ncondition: s", "");
    let found = RuleSet::from_sources([("a.yml", &text), ("b.yml", &text)]).unwrap_err();
    assert_eq!(found.diagnostics.len(), 1);
    let finding = &found.diagnostics[0];
    assert_eq!((finding.code, finding.file.as_str(), finding.line), (Code::DuplicateId, "b.yml", 2));
    assert!(finding.message.contains("a.yml:2"), "{}", finding.message);
}

#[test]
fn warnings_do_not_refuse_the_set() {
    let text = "title: t\nid: my-rule\ndetection:\n  s:\n    category: a\n  unused:\n    category: b\n  condition: s\n";
    let rules = RuleSet::from_sources([("a.yml", text)]).unwrap();
    let mut codes: Vec<_> = rules.warnings().iter().map(|finding| finding.code).collect();
    codes.sort();
    assert_eq!(codes, [Code::IdNotUuid, Code::MissingLogsource, Code::UnusedSelection]);
    assert!(rules.warnings().iter().all(|finding| finding.level == DiagnosticLevel::Warning));
}

#[test]
fn findings_are_json() {
    let found = errors(&rule("s:\n  nope: a\ncondition: s", ""));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["diagnostics"][0]["code"], "unknown_field");
    assert_eq!(json["diagnostics"][0]["line"], 6);
    assert_eq!(json["diagnostics"][0]["level"], "error");
}

#[test]
fn hostile_nesting_and_aliases_are_refused_not_followed() {
    let deep = format!("a: {}1{}", "[".repeat(5000), "]".repeat(5000));
    let bomb = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, at| {
        text + &format!("a{}: &a{} [*a{at}, *a{at}]\n", at + 1, at + 1)
    });
    let parentheses = rule(&format!("s:\n  category: a\ncondition: {}s{}", "(".repeat(2000), ")".repeat(2000)), "");
    let nots = rule(&format!("s:\n  category: a\ncondition: {}s", "not ".repeat(1000)), "");
    for text in [deep, bomb, parentheses, nots, "x: *nope".to_owned(), "a: &a [*a]".to_owned()] {
        errors(&text);
    }
}

#[test]
fn files_are_found_once_and_within_limits() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert_eq!(RuleSet::load_dir(root).unwrap_err().diagnostics[0].code, Code::NoRules);
    let text = rule("s:\n  category: a\ncondition: s", "scan: Quick");
    // A ConfigMap volume: links to files below `..data`, itself a link.
    std::fs::create_dir(root.join("..2026")).unwrap();
    std::fs::write(root.join("..2026/a.yml"), &text).unwrap();
    std::os::unix::fs::symlink("..2026", root.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yml", root.join("a.yml")).unwrap();
    std::fs::create_dir(root.join("more")).unwrap();
    std::fs::write(root.join("more/b.yaml"), text.replace("0001", "0002").replace("title: t", "title: u")).unwrap();
    std::fs::write(root.join("notes.txt"), "not a rule").unwrap();
    let rules = RuleSet::load_dir(root).unwrap();
    assert_eq!(rules.rules().len(), 2);
    assert_eq!(RuleSet::load_dir(&root.join("a.yml")).unwrap().rules().len(), 1, "one file works too");
    std::fs::write(root.join("big.yml"), "#".repeat(1024 * 1024 + 1)).unwrap();
    std::fs::write(root.join("latin.yml"), [b'a', 0xe4]).unwrap();
    let found = RuleSet::load_dir(root).unwrap_err();
    let mut codes: Vec<_> = found.diagnostics.iter().map(|finding| finding.code).collect();
    codes.sort();
    assert_eq!(codes, [Code::UnreadableFile, Code::FileTooLarge]);
    assert_eq!(RuleSet::load_dir(&root.join("absent")).unwrap_err().diagnostics[0].code, Code::UnreadableFile);
}

#[test]
fn hostile_sets_end_soon() {
    let names = |count: usize, start: usize| {
        (start..start + count).map(|at| format!("nobody-has-this-name-{at:08}")).collect::<Vec<_>>().join(", ")
    };
    // Thousands of names that lead nowhere, among thousands of rules.
    let many: String = (0..3000)
        .map(|at| rule("s:\n  category: a\ncondition: s", "").replace("-000000000001", &format!("-{at:012}")) + "---\n")
        .collect();
    let filters: String = (0..20)
        .map(|at| {
            let rules = names(900, at * 1000);
            format!("title: f{at}\nfilter: {{ rules: [{rules}], s: {{ category: a }}, condition: not s }}\n---\n")
        })
        .collect();
    let found = RuleSet::from_sources([("a.yml", &many), ("b.yml", &filters)]).unwrap_err();
    assert!(found.diagnostics.iter().any(|finding| finding.code == Code::UnknownRule), "{found}");
    // Many keys that mean nothing.
    let keys: String = (0..20_000).map(|at| format!("k{at}: 1\n")).collect();
    let found = errors(&(keys + HEAD + BODY));
    assert_eq!(found.diagnostics.len(), 501);
    // Values that would become a great many expressions.
    let expand = rule("s:\n  title|expand: '%a%x%a%'\ncondition: s", "");
    let list = (0..200).map(|at| format!("a*{at}\n")).collect::<String>();
    let found = RuleSet::from_sources([("a.yml", &expand), ("a.list", &list)]).unwrap_err();
    assert_eq!(found.diagnostics[0].code, Code::InvalidList);
}

#[test]
fn warnings_beyond_the_limit_never_hide_an_error() {
    let warned = |at: u32| format!("title: t{at}\ndetection:\n  s:\n    category: a\n  condition: s\n---\n");
    let broken = rule("s:\n  nope: a\ncondition: s", "");
    let text: String = (0..600).map(warned).chain([broken + "---\n"]).chain((600..700).map(warned)).collect();
    assert!(errors(&text).diagnostics.iter().any(|finding| finding.code == Code::UnknownField));
}
