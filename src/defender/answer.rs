//! The table of answers to a scan call.

use std::time::Duration;

use serde_json::Value;

use super::action::MachineAction;
use super::error::{ApiError, DefenderError};
use super::http::Answer;
use super::text::excerpt;

/// What became of one scan call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, a few hundred bytes; a box would only burden the callers"
)]
pub enum ScanAnswer {
    /// A 2xx with a machine action. It may be a scan that was already pending, which the API hands back: it is ours only if
    /// its comment is the one that was sent.
    Accepted {
        /// The action.
        action: MachineAction,
    },
    /// A scan is running for the device; its action is found by the list.
    AlreadyRunning {
        /// The answer.
        error: ApiError,
    },
    /// A definite no, in the API's own shape.
    Refused {
        /// What sort of no.
        kind: Refusal,
        /// The answer.
        error: ApiError,
        /// `Retry-After`, where given; never more than an hour.
        retry_after: Option<Duration>,
    },
    /// No request was written.
    NotSent {
        /// Why, in words.
        detail: String,
        /// Why, in kind.
        cause: NotSent,
    },
    /// Nobody can say whether there is a scan now.
    InDoubt {
        /// What happened.
        detail: String,
        /// `Retry-After`, where an answer gave one, as a 503 may; never more than an hour.
        retry_after: Option<Duration>,
    },
}

/// Wait after a 429 that is not the API's own and asks for none.
const LIMITED_FOR: Duration = Duration::from_secs(60);

/// The kinds of a definite no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 429.
    RateLimited,
    /// 401; the token was dropped, so the next attempt has a fresh one.
    Unauthorized,
    /// 403: the app registration lacks `Machine.Scan`, or the token is for another API. The token was dropped as well.
    Forbidden,
    /// 403 `DisabledFeature` or `DisallowedOperation`.
    Disabled,
    /// 404 for the device.
    DeviceNotFound,
    /// 400 `OsPlatformNotSupported` or `ClientVersionNotSupported`.
    UnsupportedDevice,
    /// Any other 4xx in the API's shape.
    Rejected,
}

/// Why nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// The moment to leave had passed.
    TooLate,
    /// The login authority refused a token, or the secret cannot be read: somebody must mend the configuration.
    TokenRefused,
    /// No token, for a reason that may pass.
    TokenUnavailable,
    /// No connection: DNS, TCP, TLS or proxy.
    Unreachable,
    /// The request itself is not one: bad machine id, scan type or comment.
    Invalid,
}

impl Refusal {
    /// A short stable word for metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Disabled => "disabled",
            Self::DeviceNotFound => "device_not_found",
            Self::UnsupportedDevice => "unsupported_device",
            Self::Rejected => "rejected",
        }
    }

    fn of(error: &ApiError) -> Self {
        match (error.status, error.code.as_str()) {
            (429, _) | (_, "TooManyRequests") => Self::RateLimited,
            (401, _) => Self::Unauthorized,
            (403, "DisabledFeature" | "DisallowedOperation") => Self::Disabled,
            (403, _) => Self::Forbidden,
            (404, "NotFound" | "ResourceNotFound") => Self::DeviceNotFound,
            (400, "OsPlatformNotSupported" | "ClientVersionNotSupported") => Self::UnsupportedDevice,
            _ => Self::Rejected,
        }
    }
}

impl NotSent {
    /// A short stable word for metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLate => "too_late",
            Self::TokenRefused => "token_refused",
            Self::TokenUnavailable => "token_unavailable",
            Self::Unreachable => "unreachable",
            Self::Invalid => "invalid",
        }
    }
}

impl ScanAnswer {
    /// A short stable word for metrics and records: `accepted`, `already_running`, `in_doubt`, or the word of the refusal or
    /// of the reason why nothing was sent.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::AlreadyRunning { .. } => "already_running",
            Self::Refused { kind, .. } => kind.as_str(),
            Self::NotSent { cause, .. } => cause.as_str(),
            Self::InDoubt { .. } => "in_doubt",
        }
    }

    /// The answer when there is no token.
    pub(super) fn without_token(error: &DefenderError) -> Self {
        let cause = if error.is_retryable() { NotSent::TokenUnavailable } else { NotSent::TokenRefused };
        Self::NotSent { detail: error.to_string(), cause }
    }

    /// Reads the answer to a request for `machine_id`.
    pub(super) fn read(answer: &Answer, machine_id: &str) -> Self {
        let doubt = |why: String| Self::InDoubt { detail: why, retry_after: answer.retry_after };
        match answer.status {
            200..=299 => match accepted(&answer.body, machine_id) {
                Ok(action) => Self::Accepted { action },
                Err(why) => {
                    doubt(format!("{} with an unreadable body ({why}): {}", answer.status, excerpt(&answer.body, 200)))
                }
            },
            // A request time-out says nothing of what was done with the part that came.
            400..=407 | 409..=499 => match ApiError::parse(answer.status, &answer.body) {
                Some(error) if error.is_already_running() => Self::AlreadyRunning { error },
                Some(error) => Self::Refused { kind: Refusal::of(&error), error, retry_after: answer.retry_after },
                None => Self::InDoubt {
                    detail: format!("{} without the API's error shape: {}", answer.status, excerpt(&answer.body, 200)),
                    // Whoever said it: too many calls came.
                    retry_after: answer.retry_after.or((answer.status == 429).then_some(LIMITED_FOR)),
                },
            },
            status => doubt(match ApiError::parse(status, &answer.body) {
                Some(error) => error.to_string(),
                None => format!("{status}: {}", excerpt(&answer.body, 200)),
            }),
        }
    }
}

/// The scan action of a 2xx. An action of another type or device is not an answer to what was asked.
fn accepted(body: &[u8], machine_id: &str) -> Result<MachineAction, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let action = MachineAction::from_value(&value)?;
    if !action.is_scan() {
        return Err(format!("an action of type {}", action.kind));
    }
    match &action.machine_id {
        Some(other) if !other.eq_ignore_ascii_case(machine_id) => Err(format!("an action for machine {other}")),
        _ => Ok(action),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const ID: &str = "2eeb1689b274fc8f816c48ac9219e820fc4de080";

    fn read(status: u16, body: &str) -> ScanAnswer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        ScanAnswer::read(&Answer { status, retry_after: None, body }, ID)
    }

    fn shaped(code: &str, message: &str) -> String {
        serde_json::json!({ "error": { "code": code, "message": message, "target": "t" } }).to_string()
    }

    #[test]
    fn the_table_of_error_answers() {
        for (status, code, word) in [
            (400, "BadRequest", "rejected"),
            (400, "InvalidRequestBody", "rejected"),
            (400, "MissingRequiredParameter", "rejected"),
            (400, "InvalidInput", "rejected"),
            (400, "OsPlatformNotSupported", "unsupported_device"),
            (400, "ClientVersionNotSupported", "unsupported_device"),
            (400, "ActiveRequestAlreadyExists", "already_running"),
            (401, "Unauthorized", "unauthorized"),
            (403, "Forbidden", "forbidden"),
            (403, "DisabledFeature", "disabled"),
            (403, "DisallowedOperation", "disabled"),
            (404, "NotFound", "device_not_found"),
            (404, "ResourceNotFound", "device_not_found"),
            (404, "SomethingElse", "rejected"),
            (408, "Timeout", "in_doubt"),
            (409, "Conflict", "rejected"),
            (429, "TooManyRequests", "rate_limited"),
            (500, "InternalServerError", "in_doubt"),
            (503, "ServiceUnavailable", "in_doubt"),
            (302, "Moved", "in_doubt"),
        ] {
            assert_eq!(read(status, &shaped(code, "m")).as_str(), word, "{status} {code}");
        }
        assert_eq!(read(400, &shaped("BadRequest", "Action is ALREADY in progress")).as_str(), "already_running");
    }

    #[test]
    fn a_no_that_is_not_in_the_apis_shape_is_in_doubt() {
        for body in ["", "<html>", "{}", r#"{"error":"x"}"#, r#"{"error":{"code":""}}"#, r#"{"error":{"code":4}}"#] {
            for status in [400, 401, 403, 404, 429] {
                assert_eq!(read(status, body).as_str(), "in_doubt", "{status} {body}");
            }
        }
    }

    #[test]
    fn a_yes_must_be_a_scan_of_the_device() {
        let action = r#"{"id":"a","type":"RunAntiVirusScan","status":"Pending","machineId":null}"#;
        assert_eq!(read(201, action).as_str(), "accepted");
        assert_eq!(read(200, action).as_str(), "accepted");
        for unreadable in [
            "",
            "{",
            "<html>",
            r#"{"id":"a","status":"Pending"}"#,
            r#"{"id":"a","type":"Isolate","status":"Pending"}"#,
            r#"{"id":"a","type":"RunAntiVirusScan","status":"Pending","machineId":"54d1b7e74cb04d18673208ee97ab29dbb71cde4e"}"#,
        ] {
            assert_eq!(read(201, unreadable).as_str(), "in_doubt", "{unreadable}");
        }
    }
}
