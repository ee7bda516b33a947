//! What could not be decoded can be looked at, and sent back once: every rule and limit applies to it then, and nothing turns in
//! a circle.

use alert_responder::event::DeadLetterReason;
use alert_responder::kafka::{Cluster, ConsumedRecord, DeadLetter, LedgerWriter, read_all};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene, Worker};

fn lines(said: (i32, String, String)) -> Vec<Value> {
    assert_eq!(said.0, 0, "{}{}", said.1, said.2);
    said.1.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn results(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["result"].as_str().expect("a result")).collect()
}

async fn letters_are(scene: &Scene, worker: &mut Worker, count: usize) {
    scene
        .wait_for("the dead letters are there", worker, |worker| {
            worker.metric("alert_responder_dead_letters_total", "") == Some(count as f64)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_goes_back_once_and_never_in_a_circle() {
    let load = Load::for_each(&["ws-1"]);
    let mut scene = Scene::set(&load, 3, Quota::AMPLE).await;
    let mut worker = scene.start_worker();
    scene.produce(&["{\"id\":".to_owned(), "[1,".to_owned(), "{\"unknown\": 1}".to_owned()]).await;
    letters_are(&scene, &mut worker, 3).await;

    let listed = lines(scene.command(&["dead-letters", "list", "--output", "json"]));
    let reasons: Vec<&str> = listed.iter().map(|letter| letter["reason"].as_str().expect("a reason")).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "not_json").count(), 2, "{listed:?}");
    assert!(listed.iter().all(|letter| letter["replays"] == 0 && letter["excerpt"].is_string()));
    assert_eq!(
        lines(scene.command(&["dead-letters", "list", "--reason", "unknown_format", "--output", "json"])).len(),
        1
    );
    let (code, said, _) = scene.command(&["dead-letters", "list", "--limit", "1"]);
    assert!(code == 0 && said.ends_with("3 dead letters, 1 shown\n"), "{said}");

    let (code, ..) = scene.command(&["dead-letters", "replay"]);
    assert_eq!(code, 2, "all of them only by that word");
    let replay = ["dead-letters", "replay", "--reason", "not_json", "--output", "json"];
    let dry = lines(scene.command(&[&replay[..], &["--dry-run"]].concat()));
    assert_eq!(results(&dry), ["would_send", "would_send"]);
    assert!(dry[0]["decisions"][0].as_str().expect("a decision").starts_with("dead letter again, not_json"), "{dry:?}");
    assert_eq!(results(&lines(scene.command(&replay))), ["sent", "sent"], "the dry run sent nothing");
    letters_are(&scene, &mut worker, 5).await;
    // The two that were sent, and the two that came back.
    let again = lines(scene.command(&replay));
    assert_eq!(results(&again), ["already_replayed", "already_replayed", "dead_again", "dead_again"]);
    let listed = lines(scene.command(&["dead-letters", "list", "--output", "json"]));
    assert_eq!(listed.iter().filter(|letter| letter["replays"] == 1).count(), 2, "{listed:?}");

    let insisted = lines(scene.command(&[&replay[..], &["--again", "--limit", "3"]].concat()));
    assert_eq!(results(&insisted), ["sent", "sent", "sent", "beyond_limit"]);
    letters_are(&scene, &mut worker, 8).await;
    let listed = lines(scene.command(&["dead-letters", "list", "--output", "json"]));
    assert_eq!(listed.iter().filter(|letter| letter["replays"] == 2).count(), 1, "the count goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_can_be_read_by_now_is_decided_like_any_alert() {
    let load = Load::for_each(&["ws-1"]);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    let mut worker = scene.start_worker();
    // As if an earlier version had not understood it.
    let record = ConsumedRecord {
        partition: 0,
        offset: 7,
        timestamp: None,
        key: Some(b"key".to_vec()),
        payload: Some(load.lines[0].clone().into_bytes()),
        headers: vec![(
            "traceparent".to_owned(),
            Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec()),
        )],
    };
    let time = Timestamp::from_millisecond(Timestamp::now().as_millisecond() - 60_000).expect("a time");
    let letter = DeadLetter {
        topic: &scene.settings.alerts_topic,
        record: &record,
        reason: DeadLetterReason::UnknownFormat,
        detail: "no format fits",
        time,
        position_only: false,
    };
    let writer = LedgerWriter::new(&scene.settings).expect("a producer");
    // Twice, as by an owner that died before it committed.
    for _ in 0..2 {
        writer.enqueue_dead_letter(&letter).expect("queued").await.expect("written");
    }
    let too_large = DeadLetter { position_only: true, reason: DeadLetterReason::TooLarge, ..letter };
    writer.enqueue_dead_letter(&too_large).expect("queued").await.expect("written");

    let replay = ["dead-letters", "replay", "--all", "--output", "json"];
    let dry = lines(scene.command(&[&replay[..], &["--dry-run"]].concat()));
    assert_eq!(results(&dry), ["would_send", "same_record", "not_kept"]);
    let decision = dry[0]["decisions"][0].as_str().expect("a decision");
    assert!(decision.contains("Quick scan of ws-1 by rule 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77"), "{decision}");
    assert!(read_all(&scene.settings, Cluster::Alerts, &scene.settings.alerts_topic).await.expect("alerts").is_empty());

    assert_eq!(results(&lines(scene.command(&replay))), ["sent", "same_record", "not_kept"]);
    let alerts = read_all(&scene.settings, Cluster::Alerts, &scene.settings.alerts_topic).await.expect("alerts");
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!((&alert.key, &alert.payload), (&record.key, &record.payload));
    let names: Vec<&str> = alert.headers.iter().map(|(name, _)| name.as_str()).collect();
    let own = ["alert_responder_replay_of", "alert_responder_replay_source", "alert_responder_replays"];
    assert_eq!(names, [&["traceparent"], &own[..]].concat());
    let dead = format!("{}/0/0", scene.settings.dead_letters_topic);
    let source = format!("{}/0/7", scene.settings.alerts_topic);
    assert_eq!(own.map(|name| alert.header(name)), [dead.as_str(), &source, "1"].map(Some));
    assert_eq!(alert.timestamp, Some(time), "it is as old as it is");
    scene
        .wait_for("its device is scanned", &mut worker, |_| scene.simulator.scans().iter().any(|call| call.created))
        .await;
    let expected = json!(["already_replayed", "already_replayed", "not_kept"]);
    assert_eq!(json!(results(&lines(scene.command(&replay)))), expected);
}
