//! Workers join and leave the group all the time, politely or not, while alerts come in.

#![expect(clippy::print_stdout, reason = "a failure must be repeatable: seed and figures are shown with it")]

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::sleep;

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene, Worker};

/// Workers at the same time.
const FEWEST: usize = 2;
const MOST: usize = 4;
/// Longer than the grace period and everything after it.
const LONG_ENOUGH: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn while_workers_come_and_go_nothing_is_lost_and_nothing_scanned_twice() {
    let real = std::env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_some();
    let (alerts, devices, changes) = if real { (6000, 200, 12) } else { (600, 60, 4) };
    let seed =
        std::env::var("ALERT_RESPONDER_SEED").ok().map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("ALERT_RESPONDER_SEED={seed} repeats this load and these changes");
    let mut random = StdRng::seed_from_u64(seed);
    let load = Load::of(alerts, devices, seed);
    let quota = Quota { per_second: 10, per_long: 60, long: Duration::from_secs(10) };
    let mut scene = Scene::set(&load, 6, quota).await;
    let mut ledger = scene.ledger().await;
    let mut workers: Vec<Worker> = vec![scene.start_worker(), scene.start_worker()];
    let mut lines = load.lines.chunks(alerts.div_ceil(changes + 1));
    for change in 1..=changes {
        scene.produce(lines.next().unwrap_or_default()).await;
        let somebody = random.random_range(0..workers.len());
        scene.after_more_calls(&mut workers[somebody], random.random_range(1..10)).await;
        let joins = workers.len() <= FEWEST || (workers.len() < MOST && random.random_bool(0.5));
        if joins {
            workers.push(scene.start_worker());
        } else {
            let mut leaving = workers.swap_remove(random.random_range(0..workers.len()));
            if random.random_bool(0.5) {
                leaving.process.kill();
            } else {
                leaving.process.terminate();
                // 0: everything was finished; 4: something was left to the others, and nothing of it is lost.
                let code = leaving.process.exit_code(LONG_ENOUGH).await;
                assert!(matches!(code, 0 | 4), "{code}\n{}", leaving.process.tail());
            }
        }
        println!("change {change}: {} workers, {} scan calls", workers.len(), scene.simulator.scans().len());
        sleep(Duration::from_millis(random.random_range(0..3000))).await;
    }
    scene.produce(&lines.flatten().cloned().collect::<Vec<_>>()).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut workers[0]).await;
    scene.check_promises(&load, &ledger).await;
    for worker in &mut workers {
        assert!(worker.process.exited().is_none(), "it ended by itself\n{}", worker.process.tail());
        let lost = worker.metric("alert_responder_alerts_unaccounted", "");
        assert_eq!(lost, Some(0.0), "{}", worker.process.tail());
    }
}
