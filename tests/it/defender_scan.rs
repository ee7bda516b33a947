//! The scan call against the simulator: every answer of the table, and what the simulator counted.

use std::time::Duration;

use alert_responder::defender::{Client, LeaveBy, NotSent, Refusal, ScanAnswer, ScanRequest, Settings};
use alert_responder::simulator::{
    Config, Endpoint, Fault, FaultBody, FaultPlan, FaultScope, Quota, Repeat, RetryAfter, SimMachine, Simulator,
    WrongAudience, machine_id_of,
};

const COMMENT: &str = "Check machine for viruses due to alert 3212 [scan 7f3k2qab]";

/// Settings that reach a simulator.
pub(crate) fn settings(simulator: &Simulator) -> Settings {
    let app = alert_responder::simulator::SimApp::default();
    Settings {
        tenant_id: Config::default().tenant_id,
        client_id: app.client_id,
        client_secret: Some(app.client_secret.into()),
        api_url: Some(simulator.url()),
        authority_url: Some(simulator.authority_url()),
        call_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// A simulator with these devices, and a client of it.
pub(crate) async fn with(names: &[&str], config: Config) -> (Simulator, Client) {
    let machines = names.iter().map(|name| SimMachine::named(name)).collect();
    let simulator = Simulator::start(Config { machines, ..config }).await.expect("a free port");
    let client = Client::new(&settings(&simulator)).expect("good settings");
    (simulator, client)
}

/// Asks for a scan of a device by its name.
pub(crate) async fn scan(client: &Client, name: &str) -> ScanAnswer {
    scan_by(client, &machine_id_of(name), LeaveBy::from_now(Duration::from_secs(5))).await
}

async fn scan_by(client: &Client, machine_id: &str, must_leave_by: LeaveBy) -> ScanAnswer {
    client.run_antivirus_scan(ScanRequest { machine_id, comment: COMMENT, scan_type: "Quick", must_leave_by }).await
}

fn posts(simulator: &Simulator) -> usize {
    simulator.calls(Endpoint::Scan).len()
}

#[tokio::test]
async fn a_scan_is_accepted_and_logged() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    let ScanAnswer::Accepted { action } = scan(&client, "ws-1").await else { panic!("not accepted") };
    assert_eq!(action.requestor_comment.as_deref(), Some(COMMENT));
    assert_eq!((action.scope.as_deref(), action.status.as_str()), (Some("Quick"), "Pending"));
    assert!(action.created_at.is_some() && action.updated_at.is_some());
    let [call] = simulator.accepted_scans().try_into().unwrap();
    assert_eq!(call.action_id.as_ref(), Some(&action.id));
    assert_eq!(call.machine_id, Some(machine_id_of("ws-1")));
    assert_eq!(
        (call.status, call.scan_type.as_deref(), call.comment.as_deref()),
        (Some(201), Some("Quick"), Some(COMMENT))
    );
    assert_eq!(simulator.calls(Endpoint::Token).len(), 1);
    assert_eq!(simulator.summary()["accepted_scans"], 1);
}

#[tokio::test]
async fn every_answer_by_name_is_told_apart() {
    let table = [
        ("sim-400", "rejected"),
        ("sim-403", "forbidden"),
        ("sim-404", "device_not_found"),
        ("sim-disabled", "disabled"),
        ("sim-disallowed", "disabled"),
        ("sim-unsupported", "unsupported_device"),
        ("sim-old-client", "unsupported_device"),
        ("sim-429", "rate_limited"),
        ("sim-busy-400", "already_running"),
        ("sim-null-fields", "accepted"),
        ("sim-500", "in_doubt"),
        ("sim-500-empty", "in_doubt"),
        ("sim-502", "in_doubt"),
        ("sim-503", "in_doubt"),
        ("sim-504-empty", "in_doubt"),
        ("sim-403-html", "in_doubt"),
        ("sim-404-html", "in_doubt"),
        ("sim-redirect", "in_doubt"),
        ("sim-html-after-create", "in_doubt"),
        ("sim-cut-before-create", "in_doubt"),
        ("sim-cut-after-create", "in_doubt"),
    ];
    let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    let (simulator, client) = with(&names, Config::default()).await;
    for (number, (name, word)) in table.into_iter().enumerate() {
        let answer = scan(&client, name).await;
        assert_eq!(answer.as_str(), word, "{name}: {answer:?}");
        assert_eq!(posts(&simulator), number + 1, "{name}: one request");
        if let ScanAnswer::Refused { error, .. } | ScanAnswer::AlreadyRunning { error } = answer {
            assert!(error.target.is_some(), "{name}: kept for support");
        }
    }
    let created: Vec<_> = simulator.accepted_scans().into_iter().filter_map(|call| call.machine_id).collect();
    let expected = ["sim-null-fields", "sim-html-after-create", "sim-cut-after-create"].map(machine_id_of);
    assert_eq!(created, expected, "in doubt is really in doubt");
}

#[tokio::test]
async fn an_unknown_device_and_a_bad_id() {
    let (simulator, client) = with(&[], Config { any_machine: true, ..Config::default() }).await;
    assert_eq!(scan(&client, "anything at all").await.as_str(), "accepted");
    let must_leave_by = LeaveBy::from_now(Duration::from_secs(5));
    let answer = scan_by(&client, "349f2c58-095a-5a0b-9c82-7f6c55c016de", must_leave_by).await;
    assert!(matches!(answer, ScanAnswer::NotSent { cause: NotSent::Invalid, .. }), "{answer:?}");
    assert_eq!(posts(&simulator), 1);
    let (_simulator, client) = with(&[], Config::default()).await;
    assert_eq!(scan(&client, "gone").await.as_str(), "device_not_found");
}

#[tokio::test]
async fn a_running_scan_is_answered_in_three_ways() {
    for (repeat, word) in
        [(Repeat::Error400, "already_running"), (Repeat::Existing200, "accepted"), (Repeat::Existing201, "accepted")]
    {
        let config = Config { repeat, pending_for: Duration::from_secs(60), ..Config::default() };
        let (simulator, client) = with(&["ws-1"], config).await;
        let ScanAnswer::Accepted { action: first } = scan(&client, "ws-1").await else { panic!("not accepted") };
        let second = scan(&client, "ws-1").await;
        assert_eq!(second.as_str(), word, "{repeat:?}");
        if let ScanAnswer::Accepted { action } = second {
            assert_eq!(action.id, first.id, "the same action");
        }
        assert_eq!(simulator.accepted_scans().len(), 1);
    }
    let (_simulator, client) = with(&["sim-busy-full-existing-1"], Config::default()).await;
    let ScanAnswer::Accepted { action } = scan(&client, "sim-busy-full-existing-1").await else { panic!() };
    assert_eq!(action.scope.as_deref(), Some("Full"));
    assert_ne!(action.requestor_comment.as_deref(), Some(COMMENT), "somebody else's");
}

#[tokio::test]
async fn a_refused_token_is_replaced_for_the_next_attempt() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    client.roles().await.unwrap();
    simulator.revoke_tokens();
    let answer = scan(&client, "ws-1").await;
    assert!(matches!(answer, ScanAnswer::Refused { kind: Refusal::Unauthorized, .. }), "{answer:?}");
    assert_eq!(posts(&simulator), 1, "not repeated by itself");
    assert_eq!(scan(&client, "ws-1").await.as_str(), "accepted");
    assert_eq!(simulator.calls(Endpoint::Token).len(), 2);
}

#[tokio::test]
async fn an_expired_token_is_never_sent() {
    let (simulator, client) =
        with(&["ws-1", "ws-2"], Config { token_lifetime: Duration::ZERO, ..Config::default() }).await;
    for name in ["ws-1", "ws-2"] {
        // The token is out of date on arrival: what matters is that each attempt asked for a new one.
        assert_eq!(scan(&client, name).await.as_str(), "unauthorized");
    }
    assert_eq!(simulator.calls(Endpoint::Token).len(), 2);
}

#[tokio::test]
async fn a_wrong_secret_is_a_matter_of_configuration() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let settings = Settings { client_secret: Some("abc~def+123".into()), ..settings(&simulator) };
    let answer = scan(&Client::new(&settings).unwrap(), "ws-1").await;
    let ScanAnswer::NotSent { cause: NotSent::TokenRefused, detail } = answer else { panic!("{answer:?}") };
    assert!(detail.contains("AADSTS7000215") && !detail.contains("abc~"), "{detail}");
    assert_eq!(posts(&simulator), 0);
}

#[tokio::test]
async fn a_token_for_another_api_is_401_or_403() {
    for (wrong_audience, word) in
        [(WrongAudience::Unauthorized, "unauthorized"), (WrongAudience::Forbidden, "forbidden")]
    {
        let simulator = Simulator::start(Config { wrong_audience, ..Config::default() }).await.unwrap();
        let scope = Some("https://api.security.microsoft.com/.default".to_owned());
        let client = Client::new(&Settings { scope, ..settings(&simulator) }).unwrap();
        assert_eq!(scan(&client, "ws-1").await.as_str(), word);
    }
}

#[tokio::test]
async fn rate_limits_carry_their_wait() {
    let quotas = vec![Quota { calls: 2, window: Duration::from_secs(30) }];
    for (style, waits) in
        [(RetryAfter::Seconds, Some(25..=30)), (RetryAfter::Date, Some(25..=31)), (RetryAfter::Absent, None)]
    {
        let config = Config { quotas: quotas.clone(), retry_after: style, any_machine: true, ..Config::default() };
        let (simulator, client) = with(&[], config).await;
        for device in ["a", "b"] {
            assert_eq!(scan(&client, device).await.as_str(), "accepted");
        }
        let ScanAnswer::Refused { kind: Refusal::RateLimited, retry_after, .. } = scan(&client, "c").await else {
            panic!("not limited")
        };
        assert_eq!(retry_after.is_some(), waits.is_some(), "{style:?}");
        if let (Some(wait), Some(range)) = (retry_after, waits) {
            assert!(range.contains(&wait.as_secs()), "{style:?} {wait:?}");
        }
        assert_eq!(simulator.most_calls_in_any_sliding_window(Duration::from_secs(30), Endpoint::Scan), 3);
        assert!(
            client.list_scan_actions(jiff::Timestamp::UNIX_EPOCH).await.is_ok(),
            "another family has its own count"
        );
    }
}

#[tokio::test]
async fn no_answer_in_time_is_in_doubt_whatever_happened() {
    let names = ["sim-hang-1", "sim-slow-1", "sim-late-create-1"];
    let slow_for = Duration::from_millis(400);
    let (simulator, _) = with(&names, Config { slow_for, ..Config::default() }).await;
    let client = Client::new(&Settings { call_timeout: Duration::from_millis(150), ..settings(&simulator) }).unwrap();
    for name in names {
        assert_eq!(scan(&client, name).await.as_str(), "in_doubt", "{name}");
    }
    let late = machine_id_of("sim-late-create-1");
    let created: Vec<_> = simulator.accepted_scans().into_iter().filter_map(|call| call.machine_id).collect();
    assert_eq!(created, [machine_id_of("sim-slow-1"), late]);
}

#[tokio::test]
async fn a_late_request_never_arrives() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    let hour_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let late = LeaveBy::after(hour_ago, Duration::from_secs(5));
    let answer = scan_by(&client, &machine_id_of("ws-1"), late).await;
    assert!(matches!(answer, ScanAnswer::NotSent { cause: NotSent::TooLate, .. }), "{answer:?}");
    assert_eq!(posts(&simulator), 0);
    // A token that takes too long is the other way to be late.
    simulator.set_fault(FaultPlan::new(Fault::Latency { ms: 120 }, FaultScope::Token));
    let fresh = Client::new(&settings(&simulator)).unwrap();
    let soon = LeaveBy::from_now(Duration::from_millis(50));
    let answer = scan_by(&fresh, &machine_id_of("ws-1"), soon).await;
    assert!(matches!(answer, ScanAnswer::NotSent { cause: NotSent::TooLate, .. }), "{answer:?}");
    assert_eq!(posts(&simulator), 0);
}

#[tokio::test]
async fn faults_come_and_go_while_it_runs() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    client.roles().await.unwrap();
    for (fault, word) in [
        (Fault::Status { status: 503, body: FaultBody::Empty }, "in_doubt"),
        (Fault::Status { status: 500, body: FaultBody::Shaped }, "in_doubt"),
        (Fault::CutBeforeCreate, "in_doubt"),
        (Fault::Hang { ms: 10 }, "in_doubt"),
    ] {
        simulator.set_fault(FaultPlan::new(fault, FaultScope::Scans).times(1));
        assert_eq!(scan(&client, "ws-1").await.as_str(), word, "{fault:?}");
    }
    assert!(simulator.accepted_scans().is_empty());
    simulator.set_fault(FaultPlan::new(Fault::CutAfterCreate, FaultScope::Scans).times(1));
    assert_eq!(scan(&client, "ws-1").await.as_str(), "in_doubt");
    assert_eq!(simulator.accepted_scans().len(), 1);
    assert_eq!(scan(&client, "ws-1").await.as_str(), "already_running");
}

#[tokio::test]
async fn a_refused_connection_is_nothing_sent_and_comes_back() {
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    client.roles().await.unwrap();
    simulator.set_fault(FaultPlan::new(Fault::Refuse, FaultScope::All));
    // The port closes as soon as the server's task runs; until then a connection is cut, which is doubt.
    let answer = loop {
        match scan(&client, "ws-1").await {
            ScanAnswer::InDoubt { .. } => tokio::task::yield_now().await,
            answer => break answer,
        }
    };
    assert!(matches!(answer, ScanAnswer::NotSent { cause: NotSent::Unreachable, .. }), "{answer:?}");
    simulator.clear_faults();
    loop {
        match scan(&client, "ws-1").await {
            ScanAnswer::NotSent { .. } => tokio::task::yield_now().await,
            answer => break assert_eq!(answer.as_str(), "accepted"),
        }
    }
    assert_eq!(simulator.accepted_scans().len(), 1);
    simulator.stop().await;
    assert_eq!(scan(&client, "ws-1").await.as_str(), "unreachable");
}

/// The client refuses no comment that the scheduler's settings allow, and finds it again whole.
#[tokio::test]
async fn the_longest_comment_that_may_be_configured_is_sent_whole() {
    let longest = |comment_max_chars| {
        let settings = alert_responder::scheduler::Settings { comment_max_chars, ..Default::default() };
        settings.validate().iter().any(|wrong| wrong.contains("comment_max_chars"))
    };
    assert!(!longest(2000) && longest(2001));
    let (simulator, client) = with(&["ws-1"], Config::default()).await;
    let ask = async |comment: &str| {
        let must_leave_by = LeaveBy::from_now(Duration::from_secs(5));
        let machine_id = &machine_id_of("ws-1");
        client.run_antivirus_scan(ScanRequest { machine_id, comment, scan_type: "Quick", must_leave_by }).await
    };
    // Four bytes each.
    let comment = "\u{1f9ea}".repeat(2000 - 15) + " [scan 7f3k2qa]";
    assert_eq!(comment.chars().count(), 2000);
    let ScanAnswer::Accepted { action } = ask(&comment).await else { panic!("not accepted") };
    assert_eq!(action.requestor_comment, Some(comment.clone()));
    let refused = ask(&(comment + "!")).await;
    assert!(matches!(refused, ScanAnswer::NotSent { cause: NotSent::Invalid, .. }), "{refused:?}");
    assert_eq!(simulator.calls(Endpoint::Scan).len(), 1);
}
