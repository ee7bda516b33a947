//! The scan request.

use std::time::Duration;

use serde_json::{Value, json};

use super::action::SimAction;
use super::config::{Repeat, RetryAfter};
use super::machines::Machine;
use super::names::PostFault;
use super::reply::{Call, Reply};
use super::token::Caller;
use super::world::{Effect, World};

impl World {
    /// Fills in what the log says of a scan request, whatever became of it.
    pub(super) fn describe(&self, call: &Call, name: &str, effect: &mut Effect) {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        effect.machine_id = Some(name.to_ascii_lowercase());
        effect.scan_type = text("ScanType");
        effect.comment = text("Comment");
    }

    pub(super) fn scan(
        &mut self,
        call: &Call,
        name: &str,
        caller: &Caller,
        now: u64,
        late: Option<Duration>,
        effect: &mut Effect,
    ) -> Reply {
        let Some(machine) = self.fleet.by_id(name, &self.config) else {
            return self.error(404, "ResourceNotFound", &format!("Machine {name} was not found"));
        };
        let (scan_type, comment) = match body(&call.body) {
            Ok(fields) => fields,
            Err((code, message)) => return self.error(400, code, &message),
        };
        let fault = self.fleet.traits_mut(name).and_then(super::names::Traits::next_fault);
        let late = match fault {
            Some(PostFault::LateCreate) => Some(self.config.slow_for),
            _ => late,
        };
        match fault {
            Some(PostFault::Shaped(status, code)) => return self.error(status, code, &format!("{code} by its name")),
            Some(PostFault::Html(status)) => return Reply::html(status),
            Some(PostFault::Empty(status)) => return Reply::empty(status),
            Some(PostFault::RateLimited) => return self.rate_limited(Duration::from_secs(1), RetryAfter::Seconds),
            Some(PostFault::RateLimitedNoHeader) => {
                return self.rate_limited(Duration::from_secs(1), RetryAfter::Absent);
            }
            Some(PostFault::RateLimitedDate) => return self.rate_limited(Duration::from_secs(1), RetryAfter::Date),
            Some(PostFault::Redirect) => {
                return Reply::empty(307).header("location", format!("{}?again", call.path));
            }
            Some(PostFault::Hang) => return Reply::cut_after(self.config.hang_for),
            Some(PostFault::CutBeforeCreate) => return Reply::cut_after(Duration::ZERO),
            Some(PostFault::HtmlAfterCreate | PostFault::Slow | PostFault::LateCreate | PostFault::CutAfterCreate)
            | None => {}
        }
        let reply = match self.open_action(&machine.facts.id, now) {
            Some(open) => self.repeated(&machine, &open, now, effect),
            None => self.create(&machine, &scan_type, &comment, caller, now, late, effect),
        };
        match fault {
            _ if late.is_some() => Reply::cut_after(self.config.hang_for),
            Some(PostFault::HtmlAfterCreate) => Reply::html(200),
            Some(PostFault::Slow) => reply.late(self.config.slow_for),
            Some(PostFault::CutAfterCreate) => Reply { cut: true, ..reply },
            _ => reply,
        }
    }

    fn repeated(&mut self, machine: &Machine, open: &SimAction, now: u64, effect: &mut Effect) -> Reply {
        let status = match machine.traits.repeat.unwrap_or(self.config.repeat) {
            Repeat::Error400 => {
                return self.error(400, "ActiveRequestAlreadyExists", "Action is already in progress");
            }
            Repeat::Existing200 => 200,
            Repeat::Existing201 => 201,
        };
        effect.action_id = Some(open.id.clone());
        Reply::json(status, &open.json(now, self.start, self.config.old_update_spelling))
    }

    #[expect(clippy::too_many_arguments, reason = "one request's parts")]
    fn create(
        &mut self,
        machine: &Machine,
        scan_type: &str,
        comment: &str,
        caller: &Caller,
        now: u64,
        late: Option<Duration>,
        effect: &mut Effect,
    ) -> Reply {
        let created = now + late.map_or(0, micros);
        let action = self.new_action(machine, scan_type, comment, &caller.app_id, created);
        let mut value = action.json(now, self.start, self.config.old_update_spelling);
        if self.config.null_fields || machine.traits.null_fields {
            for key in ["scope", "machineId", "computerDnsName"] {
                if let Some(field) = value.get_mut(key) {
                    *field = Value::Null;
                }
            }
        }
        if let Some(object) = value.as_object_mut() {
            let context = "https://api.security.microsoft.com/api/$metadata#MachineActions/$entity";
            object.insert("@odata.context".to_owned(), json!(context));
        }
        effect.created = true;
        effect.action_id = Some(self.keep(action));
        Reply::json(201, &value)
    }

    /// A new action of a device, not yet kept.
    pub(super) fn new_action(
        &mut self,
        machine: &Machine,
        scan_type: &str,
        comment: &str,
        requestor: &str,
        created: u64,
    ) -> SimAction {
        let taken = created.saturating_add(micros(self.config.pending_for));
        SimAction {
            id: self.guid(),
            machine_id: machine.facts.id.clone(),
            machine_name: machine.facts.name.clone(),
            scope: scan_type.to_owned(),
            comment: comment.to_owned(),
            requestor: requestor.to_owned(),
            source: "PublicApi",
            created,
            listed: (!machine.traits.unlisted).then(|| created.saturating_add(micros(self.config.list_lag))),
            life: machine.traits.life,
            taken,
            ends: taken.saturating_add(micros(self.config.running_for)),
            times_out: created.saturating_add(micros(self.config.timeout_after)),
            cancelled: None,
        }
    }

    /// Keeps an action; returns its id.
    pub(super) fn keep(&mut self, action: SimAction) -> String {
        let id = action.id.clone();
        let number = self.dropped_actions + self.actions.len();
        self.by_machine.entry(action.machine_id.clone()).or_default().push(number);
        self.actions.push_back(action);
        if self.actions.len() > self.config.action_capacity.max(1)
            && let Some(oldest) = self.actions.pop_front()
        {
            self.dropped_actions += 1;
            let first = self.dropped_actions;
            if let Some(numbers) = self.by_machine.get_mut(&oldest.machine_id) {
                numbers.retain(|number| *number >= first);
                if numbers.is_empty() {
                    self.by_machine.remove(&oldest.machine_id);
                }
            }
        }
        id
    }

    fn open_action(&self, machine_id: &str, now: u64) -> Option<SimAction> {
        let numbers = self.by_machine.get(machine_id)?.iter().rev();
        let mut actions = numbers.filter_map(|number| self.actions.get(number.checked_sub(self.dropped_actions)?));
        actions.find(|action| action.is_open(now)).cloned()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

/// The two fields, in exactly these letters.
fn body(bytes: &[u8]) -> Result<(String, String), (&'static str, String)> {
    let invalid = || ("InvalidRequestBody", "Request body is incorrect".to_owned());
    let value: Value = serde_json::from_slice(bytes).map_err(|_| invalid())?;
    let object = value.as_object().ok_or_else(invalid)?;
    if object.keys().any(|key| key != "Comment" && key != "ScanType") {
        return Err(invalid());
    }
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Err(("MissingRequiredParameter", format!("Parameter {key} is missing"))),
        Some(Value::String(text)) if text.is_empty() => {
            Err(("MissingRequiredParameter", format!("Parameter {key} is missing")))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(invalid()),
    };
    let (comment, scan_type) = (text("Comment")?, text("ScanType")?);
    if !matches!(scan_type.as_str(), "Quick" | "Full") {
        return Err(("InvalidInput", format!("Scan type {scan_type} is not valid")));
    }
    Ok((scan_type, comment))
}
