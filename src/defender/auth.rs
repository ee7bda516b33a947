//! Access tokens: client credentials (Microsoft's page on the OAuth 2.0 client credentials flow, v2), cached and renewed early.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::error::DefenderError;
use super::gate::boot_time;
use super::http;
use super::settings::Settings;
use super::text::clean;

/// A token answer is a few kilobytes.
const TOKEN_ANSWER_LIMIT: usize = 256 * 1024;
/// The longest head start of a renewal.
const RENEW_EARLY: Duration = Duration::from_secs(300);
/// Most requests kept for whoever measures; they are rare.
const MOST_UNMEASURED: usize = 64;
/// After a failed early renewal the token in hand is used for that long before the next try.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// A token in hand.
#[derive(Clone)]
pub(super) struct Token {
    secret: Arc<SecretString>,
    number: u64,
    /// Times since boot.
    renew_at: Duration,
    expires_at: Duration,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.number)
    }
}

/// One request for a token that was really made, for whoever measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRequest {
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub answer: TokenAnswer,
}

/// What came of a request for a token, as far as HTTP is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAnswer {
    /// An answer with this status.
    Status(u16),
    /// No connection.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Cut off in the middle.
    BrokenOff,
}

type Pending = Shared<BoxFuture<'static, Result<Token, DefenderError>>>;

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    pending: Option<Pending>,
    requests: u64,
    /// Requests that nobody has measured yet.
    made: Vec<TokenRequest>,
}

/// Where tokens come from. However many ask at once, one request is under way, and all of them get its answer.
#[derive(Debug)]
pub(super) struct TokenSource {
    http: reqwest::Client,
    settings: Settings,
    url: String,
    scope: String,
    state: Mutex<State>,
}

impl TokenSource {
    pub(super) fn new(settings: &Settings) -> Result<Self, DefenderError> {
        let hosts = settings.hosts().map_err(|wrong| DefenderError::Settings(wrong.join("; ")))?;
        let http = http::builder(settings, &hosts.authority, true)
            .timeout(settings.token_timeout)
            .build()
            .map_err(|error| DefenderError::Settings(http::describe(&error)))?;
        Ok(Self {
            http,
            settings: settings.clone(),
            url: format!("{}/{}/oauth2/v2.0/token", hosts.authority, settings.tenant_id),
            scope: hosts.scope,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that is still good, from the cache where possible.
    pub(super) async fn token(self: &Arc<Self>) -> Result<Token, DefenderError> {
        let pending = {
            let mut state = self.state();
            if let Some(token) = state.token.as_ref().filter(|token| boot_time() < token.renew_at) {
                return Ok(token.clone());
            }
            if state.pending.is_none() {
                state.requests += 1;
                let number = state.requests;
                let source = Arc::clone(self);
                state.pending = Some(async move { source.request(number).await }.boxed().shared());
            }
            state.pending.clone()
        };
        let Some(pending) = pending else {
            return Err(DefenderError::TokenUnavailable("no request under way".to_owned()));
        };
        let result = pending.clone().await;
        let mut state = self.state();
        let first_to_see_it = state.pending.as_ref().is_some_and(|now| now.ptr_eq(&pending));
        if first_to_see_it {
            state.pending = None;
            if let Ok(token) = &result {
                state.token = Some(token.clone());
            }
        }
        let error = match result {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        // An early renewal that failed does no harm yet.
        match state.token.as_mut().filter(|token| boot_time() < token.expires_at) {
            Some(token) => {
                if first_to_see_it {
                    token.renew_at = (boot_time() + RENEW_AGAIN).min(token.expires_at);
                    tracing::warn!(error = %error, code = error.code(), "the access token could not be renewed yet");
                }
                Ok(token.clone())
            }
            None => Err(error),
        }
    }

    /// Forgets a token that the API did not take. One that was renewed meanwhile stays.
    pub(super) fn drop_token(&self, refused: &Token) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|token| token.number == refused.number) {
            state.token = None;
        }
    }

    fn measured(&self, request: TokenRequest) {
        let mut state = self.state();
        if state.made.len() < MOST_UNMEASURED {
            state.made.push(request);
        }
    }

    /// Requests that were made since this was asked last.
    pub(super) fn take_made(&self) -> Vec<TokenRequest> {
        std::mem::take(&mut self.state().made)
    }

    async fn request(&self, number: u64) -> Result<Token, DefenderError> {
        let secret = self.settings.read_secret()?;
        let form = [
            ("client_id", self.settings.client_id.as_str()),
            ("scope", self.scope.as_str()),
            ("client_secret", secret.expose_secret()),
            ("grant_type", "client_credentials"),
        ];
        // Taken before the request, so that the token is never thought younger than it is.
        let begun = boot_time();
        let sent = self.http.post(&self.url).form(&form).send().await;
        let (answer, told) = match sent {
            Ok(response) => {
                let status = response.status().as_u16();
                (http::read(response, TOKEN_ANSWER_LIMIT).await.map_err(|error| error.to_string()), Ok(status))
            }
            Err(error) => (Err(http::describe(&error)), Err(error)),
        };
        let answered = match (&answer, told) {
            (Ok(_), Ok(status)) => TokenAnswer::Status(status),
            (_, Err(error)) if error.is_timeout() => TokenAnswer::TimedOut,
            (_, Err(error)) if http::never_connected(&error) => TokenAnswer::Unreachable,
            _ => TokenAnswer::BrokenOff,
        };
        self.measured(TokenRequest { took: boot_time().saturating_sub(begun), answer: answered });
        let answer = answer.map_err(DefenderError::TokenUnavailable)?;
        if answer.status != 200 {
            return Err(refused(answer.status, &answer.body, secret.expose_secret()));
        }
        let unusable = |what: &str| DefenderError::TokenUnavailable(format!("an answer without {what}"));
        let value: Value = serde_json::from_slice(&answer.body).map_err(|_| unusable("JSON"))?;
        let token = value.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| unusable("access_token"))?;
        // A number in v2, a string in v1 and from proxies of it.
        let lifetime = match value.get("expires_in") {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(number) => number.as_f64(),
            None => None,
        };
        let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let lifetime = lifetime.ok_or_else(|| unusable("a readable expires_in"))?;
        let early = RENEW_EARLY.min(lifetime / 10);
        Ok(Token {
            secret: Arc::new(SecretString::from(token)),
            number,
            renew_at: begun.saturating_add(lifetime.saturating_sub(early)),
            expires_at: begun.saturating_add(lifetime),
        })
    }
}

/// Reads a token error. The shape is `error` and `error_description`; only the first is fit to act on.
fn refused(status: u16, body: &[u8], secret: &str) -> DefenderError {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let text = |key: &str| value.as_ref().and_then(|value| value.get(key)).and_then(Value::as_str);
    let redact = |text: &str| {
        let encoded: String = reqwest::Url::parse_with_params("x:", [("", secret)])
            .ok()
            .and_then(|url| url.query().map(|query| query.trim_start_matches('=').to_owned()))
            .unwrap_or_default();
        let mut text = text.to_owned();
        for form in [secret, encoded.as_str()] {
            if !form.is_empty() {
                text = text.replace(form, "[secret]");
            }
        }
        text
    };
    // Struck out before anything is cut: a secret that lies across the cut would stay in part.
    let shown = |text: &str, max: usize| clean(&redact(text), max);
    let description =
        text("error_description").map_or_else(|| shown(&String::from_utf8_lossy(body), 500), |text| shown(text, 500));
    match text("error") {
        Some(error) if (400..500).contains(&status) && status != 429 && error != "temporarily_unavailable" => {
            DefenderError::TokenRefused { status, error: shown(error, 100), description }
        }
        _ => DefenderError::TokenUnavailable(format!("{status}: {description}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_tells_the_secret() {
        let body = br#"{"error":"invalid_client","error_description":"bad abc~def+123 or abc%7Edef%2B123\r\nTrace"}"#;
        let error = refused(401, body, "abc~def+123");
        assert_eq!(error.code(), "token_refused");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("abc~") && !text.contains("abc%7E"), "{text}");
        assert!(text.contains("[secret] or [secret] Trace"), "{text}");
        let plain = refused(502, b"<html>abc~def+123</html>", "abc~def+123");
        assert!(plain.is_retryable() && !plain.to_string().contains("abc~"));
    }

    #[test]
    fn a_secret_is_struck_out_wherever_it_lies() {
        let secret = "abc~def+123";
        for before in 480..500 {
            let plain = format!("{}{secret}{secret}", "-".repeat(before));
            let told = serde_json::json!({ "error": "e", "error_description": plain }).to_string();
            for body in [plain, told] {
                let text = refused(400, body.as_bytes(), secret).to_string();
                assert!(!text.contains("abc"), "{text}");
            }
        }
        let odd = refused(400, br#"{"error":"abc~def+123 is no secret"}"#, secret);
        assert!(!format!("{odd} {odd:?}").contains("abc"), "{odd:?}");
        assert!(odd.to_string().contains("[secret] is no secret"), "{odd}");
    }

    #[test]
    fn what_may_pass_is_told_from_what_must_be_mended() {
        assert!(refused(429, br#"{"error":"invalid_request"}"#, "s").is_retryable());
        assert!(refused(400, br#"{"error":"temporarily_unavailable"}"#, "s").is_retryable());
        assert!(refused(404, b"<html>", "s").is_retryable(), "a proxy on the way");
        assert!(!refused(400, br#"{"error":"unauthorized_client"}"#, "s").is_retryable());
    }
}
