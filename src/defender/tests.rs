//! The scan call against a server that breaks off at every point. Everything with a whole API is tested beside the crate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::gate::{Gate, LeaveBy};
use super::*;

const ID: &str = "2eeb1689b274fc8f816c48ac9219e820fc4de080";
const TOKEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 48\r\n\r\n\
                     {\"access_token\":\"e30.e30.x\",\"expires_in\":\"3599\"}";

/// How far a connection goes before the server closes it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Until {
    Accept,
    Head,
    Body,
    /// After the request, having answered with this.
    Answer(&'static str),
    /// The same, and the connection stays open.
    AnswerAndKeep(&'static str),
    /// Never: holds on.
    Never,
}

/// A server; what it received on each connection.
struct Raw {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Raw {
    async fn start(until: Until) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let text = serve(&mut stream, until).await;
                log.lock().unwrap().push(text);
                if matches!(until, Until::Never | Until::AnswerAndKeep(_)) {
                    held.push(stream);
                }
            }
        });
        Self { url, received, _tasks: tasks }
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(stream: &mut TcpStream, until: Until) -> String {
    let mut bytes = Vec::new();
    if until == Until::Accept {
        return String::new();
    }
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let head = text.find("\r\n\r\n");
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        match head {
            Some(_) if until == Until::Head => break,
            Some(head) if bytes.len() >= head + 4 + length.unwrap_or(0) => break,
            _ => {}
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    if let Until::Answer(answer) | Until::AnswerAndKeep(answer) = until {
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn settings(authority: &str, api: &str) -> Settings {
    Settings {
        tenant_id: "1228d172-029d-54e1-81c4-e82adcba5353".to_owned(),
        client_id: "client".to_owned(),
        client_secret: Some(SecretString::from("abc~def+123")),
        authority_url: Some(authority.to_owned()),
        api_url: Some(api.to_owned()),
        call_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

fn request() -> ScanRequest<'static> {
    let must_leave_by = LeaveBy::from_now(Duration::from_secs(5));
    ScanRequest { machine_id: ID, comment: "due to alert 3212 [scan 7f3k2q]", scan_type: "Quick", must_leave_by }
}

#[tokio::test]
async fn each_request_for_a_token_is_told_once_with_what_came_of_it() {
    for (until, answer) in [
        (Until::Answer(TOKEN), TokenAnswer::Status(200)),
        (Until::Answer("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"), TokenAnswer::Status(503)),
        (Until::Body, TokenAnswer::BrokenOff),
        (Until::Never, TokenAnswer::TimedOut),
    ] {
        let authority = Raw::start(until).await;
        let settings =
            Settings { token_timeout: Duration::from_millis(300), ..settings(&authority.url, "http://127.0.0.1:9") };
        let client = Client::new(&settings).unwrap();
        assert_eq!(client.roles().await.is_ok(), answer == TokenAnswer::Status(200));
        let made = client.clone().take_token_requests();
        assert_eq!(made.iter().map(|request| request.answer).collect::<Vec<_>>(), [answer], "{until:?}");
        assert!(made[0].took > Duration::ZERO);
        assert!(client.take_token_requests().is_empty(), "told once");
    }
    let nobody = Client::new(&settings("http://127.0.0.1:9", "http://127.0.0.1:9")).unwrap();
    assert!(nobody.roles().await.is_err());
    assert_eq!(nobody.take_token_requests()[0].answer, TokenAnswer::Unreachable);
}

#[tokio::test]
async fn a_503_tells_how_long_to_wait() {
    let authority = Raw::start(Until::Answer(TOKEN)).await;
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n";
    let api = Raw::start(Until::Answer(busy)).await;
    let client = Client::new(&settings(&authority.url, &api.url)).unwrap();
    let answer = client.run_antivirus_scan(request()).await;
    assert!(
        matches!(&answer, ScanAnswer::InDoubt { retry_after: Some(wait), .. } if wait.as_secs() == 120),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_connection_that_dies_leaves_doubt_and_no_second_request() {
    let authority = Raw::start(Until::Answer(TOKEN)).await;
    for until in [
        Until::Accept,
        Until::Head,
        Until::Body,
        Until::Answer("HTTP/1.1 20"),
        Until::Answer("HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"id\":"),
        Until::Answer("nonsense\r\n\r\n"),
        Until::Answer("HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"),
        Until::Answer("HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let api = Raw::start(until).await;
        let answer = Client::new(&settings(&authority.url, &api.url)).unwrap().run_antivirus_scan(request()).await;
        assert!(matches!(answer, ScanAnswer::InDoubt { .. }), "{until:?}: {answer:?}");
        assert_eq!(api.received().len(), 1, "{until:?}: one connection, one request");
    }
    assert!(authority.received()[0].contains("client_secret=abc%7Edef%2B123"), "the secret is form-encoded");
}

#[tokio::test]
async fn no_answer_in_time_leaves_doubt() {
    let (authority, api) = (Raw::start(Until::Answer(TOKEN)).await, Raw::start(Until::Never).await);
    let settings = Settings { call_timeout: Duration::from_millis(80), ..settings(&authority.url, &api.url) };
    let answer = Client::new(&settings).unwrap().run_antivirus_scan(request()).await;
    assert!(matches!(&answer, ScanAnswer::InDoubt { detail, .. } if detail.contains("within")), "{answer:?}");
    assert_eq!(api.received().len(), 1);
}

#[tokio::test]
async fn a_connection_is_never_used_twice_for_a_scan() {
    const REFUSED: &str =
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 42\r\n\r\n{\"error\":{\"code\":\"InvalidInput\",\"x\":\"yz\"}}";
    let (authority, api) = (Raw::start(Until::Answer(TOKEN)).await, Raw::start(Until::AnswerAndKeep(REFUSED)).await);
    let client = Client::new(&settings(&authority.url, &api.url)).unwrap();
    // The server would keep every connection, and reads one request from each.
    for _ in 0..3 {
        let answer = client.run_antivirus_scan(request()).await;
        assert!(matches!(answer, ScanAnswer::Refused { kind: Refusal::Rejected, .. }), "{answer:?}");
    }
    assert_eq!(api.received().len(), 3);
    assert_eq!(authority.received().len(), 1, "the token is kept");
    let sent = api.received().pop().unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with(&format!("post /api/machines/{ID}/runantivirusscan http/1.1")), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())) && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(head.matches("content-length").count(), 1);
    assert_eq!(body, r#"{"Comment":"due to alert 3212 [scan 7f3k2q]","ScanType":"Quick"}"#);
}

#[tokio::test]
async fn a_body_that_is_late_at_the_last_moment_is_not_written() {
    let api = Raw::start(Until::Body).await;
    let settings = settings(&api.url, &api.url);
    let client = http::builder(&settings, &api.url, false).build().unwrap();
    let gate = Gate::new(LeaveBy::from_now(Duration::ZERO), std::sync::Arc::default());
    let sent = client.post(&api.url).header("content-length", "5").body(gate.body(Bytes::from_static(b"hello"))).send();
    assert!(sent.await.is_err());
    assert!(gate.was_late() && gate.close());
    while api.received().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.received(), [""], "not even the head left");
}

#[tokio::test]
async fn nothing_leaves_while_the_kill_switch_is_pulled() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let api = Raw::start(Until::Body).await;
    let authority = Raw::start(Until::Answer(TOKEN)).await;
    let stopped = std::sync::Arc::new(AtomicBool::new(true));
    let client = Client::new(&settings(&authority.url, &api.url)).unwrap().stopped_by(std::sync::Arc::clone(&stopped));
    let answer = client.run_antivirus_scan(request()).await;
    assert!(matches!(&answer, ScanAnswer::NotSent { cause: NotSent::TooLate, .. }), "{answer:?}");
    let cancelled = client.cancel("action-1", "over", LeaveBy::from_now(Duration::from_secs(60))).await;
    assert_eq!(cancelled, Err(DefenderError::HeldBack));
    assert_eq!(api.received(), Vec::<String>::new(), "nobody was even called");
    // Pulled at the last moment, when the request is on its way to the socket.
    let settings = settings(&api.url, &api.url);
    let http = http::builder(&settings, &api.url, false).build().unwrap();
    let gate = Gate::new(LeaveBy::from_now(Duration::from_secs(60)), std::sync::Arc::clone(&stopped));
    let body = gate.body(Bytes::from_static(b"hello"));
    assert!(http.post(&api.url).header("content-length", "5").body(body).send().await.is_err());
    assert!(gate.close());
    while api.received().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.received(), [""], "not even the head left");
    stopped.store(false, Ordering::SeqCst);
}

#[tokio::test]
async fn nothing_is_sent_without_a_connection() {
    let authority = Raw::start(Until::Answer(TOKEN)).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::new(&settings(&authority.url, &format!("http://{closed}"))).unwrap();
    let answer = client.run_antivirus_scan(request()).await;
    assert!(matches!(&answer, ScanAnswer::NotSent { cause: NotSent::Unreachable, .. }), "{answer:?}");
    let client = Client::new(&settings(&format!("http://{closed}"), &authority.url)).unwrap();
    let answer = client.run_antivirus_scan(request()).await;
    assert!(matches!(&answer, ScanAnswer::NotSent { cause: NotSent::TokenUnavailable, .. }), "{answer:?}");
    assert_eq!(client.machine(ID).await.unwrap_err().code(), "token_unavailable");
}

#[tokio::test]
async fn a_token_that_does_not_come_is_nothing_sent() {
    let (authority, api) = (Raw::start(Until::Never).await, Raw::start(Until::Body).await);
    let settings = Settings { token_timeout: Duration::from_millis(50), ..settings(&authority.url, &api.url) };
    let answer = Client::new(&settings).unwrap().run_antivirus_scan(request()).await;
    assert!(matches!(&answer, ScanAnswer::NotSent { cause: NotSent::TokenUnavailable, .. }), "{answer:?}");
    assert!(api.received().is_empty());
}

#[tokio::test]
async fn however_many_ask_one_token_is_requested() {
    let (authority, api) = (Raw::start(Until::Answer(TOKEN)).await, Raw::start(Until::Body).await);
    let client = Client::new(&settings(&authority.url, &api.url)).unwrap();
    let all = futures_util::future::join_all((0..20).map(|_| client.roles())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(authority.received().len(), 1);
}

/// A server of lists: what it answers follows from the head of each request.
async fn list_server(answer: fn(&str) -> (&'static str, &'static str)) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (status, body) = answer(&serve(&mut stream, Until::Head).await);
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await.unwrap();
        }
    });
    (url, tasks)
}

#[tokio::test]
async fn a_link_to_more_that_leads_nowhere_is_no_end_of_a_list() {
    const NOT_FOUND: (&str, &str) = ("404 Not Found", r#"{"error":{"code":"ResourceNotFound","message":"none"}}"#);
    const ONE: (&str, &str) = ("200 OK", r#"{"value":[{"id":"one","type":"RunAntiVirusScan","status":"Pending"}]}"#);
    const LINKED: (&str, &str) = (
        "200 OK",
        r#"{"value":[{"id":"one","type":"RunAntiVirusScan","status":"Pending"}],"@odata.nextLink":"https://h/x?token=1"}"#,
    );
    const ONLY_A_LINK: (&str, &str) = ("200 OK", r#"{"value":[],"@odata.nextLink":"https://h/x?token=1"}"#);
    type Answer = fn(&str) -> (&'static str, &'static str);
    let servers: [(Answer, Option<usize>); 4] = [
        (|_| NOT_FOUND, Some(0)),
        // Asked for what comes after the last one, the API may say that there is none in the same way.
        (|head| if head.contains("skip=0") { ONE } else { NOT_FOUND }, Some(1)),
        (|head| if head.contains("skip=0") { LINKED } else { NOT_FOUND }, None),
        (|head| if head.contains("skip=0") { ONLY_A_LINK } else { NOT_FOUND }, None),
    ];
    let tokens = Raw::start(Until::Answer(TOKEN)).await;
    for (number, (answer, expected)) in servers.into_iter().enumerate() {
        let (url, _tasks) = list_server(answer).await;
        let client = Client::new(&settings(&tokens.url, &url)).unwrap();
        let list = client.list_scan_actions(jiff::Timestamp::now()).await;
        assert_eq!(list.as_ref().ok().map(Vec::len), expected, "server {number}: {list:?}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    const HUGE: &str = "HTTP/1.1 201 Created\r\ncontent-length: 999999999\r\n\r\n";
    let authority = Raw::start(Until::Answer(TOKEN)).await;
    let huge: &'static str = format!("{HUGE}{}", "x".repeat(200_000)).leak();
    let api = Raw::start(Until::Answer(huge)).await;
    let answer = Client::new(&settings(&authority.url, &api.url)).unwrap().run_antivirus_scan(request()).await;
    assert!(matches!(&answer, ScanAnswer::InDoubt { .. }), "{answer:?}");
}

#[test]
fn settings_name_every_mistake() {
    let wrong = Settings {
        api_url: Some("http://api.example.org".to_owned()),
        list_page_size: 0,
        call_timeout: Duration::ZERO,
        ..Settings::default()
    };
    let messages = wrong.validate();
    for key in ["tenant_id", "client_id", "client_secret_file", "api_url", "list_page_size", "call_timeout"] {
        assert!(messages.iter().any(|message| message.starts_with(key)), "{key}: {messages:?}");
    }
    assert_eq!(Client::new(&wrong).unwrap_err().code(), "settings");
}

#[test]
fn the_secret_is_read_but_never_written() {
    let text = r#"{"tenant_id":"1228d172-029d-54e1-81c4-e82adcba5353","client_id":"c","client_secret":"hush","call_timeout":"20s","cloud":"gcc-high"}"#;
    let settings: Settings = serde_json::from_str(text).unwrap();
    assert!(settings.validate().is_empty(), "{:?}", settings.validate());
    assert_eq!(settings.call_timeout, Duration::from_secs(20));
    let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
    assert!(!shown.contains("hush"), "{shown}");
    assert!(serde_json::from_str::<Settings>(r#"{"client_secrets":"x"}"#).is_err());
}

#[test]
fn a_rotated_secret_is_seen() {
    use secrecy::ExposeSecret as _;
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = Settings { client_secret_file: Some(file.path().to_owned()), ..Settings::default() };
    assert_eq!(settings.read_secret().unwrap_err().code(), "secret");
    for secret in ["first", "second"] {
        std::fs::write(file.path(), format!("{secret}\n")).unwrap();
        assert_eq!(settings.read_secret().unwrap().expose_secret(), secret);
    }
}
