//! Roles, lists, look-ups and cancel against the simulator, and the simulator's own log.

use std::time::Duration;

use alert_responder::defender::{ActionStatus, Client, DefenderError, LeaveBy, ScanAnswer, Settings};
use alert_responder::simulator::{
    Config, Endpoint, Fault, FaultBody, FaultPlan, FaultScope, SimApp, SimMachine, Simulator, machine_id_of,
};
use jiff::{SignedDuration, Timestamp};

use crate::defender_scan::{scan, settings, with};

fn recently() -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(5)
}

#[tokio::test]
async fn roles_tell_what_is_missing() {
    for (roles, may_scan, may_read) in [
        (vec!["Machine.Scan", "Machine.Read.All"], true, true),
        (vec!["Machine.ReadWrite.All"], false, true),
        (vec!["Machine.Scan"], true, false),
        (vec![], false, false),
    ] {
        let app = SimApp { roles: roles.iter().map(|&role| role.to_owned()).collect(), ..SimApp::default() };
        let (_simulator, client) = with(&["ws-1"], Config { apps: vec![app], ..Config::default() }).await;
        let found = client.roles().await.unwrap();
        assert_eq!((found.scan, found.read), (may_scan, may_read));
        assert_eq!(found.names, roles);
        assert_eq!(scan(&client, "ws-1").await.as_str(), if may_scan { "accepted" } else { "forbidden" });
        assert_eq!(client.list_scan_actions(recently()).await.is_ok(), may_read);
    }
}

#[tokio::test]
async fn a_list_is_complete_however_it_is_paged() {
    let names: Vec<String> = (0..23).map(|n| format!("ws-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Pages as asked for; pages shorter than asked for; pages with links to another host.
    for (asked, max, next_link) in [(5, 10_000, false), (100, 7, false), (23, 10_000, false), (100, 4, true)] {
        let config = Config { max_page_size: max, next_link, ..Config::default() };
        let (simulator, _) = with(&names, config).await;
        let client = Client::new(&Settings { list_page_size: asked, ..settings(&simulator) }).unwrap();
        assert_eq!(client.list_scan_actions(recently()).await, Ok(vec![]));
        for name in &names {
            assert_eq!(scan(&client, name).await.as_str(), "accepted");
        }
        let list = client.list_scan_actions(recently()).await.unwrap();
        let mut devices: Vec<_> = list.iter().filter_map(|action| action.machine_id.clone()).collect();
        let mut expected: Vec<_> = names.iter().map(|name| machine_id_of(name)).collect();
        assert_eq!(devices[0], expected[22], "newest first");
        devices.sort();
        expected.sort();
        assert_eq!(devices, expected);
        assert_eq!(client.list_scan_actions(Timestamp::now() + SignedDuration::from_secs(60)).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn a_list_that_breaks_is_no_list() {
    let config = Config { any_machine: true, max_page_size: 2, ..Config::default() };
    let (simulator, client) = with(&[], config).await;
    for device in ["a", "b", "c", "d", "e"] {
        scan(&client, device).await;
    }
    for fault in [Fault::Status { status: 503, body: FaultBody::Html }, Fault::CutAfterCreate] {
        simulator.set_fault(FaultPlan::new(fault, FaultScope::Lists).times(1));
        let error = client.list_scan_actions(recently()).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
    assert_eq!(client.list_scan_actions(recently()).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_lagging_list_shows_an_action_later() {
    let lag = Duration::from_millis(300);
    let (_simulator, client) = with(&["ws-1", "sim-unlisted-1"], Config { list_lag: lag, ..Config::default() }).await;
    let ScanAnswer::Accepted { action } = scan(&client, "ws-1").await else { panic!("not accepted") };
    scan(&client, "sim-unlisted-1").await;
    assert_eq!(client.list_scan_actions(recently()).await, Ok(vec![]), "not yet");
    let list = loop {
        let list = client.list_scan_actions(recently()).await.unwrap();
        if !list.is_empty() {
            break list;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0].id, &list[0].requestor_comment), (&action.id, &action.requestor_comment));
}

#[tokio::test]
async fn an_empty_list_may_be_a_404() {
    let (_simulator, client) = with(&["ws-1"], Config { empty_list_404: true, ..Config::default() }).await;
    assert_eq!(client.list_scan_actions(recently()).await, Ok(vec![]));
    scan(&client, "ws-1").await;
    assert_eq!(client.list_scan_actions(recently()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn actions_live_as_their_names_say() {
    let table = [
        ("ws-1", "Succeeded"),
        ("sim-fails-1", "Failed"),
        ("sim-cancelled-1", "Cancelled"),
        ("sim-pending-forever-1", "TimeOut"),
        ("sim-unknown-status-1", "Rescheduled"),
    ];
    let names = table.map(|(name, _)| name);
    let config = Config {
        pending_for: Duration::from_millis(5),
        running_for: Duration::from_millis(5),
        timeout_after: Duration::from_millis(10),
        quotas: vec![],
        ..Config::default()
    };
    let (_simulator, client) = with(&names, config).await;
    for name in names {
        assert_eq!(scan(&client, name).await.as_str(), "accepted");
    }
    loop {
        let list = client.list_scan_actions(recently()).await.unwrap();
        let open = |status: &ActionStatus| matches!(status, ActionStatus::Pending | ActionStatus::InProgress);
        if list.iter().any(|action| open(&action.status)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        for (name, status) in table {
            let action = list.iter().find(|action| action.computer_dns_name.as_deref() == Some(name)).unwrap();
            assert_eq!(action.status.as_str(), status, "{name}");
        }
        break;
    }
}

#[tokio::test]
async fn a_device_is_looked_up() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let client = Client::new(&settings(&simulator)).unwrap();
    let id = simulator.add_machine(SimMachine {
        group: Some("EMEA-Workstations".to_owned()),
        tags: vec!["finance".to_owned()],
        risk: Some("Medium".to_owned()),
        ip: Some("10.20.4.17".to_owned()),
        ..SimMachine::named("ws-9.corp.contoso.com")
    });
    let machine = client.machine(&id).await.unwrap().unwrap();
    assert_eq!(client.machine("WS-9.corp.contoso.com").await.unwrap().as_ref(), Some(&machine));
    assert_eq!((machine.group.as_deref(), machine.os.as_deref()), (Some("EMEA-Workstations"), Some("Windows11")));
    assert_eq!((machine.tags, machine.ips.len()), (Some(vec!["finance".to_owned()]), 1));
    assert_eq!(client.machine(&machine_id_of("gone")).await, Ok(None));
    assert_eq!(client.machine("../machineactions").await.unwrap_err().code(), "invalid");
    simulator.add_machine(SimMachine::named("sim-lookup-503-1"));
    let error = client.machine("sim-lookup-503-1").await.unwrap_err();
    assert!(matches!(error, DefenderError::Gateway { status: 503, .. }) && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_read_asks_again_once_with_a_fresh_token() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    client.roles().await.unwrap();
    simulator.revoke_tokens();
    assert!(client.machine(&machine_id_of("ws-1")).await.unwrap().is_some());
    let statuses: Vec<_> = simulator.calls(Endpoint::MachineGet).iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(401), Some(200)]);
}

fn soon() -> LeaveBy {
    LeaveBy::from_now(Duration::from_secs(60))
}

#[tokio::test]
async fn an_open_action_is_cancelled_and_a_finished_one_is_not() {
    let (simulator, client) =
        with(&["ws-1"], Config { pending_for: Duration::from_secs(60), ..Config::default() }).await;
    let ScanAnswer::Accepted { action } = scan(&client, "ws-1").await else { panic!("not accepted") };
    let cancelled = client.cancel(&action.id, "not needed", soon()).await.unwrap();
    assert_eq!(cancelled.status, ActionStatus::Cancelled);
    assert_eq!(cancelled.cancellation_comment.as_deref(), Some("not needed"));
    let error = client.cancel(&action.id, "again", soon()).await.unwrap_err();
    assert!(matches!(&error, DefenderError::Api { error, .. } if error.status == 400), "{error}");
    assert_eq!(simulator.calls(Endpoint::ActionCancel).len(), 2);
    assert_eq!(client.cancel("a/b", "x", soon()).await.unwrap_err().code(), "invalid");
}

#[tokio::test]
async fn a_foreign_scan_is_found_in_the_list() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    let id = simulator.add_foreign_scan(&machine_id_of("ws-1"), "Full", "by hand").unwrap();
    assert_eq!(scan(&client, "ws-1").await.as_str(), "already_running");
    let [action] = client.list_scan_actions(recently()).await.unwrap().try_into().unwrap();
    assert_eq!((action.id, action.scope.as_deref()), (id, Some("Full")));
    assert_eq!(action.request_source.as_deref(), Some("Portal"));
}

#[tokio::test]
async fn the_log_file_outlives_the_simulator() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("calls.ndjson");
    for _ in 0..2 {
        let config = Config { log_file: Some(file.clone()), any_machine: true, ..Config::default() };
        let (simulator, client) = with(&[], config).await;
        scan(&client, "a").await;
        simulator.stop().await;
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let calls: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(calls.iter().filter(|call| call["created"] == true).count(), 2);
    assert_ne!(calls[1]["action_id"], calls[3]["action_id"], "a restart makes new ids");
}
