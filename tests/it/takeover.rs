//! Two workers of one group: both take alerts in, one dispatches, and when that one dies the other goes on.

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn the_other_worker_goes_on_where_the_dispatching_one_was_killed() {
    let real = std::env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_some();
    let (alerts, devices) = if real { (3000, 120) } else { (600, 48) };
    let load = Load::of(alerts, devices, 7);
    let partitions = 6;
    let quota = Quota { per_second: 10, per_long: 60, long: std::time::Duration::from_secs(10) };
    let mut scene = Scene::set(&load, partitions, quota).await;
    let (alerts_topic, ledger_topic) = (scene.settings.alerts_topic.clone(), scene.settings.ledger_topic.clone());
    let mut ledger = scene.ledger().await;
    let mut one = scene.start_worker();
    scene.wait_for("the first worker owns the ledger", &mut one, |one| one.owned(&ledger_topic) == 1).await;
    let mut other = scene.start_worker();
    scene
        .wait_for("both read alerts", &mut other, |other| {
            let (ours, theirs) = (one.owned(&alerts_topic), other.owned(&alerts_topic));
            let dispatching = one.owned(&ledger_topic) + other.owned(&ledger_topic);
            ours > 0 && theirs > 0 && ours + theirs == partitions as usize && dispatching == 1
        })
        .await;
    let (mut dispatching, mut standing_by) = if one.owned(&ledger_topic) == 1 { (one, other) } else { (other, one) };
    let (first, rest) = load.lines.split_at(load.lines.len() / 2);
    scene.produce(first).await;
    scene.after_more_calls(&mut dispatching, 8).await;
    assert!(standing_by.metric("alert_responder_alerts_received_total", "").is_some_and(|read| read > 0.0));
    assert_eq!(standing_by.owned(&ledger_topic), 0, "it has not dispatched yet");
    dispatching.process.kill();
    scene.produce(rest).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut standing_by).await;
    assert_eq!(standing_by.owned(&ledger_topic), 1);
    assert_eq!(standing_by.owned(&alerts_topic), partitions as usize);
    assert!(ledger.claims >= 2, "the second owner claimed");
    scene.check_promises(&load, &ledger).await;
}
