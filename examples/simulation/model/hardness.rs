//! How hard the world of a history is, and what its operator set.

use std::time::Duration;

use jiff::SignedDuration;

use super::chance::Chance;
use super::event::Mode;
use super::fault::Fault;
use super::input;
use super::scheduler::{InDoubtPolicy, Settings};

/// Chances are of a thousand.
#[derive(Debug, Clone)]
pub(crate) struct Hardness {
    /// The worker's own mode.
    pub(crate) mode: Mode,
    /// Clocks jump by a few seconds.
    pub(crate) skew: bool,
    /// By how much the API's clock is ahead.
    pub(crate) api_ahead: SignedDuration,
    /// Trouble of the API, per call.
    pub(crate) api: u32,
    /// Crashes, hand-overs and stops, per step.
    pub(crate) owners: u32,
    /// Slow appends, per append; slow reads are rarer.
    pub(crate) slow_log: u32,
    /// Requests, per step.
    pub(crate) arrivals: u32,
    /// What operators do, per step.
    pub(crate) operators: u32,
    /// Everything takes so many times longer, so that histories outlast what the fold remembers.
    pub(crate) pace: u32,
    /// The application may not read.
    pub(crate) may_not_read: bool,
    /// Comments of rules do not name the alert, so that many are the same.
    pub(crate) same_comments: bool,
    /// What the operator set.
    pub(crate) settings: Settings,
}

impl Hardness {
    pub(crate) fn of(chance: &mut Chance) -> Self {
        let dice = &mut chance.dice;
        // The slowest histories outlast even what is remembered for a day.
        let pace = match dice.between(0, 99) {
            0..60 => 1,
            60..85 => 8,
            _ => 64,
        };
        let mut settings = Settings::default();
        settings.quota.per_minute = 4;
        settings.quota.per_hour = 20;
        settings.quota.hour_window = Duration::from_secs(if pace > 1 { 3600 } else { 900 });
        settings.quota.reserve_percent = 20;
        settings.quota.pause_without_retry_after = Duration::from_secs(10);
        settings.retry.max_attempts = 2;
        settings.retry.first = Duration::from_secs(2);
        settings.retry.longest = Duration::from_secs(60);
        settings.retry.busy = Duration::from_secs(60);
        settings.quick_deadline = Duration::from_secs(1200) * pace;
        settings.full_deadline = Duration::from_secs(2400) * pace;
        settings.cancel_at_deadline = dice.chance(500);
        settings.max_calls_in_flight = dice.index(5) + 1;
        settings.protected.ids = vec![input::device_id(15)];
        // Patterns are costly to compile, once for every worker that starts.
        if dice.chance(250) {
            settings.protected.names = vec!["dc-*".to_owned()];
        }
        settings.protected.tags = vec!["no-scan".to_owned()];
        if dice.chance(120) {
            settings.protected.groups = vec!["Tier 0*".to_owned()];
        }
        settings.blast_radius.devices = if dice.chance(300) { 5 } else { 500 };
        settings.blast_radius.per = Duration::from_secs(if dice.chance(300) { 50 } else { 600 }) * pace;
        settings.unfit_memory.device_not_found = Duration::from_secs([0, 300, 3600][dice.index(3)]) * pace;
        settings.unfit_memory.unsupported_device = Duration::from_secs([300, 3600][dice.index(2)]) * pace;
        settings.comment_marker = !dice.chance(100);
        let hardness = Self {
            mode: if dice.chance(40) { Mode::Shadow } else { Mode::Live },
            skew: dice.chance(250),
            api_ahead: SignedDuration::ZERO,
            api: if dice.chance(250) { 0 } else { dice.number(20, 350) },
            owners: if dice.chance(200) { 0 } else { dice.number(10, 120) },
            slow_log: if dice.chance(150) { dice.number(150, 400) } else { dice.number(0, 60) },
            pace,
            arrivals: dice.number(60, 450),
            operators: 8,
            may_not_read: dice.chance(150) && chance.may(Fault::ListNotPermitted),
            same_comments: chance.dice.chance(250),
            settings,
        };
        let ahead = chance.dice.millis(0, 240_000) - SignedDuration::from_secs(120);
        let api_ahead = if chance.fault(Fault::ApiClockOff, 500) { ahead } else { SignedDuration::ZERO };
        let in_doubt_without_read = if chance.dice.chance(500) { InDoubtPolicy::Retry } else { InDoubtPolicy::Fail };
        Self { api_ahead, settings: Settings { in_doubt_without_read, ..hardness.settings }, ..hardness }
    }

    /// A world in which nothing goes wrong any more; what clocks said before still stands in the log.
    pub(crate) fn heal(&mut self) {
        self.api = 0;
        self.owners = 0;
        self.slow_log = 0;
        self.arrivals = 0;
        self.operators = 0;
    }

    /// Workers look at least so often, in seconds.
    pub(crate) const fn tick(&self) -> i64 {
        match self.pace {
            1 => 5,
            8 => 60,
            _ => 480,
        }
    }

    /// By how much clocks of workers may differ, twice, and some delay.
    pub(crate) const fn slack(&self) -> SignedDuration {
        if self.skew { SignedDuration::from_secs(8) } else { SignedDuration::ZERO }
    }

    /// The operator accepts that a scan is sent twice when its answer was lost.
    pub(crate) fn may_scan_twice(&self) -> bool {
        self.may_not_read && self.settings.in_doubt_without_read == InDoubtPolicy::Retry
    }
}
