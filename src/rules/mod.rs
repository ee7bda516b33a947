//! Sigma rules that respond: load, check, evaluate, explain.
//!
//! This room knows nothing of Kafka, Defender, time or what happened before: the same alert, device and rule set always
//! give the same [`Decision`].

mod decision;

pub use decision::{Decision, Mode, RuleLimit, RuleMatch, ScanDecision, ScanType};
