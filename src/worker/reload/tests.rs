use std::os::unix::fs::symlink;

use jiff::Timestamp;

use super::*;
use crate::event::{EventBody, Mode};
use crate::telemetry::Metrics;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rule(category: &str, response: &str) -> String {
    format!(
        "title: t\nid: 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77\nlogsource: {{ category: alert }}\ndetection:\n  s:\n    \
         category: {category}\n  condition: s\nresponse: {{ scan: Quick{response} }}\n"
    )
}

/// A folder as Kubernetes shows a ConfigMap: each file is a link through `..data`, which is swapped.
struct ConfigMap {
    root: tempfile::TempDir,
    versions: u32,
}

impl ConfigMap {
    fn new(text: &str) -> Self {
        let mut map = Self { root: tempfile::tempdir().unwrap(), versions: 0 };
        map.swap(text);
        symlink("..data/trojan.yml", map.root.path().join("trojan.yml")).unwrap();
        map
    }

    fn swap(&mut self, text: &str) {
        self.versions += 1;
        let (root, version) = (self.root.path(), format!("..version-{}", self.versions));
        std::fs::create_dir(root.join(&version)).unwrap();
        std::fs::write(root.join(&version).join("trojan.yml"), text).unwrap();
        symlink(&version, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    }

    fn rules(&self) -> Rules {
        let rules = RuleSet::load_dir(self.root.path()).unwrap();
        let metrics = Metrics::new("tenant").unwrap();
        metrics.set_rules(rules.hash(), rules.rules().iter().map(|rule| rule.id.as_str()));
        let decider = Decider {
            rules: Arc::new(rules),
            options: AlertSettings::default().options(false),
            tenant: "tenant".to_owned(),
            mode: Mode::Live,
            topic: "alerts".to_owned(),
        };
        let mut rules = Rules::new(decider, AlertSettings::default(), metrics);
        rules.watch(self.root.path().to_path_buf(), Duration::ZERO);
        rules
    }
}

fn requested(rules: &CurrentRules, category: &str) -> Option<(String, String)> {
    let device = "a".repeat(40);
    let payload = format!(r#"{{"id":1,"category":"{category}","device":{{"id":"{device}"}}}}"#);
    let record = ConsumedRecord {
        partition: 0,
        offset: 7,
        timestamp: Some(Timestamp::UNIX_EPOCH),
        key: None,
        payload: Some(payload.into_bytes()),
        headers: Vec::new(),
    };
    let decision = rules.decide(&record, &[]);
    decision.requested.into_iter().find_map(|event| match event.body {
        EventBody::Requested(body) => Some((body.request_ids[0].clone(), body.ruleset)),
        _ => None,
    })
}

fn count(metrics: &Metrics, result: &str) -> usize {
    let series = format!("alert_responder_rules_reload_total{{result=\"{result}\"}}");
    let text = metrics.encode().unwrap();
    let line = text.lines().find(|line| line.starts_with(&series)).unwrap_or_default();
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// What an alert on refused rules sees.
fn are_the_last_in_force(metrics: &Metrics) -> bool {
    metrics.encode().unwrap().contains("\nalert_responder_rules_last_reload_successful 1\n")
}

#[tokio::test]
async fn a_swapped_link_brings_new_rules_and_the_same_request_ids() {
    let mut map = ConfigMap::new(&rule("Malware", ""));
    let mut rules = map.rules();
    let current = rules.current();
    let (id, first) = requested(&current, "Malware").unwrap();
    assert_eq!(requested(&current, "Ransomware"), None);
    assert_eq!(rules.reload(DAY, false).await, Reload::Unchanged { hash: first.clone() });

    map.swap(&rule("[Malware, Ransomware]", ", limit: { devices: 5, per: 3h }"));
    let Reload::Loaded { hash, before } = rules.reload(DAY, false).await else { panic!("not loaded") };
    assert_eq!((before, rules.active().hash().to_owned()), (first, hash.clone()));
    assert_eq!(requested(&current, "Malware"), Some((id, hash.clone())));
    assert!(requested(&current, "Ransomware").is_some());
    assert_eq!(rules.longest_window().load(Ordering::Relaxed), 3 * 3600);
    assert!(rules.metrics.encode().unwrap().contains(&format!("alert_responder_rules_info{{hash=\"{hash}\"}} 1")));
    assert_eq!((count(&rules.metrics, "loaded"), count(&rules.metrics, "refused")), (1, 0));
}

#[tokio::test]
async fn a_set_with_an_error_is_refused_once_and_the_old_one_stays() {
    let mut map = ConfigMap::new(&rule("Malware", ""));
    let mut rules = map.rules();
    let current = rules.current();
    rules.metrics.rule_match("0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77", Mode::Live);
    let before = rules.active().hash().to_owned();
    map.swap(&rule("Ransomware", ", prioritiy: 3"));
    let Reload::Refused { reasons } = rules.reload(DAY, false).await else { panic!("not refused") };
    assert!(reasons[0].contains("prioritiy") && reasons[0].contains("trojan.yml:8"), "{reasons:?}");
    assert!(matches!(rules.reload(DAY, false).await, Reload::Refused { .. }));
    assert_eq!(count(&rules.metrics, "refused"), 1, "each fault is counted once");
    assert_eq!(requested(&current, "Malware").unwrap().1, before);
    // Who asks is told again.
    assert!(matches!(rules.reload(DAY, true).await, Reload::Refused { reasons } if reasons[0].contains("prioritiy")));
    assert_eq!(count(&rules.metrics, "refused"), 2);
    assert!(!are_the_last_in_force(&rules.metrics));

    map.swap(&rule("Ransomware", ", priority: 3"));
    assert!(matches!(rules.reload(DAY, false).await, Reload::Loaded { .. }));
    assert_eq!(requested(&current, "Malware"), None);
    assert!(are_the_last_in_force(&rules.metrics));
    let kept = "alert_responder_rule_matches_total{mode=\"live\",rule=\"0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77\"} 1";
    assert!(rules.metrics.encode().unwrap().contains(kept), "{}", rules.metrics.encode().unwrap());
}

#[tokio::test]
async fn rules_that_outlast_the_ledger_are_refused() {
    let mut map = ConfigMap::new(&rule("Malware", ""));
    let mut rules = map.rules();
    map.swap(&rule("Malware", ", cooldown: 30d"));
    let Reload::Refused { reasons } = rules.reload(DAY, false).await else { panic!("not refused") };
    assert!(reasons[0].contains("the longest cooldown") && reasons[0].contains("retention.ms"), "{reasons:?}");
    assert!(matches!(rules.reload(DAY * 31, true).await, Reload::Loaded { .. }));
}

#[tokio::test]
async fn a_folder_that_is_gone_is_refused_and_may_come_back() {
    let map = ConfigMap::new(&rule("Malware", ""));
    let mut rules = map.rules();
    let link = map.root.path().join("trojan.yml");
    std::fs::remove_file(&link).unwrap();
    assert!(matches!(rules.reload(DAY, false).await, Reload::Refused { .. }));
    assert!(matches!(rules.reload(DAY, false).await, Reload::Refused { .. }));
    assert_eq!(count(&rules.metrics, "refused"), 1);
    assert!(!are_the_last_in_force(&rules.metrics));
    symlink("..data/trojan.yml", &link).unwrap();
    assert!(matches!(rules.reload(DAY, false).await, Reload::Unchanged { .. }));
    assert!(are_the_last_in_force(&rules.metrics));
}

#[tokio::test]
async fn a_handle_asks_the_running_task() {
    let mut map = ConfigMap::new(&rule("Malware", ""));
    let rules = map.rules();
    let (handle, stop) = (rules.handle(), CancellationToken::new());
    let task = rules.run(DAY, stop.clone());
    tokio::pin!(task);
    map.swap(&rule("Ransomware", ""));
    let came = tokio::select! {
        came = handle.reload() => came,
        () = &mut task => panic!("it ended"),
    };
    assert!(matches!(&came, Reload::Loaded { hash, .. } if hash == handle.active().hash()), "{came:?}");
    stop.cancel();
    task.await;
}

#[tokio::test]
async fn nobody_answers_for_a_worker_that_does_not_run() {
    let rules = ConfigMap::new(&rule("Malware", "")).rules();
    let handle = rules.handle();
    drop(rules);
    assert!(matches!(handle.reload().await, Reload::Refused { .. }));
}

/// The last step of the guide; its other steps are the command line's. `UPDATE_DOCS=1` writes it anew.
#[tokio::test]
async fn the_guide_shows_what_a_reload_says() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rule-guide.md");
    // The guide has two tests; one at a time may write it.
    let lock = std::fs::File::open(&guide).unwrap();
    lock.lock().unwrap();
    let mut text = std::fs::read_to_string(&guide).unwrap();
    let rule = text.split("```yaml\n").nth(1).unwrap().split_once("```").unwrap().0.to_owned();
    let mut map = ConfigMap::new(&rule);
    let mut rules = map.rules();
    rules.metrics.rules_reload(RulesReload::Loaded);
    let shown = |rules: &Rules| {
        let all = rules.metrics.encode().unwrap();
        let about = ["alert_responder_rules_info", "alert_responder_rules_reload_total"];
        let lines = all.lines().filter(|line| about.iter().any(|name| line.starts_with(name)));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    map.swap(&rule.replace("severity|gte: medium", "severity|gte: high"));
    assert!(matches!(rules.reload(DAY, false).await, Reload::Loaded { .. }));
    let loaded = shown(&rules);
    map.swap(&rule.replace("scan: Quick", "scan: Quik"));
    assert!(matches!(rules.reload(DAY, false).await, Reload::Refused { .. }));
    for (mark, output) in [("reload", loaded), ("reload:refused", shown(&rules))] {
        let opening = format!("<!-- {mark} -->\n```text\n");
        let (before, rest) = text.split_once(&opening).unwrap();
        let (old, after) = rest.split_once("```").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_none() {
            assert_eq!(old, output, "{mark}: run with UPDATE_DOCS=1");
        }
        text = format!("{before}{opening}{output}```{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(guide, text).unwrap();
    }
}
