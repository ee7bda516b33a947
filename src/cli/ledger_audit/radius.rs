//! The blast radius: caps that tripped, and distinct devices in sliding windows.
//!
//! Counted as the log proves it: intents that counted, without those that were withdrawn, since the cap was last
//! re-armed. Times of another owner are taken as older by the tolerance between clocks, so a count is never too high.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::inputs::AuditOptions;
use super::lane::{Key, Lane, Place, key};
use super::violation::ViolationCode;
use crate::event::{Intent, Mode, Requested, RuleLimit, ScanType};

/// Stands for the cap on all rules together where caps are known by their rule.
const TOTAL: &str = "";

/// Longest window that is counted: the worker remembers no more.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Excesses of the total cap that are kept until it is known whether the configuration in hand was in force.
const MOST_KEPT: usize = 10_000;

/// A cap that is tripped.
#[derive(Debug, Clone, Copy)]
struct Trip {
    /// The record from which on it is known.
    offset: i64,
    /// The order itself.
    ordered: i64,
}

/// An intent in a window.
#[derive(Debug, Clone, Copy)]
struct Reached {
    device: Key,
    /// Whether its time was made older, because another owner wrote it.
    of_another: bool,
}

/// Intents of the latest stretch of one length.
#[derive(Debug)]
struct Window {
    per: Duration,
    by_time: BTreeMap<(Timestamp, i64), Reached>,
    /// Intents of each device.
    devices: HashMap<Key, u32>,
    /// When each device was reached last, by the writer's own clock and whatever became of the intent: one that was may be
    /// reached again.
    last: HashMap<Key, Timestamp>,
}

/// An intent of the last day, for windows that are yet to be drawn.
#[derive(Debug)]
struct Past {
    time: Timestamp,
    offset: i64,
    device: Key,
    rule_ids: Box<[Box<str>]>,
    of_another: bool,
    withdrawn: bool,
}

impl Past {
    /// Its time, no later than the clock of any owner that may read it said.
    fn at(&self, tolerance: Duration) -> Timestamp {
        if self.of_another { older(self.time, tolerance) } else { self.time }
    }
}

impl Window {
    fn drop_before(&mut self, now: Timestamp) {
        while let Some(first) = self.by_time.first_entry() {
            if first.key().0.saturating_add(self.per).is_ok_and(|until| until > now) {
                break;
            }
            let device = first.remove().device;
            self.leave(device);
        }
    }

    fn leave(&mut self, device: Key) {
        if let Some(count) = self.devices.get_mut(&device) {
            *count -= 1;
            if *count == 0 {
                self.devices.remove(&device);
            }
        }
    }

    fn reach(&mut self, time: Timestamp, offset: i64, device: Key) {
        self.by_time.insert((time, offset), Reached { device, of_another: false });
        *self.devices.entry(device).or_default() += 1;
        self.reached_at(device, time);
        if self.last.len() > self.by_time.len().saturating_mul(2).saturating_add(MOST_KEPT) {
            let per = self.per.saturating_add(LONGEST);
            self.last.retain(|_, last| last.saturating_add(per).is_ok_and(|until| until > time));
        }
    }

    fn reached_at(&mut self, device: Key, time: Timestamp) {
        let last = self.last.entry(device).or_insert(time);
        *last = time.max(*last);
    }

    fn give_back(&mut self, time: Timestamp, offset: i64) {
        if let Some(reached) = self.by_time.remove(&(time, offset)) {
            self.leave(reached.device);
        }
    }

    fn clear(&mut self) {
        self.by_time.clear();
        self.devices.clear();
        self.last.clear();
    }
}

/// What is known of caps.
#[derive(Debug, Default)]
pub(super) struct Radius {
    tripped: HashMap<Box<str>, Trip>,
    rearmed: HashMap<Box<str>, i64>,
    windows: Vec<Window>,
    of_rule: HashMap<Box<str>, Vec<usize>>,
    /// Intents of the last day, oldest first.
    past: VecDeque<Past>,
    /// Offsets that prove that the total cap was passed, under the latest claim where only that is judged.
    total_passed: Vec<[i64; 3]>,
}

impl Radius {
    pub(super) fn tripped(&mut self, rule: Option<&str>, offset: i64) {
        self.tripped.entry(rule.unwrap_or(TOTAL).into()).or_insert(Trip { offset, ordered: offset });
    }

    /// A trip that was written again. An order that came after the one that it carries says more.
    pub(super) fn carried(&mut self, rule: Option<&str>, offset: i64, ordered: i64) {
        let rule = rule.unwrap_or(TOTAL);
        let latest = self.tripped.get(rule).map(|trip| trip.ordered).max(self.rearmed.get(rule).copied());
        if latest.is_none_or(|latest| latest <= ordered) {
            self.tripped.entry(rule.into()).or_insert(Trip { offset, ordered });
        }
    }

    pub(super) fn rearmed(&mut self, rule: Option<&str>, offset: i64) {
        let rule = rule.unwrap_or(TOTAL);
        self.tripped.remove(rule);
        self.rearmed.insert(rule.into(), offset);
        for window in self.of_rule.get(rule).into_iter().flatten() {
            if let Some(window) = self.windows.get_mut(*window) {
                window.clear();
            }
        }
    }

    /// Another owner: its clock may be ahead of the one that wrote so far, and the total cap another.
    pub(super) fn claimed(&mut self, options: &AuditOptions) {
        let tolerance = options.clock_tolerance;
        if !options.every_owner {
            self.total_passed.clear();
        }
        self.past.iter_mut().for_each(|past| past.of_another = true);
        for window in &mut self.windows {
            let before = std::mem::take(&mut window.by_time);
            window.by_time = before
                .into_iter()
                .map(|((time, offset), reached)| match reached.of_another {
                    true => ((time, offset), reached),
                    false => ((older(time, tolerance), offset), Reached { of_another: true, ..reached }),
                })
                .collect();
        }
    }

    /// The window of a cap; drawn from the intents of the last day where the cap is new.
    fn window(&mut self, rule: &str, per: Duration, tolerance: Duration) -> usize {
        let rearmed = self.rearmed.get(rule).copied().unwrap_or(-1);
        if !self.of_rule.contains_key(rule) {
            self.of_rule.insert(rule.into(), Vec::new());
        }
        let Some(of_rule) = self.of_rule.get_mut(rule) else { return 0 };
        let known = of_rule.iter().copied().find(|at| self.windows.get(*at).is_some_and(|window| window.per == per));
        known.unwrap_or_else(|| {
            let mut window = Window { per, by_time: BTreeMap::new(), devices: HashMap::new(), last: HashMap::new() };
            let of_cap = |past: &&Past| rule == TOTAL || past.rule_ids.iter().any(|id| **id == *rule);
            for past in self.past.iter().filter(|past| past.offset > rearmed).filter(of_cap) {
                window.reached_at(past.device, past.time);
                if !past.withdrawn {
                    let reached = Reached { device: past.device, of_another: past.of_another };
                    window.by_time.insert((past.at(tolerance), past.offset), reached);
                    *window.devices.entry(past.device).or_default() += 1;
                }
            }
            let at = self.windows.len();
            of_rule.push(at);
            self.windows.push(window);
            at
        })
    }

    /// The oldest and the latest intent of a window that another device would pass.
    fn passed(
        &mut self,
        at: usize,
        devices: u32,
        device: Key,
        now: Timestamp,
        tolerance: Duration,
    ) -> Option<[i64; 2]> {
        let window = self.windows.get_mut(at)?;
        window.drop_before(now);
        let full = window.devices.len() >= usize::try_from(devices).unwrap_or(usize::MAX);
        let since = older(older(now, window.per), tolerance);
        if !full || window.last.get(&device).is_some_and(|last| *last >= since) {
            return None;
        }
        let offsets = || window.by_time.keys().map(|(_, offset)| *offset);
        Some([offsets().min()?, offsets().max()?])
    }

    /// A withdrawn intent reached nobody: it leaves every window, those too that were drawn after it was made.
    pub(super) fn give_back(&mut self, offset: i64, tolerance: Duration) {
        // One older than a day is in no window any more.
        let Ok(at) = self.past.binary_search_by_key(&offset, |past| past.offset) else { return };
        let Some(past) = self.past.get_mut(at) else { return };
        past.withdrawn = true;
        for rule in past.rule_ids.iter().map(|rule| &**rule).chain([TOTAL]) {
            for at in self.of_rule.get(rule).into_iter().flatten() {
                if let Some(window) = self.windows.get_mut(*at) {
                    window.give_back(past.time, offset);
                    window.give_back(older(past.time, tolerance), offset);
                }
            }
        }
    }
}

/// Rules that may have asked for a request, each with its scan: those that ask by themselves, and live counts, whether they
/// were reached or not.
pub(super) fn asking(asked: &Requested) -> Vec<(&str, ScanType)> {
    let terms = &asked.terms;
    let counts = terms.thresholds.iter().filter(|each| each.mode == Mode::Live);
    let counts = counts.map(|each| (each.rule_id.as_str(), each.scan_type));
    let unnamed = terms.asks.is_empty() && !terms.awaits_threshold;
    let matched = asked.rule_ids.iter().filter(|rule| unnamed && !terms.shadow_rule_ids.contains(rule));
    let matched = matched.map(|rule| (rule.as_str(), asked.scan_type));
    terms.asks.iter().map(|ask| (ask.rule_id.as_str(), ask.scan_type)).chain(matched).chain(counts).collect()
}

fn older(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

impl Lane {
    /// An intent that counted: against trips that its writer had read (`seen` is an offset up to which it had certainly
    /// read the log), and against the caps.
    pub(super) fn check_radius(&mut self, body: &Intent, seen: i64, place: &mut Place<'_>) {
        self.check_trips(body, seen, place);
        let asked = body.request_ids.iter().filter_map(|id| self.asked(id));
        let mut limits: Vec<RuleLimit> = Vec::new();
        for limit in asked.flat_map(|asked| &asked.limits).chain(&body.limits) {
            if body.rule_ids.contains(&limit.rule_id) && !limits.contains(limit) {
                limits.push(limit.clone());
            }
        }
        let device = key(&body.device.id);
        let tolerance = place.options.clock_tolerance;
        let shorter = LONGEST.saturating_sub(tolerance);
        for limit in &limits {
            let per = Duration::from_secs(limit.per_seconds).min(shorter);
            let window = self.radius.window(&limit.rule_id, per, tolerance);
            let passed = self.radius.passed(window, limit.devices, device, place.time, tolerance);
            // A device that was reached before the log begins may be reached again.
            let whole = self.reaches_back(per.saturating_add(tolerance), place.time);
            if let Some(before) = passed.filter(|_| whole) {
                self.violation(ViolationCode::BlastRadiusExceeded, &before, place, || {
                    format!(
                        "scan {} reaches one device more than the {} in {} s that rule {} allows",
                        body.scan_id, limit.devices, limit.per_seconds, limit.rule_id
                    )
                });
            }
        }
        if let Some((devices, per)) = place.options.blast_radius {
            let per = per.min(shorter);
            let window = self.radius.window(TOTAL, per, tolerance);
            if let Some([oldest, latest]) = self.radius.passed(window, devices, device, place.time, tolerance)
                && self.reaches_back(per.saturating_add(tolerance), place.time)
                && self.radius.total_passed.len() < MOST_KEPT
            {
                self.radius.total_passed.push([oldest, latest, place.offset]);
            }
        }
        let mut windows: Vec<usize> = Vec::new();
        for rule in body.rule_ids.iter().map(String::as_str).chain([TOTAL]) {
            windows.extend(self.radius.of_rule.get(rule).into_iter().flatten());
        }
        for window in &windows {
            if let Some(window) = self.radius.windows.get_mut(*window) {
                window.drop_before(place.time);
                window.reach(place.time, place.offset, device);
            }
        }
        let rule_ids = body.rule_ids.iter().map(|rule| rule.as_str().into()).collect();
        let (time, offset) = (place.time, place.offset);
        let past = Past { time, offset, device, rule_ids, of_another: false, withdrawn: false };
        self.radius.past.push_back(past);
        while self.radius.past.front().is_some_and(|past| past.time.saturating_add(LONGEST).is_ok_and(|end| end < time))
        {
            self.radius.past.pop_front();
        }
    }

    fn check_trips(&self, body: &Intent, seen: i64, place: &mut Place<'_>) {
        let trips = &self.radius.tripped;
        if trips.is_empty() {
            return;
        }
        let known = |rule: &str| trips.get(rule).filter(|trip| trip.offset < seen).map(|trip| trip.offset);
        if let Some(trip) = known(TOTAL) {
            return self.violation(ViolationCode::TripBroken, &[trip], place, || {
                format!("scan {} although the cap on all rules together is tripped", body.scan_id)
            });
        }
        if let Some((rule, trip)) = body.rule_ids.iter().find_map(|rule| Some((rule, known(rule)?))) {
            return self.violation(ViolationCode::TripBroken, &[trip], place, || {
                format!("scan {} for rule {rule}, whose cap is tripped", body.scan_id)
            });
        }
        for id in &body.request_ids {
            let Some(asked) = self.asked(id) else { continue };
            let trip: Option<Vec<i64>> = asking(asked).into_iter().map(|(rule, _)| known(rule)).collect();
            if let Some(trip) = trip.filter(|trip| !trip.is_empty()) {
                self.violation(ViolationCode::TripBroken, &trip, place, || {
                    format!("scan {} covers request {id}, and the caps of all its rules are tripped", body.scan_id)
                });
            }
        }
        let all = body.request_ids.iter().map(|id| self.asked(id)).collect::<Option<Vec<_>>>().unwrap_or_default();
        let left = |asked: &&Requested| {
            asking(asked).into_iter().filter(|(rule, _)| known(rule).is_none()).map(|ask| ask.1).max()
        };
        let widest = all.iter().map(left).collect::<Option<Vec<_>>>().and_then(|left| left.into_iter().max());
        if let Some(widest) = widest.filter(|widest| *widest < body.scan_type) {
            let trips: Vec<i64> = trips.values().filter(|trip| trip.offset < seen).map(|trip| trip.offset).collect();
            self.violation(ViolationCode::TripBroken, &trips, place, || {
                let (id, wider) = (&body.scan_id, body.scan_type);
                format!("scan {id} is {wider}, and its rules whose cap is not tripped ask for no more than {widest}")
            });
        }
    }

    /// The configuration in hand says how many devices may be reached in total; of former owners only where we are told so.
    pub(super) fn check_total_radius(&mut self, violations: &mut super::violation::Violations) {
        for offsets in std::mem::take(&mut self.radius.total_passed) {
            violations.ledger(ViolationCode::BlastRadiusExceeded, self.partition, &offsets, || {
                "one device more than all rules together may reach".to_owned()
            });
        }
    }
}
