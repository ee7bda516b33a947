//! Intake while brokers or topics are away.

use std::collections::BTreeSet;
use std::time::Duration;

use alert_responder::kafka::{Cluster, ClusterSettings, EmbeddedBroker, committed, read_all};

use super::intake::{PATIENCE, balance, ledger_names, mixed, produce, start};
use crate::support::broker::Broker;

#[tokio::test]
async fn an_outage_of_the_brokers_loses_nothing() {
    let broker = Broker::start(1).await;
    let Some(embedded) = &broker.embedded else { return };
    embedded.set_up(false);
    let running = start(&broker);
    embedded.set_up(true);
    produce(&broker, mixed(100)).await;
    running.watcher.until_decided(100).await;
    embedded.set_up(false);
    embedded.set_up(true);
    produce(&broker, mixed(100)).await;
    running.watcher.until_decided(200).await;
    running.stop().await;
    assert_eq!(balance(&broker).await.records, 200);
}

/// Alerts on one cluster, the ledger on another that is away: intake waits, stays a member, and takes no more in.
#[tokio::test]
async fn a_ledger_that_is_away_holds_commits_back_and_nothing_is_lost() {
    let mut broker = Broker::start(2).await;
    if broker.embedded.is_none() {
        return;
    }
    let settings = &mut broker.settings;
    let ledger = EmbeddedBroker::start(&[(&settings.ledger_topic, 1), (&settings.dead_letters_topic, 1)]).unwrap();
    settings.ledger.cluster = Some(ClusterSettings {
        bootstrap_servers: ledger.bootstrap_servers().to_owned(),
        librdkafka: settings.librdkafka.clone(),
        ..ClusterSettings::default()
    });
    ledger.set_up(false);
    produce(&broker, (0..100).map(|number| format!("scan {number}"))).await;
    // From here on only: a busy machine may take longer for the alerts themselves.
    broker.settings.delivery_timeout = Duration::from_secs(1);
    let first = start(&broker);
    first.watcher.until_owning(2).await;
    // The appends of what was read have failed at least once.
    let mut trouble = first.watcher.trouble.subscribe();
    let seen = trouble.wait_for(|codes| codes.contains(&"not_acknowledged"));
    tokio::time::timeout(PATIENCE, seen).await.expect("trouble in time").unwrap();
    drop(trouble);

    // A second member gets a partition although the first cannot finish it.
    let second = start(&broker);
    second.watcher.until_owning(1).await;
    first.watcher.until_owning(1).await;
    let settings = &broker.settings;
    let commits = committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
    // The beginning may be committed, so that the next owner knows where in the ledger to look; nothing beyond it.
    assert!(commits.values().all(|commit| commit.offset == 0), "{commits:?}");

    ledger.set_up(true);
    tokio::time::timeout(PATIENCE, async {
        loop {
            let commits =
                committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
            if commits.values().map(|commit| commit.offset).sum::<i64>() == 100 {
                break;
            }
        }
    })
    .await
    .expect("everything is committed in time");
    first.stop().await;
    second.stop().await;
    let sum = balance(&broker).await;
    assert_eq!((sum.records, sum.requested), (100, 100));
    // An append that was given up may have arrived, and a record may have been decided by both: the ids tell.
    let names: BTreeSet<String> = ledger_names(&broker).await.into_iter().collect();
    assert_eq!(names.len(), 100);
}

#[tokio::test]
async fn stopping_while_the_brokers_are_away_ends_all_the_same() {
    let broker = Broker::start(1).await;
    let Some(embedded) = &broker.embedded else { return };
    let running = start(&broker);
    running.watcher.until_owning(1).await;
    produce(&broker, mixed(10)).await;
    running.watcher.until_decided(10).await;
    embedded.set_up(false);
    running.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_too_large_is_written_without_its_content() {
    let broker = Broker::start(1).await;
    if broker.embedded.is_some() {
        // The mock cluster takes records of any size.
        return;
    }
    // Just below the 1,048,588 bytes that a broker takes: with more headers it is above.
    produce(&broker, ["x".repeat(1_048_400), "skip 1".to_owned()]).await;
    let running = start(&broker);
    running.watcher.until_decided(2).await;
    running.stop().await;
    let settings = &broker.settings;
    let letters = read_all(settings, Cluster::Ledger, &settings.dead_letters_topic).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].payload, None);
    assert_eq!(letters[0].header("alert_responder_position_only"), Some("true"));
    assert_eq!(letters[0].header("alert_responder_offset"), Some("0"));
    assert_eq!(balance(&broker).await.records, 2);
}

/// The one broker is killed and comes back: what was acknowledged is there, and the rest is decided after.
#[tokio::test]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let broker = Broker::start_own(2).await;
    let running = start(&broker);
    running.watcher.until_owning(2).await;
    produce(&broker, mixed(2000)).await;
    running.watcher.until_decided(500).await;
    broker.kill();
    broker.set_up(true);
    produce(&broker, mixed(500)).await;
    running.watcher.until_decided(2500).await;
    running.stop().await;
    let sum = balance(&broker).await;
    let names: BTreeSet<String> = ledger_names(&broker).await.into_iter().collect();
    assert_eq!((sum.records, sum.requested, names.len()), (2500, 500, 500));
}
