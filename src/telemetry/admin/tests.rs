use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::http::may_enter;
use super::*;
use crate::event::ControlAction;

const TOKEN: &str = "0123456789abcdef";

fn settings(listen: &str, token: Option<&str>) -> AdminSettings {
    AdminSettings {
        listen: Some(listen.parse().expect("an address")),
        token: token.map(Into::into),
        ..AdminSettings::default()
    }
}

fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
    given.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

#[test]
fn who_may_enter() {
    let (here, anywhere) = ("127.0.0.1:9091", "0.0.0.0:9091");
    let host = ("host", "127.0.0.1:9091");
    let right = ("authorization", "Bearer 0123456789abcdef");
    let wrong = ("authorization", "Bearer 0123456789abcdeg");
    for (listen, token, given, status) in [
        (here, None, vec![host], 0),
        (here, None, vec![("host", "localhost:9091")], 0),
        (here, None, vec![("host", "[::1]:9091")], 0),
        // A page of the web, under its own name or as itself.
        (here, None, vec![("host", "evil.example:9091")], 403),
        (here, None, vec![("host", "127.0.0.1.evil.example")], 403),
        (here, None, vec![], 403),
        (here, None, vec![host, ("origin", "https://evil.example")], 403),
        (here, Some(TOKEN), vec![host], 401),
        (here, Some(TOKEN), vec![host, wrong], 401),
        (here, Some(TOKEN), vec![host, ("authorization", "Bearer 0123456789abcde")], 401),
        (here, Some(TOKEN), vec![host, ("authorization", "Bearer ")], 401),
        (here, Some(TOKEN), vec![host, ("authorization", "Basic 0123456789abcdef")], 401),
        (here, Some(TOKEN), vec![host, ("authorization", "0123456789abcdef")], 401),
        (here, Some(TOKEN), vec![host, right], 0),
        (here, Some(TOKEN), vec![host, ("authorization", "bearer 0123456789abcdef")], 0),
        (anywhere, Some(TOKEN), vec![("host", "worker:9091")], 401),
        (anywhere, Some(TOKEN), vec![("host", "worker:9091"), wrong], 401),
        (anywhere, Some(TOKEN), vec![("host", "worker:9091"), right], 0),
        // The configuration refuses it; so does the door.
        (anywhere, None, vec![host], 403),
    ] {
        let said = may_enter(&settings(listen, token), &headers(&given)).map_or_else(|error| error.status, |()| 0);
        assert_eq!(said, status, "{listen}, token {}, {given:?}", token.is_some());
    }
    let gone = AdminSettings { token_file: Some("/nowhere/token".into()), ..settings(here, None) };
    assert_eq!(may_enter(&gone, &headers(&[host, right])).expect_err("closed").status, 503);
}

/// A server with a worker behind it that says what it was asked, and one answer of it.
async fn asked(settings: AdminSettings, requests: &[String]) -> (Vec<(u16, Value)>, Vec<AdminVerb>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (sender, mut received) = mpsc::channel::<AdminRequest>(8);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    let api = AdminApi { settings, requests: sender };
    tasks.spawn(async move {
        serve_admin(listener, api, async { drop(stopped.await) }).await.expect("served");
        Vec::new()
    });
    tasks.spawn(async move {
        let mut verbs = Vec::new();
        while let Some(request) = received.recv().await {
            verbs.push(request.verb);
            request.answer.send(Ok(json!({ "taken": verbs.len() }))).expect("somebody waits");
        }
        verbs
    });
    let mut answers = Vec::new();
    for request in requests {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("answered");
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let body = text.split_once("\r\n\r\n").expect("a body").1;
        answers.push((status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {text}"))));
    }
    stop.send(()).expect("it still runs");
    let verbs = tasks.join_all().await.concat();
    (answers, verbs)
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn every_request_reaches_the_worker_checked() {
    let jane = json!({ "author": "jane", "comment": "x" }).to_string();
    let silence = json!({ "author": "jane", "comment": "patches", "for": "2h",
                          "matchers": [{ "field": "device.name", "value": "ws-*" }] });
    let (answers, verbs) = asked(
        settings("127.0.0.1:1", None),
        &[
            request("POST", "/admin/halt", &jane),
            request("POST", "/admin/resume", r#"{"author":"jane"}"#),
            request("POST", "/admin/rearm", r#"{"author":"jane","rule":"r-1"}"#),
            request("POST", "/admin/rearm", r#"{"author":"jane","all":true}"#),
            request("GET", "/admin/silences", ""),
            request("POST", "/admin/silences", &silence.to_string()),
            request("DELETE", "/admin/silences/s-1", r#"{"author":"jane"}"#),
            request("POST", "/admin/reload-rules", r#"{"author":"jane"}"#),
            request("GET", "/admin/status", ""),
        ],
    )
    .await;
    assert_eq!(
        answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
        [200, 200, 200, 200, 200, 201, 200, 200, 200]
    );
    assert_eq!(answers[8].1, json!({ "taken": 9 }));
    let mut orders = verbs.iter().map(|verb| match verb {
        AdminVerb::Order(order) | AdminVerb::EndSilence(order) => Some(&order.control),
        _ => None,
    });
    assert_eq!(orders.next(), Some(Some(&ControlAction::Halted)));
    assert_eq!(orders.next(), Some(Some(&ControlAction::Resumed)));
    assert_eq!(orders.next(), Some(Some(&ControlAction::Rearmed { rule_id: Some("r-1".to_owned()) })));
    assert_eq!(verbs[3], AdminVerb::RearmAll { author: "jane".to_owned(), comment: None });
    assert_eq!(verbs[4], AdminVerb::Silences);
    let AdminVerb::Order(order) = &verbs[5] else { panic!("{:?}", verbs[5]) };
    assert!(matches!(&order.control, ControlAction::SilenceSet { silence } if silence.author == "jane"));
    let AdminVerb::EndSilence(order) = &verbs[6] else { panic!("{:?}", verbs[6]) };
    assert_eq!(order.control, ControlAction::SilenceEnded { silence_id: "s-1".to_owned() });
    assert_eq!(verbs[7], AdminVerb::ReloadRules { author: "jane".to_owned() });
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_json_and_never_reaches_the_worker() {
    let long = format!(r#"{{"author":"jane","comment":"{}"}}"#, "x".repeat(20_000));
    let expected = [
        (request("POST", "/admin/halt", r#"{"author":"jane"}"#), 400, "invalid_request"),
        (request("POST", "/admin/halt", r#"{"comment":"x"}"#), 400, "invalid_request"),
        (request("POST", "/admin/halt", r#"{"author":"jane","comment":"x","now":true}"#), 400, "invalid_request"),
        (request("POST", "/admin/halt", "halt"), 400, "invalid_request"),
        (request("POST", "/admin/halt", &long), 413, "too_large"),
        (request("POST", "/admin/rearm", r#"{"author":"jane"}"#), 400, "invalid_request"),
        (
            request("POST", "/admin/silences", r#"{"author":"j","comment":"c","matchers":[],"for":"1h"}"#),
            400,
            "invalid_request",
        ),
        (request("GET", "/admin/halt", ""), 405, "wrong_method"),
        (request("GET", "/admin/nothing", ""), 404, "not_found"),
    ];
    let requests: Vec<String> = expected.iter().map(|(request, ..)| request.clone()).collect();
    let (answers, verbs) = asked(settings("127.0.0.1:1", None), &requests).await;
    for ((request, status, code), (said, body)) in expected.iter().zip(&answers) {
        assert_eq!((said, body["code"].as_str()), (status, Some(*code)), "{request}: {body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    assert_eq!(verbs, []);
}

#[tokio::test]
async fn a_stranger_learns_nothing() {
    let requests = ["/admin/status", "/admin/silences", "/admin/nothing", "/"].map(|path| request("GET", path, ""));
    let (answers, verbs) = asked(settings("127.0.0.1:1", Some(TOKEN)), &requests).await;
    for (status, body) in answers {
        assert_eq!((status, body["code"].as_str()), (401, Some("unauthorized")));
    }
    assert_eq!(verbs, []);
}
