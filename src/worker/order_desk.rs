//! Where orders arrive on this replica, from the admin API and from signals, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::kill_switch::KillSwitch;
use super::orders::{OrderError, action_name, append_orders, caps_to_rearm, check_tripped, read_state, silences_of};
use super::reload::{Reload, RulesHandle};
use crate::event::{Control, ControlAction, Mode};
use crate::kafka::{KafkaError, Settings as KafkaSettings};
use crate::scheduler::{Orders, Snapshot};
use crate::telemetry::{AdminError, AdminRequest, AdminVerb};

/// Pause before a halt that the ledger did not take is written again.
const AGAIN: Duration = Duration::from_secs(1);
/// Requests that may wait to be taken.
pub(crate) const QUEUE: usize = 32;

type Answer = Result<Value, AdminError>;

/// What the dispatch side of this replica tells of itself, about once a second.
#[derive(Debug, Clone, Default)]
pub(crate) struct DispatchStatus {
    /// When it was so.
    pub(crate) at: Option<Timestamp>,
    /// The claim under which this replica dispatches; `None` while it does not.
    pub(crate) claim: Option<String>,
    /// Why it does not although the ledger is assigned to it.
    pub(crate) waits_for: Option<String>,
    /// Queue, quota and scans.
    pub(crate) snapshot: Snapshot,
    /// Orders in force.
    pub(crate) orders: Orders,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Name of this replica.
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) kafka: KafkaSettings,
    pub(crate) tenant: String,
    pub(crate) switch: KillSwitch,
    pub(crate) status: watch::Receiver<DispatchStatus>,
    /// Who reads rules anew.
    pub(crate) rules: RulesHandle,
}

impl Desk {
    /// Takes requests until nobody can make one any more.
    pub(crate) async fn run(self, mut requests: mpsc::Receiver<AdminRequest>) {
        let desk = Arc::new(self);
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                Some(AdminRequest { verb, answer }) = requests.recv() => {
                    // Here and not in the task: nothing may come between a halt and its effect.
                    if matches!(&verb, AdminVerb::Order(Control { control: ControlAction::Halted, .. })) {
                        desk.switch.pull();
                    }
                    let desk = Arc::clone(&desk);
                    under_way.spawn(async move { desk.take(verb, answer).await });
                }
                Some(_) = under_way.join_next() => {}
                else => return,
            }
        }
    }

    async fn take(&self, verb: AdminVerb, answer: oneshot::Sender<Answer>) {
        let done = match verb {
            AdminVerb::Order(order) if order.control == ControlAction::Halted => return self.halt(order, answer).await,
            AdminVerb::Order(order) => self.order(order).await,
            AdminVerb::RearmAll { author, comment } => self.rearm_all(&author, comment.as_deref()).await,
            AdminVerb::EndSilence(order) => self.end_silence(order).await,
            AdminVerb::Silences => self.silences().await,
            AdminVerb::ReloadRules { author } => self.reload_rules(author).await,
            AdminVerb::Status => Ok(self.status()),
        };
        // Whoever asked may be gone.
        drop(answer.send(done));
    }

    /// The switch is pulled already; the order is written until the ledger has it, or somebody resumes.
    async fn halt(&self, order: Control, answer: oneshot::Sender<Answer>) {
        let mut waiting = Some(answer);
        loop {
            let written = self.write(vec![order.clone()]).await;
            let told = match written {
                Ok(offsets) => {
                    let offset = offsets.first().copied().unwrap_or_default();
                    self.switch.recorded(offset);
                    if let Some(answer) = waiting.take() {
                        drop(answer.send(Ok(json!({ "order": "halt", "offset": offset }))));
                    }
                    return;
                }
                Err(error) => AdminError {
                    message: format!(
                        "this replica is halted, and the ledger did not take the order, so that the others may not be: {}. It \
                         is tried again until it is taken or somebody resumes",
                        error.message
                    ),
                    ..error
                },
            };
            tracing::error!(error = told.message, "A halt binds this replica alone so far.");
            if let Some(answer) = waiting.take() {
                drop(answer.send(Err(told)));
            }
            tokio::time::sleep(AGAIN).await;
            if !self.switch.is_unrecorded() {
                return;
            }
        }
    }

    async fn order(&self, order: Control) -> Answer {
        if let ControlAction::Rearmed { rule_id: Some(rule_id) } = &order.control {
            let state = read_state(&self.kafka).await.map_err(unreadable)?;
            check_tripped(&state, rule_id).map_err(|message| AdminError::new(404, "not_tripped", message))?;
        }
        let name = action_name(&order.control);
        let resumes = order.control == ControlAction::Resumed;
        let silence = match &order.control {
            ControlAction::SilenceSet { silence } => Some(silence.clone()),
            _ => None,
        };
        let offset = self.write(vec![order]).await?.first().copied().unwrap_or_default();
        let mut answer = json!({ "order": name, "offset": offset });
        if let Some(answer) = answer.as_object_mut() {
            if let Some(silence) = silence {
                answer.insert("silence".to_owned(), json!(silence));
            }
            if resumes {
                self.switch.resumed(offset);
                answer.insert("halted_by_configuration".to_owned(), json!(self.switch.is_configured()));
            }
        }
        Ok(answer)
    }

    async fn rearm_all(&self, author: &str, comment: Option<&str>) -> Answer {
        let state = read_state(&self.kafka).await.map_err(unreadable)?;
        let caps = caps_to_rearm(&state);
        let order = |rule_id: &Option<String>| Control {
            control: ControlAction::Rearmed { rule_id: rule_id.clone() },
            author: author.to_owned(),
            comment: comment.map(str::to_owned),
        };
        let offsets = self.write(caps.iter().map(order).collect()).await?;
        let rules: Vec<&String> = caps.iter().flatten().collect();
        Ok(json!({ "order": "re-arm", "rules": rules, "offset": offsets.last() }))
    }

    async fn end_silence(&self, order: Control) -> Answer {
        if let ControlAction::SilenceEnded { silence_id } = &order.control {
            let state = read_state(&self.kafka).await.map_err(unreadable)?;
            if !silences_of(&state, Timestamp::now()).iter().any(|silence| silence.id == *silence_id) {
                let message =
                    format!("no silence `{silence_id}` is in force or to come; GET /admin/silences lists them");
                return Err(AdminError::new(404, "unknown_silence", message));
            }
        }
        self.order(order).await
    }

    async fn silences(&self) -> Answer {
        let state = read_state(&self.kafka).await.map_err(unreadable)?;
        Ok(json!({ "silences": silences_of(&state, Timestamp::now()) }))
    }

    async fn reload_rules(&self, author: String) -> Answer {
        tracing::info!(author, "The rules are to be read anew.");
        match self.rules.reload().await {
            Reload::Loaded { hash, before } => Ok(json!({ "ruleset": hash, "before": before })),
            Reload::Unchanged { hash } => Ok(json!({ "ruleset": hash, "before": hash })),
            Reload::Refused { reasons } => Err(AdminError::new(422, "invalid_rules", reasons.join("\n"))),
        }
    }

    fn status(&self) -> Value {
        let now = Timestamp::now();
        let status = self.status.borrow().clone();
        let owner = status.claim.is_some();
        let shown = &status.snapshot;
        let tripped =
            status.orders.tripped.iter().map(|(rule_id, order)| json!({ "rule": rule_id, "since": order.time }));
        let ordered = status.orders.halted.map(|order| json!({ "since": order.time, "offset": order.offset }));
        let silences = status.orders.silences.values().map(|(silence, _)| silence);
        let silences: Vec<_> = silences.filter(|silence| silence.ends_at > now).collect();
        let queue: serde_json::Map<String, Value> =
            shown.queue.iter().map(|(class, count)| (class.as_str().to_owned(), json!(count))).collect();
        json!({
            "name": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "mode": self.mode,
            "owner": owner,
            "waits_for": status.waits_for,
            "halted": {
                "here": self.switch.is_pulled() || shown.halted,
                "by_configuration": self.switch.is_configured(),
                "unrecorded": self.switch.is_unrecorded(),
            },
            // What only the owner knows: a replica that stands by does not fold the ledger.
            "dispatch": owner.then(|| json!({
                "at": status.at,
                "claim": status.claim,
                "halted_by_order": ordered,
                "tripped": tripped.collect::<Vec<_>>(),
                "silences": silences,
                "queue": queue,
                "oldest_seconds": shown.oldest.as_secs(),
                "wait_estimate_seconds": shown.wait_estimate.as_secs(),
                "open_requests": shown.open_requests,
                "open_scans": shown.open_scans,
                "in_doubt": shown.in_doubt,
                "quota_left": { "minute": shown.remaining.minute, "hour": shown.remaining.hour },
                "paused": shown.paused,
            })),
        })
    }

    async fn write(&self, orders: Vec<Control>) -> Result<Vec<i64>, AdminError> {
        append_orders(&self.kafka, &self.tenant, orders, Timestamp::now()).await.map_err(|error| unwritten(&error))
    }
}

/// A message for whoever ordered something.
fn unwritten(error: &OrderError) -> AdminError {
    let known = matches!(error, OrderError::Kafka(KafkaError::NotAcknowledged { .. }));
    let message = if known {
        format!("{error}; it may be in the ledger all the same, GET /admin/status of the owner tells")
    } else {
        error.to_string()
    };
    AdminError::new(503, "not_recorded", message)
}

fn unreadable(error: OrderError) -> AdminError {
    AdminError::new(503, "ledger_unavailable", error.to_string())
}
