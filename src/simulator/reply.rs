//! One call as the world sees it, and what it answers.

use std::time::Duration;

use serde_json::{Value, json};

/// A call, taken apart.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) authorization: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// An answer, or the lack of one.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// Comes so late.
    pub(super) delay: Duration,
    /// The connection is cut instead.
    pub(super) cut: bool,
    pub(super) error_code: Option<String>,
}

impl Reply {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            content_type: "application/json; odata.metadata=minimal",
            headers: Vec::new(),
            body: value.to_string(),
            delay: Duration::ZERO,
            cut: false,
            error_code: None,
        }
    }

    /// An error in the API's shape.
    pub(super) fn error(status: u16, code: &str, message: &str, target: &str) -> Self {
        let body = json!({ "error": { "code": code, "message": message, "target": target } });
        Self { content_type: "application/json", error_code: Some(code.to_owned()), ..Self::json(status, &body) }
    }

    /// A gateway's page.
    pub(super) fn html(status: u16) -> Self {
        let body =
            format!("<html><head><title>{status}</title></head><body><h1>{status}</h1><hr>gateway</body></html>");
        Self { content_type: "text/html", body, ..Self::json(status, &Value::Null) }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { content_type: "text/plain", body: String::new(), ..Self::json(status, &Value::Null) }
    }

    /// No answer: the connection is cut after so long.
    pub(super) fn cut_after(delay: Duration) -> Self {
        Self { cut: true, ..Self::empty(0) }.late(delay)
    }

    /// Later by this than it would have been.
    pub(super) fn late(self, delay: Duration) -> Self {
        Self { delay: self.delay.saturating_add(delay), ..self }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
