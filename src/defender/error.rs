//! What can go wrong with the API, and the shape of its error answers.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::text::clean;

/// An error answer in the API's own shape (Microsoft's page on common error codes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The code, such as `ResourceNotFound`; at most 100 characters.
    pub code: String,
    /// Free text for people, which may change; cleaned, at most 500 characters.
    pub message: String,
    /// The answer's correlation id, for a support case with Microsoft.
    pub target: Option<String>,
}

impl ApiError {
    /// Reads the shape; none when the body has no `error.code`, as the answer of a gateway on the way.
    pub(super) fn parse(status: u16, body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let error = value.get("error")?;
        let code = clean(error.get("code")?.as_str()?, 100);
        if code.is_empty() {
            return None;
        }
        let text = |key: &str, max| error.get(key).and_then(Value::as_str).map(|text| clean(text, max));
        Some(Self { status, code, message: text("message", 500).unwrap_or_default(), target: text("target", 100) })
    }

    /// Whether it says that the same action is running for the device. The code is documented for sibling actions, the words
    /// for this one, so either will do.
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        self.status == 400
            && (self.code == "ActiveRequestAlreadyExists"
                || self.message.to_ascii_lowercase().contains("already in progress"))
    }

    /// Whether it says that the thing asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status == 404 && matches!(self.code.as_str(), "NotFound" | "ResourceNotFound")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(target) = &self.target {
            write!(f, " (target {target})")?;
        }
        Ok(())
    }
}

/// Why the client has no answer to give. Messages hold neither a token nor the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefenderError {
    /// The settings cannot be used.
    #[error("defender settings: {0}")]
    Settings(String),
    /// The client secret cannot be read.
    #[error("{0}")]
    Secret(String),
    /// The login authority refused a token.
    #[error(
        "the login authority refused a token with {status} {error}: {description}; check tenant_id, client_id, the \
         client secret and scope"
    )]
    TokenRefused {
        /// HTTP status.
        status: u16,
        /// The OAuth error, such as `invalid_client`.
        error: String,
        /// Entra's text with its AADSTS code; the secret is cut out should it ever appear.
        description: String,
    },
    /// No token, for a reason that may pass.
    #[error("no token from the login authority: {0}")]
    TokenUnavailable(String),
    /// The token is not one whose roles can be read.
    #[error("the access token cannot be decoded ({0}); check authority_url")]
    TokenUnreadable(String),
    /// No connection.
    #[error("cannot reach the Defender API: {0}; check the network, the proxy and api_url")]
    Unreachable(String),
    /// The connection broke or the time was up.
    #[error("no answer from the Defender API: {0}")]
    NoAnswer(String),
    /// An error answer in the API's shape.
    #[error("the Defender API answered {error}")]
    Api {
        /// The answer.
        error: ApiError,
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// An error answer in another shape, as gateways give.
    #[error("the Defender API answered {status} without its error shape: {excerpt}")]
    Gateway {
        /// HTTP status.
        status: u16,
        /// Begin of the body.
        excerpt: String,
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// A good answer that is not what the API's pages describe, or too large.
    #[error("unreadable answer of the Defender API: {0}")]
    Unreadable(String),
    /// A value that cannot be put into a request.
    #[error("{0}")]
    Invalid(String),
    /// Nothing was sent.
    #[error("the moment to leave had passed, or the kill switch was pulled")]
    HeldBack,
}

impl DefenderError {
    /// A short stable word for metrics and records.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::Secret(_) => "secret",
            Self::TokenRefused { .. } => "token_refused",
            Self::TokenUnavailable(_) => "token_unavailable",
            Self::TokenUnreadable(_) => "token_unreadable",
            Self::Unreachable(_) => "unreachable",
            Self::NoAnswer(_) => "no_answer",
            Self::Api { .. } => "api",
            Self::Gateway { .. } => "gateway",
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid",
            Self::HeldBack => "held_back",
        }
    }

    /// Whether the same question may have an answer later without anybody mending anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::TokenUnavailable(_) | Self::Unreachable(_) | Self::NoAnswer(_) | Self::Unreadable(_) => true,
            Self::Api { error: ApiError { status, .. }, .. } | Self::Gateway { status, .. } => {
                matches!(*status, 401 | 408 | 429 | 500..)
            }
            Self::Settings(_)
            | Self::Secret(_)
            | Self::TokenRefused { .. }
            | Self::TokenUnreadable(_)
            | Self::Invalid(_)
            | Self::HeldBack => false,
        }
    }

    /// How long the API asked to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } | Self::Gateway { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
