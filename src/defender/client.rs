//! The calls.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::action::{MachineAction, RUN_ANTIVIRUS_SCAN};
use super::answer::{NotSent, Refusal, ScanAnswer};
use super::auth::{Token, TokenRequest, TokenSource};
use super::error::DefenderError;
use super::gate::{Gate, LeaveBy};
use super::http::{self, Answer};
use super::machine::{Machine, is_machine_id};
use super::roles::Roles;
use super::settings::Settings;

/// One action is about a kilobyte.
const ACTION_LIMIT: usize = 64 * 1024;
/// A machine with many addresses and tags.
const MACHINE_LIMIT: usize = 1024 * 1024;
/// 10,000 actions of a kilobyte, with room.
const PAGE_LIMIT: usize = 32 * 1024 * 1024;
/// More actions than 1,500 an hour make in five days; a list beyond it is an error, never cut short.
const LIST_LIMIT: usize = 200_000;
/// So that empty pages with links to more cannot keep us for ever.
const PAGES_LIMIT: usize = 10_000;
/// Characters of a comment. Defender documents no most; this is the most that `scheduler.comment_max_chars` may allow.
const COMMENT_LIMIT: usize = 2000;

/// One request for a scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanRequest<'a> {
    /// The device: 40 lower-case hexadecimal digits.
    pub machine_id: &'a str,
    /// The comment, marker included. It comes back as the action's `requestorComment`.
    pub comment: &'a str,
    /// `Quick` or `Full`, in exactly these letters.
    pub scan_type: &'a str,
    /// The last moment at which the request may leave.
    pub must_leave_by: LeaveBy,
}

/// A client for one tenant. Cheap to clone; clones share the token and the connections.
#[derive(Debug, Clone)]
pub struct Client {
    tokens: Arc<TokenSource>,
    /// For reads: pooled.
    reader: reqwest::Client,
    /// For POSTs: never pooled, see [`http::builder`].
    writer: reqwest::Client,
    base: Url,
    call_timeout: Duration,
    page_size: u32,
    /// While it is set, no scan request leaves.
    stopped: Arc<AtomicBool>,
}

impl Client {
    /// A client by these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// [`DefenderError::Settings`] with every message of [`Settings::validate`].
    pub fn new(settings: &Settings) -> Result<Self, DefenderError> {
        let wrong = settings.validate();
        if !wrong.is_empty() {
            return Err(DefenderError::Settings(wrong.join("; ")));
        }
        let hosts = settings.hosts().map_err(|wrong| DefenderError::Settings(wrong.join("; ")))?;
        let base = Url::parse(&hosts.api).map_err(|error| DefenderError::Settings(format!("api_url: {error}")))?;
        let build = |pooled| {
            http::builder(settings, &hosts.api, pooled)
                .build()
                .map_err(|error| DefenderError::Settings(http::describe(&error)))
        };
        Ok(Self {
            tokens: Arc::new(TokenSource::new(settings)?),
            reader: build(true)?,
            writer: build(false)?,
            base,
            call_timeout: settings.call_timeout,
            page_size: settings.list_page_size,
            stopped: Arc::default(),
        })
    }

    /// Scan requests leave only while `stopped` is not set: it is asked where the body is handed to the socket, so that a
    /// call which waits for a token or a connection when somebody sets it never leaves.
    #[must_use]
    pub fn stopped_by(self, stopped: Arc<AtomicBool>) -> Self {
        Self { stopped, ..self }
    }

    /// What the app registration may do, as its token says. A start-up check: a missing role otherwise shows as a 403 at the
    /// first scan.
    ///
    /// # Errors
    /// No token, or one that is not a JWT.
    pub async fn roles(&self) -> Result<Roles, DefenderError> {
        Roles::from_token(self.tokens.token().await?.expose())
    }

    /// Requests for a token that were made since this was asked last, by any clone: for whoever measures them.
    #[must_use]
    pub fn take_token_requests(&self) -> Vec<TokenRequest> {
        self.tokens.take_made()
    }

    /// Asks for a scan: at most one request is written, whatever happens, and none after `must_leave_by`.
    ///
    /// The token is fetched before that moment is checked. The whole call, token included, takes at most `call_timeout`.
    pub async fn run_antivirus_scan(&self, request: ScanRequest<'_>) -> ScanAnswer {
        if let Err(detail) = check(&request) {
            return ScanAnswer::NotSent { detail, cause: NotSent::Invalid };
        }
        let deadline = Instant::now() + self.call_timeout;
        let token = match timeout_at(deadline, self.tokens.token()).await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return ScanAnswer::without_token(&error),
            Err(_) => {
                let detail = "no token within the call's time".to_owned();
                return ScanAnswer::NotSent { detail, cause: NotSent::TokenUnavailable };
            }
        };
        let too_late = || ScanAnswer::NotSent {
            detail: "the moment to leave had passed, or the kill switch was pulled".to_owned(),
            cause: NotSent::TooLate,
        };
        if request.must_leave_by.is_late() || self.stopped.load(Ordering::SeqCst) {
            return too_late();
        }
        let gate = Gate::new(request.must_leave_by, Arc::clone(&self.stopped));
        let body = json!({ "Comment": request.comment, "ScanType": request.scan_type }).to_string();
        let url = self.url(&["machines", request.machine_id, "runAntiVirusScan"]);
        let sent = self.post(url, &token, body, |bytes| gate.body(bytes)).send();
        let exchange = async {
            match sent.await {
                Ok(response) => Ok(http::read(response, ACTION_LIMIT).await),
                Err(error) => Err(error),
            }
        };
        let answer = match timeout_at(deadline, exchange).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(error))) => return ScanAnswer::InDoubt { detail: error.to_string(), retry_after: None },
            Ok(Err(error)) => {
                let nothing_left = gate.close();
                if gate.was_late() {
                    return too_late();
                }
                let detail = http::describe(&error);
                // Both must say so: the transport that no connection came about, and the gate that the body is still here.
                return if nothing_left && http::never_connected(&error) {
                    ScanAnswer::NotSent { detail, cause: NotSent::Unreachable }
                } else {
                    ScanAnswer::InDoubt { detail, retry_after: None }
                };
            }
            Err(_) => {
                let detail = format!("no answer within {:?}", self.call_timeout);
                // Shut before the task that drives the connection could still reach for the body.
                return if gate.close() {
                    ScanAnswer::NotSent { detail, cause: NotSent::Unreachable }
                } else {
                    ScanAnswer::InDoubt { detail, retry_after: None }
                };
            }
        };
        let answer = ScanAnswer::read(&answer, request.machine_id);
        if let ScanAnswer::Refused { kind: Refusal::Unauthorized | Refusal::Forbidden, .. } = answer {
            self.tokens.drop_token(&token);
        }
        answer
    }

    /// Every antivirus scan action, anybody's, created since then (rounded down to the second): all pages, newest first as
    /// the API gives them, each action once.
    ///
    /// # Errors
    /// Any page that fails fails the list: a list that is not complete is no list.
    pub async fn list_scan_actions(&self, created_since: Timestamp) -> Result<Vec<MachineAction>, DefenderError> {
        let since = created_since
            .checked_sub(SignedDuration::from_nanos(i64::from(created_since.subsec_nanosecond().max(0))))
            .map_err(|error| DefenderError::Invalid(format!("created_since: {error}")))?;
        let filter = format!("type eq '{RUN_ANTIVIRUS_SCAN}' and creationDateTimeUtc ge {since}");
        let path = self.url(&["machineactions"]);
        let (mut actions, mut seen, mut links) = (Vec::new(), HashSet::new(), HashSet::new());
        let mut received = 0;
        let mut link: Option<String> = None;
        loop {
            let mut url = path.clone();
            if let Some(query) = &link {
                url.set_query(Some(query));
            } else {
                url.query_pairs_mut()
                    .append_pair("$filter", &filter)
                    .append_pair("$top", &self.page_size.to_string())
                    .append_pair("$skip", &received.to_string());
            }
            let page = match self.get(url, PAGE_LIMIT).await {
                Ok(page) => page,
                // An empty list of the sibling resource is documented as this 404, and past the last action our own
                // question has an empty answer too. Where a link was followed it means that the link is good no more:
                // what it led to was never shown, and the list would prove an absence that nobody saw. Any other 404
                // is a wrong place, not a list without our scan.
                Err(DefenderError::Api { error, .. })
                    if link.is_none() && error.is_not_found() && error.code == "ResourceNotFound" =>
                {
                    return Ok(actions);
                }
                Err(error) => return Err(error),
            };
            let Some(items) = page.get("value").and_then(Value::as_array) else {
                return Err(DefenderError::Unreadable("a list without value".to_owned()));
            };
            received += items.len();
            if received > LIST_LIMIT {
                return Err(DefenderError::Unreadable(format!("more than {LIST_LIMIT} machine actions")));
            }
            for item in items {
                let action = MachineAction::from_value(item).map_err(DefenderError::Unreadable)?;
                // New actions push older ones to a later page, where they are met again.
                if action.is_scan() && seen.insert(action.id.clone()) {
                    actions.push(action);
                }
            }
            link = match page.get("@odata.nextLink").and_then(Value::as_str) {
                Some(next) => Some(own_query(next)?),
                // Without a link the last page shows by being empty: the API documents no page size to compare with.
                None if items.is_empty() => return Ok(actions),
                None => None,
            };
            if let Some(query) = &link
                && (!links.insert(query.clone()) || links.len() > PAGES_LIMIT)
            {
                return Err(DefenderError::Unreadable("the pages of a list have no end".to_owned()));
            }
        }
    }

    /// One device, by machine id (the API also takes a computer name). None when there is none, or the app may not see it.
    ///
    /// # Errors
    /// Anything but the device or its absence.
    pub async fn machine(&self, id: &str) -> Result<Option<Machine>, DefenderError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.len() > 255 || !id.chars().all(plain) || !id.chars().any(|c| c.is_ascii_alphanumeric()) {
            return Err(DefenderError::Invalid(format!("{id:?} is neither a machine id nor a computer name")));
        }
        match self.get(self.url(&["machines", id]), MACHINE_LIMIT).await {
            Ok(value) => Machine::from_value(&value).map(Some).map_err(DefenderError::Unreadable),
            Err(DefenderError::Api { error, .. }) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Cancels a machine action. The action in the answer may still be open.
    ///
    /// # Errors
    /// Any error answer (a 400 for an action that is over), or none within the call's time; [`DefenderError::HeldBack`] where
    /// the kill switch or the moment to leave came first.
    pub async fn cancel(
        &self,
        action_id: &str,
        comment: &str,
        must_leave_by: LeaveBy,
    ) -> Result<MachineAction, DefenderError> {
        if action_id.is_empty() || !action_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(DefenderError::Invalid(format!("{action_id:?} is not the id of a machine action")));
        }
        let token = self.tokens.token().await?;
        let body = json!({ "Comment": comment }).to_string();
        let url = self.url(&["machineactions", action_id, "cancel"]);
        if must_leave_by.is_late() || self.stopped.load(Ordering::SeqCst) {
            return Err(DefenderError::HeldBack);
        }
        let gate = Gate::new(must_leave_by, Arc::clone(&self.stopped));
        let sent = self.exchange(self.post(url, &token, body, |bytes| gate.body(bytes)), ACTION_LIMIT).await;
        let answer = sent.map_err(|error| if gate.was_late() { DefenderError::HeldBack } else { error })?;
        if answer.status == 401 {
            self.tokens.drop_token(&token);
        }
        if !(200..300).contains(&answer.status) {
            return Err(answer.into_error());
        }
        let value = parse(&answer)?;
        MachineAction::from_value(&value).map_err(DefenderError::Unreadable)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        url
    }

    fn post(
        &self,
        url: Url,
        token: &Token,
        body: String,
        wrap: impl Fn(Bytes) -> reqwest::Body,
    ) -> reqwest::RequestBuilder {
        let body = Bytes::from(body);
        self.writer
            .request(Method::POST, url)
            .bearer_auth(token.expose())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            // Said outright, so that a body behind a gate is not sent in chunks.
            .header(CONTENT_LENGTH, body.len())
            .body(wrap(body))
    }

    async fn exchange(&self, request: reqwest::RequestBuilder, limit: usize) -> Result<Answer, DefenderError> {
        let exchange = async {
            let response = request.send().await.map_err(|error| http::plain_error(&error))?;
            http::read(response, limit).await
        };
        timeout(self.call_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(DefenderError::NoAnswer(format!("none within {:?}", self.call_timeout))))
    }

    /// A read. After a 401 it is asked once more with a fresh token, as it has no effect of its own.
    async fn get(&self, url: Url, limit: usize) -> Result<Value, DefenderError> {
        let mut fresh = false;
        loop {
            let token = self.tokens.token().await?;
            let request = self.reader.get(url.clone()).bearer_auth(token.expose()).header(ACCEPT, "application/json");
            let answer = self.exchange(request, limit).await?;
            if matches!(answer.status, 401 | 403) {
                self.tokens.drop_token(&token);
                if answer.status == 401 && !fresh {
                    fresh = true;
                    continue;
                }
            }
            if answer.status != 200 {
                return Err(answer.into_error());
            }
            return parse(&answer);
        }
    }
}

fn parse(answer: &Answer) -> Result<Value, DefenderError> {
    serde_json::from_slice(&answer.body).map_err(|error| DefenderError::Unreadable(error.to_string()))
}

/// The query of a link to the next page. Its host is not used: it may name another host of Microsoft's, or of anybody's.
fn own_query(link: &str) -> Result<String, DefenderError> {
    let (_, query) = link
        .split_once('?')
        .ok_or_else(|| DefenderError::Unreadable("a link to the next page without a query".to_owned()))?;
    Ok(query.split('#').next().unwrap_or_default().to_owned())
}

fn check(request: &ScanRequest<'_>) -> Result<(), String> {
    if !is_machine_id(request.machine_id) {
        return Err(format!("{:?} is not a machine id (40 hexadecimal digits)", request.machine_id));
    }
    if !matches!(request.scan_type, "Quick" | "Full") {
        return Err(format!("{:?} is not a scan type (Quick or Full)", request.scan_type));
    }
    if request.comment.trim().is_empty() || request.comment.chars().count() > COMMENT_LIMIT {
        return Err(format!("a comment must have 1 to {COMMENT_LIMIT} characters"));
    }
    Ok(())
}
