//! Any bytes as the files of a rule folder: they are taken or refused with reasons that point into the file, without a panic,
//! within libFuzzer's bounds of time and memory (`-timeout`, `-rss_limit_mb`).
//!
//! A line `=== NAME` begins another file, so that lists, defaults, filters and tests in files of their own are reached too.

#![no_main]

use std::sync::LazyLock;

use alert_responder::alert::{Alert, DecodeOptions, decode};
use alert_responder::rules::{RuleErrors, RuleSet};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// One alert of each format, with all the fields that rules most often ask for.
static ALERTS: LazyLock<Vec<Alert>> = LazyLock::new(|| {
    let records: [&[u8]; 3] = [
        include_bytes!("../data/alerts/own-alert.json"),
        include_bytes!("../data/alerts/mde-alert.json"),
        include_bytes!("../data/alerts/graph-alert.json"),
    ];
    let options = DecodeOptions { keep_raw: true, ..DecodeOptions::default() };
    let decoded = records.iter().flat_map(|record| decode(record, &options).expect("a sound record"));
    decoded.map(|each| each.alert).collect()
});

fuzz_target!(|text: &str| {
    let mut files: Vec<(String, String)> = vec![("a.yml".to_owned(), String::new())];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ").map(str::trim_end) {
            Some(name) if files.iter().all(|(known, _)| known != name) => files.push((name.to_owned(), String::new())),
            _ => files.last_mut().expect("there is a first").1.push_str(line),
        }
    }
    match RuleSet::from_sources(files.iter().map(|(name, text)| (name, text))) {
        Ok(rules) => use_every_part_of(&rules),
        Err(errors) => say_where(&errors, &files),
    }
});

fn use_every_part_of(rules: &RuleSet) {
    let now = Timestamp::UNIX_EPOCH;
    for alert in ALERTS.iter() {
        for device in &alert.devices {
            let evaluation = rules.evaluate(alert, device, now);
            assert_eq!(rules.explain(alert, device, now).evaluation, evaluation);
        }
    }
    let _ = (rules.run_tests(), rules.warnings_at(now), rules.hash());
}

fn say_where(errors: &RuleErrors, files: &[(String, String)]) {
    assert!(errors.error_count() > 0);
    assert!(!errors.to_string().is_empty());
    for finding in &errors.diagnostics {
        let (_, text) = files.iter().find(|(name, _)| *name == finding.file).expect("an error in a file that is there");
        let lines = text.lines().count() + 1;
        assert!(usize::try_from(finding.line).is_ok_and(|line| line <= lines), "{errors}");
        assert!(finding.length >= 1, "{errors}");
    }
}
