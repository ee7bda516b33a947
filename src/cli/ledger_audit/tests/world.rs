//! A pretended world that the real scheduler drives: crashes, former owners, orders, and an API in a bad mood.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::builder::at;
use crate::alert::Severity;
use crate::cli::ledger_audit::{Audit, AuditOptions, AuditReport};
use crate::event::*;
use crate::scheduler::{
    Applied, Call, Command, DeviceFacts, QuotaSettings, ReadReply, Refusal, Reply, ScanReply, Scheduler, SeenAction,
    Settings,
};

const DEVICES: u32 = 6;

/// An action of the pretended API.
struct Running {
    seen: SeenAction,
    ends: Timestamp,
}

/// One owner: its scheduler, how far it has read, and what it wants to append.
pub(super) struct Owner {
    pub(super) scheduler: Scheduler,
    read: usize,
    appends: VecDeque<(Timestamp, EventBody)>,
    calls: VecDeque<Call>,
}

pub(super) struct World {
    random: StdRng,
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
    pub(super) log: Vec<ScanEvent>,
    applied: Vec<Applied>,
    pub(super) owners: Vec<Owner>,
    actions: Vec<Running>,
    alerts: i64,
    claims: u32,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut settings = Settings {
            quota: QuotaSettings {
                per_minute: 3,
                per_hour: 20,
                hour_window: Duration::from_secs(600),
                ..QuotaSettings::default()
            },
            merge_window: Duration::from_secs(1),
            quick_deadline: Duration::from_secs(1200),
            full_deadline: Duration::from_secs(1200),
            ..Settings::default()
        };
        // Devices that were not found come back soon, or most of them would soon be left alone.
        settings.unfit_memory.device_not_found = Duration::from_secs(90);
        (settings.blast_radius.devices, settings.blast_radius.per) = (3, Duration::from_secs(120));
        // No device is in it, but those whose group no alert tells must be asked for.
        settings.protected.groups = vec!["Servers".to_owned()];
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            settings,
            now: at(0),
            log: Vec::new(),
            applied: Vec::new(),
            owners: Vec::new(),
            actions: Vec::new(),
            alerts: 0,
            claims: 0,
        };
        world.append(world.now, Genesis { log_id: "log".to_owned(), partition: 0, partitions: 1 }.into());
        world.take_over();
        world
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn append(&mut self, time: Timestamp, body: EventBody) {
        self.log.push(ScanEvent::new(time, "tenant-1", body));
    }

    /// A new owner comes. The one before may live on for a while and know nothing of it.
    fn take_over(&mut self) {
        self.claims += 1;
        let claim = format!("claim-{}", self.claims);
        let (settings, carry_after, seed) = (self.settings.clone(), Duration::from_secs(600), u64::from(self.claims));
        let scheduler = Scheduler::new(settings, Mode::Live, claim.clone(), None, carry_after, seed);
        self.append(self.now, Claim { claim, owner: "w".to_owned(), version: "0".to_owned() }.into());
        if self.owners.len() > 1 || self.chance(50) {
            self.owners.clear();
        }
        self.owners.push(Owner { scheduler, read: 0, appends: VecDeque::new(), calls: VecDeque::new() });
    }

    fn alert(&mut self) {
        // Now and then a record of the alerts topic comes again.
        let again = self.chance(10) && self.alerts > 0;
        let offset = if again { self.random.random_range(0..self.alerts) } else { self.alerts };
        self.alerts = self.alerts.max(offset + 1);
        // What an alert asks for follows from its offset alone, as a rule would decide.
        let mut fixed = StdRng::seed_from_u64(u64::try_from(offset).unwrap());
        let number = fixed.random_range(0..DEVICES);
        let rule_id = format!("rule-{}", fixed.random_range(0..3));
        let mut terms = self.terms(offset, &rule_id, &mut fixed);
        let mut rule_ids = vec![rule_id.clone()];
        rule_ids.extend(terms.shadow_rule_ids.iter().cloned());
        let scan_type = if fixed.random_range(0..5) == 0 { ScanType::Full } else { ScanType::Quick };
        let priority = fixed.random_range(0..=100);
        let mut named = StdRng::seed_from_u64(!u64::try_from(offset).unwrap());
        if named.random_range(0..2) == 0 {
            // A rule that is not active now asks for nothing; another may ask for less.
            rule_ids.push("rule-inactive".to_owned());
            if !terms.awaits_threshold {
                terms.asks.push(RuleAsk { rule_id: rule_id.clone(), scan_type, priority });
                if named.random_range(0..3) == 0 {
                    let rule_id = "rule-other".to_owned();
                    rule_ids.push(rule_id.clone());
                    terms.asks.push(RuleAsk { rule_id, scan_type: ScanType::Quick, priority: 0 });
                }
            }
        }
        let body = Requested {
            terms,
            request_ids: vec![format!("request-{offset}")],
            device: DeviceRef {
                id: format!("{number:040x}"),
                name: (fixed.random_range(0..3) > 0).then(|| format!("ws-{number}")),
                group: (number > 0).then(|| format!("Group {}", number / 2)),
                tags: None,
            },
            alerts: vec![AlertRef {
                id: format!("{}", offset / 2),
                title: None,
                severity: Severity::High,
                topic: "alerts".to_owned(),
                partition: 0,
                offset,
                index: 0,
            }],
            rule_ids,
            ruleset: "r".to_owned(),
            scan_type,
            priority,
            comment: "Check machine for viruses".to_owned(),
            mode: if fixed.random_range(0..6) == 0 { Mode::Shadow } else { Mode::Live },
            alert_created_at: (fixed.random_range(0..2) == 0)
                .then(|| self.now - Duration::from_secs(fixed.random_range(0..300))),
            expires_at: self.now + Duration::from_secs(fixed.random_range(60..2000)),
            cooldown_seconds: fixed.random_range(0..400),
            limits: match fixed.random_range(0..3) {
                0 => Vec::new(),
                more => vec![RuleLimit { rule_id, devices: more, per_seconds: 200 }],
            },
            trace_id: None,
        };
        self.append(self.now, body.into());
    }

    /// What the rules say beyond the scan: thresholds, growing rests, times at which they are not active.
    fn terms(&self, offset: i64, rule_id: &str, fixed: &mut StdRng) -> ResponseTerms {
        let threshold = |fixed: &mut StdRng| Threshold {
            rule_id: format!("count-{}", fixed.random_range(0..2)),
            value: (fixed.random_range(0..3) == 0).then(|| format!("value-{}", offset % 3)),
            at_least: fixed.random_range(2..4),
            within_seconds: fixed.random_range(100..900),
            scan_type: ScanType::Quick,
            priority: 70,
            mode: if fixed.random_range(0..5) == 0 { Mode::Shadow } else { Mode::Live },
        };
        let counted = fixed.random_range(0..4) == 0;
        ResponseTerms {
            shadow_rule_ids: if fixed.random_range(0..4) == 0 { vec!["in-shadow".to_owned()] } else { Vec::new() },
            thresholds: if counted { vec![threshold(fixed), threshold(fixed)] } else { Vec::new() },
            awaits_threshold: counted && rule_id != "rule-0",
            asks: Vec::new(),
            merge_window_seconds: None,
            outside_active_time: (fixed.random_range(0..30) == 0).then(|| "office hours".to_owned()),
            cooldown_growth: (fixed.random_range(0..2) == 0)
                .then(|| CooldownGrowth { factor: 2, longest_seconds: fixed.random_range(100..1200) }),
        }
    }

    /// An operator's word: he re-arms a cap, or sets or ends a silence.
    fn order(&mut self) {
        let rule = format!("rule-{}", self.random.random_range(0..3));
        let control = match self.random.random_range(0..6) {
            0 | 1 => ControlAction::Rearmed { rule_id: None },
            2 | 3 => ControlAction::Rearmed { rule_id: Some(rule) },
            4 => ControlAction::SilenceEnded { silence_id: format!("silence-{}", self.random.random_range(0..4)) },
            _ => {
                let (field, value) = match self.random.random_range(0..5) {
                    0 => (SilenceField::Rule, rule),
                    1 => (SilenceField::DeviceName, "WS-?".to_owned()),
                    2 => (SilenceField::DeviceGroup, "group 1*".to_owned()),
                    3 => (SilenceField::DeviceTag, "told*".to_owned()),
                    _ => (SilenceField::AlertId, "*7".to_owned()),
                };
                let starts_at = self.now + Duration::from_secs(self.random.random_range(0..60));
                ControlAction::SilenceSet {
                    silence: Silence {
                        id: format!("silence-{}", self.random.random_range(0..4)),
                        matchers: vec![SilenceMatcher { field, value }],
                        starts_at,
                        ends_at: starts_at + Duration::from_secs(self.random.random_range(10..900)),
                        author: "ann".to_owned(),
                        comment: "patching".to_owned(),
                    },
                }
            }
        };
        self.append(self.now, Control { control, author: "ann".to_owned(), comment: None }.into());
    }

    /// The API's answer to a call.
    fn answer(&mut self, call: Call) -> Option<Reply> {
        match call {
            Call::Scan { scan_id, attempt, device_id, scan_type, comment, intent_time } => {
                let answer = self.answer_scan(&device_id, scan_type, comment, intent_time);
                Some(Reply::Scan { scan_id, attempt, answer })
            }
            Call::List { created_since } => {
                let now = self.now;
                let seen = |action: &Running| {
                    let status = if action.ends <= now { "Succeeded" } else { "InProgress" };
                    SeenAction { status: status.to_owned(), ..action.seen.clone() }
                };
                let answer = match self.random.random_range(0..10) {
                    0 => ReadReply::Failed,
                    _ => ReadReply::Complete(self.actions.iter().map(seen).collect()),
                };
                Some(Reply::List { created_since, started_at: now, answer })
            }
            Call::LookUp { device_id } => {
                let answer = match self.random.random_range(0..10) {
                    0 => ReadReply::Failed,
                    1 => ReadReply::Complete(None),
                    _ => ReadReply::Complete(Some(DeviceFacts {
                        name: Some("told".to_owned()),
                        group: Some("Group 1".to_owned()),
                        tags: Some(vec!["told by Defender".to_owned()]),
                    })),
                };
                Some(Reply::LookUp { device_id, answer })
            }
            Call::Cancel { .. } => None,
        }
    }

    fn answer_scan(&mut self, device: &str, scan_type: ScanType, comment: String, intent_time: Timestamp) -> ScanReply {
        if intent_time + self.settings.leave_within < self.now {
            return ScanReply::NotSent { too_late: true, detail: String::new() };
        }
        let refused = |result, for_good, retry_after| {
            ScanReply::Refused(Refusal {
                result,
                for_good,
                error_code: "Code".to_owned(),
                error_target: None,
                detail: String::new(),
                retry_after,
            })
        };
        let doubt = || ScanReply::InDoubt { detail: "no answer".to_owned(), retry_after: None };
        let now = self.now;
        let open =
            self.actions.iter().find(|action| action.ends > now && action.seen.device_id.as_deref() == Some(device));
        match self.random.random_range(0..20) {
            0 => return refused(AttemptResult::RateLimited, false, Some(Duration::from_secs(20))),
            1 => return refused(AttemptResult::DeviceNotFound, true, None),
            2 => return ScanReply::NotSent { too_late: false, detail: String::new() },
            3 => return doubt(),
            _ => {}
        }
        if let Some(open) = open {
            return if self.random.random_range(0..2) == 0 {
                ScanReply::Action(open.seen.clone())
            } else {
                ScanReply::AlreadyRunning
            };
        }
        // One in ten is somebody else's action that was a moment faster.
        let ours = !self.chance(10);
        let length = self.random.random_range(30..1500);
        let seen = SeenAction {
            id: format!("action-{}", self.actions.len()),
            device_id: Some(device.to_owned()),
            status: "Pending".to_owned(),
            scope: Some(scan_type),
            comment: Some(if ours { comment } else { "by hand".to_owned() }),
        };
        self.actions.push(Running { seen: seen.clone(), ends: self.now + Duration::from_secs(length) });
        if self.chance(15) { doubt() } else { ScanReply::Action(seen) }
    }

    /// One owner takes a step: reads, decides, appends, calls. Each part may lag behind.
    fn step(&mut self, index: usize) {
        let former = index + 1 < self.owners.len();
        let records = if former { 2 } else { 100 };
        for _ in 0..records {
            let owner = &mut self.owners[index];
            let Some(event) = self.log.get(owner.read) else { break };
            let applied = owner.scheduler.apply(i64::try_from(owner.read).unwrap(), event);
            if !former && self.applied.len() == owner.read {
                self.applied.push(applied);
            }
            owner.read += 1;
        }
        let commands = self.owners[index].scheduler.poll(self.now);
        self.take(index, commands);
        if former && self.chance(50) {
            return;
        }
        while let Some((time, body)) = self.owners[index].appends.pop_front() {
            self.append(time, body);
        }
        while let Some(call) = self.owners[index].calls.pop_front() {
            if let Some(reply) = self.answer(call) {
                let commands = self.owners[index].scheduler.reply(reply, self.now);
                self.take(index, commands);
            }
        }
    }

    fn take(&mut self, index: usize, commands: Vec<Command>) {
        let owner = &mut self.owners[index];
        for command in commands {
            match command {
                Command::Append { time, body } => owner.appends.push_back((time, *body)),
                Command::Call(call) => owner.calls.push_back(call),
            }
        }
    }

    pub(super) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            if self.chance(40) {
                self.alert();
            }
            if self.chance(2) {
                self.take_over();
            }
            if self.chance(2) {
                let control = if self.chance(60) { ControlAction::Resumed } else { ControlAction::Halted };
                self.append(self.now, Control { control, author: "ann".to_owned(), comment: None }.into());
            }
            if self.chance(6) {
                self.order();
            }
            for index in 0..self.owners.len() {
                self.step(index);
            }
            let pause = if self.chance(10) { 120 } else { 3 };
            self.now += Duration::from_secs(self.random.random_range(0..=pause));
        }
    }

    /// Lets everything come to an end.
    pub(super) fn settle(&mut self) {
        self.append(
            self.now,
            Control { control: ControlAction::Resumed, author: "ann".to_owned(), comment: None }.into(),
        );
        for _ in 0..400 {
            for index in 0..self.owners.len() {
                self.step(index);
            }
            self.now += Duration::from_secs(10);
        }
    }

    pub(super) fn options(&self) -> AuditOptions {
        let total = &self.settings.blast_radius;
        AuditOptions {
            blast_radius: Some((total.devices, total.per)),
            every_owner: true,
            ..AuditOptions::new("alerts", &self.settings.quota)
        }
    }

    pub(super) fn audit(&self, from: usize) -> AuditReport {
        self.audit_with(from, self.options())
    }

    pub(super) fn audit_with(&self, from: usize, options: AuditOptions) -> AuditReport {
        let mut audit = Audit::new(options);
        for (offset, event) in self.log.iter().enumerate().skip(from) {
            audit.ledger_record(0, i64::try_from(offset).unwrap(), Ok(event));
        }
        audit.finish()
    }
}
