//! The ledger's records: what was decided and done about every request for a scan.
//!
//! Pure data, and the public contract with SOAR pipelines: `schemas/scan-event.schema.json` is generated from here.
//! This room knows nothing of how records travel or of what state they fold to.

mod about;
mod body;
mod control;
mod outcome;
mod record;
mod refs;
mod silence;

pub use crate::alert::Format;
pub use crate::rules::{CooldownGrowth, Mode, ResponseTerms, RuleAsk, RuleLimit, ScanType, Threshold};
pub use body::{
    Accepted, AttemptFailed, AttemptResult, Claim, EventBody, Failed, Finished, FinishedStatus, Genesis, Intent,
    Joined, Requested, ResolvedBy, Shadowed, Suppressed, WithdrawReason, Withdrawn,
};
pub use control::{Carried, Control, ControlAction};
pub use outcome::{DeadLetterReason, FailedReason, Outcome, PriorityClass, SkippedReason, SuppressedReason};
pub use record::{EventError, MIN_READER, SCHEMA_VERSION, ScanEvent};
pub use refs::{Action, AlertRef, DeviceRef};
pub use silence::{Silence, SilenceField, SilenceMatcher};
