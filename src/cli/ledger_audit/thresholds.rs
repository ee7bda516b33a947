//! Thresholds: counted twice for each request, once as high and once as low as the records allow.
//!
//! The high count takes every alert that any way of counting could take, the low one only those that every way must. What
//! a request that waits for a threshold may come to is proved where both agree.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::lane::{Key, Lane, Place, key};
use crate::event::{Mode, Requested, Threshold};

/// With more sightings than this the worker may have forgotten some, so no low count is drawn.
const MOST_FOR_LOW: usize = 250;

/// With more sightings than this the oldest is forgotten, and no high count is drawn.
const MOST_FOR_HIGH: usize = 4096;

/// After so many sightings all are looked through for some to forget.
const SWEEP: usize = 65_536;

/// What a request that awaits a threshold comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reach {
    /// Not even the high count reaches a live threshold.
    pub(super) below: bool,
    /// Even the low count reaches one.
    pub(super) reached: bool,
}

/// One alert, or one value, that was seen.
#[derive(Debug)]
struct Sighting {
    key: Key,
    at: Timestamp,
    recorded: Timestamp,
    /// From then on no alert counts it.
    counted_until: Timestamp,
    /// Whether the worker certainly took it for a new request.
    sure: bool,
}

/// Sightings of one threshold on one device.
#[derive(Debug, Default)]
struct Seen {
    sightings: VecDeque<Sighting>,
    overflowed: bool,
}

/// All sightings.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    seen: HashMap<Key, Seen>,
    since_sweep: usize,
}

fn within(threshold: &Threshold) -> Duration {
    Duration::from_secs(threshold.within_seconds)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

impl Sightings {
    /// Forgets what no alert can count any more, by the time of the dispatch side.
    fn sweep(&mut self, clock: Timestamp, margin: Duration) {
        self.since_sweep = 0;
        self.seen.retain(|_, seen| {
            seen.sightings.retain(|sighting| later(sighting.counted_until, margin) >= clock);
            !seen.sightings.is_empty()
        });
    }
}

impl Seen {
    fn high(&self, new: &Sighting, threshold: &Threshold) -> usize {
        let near = self.sightings.iter().filter(|seen| {
            seen.key != new.key
                && seen.counted_until >= new.recorded
                && later(seen.at, within(threshold)) >= new.at
                && later(new.at, within(threshold)) >= seen.at
        });
        near.map(|seen| seen.key).collect::<HashSet<_>>().len() + 1
    }

    /// `remembered` is the time before which the worker may have forgotten a sighting.
    fn low(&self, new: &Sighting, threshold: &Threshold, remembered: Timestamp) -> usize {
        let mut keys: HashMap<Key, (bool, bool)> = HashMap::new();
        for seen in self.sightings.iter().filter(|seen| seen.key != new.key) {
            let counts = seen.counted_until >= new.recorded
                && seen.counted_until >= remembered
                && seen.at <= new.at
                && later(seen.at, within(threshold)) >= new.at;
            let (all, sure) = keys.entry(seen.key).or_insert((true, false));
            *all &= counts;
            *sure |= seen.sure;
        }
        keys.values().filter(|(all, sure)| *all && *sure).count() + 1
    }
}

impl Lane {
    /// Counts the alert of a request. `sure` says that the worker certainly took it for a new one.
    pub(super) fn count_alert(&mut self, body: &Requested, sure: bool, place: &Place<'_>) -> Reach {
        let Some(alert) = body.alerts.first().filter(|_| !body.terms.thresholds.is_empty()) else {
            // It waits for nothing that could come.
            return Reach { below: body.terms.awaits_threshold, reached: false };
        };
        let recorded = place.time;
        let at = body.alert_created_at.map_or(recorded, |created| created.min(recorded));
        let margin = place.options.memory.saturating_add(place.options.clock_tolerance);
        let clock = self.clock.unwrap_or(recorded).max(recorded);
        let remembered = clock.saturating_sub(place.options.memory).unwrap_or(Timestamp::MIN);
        let (mut below, mut reached) = (true, false);
        for threshold in &body.terms.thresholds {
            let new = Sighting {
                key: key(threshold.value.as_deref().unwrap_or(&alert.id)),
                at,
                recorded,
                counted_until: later(recorded, within(threshold)),
                sure,
            };
            let whole = self.complete
                || self.first_time.is_some_and(|first| {
                    later(later(first, within(threshold)), place.options.clock_tolerance) < recorded
                });
            let seen =
                self.sightings.seen.entry(key(&format!("{}\n{}", threshold.rule_id, body.device.id))).or_default();
            if let Some(clock) = self.dispatch_clock {
                while seen.sightings.front().is_some_and(|first| later(first.counted_until, margin) < clock) {
                    seen.sightings.pop_front();
                }
            }
            let at_least = usize::try_from(threshold.at_least).unwrap_or(usize::MAX);
            if threshold.mode == Mode::Live {
                below &= whole && !seen.overflowed && seen.high(&new, threshold) < at_least;
            }
            if sure && seen.sightings.len() <= MOST_FOR_LOW {
                reached |= seen.low(&new, threshold, remembered) >= at_least;
            }
            seen.sightings.push_back(new);
            if seen.sightings.len() > MOST_FOR_HIGH {
                seen.overflowed = true;
                seen.sightings.pop_front();
            }
            self.sightings.since_sweep += 1;
        }
        if self.sightings.since_sweep >= SWEEP
            && let Some(clock) = self.dispatch_clock
        {
            self.sightings.sweep(clock, margin);
        }
        Reach { below: below && body.terms.awaits_threshold, reached: reached && body.terms.awaits_threshold }
    }
}
