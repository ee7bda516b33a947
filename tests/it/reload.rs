//! New rules without a restart, on the worker as a process: by a swapped link, by SIGHUP, and not at all when they are
//! wrong; and no alert is lost on the way.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use alert_responder::rules::RuleSet;
use serde_json::json;

use crate::support::load::{Load, RULES};
use crate::support::scene::{Quota, Scene};

/// A folder as Kubernetes shows a ConfigMap.
struct ConfigMap(PathBuf);

impl ConfigMap {
    fn new(root: &Path, text: &str) -> Self {
        std::fs::create_dir(root).expect("a directory");
        let map = Self(root.to_owned());
        map.swap("one", text);
        symlink("..data/rules.yml", root.join("rules.yml")).expect("a link");
        map
    }

    fn swap(&self, version: &str, text: &str) {
        let version = format!("..{version}");
        std::fs::create_dir(self.0.join(&version)).expect("a directory");
        std::fs::write(self.0.join(&version).join("rules.yml"), text).expect("a file");
        symlink(&version, self.0.join("..data_tmp")).expect("a link");
        std::fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).expect("a swap");
    }

    fn hash(&self) -> String {
        RuleSet::load_dir(&self.0).expect("rules").hash().to_owned()
    }
}

fn retitled(title: &str) -> String {
    RULES.trim_start().replacen("title: Malware", &format!("title: {title}"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_under_load_and_a_wrong_set_changes_nothing() {
    let load = Load::of(600, 40, 23);
    let mut scene = Scene::set(&load, 3, Quota::AMPLE).await;
    let rules = ConfigMap::new(&scene.directory.path().join("map"), &retitled("Malware"));
    let folder = rules.0.display().to_string();
    scene.configure(json!({ "rules": { "directory": folder, "reload_interval": "100ms" } }));
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    let (first, half) = (rules.hash(), load.lines.len() / 2);
    scene.produce(&load.lines[..half]).await;

    // Under load: whatever is in hand when the link is swapped is decided by one set or the other.
    rules.swap("two", &retitled("Malware again"));
    let second = rules.hash();
    let in_force = |hash: &str| format!("hash=\"{hash}\"");
    let reloads = |result: &str| format!("result=\"{result}\"");
    scene
        .wait_for("the new rules", &mut worker, |worker| {
            worker.metric("alert_responder_rules_info", &in_force(&second)) == Some(1.0)
        })
        .await;
    rules.swap("broken", &retitled("Malware").replace("scan: Quick", "scan: Quik"));
    scene
        .wait_for("the refusal", &mut worker, |worker| {
            worker.metric("alert_responder_rules_reload_total", &reloads("refused")) == Some(1.0)
        })
        .await;
    assert_eq!(worker.metric("alert_responder_rules_info", &in_force(&second)), Some(1.0));
    scene.produce(&load.lines[half..]).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    let said = worker.process.said();
    assert!(said.contains("scan is one of Quick, Full") && said.contains("rules.yml:"), "{}", worker.process.tail());
    assert_eq!(
        worker.metric("alert_responder_rules_reload_total", &reloads("refused")),
        Some(1.0),
        "once, not each time"
    );

    let records = std::fs::read_to_string(scene.directory.path().join("ledger.ndjson")).expect("the ledger");
    let requested = |hash: &str| {
        records.lines().filter(|line| line.contains("\"event\":\"requested\"") && line.contains(hash)).count()
    };
    assert!(requested(&second) > 0, "the new rules decided");
    assert_eq!(requested(&first) + requested(&second), ledger.requests.len() + ledger.repeated, "and no third set");
    scene.check_promises(&load, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_signal_reads_the_rules_at_once() {
    let load = Load::for_each(&["ws-1"]);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    let rules = ConfigMap::new(&scene.directory.path().join("map"), &retitled("Malware"));
    let folder = rules.0.display().to_string();
    scene.configure(json!({ "rules": { "directory": folder, "reload_interval": "0s" } }));
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    rules.swap("two", &retitled("Malware again"));
    let second = format!("hash=\"{}\"", rules.hash());
    worker.process.hang_up();
    scene
        .wait_for("the new rules", &mut worker, |worker| {
            worker.metric("alert_responder_rules_info", &second) == Some(1.0)
        })
        .await;
    assert!(worker.process.exited().is_none());
}
