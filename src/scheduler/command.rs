//! What the scheduler asks its owner to do, and what the owner answers.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::{AttemptResult, EventBody, ScanType};

/// Something the owner of the partition must do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Append a record; the scheduler goes on with it once it is read back.
    Append {
        /// The record's time: when it was decided.
        time: Timestamp,
        /// What it says.
        body: Box<EventBody>,
    },
    /// Call the API; the answer comes back through [`super::Scheduler::reply`].
    Call(Call),
}

/// A call to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Start a scan. The request must leave by `intent_time` + L.
    Scan {
        /// The scan.
        scan_id: String,
        /// The attempt.
        attempt: u32,
        /// Machine id.
        device_id: String,
        /// Quick or Full.
        scan_type: ScanType,
        /// The exact comment.
        comment: String,
        /// When the intent was decided.
        intent_time: Timestamp,
    },
    /// List machine actions created since a moment, all pages.
    List {
        /// The moment.
        created_since: Timestamp,
    },
    /// Ask what is known of a device.
    LookUp {
        /// Machine id.
        device_id: String,
    },
    /// Cancel an action; nothing waits for the answer.
    Cancel {
        /// Action id.
        action_id: String,
    },
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Call::Scan`].
    Scan {
        /// The scan.
        scan_id: String,
        /// The attempt.
        attempt: u32,
        /// What the API said.
        answer: ScanReply,
    },
    /// To [`Call::List`].
    List {
        /// The lower bound that was asked for.
        created_since: Timestamp,
        /// When the first page was asked for.
        started_at: Timestamp,
        /// What the API said.
        answer: ReadReply<Vec<SeenAction>>,
    },
    /// To [`Call::LookUp`].
    LookUp {
        /// Machine id.
        device_id: String,
        /// What the API said; `None` for a machine it does not know.
        answer: ReadReply<Option<DeviceFacts>>,
    },
}

/// What came of a call that reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadReply<T> {
    /// A complete answer.
    Complete(T),
    /// The application lacks the permission to read.
    NotPermitted,
    /// Too many calls, whoever made them; the wait that the answer asked for.
    RateLimited(Option<Duration>),
    /// No complete answer this time.
    Failed,
}

impl<T> ReadReply<T> {
    /// The same reply about another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> ReadReply<U> {
        match self {
            Self::Complete(value) => ReadReply::Complete(change(value)),
            Self::NotPermitted => ReadReply::NotPermitted,
            Self::RateLimited(wait) => ReadReply::RateLimited(wait),
            Self::Failed => ReadReply::Failed,
        }
    }
}

/// What came of a call that starts a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanReply {
    /// A machine action came back: ours, or one that was already running.
    Action(SeenAction),
    /// The API said that a scan is running and not which.
    AlreadyRunning,
    /// A definite no.
    Refused(Refusal),
    /// Nothing left the process.
    NotSent {
        /// Whether that was because it could not leave in time.
        too_late: bool,
        /// What happened, for people.
        detail: String,
    },
    /// Nobody can tell.
    InDoubt {
        /// What happened, for people.
        detail: String,
        /// Wait that the answer asked for, as a 503 may.
        retry_after: Option<Duration>,
    },
}

/// A definite no of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind: `RateLimited`, `Unauthorized`, `Forbidden`, `DeviceNotFound`, `UnsupportedDevice` or `Rejected`.
    pub result: AttemptResult,
    /// For `Forbidden`: whether the tenant refuses the action for good, rather than that a permission is missing.
    pub for_good: bool,
    /// Error code in the API's words.
    pub error_code: String,
    /// Correlation id for a support case.
    pub error_target: Option<String>,
    /// Message, bounded.
    pub detail: String,
    /// Wait that the API asked for.
    pub retry_after: Option<Duration>,
}

/// A machine action as an answer or a list showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAction {
    /// The action's id.
    pub id: String,
    /// The device, where told.
    pub device_id: Option<String>,
    /// Status in the API's words.
    pub status: String,
    /// Quick or Full, where told.
    pub scope: Option<ScanType>,
    /// The comment it was made with, where told.
    pub comment: Option<String>,
}

/// What a look-up told of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceFacts {
    /// Computer name.
    pub name: Option<String>,
    /// Device group; `None` means that it is in none.
    pub group: Option<String>,
    /// Machine tags; `None` where the answer did not tell them.
    pub tags: Option<Vec<String>>,
}
