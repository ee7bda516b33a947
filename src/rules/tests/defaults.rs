//! What a rule inherits, and from where.

use std::time::Duration;

use super::sample;
use crate::rules::{
    CooldownGrowth, Decision, DiagnosticCode as Code, Mode, Origin, ResponseInfo, RuleErrors, RuleSet, ScanDecision,
    ScanType, Threshold,
};

fn rule(number: u8, level: &str, response: &str) -> String {
    let level = if level.is_empty() { String::new() } else { format!("level: {level}\n") };
    format!(
        "---\ntitle: rule {number}\nid: 00000000-0000-4000-8000-00000000000{number}\nlogsource: {{ category: alert }}\n\
         detection:\n  s:\n    category: malware\n  condition: s\n{level}response: {{ {response} }}\n"
    )
}

fn try_load(defaults: &str, rules: &str) -> Result<RuleSet, RuleErrors> {
    // The name of a rule file that sorts before: defaults are read first all the same.
    RuleSet::from_sources([("a.yml", rules), ("defaults.yaml", defaults)])
}

fn load(defaults: &str, rules: &str) -> RuleSet {
    try_load(defaults, rules).unwrap_or_else(|errors| panic!("{errors}"))
}

fn responses(defaults: &str, rules: &str) -> Vec<ResponseInfo> {
    load(defaults, rules).rules().iter().filter_map(|rule| rule.response.clone()).collect()
}

fn decide(defaults: &str, rules: &str, now: &str) -> ScanDecision {
    let alert = sample();
    match load(defaults, rules).evaluate(&alert, &alert.devices[0], now.parse().unwrap()).decision {
        Decision::Scan(scan) => scan,
        other => panic!("{other:?}"),
    }
}

fn id(number: u8) -> String {
    format!("00000000-0000-4000-8000-00000000000{number}")
}

const DEFAULTS: &str = "
response:
  comment: from all
  cooldown: { first: 2h, longest: 2d }
  max_alert_age: 7d
  escalate: { to: Full, after: 2, within: 1w }
  limit: { devices: 9, per: 2h }
  merge_window: 30s
  mode: shadow
  active: weekend
  priority: 1
by_level:
  high:
    cooldown: 3h
    priority: 2
    mode: live
time_intervals:
  weekend: { zone: UTC, weekdays: ['sat:sun'] }
  nights: { zone: UTC, times: ['22:00-06:00'] }
";

#[test]
fn the_rule_comes_before_its_level_and_that_before_all() {
    let text = rule(1, "low", "scan: Quick, active: [nights, weekend]")
        + &rule(2, "high", "scan: Quick")
        + &rule(
            3,
            "high",
            "scan: Quick, cooldown: 4h, priority: 3, mode: shadow, limit: none, escalate: none, active: always, merge_window: 0s",
        );
    let found = responses(DEFAULTS, &text);
    let hours = |number| Duration::from_hours(number);
    assert_eq!(found.iter().map(|each| each.cooldown).collect::<Vec<_>>(), [hours(2), hours(3), hours(4)]);
    let growth = CooldownGrowth { factor: 2, longest_seconds: 2 * 86_400 };
    // A cooldown is inherited whole: what grows is a part of it.
    assert_eq!(found.iter().map(|each| each.cooldown_growth).collect::<Vec<_>>(), [Some(growth), None, None]);
    assert_eq!(found.iter().map(|each| each.priority).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(found.iter().map(|each| each.mode).collect::<Vec<_>>(), [Mode::Shadow, Mode::Live, Mode::Shadow]);
    assert_eq!(found.iter().map(|each| each.limit_devices).collect::<Vec<_>>(), [Some(9), Some(9), None]);
    assert_eq!(found[0].active, ["nights", "weekend"]);
    assert_eq!((found[1].active.len(), found[2].active.len()), (1, 0));
    assert_eq!(found.iter().map(|each| each.escalate.is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(found[1].escalate.unwrap().within_seconds, 7 * 86_400);
    assert_eq!((found[1].merge_window, found[2].merge_window), (Some(Duration::from_secs(30)), Some(Duration::ZERO)));
    assert!(found.iter().all(|each| each.comment == "from all" && each.max_alert_age == Duration::from_hours(7 * 24)));
    let origin = |index: usize, key: &str| found[index].origins[key];
    assert_eq!([0, 1, 2].map(|index| origin(index, "cooldown")), [Origin::Defaults, Origin::Level, Origin::Rule]);
    assert_eq!(origin(2, "limit"), Origin::Rule);
}

#[test]
fn without_defaults_the_programs_own_hold() {
    let found = &responses("", &rule(1, "critical", "scan: Full"))[0];
    assert_eq!((found.cooldown, found.priority, found.mode), (Duration::from_hours(6), 90, Mode::Live));
    assert!(found.origins.values().all(|origin| *origin == Origin::BuiltIn));
    assert_eq!(found.origins.len(), 9);
}

#[test]
fn an_escalation_to_what_is_asked_for_anyway_does_nothing() {
    let set = load("", &rule(1, "", "scan: Full, escalate: { to: Full, after: 1, within: 1d }"));
    assert_eq!(set.rules()[0].response.as_ref().unwrap().escalate, None);
    assert_eq!(set.warnings().iter().map(|each| each.code).collect::<Vec<_>>(), [Code::UselessEscalation]);
    // Inherited, it was never meant for a rule that asks for a full scan.
    let text = rule(1, "", "scan: Full") + &rule(2, "", "scan: Quick, comment: x");
    let set = load("response:\n  escalate: { to: Full, after: 1, within: 1d }\n", &text);
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
}

#[test]
fn findings_in_the_defaults_have_their_place() {
    let text = rule(1, "high", "scan: Quick");
    for (defaults, code, line, part) in [
        ("respons: {}\n", Code::UnknownKey, 1, "did you mean `response`"),
        ("response:\n  scan: Full\n", Code::UnknownKey, 2, "each rule says this itself"),
        ("response:\n  cooldwn: 6h\n", Code::UnknownKey, 2, "did you mean `cooldown`"),
        ("by_level:\n  hihg: {}\n", Code::UnknownKey, 2, "did you mean `high`"),
        ("response:\n  comment: '{{ alert.titel }}'\n", Code::InvalidTemplate, 2, "alert.title"),
        (
            "response:\n  active: nigths\ntime_intervals:\n  nights: { zone: UTC }\n",
            Code::UnknownInterval,
            2,
            "`nights`",
        ),
        ("time_intervals:\n  always: { zone: UTC }\n", Code::InvalidValue, 2, "is taken"),
        ("time_intervals: [nights]\n", Code::InvalidValue, 1, "must be a map"),
        ("response: {}\n---\nresponse: {}\n", Code::InvalidYaml, 3, "one document"),
        ("- response\n", Code::InvalidValue, 1, "must be a map"),
    ] {
        let found = try_load(defaults, &text).unwrap_err();
        let fits = found.diagnostics.iter().any(|finding| {
            let said = format!("{} {}", finding.message, finding.help.as_deref().unwrap_or_default());
            (finding.code, finding.line, finding.file.as_str()) == (code, line, "defaults.yaml") && said.contains(part)
        });
        assert!(fits, "{defaults}\n{found}");
    }
    let found = try_load(DEFAULTS, &rule(1, "high", "scan: Quick, active: [weekned]")).unwrap_err();
    assert_eq!(found.diagnostics[0].help.as_deref(), Some("did you mean `weekend`?"));
}

#[test]
fn what_no_rule_takes_is_a_warning() {
    let defaults = "response:\n  cooldown: 1h\n  mode: live\nby_level:\n  low: { priority: 3 }\n  high: { cooldown: 2h }\n\
                    time_intervals:\n  nights: { zone: UTC }\n";
    let set = load(defaults, &rule(1, "high", "scan: Quick"));
    let found: Vec<_> = set.warnings().iter().map(|each| (each.code, each.line)).collect();
    assert_eq!(found, [(Code::UnusedDefault, 2), (Code::UnusedDefault, 5), (Code::UnusedInterval, 8)]);
}

#[test]
fn a_folder_has_its_defaults_at_its_top_and_one_file_takes_them_along() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.yml", &rule(1, "high", "scan: Quick"));
    write("defaults.yaml", "response:\n  cooldown: 1h\nby_level:\n  low: { priority: 3 }\n");
    let cooldown = |set: &RuleSet| set.rules()[0].response.as_ref().unwrap().cooldown;
    let whole = RuleSet::load_dir(folder.path()).unwrap();
    assert_eq!((cooldown(&whole), whole.warnings().len()), (Duration::from_hours(1), 1));
    let alone = RuleSet::load_dir(&folder.path().join("a.yml")).unwrap();
    assert_eq!(
        (cooldown(&alone), alone.warnings().len()),
        (Duration::from_hours(1), 0),
        "not all of it is for one rule"
    );
    let hash = whole.hash().to_owned();
    write("defaults.yaml", "response:\n  cooldown: 2h\n");
    assert_ne!(RuleSet::load_dir(folder.path()).unwrap().hash(), hash, "the defaults are a part of the set");
    assert_eq!(RuleSet::load_dir(&folder.path().join("defaults.yaml")).unwrap().rules().len(), 0);
    std::fs::create_dir(folder.path().join("more")).unwrap();
    write("more/defaults.yaml", "by_level: {}\n");
    let found = RuleSet::load_dir(folder.path()).unwrap_err();
    assert!(found.to_string().contains("live in defaults.yaml, at the top"), "{found}");
}

#[test]
fn outside_of_its_time_a_rule_does_not_shape_the_response() {
    let text = rule(1, "high", "scan: Full, active: weekend, comment: one, merge_window: 10s, escalate: none")
        + &rule(2, "low", "scan: Quick, comment: two, priority: 9, merge_window: 20s, active: always, mode: live");
    let weekday = decide(DEFAULTS, &text, "2026-05-01T12:00:00Z");
    assert_eq!((weekday.scan_type, weekday.comment.as_str(), weekday.priority), (ScanType::Quick, "two", 9));
    assert_eq!(weekday.terms.merge_window_seconds, Some(20));
    assert_eq!(weekday.rule_ids, [id(2), id(1)], "both matched");
    assert_eq!(weekday.terms.asks.iter().map(|ask| ask.rule_id.clone()).collect::<Vec<_>>(), [id(2)], "one asks");
    assert_eq!(weekday.terms.outside_active_time, None);
    let weekend = decide(DEFAULTS, &text, "2026-05-02T12:00:00Z");
    assert_eq!((weekend.scan_type, weekend.comment.as_str()), (ScanType::Full, "two"));
    assert_eq!(weekend.terms.merge_window_seconds, Some(10), "the shortest");
}

#[test]
fn where_every_rule_is_inactive_the_decision_says_so() {
    let text = rule(1, "high", "scan: Full, active: [weekend, nights], comment: one")
        + &rule(2, "high", "scan: Quick, comment: two, active: weekend");
    let scan = decide(DEFAULTS, &text, "2026-05-01T12:00:00Z");
    assert_eq!(scan.terms.outside_active_time.as_deref(), Some("nights, weekend"));
    assert_eq!((scan.mode, scan.scan_type), (Mode::Live, ScanType::Full), "what would have been");
    assert!(scan.terms.thresholds.is_empty(), "it asks for nothing, so nothing is counted");
    let night = decide(DEFAULTS, &text, "2026-05-01T23:00:00Z");
    assert_eq!((night.terms.outside_active_time, night.comment.as_str()), (None, "one"));
}

#[test]
fn an_active_rule_in_shadow_comes_before_a_live_one_outside_of_its_time() {
    let text = rule(1, "high", "scan: Full, active: weekend, mode: live")
        + &rule(2, "low", "scan: Quick, active: always, mode: shadow");
    let scan = decide(DEFAULTS, &text, "2026-05-01T12:00:00Z");
    assert_eq!((scan.mode, scan.scan_type, scan.terms.outside_active_time), (Mode::Shadow, ScanType::Quick, None));
    assert_eq!(scan.terms.shadow_rule_ids, [id(2)]);
}

#[test]
fn escalations_become_thresholds_of_every_active_rule() {
    let text = rule(1, "high", "scan: Quick, escalate: { to: Full, after: 2, within: 24h }")
        + &rule(2, "low", "scan: Quick, mode: shadow, escalate: { to: Full, after: 1, within: 1h }")
        + &rule(3, "low", "scan: Quick");
    let scan = decide("", &text, "2026-05-01T12:00:00Z");
    let threshold = |number, at_least, within_seconds, priority, mode| Threshold {
        rule_id: id(number),
        value: None,
        at_least,
        within_seconds,
        scan_type: ScanType::Full,
        priority,
        mode,
    };
    assert_eq!(
        scan.terms.thresholds,
        [threshold(1, 3, 86_400, 70, Mode::Live), threshold(2, 2, 3600, 30, Mode::Shadow)]
    );
    assert!(!scan.terms.awaits_threshold, "the rules ask for a scan by themselves");
    assert_eq!(scan.scan_type, ScanType::Quick);
}

#[test]
fn the_longest_cooldown_brings_its_own_growth() {
    let growing = |first: &str, longest: &str| {
        format!("scan: Quick, cooldown: {{ first: {first}, factor: 3, longest: {longest} }}")
    };
    let growth = |days: u64| Some(CooldownGrowth { factor: 3, longest_seconds: days * 86_400 });
    let decided = |one: &str, two: &str| {
        let scan = decide("", &(rule(1, "", one) + &rule(2, "", two)), "2026-05-01T12:00:00Z");
        (scan.cooldown.as_secs() / 3600, scan.terms.cooldown_growth)
    };
    assert_eq!(decided(&growing("6h", "2d"), "scan: Quick, cooldown: 7h"), (7, None));
    assert_eq!(decided(&growing("6h", "2d"), "scan: Quick, cooldown: 5h"), (6, growth(2)));
    assert_eq!(
        decided("scan: Quick, cooldown: 6h", &growing("6h", "2d")),
        (6, growth(2)),
        "among equals the growing one"
    );
    assert_eq!(decided(&growing("6h", "5d"), &growing("6h", "2d")), (6, growth(5)));
}

#[test]
fn what_must_be_remembered_longest() {
    let text =
        rule(1, "", "scan: Quick, cooldown: { first: 6h, longest: 7d }, escalate: { to: Full, after: 1, within: 3d }")
            + &rule(2, "", "scan: Quick, cooldown: 8d, merge_window: 5m, limit: { devices: 1, per: 2h }");
    let set = load("", &text);
    // A scan within seven days of the end of a rest of seven days makes the next one longer.
    assert_eq!(set.longest_cooldown(), Duration::from_hours(14 * 24));
    assert_eq!(set.longest_threshold_window(), Duration::from_hours(72));
    assert_eq!(set.longest_merge_window(), Duration::from_mins(5));
    assert_eq!(set.longest_limit_window(), Duration::from_hours(2));
}
