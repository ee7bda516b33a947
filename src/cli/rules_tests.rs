//! The rules that ship with the project are sound, and the rule guide shows what the program really says.
//!
//! After a change of wording run the tests with `UPDATE_DOCS=1` to write the new output into the guide.

use std::path::{Path, PathBuf};

use super::{Fields, RulesCheckArgs, render_text, run};
use crate::alert::{Alert, Device, Severity};
use crate::cli::rules_explain;
use crate::rules::RuleSet;

fn now() -> jiff::Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

#[test]
fn the_starter_set_passes_its_own_check() {
    let report = run(&RulesCheckArgs { dir: folder(), deny_warnings: true, fields: Fields::Known }, now());
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
    let report =
        run(&RulesCheckArgs { dir: folder.path().to_path_buf(), deny_warnings: false, fields: Fields::Known }, now());
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
    let args = RulesCheckArgs { dir: folder.path().to_path_buf(), deny_warnings: false, fields: Fields::Known };
    let shown = render_text(&run(&args, now()));
    shown.replace(&folder.path().display().to_string(), "rules")
}

fn explain(rule: &str) -> String {
    let rules = RuleSet::from_sources([("malware.yml", rule)]).unwrap();
    let mut alert = Alert { id: "3213".to_owned(), severity: Severity::High, ..Alert::default() };
    alert.category = Some("Malware".to_owned());
    alert.devices = ["ws-17", "dc-01"].map(|name| Device { name: Some(name.to_owned()), ..Device::default() }).to_vec();
    rules_explain::render_text(&rules_explain::run(&rules, &[alert], false, now()))
}

#[test]
fn the_guide_shows_real_output() {
    let mut text = std::fs::read_to_string(guide()).unwrap();
    let rule = example(&text);
    let broken =
        rule.replacen("device.name", "devise.name", 1).replace("not domain_controllers", "not domain_controler");
    for (mark, output) in [("check:refused", check(&broken)), ("check:ok", check(&rule)), ("explain", explain(&rule))] {
        let opening = format!("<!-- {mark} -->\n```text\n");
        let (before, rest) = text.split_once(&opening).unwrap();
        let (shown, after) = rest.split_once("```").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_none() {
            assert_eq!(shown, output, "{mark}: run with UPDATE_DOCS=1");
        }
        text = format!("{before}{opening}{output}```{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(guide(), text).unwrap();
    }
}
