//! Everything that the simulator knows, and the way of one call through it. No I/O but the log's, no waiting.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::action::SimAction;
use super::calls::{CallLog, CallRecord, Endpoint};
use super::config::{Config, RetryAfter, WrongAudience};
use super::fault::{Fault, FaultBody, FaultPlan};
use super::machines::Fleet;
use super::names::Life;
use super::quota::Quotas;
use super::reply::{Call, Reply};
use super::token::{self, Caller};

pub(super) struct World {
    pub(super) config: Config,
    pub(super) fleet: Fleet,
    pub(super) log: CallLog,
    /// Oldest first.
    pub(super) actions: VecDeque<SimAction>,
    /// How many were dropped from the front: turns a stable number into a place.
    pub(super) dropped_actions: usize,
    /// The newest actions of a device, by stable number.
    pub(super) by_machine: HashMap<String, Vec<usize>>,
    quotas: Quotas,
    faults: Vec<(FaultPlan, Option<Instant>)>,
    begun: Instant,
    pub(super) start: Timestamp,
    seed: u64,
    ids: u64,
    tokens: u64,
    first_valid_token: u64,
}

/// What came of a call beside the answer.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub(super) machine_id: Option<String>,
    pub(super) scan_type: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) action_id: Option<String>,
    pub(super) created: bool,
}

impl World {
    pub(super) fn new(config: Config) -> std::io::Result<Self> {
        let log = CallLog::new(config.log_capacity, config.log_file.as_deref())?;
        let start = Timestamp::now();
        let seed = config.seed.unwrap_or_else(|| start.as_nanosecond().unsigned_abs() as u64);
        let mut world = Self {
            fleet: Fleet::default(),
            log,
            actions: VecDeque::new(),
            dropped_actions: 0,
            by_machine: HashMap::new(),
            quotas: Quotas::new(&config.quotas, config.window, config.count_rejected),
            faults: Vec::new(),
            begun: Instant::now(),
            start,
            seed,
            ids: 0,
            tokens: 0,
            first_valid_token: 0,
            config,
        };
        for machine in std::mem::take(&mut world.config.machines) {
            world.add_machine(machine);
        }
        Ok(world)
    }

    /// Adds a device, and the foreign scan that its name may ask for.
    pub(super) fn add_machine(&mut self, machine: super::config::SimMachine) -> String {
        let id = self.fleet.add(machine);
        if let Some(scan_type) = self.fleet.traits_mut(&id).and_then(|traits| traits.foreign) {
            self.add_foreign(&id, scan_type, "started by an analyst");
        }
        id
    }

    /// Puts somebody else's scan on a device; it stays open until it times out, unless the configuration ends it.
    pub(super) fn add_foreign(&mut self, machine_id: &str, scan_type: &str, comment: &str) -> Option<String> {
        let machine = self.fleet.by_id(machine_id, &self.config)?;
        let now = self.now();
        let action = self.new_action(&machine, scan_type, comment, "analyst@contoso.com", now);
        let action = match self.config.foreign_ends_after {
            None => SimAction { life: Life::RunsForever, source: "Portal", ..action },
            Some(after) => {
                let ends = now.saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
                SimAction { life: Life::Succeeds, taken: now, ends, source: "Portal", ..action }
            }
        };
        Some(self.keep(action))
    }

    /// Microseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A fresh GUID.
    pub(super) fn guid(&mut self) -> String {
        self.ids += 1;
        let digest =
            Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(self.ids.to_be_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(byte, random)| *byte = random);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    pub(super) fn error(&mut self, status: u16, code: &str, message: &str) -> Reply {
        let target = self.guid();
        Reply::error(status, code, message, &target)
    }

    pub(super) fn set_fault(&mut self, plan: FaultPlan) {
        let until = plan.for_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        self.faults.push((plan, until));
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    pub(super) fn revoke_tokens(&mut self) {
        self.first_valid_token = self.tokens + 1;
    }

    fn fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let now = Instant::now();
        self.faults.retain(|(plan, until)| plan.times != Some(0) && until.is_none_or(|until| now < until));
        let (plan, _) = self.faults.iter_mut().rev().find(|(plan, _)| plan.scope.covers(endpoint))?;
        if let Some(times) = &mut plan.times {
            *times -= 1;
        }
        Some(plan.fault)
    }

    /// Answers a call and writes it down.
    pub(super) fn handle(&mut self, call: &Call) -> Reply {
        let (at, now) = (Timestamp::now(), self.now());
        let (endpoint, name) = classify(call);
        let mut effect = Effect::default();
        let mut app_id = None;
        let reply = match self.fault(endpoint) {
            Some(Fault::Refuse | Fault::CutBeforeCreate) => Reply::cut_after(Duration::ZERO),
            Some(Fault::Hang { ms }) => Reply::cut_after(Duration::from_millis(ms)),
            Some(Fault::Status { status, body: FaultBody::Html }) => Reply::html(status),
            Some(Fault::Status { status, body: FaultBody::Empty }) => Reply::empty(status),
            Some(Fault::Status { status, body: FaultBody::Shaped }) => {
                let code = if status < 500 { "BadRequest" } else { "InternalServerError" };
                self.error(status, code, "injected")
            }
            fault => {
                let late = match fault {
                    Some(Fault::LateCreate { ms }) => Some(Duration::from_millis(ms)),
                    _ => None,
                };
                let reply = self.serve(call, endpoint, &name, now, late, &mut effect, &mut app_id);
                match fault {
                    Some(Fault::CutAfterCreate) => Reply { cut: true, ..reply },
                    Some(Fault::Latency { ms }) => reply.late(Duration::from_millis(ms)),
                    _ => reply,
                }
            }
        };
        if endpoint == Endpoint::Scan {
            self.describe(call, &name, &mut effect);
        }
        self.log.push(CallRecord {
            at,
            monotonic_us: now,
            endpoint,
            method: call.method.clone(),
            path: call.path.clone(),
            machine_id: effect.machine_id,
            scan_type: effect.scan_type,
            comment: effect.comment,
            app_id,
            status: (!reply.cut).then_some(reply.status),
            error_code: reply.error_code.clone(),
            action_id: effect.action_id,
            created: effect.created,
        });
        reply
    }

    #[expect(clippy::too_many_arguments, reason = "one call's way, told once")]
    fn serve(
        &mut self,
        call: &Call,
        endpoint: Endpoint,
        name: &str,
        now: u64,
        late: Option<Duration>,
        effect: &mut Effect,
        app_id: &mut Option<String>,
    ) -> Reply {
        let now_ms = Timestamp::now().as_millisecond();
        if endpoint == Endpoint::Token {
            self.tokens += 1;
            let version = if call.path.ends_with("/oauth2/v2.0/token") { 2 } else { 1 };
            let (reply, client_id) = token::issue(&self.config, call, version, now_ms, self.tokens);
            *app_id = client_id;
            return reply;
        }
        let bearer = call.authorization.as_deref();
        let Some(caller) = token::check(&self.config, bearer, now_ms, self.first_valid_token) else {
            return self.error(401, "Unauthorized", "Invalid Authorization payload.");
        };
        *app_id = Some(caller.app_id.clone());
        if !self.config.audiences.contains(&caller.audience) {
            let text = format!("Invalid Authorization payload. Audience: {}", caller.audience);
            return match self.config.wrong_audience {
                WrongAudience::Unauthorized => self.error(401, "Unauthorized", &text),
                WrongAudience::Forbidden => self.error(403, "Forbidden", &text),
            };
        }
        let (family, roles): (_, &[&str]) = match endpoint {
            Endpoint::Scan => ("scan", &["Machine.Scan"]),
            Endpoint::ActionCancel => ("cancel", &["Machine.Scan"]),
            Endpoint::ActionList | Endpoint::ActionGet => ("actions", READ),
            Endpoint::MachineGet | Endpoint::MachineList => ("machines", READ),
            Endpoint::Token | Endpoint::Other => return self.error(404, "NotFound", "No such resource."),
        };
        if let Err(wait) = self.quotas.take(&caller.app_id, family, now) {
            return self.rate_limited(wait, self.config.retry_after);
        }
        if !roles.iter().any(|role| caller.roles.iter().any(|has| has == role)) {
            let text = format!(
                "The application does not have any of the required application permissions ({}) to access the resource.",
                roles.join(", ")
            );
            return self.error(403, "Forbidden", &text);
        }
        self.route(call, endpoint, name, &caller, now, late, effect)
    }

    #[expect(clippy::too_many_arguments, reason = "one call's way, told once")]
    fn route(
        &mut self,
        call: &Call,
        endpoint: Endpoint,
        name: &str,
        caller: &Caller,
        now: u64,
        late: Option<Duration>,
        effect: &mut Effect,
    ) -> Reply {
        match endpoint {
            Endpoint::Scan => self.scan(call, name, caller, now, late, effect),
            Endpoint::ActionList => self.list_actions(call, now),
            Endpoint::ActionGet => self.get_action(name, now),
            Endpoint::ActionCancel => self.cancel_action(call, name, caller, now),
            Endpoint::MachineGet => self.get_machine(name),
            Endpoint::MachineList => self.list_machines(call),
            Endpoint::Token | Endpoint::Other => self.error(404, "NotFound", "No such resource."),
        }
    }

    pub(super) fn rate_limited(&mut self, wait: Duration, style: RetryAfter) -> Reply {
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        let text = format!("You have exceeded the allowed number of requests. Try again in {seconds} seconds.");
        let reply = self.error(429, "TooManyRequests", &text);
        match style {
            RetryAfter::Seconds => reply.header("retry-after", seconds.to_string()),
            RetryAfter::Date => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                let date = Timestamp::now().saturating_add(jiff::SignedDuration::from_secs(seconds));
                let date = date.unwrap_or(Timestamp::MAX).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                reply.header("retry-after", date)
            }
            RetryAfter::Absent => reply,
        }
    }
}

const READ: &[&str] = &["Machine.Read.All", "Machine.ReadWrite.All"];

/// What a call is for, and the name in its path.
fn classify(call: &Call) -> (Endpoint, String) {
    let path = call.path.trim_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let (endpoint, name) = match (call.method.as_str(), parts.as_slice()) {
        ("POST", [_, "oauth2", "v2.0", "token"] | [_, "oauth2", "token"]) => (Endpoint::Token, ""),
        (method, ["api", "v1.0", rest @ ..] | ["api", rest @ ..]) => match (method, rest) {
            ("POST", ["machines", id, "runAntiVirusScan"]) => (Endpoint::Scan, *id),
            ("GET", ["machineactions"]) => (Endpoint::ActionList, ""),
            ("GET", ["machineactions", id]) => (Endpoint::ActionGet, *id),
            ("POST", ["machineactions", id, "cancel"]) => (Endpoint::ActionCancel, *id),
            ("GET", ["machines"]) => (Endpoint::MachineList, ""),
            ("GET", ["machines", id]) => (Endpoint::MachineGet, *id),
            _ => (Endpoint::Other, ""),
        },
        _ => (Endpoint::Other, ""),
    };
    (endpoint, name.to_owned())
}
