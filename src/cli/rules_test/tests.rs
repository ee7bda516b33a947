use std::path::Path;

use super::*;

const RULE: &str = "\
title: Malware
id: 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77
logsource: { category: alert }
detection:
  malware:
    category: Malware
  condition: malware
response: { scan: Quick, cooldown: 6h }
";

const STEPS: &str = "  - name: a second alert joins, a third finds the device at rest
    scan_takes: 20m
    steps:
      - at: 0s
        alert: { id: 1, category: Malware, device: { name: ws-17 } }
        expect: scan
      - at: 10m
        alert: { id: 2, category: Malware, device: { name: ws-17 } }
        expect: joined
      - at: 10m
        alert: { id: 2, category: Malware, device: { name: ws-17 } }
        expect: { suppressed: duplicate }
      - at: 1h
        alert: { id: 3, category: Malware, device: { name: ws-17 } }
        expect: 'suppressed: cooldown'
      - at: 1h
        alert: { id: 4, category: Phishing, device: { name: ws-17 } }
        expect: { skipped: no_rule }
      - at: 7h
        alert: { id: 5, category: Malware, device: { name: ws-17 } }
        expect: { scan: Quick }
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn args(path: &Path) -> RulesTestArgs {
    RulesTestArgs { paths: vec![path.to_path_buf()], rules: None, filter: None, junit: None }
}

fn run_in(files: &[(&str, &str)]) -> RulesTestReport {
    let folder = folder(files);
    let mut report = run(&args(folder.path()));
    let root = format!("{}/", folder.path().display());
    for test in &mut report.tests {
        test.file = test.file.replace(&root, "");
    }
    for finding in &mut report.diagnostics {
        finding.file = finding.file.replace(&root, "");
    }
    report
}

#[test]
fn steps_are_played_through_the_real_scheduler() {
    let report = run_in(&[("a.yml", &format!("{RULE}tests:\n{STEPS}"))]);
    assert_eq!(report.exit_code(), 0, "{}", render_text(&report));
    assert_eq!(report.tests.len(), 1);
    let shadow = RULE.replace("cooldown: 6h", "mode: shadow");
    let steps = "  - name: in shadow\n    steps:\n      - { at: 0s, alert: { id: 1, category: Malware, device: { name: a } }, expect: shadowed }\n";
    let report = run_in(&[("a.yml", &format!("{shadow}tests:\n{steps}"))]);
    assert_eq!(report.exit_code(), 0, "{}", render_text(&report));
}

#[test]
fn a_step_that_goes_otherwise_says_what_came_and_why() {
    let wrong = STEPS.replace("expect: joined", "expect: scan");
    let report = run_in(&[("a.yml", &format!("{RULE}tests:\n{wrong}"))]);
    assert_eq!(report.exit_code(), 5);
    let text = render_text(&report);
    for part in [
        "a.yml:16",
        "at 10m, alert 2: expected scan; got joined",
        "yes category: alert says \"Malware\"; rule wants Malware",
        "not ok: tests passed 0 of 1",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_full_scan_is_told_from_a_quick_one() {
    let full = RULE.replace("scan: Quick", "scan: Full");
    let report = run_in(&[("a.yml", &format!("{full}tests:\n{STEPS}"))]);
    let text = render_text(&report);
    assert!(text.contains("at 7h, alert 5: expected scan: Quick; got scan: Full"), "{text}");
}

#[test]
fn a_misspelt_reason_never_passes() {
    let wrong = STEPS.replace("suppressed: cooldown", "suppressed: cooldwon");
    let text = render_text(&run_in(&[("a.yml", &format!("{RULE}tests:\n{wrong}"))]));
    assert!(text.contains("`suppressed` has no reason `cooldwon`"), "{text}");
    let wrong = STEPS.replace("expect: joined", "expect: joind");
    let report = run_in(&[("a.yml", &format!("{RULE}tests:\n{wrong}"))]);
    assert_eq!(report.exit_code(), 3);
    assert!(render_text(&report).contains("did you mean `joined`?"), "{}", render_text(&report));
}

#[test]
fn test_files_stand_beside_the_rules_and_are_none() {
    let tests = format!(
        "tests:\n  - name: phishing is none of ours\n    alert: {{ id: 1, category: Phishing, device: {{ name: a }} }}\n    \
         expect: none\n  - name: this one is wrong\n    rule: 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77\n    alert: {{ id: 1, \
         category: Phishing, device: {{ name: a }} }}\n    expect: scan\n{STEPS}"
    );
    let files = [("a.yml", RULE), ("a.test.yml", tests.as_str())];
    let report = run_in(&files);
    let passed: Vec<bool> = report.tests.iter().map(|test| test.passed).collect();
    assert_eq!(passed, [true, false, true], "{}", render_text(&report));
    assert!(render_text(&report).contains("a.test.yml:5"), "{}", render_text(&report));
    // They take no part in the set that the worker loads.
    let (with, without) = (folder(&files), folder(&[("a.yml", RULE)]));
    let hash = |folder: &tempfile::TempDir| RuleSet::load_dir(folder.path()).unwrap().hash().to_owned();
    assert_eq!(hash(&with), hash(&without));
    assert_eq!(RuleSet::fingerprint(with.path()), Some(hash(&with)));
    // One file alone finds the rules beside it.
    assert_eq!(run(&args(&with.path().join("a.test.yml"))).tests.len(), 3);
    let report =
        run_in(&[("a.yml", RULE), ("a.test.yml", "tests:\n  - { name: x, rule: nope, alert: {}, expect: scan }\n")]);
    assert_eq!(report.exit_code(), 3);
    assert!(render_text(&report).contains("no rule has the id `nope`"), "{}", render_text(&report));
}

#[test]
fn a_filter_picks_by_name_and_by_rule() {
    let folder = folder(&[("a.yml", &format!("{RULE}tests:\n{STEPS}"))]);
    let with =
        |filter: &str| run(&RulesTestArgs { filter: Some(filter.to_owned()), ..args(folder.path()) }).tests.len();
    assert_eq!([with("SECOND"), with("0b0f3d3e"), with("nothing")], [1, 1, 0]);
}

#[test]
fn junit_holds_every_test_and_escapes_what_it_must() {
    let own = "  - name: a <b> & \"c\" \\\u{1}\n    alert: { id: 1, category: Phishing, device: { name: a } }\n    expect: none\n";
    let wrong = STEPS.replace("expect: joined", "expect: scan");
    let own = own.replace(" \\\u{1}", "");
    let report = run_in(&[("a.yml", &format!("{RULE}tests:\n{own}{wrong}"))]);
    let xml = render_junit(&report);
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <testsuites name=\"alert-responder rules\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0\">\n  \
        <testsuite name=\"a.yml\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0\">\n    \
        <testcase name=\"a &lt;b&gt; &amp; &quot;c&quot;\" classname=\"0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77\" \
        file=\"a.yml\" line=\"10\" time=\"0\"/>\n    \
        <testcase name=\"a second alert joins, a third finds the device at rest\" \
        classname=\"0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77\" file=\"a.yml\" line=\"13\" time=\"0\">\n      \
        <failure type=\"failure\" message=\"at 10m, alert 2: expected scan; got joined\">a.yml:19&#10;";
    assert!(xml.starts_with(expected), "{xml}");
    assert!(xml.ends_with("</failure>\n    </testcase>\n  </testsuite>\n</testsuites>\n"), "{xml}");
    let refused = render_junit(&run_in(&[("a.yml", "title: x\n")]));
    assert!(refused.contains("<error type=\"missing_key\"") && refused.contains("errors=\"2\""), "{refused}");
    let hostile = RulesTestReport {
        tests: vec![TestOutcome {
            test: "\u{1b}[31m]]>\u{0}".to_owned(),
            rule_id: None,
            file: "f".to_owned(),
            line: 1,
            passed: true,
            failures: Vec::new(),
        }],
        diagnostics: Vec::new(),
    };
    assert!(render_junit(&hostile).contains("name=\"\u{fffd}[31m]]&gt;\u{fffd}\""), "{}", render_junit(&hostile));
}
