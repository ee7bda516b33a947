//! Defender is away for a long while: longer than all the attempts that a scan has.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene};

/// With the scaled settings of these tests (six attempts, waits of 0.2 to 2 s) a scan that spent an attempt at every turn
/// would have given up in half of this.
const A_LONG_WHILE: Duration = Duration::from_secs(15);

async fn goes_on_after(fault: Value) {
    let load = Load::for_each(&["ws-1", "ws-2", "ws-3", "ws-4", "ws-5", "ws-6", "ws-7", "ws-8"]);
    let mut scene = Scene::set(&load, 2, Quota::AMPLE).await;
    let ledger_topic = scene.settings.ledger_topic.clone();
    let mut ledger = scene.ledger().await;
    // From before its first token, which it would keep for an hour.
    scene.simulator.fault(&fault);
    let mut worker = scene.start_worker();
    scene.wait_for("it dispatches", &mut worker, |worker| worker.owned(&ledger_topic) == 1).await;
    scene.produce(&load.lines).await;
    let breaker = |worker: &crate::support::scene::Worker| worker.metric("alert_responder_breaker_state", "");
    scene.wait_for("the breaker opens", &mut worker, |worker| breaker(worker).is_some_and(|state| state > 0.0)).await;
    let opened = Timestamp::now();
    sleep(A_LONG_WHILE).await;
    assert_eq!(scene.uncommitted().await, 0, "{fault}: alerts are taken in all the same");
    ledger.read().await;
    assert_eq!(ledger.open(), load.requests(), "{fault}: nothing has ended\n{}", worker.process.tail());
    let probes = scene.simulator.scans().iter().filter(|call| call.at > opened).count();
    // One probe at a time, with growing waits: far fewer than the calls that eight devices would make on their own.
    assert!(probes <= 30, "{fault}: {probes} calls while the breaker was open");
    scene.simulator.heal();
    let healed = Instant::now();
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.wait_for("the breaker closes", &mut worker, |worker| breaker(worker) == Some(0.0)).await;
    scene.check_promises(&load, &ledger).await;
    assert_eq!(
        ledger.totals().get("scanned"),
        Some(&load.lines.len()),
        "{fault}: {:?} {:?}",
        ledger.totals(),
        healed.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_outage_of_the_api_every_scan_is_made_once() {
    goes_on_after(json!({ "fault": "status", "status": 503, "scope": "api" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_application_lost_its_authorisation_nothing_is_dropped() {
    goes_on_after(json!({ "fault": "status", "status": 401, "body": "shaped", "scope": "api" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_token_can_be_had_nothing_is_dropped() {
    goes_on_after(json!({ "fault": "status", "status": 503, "scope": "token" })).await;
}
