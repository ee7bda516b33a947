//! Counting the alerts of a device towards thresholds: Sigma correlations, and rules that escalate.
//!
//! The fold counts when it reads a `requested` record, and from records alone. Each alert stands at the time at which
//! its source raised it, else at the time of its record; a source whose clock is ahead is held to the time of the
//! record. A threshold is reached if some window of its length that contains this alert holds enough alerts (or values),
//! so the order in which they arrive does not matter. What was recorded more than a window's length before this alert is
//! not counted: that bounds what must be remembered, whatever sources say about time. One alert id counts once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::state::{MEMORY, after, before};
use crate::event::{Mode, Requested, RuleAsk, ScanType, Threshold};

/// Alerts (or values) remembered for one threshold and device, the latest ones; more where so many must be reached.
const MOST_SIGHTINGS: usize = 256;

/// What is no longer counted is remembered for so much longer, since the clocks of those who record differ.
const CLOCK_MARGIN: Duration = MEMORY;

/// Thresholds named in the detail of a request that reached none.
const MOST_NAMED: usize = 3;

/// What a request comes to once its alert was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants {
    /// The strongest scan of the request itself and of the thresholds that it reached.
    pub scan_type: ScanType,
    /// The highest priority of the same.
    pub priority: u8,
    /// Never stronger than the request's own: a worker in shadow stays there.
    pub mode: Mode,
    /// Thresholds that were reached and shaped this.
    pub reached: Vec<String>,
    /// What each live rule asks for, thresholds that were reached included. None for a request that names no such rule.
    pub asks: Vec<RuleAsk>,
    /// Why nothing is wanted: no threshold was reached, and the request has no response of its own.
    pub below: Option<String>,
    /// Offset of the oldest record that this rests on.
    pub begun: i64,
}

impl Wants {
    /// Scan and priority that are left where some rules are held back: the strongest of what the others ask for. As they
    /// are where none or all are held back.
    pub(super) fn without(&self, is_held: impl Fn(&str) -> bool) -> (ScanType, u8) {
        let (held, free): (Vec<_>, Vec<_>) = self.asks.iter().partition(|ask| is_held(&ask.rule_id));
        let left = free.into_iter().map(|ask| (ask.scan_type, ask.priority)).reduce(stronger);
        left.filter(|_| !held.is_empty()).unwrap_or((self.scan_type, self.priority))
    }
}

/// What rules ask for by themselves, before anything is counted.
fn own_asks(asked: &Requested) -> Vec<RuleAsk> {
    let terms = &asked.terms;
    if terms.awaits_threshold {
        return Vec::new();
    }
    if !terms.asks.is_empty() {
        return terms.asks.clone();
    }
    let live = asked.rule_ids.iter().filter(|rule| !terms.shadow_rule_ids.contains(rule));
    live.map(|rule| RuleAsk { rule_id: rule.clone(), scan_type: asked.scan_type, priority: asked.priority }).collect()
}

/// One alert, or one value, that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sighting {
    key: String,
    /// When the alert was raised, at the latest when it was recorded.
    at: Timestamp,
    recorded: Timestamp,
    offset: i64,
    /// An alert that is recorded later does not count it.
    counted_until: Timestamp,
}

impl Sighting {
    /// The same alert or value, and wherever the other still counts this one does too and stands no earlier.
    fn supersedes(&self, other: &Self) -> bool {
        self.key == other.key && self.at >= other.at && self.counted_until >= other.counted_until
    }
}

/// Sightings of one threshold.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfThreshold {
    /// By device, oldest first.
    devices: HashMap<String, Vec<Sighting>>,
    /// When to look for something to forget; one entry for each device.
    due: BTreeSet<(Timestamp, String)>,
}

/// Everything that is counted, by threshold and device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    thresholds: BTreeMap<String, OfThreshold>,
}

impl Counts {
    /// Counts a request's alert, whose record has this offset and time, and says what the request comes to.
    pub(super) fn count(&mut self, offset: i64, recorded: Timestamp, asked: &Requested) -> Wants {
        let mut wants = Wants {
            scan_type: asked.scan_type,
            priority: asked.priority,
            mode: asked.mode,
            reached: Vec::new(),
            asks: own_asks(asked),
            below: None,
            begun: offset,
        };
        let terms = &asked.terms;
        let Some(alert) = asked.alerts.first().filter(|_| !terms.thresholds.is_empty() || terms.awaits_threshold)
        else {
            return wants;
        };
        let at = asked.alert_created_at.map_or(recorded, |created| created.min(recorded));
        let (mut reached, mut missed) = (Vec::new(), Vec::new());
        for threshold in &terms.thresholds {
            let sighting = Sighting {
                key: threshold.value.clone().unwrap_or_else(|| alert.id.clone()),
                at,
                recorded,
                offset,
                counted_until: after(recorded, Duration::from_secs(threshold.within_seconds)),
            };
            let seen = self.thresholds.entry(threshold.rule_id.clone()).or_default();
            let (count, begun) = seen.count(&asked.device.id, sighting, threshold);
            wants.begun = wants.begun.min(begun);
            if count >= usize::try_from(threshold.at_least).unwrap_or(usize::MAX) {
                reached.push(threshold);
            } else {
                missed.push((count, threshold));
            }
        }
        let live = reached.iter().any(|threshold| threshold.mode == Mode::Live);
        // In shadow a threshold asks for nothing, unless the request has nothing else to be recorded for.
        reached.retain(|threshold| threshold.mode == Mode::Live || (terms.awaits_threshold && !live));
        if terms.awaits_threshold {
            match reached.iter().map(|threshold| (threshold.scan_type, threshold.priority)).reduce(stronger) {
                // What the record itself says of scan and priority is no response of a rule.
                Some((scan_type, priority)) => (wants.scan_type, wants.priority) = (scan_type, priority),
                None => wants.below = Some(below(&missed)),
            }
            if !live {
                wants.mode = Mode::Shadow;
            }
        }
        for threshold in reached {
            (wants.scan_type, wants.priority) =
                stronger((wants.scan_type, wants.priority), (threshold.scan_type, threshold.priority));
            wants.reached.push(threshold.rule_id.clone());
            if threshold.mode == Mode::Live {
                let (rule_id, scan_type, priority) =
                    (threshold.rule_id.clone(), threshold.scan_type, threshold.priority);
                wants.asks.push(RuleAsk { rule_id, scan_type, priority });
            }
        }
        wants
    }

    /// Forgets what no alert can count any more, by the time of the log.
    pub(super) fn forget(&mut self, clock: Timestamp) {
        self.thresholds.retain(|_, threshold| {
            threshold.forget(clock);
            !threshold.devices.is_empty()
        });
    }

    /// Offset of the oldest record that an alert to come may count.
    pub(super) fn oldest_needed(&self, now: Timestamp) -> Option<i64> {
        let sightings = self.thresholds.values().flat_map(|threshold| threshold.devices.values().flatten());
        sightings.filter(|seen| after(seen.counted_until, CLOCK_MARGIN) > now).map(|seen| seen.offset).min()
    }

    /// Alerts and values that are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.thresholds.values().flat_map(|threshold| threshold.devices.values()).map(Vec::len).sum()
    }
}

impl OfThreshold {
    /// Remembers a sighting; the count that it comes to, and the offset of the oldest record in it.
    fn count(&mut self, device_id: &str, new: Sighting, threshold: &Threshold) -> (usize, i64) {
        let sightings = self.devices.entry(device_id.to_owned()).or_default();
        let within = Duration::from_secs(threshold.within_seconds);
        let (earliest, latest) = (before(new.at, within), after(new.at, within));
        // An alert that was sent several times stands where it stands latest, by the records that still count.
        let mut keys = HashSet::new();
        let counting = sightings.iter().rev().filter(|seen| seen.key != new.key && seen.counted_until >= new.recorded);
        let near = counting
            .filter(|seen| keys.insert(seen.key.as_str()))
            .filter(|seen| (earliest..=latest).contains(&seen.at));
        let mut begun = new.offset;
        let mut times: Vec<Timestamp> = near
            .map(|seen| {
                begun = begun.min(seen.offset);
                seen.at
            })
            .collect();
        times.push(new.at);
        times.sort_unstable();
        let mut end = 0;
        let mut count = 0;
        // Of all windows that contain this alert, the fullest begins at one of them.
        for (begin, time) in times.iter().enumerate().take_while(|(_, time)| **time <= new.at) {
            while times.get(end).is_some_and(|other| *other <= after(*time, within)) {
                end += 1;
            }
            count = count.max(end - begin);
        }
        if sightings.is_empty() {
            self.due.insert((after(new.counted_until, CLOCK_MARGIN), device_id.to_owned()));
        }
        // Both are kept where neither makes the other superfluous: a successor may read either record without the other.
        sightings.retain(|known| !new.supersedes(known));
        if !sightings.iter().any(|known| known.supersedes(&new)) {
            sightings.push(new);
        }
        sightings.sort_unstable_by(|one, other| {
            (one.at, one.recorded, &one.key).cmp(&(other.at, other.recorded, &other.key))
        });
        let room = MOST_SIGHTINGS.max(usize::try_from(threshold.at_least).unwrap_or(MOST_SIGHTINGS));
        sightings.drain(..sightings.len().saturating_sub(room));
        (count, begun)
    }

    fn forget(&mut self, clock: Timestamp) {
        while self.due.first().is_some_and(|(due, _)| *due < clock) {
            let Some((_, device_id)) = self.due.pop_first() else { break };
            let Some(sightings) = self.devices.get_mut(&device_id) else { continue };
            sightings.retain(|seen| after(seen.counted_until, CLOCK_MARGIN) >= clock);
            match sightings.iter().map(|seen| seen.counted_until).min() {
                Some(next) => {
                    self.due.insert((after(next, CLOCK_MARGIN), device_id));
                }
                None => {
                    self.devices.remove(&device_id);
                }
            }
        }
    }
}

fn stronger(one: (ScanType, u8), other: (ScanType, u8)) -> (ScanType, u8) {
    (one.0.max(other.0), one.1.max(other.1))
}

/// `2 of 3 in 24h for rule X; …`.
fn below(missed: &[(usize, &Threshold)]) -> String {
    let named = missed.iter().take(MOST_NAMED).map(|(count, threshold)| {
        let within = in_words(threshold.within_seconds);
        format!("{count} of {} in {within} for rule {}", threshold.at_least, threshold.rule_id)
    });
    let mut words = named.collect::<Vec<_>>().join("; ");
    if missed.len() > MOST_NAMED {
        words.push_str("; …");
    }
    words
}

/// Seconds as rules write them: `24h`, `90m`, `45s`.
fn in_words(seconds: u64) -> String {
    match seconds {
        seconds if seconds >= 3600 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
