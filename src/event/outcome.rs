//! The closed lists of outcomes and reasons. Every observation ends in exactly one of them.
//!
//! Adding to a list changes the public contract: schema, metrics, dashboards and documents follow.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares a closed list of reasons: a snake_case enum with all its values and their words.
macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in JSON, metrics and output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use closed_list;

closed_list! {
    /// A guard held the request back.
    SuppressedReason {
        /// The device was scanned a short while ago.
        Cooldown = "cooldown",
        /// The same alert already asked for the same device.
        Duplicate = "duplicate",
        /// A scan of the device was running when the alert was raised; it has ended since and covers it.
        Covered = "covered",
        /// The device is on the protected list.
        Protected = "protected",
        /// A protection looks at something that neither the alert nor a look-up could tell.
        ProtectionUnknown = "protection_unknown",
        /// A silence was in force.
        Silenced = "silenced",
        /// The alert is older than its rule allows.
        TooOld = "too_old",
        /// Too many distinct devices in the window.
        BlastRadius = "blast_radius",
        /// The rule is not active at this time.
        OutsideActiveTime = "outside_active_time",
        /// A correlation has not reached its count.
        BelowThreshold = "below_threshold",
    }
}

closed_list! {
    /// No request was made.
    SkippedReason {
        /// No rule matched.
        NoRule = "no_rule",
        /// The alert names no device.
        NoDevice = "no_device",
        /// The device id is not a Defender machine id (40 hexadecimal digits).
        BadDeviceId = "bad_device_id",
        /// The alert names a device that cannot be told apart from another.
        AmbiguousDevice = "ambiguous_device",
        /// The source had already closed the alert.
        AlertClosed = "alert_closed",
        /// A filter document took the match back.
        Filtered = "filtered",
        /// The alert belongs to a tenant that this worker does not serve.
        OtherTenant = "other_tenant",
    }
}

closed_list! {
    /// The scan will not happen, or ended without success.
    FailedReason {
        /// The API knows no such machine.
        DeviceNotFound = "device_not_found",
        /// The device's system or client cannot run the action.
        UnsupportedDevice = "unsupported_device",
        /// The tenant refuses the action.
        Forbidden = "forbidden",
        /// The API refused the request as such.
        Rejected = "rejected",
        /// The retry budget is used up.
        GaveUp = "gave_up",
        /// Whether the call arrived cannot be told.
        InDoubt = "in_doubt",
        /// The action did not end before its deadline.
        TimedOut = "timed_out",
        /// The action was cancelled.
        Cancelled = "cancelled",
        /// The action was accepted and then failed on the device.
        ActionFailed = "action_failed",
        /// A rule matched and its response could not be built.
        EvaluationError = "evaluation_error",
    }
}

closed_list! {
    /// The record could not be decoded.
    DeadLetterReason {
        /// The value is not UTF-8.
        NotUtf8 = "not_utf8",
        /// The value is not JSON.
        NotJson = "not_json",
        /// JSON, but of no format we know.
        UnknownFormat = "unknown_format",
        /// A known format with a field that breaks its contract.
        Invalid = "invalid",
        /// Larger than the limit.
        TooLarge = "too_large",
        /// Nested deeper than the limit.
        TooDeep = "too_deep",
    }
}

/// How one observation ended, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The API accepted a scan for it, and the scan ended.
    Scanned,
    /// Covered by a scan that was already running.
    Joined,
    /// Would have been scanned, but the rule or the worker is in shadow.
    Shadowed,
    /// A guard held it back.
    Suppressed(SuppressedReason),
    /// No request was made.
    Skipped(SkippedReason),
    /// It will not happen, or ended without success.
    Failed(FailedReason),
    /// The record could not be decoded.
    DeadLettered(DeadLetterReason),
}

impl Outcome {
    /// The outcome's word, without its reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scanned => "scanned",
            Self::Joined => "joined",
            Self::Shadowed => "shadowed",
            Self::Suppressed(_) => "suppressed",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "failed",
            Self::DeadLettered(_) => "dead_lettered",
        }
    }

    /// The reason's word; empty for outcomes that have none.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Scanned | Self::Joined | Self::Shadowed => "",
            Self::Suppressed(reason) => reason.as_str(),
            Self::Skipped(reason) => reason.as_str(),
            Self::Failed(reason) => reason.as_str(),
            Self::DeadLettered(reason) => reason.as_str(),
        }
    }

    /// Every outcome with every reason: the label sets of `alerts_outcome_total`.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Scanned, Self::Joined, Self::Shadowed]
            .into_iter()
            .chain(SuppressedReason::ALL.iter().map(|reason| Self::Suppressed(*reason)))
            .chain(SkippedReason::ALL.iter().map(|reason| Self::Skipped(*reason)))
            .chain(FailedReason::ALL.iter().map(|reason| Self::Failed(*reason)))
            .chain(DeadLetterReason::ALL.iter().map(|reason| Self::DeadLettered(*reason)))
    }
}

closed_list! {
    /// Priorities in four classes, as metrics group them: a label must come from a closed list.
    PriorityClass {
        /// 90 to 100.
        Critical = "critical",
        /// 70 to 89.
        High = "high",
        /// 40 to 69.
        Medium = "medium",
        /// 0 to 39.
        Low = "low",
    }
}

impl PriorityClass {
    /// The class of a priority (0 to 100).
    #[must_use]
    pub const fn of(priority: u8) -> Self {
        match priority {
            90.. => Self::Critical,
            70..=89 => Self::High,
            40..=69 => Self::Medium,
            0..=39 => Self::Low,
        }
    }
}
