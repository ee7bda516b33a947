//! Silences: what they match, and when they hold requests back.

use jiff::{SignedDuration, Timestamp};

use super::bench::{Bench, asked, device_id, start_time};
use super::carried::same_from_everywhere;
use crate::event::{
    ControlAction, DeviceRef, EventBody, Mode, Silence, SilenceField, SilenceMatcher, SuppressedReason, WithdrawReason,
};
use crate::scheduler::{DeviceFacts, ReadReply, Settings, holds_back};

/// In force from `from` to `until`, seconds after the start; holds back the rules given.
fn silence(id: &str, from: i64, until: i64, rule: &str) -> Silence {
    Silence {
        id: id.to_owned(),
        matchers: vec![SilenceMatcher { field: SilenceField::Rule, value: rule.to_owned() }],
        starts_at: start_time() + SignedDuration::from_secs(from),
        ends_at: start_time() + SignedDuration::from_secs(until),
        author: "jane".to_owned(),
        comment: "patch window".to_owned(),
    }
}

fn set(bench: &mut Bench, silence: Silence) {
    bench.control(ControlAction::SilenceSet { silence });
}

fn silenced(bench: &Bench) -> Vec<String> {
    let all = bench.suppressed().into_iter().filter(|(reason, _)| *reason == SuppressedReason::Silenced);
    all.flat_map(|(_, ids)| ids).collect()
}

#[test]
fn each_field_matches_by_wildcard_in_any_letter_case_and_never_by_what_is_not_told() {
    use SilenceField as F;
    let mut requested = asked("a", "1", start_time());
    requested.rule_ids = vec!["first".to_owned(), "Second".to_owned()];
    requested.alerts[0].title = Some("Suspicious PowerShell".to_owned());
    let device = DeviceRef {
        id: device_id("ab"),
        name: Some("SQL-01.corp.contoso.com".to_owned()),
        group: Some("Tier 0 servers".to_owned()),
        tags: Some(vec!["finance".to_owned(), "No-Scan".to_owned()]),
    };
    let held = |field, value: &str, device: &DeviceRef| {
        let matchers = vec![SilenceMatcher { field, value: value.to_owned() }];
        holds_back(&Silence { matchers, ..silence("s", 0, 60, "") }, &requested, device, start_time())
    };
    for (field, value, other) in [
        (F::Rule, "sec*", "third"),
        (F::DeviceId, "*AB", "*AC"),
        (F::DeviceName, "sql-0?", "sql"),
        (F::DeviceGroup, "tier 0*", "tier 0"),
        (F::DeviceTag, "no-scan", "no"),
        (F::AlertId, "ALERT-a", "alert"),
        (F::AlertTitle, "*powershell*", "powershell"),
        (F::AlertSeverity, "High", "medium"),
    ] {
        assert!(held(field, value, &device), "{field} {value}");
        assert!(!held(field, other, &device), "{field} {other}");
        assert!(!held(field, "", &device), "{field}");
    }
    let unknown = DeviceRef { id: device_id("ab"), ..DeviceRef::default() };
    for field in [F::DeviceName, F::DeviceGroup, F::DeviceTag] {
        assert!(!held(field, "*", &unknown), "{field}");
    }
    assert_eq!(F::ALL.len(), 8, "a new field wants a line above");
}

#[test]
fn all_matchers_must_match_and_the_time_be_right() {
    let requested = asked("a", "1", start_time());
    let held = |matchers: &[(SilenceField, &str)], now: Timestamp| {
        let matchers = matchers
            .iter()
            .map(|(field, value)| SilenceMatcher { field: *field, value: (*value).to_owned() })
            .collect();
        holds_back(&Silence { matchers, ..silence("s", 10, 20, "") }, &requested, &requested.device, now)
    };
    let at = |seconds| start_time() + SignedDuration::from_secs(seconds);
    let (rule, other) = ((SilenceField::Rule, "rule-1"), (SilenceField::AlertId, "other"));
    assert!(!held(&[rule, other], at(15)));
    assert!(!held(&[], at(15)), "a silence without matchers holds nothing back");
    for (seconds, expected) in [(9, false), (10, true), (19, true), (20, false)] {
        assert_eq!(held(&[rule], at(seconds)), expected, "{seconds}");
    }
}

#[test]
fn requests_of_either_mode_end_as_silenced_and_the_record_says_by_what() {
    let mut bench = Bench::new();
    set(&mut bench, silence("s1", 0, 600, "rule-*"));
    bench.request("a", "1");
    bench.request_with("b", "1", |asked| asked.mode = Mode::Shadow);
    bench.request_with("c", "1", |asked| asked.rule_ids = vec!["other".to_owned()]);
    bench.run();
    let details: Vec<_> = bench
        .log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Suppressed(body) => Some((body.mode, body.detail.clone().unwrap_or_default())),
            _ => None,
        })
        .collect();
    let detail = "silence s1 of jane, until 2026-03-01T08:10:00Z: patch window".to_owned();
    assert_eq!(details, [(Mode::Live, detail.clone()), (Mode::Shadow, detail)]);
    assert_eq!((silenced(&bench).len(), bench.open()), (2, 1));
    bench.pass(600);
    bench.request("d", "2");
    bench.pass(5);
    assert_eq!(bench.count("intent"), 2, "the silence is over");
}

#[test]
fn one_that_is_set_ends_what_waits_and_one_that_is_ended_lets_go() {
    let mut bench = Bench::new();
    bench.scheduler.set_halted(true);
    bench.request("a", "1");
    bench.pass(60);
    set(&mut bench, silence("s1", 0, 6000, "rule-1"));
    bench.run();
    assert_eq!(silenced(&bench), ["a"]);
    bench.control(ControlAction::SilenceEnded { silence_id: "s1".to_owned() });
    bench.request("b", "2");
    bench.scheduler.set_halted(false);
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn one_set_again_replaces_the_first() {
    let mut bench = Bench::new();
    set(&mut bench, silence("s1", 0, 6000, "rule-1"));
    set(&mut bench, silence("s1", 0, 6000, "other"));
    assert_eq!(bench.scheduler.state().orders.silences.len(), 1);
    bench.request("a", "1");
    bench.pass(5);
    bench.next_scan();
}

#[test]
fn one_that_begins_while_a_ready_scan_waits_for_the_quota_holds_it_back_at_the_last_moment() {
    let mut settings = Settings::default();
    settings.quota.per_minute = 1;
    let mut bench = Bench::with(settings, Mode::Live);
    set(&mut bench, silence("s1", 30, 6000, "rule-2"));
    bench.request("a", "1");
    bench.request_with("b", "2", |asked| asked.rule_ids = vec!["rule-2".to_owned()]);
    bench.pass(20);
    assert_eq!((bench.count("intent"), bench.open()), (1, 2));
    bench.pass(180);
    assert_eq!((bench.count("intent"), silenced(&bench)), (1, vec!["b".to_owned()]));
}

#[test]
fn one_that_begins_between_intent_and_read_back_withdraws_it() {
    let mut bench = Bench::new();
    bench.request("a", "1");
    bench.request_with("free", "1", |asked| asked.rule_ids = vec!["rule-2".to_owned()]);
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    set(&mut bench, silence("s1", 0, 6000, "rule-1"));
    bench.take(commands);
    bench.run();
    let withdrawn = bench.log.iter().find_map(|event| match &event.body {
        EventBody::Withdrawn(body) => Some(body.withdrawn),
        _ => None,
    });
    assert_eq!(withdrawn, Some(WithdrawReason::Silenced));
    assert_eq!(silenced(&bench), ["a"]);
    assert!(bench.scheduler.state().reached.iter().all(|reached| reached.attempt == 2));
    let (_, attempt, ..) = bench.next_scan();
    assert_eq!(attempt, 2, "what no silence matches goes on");
}

#[test]
fn what_a_look_up_told_of_the_device_counts() {
    let mut settings = Settings::default();
    settings.protected.tags = vec!["no-scan".to_owned()];
    let mut bench = Bench::with(settings, Mode::Live);
    let mut by_tag = silence("s1", 0, 6000, "");
    by_tag.matchers = vec![SilenceMatcher { field: SilenceField::DeviceTag, value: "patching".to_owned() }];
    set(&mut bench, by_tag);
    bench.request("a", "1");
    bench.pass(5);
    let facts = DeviceFacts { name: None, group: None, tags: Some(vec!["Patching".to_owned()]) };
    bench.look_up(ReadReply::Complete(Some(facts)));
    assert_eq!(silenced(&bench), ["a"]);
}

#[test]
fn they_survive_a_hand_over_are_carried_and_are_dropped_once_past() {
    let mut bench = Bench::new();
    set(&mut bench, silence("long", 0, 20 * 24 * 3600, "rule-1"));
    set(&mut bench, silence("short", 0, 3600, "rule-2"));
    bench.pass_hours(15 * 24);
    assert_eq!(bench.count("carried"), 1, "the short one is past");
    assert_eq!(bench.scheduler.state().orders.silences.keys().collect::<Vec<_>>(), ["long"]);
    bench.restart();
    bench.request("a", "1");
    bench.run();
    assert_eq!(silenced(&bench), ["a"]);
    same_from_everywhere(&bench.log);
    bench.now += SignedDuration::from_hours(10 * 24);
    bench.restart();
    assert!(bench.scheduler.state().orders.silences.is_empty());
}
