//! Kafka is away: at the start, under load; or a topic is missing.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use crate::support::load::Load;
use crate::support::scene::{LEAVE_WITHIN, Quota, Scene, Worker};

const A_WHILE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_before_its_broker_waits_for_it() {
    let load = Load::for_each(&["ws-1", "ws-2"]);
    let mut scene = Scene::set_on_own_broker(&load, 1, Quota::AMPLE).await;
    scene.produce(&load.lines).await;
    scene.broker.set_up(false);
    let mut worker = scene.start_worker();
    worker.process.says("Kafka does not answer; the worker waits for it.", A_WHILE).await;
    assert!(worker.not_ready().is_some_and(|why| why.contains("topics checked")), "{:?}", worker.not_ready());
    scene.broker.set_up(true);
    let mut ledger = scene.ledger().await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.wait_for("it is ready", &mut worker, |worker| worker.not_ready().is_none()).await;
    scene.check_promises(&load, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_ledger_is_away_nothing_is_called_and_afterwards_all_is_done_once() {
    let load = Load::of(800, 96, 13);
    let quota = Quota { per_second: 5, per_long: 50, long: Duration::from_secs(10) };
    let mut scene = Scene::set_on_own_broker(&load, 3, quota).await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.after_more_calls(&mut worker, 10).await;
    let went = Timestamp::now();
    scene.broker.set_up(false);
    let gone = Timestamp::now();
    // Long enough for a worker that calls without the ledger to give itself away, and for its appends to be given up.
    sleep(Duration::from_secs(15)).await;
    let back = Timestamp::now();
    let calls = scene.simulator.scans();
    let last = gone.saturating_add(LEAVE_WITHIN + Duration::from_millis(500)).expect("a time");
    let late = calls.iter().filter(|call| call.at > last && call.at < back).count();
    assert_eq!(late, 0, "calls without the ledger, which went between {went} and {gone}");
    assert!(calls.len() < load.intended.len(), "there was work to do");
    scene.broker.set_up(true);
    let mut ledger = scene.ledger().await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_came_while_the_ledger_was_away_survive_the_death_of_who_read_them() {
    let load = Load::of(400, 36, 23);
    let mut scene = Scene::set_on_split_brokers(&load, 3, Quota::AMPLE).await;
    let ledger_topic = scene.settings.ledger_topic.clone();
    let mut worker = scene.start_worker();
    scene.wait_for("it dispatches", &mut worker, |worker| worker.owned(&ledger_topic) == 1).await;
    scene.broker.set_up(false);
    scene.produce(&load.lines).await;
    let read = |worker: &Worker| worker.metric("alert_responder_alerts_received_total", "").unwrap_or(0.0);
    scene.wait_for("alerts were read", &mut worker, |worker| read(worker) > 100.0).await;
    // Several times the interval of commits.
    sleep(Duration::from_secs(2)).await;
    let uncommitted = scene.uncommitted().await;
    assert!(uncommitted > 300, "{uncommitted} of {} alerts are not committed", load.lines.len());
    worker.process.kill();
    scene.broker.set_up(true);
    let mut worker = scene.start_worker();
    let mut ledger = scene.ledger().await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_missing_is_said_by_name() {
    let mut scene = Scene::set(&Load::for_each(&["ws-1"]), 1, Quota::AMPLE).await;
    scene.configure(json!({ "kafka": { "ledger_topic": "nobody-made-this" } }));
    let mut worker = scene.start_worker();
    assert_eq!(worker.process.exit_code(A_WHILE).await, 3, "{}", worker.process.tail());
    let said = worker.process.said();
    assert!(said.contains("nobody-made-this") && said.contains("create"), "{said}");
}
