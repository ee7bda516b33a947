//! The routes: who asks, what is asked, and the answer as JSON.

use std::future::Future;
use std::io;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{AdminError, AdminRequest, AdminSettings, AdminVerb, OrderBody, RearmBody, SilenceBody};
use crate::event::ControlAction;

/// Longest body, in bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// What the routes need. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AdminApi {
    /// Whom to let in.
    pub settings: AdminSettings,
    /// Whom to ask.
    pub requests: mpsc::Sender<AdminRequest>,
}

type Answer = Result<(StatusCode, Value), AdminError>;

/// Serves until `shutdown` completes, then finishes the answers that are under way.
///
/// # Errors
/// None that a caller can mend: failed connections are skipped.
pub async fn serve_admin(
    listener: TcpListener,
    api: AdminApi,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(api)).with_graceful_shutdown(shutdown).await
}

fn router(api: AdminApi) -> Router {
    let wrong_method = || async { answered(Err(AdminError::new(405, "wrong_method", "there is no such request"))) };
    Router::new()
        .route("/admin/halt", post(halt))
        .route("/admin/resume", post(resume))
        .route("/admin/rearm", post(rearm))
        .route("/admin/silences", get(silences).post(set_silence))
        .route("/admin/silences/{id}", delete(end_silence))
        .route("/admin/reload-rules", post(reload_rules))
        .route("/admin/status", get(status))
        .method_not_allowed_fallback(wrong_method)
        .fallback(|| async {
            answered(Err(AdminError::new(404, "not_found", "there is no such place; see /admin/status for a start")))
        })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        // Before anything is read or looked for: a stranger learns nothing, not even which routes there are.
        .layer(middleware::from_fn_with_state(api.clone(), let_in))
        .with_state(api)
}

/// Lets a request through that shows the token, or, where none is set, one that no web page can have sent.
async fn let_in(State(api): State<AdminApi>, request: Request, next: Next) -> Response {
    match may_enter(&api.settings, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            tracing::warn!(code = error.code, path = request.uri().path(), "An admin request was refused.");
            let challenge = (error.status == 401).then_some([(header::WWW_AUTHENTICATE, "Bearer")]);
            (challenge, answered(Err(error))).into_response()
        }
    }
}

pub(super) fn may_enter(settings: &AdminSettings, headers: &HeaderMap) -> Result<(), AdminError> {
    let token = settings.read_token().map_err(|message| AdminError::new(503, "token_unavailable", message))?;
    let Some(token) = token else { return from_this_machine(settings, headers) };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match shown {
        Some(shown) if same(shown, token.expose_secret()) => Ok(()),
        Some(_) => Err(AdminError::new(401, "unauthorized", "that is not the token")),
        None => Err(AdminError::new(401, "unauthorized", "show the token: `Authorization: Bearer …`")),
    }
}

/// Without a token only this machine can connect, and so can every web page that is open in a browser on it. A page can
/// neither leave `Origin` out of what changes something nor name this address as the host of its own name.
fn from_this_machine(settings: &AdminSettings, headers: &HeaderMap) -> Result<(), AdminError> {
    let refused = |what: &str| Err(AdminError::new(403, "forbidden", what));
    if !settings.listen.is_some_and(|address| address.ip().is_loopback()) {
        return refused("without a token only this machine may ask, and the address can be reached from others");
    }
    if headers.contains_key(header::ORIGIN) {
        return refused("a browser sends this, and there is no token; set admin.token_file");
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    if name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()) {
        return Ok(());
    }
    refused("the host is not this machine by its own name; ask 127.0.0.1 or localhost, or set admin.token_file")
}

/// Compares in a time that tells nothing of where they differ, nor of how long the right one is.
fn same(shown: &str, token: &str) -> bool {
    let (shown, token) = (Sha256::digest(shown.as_bytes()), Sha256::digest(token.as_bytes()));
    shown.iter().zip(token.iter()).fold(0, |different, (one, other)| different | (one ^ other)) == 0
}

fn answered(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, json!(error))
        }
    };
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

fn parsed<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, AdminError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            AdminError::new(413, "too_large", format!("a body may have {LONGEST_BODY} bytes"))
        }
        _ => AdminError::invalid(rejection.body_text()),
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| AdminError::invalid(format!("the body is not as it must be: {error}")))
}

async fn ask(api: &AdminApi, verb: AdminVerb) -> Result<Value, AdminError> {
    let stopping = || AdminError::new(503, "stopping", "the worker is about to stop");
    let (answer, answered) = oneshot::channel();
    api.requests.send(AdminRequest { verb, answer }).await.map_err(|_| stopping())?;
    answered.await.map_err(|_| stopping())?
}

async fn halt(State(api): State<AdminApi>, body: Result<Bytes, BytesRejection>) -> Response {
    answered(order(&api, body, ControlAction::Halted).await)
}

async fn resume(State(api): State<AdminApi>, body: Result<Bytes, BytesRejection>) -> Response {
    answered(order(&api, body, ControlAction::Resumed).await)
}

async fn order(api: &AdminApi, body: Result<Bytes, BytesRejection>, action: ControlAction) -> Answer {
    let order = parsed::<OrderBody>(body)?.into_order(action)?;
    Ok((StatusCode::OK, ask(api, AdminVerb::Order(order)).await?))
}

async fn rearm(State(api): State<AdminApi>, body: Result<Bytes, BytesRejection>) -> Response {
    let answer = async {
        let body = parsed::<RearmBody>(body)?;
        let rule_id = body.rule()?;
        let order = body.order().into_order(ControlAction::Rearmed { rule_id: rule_id.clone() })?;
        let verb = match rule_id {
            Some(_) => AdminVerb::Order(order),
            None => AdminVerb::RearmAll { author: order.author, comment: order.comment },
        };
        Ok((StatusCode::OK, ask(&api, verb).await?))
    };
    answered(answer.await)
}

async fn silences(State(api): State<AdminApi>) -> Response {
    answered(ask(&api, AdminVerb::Silences).await.map(|silences| (StatusCode::OK, silences)))
}

async fn set_silence(State(api): State<AdminApi>, body: Result<Bytes, BytesRejection>) -> Response {
    let answer = async {
        let id = Uuid::new_v4().simple().to_string();
        let silence = parsed::<SilenceBody>(body)?.into_silence(id, Timestamp::now())?;
        let body = OrderBody { author: silence.author.clone(), comment: Some(silence.comment.clone()) };
        let order = body.into_order(ControlAction::SilenceSet { silence })?;
        Ok((StatusCode::CREATED, ask(&api, AdminVerb::Order(order)).await?))
    };
    answered(answer.await)
}

async fn end_silence(
    State(api): State<AdminApi>,
    Path(silence_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = async {
        let order = parsed::<OrderBody>(body)?.into_order(ControlAction::SilenceEnded { silence_id })?;
        Ok((StatusCode::OK, ask(&api, AdminVerb::EndSilence(order)).await?))
    };
    answered(answer.await)
}

async fn reload_rules(State(api): State<AdminApi>, body: Result<Bytes, BytesRejection>) -> Response {
    let answer = async {
        // Checked as every order is.
        let order = parsed::<OrderBody>(body)?.into_order(ControlAction::Resumed)?;
        Ok((StatusCode::OK, ask(&api, AdminVerb::ReloadRules { author: order.author }).await?))
    };
    answered(answer.await)
}

async fn status(State(api): State<AdminApi>) -> Response {
    answered(ask(&api, AdminVerb::Status).await.map(|status| (StatusCode::OK, status)))
}
