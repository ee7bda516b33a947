//! What every exchange shares: bounded bodies, `Retry-After`, and how a transport error is told.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect;

use super::error::{ApiError, DefenderError};
use super::hosts::is_loopback;
use super::settings::Settings;
use super::text::{clean, excerpt};

/// Longest wait taken from a `Retry-After`: the longest window that the API's pages name.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

impl Answer {
    /// The error that this answer is, for calls other than the scan.
    pub(super) fn into_error(self) -> DefenderError {
        let retry_after = self.retry_after;
        match ApiError::parse(self.status, &self.body) {
            Some(error) => DefenderError::Api { error, retry_after },
            None => DefenderError::Gateway { status: self.status, excerpt: excerpt(&self.body, 200), retry_after },
        }
    }
}

/// A client builder with what every client here needs.
///
/// Never a redirect: the token would go along. Never a retry: [`reqwest::retry::never`] switches off reqwest's own. Below it,
/// hyper-util sends a request again when a *reused* connection closes before the request was begun; reqwest has no switch
/// for that, and without a pool no connection is ever reused, so `pooled` is false for the scan call.
pub(super) fn builder(settings: &Settings, base: &str, pooled: bool) -> reqwest::ClientBuilder {
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(settings.connect_timeout)
        .user_agent(settings.user_agent.clone());
    if !pooled {
        builder = builder.pool_max_idle_per_host(0);
    }
    if reqwest::Url::parse(base).is_ok_and(|url| is_loopback(&url)) {
        builder = builder.no_proxy();
    }
    builder
}

/// Reads an answer whose body is at most `limit` bytes long.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Answer, DefenderError> {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), Timestamp::now());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| DefenderError::NoAnswer(describe(&error)))? {
        if body.len() + chunk.len() > limit {
            return Err(DefenderError::Unreadable(format!("{status} with more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, retry_after, body: body.freeze() })
}

/// The wait that the answer asks for: seconds, or a date, which is measured against the answer's own `Date` where it has one.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().map_or(LONGEST_WAIT, Duration::from_secs);
        return Some(seconds.min(LONGEST_WAIT));
    }
    let date = |text: &str| rfc2822::parse(text).ok().map(|date| date.timestamp());
    let sent = headers.get(DATE).and_then(|sent| date(sent.to_str().ok()?)).unwrap_or(now);
    let wait = date(text)?.duration_since(sent);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_WAIT))
}

/// Whether no connection was made, so that nothing was written.
pub(super) fn never_connected(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_builder()
}

/// The error of a call that nobody minds repeating.
pub(super) fn plain_error(error: &reqwest::Error) -> DefenderError {
    if never_connected(error) {
        DefenderError::Unreachable(describe(error))
    } else {
        DefenderError::NoAnswer(describe(error))
    }
}

/// An error with its causes on one line, without headers, and so without tokens.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a String cannot fail.
            write!(text, ": {cause_text}").ok();
        }
        source = cause.source();
    }
    clean(&text, 400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers, "2026-03-02T09:00:00Z".parse().unwrap())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait("37", None), seconds(37));
        assert_eq!(wait(" 0 ", None), seconds(0));
        assert_eq!(wait("Mon, 02 Mar 2026 09:00:30 GMT", None), seconds(30));
        let date = Some("Mon, 02 Mar 2026 08:59:30 GMT");
        assert_eq!(wait("Mon, 02 Mar 2026 09:00:30 GMT", date), seconds(60), "clocks may differ");
        assert_eq!(wait("Mon, 02 Mar 2026 08:00:00 GMT", None), seconds(0), "in the past");
        assert_eq!(wait("99999999999999999999999", None), seconds(3600), "no server stops us for ever");
        assert_eq!(wait("soon", None), None);
        assert_eq!(wait("-5", None), None);
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }
}
