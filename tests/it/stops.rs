//! SIGTERM: what is under way is finished and recorded within the grace period, and the next start goes on.

use std::time::Duration;

use serde_json::json;

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene};

/// Longer than the grace period and everything after it.
const LONG_ENOUGH: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_under_load_it_leaves_nothing_in_doubt_and_goes_on_later() {
    let load = Load::of(800, 60, 11);
    let mut scene = Scene::set(&load, 3, Quota { per_second: 10, per_long: 60, long: Duration::from_secs(10) }).await;
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.after_more_calls(&mut worker, 10).await;
    worker.process.terminate();
    assert_eq!(worker.process.exit_code(LONG_ENOUGH).await, 0, "{}", worker.process.tail());
    ledger.read().await;
    let (calls, open) = (scene.simulator.scans().len(), ledger.open());
    assert!(open > 0, "there was work to do");

    let mut worker = scene.start_worker();
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    assert!(scene.simulator.scans().len() > calls, "the rest was done by the second");
    scene.check_promises(&load, &ledger).await;
    // The troubled devices' answers are lost with or without a stop; no other may be.
    let troubled = load.devices.iter().filter(|name| name.starts_with("sim-")).count();
    assert!(ledger.inherited <= troubled, "{} attempts were left without a result", ledger.inherited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_the_grace_period_is_work_left_and_resolved_by_the_next() {
    let load = Load::for_each(&["sim-hang-once-1"]);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    scene.configure(json!({
        "defender": { "call_timeout": "5s" },
        "scheduler": { "call_timeout": "5s" },
        "worker": { "shutdown_grace": "1s" },
    }));
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    let calls = || scene.simulator.scans().len();
    scene.wait_for("the call has arrived", &mut worker, |_| calls() == 1).await;
    worker.process.terminate();
    assert_eq!(worker.process.exit_code(LONG_ENOUGH).await, 4, "{}", worker.process.tail());

    let mut worker = scene.start_worker();
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
    assert_eq!((ledger.inherited, scene.simulator.scans().len()), (1, 2));
}
