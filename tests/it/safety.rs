//! The button is not pressed unless somebody said so: shadow is the default, and the kill switch holds everything back.

use std::time::Duration;

use alert_responder::event::{Outcome, SuppressedReason};
use alert_responder::kafka::{LedgerConsumer, LedgerInput};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::account::nothing_is_lost;
use crate::support::load::Load;
use crate::support::scene::{Quota, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_nobody_set_live_decides_everything_and_calls_nothing() {
    let load = Load::of(300, 36, 17);
    let mut scene = Scene::set(&load, 3, Quota::AMPLE).await;
    scene.config.as_object_mut().expect("an object").remove("mode").expect("it was live");
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    assert_eq!(scene.simulator.scans().len(), 0);
    let wrong = nothing_is_lost(&scene.settings, &load, &ledger).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let others = ledger.outcomes.values().flatten().filter(|outcome| {
        use SuppressedReason::{Cooldown, Duplicate};
        !matches!(outcome, Outcome::Shadowed | Outcome::Suppressed(Cooldown | Duplicate))
    });
    assert_eq!(others.count(), 0, "{:?}", ledger.totals());
    assert!(ledger.totals()["shadowed"] >= load.devices.len(), "{:?}", ledger.totals());
    assert!(ledger.intents.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn halted_it_takes_alerts_in_and_calls_nothing_until_it_may() {
    let load = Load::of(300, 36, 19);
    let mut scene = Scene::set(&load, 3, Quota::AMPLE).await;
    scene.configure(json!({ "halted": true }));
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene
        .wait_for("the requests wait", &mut worker, |worker| {
            let waiting = worker.metric("alert_responder_queue_scans", "").unwrap_or(0.0);
            let halted = worker.metric("alert_responder_halted", "") == Some(1.0);
            halted && waiting >= load.intended.len() as f64
        })
        .await;
    // Many times the merge window, the tick and the first retry.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.simulator.scans().len(), 0);
    assert_eq!(scene.uncommitted().await, 0, "alerts are taken in all the same");
    ledger.read().await;
    assert_eq!((ledger.requests.len(), ledger.intents.len()), (load.requests(), 0));
    worker.process.terminate();
    assert_eq!(worker.process.exit_code(Duration::from_secs(40)).await, 0, "{}", worker.process.tail());

    scene.configure(json!({ "halted": false }));
    let mut worker = scene.start_worker();
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_lost_its_records_halts_dispatch_and_readiness_says_so() {
    let load = Load::for_each(&["ws-1"]);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    // As after a topic that was deleted and made anew: the group stands where the log no longer is.
    let mut former = LedgerConsumer::join(&scene.settings).expect("a consumer");
    while !matches!(former.next().await, LedgerInput::Assigned(_)) {}
    former.commit(0, 1000, "").await.expect("a commit");
    former.close(Duration::from_secs(10)).await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene
        .wait_for("it says that the ledger is not intact", &mut worker, |worker| {
            worker.not_ready().is_some_and(|said| said.contains("[-] ledger intact"))
                && worker.process.said().contains("accept_lost_ledger")
        })
        .await;
    // It stays so: everything else was ready long before.
    let still = Instant::now() + Duration::from_secs(2);
    while Instant::now() < still {
        let said = worker.not_ready().unwrap_or_default();
        assert!(said.contains("[-] ledger intact"), "{said}");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.simulator.scans().len(), 0);
}
