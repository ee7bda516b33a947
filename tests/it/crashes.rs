//! The worker is killed again and again, and what it promises is checked from outside: no alert is lost, no device is
//! scanned twice, no window of the quota is overdrawn.

#![expect(clippy::print_stdout, reason = "a failure must be repeatable: seed and figures are shown with it")]

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::time::sleep;

use crate::support::account::{each_device_is_scanned_once, nothing_is_lost, quota_is_kept};
use crate::support::load::Load;
use crate::support::process::LOOK_EVERY;
use crate::support::scene::{LEAVE_WITHIN, Scene, Worker};
use crate::support::simulator::most_in_any_window;

/// How much is done.
struct Size {
    alerts: usize,
    devices: usize,
    partitions: i32,
    kills: usize,
    /// Calls in any second, and in any `long`.
    short_limit: usize,
    long_limit: usize,
    long: Duration,
}

impl Size {
    fn of_this_run() -> Self {
        let long = std::env::var_os("ALERT_RESPONDER_LONG").is_some();
        let real = std::env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_some();
        let window = Duration::from_secs(15);
        match (real, long) {
            (true, false) => Self {
                alerts: 10_000,
                devices: 240,
                partitions: 6,
                kills: 5,
                short_limit: 20,
                long_limit: 80,
                long: window,
            },
            (true, true) => Self {
                alerts: 60_000,
                devices: 1800,
                partitions: 6,
                kills: 50,
                short_limit: 20,
                long_limit: 80,
                long: window,
            },
            // The embedded broker keeps 5 MiB of a partition, and the ledger has one.
            (false, _) => Self {
                alerts: 1000,
                devices: 72,
                partitions: 3,
                kills: 3,
                short_limit: 10,
                long_limit: 30,
                long: Duration::from_secs(10),
            },
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
    let quotas = [(size.short_limit, Duration::from_secs(1)), (size.long_limit, size.long)];
    let mut flags = load.machines();
    for (calls, window) in quotas {
        flags.extend(["--quota".to_owned(), format!("{calls}/{}s", window.as_secs())]);
    }
    let mut scene = Scene::set(size.partitions, &flags).await;
    scene.configure(json!({ "scheduler": { "quota": {
        "per_minute": size.short_limit, "per_hour": size.long_limit, "hour_window": format!("{}s", size.long.as_secs()),
    } } }));
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
            after_more_calls(&scene, &mut worker, random.random_range(2..20)).await;
            sleep(Duration::from_millis(random.random_range(0..150))).await;
        }
        worker.process.kill();
        println!("kill {kill} after {:?}, {} scan calls", began.elapsed(), scene.simulator.scans().len());
        worker = scene.start_worker();
    }
    scene.produce(&lines.flatten().cloned().collect::<Vec<_>>()).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;

    let calls = scene.simulator.scans();
    let mut wrong = nothing_is_lost(&scene.settings, &load, &ledger).await;
    wrong.extend(each_device_is_scanned_once(&load, &ledger, &calls, LEAVE_WITHIN));
    let by_name = load.devices.iter().filter(|name| name.starts_with("sim-429")).count();
    wrong.extend(quota_is_kept(&calls, &quotas, by_name));
    println!(
        "{} alerts, {} kills, {} calls, {} scans of {} intended; {} attempts were without a result when the next owner \
         came, {} were found by a list; {} repeated requests, {} void ends; fullest windows {:?} of {quotas:?}; {:?}; {:?}",
        load.lines.len(),
        size.kills,
        calls.len(),
        calls.iter().filter(|call| call.created).count(),
        load.intended.len(),
        ledger.inherited,
        ledger.accepted_by_list,
        ledger.repeated,
        ledger.void,
        quotas.map(|(_, window)| most_in_any_window(&calls, window)),
        ledger.totals(),
        began.elapsed(),
    );
    assert!(wrong.is_empty(), "{} promises are broken:\n{}", wrong.len(), wrong.join("\n"));
}

/// Waits until some more calls were made, or it is clear that none come.
async fn after_more_calls(scene: &Scene, worker: &mut Worker, more: usize) {
    let (begin, deadline) = (scene.simulator.scans().len(), Instant::now() + Duration::from_secs(20));
    while scene.simulator.scans().len() < begin + more && Instant::now() < deadline {
        assert!(worker.process.exited().is_none(), "the worker ended by itself\n{}", worker.process.tail());
        sleep(LOOK_EVERY / 5).await;
    }
}
