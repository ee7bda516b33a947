//! One partition of the ledger: which records count, and the bookkeeping that all checks share.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::events::is_from_elsewhere;
use super::guards::{EndedScan, Unfit};
use super::inputs::AuditOptions;
use super::quota::Span;
use super::radius::Radius;
use super::requests::{Again, Request};
use super::scans::Scan;
use super::silences::Silences;
use super::thresholds::Sightings;
use super::violation::{ViolationCode, Violations};
use crate::event::{EventBody, EventError, Genesis, ScanEvent, ScanType};

/// Stands for a request id or a machine id: 16 bytes instead of a text, for millions of them.
pub(super) type Key = u128;

/// The key of a text.
pub(super) fn key(text: &str) -> Key {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).fold(0, |key, byte| (key << 8) | Key::from(*byte))
}

/// The device's rest, by the scan that set it: until when, and the record that says so.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// The scan that is attempted or runs.
    pub(super) scan: Option<Box<str>>,
    /// Defender does not know it, or cannot scan it.
    pub(super) unfit: Option<Unfit>,
    /// Scans that ended with success, oldest first.
    pub(super) ended: Vec<EndedScan>,
    /// The longest rest that any record speaks of, in shadow too.
    pub(super) rests_until: Option<Timestamp>,
    rest: [Option<(Timestamp, i64)>; 2],
}

impl Device {
    /// No scan of the device before `until`, except a wider one.
    pub(super) fn rests(&mut self, scan_type: ScanType, until: Timestamp, offset: i64) {
        let rest = match scan_type {
            ScanType::Quick => &mut self.rest[0],
            ScanType::Full => &mut self.rest[1],
        };
        *rest = (*rest).max(Some((until, offset)));
        self.may_rest(until);
    }

    /// The rest that forbids such a scan at that moment.
    pub(super) fn forbids(&self, scan_type: ScanType, at: Timestamp) -> Option<(Timestamp, i64)> {
        let [quick, full] = self.rest;
        let quick = quick.filter(|_| scan_type == ScanType::Quick);
        quick.max(full).filter(|(until, _)| *until > at)
    }
}

/// Records by what they did.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) duplicates: u64,
    pub(super) void: u64,
    pub(super) late: u64,
    pub(super) claims: u64,
    pub(super) intents: u64,
    pub(super) withdrawn: u64,
    pub(super) accepted: u64,
    pub(super) joined: u64,
    pub(super) attempts_failed: u64,
    pub(super) requested_again: u64,
}

/// One partition of the ledger.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) partition: i32,
    /// Offset of the first and of the latest record.
    pub(super) reach: Option<(i64, i64)>,
    /// Whether the log was read from its beginning. Otherwise what is unknown is taken on trust.
    pub(super) complete: bool,
    pub(super) tenant: Option<String>,
    genesis: Option<(i64, Genesis)>,
    /// A record that only a newer version can read, and the version it needs. The audit of the lane ends there.
    pub(super) too_new: Option<(i64, u32)>,
    /// Latest time of any record before this one.
    pub(super) clock: Option<Timestamp>,
    /// Latest time of a record that the dispatch side wrote: the worker forgets by it.
    pub(super) dispatch_clock: Option<Timestamp>,
    /// Time of the first record.
    pub(super) first_time: Option<Timestamp>,
    pub(super) claim: Option<String>,
    /// Offset of the latest claim.
    pub(super) claimed_at: Option<i64>,
    standing: Standing,
    /// What is found while the claim in force is not known by a record.
    assumed: Option<Violations>,
    /// From here on everything is checked: the beginning of the log, or the first claim of one that begins late.
    pub(super) holds_from: Option<i64>,
    /// Offset of the record that pulled the kill switch.
    pub(super) halted: Option<i64>,
    /// Offset of the latest order to go on.
    pub(super) resumed: Option<i64>,
    pub(super) requests: HashMap<Key, Request>,
    /// Requests that may live once more, if a later record shows it.
    pub(super) again: HashMap<Key, Again>,
    pub(super) scans: HashMap<Box<str>, Scan>,
    /// Intents that did not count: offset by scan and attempt.
    pub(super) void_intents: HashMap<(Box<str>, u32), i64>,
    pub(super) devices: HashMap<Key, Device>,
    /// Alerts by their id and device: the first request that came of one, and whether others did.
    pub(super) alerts: HashMap<Key, (Key, bool)>,
    pub(super) radius: Radius,
    pub(super) silences: Silences,
    pub(super) sightings: Sightings,
    pub(super) calls: Vec<Span>,
    pub(super) counts: Counts,
}

/// How it is known which claim is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// By a record, or by its absence in a log that is whole.
    Known,
    /// The log begins late, and the owner's commit names it.
    Committed,
    /// The log begins late: it is the one of the first decision.
    Guessed,
    /// The log begins late, decisions under several claims were seen, and nothing says which of them count.
    Ambiguous,
}

/// What a check needs to know of the record in hand.
pub(super) struct Place<'a> {
    pub(super) offset: i64,
    pub(super) time: Timestamp,
    /// Stands for the record's identity: the same for a repetition of the record.
    pub(super) identity: u64,
    /// Whether it turned out to be a repetition.
    pub(super) repeated: bool,
    pub(super) options: &'a AuditOptions,
    pub(super) violations: &'a mut Violations,
}

impl Lane {
    pub(super) fn new(partition: i32) -> Self {
        Self {
            partition,
            reach: None,
            complete: false,
            tenant: None,
            genesis: None,
            too_new: None,
            clock: None,
            dispatch_clock: None,
            first_time: None,
            claim: None,
            claimed_at: None,
            standing: Standing::Known,
            assumed: None,
            holds_from: None,
            halted: None,
            resumed: None,
            requests: HashMap::new(),
            again: HashMap::new(),
            scans: HashMap::new(),
            void_intents: HashMap::new(),
            devices: HashMap::new(),
            alerts: HashMap::new(),
            radius: Radius::default(),
            silences: Silences::default(),
            sightings: Sightings::default(),
            calls: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The claim in force, as the owner's commit names it: good for a log that shows no change of it.
    pub(super) fn committed_claim(&mut self, claim: &str) {
        if self.reach.is_none() {
            self.claim = Some(claim.to_owned());
        }
    }

    /// Reads the next record.
    pub(super) fn record(
        &mut self,
        offset: i64,
        record: Result<&ScanEvent, &EventError>,
        options: &AuditOptions,
        violations: &mut Violations,
    ) {
        let (first, last) = self.reach.unwrap_or((offset, i64::MIN));
        if self.too_new.is_some() || offset <= last {
            return;
        }
        if self.reach.is_none() {
            self.complete = offset == 0 || record.is_ok_and(|event| matches!(event.body, EventBody::Genesis(_)));
            if self.complete {
                (self.claim, self.holds_from) = (None, Some(offset));
            } else {
                self.standing = if self.claim.is_some() { Standing::Committed } else { Standing::Guessed };
                self.assumed = Some(Violations::new(options.listed_violations));
            }
        }
        self.reach = Some((first, offset));
        self.counts.records += 1;
        if record.is_ok_and(|event| matches!(event.body, EventBody::Claim(_))) {
            self.first_claim(offset, violations);
        }
        match self.assumed.take() {
            None => self.read(offset, record, options, violations),
            Some(mut assumed) => {
                self.read(offset, record, options, &mut assumed);
                self.assumed = Some(assumed);
            }
        }
    }

    fn read(
        &mut self,
        offset: i64,
        record: Result<&ScanEvent, &EventError>,
        options: &AuditOptions,
        violations: &mut Violations,
    ) {
        let event = match record {
            Ok(event) => event,
            Err(EventError::TooNew { needed }) => {
                self.too_new = Some((offset, *needed));
                return;
            }
            Err(error @ EventError::Malformed(_)) => {
                violations.ledger(ViolationCode::UnreadableRecord, self.partition, &[offset], || error.to_string());
                return;
            }
        };
        // Only ends are compared with their repetitions.
        let identity = match event.body.is_terminal() {
            true => u64::try_from(key(&event.id()) >> 64).unwrap_or_default(),
            false => 0,
        };
        self.first_time.get_or_insert(event.time);
        let mut place = Place { offset, time: event.time, identity, repeated: false, options, violations };
        self.check_tenant(&event.tenant, &mut place);
        self.event(&event.body, &mut place);
        self.counts.duplicates += u64::from(place.repeated);
        self.clock = self.clock.max(Some(event.time));
        if !is_from_elsewhere(&event.body) {
            self.dispatch_clock = self.dispatch_clock.max(Some(event.time));
        }
    }

    /// The first claim of a log that begins late. Which decisions before it counted was a guess, so what they led to is
    /// forgotten; only the requests are kept.
    fn first_claim(&mut self, offset: i64, violations: &mut Violations) {
        let Some(assumed) = self.assumed.take() else { return };
        violations.take_over(assumed, false);
        self.standing = Standing::Known;
        self.holds_from = Some(offset);
        self.first_time = None;
        self.halted = None;
        self.scans = HashMap::new();
        self.void_intents = HashMap::new();
        self.devices = HashMap::new();
        (self.radius, self.silences) = (Radius::default(), Silences::default());
        self.calls = Vec::new();
        for request in self.requests.values_mut() {
            request.doubtful = request.end.is_some();
            if let Some(open) = &mut request.open {
                open.scan = None;
            }
        }
    }

    /// Ends the reading: what was found under an assumed claim counts, unless the assumption broke down.
    pub(super) fn close_log(&mut self, violations: &mut Violations) {
        if let Some(assumed) = self.assumed.take() {
            let holds = self.standing != Standing::Ambiguous;
            self.holds_from = self.reach.map(|(first, _)| first).filter(|_| holds);
            violations.take_over(assumed, holds);
        }
        self.check_total_radius(violations);
    }

    /// Whether a decision under this claim counts: only under the latest one. Otherwise it is void, which is how a former
    /// owner is kept from harm, and no violation. In a log that begins late the first decision shows the claim in force.
    pub(super) fn counts_under(&mut self, claim: &str) -> bool {
        let counts = match &self.claim {
            Some(latest) => latest == claim,
            None if self.complete => false,
            None => {
                self.claim = Some(claim.to_owned());
                true
            }
        };
        if !counts && self.standing == Standing::Guessed {
            self.standing = Standing::Ambiguous;
        }
        if !counts {
            self.counts.void += 1;
        }
        counts
    }

    /// Whether the log shows everything of so long before a moment.
    pub(super) fn reaches_back(&self, by: Duration, time: Timestamp) -> bool {
        self.complete
            || self.first_time.is_some_and(|first| first.saturating_add(by).is_ok_and(|reached| reached < time))
    }

    pub(super) fn device(&mut self, id: &str) -> &mut Device {
        self.devices.entry(key(id)).or_default()
    }

    /// Notes a broken promise; `before` are earlier records that prove it together with this one.
    pub(super) fn violation(
        &self,
        code: ViolationCode,
        before: &[i64],
        place: &mut Place<'_>,
        message: impl FnOnce() -> String,
    ) {
        let offsets: Vec<i64> = before.iter().copied().chain([place.offset]).collect();
        place.violations.ledger(code, self.partition, &offsets, message);
    }

    fn check_tenant(&mut self, tenant: &str, place: &mut Place<'_>) {
        match &self.tenant {
            None => self.tenant = Some(tenant.to_owned()),
            Some(known) if known == tenant => {}
            Some(known) => self.violation(ViolationCode::WrongPlace, &[], place, || {
                format!("a record of tenant {tenant} in the partition of tenant {known}")
            }),
        }
    }

    pub(super) fn genesis(&mut self, genesis: &Genesis, place: &mut Place<'_>) {
        if genesis.partition != self.partition {
            self.violation(ViolationCode::WrongPlace, &[], place, || {
                format!("the log says that it lives in partition {}", genesis.partition)
            });
        }
        match &self.genesis {
            None => self.genesis = Some((place.offset, genesis.clone())),
            Some((_, first)) if first.log_id == genesis.log_id => place.repeated = true,
            Some((offset, first)) => self.violation(ViolationCode::SecondGenesis, &[*offset], place, || {
                format!("log {} begins inside log {}", genesis.log_id, first.log_id)
            }),
        }
    }
}
