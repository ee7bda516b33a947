//! Broken promises, by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// Which promise is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum ViolationCode {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl ViolationCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in the report.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

codes! {
    /// A record of the ledger is not one of ours.
    UnreadableRecord = "unreadable_record",
    /// A record lies in a partition that is not its tenant's.
    WrongPlace = "wrong_place",
    /// A second log was begun inside the first.
    SecondGenesis = "second_genesis",
    /// The committed counts of a partition do not add up.
    Unbalanced = "unbalanced",
    /// The ledger does not hold the requests that the committed counts say.
    RequestsDiffer = "requests_differ",
    /// The dead letters are not those that the committed counts say.
    DeadLettersDiffer = "dead_letters_differ",
    /// The alerts topic holds other observations than the committed counts say.
    ObservationsDiffer = "observations_differ",
    /// An observation has two outcomes.
    SecondOutcome = "second_outcome",
    /// A request ended twice.
    SecondTerminal = "second_terminal",
    /// Something ended that was never requested.
    TerminalWithoutRequest = "terminal_without_request",
    /// A request was ended while the fate of its scan was still open.
    TerminalInsideScan = "terminal_inside_scan",
    /// A scan ended without naming a request that it covers: nobody will ever end it.
    RequestForgotten = "request_forgotten",
    /// A record about a scan names requests that are not the scan's.
    RequestNotOfScan = "request_not_of_scan",
    /// A scan was intended for a request that had ended.
    IntentForEnded = "intent_for_ended",
    /// A scan was intended for a request that was never made, or of another device.
    IntentWithoutRequest = "intent_without_request",
    /// A scan was intended for a request in shadow.
    IntentForShadow = "intent_for_shadow",
    /// An attempt out of turn: the one before had no result, or was final.
    AttemptOutOfOrder = "attempt_out_of_order",
    /// The result of a call that no valid intent announced.
    ResultWithoutIntent = "result_without_intent",
    /// Two scans were accepted under one scan id.
    AcceptedTwice = "accepted_twice",
    /// A scan was accepted by an attempt that the log says had no effect.
    AcceptedAgainstRecord = "accepted_against_record",
    /// A scan of a device that already had one.
    SecondScan = "second_scan",
    /// A join to a scan that was not running.
    JoinedWithoutScan = "joined_without_scan",
    /// A scan ended that was not running.
    FinishedWithoutScan = "finished_without_scan",
    /// A scan ended before it began.
    TimesReversed = "times_reversed",
    /// A scan during the device's rest.
    CooldownBroken = "cooldown_broken",
    /// A call while the kill switch was pulled.
    CalledWhileHalted = "called_while_halted",
    /// A scan for a rule whose cap on devices is tripped, or for any while the total cap is.
    TripBroken = "trip_broken",
    /// More distinct devices in a window than a cap allows.
    BlastRadiusExceeded = "blast_radius_exceeded",
    /// A scan for a request that a silence holds back.
    SilenceBroken = "silence_broken",
    /// A scan was intended for a request that was too old.
    IntentForExpired = "intent_for_expired",
    /// A scan was intended for a request whose threshold was not reached.
    IntentBelowThreshold = "intent_below_threshold",
    /// A scan was intended for a request whose rules were not active.
    IntentOutsideActiveTime = "intent_outside_active_time",
    /// A scan was intended of a device that Defender does not know or cannot scan, before it may be asked again.
    IntentForUnfitDevice = "intent_for_unfit_device",
    /// A guard held a request back, and the log shows that it had no reason to.
    SuppressedWithoutCause = "suppressed_without_cause",
    /// A request failed because of its device, and nothing says so of the device.
    FailedWithoutCause = "failed_without_cause",
    /// The rest that was stamped is not the one that was asked for.
    RestDiffers = "rest_differs",
    /// A request waits although it is too old.
    RequestOverdue = "request_overdue",
    /// More calls in a window than allowed.
    QuotaExceeded = "quota_exceeded",
}

impl fmt::Display for ViolationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A broken promise and the records that prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which promise.
    pub code: ViolationCode,
    /// Partition of the ledger; absent where the alerts side is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Offsets of the ledger records concerned, the offending one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offsets: Vec<i64>,
    /// What is wrong, for people.
    pub message: String,
}

/// Violations found so far: all counted, the first of each code listed.
#[derive(Debug)]
pub(super) struct Violations {
    most_listed: usize,
    pub(super) counts: BTreeMap<ViolationCode, u64>,
    pub(super) listed: Vec<Violation>,
}

impl Violations {
    pub(super) fn new(most_listed: usize) -> Self {
        Self { most_listed, counts: BTreeMap::new(), listed: Vec::new() }
    }

    /// Takes over what was found on an assumption. What holds without it is taken over in any case.
    pub(super) fn take_over(&mut self, assumed: Self, assumption_holds: bool) {
        let holds = |code: ViolationCode| {
            assumption_holds
                || matches!(
                    code,
                    ViolationCode::UnreadableRecord | ViolationCode::WrongPlace | ViolationCode::SecondGenesis
                )
        };
        for violation in assumed.listed.into_iter().filter(|violation| holds(violation.code)) {
            let listed = self.counts.get(&violation.code).copied().unwrap_or(0);
            if listed < u64::try_from(self.most_listed).unwrap_or(u64::MAX) {
                self.listed.push(violation);
            }
        }
        for (code, count) in assumed.counts.into_iter().filter(|(code, _)| holds(*code)) {
            let sum = self.counts.entry(code).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// Whether another violation of this code would be listed; its message is not worth making otherwise.
    fn count(&mut self, code: ViolationCode) -> bool {
        let count = self.counts.entry(code).or_default();
        *count = count.saturating_add(1);
        *count <= u64::try_from(self.most_listed).unwrap_or(u64::MAX)
    }

    /// A violation that records of a ledger partition prove.
    pub(super) fn ledger(
        &mut self,
        code: ViolationCode,
        partition: i32,
        offsets: &[i64],
        message: impl FnOnce() -> String,
    ) {
        if self.count(code) {
            let violation =
                Violation { code, partition: Some(partition), offsets: offsets.to_vec(), message: message() };
            self.listed.push(violation);
        }
    }

    /// A violation of the alerts side.
    pub(super) fn alerts(&mut self, code: ViolationCode, message: impl FnOnce() -> String) {
        if self.count(code) {
            self.listed.push(Violation { code, partition: None, offsets: Vec::new(), message: message() });
        }
    }
}
