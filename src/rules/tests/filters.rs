//! Filters: which matches they take back, and how they are refused.

use super::{evaluate, load, now, rule, sample};
use crate::alert::Device;
use crate::rules::{Decision, Diagnostic, DiagnosticCode as Code, RuleSet};

const ONE: &str = "00000000-0000-4000-8000-000000000001";

fn two_rules() -> String {
    let one =
        rule("s:\n  category: malware\ncondition: s", "scan: Quick").replace("title: t", "title: one\nname: first");
    let two = rule("s:\n  severity: high\ncondition: s", "scan: Full").replace("title: t", "title: two");
    format!("{one}---\n{}", two.replace("0001", "0002"))
}

fn filter(rules: &str, more: &str) -> String {
    format!(
        "---\ntitle: lab machines\nid: 00000000-0000-4000-8000-00000000000f\n{more}filter:\n  rules: {rules}\n  lab:\n    \
         device.name|startswith: WS-\n  condition: not lab\n"
    )
}

fn matching(text: &str) -> Vec<String> {
    evaluate(&load(text), &sample()).matches.into_iter().map(|each| each.title).collect()
}

#[test]
fn a_filter_takes_back_the_matches_of_its_rules() {
    assert_eq!(matching(&two_rules()), ["one", "two"]);
    assert_eq!(matching(&(two_rules() + &filter(&format!("[{ONE}]"), ""))), ["two"]);
    assert_eq!(matching(&(two_rules() + &filter("first", ""))), ["two"], "by name");
    let text = two_rules() + &filter("any", "");
    assert!(matching(&text).is_empty());
    let answer = evaluate(&load(&text), &sample());
    assert_eq!(answer.decision, Decision::Filtered);
    assert_eq!(answer.filtered.len(), 2);
    assert_eq!(answer.filtered[0].filter_ids, ["00000000-0000-4000-8000-00000000000f"]);
    let other = Device { name: Some("srv-1".to_owned()), ..Device::default() };
    assert_eq!(load(&text).evaluate(&sample(), &other, now()).matches.len(), 2, "another device");
    let mut alert = sample();
    (alert.category, alert.severity) = (None, crate::alert::Severity::Low);
    assert_eq!(evaluate(&load(&text), &alert).decision, Decision::NoRule, "nothing to take back");
}

#[test]
fn a_filter_is_for_rules_of_its_logsource_until_it_expires() {
    assert!(matching(&(two_rules() + &filter("any", "logsource: { category: Alert }\n"))).is_empty());
    let third = rule("s:\n  category: other\ncondition: s", "")
        .replace("0001", "0003")
        .replace("alert }", "alert, product: x }");
    let narrow = filter("any", "logsource: { category: alert, product: x }\n");
    assert_eq!(matching(&(two_rules() + "---\n" + &third + &narrow)).len(), 2, "of another logsource");
    assert!(matching(&(two_rules() + &filter("any", "expires: 2026-05-01\n"))).is_empty(), "its last day");
    assert_eq!(matching(&(two_rules() + &filter("any", "expires: 2026-04-30\n"))).len(), 2);
}

#[test]
fn a_filter_that_is_for_no_rule_is_refused() {
    let lab = |logsource: &str| {
        format!("title: lab\n{logsource}filter: {{ rules: any, s: {{ title: a }}, condition: not s }}\n")
    };
    let narrow = lab("logsource: { category: alert, product: x }\n");
    refused(
        &lab(""),
        &[("title: lab", "title: lab\nlogsource: { category: alerts }", Code::UnknownRule, 2, "`category: alert`")],
    );
    assert!(RuleSet::from_sources([("b.yml", narrow.clone())]).is_ok(), "nothing to be for yet");
    let bare = two_rules().replace("logsource: { category: alert }\n", "");
    let found = RuleSet::from_sources([("a.yml", bare), ("b.yml", narrow)]).unwrap_err();
    assert!(found.to_string().contains("no rule has a `logsource`"), "{found}");
}

#[test]
fn a_filter_whose_day_has_passed_is_warned_of() {
    let rules = load(&(two_rules() + &filter("any", "expires: 2026-04-30\n")));
    let found = |time: &str| rules.warnings_at(time.parse().unwrap());
    assert!(found("2026-04-30T23:59:59Z").is_empty());
    let warnings = found("2026-05-01T00:00:00Z");
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        (warnings[0].code, warnings[0].line, warnings[0].column),
        (Code::ExpiredFilter, 22, 10),
        "{}",
        warnings[0]
    );
}

#[test]
fn several_filters_for_one_rule_are_all_named() {
    let second = filter("first", "").replace("0000f", "0000e").replace("lab machines", "again");
    let answer = evaluate(&load(&(two_rules() + &filter("first", "") + &second)), &sample());
    assert_eq!(answer.filtered.len(), 1);
    assert_eq!(answer.filtered[0].filter_ids.len(), 2);
    assert!(matches!(answer.decision, Decision::Scan(_)), "another rule is left");
}

#[test]
fn a_filter_takes_back_what_a_correlation_would_count() {
    let correlation = "---\ntitle: many\ncorrelation: { type: event_count, rules: first, group-by: device.id, timespan: 1h, \
                       condition: { gte: 2 } }\nresponse: { scan: Full }\n";
    let block = rule("s:\n  category: malware\ncondition: s", "").replace("title: t", "title: one\nname: first");
    let text = block + correlation;
    assert!(matches!(evaluate(&load(&text), &sample()).decision, Decision::Scan(_)));
    assert_eq!(evaluate(&load(&(text + &filter("first", ""))), &sample()).decision, Decision::Filtered);
}

#[test]
fn an_explanation_says_which_filter_took_a_match_back() {
    let rules = load(&(two_rules() + &filter("first", "")));
    let alert = sample();
    let explanation = rules.explain(&alert, &alert.devices[0], now());
    assert_eq!(explanation.evaluation, evaluate(&rules, &alert));
    assert!(!explanation.rules[0].matched && explanation.rules[1].matched);
    let shown = explanation.to_string();
    for line in [
        "rule \"one\" would match, but is taken back by 00000000-0000-4000-8000-00000000000f\n",
        "filter \"lab machines\" takes back 00000000-0000-4000-8000-000000000001\n",
        "  condition: not lab: does not hold\n",
        "    yes device.name|startswith: alert says \"WS-17\"; rule wants WS-\n",
    ] {
        assert!(shown.contains(line), "{line}\n---\n{shown}");
    }
    assert_eq!(rules.filters()[0].rules, [ONE]);
}

fn findings(text: &str) -> Vec<Diagnostic> {
    RuleSet::from_sources([("a.yml", two_rules()), ("b.yml", text.to_owned())]).unwrap_err().diagnostics
}

/// (what is replaced in a sound document, by what, the code, the line, a part of message and help).
type Case = (&'static str, &'static str, Code, u32, &'static str);

#[track_caller]
fn refused(sound: &str, cases: &[Case]) {
    RuleSet::from_sources([("a.yml", two_rules()), ("b.yml", sound.to_owned())])
        .unwrap_or_else(|errors| panic!("{errors}"));
    for (old, new, code, line, part) in cases {
        let text = sound.replacen(old, new, 1);
        assert_ne!(text, sound, "{old}");
        let found = findings(&text);
        let fits = |finding: &&Diagnostic| {
            let said = format!("{} {}", finding.message, finding.help.as_deref().unwrap_or_default());
            finding.code == *code && finding.line == *line && finding.file == "b.yml" && said.contains(part)
        };
        assert!(found.iter().any(|finding| fits(&finding)), "wanted {code:?} in line {line} with {part}: {found:#?}");
    }
}

#[test]
fn filters_are_refused_with_reasons() {
    let sound = "title: lab\nlogsource: { category: alert }\nfilter:\n  rules: [first]\n  lab:\n    device.name: a\n  condition: not lab\n";
    refused(
        sound,
        &[
            ("[first]", "[frist]", Code::UnknownRule, 4, "did you mean `first`"),
            ("[first]", "[two]", Code::UnknownRule, 4, "that is a title; write the id"),
            ("[first]", "[first, first]", Code::InvalidValue, 4, "named twice"),
            ("[first]", "[]", Code::InvalidValue, 4, "at least one rule"),
            ("[first]", "{}", Code::InvalidValue, 4, "not a map"),
            ("  rules: [first]\n", "", Code::MissingKey, 3, "`rules: any`"),
            ("category: alert", "category: other", Code::UnknownRule, 4, "another `logsource`"),
            ("not lab", "not lba", Code::UndefinedSelection, 7, "did you mean `lab`"),
            ("device.name", "device.nam", Code::UnknownField, 6, "did you mean `device.name`"),
            ("  condition: not lab\n", "", Code::MissingKey, 3, "no `condition`"),
            ("title: lab\n", "", Code::MissingKey, 1, "a filter needs a `title`"),
            ("title: lab", "title: lab\nexpires: soon", Code::InvalidValue, 2, "2027-06-30"),
            ("title: lab", "title: lab\nresponse: {}", Code::UnknownKey, 2, "`response`"),
            ("title: lab", "title: one\nid: 00000000-0000-4000-8000-000000000001", Code::DuplicateId, 2, "a.yml:3"),
        ],
    );
    let rules = load(&(two_rules() + &filter("any", "").replace("not lab", "lab")));
    assert!(rules.warnings().iter().any(|finding| finding.code == Code::FilterWithoutNot));
}

#[test]
fn correlations_are_refused_with_reasons() {
    let sound = "title: many\ncorrelation:\n  type: value_count\n  rules: [first]\n  group-by: [device.id]\n  timespan: 1h\n  \
                 condition: { gte: 2, field: user.name }\nresponse: { scan: Full }\n";
    refused(
        sound,
        &[
            ("value_count", "temporal", Code::NotSupported, 3, "which rules came together"),
            ("value_count", "temporal_ordered", Code::NotSupported, 3, "`temporal_ordered` is not supported"),
            ("value_count", "value_sum", Code::NotSupported, 3, "amounts"),
            ("value_count", "event_cuont", Code::InvalidValue, 3, "did you mean `event_count`"),
            ("value_count", "event_count", Code::InvalidValue, 7, "counts alerts, not a field"),
            ("[first]", "[frist]", Code::UnknownRule, 4, "did you mean `first`"),
            ("[first]", "[many]", Code::NotSupported, 4, "name the rules that it counts"),
            ("[device.id]", "[device.name]", Code::NotSupported, 5, "two devices may share one"),
            ("[device.id]", "[device.id, user.name]", Code::NotSupported, 5, "grouped by `user.name`"),
            ("[device.id]", "[]", Code::NotSupported, 5, "for each device"),
            ("  group-by: [device.id]\n", "", Code::MissingKey, 2, "group-by: [device.id]"),
            ("1h", "soon", Code::InvalidValue, 6, "`30m`"),
            ("1h", "2M", Code::InvalidValue, 6, "at most 30d"),
            ("1h", "1h\n  timeframe: 1h", Code::InvalidValue, 6, "say the same"),
            ("gte: 2", "lt: 2", Code::NotSupported, 7, "while alerts still come"),
            ("gte: 2", "gte: 1", Code::InvalidValue, 7, "from 2 to 1000"),
            ("gte: 2", "gt: 0", Code::InvalidValue, 7, "from 1 to 999"),
            ("gte: 2", "gte: 2, gt: 3", Code::InvalidValue, 7, "say the same"),
            ("gte: 2, ", "", Code::MissingKey, 7, "how many"),
            (", field: user.name", "", Code::MissingKey, 7, "needs the `field`"),
            ("user.name", "user.nmae", Code::UnknownField, 7, "did you mean `user.name`"),
            ("user.name", "device.tags", Code::InvalidValue, 7, "any number of values"),
            ("user.name", "device.id", Code::InvalidValue, 7, "the same for every alert"),
            ("{ gte: 2, field: user.name }", "first", Code::InvalidValue, 7, "must be a map"),
            ("timespan: 1h", "timespan: 1h\n  aliases: {}", Code::NotSupported, 7, "the same fields"),
            ("timespan: 1h", "timespan: 1h\n  generate: false", Code::NotSupported, 7, "asks for a scan by itself"),
            ("response: { scan: Full }\n", "", Code::MissingKey, 2, "needs a `response`"),
            ("response:", "scan: Full\nresponse:", Code::UnknownKey, 8, "belongs below `response`"),
            ("title: many", "title: many\nfilter: {}", Code::InvalidValue, 2, "not both"),
        ],
    );
    let generate = sound.replace("timespan: 1h", "timespan: 1h\n  generate: true");
    assert!(RuleSet::from_sources([("a.yml", two_rules()), ("b.yml", generate)]).is_ok());
}

#[test]
fn names_are_not_doubted_where_a_document_is_missing_for_its_errors() {
    let broken = two_rules().replace("category: malware", "categry: malware");
    let text = filter("first", "");
    let found = RuleSet::from_sources([("a.yml", broken), ("b.yml", text)]).unwrap_err();
    assert_eq!(found.diagnostics.iter().map(|each| each.code).collect::<Vec<_>>(), [Code::UnknownField]);
}

#[test]
fn a_name_that_several_rules_have_is_not_enough() {
    let text = two_rules().replace("title: two", "title: two\nname: first") + &filter("first", "");
    let found = RuleSet::from_sources([("a.yml", text)]).unwrap_err();
    assert!(found.to_string().contains("several rules have the name `first`"), "{found}");
}
