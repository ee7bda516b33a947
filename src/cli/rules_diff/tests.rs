use super::*;

fn rule(id: u32, detection: &str, rest: &str) -> String {
    format!(
        "title: Rule {id}\nid: 00000000-0000-4000-8000-00000000000{id}\nlogsource: {{ category: alert }}\ndetection:\n  s:\n    \
         {detection}\n  condition: s\n{rest}"
    )
}

fn set(rules: &[String]) -> RuleSet {
    RuleSet::from_sources([("rules.yml", rules.join("\n---\n"))]).unwrap()
}

#[test]
fn every_kind_of_change_is_told() {
    let tests = |expect: &str| {
        format!(
            "tests:\n  - name: one\n    alert: {{ id: 1, category: Malware, device: {{ name: a }} }}\n    expect: {expect}\n"
        )
    };
    let old = set(&[
        rule(1, "category: Malware", &format!("response: {{ scan: Quick }}\n{}", tests("scan"))),
        rule(2, "category: Phishing", "response: { scan: Quick }\n"),
        rule(3, "category: Other", ""),
    ]);
    let new = set(&[
        rule(
            1,
            "category: [Malware, Ransomware]",
            &format!("response: {{ scan: Full, cooldown: 12h, expires: 2030-01-01 }}\n{}", tests("none")),
        ),
        rule(3, "category: Other", ""),
        rule(4, "category: New", "response: { scan: Quick }\n"),
    ]);
    let report = compare(&old, &new);
    let text = render_text(&report);
    for line in [
        "removed: Rule 2 (00000000-0000-4000-8000-000000000002)",
        "added: Rule 4 (00000000-0000-4000-8000-000000000004)",
        "changed: Rule 1 (00000000-0000-4000-8000-000000000001)",
        "  response.scan: Quick -> Full",
        "  response.cooldown: 6h -> 12h",
        "  response.expires: none -> 2030-01-01",
        "  - detection s: category: Malware",
        "  + detection s: category: Malware, Ransomware",
        "  - test one: expects scan",
        "  + test one: expects none",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(!text.contains("Rule 3"), "{text}");
    assert!(render_text(&compare(&old, &old)).contains("the same files"));
}

#[test]
fn a_filter_that_changes_is_told() {
    let filter = |id: u32, rules: &str, name: &str, rest: &str| {
        format!(
            "title: Exception {id}\nid: 00000000-0000-4000-8000-00000000001{id}\nlogsource: {{ category: alert }}\nfilter:\n  \
             rules: {rules}\n  s:\n    device.name: {name}\n  condition: not s\n{rest}"
        )
    };
    let respond = "response: { scan: Quick }\n";
    let (one, two) = (rule(1, "category: Malware", respond), rule(2, "category: Phishing", respond));
    let first = "00000000-0000-4000-8000-000000000001";
    let old = set(&[one.clone(), filter(1, "any", "ws-1", ""), filter(2, "any", "ws-2", "")]);
    let only_one = format!("[{first}]");
    let new =
        set(&[one.clone(), filter(1, "any", "[ws-1, ws-9]", "expires: 2030-01-01\n"), filter(3, &only_one, "a", "")]);
    let report = compare(&old, &new);
    assert_eq!(report.changed.iter().map(|each| each.kind).collect::<Vec<_>>(), [DocumentKind::Filter]);
    let text = render_text(&report);
    for line in [
        "removed: filter Exception 2 (00000000-0000-4000-8000-000000000012)",
        "added: filter Exception 3 (00000000-0000-4000-8000-000000000013)",
        "changed: filter Exception 1 (00000000-0000-4000-8000-000000000011)",
        "  expires: none -> 2030-01-01",
        "  - detection s: device.name: ws-1",
        "  + detection s: device.name: ws-1, ws-9",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    // A new rule is no change of every filter that is for all of them; one that is for fewer rules than before is.
    let all = set(&[one.clone(), two.clone(), filter(1, "any", "ws-1", "")]);
    assert_eq!(compare(&set(&[one.clone(), filter(1, "any", "ws-1", "")]), &all).changed, []);
    let narrowed = compare(&all, &set(&[one, two, filter(1, &only_one, "ws-1", "")]));
    let second = "00000000-0000-4000-8000-000000000002";
    let (before, after) = (Some(format!("{first}, {second}")), Some(first.to_owned()));
    assert_eq!(narrowed.changed[0].values, [ChangedValue { key: "rules".to_owned(), old: before, new: after }]);
}

#[test]
fn sample_alerts_show_what_is_decided_differently() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let respond = "response: { scan: Quick }\n";
    let old = write("old.yml", &[rule(1, "category: Malware", respond), rule(2, "category: A", respond)].join("---\n"));
    let quieter = "response: { scan: Quick, mode: shadow }\n";
    let new = write("new.yml", &[rule(1, "category: B", respond), rule(2, "category: A", quieter)].join("---\n"));
    let alert = |id: u32, category: &str| {
        format!(
            "{{\"id\":{id},\"category\":\"{category}\",\"device\":{{\"id\":\"{}\",\"name\":\"ws\"}}}}\n",
            "a".repeat(40)
        )
    };
    let alerts = write("alerts.ndjson", &[alert(1, "Malware"), alert(2, "A"), alert(3, "B"), alert(4, "C")].concat());
    let report = run(&RulesDiffArgs { old, new, alerts: Some(alerts) }).unwrap();
    let decisions = report.decisions.clone().unwrap();
    assert_eq!((decisions.only_first, decisions.only_second, decisions.otherwise, decisions.same), (1, 1, 1, 0));
    let text = render_text(&report);
    for line in [
        "  alert 1 on ws: Quick scan, live, priority 50, cooldown 21600s; only the old rules ask for it",
        "  alert 2 on ws: Quick scan, shadow, priority 50, cooldown 21600s; was Quick scan, live, priority 50, cooldown 21600s",
        "  alert 3 on ws: Quick scan, live, priority 50, cooldown 21600s; only the new rules ask for it",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}
