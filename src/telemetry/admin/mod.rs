//! The admin API: orders of operators over HTTP, and what the worker is doing.
//!
//! This room checks who asks and what is asked, and hands it on as an [`AdminRequest`]; what follows is the worker's.
//!
//! | request | body | does |
//! |---|---|---|
//! | `POST /admin/halt` | `author`, `comment` | stops scans and cancellations on this replica now and on every other by the ledger |
//! | `POST /admin/resume` | `author`, `comment?` | goes on |
//! | `POST /admin/rearm` | `author`, `comment?`, `rule` or `all` | a tripped cap begins to count anew |
//! | `GET /admin/silences` | – | silences in force or to come |
//! | `POST /admin/silences` | `author`, `comment`, `matchers`, `starts_at?`, `ends_at` or `for` | holds back what matches |
//! | `DELETE /admin/silences/{id}` | `author`, `comment?` | ends a silence |
//! | `POST /admin/reload-rules` | `author` | reads the rules anew, where the worker can |
//! | `GET /admin/status` | – | what this replica is doing |

mod body;
mod http;
mod settings;
#[cfg(test)]
mod tests;

pub use body::{AdminError, OrderBody, RearmBody, SilenceBody};
pub use http::{AdminApi, serve_admin};
pub use settings::AdminSettings;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::event::Control;

/// What an operator asks of this replica. What it holds is checked.
#[derive(Debug, Clone, PartialEq)]
pub enum AdminVerb {
    /// Write one order (halt, resume, re-arm one cap, set a silence) into the ledger; a halt binds here at once.
    Order(Control),
    /// Re-arm every cap that is tripped, and the one on all rules together.
    RearmAll {
        /// Who orders it.
        author: String,
        /// Why.
        comment: Option<String>,
    },
    /// End a silence that is there.
    EndSilence(Control),
    /// Silences in force or to come.
    Silences,
    /// Read the rules anew.
    ReloadRules {
        /// Who orders it.
        author: String,
    },
    /// What this replica is doing.
    Status,
}

/// A request, and where its answer goes.
#[derive(Debug)]
pub struct AdminRequest {
    /// What is asked.
    pub verb: AdminVerb,
    /// The answer: a JSON object, or why not.
    pub answer: oneshot::Sender<Result<Value, AdminError>>,
}
