//! The HTTP endpoints.
//!
//! | route | answer |
//! |---|---|
//! | `/livez` | 200 while every loop came round lately, else 503; `?verbose` lists the loops |
//! | `/readyz` | 200 while every condition holds, else 503; `?verbose` lists the conditions |
//! | `/metrics` | every metric in Prometheus' text format |

use std::future::Future;
use std::io;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use tokio::net::TcpListener;

use super::{Liveness, Metrics, Readiness};

const ROUTES: &str = "not found; there are /livez, /readyz and /metrics\n";

/// What the endpoints tell of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/livez`.
    pub liveness: Liveness,
    /// For `/readyz`.
    pub readiness: Readiness,
}

/// Serves until `shutdown` completes, then finishes the answers that are under way.
///
/// # Errors
/// None that a caller can mend: failed connections are skipped.
pub async fn serve(
    listener: TcpListener,
    state: AdminState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(state)).with_graceful_shutdown(shutdown).await
}

fn router(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, ROUTES) })
        .with_state(state)
}

async fn livez(State(state): State<AdminState>, RawQuery(query): RawQuery) -> Response {
    let loops = state.liveness.check(Timestamp::now());
    let lines = loops.iter().map(|watched| {
        let since = watched.since.map_or_else(|| "finished".to_owned(), |since| format!("{}s ago", since.as_secs()));
        (format!("{} ({since}, limit {}s)", watched.name, watched.limit.as_secs()), watched.is_alive())
    });
    answer(lines.collect(), query.as_deref())
}

async fn readyz(State(state): State<AdminState>, RawQuery(query): RawQuery) -> Response {
    let lines: Vec<_> = state.readiness.check().into_iter().map(|(name, holds)| (name.to_owned(), holds)).collect();
    if lines.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "failed: starting\n").into_response();
    }
    answer(lines, query.as_deref())
}

/// 200 where all hold, else 503 with those that do not; `?verbose` lists all, in the form Kubernetes uses for its own.
fn answer(lines: Vec<(String, bool)>, query: Option<&str>) -> Response {
    let all = lines.iter().all(|(_, holds)| *holds);
    let verbose =
        query.is_some_and(|query| query.split('&').any(|word| word == "verbose" || word.starts_with("verbose=")));
    let mut body = String::new();
    for (name, holds) in lines.iter().filter(|(_, holds)| verbose || !holds) {
        body.push_str(&format!("[{}] {name}\n", if *holds { '+' } else { '-' }));
    }
    body.push_str(if all { "ok\n" } else { "failed\n" });
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

async fn metrics(State(state): State<AdminState>) -> Response {
    match state.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    /// Answers of a real server, over a real connection.
    async fn ask(state: AdminState, paths: &[&str]) -> Vec<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, state, async { drop(stopped.await) }));
        let mut answers = Vec::new();
        for path in paths {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut text = String::new();
            stream.read_to_string(&mut text).await.expect("answered");
            let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
            answers.push((status, text.split_once("\r\n\r\n").expect("a body").1.to_owned()));
        }
        stop.send(()).expect("it still runs");
        server.join_next().await.expect("one").expect("no panic").expect("no error");
        answers
    }

    fn state() -> AdminState {
        let metrics = Metrics::new("t").expect("the table is sound");
        AdminState { liveness: Liveness::new(metrics.clone()), readiness: Readiness::default(), metrics }
    }

    #[tokio::test]
    async fn a_healthy_worker() {
        let state = state();
        let _progress = state.liveness.register("intake", Duration::from_secs(3600), Timestamp::now());
        let _rules = state.readiness.condition("rules loaded", true);
        let answers = ask(state, &["/livez", "/readyz", "/readyz?verbose", "/metrics", "/"]).await;
        assert_eq!(answers[0], (200, "ok\n".to_owned()));
        assert_eq!(answers[1], (200, "ok\n".to_owned()));
        assert_eq!(answers[2], (200, "[+] rules loaded\nok\n".to_owned()));
        assert_eq!(answers[3].0, 200);
        assert!(answers[3].1.contains("\nalert_responder_alerts_unaccounted 0\n"));
        assert_eq!(answers[4], (404, ROUTES.to_owned()));
    }

    #[tokio::test]
    async fn a_worker_that_is_stuck_and_not_ready() {
        let state = state();
        let _progress = state.liveness.register("intake", Duration::from_secs(1), Timestamp::UNIX_EPOCH);
        let fine = state.liveness.register("dispatch", Duration::from_secs(1), Timestamp::now());
        fine.finish();
        let _rules = state.readiness.condition("rules loaded", true);
        let _group = state.readiness.condition("group joined", false);
        let answers = ask(state, &["/livez", "/livez?verbose", "/readyz", "/readyz?verbose=1"]).await;
        assert_eq!(answers[0].0, 503);
        assert!(
            answers[0].1.starts_with("[-] intake (") && answers[0].1.ends_with(", limit 1s)\nfailed\n"),
            "{answers:?}"
        );
        assert!(answers[1].1.contains("[+] dispatch (finished, limit 1s)\n"), "{answers:?}");
        assert_eq!(answers[2], (503, "[-] group joined\nfailed\n".to_owned()));
        assert_eq!(answers[3], (503, "[+] rules loaded\n[-] group joined\nfailed\n".to_owned()));
    }

    #[tokio::test]
    async fn a_worker_that_just_started_is_alive_and_not_ready() {
        let answers = ask(state(), &["/livez", "/readyz"]).await;
        assert_eq!(answers, [(200, "ok\n".to_owned()), (503, "failed: starting\n".to_owned())]);
    }
}
