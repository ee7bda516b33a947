//! The rules that ship with the project are sound, and the rule guide shows what the program really says.
//!
//! After a change of wording run the tests with `UPDATE_DOCS=1` to write the new output into the guide.

use std::path::{Path, PathBuf};

use super::{Fields, RulesCheckArgs, render_text, run};
use crate::alert::{Alert, Device, Severity};
use crate::cli::rules_explain;
use crate::rules::{DiagnosticCode, RuleSet};

fn now() -> jiff::Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

#[test]
fn the_starter_set_passes_its_own_check() {
    let report =
        run(&RulesCheckArgs { dir: folder(), deny_warnings: true, effective: false, fields: Fields::Known }, now());
    let text = render_text(&report);
    assert!(report.ok, "{text}");
    assert_eq!(report.exit_code(), 0);
    assert!(report.responding_rules >= 6, "{text}");
    assert!(report.untested.is_empty(), "{text}");
    assert!(report.tests.len() >= 2 * report.responding_rules, "{text}");
}

#[test]
fn every_starter_rule_limits_its_blast_radius() {
    let rules = RuleSet::load_dir(&folder()).unwrap();
    for rule in rules.rules() {
        let response = rule.response.as_ref().unwrap();
        assert!(response.limit_devices.is_some(), "{}", rule.title);
        assert!(rule.status.is_some() && rule.level.is_some(), "{}", rule.title);
    }
}

#[test]
fn a_failing_test_is_reported_and_fails_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "title: t\nlogsource: {}\ndetection:\n  s:\n    category: malware\n  condition: s\nresponse: { scan: Quick }\n"
            .to_owned()
            + "tests:\n  - name: wrong\n    alert: { id: 1, category: other, device: { name: a } }\n    expect: scan\n";
    std::fs::write(folder.path().join("a.yml"), text).unwrap();
    let report = run(
        &RulesCheckArgs {
            dir: folder.path().to_path_buf(),
            deny_warnings: false,
            effective: false,
            fields: Fields::Known,
        },
        now(),
    );
    assert_eq!((report.ok, report.exit_code()), (false, 5));
    let text = render_text(&report);
    assert!(text.contains("test failed: wrong") && text.contains("a.yml:9"), "{text}");
}

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")
}

/// The first block of YAML.
fn example(text: &str) -> String {
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// What `rules check` says about one file, without the name of the temporary folder.
fn check(rule: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("malware.yml"), rule).unwrap();
    let args = RulesCheckArgs {
        dir: folder.path().to_path_buf(),
        deny_warnings: false,
        effective: false,
        fields: Fields::Known,
    };
    let shown = render_text(&run(&args, now()));
    shown.replace(&folder.path().display().to_string(), "rules")
}

fn explain(rule: &str) -> String {
    let rules = std::sync::Arc::new(RuleSet::from_sources([("malware.yml", rule)]).unwrap());
    let mut alert = Alert { id: "3213".to_owned(), severity: Severity::High, ..Alert::default() };
    alert.category = Some("Malware".to_owned());
    let device = |name: &str| Device { id: Some("a".repeat(40)), name: Some(name.to_owned()), ..Device::default() };
    alert.devices = ["ws-17", "dc-01"].map(device).to_vec();
    rules_explain::render_text(&rules_explain::run(&rules, &[alert], false, now()))
}

/// The second block of YAML.
fn defaults(text: &str) -> String {
    let (_, rest) = text.split_once("## Defaults and time intervals").unwrap();
    example(rest)
}

/// What the rule asks for once the defaults are filled in, without the defaults that no other rule takes.
fn effective(rule: &str, defaults: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("malware.yml"), rule).unwrap();
    std::fs::write(folder.path().join("defaults.yaml"), defaults).unwrap();
    let dir = folder.path().join("malware.yml");
    let shown =
        render_text(&run(&RulesCheckArgs { dir, deny_warnings: true, effective: true, fields: Fields::Known }, now()));
    shown.replace(&folder.path().display().to_string(), "rules")
}

/// The first finding as a program reads it.
fn finding(rule: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("malware.yml"), rule).unwrap();
    let args = RulesCheckArgs {
        dir: folder.path().to_path_buf(),
        deny_warnings: false,
        effective: false,
        fields: Fields::Known,
    };
    let report = serde_json::to_value(run(&args, now())).unwrap();
    let shown = serde_json::to_string_pretty(&report["diagnostics"][0]).unwrap() + "\n";
    shown.replace(&folder.path().display().to_string(), "rules")
}

fn codes() -> String {
    let row = |code: &DiagnosticCode| format!("| `{}` | {} |\n", code.as_str(), code.meaning());
    DiagnosticCode::ALL.iter().map(row).collect()
}

#[test]
fn the_guide_shows_real_output() {
    let mut text = std::fs::read_to_string(guide()).unwrap();
    let rule = example(&text);
    let broken =
        rule.replacen("device.name", "devise.name", 1).replace("not domain_controllers", "not domain_controler");
    for (opening, closing, output) in [
        ("<!-- check:refused -->\n```text\n", "```", check(&broken)),
        ("<!-- check:ok -->\n```text\n", "```", check(&rule)),
        ("<!-- check:effective -->\n```text\n", "```", effective(&rule, &defaults(&text))),
        ("<!-- check:json -->\n```json\n", "```", finding(&broken)),
        ("<!-- codes -->\n| code | means |\n|---|---|\n", "<!-- /codes -->", codes()),
        ("<!-- explain -->\n```text\n", "```", explain(&rule)),
    ] {
        let (before, rest) = text.split_once(opening).unwrap();
        let (shown, after) = rest.split_once(closing).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_none() {
            assert_eq!(shown, output, "{opening}: run with UPDATE_DOCS=1");
        }
        text = format!("{before}{opening}{output}{closing}{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(guide(), text).unwrap();
    }
}

#[test]
fn denied_warnings_refuse_and_an_expired_rule_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {}\ndetection:\n  s:\n    category: a\n  \
                condition: s\nresponse:\n  scan: Quick\n  expires: 2026-05-01\n";
    std::fs::write(folder.path().join("a.yml"), text).unwrap();
    let check = |deny_warnings: bool, now: &str| {
        let args =
            RulesCheckArgs { dir: folder.path().to_path_buf(), deny_warnings, effective: false, fields: Fields::Known };
        run(&args, now.parse().unwrap())
    };
    assert_eq!(check(true, "2026-05-01T12:00:00Z").exit_code(), 0);
    assert_eq!(check(false, "2026-05-02T00:00:00Z").exit_code(), 0);
    let report = check(true, "2026-05-02T00:00:00Z");
    assert_eq!(report.exit_code(), 3);
    let json = serde_json::to_value(&report).unwrap();
    let finding = &json["diagnostics"][0];
    assert_eq!((finding["code"].as_str(), finding["level"].as_str()), (Some("expired_rule"), Some("warning")));
    let place = ["line", "column", "end_line", "end_column", "length"].map(|key| finding[key].as_u64().unwrap());
    assert_eq!(place, [10, 12, 10, 22, 10]);
    assert_eq!(finding["snippet"], "  expires: 2026-05-01");
    assert!(json.get("effective").is_none(), "only where it was asked for");
}
