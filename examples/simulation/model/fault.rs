//! The faults that a history may hold. A new one is a line here and a call of `Chance::fault` where it strikes: reports,
//! coverage, `--without` and the shrinking of failures follow.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// Something that goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault {
            $($(#[$doc])* $name,)+
        }

        impl Fault {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

faults! {
    /// A worker dies; its latest appends may be lost.
    Crash = "crash",
    /// Appends that were not acknowledged are lost with the worker.
    LostAppend = "lost_append",
    /// The partition moves on while its owner lives.
    HandOver = "hand_over",
    /// A worker stands still and goes on later.
    StoppedOwner = "stopped_owner",
    /// Who goes on later decides before it reads.
    DecidesBeforeReading = "decides_before_reading",
    /// An append takes seconds.
    LateAppend = "late_append",
    /// A read takes seconds.
    LateRead = "late_read",
    /// A read brings some records and the next comes later.
    ReadInBatches = "read_in_batches",
    /// A worker's clock jumps.
    ClockJump = "clock_jump",
    /// The API's clock is off.
    ApiClockOff = "api_clock_off",
    /// Intake delivers a request again.
    Redelivery = "redelivery",
    /// The source sends an alert again.
    DuplicateAlert = "duplicate_alert",
    /// Many requests at once.
    Burst = "burst",
    /// A request that is too old when it comes.
    BornTooOld = "born_too_old",
    /// A request that has only moments.
    SoonTooOld = "soon_too_old",
    /// The kill switch is pulled for all.
    Halted = "halted",
    /// A cap that tripped is re-armed.
    Rearmed = "rearmed",
    /// A cap is re-armed that may not be tripped.
    RearmedForNothing = "rearmed_for_nothing",
    /// A silence is set, or replaced.
    Silenced = "silenced",
    /// A silence is ended before its time.
    SilenceEnded = "silence_ended",
    /// The kill switch of one worker is pulled.
    HaltedLocally = "halted_locally",
    /// From now on new workers protect one more device.
    ProtectionConfigured = "protection_configured",
    /// A device is tagged at Defender.
    ProtectionTagged = "protection_tagged",
    /// A list fails, or one of its pages.
    ListFailed = "list_failed",
    /// The application may not read actions.
    ListNotPermitted = "list_not_permitted",
    /// The application may not read machines.
    LookUpNotPermitted = "look_up_not_permitted",
    /// Lists show an action late.
    ListLag = "list_lag",
    /// A list leaves an action out.
    ListLeavesOut = "list_leaves_out",
    /// A list does not tell the device of an action.
    ListNamesNoDevice = "list_names_no_device",
    /// A call that reads is answered with a 429.
    ReadsLimited = "reads_limited",
    /// A list takes its time.
    ListSlow = "list_slow",
    /// A look-up fails.
    LookUpFailed = "look_up_failed",
    /// Somebody else scans a device.
    ForeignScan = "foreign_scan",
    /// Somebody else scans a device with a comment of ours.
    CommentCopied = "comment_copied",
    /// An action never ends.
    StuckDevice = "stuck_device",
    /// An action ends without success.
    ActionFails = "action_fails",
    /// 429 with `Retry-After`, for a while.
    RateLimited = "rate_limited",
    /// 429 without `Retry-After`, once.
    RateLimitedBare = "rate_limited_without_retry_after",
    /// Somebody else uses the limit up: 429 without `Retry-After`, for a while.
    QuotaUsedByOthers = "quota_used_by_others",
    /// For minutes no call works.
    Outage = "outage",
    /// 401.
    Unauthorized = "unauthorized",
    /// 403, a permission is missing.
    Forbidden = "forbidden",
    /// 403, the tenant refuses the action.
    ForbiddenForGood = "forbidden_for_good",
    /// A 400 of no known kind.
    Rejected = "rejected",
    /// A 5xx, and no action was made.
    FailedBeforeCreation = "failed_before_creation",
    /// A 5xx, and an action was made.
    FailedAfterCreation = "failed_after_creation",
    /// The connection breaks after an action was made.
    AnswerLost = "answer_lost",
    /// The answer comes after the time-out.
    AnswerTooLate = "answer_too_late",
    /// No connection.
    ConnectionRefused = "connection_refused",
    /// A call leaves seconds after it was asked for.
    SlowToLeave = "slow_to_leave",
    /// A call is on its way for seconds.
    SlowToArrive = "slow_to_arrive",
}

/// A set of faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults(u64);

impl Faults {
    pub(crate) const fn with_none() -> Self {
        Self(0)
    }

    pub(crate) const fn contains(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u32) != 0
    }

    #[must_use]
    pub(crate) const fn with(self, fault: Fault) -> Self {
        Self(self.0 | (1 << fault as u32))
    }

    pub(crate) fn words(self) -> Vec<&'static str> {
        Fault::ALL.iter().filter(|fault| self.contains(**fault)).map(|fault| fault.word()).collect()
    }
}
