//! What an operator orders binds every replica: a halt stops every call within a second wherever it was pulled, loses nothing,
//! and outlives the process.

use std::time::Duration;

use alert_responder::event::{EventBody, ScanEvent};
use alert_responder::kafka::LedgerWriter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::load::Load;
use crate::support::scene::{Quota, Scene, Worker};

/// Enough calls for several seconds.
const PACE: Quota = Quota { per_second: 10, per_long: 60, long: Duration::from_secs(10) };

fn devices(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("ws-{number}")).collect()
}

fn load(count: usize) -> Load {
    let names = devices(count);
    Load::for_each(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// No call came later than a second after the order, and none comes any more.
async fn calls_have_ended(scene: &Scene, ordered: Timestamp) -> usize {
    // Many times the tick, the merge window and the first retry.
    sleep(Duration::from_secs(2)).await;
    let calls = scene.simulator.scans();
    let last = ordered + SignedDuration::from_secs(1);
    let late: Vec<_> = calls.iter().filter(|call| call.at > last).map(|call| call.at).collect();
    assert!(late.is_empty(), "ordered at {ordered}, and called at {late:?}");
    calls.len()
}

async fn is_halted(scene: &Scene, owner: &mut Worker) {
    scene
        .wait_for("the owner says that it is halted", owner, |owner| {
            owner.metric("alert_responder_halted", "") == Some(1.0)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_that_another_replica_was_told_stops_the_owner_and_survives_a_restart() {
    let load = load(48);
    let mut scene = Scene::set(&load, 6, PACE).await;
    let ledger_topic = scene.settings.ledger_topic.clone();
    let mut ledger = scene.ledger().await;
    let mut owner = scene.start_worker();
    scene.wait_for("the first worker owns the ledger", &mut owner, |one| one.owned(&ledger_topic) == 1).await;
    let mut other = scene.start_worker();
    scene.wait_for("the other is ready", &mut other, |other| other.not_ready().is_none()).await;
    let (first, rest) = load.lines.split_at(load.lines.len() / 2);
    scene.produce(first).await;
    scene.after_more_calls(&mut owner, 8).await;

    assert_eq!(other.owned(&ledger_topic), 0, "it does not dispatch");
    let ordered = Timestamp::now();
    let body = json!({ "author": "jane", "comment": "patch window went wrong" });
    let (status, answer) = other.admin("POST", "/admin/halt", &body).expect("an answer");
    assert_eq!((status, &answer["order"]), (200, &json!("halt")), "{answer}");
    let made = calls_have_ended(&scene, ordered).await;
    assert!(made < load.devices.len() / 2, "there was something left to stop");
    is_halted(&scene, &mut owner).await;
    let (_, status) = owner.admin("GET", "/admin/status", &Value::Null).expect("an answer");
    assert_eq!((&status["owner"], &status["halted"]["here"]), (&json!(true), &json!(true)), "{status}");
    assert_eq!(status["dispatch"]["halted_by_order"]["offset"], answer["offset"]);

    // Nobody who knows of it by himself is left.
    for worker in [&mut owner, &mut other] {
        worker.process.terminate();
        assert_eq!(worker.process.exit_code(Duration::from_secs(40)).await, 0, "{}", worker.process.tail());
    }
    scene.produce(rest).await;
    let mut worker = scene.start_worker();
    is_halted(&scene, &mut worker).await;
    assert_eq!(calls_have_ended(&scene, ordered).await, made);
    assert_eq!(scene.uncommitted().await, 0, "alerts are taken in all the same");

    let (code, said, error) = scene.command(&["resume", "--output", "json"]);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
    let copy = std::fs::read_to_string(scene.directory.path().join("ledger.ndjson")).expect("a copy");
    let orders = copy.lines().filter_map(|line| match ScanEvent::from_json(line.as_bytes()).ok()?.body {
        EventBody::Control(control) => Some((control.author, control.comment)),
        _ => None,
    });
    let expected = [("jane".to_owned(), Some("patch window went wrong".to_owned())), ("jane".to_owned(), None)];
    assert_eq!(orders.collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_halts_and_only_a_name_resumes() {
    let load = load(30);
    let mut scene = Scene::set(&load, 3, PACE).await;
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.after_more_calls(&mut worker, 5).await;
    let ordered = Timestamp::now();
    worker.process.signal("USR1");
    let made = calls_have_ended(&scene, ordered).await;
    assert!(made < load.devices.len(), "there was something left to stop");
    is_halted(&scene, &mut worker).await;
    worker.process.signal("USR2");
    worker.process.says("SIGUSR2 orders nothing", Duration::from_secs(10)).await;
    let (code, said, _) = scene.command(&["halt"]);
    assert_eq!((code, said.as_str()), (2, ""), "a halt by hand wants a reason");
    assert_eq!(calls_have_ended(&scene, ordered).await, made);
    let (code, said, error) = scene.command(&["resume", "--url", &worker.admin_url(), "--author", "on call"]);
    assert_eq!(code, 0, "{said}{error}");
    assert!(said.starts_with("Resumed"), "{said}");
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_and_re_arming_by_command_are_what_the_ledger_folds_to() {
    let load = load(2);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    let mut ledger = scene.ledger().await;
    let mut worker = scene.start_worker();
    scene.produce(&load.lines).await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;

    let json = |said: (i32, String, String)| -> Value {
        assert_eq!(said.0, 0, "{}{}", said.1, said.2);
        serde_json::from_str(&said.1).unwrap_or_else(|_| panic!("no JSON: {}", said.1))
    };
    let preview = json(scene.command(&["silences", "preview", "device.name=WS-1", "--output", "json"]));
    assert_eq!((&preview["requests"], &preview["held_back"]), (&json!(2), &json!(1)), "{preview}");

    let comment = ["--comment", "patches", "--output", "json"];
    let add = ["silences", "add", "device.name=ws-*", "rule=*", "--for", "2h"];
    let added = json(scene.command(&[&add[..], &comment[..]].concat()));
    let id = added["silence"]["id"].as_str().expect("an id").to_owned();
    let by_url = ["silences", "add", "alert.severity=low", "--for", "3d", "--url", &worker.admin_url()];
    json(scene.command(&[&by_url[..], &comment[..]].concat()));
    let listed = |way: &[&str]| json(scene.command(&[&["silences", "list", "--output", "json"], way].concat()));
    let by_ledger = listed(&[]);
    assert_eq!(by_ledger["silences"].as_array().map(Vec::len), Some(2), "{by_ledger}");
    assert_eq!((&by_ledger["silences"][0]["id"], &by_ledger["silences"][0]["author"]), (&json!(id), &json!("jane")));
    assert_eq!(listed(&["--url", &worker.admin_url()]), by_ledger, "the worker says the same");

    let (code, _, error) = scene.command(&["silences", "end", "nobody"]);
    assert_eq!(code, 2, "{error}");
    let (status, body) =
        worker.admin("DELETE", "/admin/silences/nobody", &json!({ "author": "jane" })).expect("an answer");
    assert_eq!((status, &body["code"]), (404, &json!("unknown_silence")), "{body}");
    let (code, said, error) = scene.command(&["silences", "end", &id.chars().take(8).collect::<String>()]);
    assert_eq!((code, said), (0, format!("Ended the silence {id}.\n")), "{error}");
    assert_eq!(listed(&[])["silences"].as_array().map(Vec::len), Some(1));

    let rearmed = json(scene.command(&["rearm", "--all", "--output", "json"]));
    assert_eq!(rearmed["rules"], json!([]));
    let (code, _, error) = scene.command(&["rearm", "--rule", "r-1"]);
    assert!(code == 2 && error.contains("the cap of rule `r-1` is not tripped; no cap is"), "{code}: {error}");
    let rearm = json!({ "author": "jane", "rule": "r-1" });
    let (status, body) = worker.admin("POST", "/admin/rearm", &rearm).expect("an answer");
    assert_eq!((status, &body["code"]), (404, &json!("not_tripped")), "{body}");
    let alert = scene.worker_config().with_file_name("alert.json");
    std::fs::write(&alert, &load.lines[0]).expect("a file");
    let (alert, rules) =
        (alert.display().to_string(), scene.worker_config().with_file_name("rules").display().to_string());
    let explain = ["rules", "explain", "--rules", &rules, "--alert", &alert, "--ledger", "--output", "json"];
    let explained = json(scene.command(&explain));
    let guards = explained["explanations"][0]["guards"].as_array().cloned().unwrap_or_default();
    let stops = |name: &str| guards.iter().any(|guard| guard["guard"] == name && guard["verdict"] == "stops");
    assert!(stops("cooldown") && stops("duplicate"), "the ledger remembers the scan and its alert: {guards:?}");
    let (status, body) = worker.admin("POST", "/admin/reload-rules", &json!({ "author": "jane" })).expect("an answer");
    assert!(status == 501 || status == 200, "{status}: {body}");
    let (code, _, error) = scene.command(&["silences", "list", "--url", "http://127.0.0.1:1"]);
    assert!(code == 1 && error.contains("cannot ask http://127.0.0.1:1"), "{code}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_begins_at_the_offset_it_was_told() {
    let load = load(1);
    let mut scene = Scene::set(&load, 1, Quota::AMPLE).await;
    // Only for its configuration.
    let worker = scene.start_worker();
    drop(worker);
    let writer = LedgerWriter::new(&scene.settings).expect("a producer");
    let mut last = 0;
    for number in 0..8 {
        let claim = alert_responder::event::Claim {
            claim: format!("c-{number}"),
            owner: "test".to_owned(),
            version: "0".to_owned(),
        };
        last = writer.append(0, &ScanEvent::new(Timestamp::now(), "t", claim)).await.expect("appended");
    }
    let offsets = |from: i64| -> Vec<i64> {
        let (code, said, error) = scene.command(&["ledger", "tail", "--from", &from.to_string(), "--output", "json"]);
        assert_eq!(code, 0, "{error}");
        said.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["offset"].as_i64().expect("an offset"))
            .collect()
    };
    assert_eq!(offsets(last - 2), [last - 2, last - 1, last]);
    assert_eq!(offsets(last + 1), Vec::<i64>::new());
    assert_eq!(offsets(last + 1000), Vec::<i64>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_that_the_ledger_does_not_take_binds_here_and_is_written_later() {
    let load = load(6);
    let mut scene = Scene::set_on_own_broker(&load, 1, PACE).await;
    let mut worker = scene.start_worker();
    scene.wait_for("the worker is ready", &mut worker, |worker| worker.not_ready().is_none()).await;
    scene.broker.set_up(false);
    let (code, _, error) = scene.command(&["halt", "--url", &worker.admin_url(), "--comment", "Kafka is away"]);
    assert!(code == 1 && error.contains("not_recorded") && error.contains("this replica is halted"), "{code}: {error}");
    let halted = |worker: &Worker| {
        let (_, status) = worker.admin("GET", "/admin/status", &Value::Null)?;
        Some((status["halted"]["here"].as_bool()?, status["halted"]["unrecorded"].as_bool()?))
    };
    assert_eq!(halted(&worker), Some((true, true)));
    scene.broker.set_up(true);
    scene.wait_for("the ledger has it", &mut worker, |worker| halted(worker) == Some((true, false))).await;
    let ordered = Timestamp::now();
    scene.produce(&load.lines).await;
    assert_eq!(calls_have_ended(&scene, ordered).await, 0);
    let (code, _, error) = scene.command(&["resume", "--comment", "it is back"]);
    assert_eq!(code, 0, "{error}");
    let mut ledger = scene.ledger().await;
    scene.comes_to_rest(load.requests(), &mut ledger, &mut worker).await;
    scene.check_promises(&load, &ledger).await;
}
