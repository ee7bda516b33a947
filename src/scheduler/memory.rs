//! What of the past is still needed, and what may be forgotten.

use std::collections::hash_map::Entry;
use std::time::Duration;

use jiff::Timestamp;

use super::quota::MOST_CLOCK_MARGIN;
use super::state::{Cooldown, DeviceState, MEMORY, RADIUS_MEMORY, Slot, State, after};

/// How long a redelivery is remembered as one: longer than any record of the ledger can be needed.
const REPEAT_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Requests that are remembered for longer than the others: more than intake can have in hand.
const LATEST_REQUESTS: usize = if cfg!(test) { 1 } else { 4000 };

/// How long those are remembered.
const LATEST_MEMORY: Duration = Duration::from_secs(24 * 3600);

impl State {
    /// Offset of the oldest record that a successor still needs, `end` if none. `hour_window` is the long quota window,
    /// `radius` the longest window of a device cap.
    #[must_use]
    pub fn oldest_needed(&self, now: Timestamp, hour_window: Duration, radius: Duration, end: i64) -> i64 {
        let requests = self.requests.values().map(|request| request.offset.min(request.wants.begun));
        let rows = self.devices.values().filter_map(|device| device.row.as_ref());
        let rows = rows.filter(|row| row.until > now).map(|row| row.offset);
        let cooldowns = self
            .devices
            .values()
            .flat_map(|device| [&device.cooldown, &device.shadow_cooldown])
            .flatten()
            .filter(|cooldown| cooldown.until > now)
            .map(|cooldown| cooldown.offset);
        let held = |slot: &&Slot| after(after(slot.arrived_by, hour_window), MOST_CLOCK_MARGIN) > now;
        let slots = self.slots.iter().filter(held).map(|slot| slot.offset);
        let reached: Vec<i64> = self
            .reached
            .iter()
            .filter(|reached| after(reached.time, radius) > now)
            .map(|reached| reached.offset)
            .collect();
        let unfit = self.devices.values().filter_map(|device| device.unfit.as_ref());
        let unfit = unfit.filter(|unfit| unfit.until > now).map(|unfit| unfit.offset);
        let ended = self.devices.values().flat_map(|device| &device.ended);
        let ended = ended.filter(|scan| scan.until > now).map(|scan| scan.offset);
        let scans = self.scans.values().map(|scan| scan.begun);
        let retries = self.devices.values().filter_map(|device| device.retry.as_ref()).map(|retry| retry.begun);
        let paused = self.paused_until.iter().filter(|(until, _)| *until > now).map(|(_, offset)| *offset);
        let oldest = requests
            .chain(scans)
            .chain(retries)
            .chain(cooldowns)
            .chain(rows)
            .chain(self.counts.oldest_needed(now))
            .chain(slots)
            .chain(reached.iter().copied())
            .chain(unfit)
            .chain(ended)
            .chain(paused)
            .chain(self.remembered.iter().map(|remembered| remembered.offset))
            .chain(self.orders.needed(&reached, now))
            .min()
            .unwrap_or(end);
        // A redelivered request that is read again without its first record would be taken for a new one.
        self.repeats.iter().rev().fold(oldest, |oldest, repeat| match repeat.offset >= oldest {
            true => oldest.min(repeat.first),
            false => oldest,
        })
    }

    /// The claim in force just before an offset: what a successor that replays from there begins under.
    #[must_use]
    pub fn claim_before(&self, offset: i64) -> Option<&str> {
        self.claims.iter().rev().find(|(at, _)| *at < offset).map(|(_, claim)| claim.as_str())
    }

    /// Offset of the record in which a request was first seen, as long as it is open or remembered.
    pub(super) fn first_seen(&self, request_id: &str) -> Option<i64> {
        if let Some(request) = self.requests.get(request_id) {
            return Some(request.offset);
        }
        if !self.known_requests.contains(request_id) {
            return None;
        }
        self.remembered.iter().find(|remembered| remembered.request_id == request_id).map(|first| first.offset)
    }

    /// The request that is known for an alert of a device: another one repeats it.
    #[must_use]
    pub fn first_of_alert(&self, alert: &(String, String)) -> Option<&String> {
        self.known_alerts.get(alert)?.first()
    }

    /// A request does not stand for its alert any more; the next one does.
    pub(super) fn forget_alert(&mut self, alert: (String, String), request_id: &str) {
        if let Entry::Occupied(mut known) = self.known_alerts.entry(alert) {
            known.get_mut().retain(|id| id != request_id);
            if known.get().is_empty() {
                known.remove();
            }
        }
    }

    /// Drops what no rule of the fold can ask for any more, by the time of the log.
    pub(super) fn forget(&mut self) {
        let Some(clock) = self.clock else { return };
        // After an outage the log's clock leaps, and what intake had in hand when it stopped is delivered again: the latest
        // requests are known for longer.
        while self.remembered.front().is_some_and(|remembered| {
            let memory = if self.remembered.len() > LATEST_REQUESTS { MEMORY } else { LATEST_MEMORY };
            after(remembered.time, memory) < clock
        }) {
            if let Some(old) = self.remembered.pop_front() {
                self.known_requests.remove(&old.request_id);
                self.forget_alert(old.alert, &old.request_id);
            }
        }
        self.counts.forget(clock);
        // The long quota window is at most an hour; an intent may arrive a little later than it is made.
        while self.slots.front().is_some_and(|slot| after(after(slot.arrived_by, MEMORY), MOST_CLOCK_MARGIN) < clock) {
            self.slots.pop_front();
        }
        while self.repeats.front().is_some_and(|repeat| after(repeat.time, REPEAT_MEMORY) < clock) {
            self.repeats.pop_front();
        }
        while self.reached.front().is_some_and(|reached| after(reached.time, RADIUS_MEMORY) < clock) {
            self.reached.pop_front();
        }
        self.orders.forget(clock);
    }

    /// Drops devices that have nothing to remember any more. Called by the owner now and then; it changes nothing that
    /// the fold can tell.
    pub fn drop_idle_devices(&mut self) {
        let Some(clock) = self.clock else { return };
        let past = |cooldown: &Option<Cooldown>| cooldown.as_ref().is_none_or(|cooldown| cooldown.until <= clock);
        self.devices.retain(|_, device: &mut DeviceState| {
            !(device.queued.is_empty()
                && device.scan.is_none()
                && device.retry.is_none()
                && past(&device.cooldown)
                && past(&device.shadow_cooldown)
                && device.unfit.as_ref().is_none_or(|unfit| unfit.until <= clock)
                && device.row.as_ref().is_none_or(|row| row.until <= clock)
                && device.ended.iter().all(|scan| scan.until <= clock))
        });
    }
}
