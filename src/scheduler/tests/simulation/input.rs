//! What a history is made of: how hard its world is, its devices, and the requests that arrive.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::alert::Severity;
use super::event::{AlertRef, DeviceRef, Mode, Requested, RuleLimit, ScanType};
use super::scheduler::{DeviceFacts, Settings};

/// The generator of a history.
pub(super) struct Dice(StdRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// True so many times in a thousand.
    pub(super) fn chance(&mut self, in_a_thousand: u32) -> bool {
        self.0.random_range(0..1000) < in_a_thousand
    }

    /// Evenly from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    pub(super) fn millis(&mut self, low: u64, high: u64) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.between(low, high)).unwrap_or(0))
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }
}

/// How hard the world of a history is, in chances of a thousand.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// The worker's own mode.
    pub(super) mode: Mode,
    /// Clocks jump by a few seconds.
    pub(super) skew: bool,
    /// Trouble of the API, per call.
    pub(super) api: u32,
    /// Crashes, hand-overs and stops, per step.
    pub(super) owners: u32,
    /// Slow appends, per append.
    pub(super) slow_log: u32,
    /// Requests, per step.
    pub(super) arrivals: u32,
    /// Everything takes so many times longer, so that histories outlast what the fold remembers.
    pub(super) pace: u32,
    /// The application may not read.
    pub(super) may_not_read: bool,
    /// What the operator set.
    pub(super) settings: Settings,
}

impl World {
    pub(super) fn of(dice: &mut Dice) -> Self {
        let pace = if dice.chance(300) { 8 } else { 1 };
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
        settings.max_calls_in_flight = usize::try_from(dice.between(1, 5)).unwrap_or(1);
        settings.protected.names = vec!["dc-*".to_owned()];
        settings.protected.tags = vec!["no-scan".to_owned()];
        settings.blast_radius.devices = if dice.chance(300) { 5 } else { 500 };
        settings.blast_radius.per = Duration::from_secs(600) * pace;
        settings.comment_marker = !dice.chance(100);
        Self {
            mode: if dice.chance(40) { Mode::Shadow } else { Mode::Live },
            skew: dice.chance(250),
            api: if dice.chance(250) { 0 } else { u32::try_from(dice.between(20, 350)).unwrap_or(0) },
            owners: if dice.chance(200) { 0 } else { u32::try_from(dice.between(10, 120)).unwrap_or(0) },
            slow_log: u32::try_from(dice.between(0, 60)).unwrap_or(0),
            pace,
            arrivals: u32::try_from(dice.between(100, 700)).unwrap_or(0),
            may_not_read: dice.chance(80),
            settings,
        }
    }

    /// A world in which nothing goes wrong any more; what clocks said before still stands in the log.
    pub(super) fn calm(&mut self) {
        self.api = 0;
        self.owners = 0;
        self.slow_log = 0;
        self.arrivals = 0;
    }
}

/// Devices of the tenant.
pub(super) const DEVICES: usize = 20;

pub(super) fn device_id(device: usize) -> String {
    format!("{device:040x}")
}

/// Kinds of devices, by the last digit of their number.
pub(super) fn is_protected(id: &str) -> bool {
    [9, 19, 16].iter().any(|device| device_id(*device) == id)
}

pub(super) fn is_unsupported(id: &str) -> bool {
    device_id(8) == id
}

pub(super) fn is_unknown(id: &str) -> bool {
    device_id(7) == id
}

/// Devices of whose tags alerts say nothing.
pub(super) fn needs_look_up(id: &str) -> bool {
    [6, 16, 17].iter().any(|device| device_id(*device) == id)
}

/// What a look-up tells.
pub(super) fn facts(id: &str) -> DeviceFacts {
    let tags = if device_id(16) == id { vec!["No-Scan".to_owned()] } else { Vec::new() };
    DeviceFacts { name: None, group: None, tags }
}

/// A request as intake would make it at `now`, the `number`th.
pub(super) fn request(dice: &mut Dice, world: &World, now: Timestamp, number: u64) -> Requested {
    let pace = u64::from(world.pace);
    let device = dice.index(DEVICES);
    let id = device_id(device);
    let name = if [9, 19].contains(&device) { format!("dc-{device}") } else { format!("ws-{device}") };
    let tags = (!needs_look_up(&id)).then(Vec::new);
    let limited = dice.chance(300);
    let rule = if limited { "limited" } else { "open" };
    let age = if dice.chance(30) { 0 } else { dice.between(300, 3000) * pace };
    Requested {
        terms: crate::event::ResponseTerms::default(),
        request_ids: vec![format!("request-{number}")],
        device: DeviceRef { id, name: Some(name), group: None, tags },
        alerts: vec![AlertRef {
            id: format!("alert-{number}"),
            title: None,
            severity: Severity::High,
            topic: "alerts".to_owned(),
            partition: 0,
            offset: i64::try_from(number).unwrap_or(0),
            index: 0,
        }],
        rule_ids: vec![rule.to_owned()],
        ruleset: "rules".to_owned(),
        scan_type: if dice.chance(250) { ScanType::Full } else { ScanType::Quick },
        priority: [10, 50, 80, 95][dice.index(4)],
        comment: format!("due to alert alert-{number}"),
        mode: if dice.chance(120) { Mode::Shadow } else { Mode::Live },
        alert_created_at: None,
        expires_at: now + SignedDuration::from_secs(i64::try_from(age).unwrap_or(0)),
        cooldown_seconds: dice.between(30, 1500) * pace,
        limits: if limited { vec![limit(world)] } else { Vec::new() },
        trace_id: None,
    }
}

/// The cap of the rule `limited`.
pub(super) fn limit(world: &World) -> RuleLimit {
    RuleLimit { rule_id: "limited".to_owned(), devices: 3, per_seconds: 300 * u64::from(world.pace) }
}
