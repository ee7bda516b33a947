//! What a ledger record says: one struct per event.
//!
//! Field names are shared across events so that a SOAR pipeline reads them all alike. Every deadline is stamped by the
//! writer: the fold never computes one from configuration.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::{FailedReason, SuppressedReason};
use crate::alert::Severity;
use crate::rules::{Mode, RuleLimit, ScanType};

/// The device a scan is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRef {
    /// Defender machine id: 40 lower-case hexadecimal digits.
    pub id: String,
    /// Computer name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Device group, where the alert told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Machine tags, where the alert told them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// An alert, and where on the alerts topic it was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertRef {
    /// The source's alert id.
    pub id: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its severity.
    pub severity: Severity,
    /// Topic of the record.
    pub topic: String,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
    /// Position of the alert in the record, from 0.
    pub index: u32,
}

/// A machine action at Defender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The action's id.
    pub id: String,
    /// Its status in the API's words when the record was written (`Pending`, `InProgress`, …).
    pub status: String,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// What happened; the JSON field `event` names it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "event")]
        pub enum EventBody {
            $($(#[$doc])* #[serde(rename = $word)] $name($name),)+
        }

        impl EventBody {
            /// The word in the field `event`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $word,)+ }
            }

            /// Every event's word.
            pub const NAMES: &'static [&'static str] = &[$($word,)+];
        }

        $(impl From<$name> for EventBody {
            fn from(body: $name) -> Self {
                Self::$name(body)
            }
        })+
    };
}

bodies! {
    /// The log begins: where the tenant lives.
    Genesis = "genesis",
    /// A worker takes over the partition.
    Claim = "claim",
    /// An operator's word that binds every replica.
    Control = "control",
    /// A fact appended again so that it outlives retention.
    Carried = "carried",
    /// A rule wants a scan: the decision, before any guard.
    Requested = "requested",
    /// About to call the API.
    Intent = "intent",
    /// An intent that was never sent.
    Withdrawn = "withdrawn",
    /// An attempt ended without a scan.
    AttemptFailed = "attempt_failed",
    /// The API accepted a scan.
    Accepted = "accepted",
    /// Covered by a scan that was already running.
    Joined = "joined",
    /// Would have been scanned, but is in shadow. Terminal.
    Shadowed = "shadowed",
    /// A guard held it back. Terminal.
    Suppressed = "suppressed",
    /// It will not happen. Terminal.
    Failed = "failed",
    /// The action ended. Terminal for every request it covers.
    Finished = "finished",
}

/// The first record of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Genesis {
    /// Random identity of the log; a different one later means that the topic was recreated.
    pub log_id: String,
    /// Partition of the tenant.
    pub partition: i32,
    /// Partitions of the topic when the log began; a different count refuses to start.
    pub partitions: u32,
}

/// A worker takes over the partition. Intents of earlier claims are void from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Random id of this ownership.
    pub claim: String,
    /// Name of the worker, for people.
    pub owner: String,
    /// Version of the worker.
    pub version: String,
}

/// What an operator ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ControlAction {
    /// Stop every call; requests wait.
    Halted,
    /// Go on.
    Resumed,
}

/// An operator's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// What was ordered.
    pub control: ControlAction,
    /// Who ordered it.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A fact appended again by the owner because its record nears the end of its retention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Carried {
    /// The kill switch is on.
    Halted {
        /// The owner that carried it.
        claim: String,
    },
    /// A device rests.
    Cooldown {
        /// The owner that carried it.
        claim: String,
        /// The device.
        device: DeviceRef,
        /// Until when.
        cooldown_until: Timestamp,
        /// The scan that set it.
        scan_type: ScanType,
    },
}

/// A rule wants a scan of one device for one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Requested {
    /// Exactly one id: a hash of (topic, partition, offset, index in record, device).
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Exactly one alert.
    pub alerts: Vec<AlertRef>,
    /// Rules that matched, the winner first.
    pub rule_ids: Vec<String>,
    /// Hash of the rule set that decided.
    pub ruleset: String,
    /// What is wanted.
    pub scan_type: ScanType,
    /// 0 to 100.
    pub priority: u8,
    /// Comment of the winning rule.
    pub comment: String,
    /// `shadow` where the rule or the worker is in shadow.
    pub mode: Mode,
    /// When the source raised the alert, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_created_at: Option<Timestamp>,
    /// After this moment the request is too old.
    pub expires_at: Timestamp,
    /// Rest for the device after the scan, in seconds.
    pub cooldown_seconds: u64,
    /// Device caps of the rules concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RuleLimit>,
    /// W3C trace id, where the alert's record carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// About to call the API: attempt `attempt` of scan `scan_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Ownership under which it is valid.
    pub claim: String,
    /// The scan; also the marker at the end of the comment.
    pub scan_id: String,
    /// From 1. Valid only after the attempt before has a result.
    pub attempt: u32,
    /// Every request it covers.
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Every alert it covers.
    pub alerts: Vec<AlertRef>,
    /// Every rule that asked for it.
    pub rule_ids: Vec<String>,
    /// What is asked of the API.
    pub scan_type: ScanType,
    /// Highest priority of the requests.
    pub priority: u8,
    /// The exact comment of the call.
    pub comment: String,
    /// The latest moment at which the call can still arrive (intent + L + T).
    pub latest_arrival: Timestamp,
    /// When it may be resolved by listing, should it stay without a result.
    pub resolve_after: Timestamp,
    /// Longest cooldown of the requests, in seconds.
    pub cooldown_seconds: u64,
    /// Device caps of the rules concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RuleLimit>,
}

/// Why an intent was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawReason {
    /// The kill switch was pulled.
    Halted,
    /// It could not leave in time.
    TooLate,
    /// The device is protected by now.
    Protected,
    /// The requests are too old by now.
    TooOld,
    /// The API asked for a pause meanwhile.
    Paused,
}

/// An intent that was never sent: nothing left the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Withdrawn {
    /// Ownership.
    pub claim: String,
    /// The scan.
    pub scan_id: String,
    /// The attempt.
    pub attempt: u32,
    /// Why.
    pub withdrawn: WithdrawReason,
}

/// How an attempt ended without a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// No byte was written: name resolution, connection or TLS failed, or no token could be had.
    NotSent,
    /// 429.
    RateLimited,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    DeviceNotFound,
    /// 400, the device cannot run it.
    UnsupportedDevice,
    /// Another definite refusal.
    Rejected,
    /// In doubt at first; two complete lists of machine actions show no trace of it.
    NotAccepted,
    /// Another scan of the device is running that does not cover what is wanted.
    Busy,
    /// In doubt, and it cannot be resolved.
    InDoubt,
}

impl AttemptResult {
    /// Every result.
    pub const ALL: [Self; 10] = [
        Self::NotSent,
        Self::RateLimited,
        Self::Unauthorized,
        Self::Forbidden,
        Self::DeviceNotFound,
        Self::UnsupportedDevice,
        Self::Rejected,
        Self::NotAccepted,
        Self::Busy,
        Self::InDoubt,
    ];

    /// The word used in events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::DeviceNotFound => "device_not_found",
            Self::UnsupportedDevice => "unsupported_device",
            Self::Rejected => "rejected",
            Self::NotAccepted => "not_accepted",
            Self::Busy => "busy",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// An attempt ended without a scan; retried or final.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptFailed {
    /// Ownership of the writer.
    pub claim: String,
    /// The scan.
    pub scan_id: String,
    /// The attempt.
    pub attempt: u32,
    /// How it ended.
    pub result: AttemptResult,
    /// Error code in the API's words, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Correlation id of the error, for a support case with Microsoft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_target: Option<String>,
    /// What happened, for people. Bounded, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The moment the call had certainly arrived or never would: its quota slot is held for a window's length from here.
    pub arrived_by: Timestamp,
    /// Whether it spent one of the scan's attempts.
    pub counts: bool,
    /// When the scan may be tried again; absent when final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Why the scan will not happen; absent when it is retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailedReason>,
    /// No call of the tenant before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_paused_until: Option<Timestamp>,
}

/// What told us that a scan was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedBy {
    /// The answer of the call.
    Answer,
    /// The list of machine actions, after the answer was lost.
    List,
}

/// The API accepted a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Ownership of the writer.
    pub claim: String,
    /// The scan.
    pub scan_id: String,
    /// The attempt that was accepted.
    pub attempt: u32,
    /// Every request it covers.
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Every alert it covers.
    pub alerts: Vec<AlertRef>,
    /// Every rule that asked for it.
    pub rule_ids: Vec<String>,
    /// Quick or Full.
    pub scan_type: ScanType,
    /// Highest priority of the requests.
    pub priority: u8,
    /// The comment of the call.
    pub comment: String,
    /// The action.
    pub action: Action,
    /// What told us.
    pub resolved_by: ResolvedBy,
    /// The moment the call had certainly arrived: its quota slot is held for a window's length from here.
    pub arrived_by: Timestamp,
    /// The action is followed until then; past it, it counts as timed out.
    pub follow_until: Timestamp,
    /// No other scan of the device before this moment.
    pub cooldown_until: Timestamp,
}

/// Requests are covered by a scan that was already running: ours (`scan_id` of that scan), or somebody else's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Joined {
    /// Ownership of the writer.
    pub claim: String,
    /// The scan that covers them. A running action that is not ours is followed under the scan id of the attempt that met it.
    pub scan_id: String,
    /// The attempt that met the running action; absent when no call was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Requests that joined.
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Alerts that joined.
    pub alerts: Vec<AlertRef>,
    /// Scope of the running action.
    pub scan_type: ScanType,
    /// The running action; absent while the API said that one is running and not which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// The moment the call had certainly arrived, where one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_by: Option<Timestamp>,
    /// The action is followed until then; past it, it counts as timed out.
    pub follow_until: Timestamp,
    /// No other scan of the device before this moment.
    pub cooldown_until: Timestamp,
}

/// Would have been scanned, but the rule or the worker is in shadow. Terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shadowed {
    /// Ownership.
    pub claim: String,
    /// Requests that end here.
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Their alerts.
    pub alerts: Vec<AlertRef>,
    /// Rules that asked.
    pub rule_ids: Vec<String>,
    /// The scan that would have been asked for.
    pub scan_type: ScanType,
    /// Its priority.
    pub priority: u8,
    /// Its comment.
    pub comment: String,
    /// In shadow, no other scan of the device would have been asked for before this moment.
    pub cooldown_until: Timestamp,
}

/// A guard held requests back. Terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suppressed {
    /// Ownership.
    pub claim: String,
    /// Requests that end here.
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Their alerts.
    pub alerts: Vec<AlertRef>,
    /// Which guard.
    pub reason: SuppressedReason,
    /// Mode of the requests.
    pub mode: Mode,
    /// What the guard saw, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Requests that will not be met. Terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// Ownership; intake writes `intake` where a rule could not be evaluated.
    pub claim: String,
    /// The scan, where one was attempted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_id: Option<String>,
    /// Requests that end here.
    pub request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Their alerts.
    pub alerts: Vec<AlertRef>,
    /// Why.
    pub reason: FailedReason,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishedStatus {
    /// The device took the scan. Not: the device is clean.
    Succeeded,
    /// The action failed on the device.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// The API or our own deadline gave it up.
    TimedOut,
}

impl FinishedStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Cancelled, Self::TimedOut];

    /// The word used in events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    /// Why a request that this action covered failed; `None` where it did not.
    #[must_use]
    pub const fn failed_reason(self) -> Option<FailedReason> {
        match self {
            Self::Succeeded => None,
            Self::Failed => Some(FailedReason::ActionFailed),
            Self::Cancelled => Some(FailedReason::Cancelled),
            Self::TimedOut => Some(FailedReason::TimedOut),
        }
    }
}

/// The action ended. Terminal for every request it covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finished {
    /// Ownership.
    pub claim: String,
    /// The scan.
    pub scan_id: String,
    /// Requests for which the scan was started: outcome `scanned`, or `failed` with the reason of `status`.
    pub request_ids: Vec<String>,
    /// Requests that joined: outcome `joined`, or `failed` with the reason of `status`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined_request_ids: Vec<String>,
    /// The device.
    pub device: DeviceRef,
    /// Alerts of all those requests.
    pub alerts: Vec<AlertRef>,
    /// Scope of the action.
    pub scan_type: ScanType,
    /// The action; absent where the API never said which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// How it ended.
    pub status: FinishedStatus,
    /// No other scan of the device before this moment.
    pub cooldown_until: Timestamp,
}

impl EventBody {
    /// Whether SOAR pipelines may rely on this event under semver.
    #[must_use]
    pub const fn is_public(&self) -> bool {
        matches!(
            self,
            Self::Requested(_)
                | Self::Accepted(_)
                | Self::Joined(_)
                | Self::Shadowed(_)
                | Self::Suppressed(_)
                | Self::Failed(_)
                | Self::Finished(_)
        )
    }

    /// Whether the event ends the requests it names.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Shadowed(_) | Self::Suppressed(_) | Self::Failed(_) | Self::Finished(_))
    }

    /// The device concerned, for the CloudEvents `subject`.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceRef> {
        match self {
            Self::Requested(body) => Some(&body.device),
            Self::Intent(body) => Some(&body.device),
            Self::Accepted(body) => Some(&body.device),
            Self::Joined(body) => Some(&body.device),
            Self::Shadowed(body) => Some(&body.device),
            Self::Suppressed(body) => Some(&body.device),
            Self::Failed(body) => Some(&body.device),
            Self::Finished(body) => Some(&body.device),
            Self::Carried(Carried::Cooldown { device, .. }) => Some(device),
            Self::Genesis(_)
            | Self::Claim(_)
            | Self::Control(_)
            | Self::Carried(Carried::Halted { .. })
            | Self::Withdrawn(_)
            | Self::AttemptFailed(_) => None,
        }
    }

    /// See [`super::ScanEvent::id`].
    pub(super) fn identity(&self, time: Timestamp) -> String {
        let name = self.name();
        let first = |ids: &[String]| ids.first().cloned().unwrap_or_default();
        match self {
            Self::Genesis(body) => format!("{name}:{}", body.log_id),
            Self::Claim(body) => format!("{name}:{}", body.claim),
            Self::Control(_) | Self::Carried(_) => format!("{name}:{}", time.as_millisecond()),
            Self::Requested(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Intent(body) => format!("{name}:{}:{}", body.scan_id, body.attempt),
            Self::Withdrawn(body) => format!("{name}:{}:{}", body.scan_id, body.attempt),
            Self::AttemptFailed(body) => format!("{name}:{}:{}", body.scan_id, body.attempt),
            Self::Accepted(body) => format!("{name}:{}", body.scan_id),
            Self::Joined(body) => format!("{name}:{}:{}", body.scan_id, first(&body.request_ids)),
            Self::Shadowed(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Suppressed(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Failed(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Finished(body) => format!("{name}:{}", body.scan_id),
        }
    }
}
