//! HTTP around the world, and the control endpoints under `/simulator`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Response, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::config::SimMachine;
use super::fault::{Fault, FaultPlan};
use super::net::Scissors;
use super::reply::{Call, Reply};
use super::world::World;

/// No request of this API is larger.
const BODY_LIMIT: usize = 256 * 1024;

/// What the server and the handle share.
#[derive(Clone)]
pub(super) struct Shared {
    world: Arc<Mutex<World>>,
    refusing: watch::Sender<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(world: World, refusing: watch::Sender<Option<Instant>>) -> Self {
        Self { world: Arc::new(Mutex::new(world)), refusing }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_fault(&self, plan: FaultPlan) {
        self.world().set_fault(plan);
        if plan.fault == Fault::Refuse {
            let ms = plan.for_ms.unwrap_or(86_400_000);
            self.refusing.send_replace(Some(Instant::now() + Duration::from_millis(ms)));
        }
    }

    pub(super) fn clear_faults(&self) {
        self.world().clear_faults();
        self.refusing.send_replace(None);
    }
}

pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(
    State(shared): State<Shared>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = parts.uri.path().to_owned();
    if let Some(control) = path.strip_prefix("/simulator/") {
        return respond(self::control(&shared, parts.method.as_str(), control, &body));
    }
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let call = Call {
        method: parts.method.to_string(),
        path: decoded(&path),
        query: pairs(parts.uri.query().unwrap_or_default()),
        authorization: authorization.map(str::to_owned),
        body: body.to_vec(),
    };
    let reply = shared.world().handle(&call);
    if !reply.delay.is_zero() {
        sleep(reply.delay).await;
    }
    if reply.cut {
        scissors.0.cancel();
        // The connection, and this with it, is dropped at its next poll.
        return std::future::pending().await;
    }
    respond(reply)
}

fn respond(reply: Reply) -> Response<Body> {
    let mut response = Response::builder().status(reply.status).header(header::CONTENT_TYPE, reply.content_type);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignAction {
    machine_id: String,
    #[serde(default = "quick")]
    scan_type: String,
    #[serde(default)]
    comment: String,
}

fn quick() -> String {
    "Quick".to_owned()
}

fn control(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Reply {
    let bad = |error: serde_json::Error| Reply::json(400, &json!({ "error": error.to_string() }));
    match (method, path) {
        ("GET", "health") => Reply::json(200, &json!({ "status": "ok" })),
        ("GET", "log") => {
            let lines: Vec<String> =
                shared.world().log.records().filter_map(|record| serde_json::to_string(record).ok()).collect();
            let body = lines.iter().map(|line| format!("{line}\n")).collect();
            Reply { content_type: "application/x-ndjson", body, ..Reply::empty(200) }
        }
        ("GET", "summary") => {
            let world = shared.world();
            let windows: Vec<Duration> = world.config.quotas.iter().map(|quota| quota.window).collect();
            Reply::json(200, &world.log.summary(&windows))
        }
        ("POST", "faults") => match serde_json::from_slice::<FaultPlan>(body) {
            Ok(plan) if plan.fault == Fault::Refuse && plan.for_ms.is_none() => {
                Reply::json(400, &json!({ "error": "refuse closes this door too: say for_ms" }))
            }
            Ok(plan) => {
                shared.set_fault(plan);
                Reply::json(200, &json!({ "status": "ok" }))
            }
            Err(error) => bad(error),
        },
        ("DELETE", "faults") => {
            shared.clear_faults();
            Reply::json(200, &json!({ "status": "ok" }))
        }
        ("POST", "machines") => match serde_json::from_slice::<SimMachine>(body) {
            Ok(machine) => Reply::json(200, &json!({ "id": shared.world().add_machine(machine) })),
            Err(error) => bad(error),
        },
        ("POST", "actions") => match serde_json::from_slice::<ForeignAction>(body) {
            Ok(action) => {
                let id = shared.world().add_foreign(&action.machine_id, &action.scan_type, &action.comment);
                Reply::json(if id.is_some() { 200 } else { 404 }, &json!({ "id": id }))
            }
            Err(error) => bad(error),
        },
        ("POST", "revoke-tokens") => {
            shared.world().revoke_tokens();
            Reply::json(200, &json!({ "status": "ok" }))
        }
        _ => Reply::json(404, &json!({ "error": "see the documentation of the simulator module" })),
    }
}

/// The pairs of a form or a query.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(
        &Uri::builder().path_and_query(format!("/?{text}")).build().unwrap_or_default(),
    )
    .map(|query| query.0)
    .unwrap_or_default()
}

/// Pairs as the text of a query.
pub(super) fn query_text(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'$' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        text.bytes().map(byte).collect::<String>()
    };
    pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&")
}

/// A path with its percent signs resolved, by the reader of queries, which knows how.
fn decoded(path: &str) -> String {
    let plain = path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    pairs(&format!("p={plain}")).pop().map_or_else(|| path.to_owned(), |(_, value)| value)
}
