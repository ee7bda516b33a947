//! What an operator may set about pace, patience and protection.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::protection::ProtectedDevices;

/// Pace, patience and protection of the dispatch side.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The API's limits, for one application in one tenant, all replicas together.
    pub quota: QuotaSettings,
    /// Budget of the calls that read (machine actions, machines). They have limits of their own at the API.
    pub reads: ReadSettings,
    /// How failed attempts are repeated.
    pub retry: RetrySettings,
    /// When calls wait because the API as a whole does not work.
    pub breaker: BreakerSettings,
    /// A call must leave the process within this time of its intent, the record that announces it. Default `5s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub leave_within: Duration,
    /// Longest time a call can take; not less than `defender.call_timeout`. Default `30s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub call_timeout: Duration,
    /// Added to `scheduler.leave_within` and `scheduler.call_timeout`: only so long after a call's intent may a list of machine
    /// actions prove that the call had no effect. Default `60s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub settle: Duration,
    /// Before a call whose answer was lost counts as without effect, two lists of machine actions must be without it; this is
    /// the least time between the two. Default `60s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub list_gap: Duration,
    /// What happens to a scan whose answer was lost when the application may not read machine actions, and so cannot find out
    /// whether it began. `fail` ends it as `failed{in_doubt}`; `retry` calls again without knowing, so a device may be scanned
    /// twice. Default `fail`.
    pub in_doubt_without_read: InDoubtPolicy,
    /// Open actions are followed by one list call per this interval. Default `30s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub follow_interval: Duration,
    /// A Quick scan that has not ended after this time counts as timed out. Default `74h`: Defender itself gives an
    /// offline device up after about three days.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub quick_deadline: Duration,
    /// A Full scan that has not ended after this time counts as timed out. Default `74h`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub full_deadline: Duration,
    /// Whether an action past its deadline is also cancelled at Defender. Default `false`.
    pub cancel_at_deadline: bool,
    /// A first request waits this long for others of the same device, so that they share one scan. Default `5s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub merge_window: Duration,
    /// Calls under way at the same time. Default 8.
    pub max_calls_in_flight: usize,
    /// Priority points that an hour of waiting adds, so that nothing starves. Default 10.
    pub ageing_points_per_hour: u32,
    /// Devices that are never scanned, whatever a rule says.
    pub protected: ProtectedDevices,
    /// Cap on distinct devices, all rules together.
    pub blast_radius: BlastRadiusSettings,
    /// How long it is remembered that Defender does not know a device or cannot scan it. Requests for it fail meanwhile
    /// without a call.
    pub unfit_memory: UnfitMemorySettings,
    /// Longest comment sent, in characters. Default 400.
    pub comment_max_chars: usize,
    /// Whether the scan id ends the comment (`… [scan 7f3k2qab]`), by which a lost answer is found again. Default `true`.
    pub comment_marker: bool,
}

/// The API's limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaSettings {
    /// Calls in any `scheduler.quota.minute_window`. Default 100.
    pub per_minute: u32,
    /// Calls in any `scheduler.quota.hour_window`. Default 1500.
    pub per_hour: u32,
    /// Length of the short window. Default `60s`; shorter only against the simulator.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub minute_window: Duration,
    /// Length of the long window, at most `1h`. Default `1h`; shorter only against the simulator.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub hour_window: Duration,
    /// Percent of `scheduler.quota.per_hour` kept for requests of at least `scheduler.quota.reserve_priority`. Default 10.
    pub reserve_percent: u32,
    /// Priority from which a request may use the reserve. Default 90.
    pub reserve_priority: u8,
    /// By how much the clocks of two replicas may differ: calls that another owner made count for so much longer after a
    /// hand-over. At most `5m`. Default `5s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub clock_margin: Duration,
    /// Pause of all calls after a 429 without `Retry-After`. Default `60s`; doubles while it goes on.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub pause_without_retry_after: Duration,
}

/// Budget of the calls that read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadSettings {
    /// Calls in any minute, lists and look-ups each. Default 50, half of what the API allows: the count starts anew
    /// with the process.
    pub per_minute: u32,
    /// Calls in any hour, lists and look-ups each. Default 750, half of what the API allows. Look-ups beyond it wait, and so
    /// do the scans that need them.
    pub per_hour: u32,
    /// How long what a look-up told of a device is believed. Default `15m`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub device_memory: Duration,
}

/// How failed attempts are repeated: full jitter under an exponential curve.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// Attempts of one scan that count, after which it ends as `failed{gave_up}`. Default 6.
    pub max_attempts: u32,
    /// Top of the wait before the second attempt of a scan; the wait itself is drawn at random below it. Default `5s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub first: Duration,
    /// Top of the longest wait between two attempts of a scan. Default `10m`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub longest: Duration,
    /// Wait before a device whose running scan does not cover the request is tried again. Default `5m`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub busy: Duration,
}

/// When calls wait because the API as a whole does not work: calls cannot be sent, no token can be had, a permission is
/// missing (401, 403), or answers are lost (5xx, time-outs). Answers about one device and 429 are no such trouble.
/// Meanwhile nothing counts towards `retry.max_attempts`, and requests end by their age alone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// The breaker opens, and all calls wait, after so many calls in a row that could not be sent, got no token, lacked a
    /// permission (401, 403) or lost their answer (5xx, time-out). Default 3.
    pub failures: u32,
    /// The breaker also opens when so many percent of the scan calls within `scheduler.breaker.window` met the troubles that
    /// `scheduler.breaker.failures` counts. Default 50.
    pub window_percent: u32,
    /// With fewer scan calls than this within `scheduler.breaker.window`, `scheduler.breaker.window_percent` does not apply.
    /// Default 20.
    pub window_calls: u32,
    /// Length of the window of which `scheduler.breaker.window_percent` and `scheduler.breaker.window_calls` speak. Default
    /// `60s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub window: Duration,
    /// Top of the first wait after the breaker opened; then one call finds out whether the API is back. A wait is at least
    /// half of its top. Default `5s`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub first_wait: Duration,
    /// Top of the breaker's longest wait: each opening in a row doubles the wait, up to here. Default `5m`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub longest_wait: Duration,
}

/// Cap on distinct devices, all rules together.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BlastRadiusSettings {
    /// Distinct devices that may be scanned within `scheduler.blast_radius.per`, all rules together; one more trips the cap, and
    /// every rule is in shadow until somebody re-arms it. Default 500.
    pub devices: u32,
    /// Length of the window in which `scheduler.blast_radius.devices` counts, at most `24h`. Default `1h`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub per: Duration,
}

/// How long it is remembered that a device cannot be scanned.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnfitMemorySettings {
    /// How long requests for a device fail without a call after Defender said that it does not know the device (404, or a
    /// look-up). Default `1h`: a new device may be onboarded at any time. `0s` remembers nothing.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub device_not_found: Duration,
    /// How long requests for a device fail without a call after Defender said that the device's system or client cannot run
    /// the scan. Default `24h`. `0s` remembers nothing.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub unsupported_device: Duration,
}

/// What happens to a scan in doubt when machine actions cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InDoubtPolicy {
    /// It ends as `failed{in_doubt}`: never scans twice.
    Fail,
    /// It is attempted again: may scan twice.
    Retry,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quota: QuotaSettings::default(),
            reads: ReadSettings::default(),
            retry: RetrySettings::default(),
            breaker: BreakerSettings::default(),
            leave_within: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            settle: Duration::from_secs(60),
            list_gap: Duration::from_secs(60),
            in_doubt_without_read: InDoubtPolicy::Fail,
            follow_interval: Duration::from_secs(30),
            quick_deadline: Duration::from_secs(74 * 3600),
            full_deadline: Duration::from_secs(74 * 3600),
            cancel_at_deadline: false,
            merge_window: Duration::from_secs(5),
            max_calls_in_flight: 8,
            ageing_points_per_hour: 10,
            protected: ProtectedDevices::default(),
            blast_radius: BlastRadiusSettings::default(),
            unfit_memory: UnfitMemorySettings::default(),
            comment_max_chars: 400,
            comment_marker: true,
        }
    }
}

impl Default for QuotaSettings {
    fn default() -> Self {
        Self {
            per_minute: 100,
            per_hour: 1500,
            minute_window: Duration::from_secs(60),
            hour_window: Duration::from_secs(3600),
            reserve_percent: 10,
            reserve_priority: 90,
            clock_margin: Duration::from_secs(5),
            pause_without_retry_after: Duration::from_secs(60),
        }
    }
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self { per_minute: 50, per_hour: 750, device_memory: Duration::from_secs(900) }
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_attempts: 6,
            first: Duration::from_secs(5),
            longest: Duration::from_secs(600),
            busy: Duration::from_secs(300),
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            window_percent: 50,
            window_calls: 20,
            window: Duration::from_secs(60),
            first_wait: Duration::from_secs(5),
            longest_wait: Duration::from_secs(300),
        }
    }
}

impl Default for BlastRadiusSettings {
    fn default() -> Self {
        Self { devices: 500, per: Duration::from_secs(3600) }
    }
}

impl Default for UnfitMemorySettings {
    fn default() -> Self {
        Self { device_not_found: Duration::from_secs(3600), unsupported_device: Duration::from_secs(24 * 3600) }
    }
}

impl Settings {
    /// What is wrong with the values, each message naming the key and the mend.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |holds: bool, message: &str| {
            if !holds {
                wrong.push(format!("scheduler.{message}"));
            }
        };
        let quota = &self.quota;
        check(
            quota.per_minute >= 1,
            "quota.per_minute is 0: nothing would ever be scanned; set `halted: true` instead",
        );
        check(quota.per_hour >= 1, "quota.per_hour is 0: nothing would ever be scanned; set `halted: true` instead");
        check(quota.minute_window <= quota.hour_window, "quota.minute_window is longer than quota.hour_window");
        check(!quota.minute_window.is_zero(), "quota.minute_window is 0; the API's is 60s");
        check(quota.hour_window <= Duration::from_secs(3600), "quota.hour_window is longer than 1h, the API's window");
        check(
            quota.reserve_percent <= 90,
            "quota.reserve_percent is above 90: ordinary requests would hardly ever run",
        );
        check(
            quota.clock_margin <= super::quota::MOST_CLOCK_MARGIN,
            "quota.clock_margin is longer than 5m; synchronise the clocks instead",
        );
        let breaker = &self.breaker;
        check(breaker.failures >= 1, "breaker.failures is 0: no call would ever be made; set at least 1");
        check((1..=100).contains(&breaker.window_percent), "breaker.window_percent is outside 1 to 100");
        check(breaker.window_calls >= 1, "breaker.window_calls is 0; set at least 1");
        check(!breaker.first_wait.is_zero(), "breaker.first_wait is 0; a failing API would be hammered");
        check(breaker.first_wait <= breaker.longest_wait, "breaker.first_wait is longer than breaker.longest_wait");
        check(breaker.longest_wait <= Duration::from_secs(3600), "breaker.longest_wait is longer than 1h");
        check(self.max_calls_in_flight >= 1, "max_calls_in_flight is 0; set at least 1");
        check(self.retry.max_attempts >= 1, "retry.max_attempts is 0; set at least 1");
        check(!self.retry.busy.is_zero(), "retry.busy is 0: a device whose scan runs would be asked again and again");
        check(
            !quota.pause_without_retry_after.is_zero(),
            "quota.pause_without_retry_after is 0: calls would be wasted while the API refuses them",
        );
        check(!self.settle.is_zero(), "settle is 0: a list may not show yet what was accepted; set at least 1s");
        check(!self.list_gap.is_zero(), "list_gap is 0: two lists would prove no more than one; set at least 1s");
        check(!self.quick_deadline.is_zero(), "quick_deadline is 0: every scan would be given up at once");
        check(!self.full_deadline.is_zero(), "full_deadline is 0: every scan would be given up at once");
        check(!self.retry.first.is_zero(), "retry.first is 0; a failing API would be hammered");
        check(self.retry.first <= self.retry.longest, "retry.first is longer than retry.longest");
        check(!self.follow_interval.is_zero(), "follow_interval is 0; set at least 1s");
        check(!self.leave_within.is_zero(), "leave_within is 0: no call could ever leave in time");
        check(self.reads.per_minute >= 1, "reads.per_minute is 0: a lost answer could never be resolved");
        check(self.reads.per_hour >= 1, "reads.per_hour is 0: a lost answer could never be resolved");
        check(
            !self.reads.device_memory.is_zero(),
            "reads.device_memory is 0: what Defender tells of a device would be forgotten before it is used; set at least 1s",
        );
        check((80..=2000).contains(&self.comment_max_chars), "comment_max_chars is outside 80 to 2000");
        check(
            self.blast_radius.per <= Duration::from_secs(24 * 3600) && !self.blast_radius.per.is_zero(),
            "blast_radius.per is outside 1s to 24h",
        );
        check(self.blast_radius.devices >= 1, "blast_radius.devices is 0: nothing would ever be scanned");
        let longest = Duration::from_secs(30 * 24 * 3600);
        check(
            self.unfit_memory.device_not_found <= longest,
            "unfit_memory.device_not_found is longer than 30d; lower it",
        );
        check(
            self.unfit_memory.unsupported_device <= longest,
            "unfit_memory.unsupported_device is longer than 30d; lower it",
        );
        wrong.extend(self.protected.validate().into_iter().map(|message| format!("scheduler.protected.{message}")));
        wrong
    }

    /// The longest time for which a record of the ledger can matter, not counting cooldowns and age limits of rules, and
    /// facts that are carried on:
    /// half of the topic's retention must not be shorter.
    #[must_use]
    pub fn longest_memory(&self) -> Duration {
        self.quick_deadline.max(self.full_deadline).max(self.blast_radius.per).max(super::state::MEMORY)
    }
}
