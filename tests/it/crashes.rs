//! The worker is killed again and again, and what it promises is checked from outside: no alert is lost, no device is
//! scanned twice, no window of the quota is overdrawn.

#![expect(clippy::print_stdout, reason = "a failure must be repeatable: seed and figures are shown with it")]

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::time::sleep;

use crate::support::account::audit_balances;
use crate::support::load::{Load, id_of};
use crate::support::scene::{Quota, Scene};

/// How much is done.
struct Size {
    alerts: usize,
    devices: usize,
    partitions: i32,
    kills: usize,
    quota: Quota,
}

impl Size {
    fn of_this_run() -> Self {
        let long = std::env::var_os("ALERT_RESPONDER_LONG").is_some();
        let real = std::env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_some();
        // Both windows are full for most of the time.
        let quota = Quota { per_second: 20, per_long: 80, long: Duration::from_secs(15) };
        match (real, long) {
            (true, false) => Self { alerts: 10_000, devices: 240, partitions: 6, kills: 5, quota },
            (true, true) => Self { alerts: 60_000, devices: 1800, partitions: 6, kills: 50, quota },
            // The embedded broker keeps 5 MiB of a partition, and the ledger has one.
            (false, _) => {
                let quota = Quota { per_second: 10, per_long: 30, long: Duration::from_secs(10) };
                Self { alerts: 1000, devices: 72, partitions: 3, kills: 3, quota }
            }
        }
    }
}

fn seed() -> u64 {
    let given = std::env::var("ALERT_RESPONDER_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = given.unwrap_or_else(rand::random);
    println!("ALERT_RESPONDER_SEED={seed} repeats this load and the rules of its kills");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_it_loses_no_alert_and_scans_no_device_twice() {
    let (size, seed, began) = (Size::of_this_run(), seed(), Instant::now());
    let mut random = StdRng::seed_from_u64(seed);
    let load = Load::of(size.alerts, size.devices, seed);
    let mut scene = Scene::set(&load, size.partitions, size.quota).await;
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    let mut lines = load.lines.chunks(size.alerts.div_ceil(size.kills + 1));
    for kill in 1..=size.kills {
        let alerts_topic = scene.settings.alerts_topic.clone();
        scene.wait_for("alerts are read", &mut worker, |worker| worker.owned(&alerts_topic) > 0).await;
        scene.produce(lines.next().unwrap_or_default()).await;
        if kill % 3 == 2 {
            // While alerts are taken in.
            sleep(Duration::from_millis(random.random_range(0..1000))).await;
        } else {
            scene.after_more_calls(&mut worker, random.random_range(2..20)).await;
            sleep(Duration::from_millis(random.random_range(0..150))).await;
        }
        worker.process.kill();
        println!("kill {kill} after {:?}, {} scan calls", began.elapsed(), scene.simulator.scans().len());
        worker = scene.start_worker();
    }
    scene.produce(&lines.flatten().cloned().collect::<Vec<_>>()).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    println!("at rest after {:?}", began.elapsed());
    scene.check_promises(&load, &ledger).await;
}

/// Whoever reads a record again may do so by other rules. What the ledger holds of it stands, so that no alert comes to two
/// ends: both asked for and skipped.
#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_with_other_rules_every_alert_has_one_outcome() {
    let load = Load::of(20, 4, 5);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    let mut ledger = scene.ledger().await;
    let rule = scene.directory.path().join("rules/2.yml");
    let asks = std::fs::read_to_string(&rule).expect("the rule in shadow");
    let asks_nothing = asks.replace("SuspiciousActivity", "NothingLikeThat");
    assert_ne!(asks, asks_nothing);
    for round in 0..2 {
        std::fs::write(&rule, &asks).expect("a rule");
        let mut worker = scene.start_worker();
        let alerts_topic = scene.settings.alerts_topic.clone();
        scene.wait_for("alerts are read", &mut worker, |worker| worker.owned(&alerts_topic) > 0).await;
        let known = ledger.requests.len();
        let lines: Vec<String> = (0..150).map(|number| suspicious(&format!("{round}-{number}"))).collect();
        scene.produce(&lines).await;
        while ledger.requests.len() == known {
            ledger.read().await;
            assert!(worker.process.exited().is_none(), "{}", worker.process.tail());
        }
        worker.process.kill();
        let uncommitted = scene.uncommitted().await;
        println!("round {round}: killed with {uncommitted} alerts uncommitted");

        std::fs::write(&rule, &asks_nothing).expect("a rule");
        let mut worker = scene.start_worker();
        scene.comes_to_rest(known + 1, &mut ledger, &mut worker).await;
        println!("round {round}: {} requests of 150 alerts", ledger.requests.len() - known);
        assert_eq!(audit_balances(&scene.worker_config()), Vec::<String>::new());
        worker.process.kill();
    }
}

fn suspicious(id: &str) -> String {
    let device = json!({ "id": id_of("ws-0001"), "name": "ws-0001" });
    json!({ "id": id, "category": "SuspiciousActivity", "severity": "high", "device": device }).to_string()
}
