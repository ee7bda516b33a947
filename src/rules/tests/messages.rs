//! Findings that say how to mend what people most often write.

use super::rule;
use crate::rules::{DiagnosticCode as Code, RuleSet};

/// Where and what is said of one line of a selection.
fn said(test: &str) -> (Code, u32, u32, String) {
    let text = rule(&format!("s:\n  {test}\ncondition: s"), "scan: Quick");
    let found = RuleSet::from_sources([("a.yml", text)]).unwrap_err();
    let first = &found.diagnostics[0];
    let help = first.help.as_deref().unwrap_or_default();
    (first.code, first.line, first.column, format!("{} ({help})", first.message))
}

#[test]
fn help_is_about_what_was_meant() {
    for (test, code, column, part) in [
        ("labels.score|gte: high", Code::InvalidValue, 23, "expected a number, found `high` (write a number"),
        ("labels.score|gte: '5'", Code::InvalidValue, 23, "without quotes"),
        ("severity|gte: hihg", Code::InvalidValue, 19, "did you mean `high`"),
        ("title|startswith: [a, null]", Code::InvalidValue, 27, "`null` is no text"),
        ("hostname: a", Code::UnknownField, 5, "did you mean `device.name`"),
        ("ComputerName: a", Code::UnknownField, 5, "did you mean `device.name`"),
        ("host.name: a", Code::UnknownField, 5, "did you mean `device.name`"),
        ("device.hostname|startswith: a", Code::UnknownField, 5, "did you mean `device.name`"),
        ("DeviceId: a", Code::UnknownField, 5, "did you mean `device.id`"),
        ("AccountName: a", Code::UnknownField, 5, "did you mean `user.name`"),
        ("filename: a", Code::UnknownField, 5, "did you mean `file.name`"),
        ("sha1: a", Code::UnknownField, 5, "did you mean `file.sha1`"),
        ("tags: a", Code::UnknownField, 5, "did you mean `device.tags`"),
        ("name: a", Code::UnknownField, 5, "raw.<path>"),
        ("device: { name: a }", Code::UnknownField, 5, "for example `device.name`"),
        ("mitre: { technique: a }", Code::UnknownField, 5, "for example `mitre.technique`"),
        ("labels: { team: a }", Code::UnknownField, 5, "for example `labels.<name>`"),
        ("file.name: *.exe", Code::InvalidYaml, 16, "single quotes"),
        ("file.name: [a, *.exe]", Code::InvalidYaml, 20, "single quotes"),
        (r#"file.path: "C:\Users""#, Code::InvalidYaml, 16, "single quotes"),
        (r"file.path|expand: 'C:\Users\%names%'", Code::InvalidValue, 23, r"write `\\%name%`"),
        ("raw.flags: 0xFFFFFFFFFFFFFFFFFF", Code::NotSigma, 16, "the Sigma parser refuses"),
    ] {
        let (found, line, at, text) = said(test);
        assert_eq!((found, line, at), (code, 6, column), "{test}: {text}");
        assert!(text.contains(part) && !text.contains(" at line "), "{test}: {text}");
    }
}

#[test]
fn nots_side_by_side_are_not_nested() {
    let selections: String = (0..40).map(|at| format!("f{at}:\n  category: c{at}\n")).collect();
    let condition = (0..40).map(|at| format!("not f{at}")).collect::<Vec<_>>().join(" and ");
    let load = |condition: &str| {
        let text = rule(&format!("{selections}condition: {condition}"), "scan: Quick");
        RuleSet::from_sources([("a.yml", text)]).map(|_| ()).map_err(|errors| errors.diagnostics[0].message.clone())
    };
    assert_eq!(load(&condition), Ok(()));
    assert_eq!(load(&format!("{} f0{}", "not (".repeat(32), ")".repeat(32))), Ok(()));
    for deep in [format!("{}f0", "not ".repeat(33)), format!("{}f0{}", "not (".repeat(33), ")".repeat(33))] {
        assert!(load(&deep).is_err_and(|message| message.contains("nested deeper than 32")), "{deep}");
    }
}
