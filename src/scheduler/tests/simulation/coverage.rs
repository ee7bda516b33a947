//! What a run of histories has seen: every kind of command, record and fault must have come up.

use std::collections::BTreeMap;

use super::event::{AttemptResult, EventBody, FailedReason, FinishedStatus, SuppressedReason, WithdrawReason};

/// Counts by word.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage {
    counts: BTreeMap<String, u64>,
    /// Changes with every record of the log.
    pub(super) fingerprint: u64,
}

/// What the world does to the scheduler, beside the records and answers that follow.
const FAULTS: &[&str] = &[
    "command append",
    "command scan",
    "command list",
    "command look_up",
    "command cancel",
    "fault crash",
    "fault hand_over",
    "fault stopped_owner",
    "fault lost_append",
    "fault late_append",
    "fault claim_overtaken",
    "fault clock_jump",
    "fault redelivery",
    "fault duplicate_alert",
    "fault halted",
    "fault resumed",
    "fault halted_locally",
    "fault list_failed",
    "fault list_not_permitted",
    "fault list_lag",
    "fault list_leaves_out",
    "fault look_up_failed",
    "fault foreign_action",
    "api created",
    "api already_running",
    "api existing_action",
    "api rate_limited",
    "api rate_limited_without_retry_after",
    "api unauthorized",
    "api forbidden",
    "api forbidden_for_good",
    "api not_found",
    "api unsupported",
    "api failed_before_creation",
    "api failed_after_creation",
    "api cut_after_creation",
    "api answer_too_late",
    "api rejected",
    "client refused_connection",
    "client too_late",
    "log void",
    "log fact_of_former_owner",
    "log former_decision_void",
    "log replay_from_the_middle",
    "resolved by_list",
];

impl Coverage {
    pub(super) fn saw(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(what.to_owned(), 1);
            }
        }
    }

    pub(super) fn count(&mut self, what: &str, more: u64) {
        *self.counts.entry(what.to_owned()).or_default() += more;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.fingerprint = self.fingerprint.wrapping_add(other.fingerprint);
        for (what, count) in &other.counts {
            self.count(what, *count);
        }
    }

    /// What a record that counted said.
    pub(super) fn record(&mut self, body: &EventBody) {
        self.saw(&format!("record {}", body.name()));
        match body {
            EventBody::AttemptFailed(body) => self.saw(&format!("attempt {}", body.result.as_str())),
            EventBody::Suppressed(body) => self.saw(&format!("suppressed {}", body.reason)),
            EventBody::Failed(body) => self.saw(&format!("failed {}", body.reason)),
            EventBody::Finished(body) => self.saw(&format!("finished {}", body.status.as_str())),
            EventBody::Withdrawn(body) => self.saw(&format!("withdrawn {:?}", body.withdrawn)),
            _ => {}
        }
    }

    /// What should have come up and did not.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut wanted: Vec<String> = FAULTS.iter().map(|fault| (*fault).to_owned()).collect();
        // The log of a simulation begins without a genesis: it does not concern the scheduler.
        wanted.extend(EventBody::NAMES.iter().filter(|name| **name != "genesis").map(|name| format!("record {name}")));
        wanted.extend(AttemptResult::ALL.iter().map(|result| format!("attempt {}", result.as_str())));
        wanted.extend(FinishedStatus::ALL.iter().map(|status| format!("finished {}", status.as_str())));
        use SuppressedReason as S;
        for reason in [S::Cooldown, S::Duplicate, S::TooOld, S::Protected, S::ProtectionUnknown, S::BlastRadius] {
            wanted.push(format!("suppressed {reason}"));
        }
        use FailedReason as F;
        for reason in [F::DeviceNotFound, F::UnsupportedDevice, F::Forbidden, F::Rejected, F::GaveUp, F::InDoubt] {
            wanted.push(format!("failed {reason}"));
        }
        for reason in [WithdrawReason::Halted, WithdrawReason::TooLate, WithdrawReason::Paused] {
            wanted.push(format!("withdrawn {reason:?}"));
        }
        wanted.retain(|what| !self.counts.contains_key(what));
        wanted
    }
}
