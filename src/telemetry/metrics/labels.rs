//! The closed lists of label values that no other room defines.

use crate::event::{AttemptResult, WithdrawReason};

pub use crate::event::PriorityClass;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label's value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

labels! {
    /// What is called at Microsoft.
    Endpoint {
        /// The token endpoint.
        Token = "token",
        /// `runAntiVirusScan`.
        RunScan = "run_scan",
        /// The list of machine actions.
        ListActions = "list_actions",
        /// A look-up of a machine.
        Machine = "machine",
        /// Cancelling a machine action.
        CancelAction = "cancel_action",
    }
}

labels! {
    /// How a call ended, as far as HTTP is concerned.
    ApiResult {
        /// Success.
        Success = "2xx",
        /// Refused, 429 apart.
        ClientError = "4xx",
        /// Too many calls.
        RateLimited = "429",
        /// The server failed.
        ServerError = "5xx",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection.
        Connect = "connect",
        /// No trust.
        Tls = "tls",
        /// Anything else: cut off in the middle, unreadable, an unexpected redirect.
        Other = "other",
    }
}

impl ApiResult {
    /// The class of a status code.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            429 => Self::RateLimited,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Other,
        }
    }
}

labels! {
    /// Whether a rule set that was read is now in force.
    RulesReload {
        /// It is.
        Loaded = "loaded",
        /// It has errors; the old one stays.
        Refused = "refused",
    }
}

labels! {
    /// The sliding windows of the API's quota.
    QuotaWindow {
        /// 60 seconds.
        Minute = "minute",
        /// 3,600 seconds.
        Hour = "hour",
    }
}

labels! {
    /// State of the breaker before the API.
    BreakerState {
        /// Calls flow.
        Closed = "closed",
        /// Single calls find out whether the API is back.
        Probing = "probing",
        /// Calls wait.
        Open = "open",
    }
}

/// How an attempt to start a scan ended. Each attempt is counted once, when that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanAttempt {
    /// The API accepted a scan.
    Accepted,
    /// The API said that one is running already, and it covers what is wanted.
    Joined,
    /// The intent was never sent.
    Withdrawn(WithdrawReason),
    /// It ended without a scan.
    Failed(AttemptResult),
}

impl ScanAttempt {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Joined => "joined",
            Self::Withdrawn(_) => "withdrawn",
            Self::Failed(result) => result.as_str(),
        }
    }

    /// Every label value.
    pub fn words() -> impl Iterator<Item = &'static str> {
        ["accepted", "joined", "withdrawn"].into_iter().chain(AttemptResult::ALL.into_iter().map(AttemptResult::as_str))
    }
}
