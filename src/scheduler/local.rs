//! What the owner keeps beside the fold: what is under way, and when to look at what again. Lost with the process,
//! rebuilt from the state by its successor.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::breaker::Breaker;
use super::command::DeviceFacts;
use super::quota::ReadBudget;
use super::state::{State, after};
use crate::event::EventBody;

/// Something to look at again at a certain time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A device's queue.
    Device(String),
    /// A scan.
    Scan(String),
}

/// Where a call of ours stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallState {
    /// Under way.
    InFlight,
    /// It has a definite result, whose record is not read back yet.
    Answered,
    /// Nobody can tell.
    InDoubt,
    /// The API said that a scan is running and not which.
    AlreadyRunning,
}

/// What is known of a device beyond its alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LookUp {
    /// To be asked, not before the time; how often it failed so far.
    Wanted(Timestamp, u32),
    /// Asked; how often it failed before.
    InFlight(u32),
    /// Known since.
    Known(Timestamp, DeviceFacts),
    /// The API knows no such machine, since.
    NotFound(Timestamp),
    /// It cannot be told, since.
    Unknown(Timestamp),
}

/// Key of a device that is ready for a scan: lower goes first.
pub(super) type Rank = (i64, Timestamp, String);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// The local kill switch.
    pub(super) halted: bool,
    /// Devices to look at.
    pub(super) dirty: BTreeSet<String>,
    /// Scans to look at.
    pub(super) touched_scans: BTreeSet<String>,
    /// When to look at what again.
    pub(super) timers: BTreeSet<(Timestamp, Timer)>,
    /// Devices ready for a scan that may use the reserve.
    pub(super) ready_urgent: BTreeSet<Rank>,
    /// All other devices ready for a scan.
    pub(super) ready: BTreeSet<Rank>,
    /// Where a device stands in either set.
    pub(super) ranks: HashMap<String, (bool, Rank)>,
    /// Calls by scan and attempt.
    pub(super) calls: HashMap<(String, u32), CallState>,
    /// First complete list without a trace of a scan in doubt: when it was started.
    pub(super) negatives: HashMap<String, Timestamp>,
    /// What is known of devices beyond their alerts.
    pub(super) look_ups: HashMap<String, LookUp>,
    /// Whether the application may read; assumed until the API says no.
    pub(super) may_not_read: bool,
    /// When to try again whether it may.
    pub(super) read_again_at: Option<Timestamp>,
    /// A list is under way.
    pub(super) list_in_flight: bool,
    /// Do not think about lists before.
    pub(super) next_list_check: Option<Timestamp>,
    /// Start of the last list that was complete.
    pub(super) last_list: Option<Timestamp>,
    /// Start of the last list, complete or not.
    pub(super) last_list_try: Option<Timestamp>,
    /// A list is wanted now.
    pub(super) list_wanted: bool,
    /// Budget of lists.
    pub(super) lists: ReadBudget,
    /// Budget of look-ups.
    pub(super) look_up_budget: ReadBudget,
    /// No call before: a 429 whose record is not read back yet.
    pub(super) paused_until: Option<Timestamp>,
    /// No call that reads before.
    pub(super) reads_paused_until: Option<Timestamp>,
    /// Caps whose trip is on its way.
    pub(super) tripping: BTreeSet<Option<String>>,
    /// Whether the API as a whole works.
    pub(super) breaker: Breaker,
    /// Attempts in doubt that were part of an outage of the API as a whole: they are not held against their scans.
    pub(super) of_outage: HashSet<(String, u32)>,
    /// Lists in a row that failed.
    pub(super) list_failures: u32,
    /// Whether it was looked at as owner.
    pub(super) has_begun: bool,
    /// When to look for facts to carry.
    pub(super) next_carry: Option<Timestamp>,
    /// Orders are carried the next time: the owner had stood still.
    pub(super) orders_wait: bool,
    outstanding: HashMap<String, Outstanding>,
    busy: HashMap<String, u32>,
    outstanding_intents: usize,
}

/// A record of ours that is not read back yet.
#[derive(Debug)]
struct Outstanding {
    device_id: String,
    /// For an intent, when it was made and the rules that asked.
    intent: Option<(Timestamp, Vec<String>)>,
}

impl Local {
    /// A record was handed over for appending.
    pub(super) fn appended(&mut self, id: String, device_id: &str, time: Timestamp, body: &EventBody) {
        let intent = match body {
            EventBody::Intent(intent) => Some((time, intent.rule_ids.clone())),
            _ => None,
        };
        self.outstanding_intents += usize::from(intent.is_some());
        let before = self.outstanding.insert(id, Outstanding { device_id: device_id.to_owned(), intent });
        match before {
            Some(before) => self.outstanding_intents -= usize::from(before.intent.is_some()),
            None => {
                let busy = self.busy.entry(device_id.to_owned()).or_default();
                *busy = busy.saturating_add(1);
            }
        }
        self.unrank(device_id);
    }

    /// A record of ours came back from the log: the device it was about, if it was awaited.
    pub(super) fn read_back(&mut self, id: &str) -> Option<String> {
        let Outstanding { device_id, intent } = self.outstanding.remove(id)?;
        self.outstanding_intents = self.outstanding_intents.saturating_sub(usize::from(intent.is_some()));
        if let Some(busy) = self.busy.get_mut(&device_id) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(&device_id);
            }
        }
        Some(device_id)
    }

    /// Devices of intents on their way that a rule asked for, or any rule, and that count in a window of the length `per`: who
    /// stands still may read its own intent back long after it.
    pub(super) fn pending_devices<'a>(
        &'a self,
        rule: Option<&'a str>,
        per: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a str> {
        self.outstanding.values().filter_map(move |outstanding| {
            let (time, rules) = outstanding.intent.as_ref()?;
            let counts = after(*time, per) > now && rule.is_none_or(|rule| rules.iter().any(|id| id == rule));
            counts.then_some(outstanding.device_id.as_str())
        })
    }

    /// Whether a record about the device is still on its way.
    pub(super) fn is_busy(&self, device_id: &str) -> bool {
        self.busy.contains_key(device_id)
    }

    /// Records on their way.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Intents on their way, each of which will take a slot.
    pub(super) fn outstanding_intents(&self) -> usize {
        self.outstanding_intents
    }

    /// Calls under way, and intents that will become calls.
    pub(super) fn in_flight(&self) -> usize {
        let calls = self.calls.values().filter(|call| **call == CallState::InFlight).count();
        calls.saturating_add(self.outstanding_intents)
    }

    /// Puts a device among those ready for a scan.
    pub(super) fn rank(&mut self, urgent: bool, rank: Rank) {
        let device = rank.2.clone();
        self.unrank(&device);
        let set = if urgent { &mut self.ready_urgent } else { &mut self.ready };
        set.insert(rank.clone());
        self.ranks.insert(device, (urgent, rank));
    }

    /// Takes a device from among those ready for a scan.
    pub(super) fn unrank(&mut self, device_id: &str) {
        if let Some((urgent, rank)) = self.ranks.remove(device_id) {
            let set = if urgent { &mut self.ready_urgent } else { &mut self.ready };
            set.remove(&rank);
        }
    }

    /// Looks at every device and scan again.
    pub(super) fn wake_everything(&mut self, state: &State) {
        self.dirty.extend(state.devices.keys().cloned());
        self.touched_scans.extend(state.scans.keys().cloned());
    }

    /// Forgets calls whose attempt is over.
    pub(super) fn drop_finished_calls(&mut self, state: &State) {
        self.calls.retain(|(scan_id, attempt), call| {
            *call == CallState::InFlight
                || state.scans.get(scan_id).is_some_and(|scan| {
                    scan.attempt == *attempt && matches!(scan.phase, super::state::Phase::Intended { .. })
                })
        });
        self.of_outage.retain(|call| self.calls.contains_key(call));
        self.look_ups.retain(|device, _| state.devices.contains_key(device));
    }
}
