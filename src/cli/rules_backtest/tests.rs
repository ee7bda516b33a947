use std::path::Path;

use super::*;
use crate::cli::sample;

const RULES: &str = "\
title: Malware
id: 00000000-0000-4000-8000-000000000001
logsource: { category: alert }
detection:
  malware:
    category: Malware
  condition: malware
response: { scan: Quick, cooldown: 1h }
---
title: Ransomware
id: 00000000-0000-4000-8000-000000000002
logsource: { category: alert }
detection:
  ransomware:
    category: Ransomware
  condition: ransomware
level: critical
response: { scan: Full, limit: { devices: 3, per: 1h } }
";

struct Files(tempfile::TempDir);

impl Files {
    fn new(alerts: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("rules.yml", RULES);
        files.write("alerts.ndjson", alerts);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn play(&self, config: &Config, against: Option<&Path>) -> BacktestReport {
        run(&RulesBacktestArgs::of_file(&self.path("alerts.ndjson"), &self.path("rules.yml"), against), config).unwrap()
    }
}

fn alert(id: u32, category: &str, device: &str, time: &str) -> String {
    let machine = crate::simulator::machine_id_of(device);
    let time = format!("2026-05-04T{time}Z");
    format!(
        "{{\"id\":{id},\"category\":\"{category}\",\"created_at\":\"{time}\",\"device\":{{\"id\":\"{machine}\",\"name\":\
         \"{device}\",\"tags\":[]}}}}\n"
    )
}

fn count(run: &RunReport, outcome: &str) -> u64 {
    run.outcomes.get(outcome).copied().unwrap_or(0)
}

#[test]
fn each_alert_has_the_outcome_that_the_ledger_would_show() {
    let alerts = [
        alert(1, "Malware", "ws-1", "08:00:00"),
        alert(2, "Malware", "ws-1", "08:00:02"),
        alert(3, "Malware", "ws-1", "08:05:00"),
        alert(4, "Malware", "ws-1", "08:30:00"),
        "not json\n".to_owned(),
        "\n".to_owned(),
        alert(5, "Malware", "dc-1", "09:00:00"),
        alert(6, "Other", "ws-1", "09:00:01"),
        alert(7, "Malware", "ws-1", "10:00:00"),
        alert(8, "Malware", "ws-2", "09:59:00"),
        alert(9, "Ransomware", "ws-1", "12:00:00"),
    ];
    let mut config = Config::default();
    config.scheduler.protected.names = vec!["dc-*".to_owned()];
    let report = Files::new(&alerts.concat()).play(&config, None);
    let run = &report.runs[0];
    assert_eq!((report.input.records, report.input.alerts, report.input.out_of_order), (10, 9, 1));
    assert_eq!(report.input.undecodable.get("not_json"), Some(&1));
    let outcomes = ["scanned", "joined", "suppressed: cooldown", "suppressed: protected", "skipped: no_rule"];
    assert_eq!(outcomes.map(|outcome| count(run, outcome)), [5, 1, 1, 1, 1], "{:?}", run.outcomes);
    assert_eq!(run.outcomes.values().sum::<u64>(), 10, "every observation has one outcome: {:?}", run.outcomes);
    assert_eq!((run.quick_scans, run.full_scans, run.merged, run.joined), (3, 1, 1, 1));
    assert_eq!((run.devices_scanned, run.protected_devices, run.unfinished), (2, 1, 0));
    // The merge window, and nothing else.
    assert_eq!((run.delay.p50_seconds, run.delay.max_seconds), (5, 5));
    assert_eq!((run.top_rules[0].matches, run.top_rules[0].scans), (7, 3));
    assert_eq!((run.top_devices[0].requests, run.top_devices[0].scans), (6, 3));
}

#[test]
fn a_full_quota_shows_as_a_queue_and_as_minutes_at_the_limit() {
    let alerts: String = (0..40).map(|number| alert(number, "Malware", &format!("ws-{number}"), "08:00:00")).collect();
    let mut config = Config::default();
    config.scheduler.quota.per_minute = 10;
    let files = Files::new(&alerts);
    let run = files.play(&config, None).runs.remove(0);
    // Ten a minute: the last ten go three minutes after the first.
    assert_eq!((run.scans, run.delay.requests), (40, 40));
    assert!((183..=192).contains(&run.delay.max_seconds), "{:?}", run.delay);
    assert!((60..=130).contains(&run.delay.p50_seconds), "{:?}", run.delay);
    assert!((30..=40).contains(&run.peak_queue), "{}", run.peak_queue);
    assert!((2.5..=3.5).contains(&run.minutes_at_minute_limit), "{}", run.minutes_at_minute_limit);
    assert!(run.minutes_at_hour_limit == 0.0, "{}", run.minutes_at_hour_limit);
    config.scheduler.quota.per_hour = 20;
    let run = files.play(&config, None).runs.remove(0);
    assert!((55.0..=125.0).contains(&run.minutes_at_hour_limit), "{}", run.minutes_at_hour_limit);
    assert!(run.delay.max_seconds > 3600, "{:?}", run.delay);
}

#[test]
fn a_cap_that_is_reached_is_named() {
    let alerts: String =
        (0..8).map(|number| alert(number, "Ransomware", &format!("ws-{number}"), "08:00:00")).collect();
    let run = Files::new(&alerts).play(&Config::default(), None).runs.remove(0);
    assert_eq!(run.full_scans, 3, "{:?}", run.outcomes);
    assert_eq!(run.outcomes.values().sum::<u64>(), 8);
    assert!(run.caps_reached.keys().any(|cap| cap.contains("00000000-0000-4000-8000-000000000002")), "{run:?}");
}

#[test]
fn two_sets_are_compared_over_the_same_alerts() {
    let alerts = [alert(1, "Malware", "ws-1", "08:00:00"), alert(2, "Other", "ws-2", "08:00:00")];
    let files = Files::new(&alerts.concat());
    files.write("other.yml", &RULES.replace("category: Malware", "category: Other"));
    let report = files.play(&Config::default(), Some(&files.path("other.yml")));
    let difference = report.difference.clone().unwrap();
    assert_eq!((difference.only_first, difference.only_second, difference.same), (1, 1, 0));
    let text = render_text(&report);
    let row = text.lines().find(|line| line.starts_with("scans ")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["scans", "1", "1", "0"], "{text}");
    assert!(
        text.contains("alert 1 on ws-1: Quick scan, live, priority 50, cooldown 3600s; only the first asks for it"),
        "{text}"
    );
}

#[test]
fn a_document_over_several_lines_is_one_record() {
    let pretty = "{\n  \"id\": 1,\n  \"category\": \"Malware\"\n}\n";
    let report = Files::new(pretty).play(&Config::default(), None);
    assert_eq!((report.input.records, report.input.alerts, report.input.without_time), (1, 1, 1));
    assert_eq!(count(&report.runs[0], "skipped: no_device"), 1);
}

#[test]
fn a_day_of_made_up_alerts_balances_and_is_the_same_each_time() {
    let mut alerts = Vec::new();
    let start = "2026-05-04T08:00:00Z".parse().unwrap();
    let args = sample::Args { count: 5_000, devices: 300, start, over: Duration::from_secs(86_400), seed: 3 };
    sample::write(&args, &mut alerts).unwrap();
    let files = Files::new(&String::from_utf8(alerts).unwrap());
    let report = files.play(&Config::default(), None);
    let run = &report.runs[0];
    assert_eq!(run.outcomes.values().sum::<u64>(), 5_000, "one device per alert: {:?}", run.outcomes);
    assert_eq!(run.unfinished, 0);
    assert_eq!(run.scans, count(run, "scanned") - run.merged);
    assert_eq!(report, files.play(&Config::default(), None));
}
