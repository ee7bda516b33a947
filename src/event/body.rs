//! What a ledger record says: one struct per event.
//!
//! Field names are shared across events so that a SOAR pipeline reads them all alike. Every deadline is stamped by the
//! writer: the fold never computes one from configuration.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::{Carried, Control};
use super::outcome::{FailedReason, SuppressedReason};
use super::refs::{Action, AlertRef, DeviceRef};
use crate::rules::{Mode, ResponseTerms, RuleLimit, ScanType};

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
    /// Everything else that the responses of the rules say.
    #[serde(flatten)]
    pub terms: ResponseTerms,
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
    /// Longest cooldown of the requests, in seconds, as it has grown by now.
    pub cooldown_seconds: u64,
    /// How often in a row the rest of this device has grown; 0 at first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cooldown_step: u32,
    /// A scan that begins within so many seconds of the end of the rest makes the next rest grow; absent where it does
    /// not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_grows_for_seconds: Option<u64>,
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
    /// A silence that came into force meanwhile holds a request back.
    Silenced,
    /// A cap that tripped before the intent, unseen by its writer, holds a request back.
    Tripped,
    /// The device rests: a late answer told of a scan that an earlier attempt made after all.
    Resting,
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
    /// Defender does not know the device or cannot scan it: no call for it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_unfit_until: Option<Timestamp>,
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
    /// How often in a row the rest of this device has grown; 0 at first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cooldown_step: u32,
    /// A scan that begins before this moment makes the next rest grow; absent where it does not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_grows_until: Option<Timestamp>,
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
    /// Defender does not know the device or cannot scan it: no call for it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_unfit_until: Option<Timestamp>,
    /// The scan that may be running all the same, where its fate could not be told (`in_doubt`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_type: Option<ScanType>,
    /// For the same reason no other scan of the device before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Timestamp>,
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
    /// How often in a row the rest of this device has grown; 0 at first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cooldown_step: u32,
    /// A scan that begins before this moment makes the next rest grow; absent where it does not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_grows_until: Option<Timestamp>,
    /// When the scan began, as far as we know: an alert raised between then and the end is covered by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) const fn is_zero(value: &u32) -> bool {
    *value == 0
}
