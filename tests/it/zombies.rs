//! A worker stands still for longer than its session, another takes over, and then it goes on as if nothing had happened.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene, Worker};

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_wakes_up_after_its_successor_took_over_does_no_harm() {
    let real = std::env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_some();
    let (alerts, devices, naps) = if real { (3000, 160, 3) } else { (500, 60, 1) };
    let load = Load::of(alerts, devices, 29);
    let partitions = 4;
    let quota = Quota { per_second: 8, per_long: 40, long: Duration::from_secs(10) };
    let mut scene = Scene::set(&load, partitions, quota).await;
    let ledger_topic = scene.settings.ledger_topic.clone();
    let mut ledger = scene.ledger().await;
    let mut owner = scene.start_worker();
    scene.wait_for("the first worker owns the ledger", &mut owner, |one| one.owned(&ledger_topic) == 1).await;
    let mut other = scene.start_worker();
    let mut lines = load.lines.chunks(load.lines.len().div_ceil(naps));
    for nap in 1..=naps {
        scene.produce(lines.next().unwrap_or_default()).await;
        // In the middle of calls: some are under way, some are intended and not sent.
        scene.after_more_calls(&mut owner, 6).await;
        owner.process.stand_still();
        let stood = scene.simulator.scans().len();
        scene.wait_for("the other took over", &mut other, |other| other.owned(&ledger_topic) == 1).await;
        scene.after_more_calls(&mut other, 6).await;
        assert!(scene.simulator.scans().len() > stood, "nap {nap}: the successor calls");
        let before = ledger_claims(&mut ledger).await;
        assert!(before > nap, "nap {nap}: {before} claims");
        owner.process.go_on();
        // It must find out by itself that it is no longer the owner.
        scene.wait_for("it steps back", &mut owner, |owner| owns_nothing(owner, &ledger_topic)).await;
        sleep(Duration::from_secs(1)).await;
        (owner, other) = (other, owner);
    }
    scene.produce(&lines.flatten().cloned().collect::<Vec<_>>()).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut owner).await;
    scene.check_promises(&load, &ledger).await;
    assert!(other.process.exited().is_none(), "the one that stood still is a standby again\n{}", other.process.tail());
}

async fn ledger_claims(ledger: &mut crate::support::ledger::Ledger) -> usize {
    ledger.read().await;
    ledger.claims
}

fn owns_nothing(worker: &Worker, ledger_topic: &str) -> bool {
    worker.metric("alert_responder_owned_partitions", &format!("\"{ledger_topic}\"")) == Some(0.0)
}
