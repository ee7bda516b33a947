use super::*;
use crate::config::Config;
use crate::event::{Carried, Claim, DeviceRef, Mode, ScanEvent, ScanType};
use crate::scheduler::State;

fn rule(id: u32, response: &str) -> String {
    format!(
        "title: Rule {id}\nid: 00000000-0000-4000-8000-00000000000{id}\nlogsource: {{ category: alert }}\ndetection:\n  s:\n    \
         category: Malware\n  condition: s\nresponse: {{ {response} }}\n"
    )
}

fn set(responses: &[&str]) -> Arc<RuleSet> {
    let rules = (1..).zip(responses).map(|(id, response)| rule(id, response)).collect::<Vec<_>>();
    Arc::new(RuleSet::from_sources([("rules.yml", rules.join("---\n"))]).unwrap())
}

fn now() -> Timestamp {
    "2026-05-04T12:00:00Z".parse().unwrap()
}

fn alert(device: Device) -> Alert {
    Alert {
        id: "1".to_owned(),
        category: Some("Malware".to_owned()),
        created_at: Some("2026-05-04T11:00:00Z".parse().unwrap()),
        devices: vec![device],
        ..Alert::default()
    }
}

fn device() -> Device {
    Device { id: Some("a".repeat(40)), name: Some("dc-01".to_owned()), ..Device::default() }
}

fn guards(rules: &Arc<RuleSet>, config: &Config, state: Option<&State>, device: Device) -> String {
    let alerts = [alert(device)];
    let mut report = run(rules, &alerts, true, now());
    add_guards(&mut report, rules, &alerts, &Surroundings { config, state }, now());
    render_text(&report)
}

#[test]
fn each_rule_that_matches_says_what_it_gives() {
    let rules = set(&[
        "scan: Quick, priority: 80, cooldown: 1h",
        "scan: Full, priority: 20, cooldown: 12h, max_alert_age: 24h",
        "scan: Quick, priority: 10, cooldown: 1h, max_alert_age: 7d",
        "scan: Full, priority: 99, mode: shadow",
    ]);
    let text = render_text(&run(&rules, &[alert(device())], true, now()));
    for line in [
        "  1. \"Rule 1\", live, priority 80: priority, comment, max_alert_age",
        "  2. \"Rule 2\", live, priority 20: scan, cooldown, max_alert_age",
        "  3. \"Rule 3\", live, priority 10: nothing: others ask for more",
        "  4. \"Rule 4\", shadow, priority 99: nothing: a rule in shadow shapes nothing where a live one matches",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}

#[test]
fn what_production_skips_is_noted() {
    let rules = set(&["scan: Quick"]);
    let shown = |alert: &Alert| render_text(&run(&rules, std::slice::from_ref(alert), true, now()));
    assert!(!shown(&alert(device())).contains("note:"));
    let closed = Alert { status: Some("Resolved".to_owned()), ..alert(device()) };
    for (alert, reason) in [
        (closed, "alert_closed"),
        (alert(Device { id: None, ..device() }), "ambiguous_device"),
        (alert(Device { id: Some("17".to_owned()), ..device() }), "bad_device_id"),
        (Alert { devices: Vec::new(), ..alert(device()) }, "no_device"),
    ] {
        let text = shown(&alert);
        assert!(text.contains(&format!("\nnote: in production the alert is skipped ({reason}): ")), "{text}");
        let report = serde_json::to_value(run(&rules, &[alert], true, now())).unwrap();
        assert_eq!(report["explanations"][0]["skipped"], reason);
    }
    let nothing = Alert { category: None, devices: Vec::new(), ..alert(device()) };
    assert!(!shown(&nothing).contains("note:"), "no rule wants anything");
}

#[test]
fn the_guard_that_would_stop_it_is_named() {
    let rules = set(&["scan: Quick, max_alert_age: 2h, limit: { devices: 5, per: 1h }"]);
    let mut config = Config { mode: Mode::Live, ..Config::default() };
    let has = |text: &str, line: &str| assert!(text.lines().any(|shown| shown.starts_with(line)), "{line}\n{text}");
    let text = guards(&rules, &config, None, device());
    has(&text, "  passes  mode         worker and rule are live");
    has(&text, "  passes  age          worth a scan until 2026-05-04T13:00:00Z");
    has(&text, "  passes  protected ");
    has(&text, "  open    limit        5 devices in 3600s by rule 0000");
    has(&text, "  open    ledger ");
    assert!(!text.contains("STOPS"), "{text}");

    config.scheduler.protected.names = vec!["dc-*".to_owned()];
    config.mode = Mode::Shadow;
    config.halted = true;
    let text = guards(&rules, &config, None, device());
    has(&text, "  STOPS   mode         the worker is in shadow");
    has(&text, "  STOPS   kill_switch  `halted` is true");
    has(&text, "  STOPS   protected ");
    has(&guards(&rules, &config, None, Device::default()), "  STOPS   intake       skipped: no_device");
    config.scheduler.protected.tags = vec!["no-scan".to_owned()];
    config.scheduler.protected.names.clear();
    has(&guards(&rules, &config, None, device()), "  open    protected    the alert does not tell the device's tags");
}

#[test]
fn the_ledger_tells_of_a_device_at_rest() {
    let rules = set(&["scan: Quick"]);
    let claim = "c".to_owned();
    let mut state = State::default();
    let owner = Claim { claim: claim.clone(), owner: String::new(), version: String::new() };
    state.apply(0, &ScanEvent::new(now(), "", owner));
    let rest = Carried::Cooldown {
        claim,
        device: DeviceRef { id: "a".repeat(40), ..DeviceRef::default() },
        cooldown_until: "2026-05-04T15:00:00Z".parse().unwrap(),
        scan_type: ScanType::Quick,
        cooldown_step: 0,
        cooldown_grows_until: None,
    };
    state.apply(1, &ScanEvent::new(now(), "", rest));
    let text = guards(&rules, &Config::default(), Some(&state), device());
    assert!(
        text.contains("STOPS   cooldown     the device rests until 2026-05-04T15:00:00Z after a Quick scan"),
        "{text}"
    );
    let text = guards(&set(&["scan: Full"]), &Config::default(), Some(&state), device());
    assert!(text.contains("passes  cooldown     the device rests until"), "{text}");
}
