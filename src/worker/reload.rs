//! New rules without a restart.
//!
//! The folder is read at intervals and told by its content, so it does not matter how it changes: a file that is written, a
//! checkout, or the link that Kubernetes swaps below a ConfigMap. SIGHUP and [`RulesHandle::reload`] read it at once. A set
//! with an error is refused and the old one stays. Each record is decided by one set: the one in force when it was taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::decide::Decider;
use super::intake::{Decide, RecordDecision, Recorded};
use crate::alert::Settings as AlertSettings;
use crate::kafka::ConsumedRecord;
use crate::rules::{RuleErrors, RuleSet};
use crate::telemetry::{Metrics, RulesReload};

/// Asks for a reload that may wait for their turn.
const MOST_ASKS: usize = 16;
/// Reads of a folder that changes while it is read, before it is left to the next time.
const MOST_READS: usize = 5;

/// What came of reading the rules again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// Another set is in force.
    Loaded {
        /// Its hash.
        hash: String,
        /// Hash of the set before.
        before: String,
    },
    /// The folder holds the set that is in force already.
    Unchanged {
        /// Its hash.
        hash: String,
    },
    /// The old set stays.
    Refused {
        /// Every reason, one message each, as `rules check` says it.
        reasons: Vec<String>,
    },
}

/// Asks a worker for its rules, and to read them anew. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RulesHandle {
    asks: mpsc::Sender<oneshot::Sender<Reload>>,
    active: watch::Receiver<Arc<Decider>>,
}

impl RulesHandle {
    /// Reads the rules now and says what came of it.
    pub async fn reload(&self) -> Reload {
        let (answer, answered) = oneshot::channel();
        let stopped = || Reload::Refused { reasons: vec!["the worker does not run".to_owned()] };
        if self.asks.send(answer).await.is_err() {
            return stopped();
        }
        answered.await.unwrap_or_else(|_| stopped())
    }

    /// The set in force.
    #[must_use]
    pub fn active(&self) -> Arc<RuleSet> {
        Arc::clone(&self.active.borrow().rules)
    }
}

/// Decides each record by the set in force when it is taken.
#[derive(Debug, Clone)]
pub(super) struct CurrentRules(watch::Receiver<Arc<Decider>>);

impl Decide for CurrentRules {
    fn decide(&self, record: &ConsumedRecord, recorded: &[Recorded]) -> RecordDecision {
        // One clone for the whole record: a record is never decided by two sets.
        let decider = Arc::clone(&self.0.borrow());
        decider.decide(record, recorded)
    }
}

/// The rules of a worker: those in force, and how others take their place.
#[derive(Debug)]
pub(super) struct Rules {
    active: watch::Sender<Arc<Decider>>,
    handle: RulesHandle,
    asks: mpsc::Receiver<oneshot::Sender<Reload>>,
    alerts: AlertSettings,
    metrics: Metrics,
    /// The folder that is watched; without one nothing is ever reloaded.
    folder: Option<PathBuf>,
    interval: Duration,
    longest_window: Arc<AtomicU64>,
    /// What the folder held when it was refused last, so that each fault is told once.
    refused: Option<Option<String>>,
}

impl Rules {
    pub(super) fn new(decider: Decider, alerts: AlertSettings, metrics: Metrics) -> Self {
        let longest_window = Arc::new(AtomicU64::new(longest_window(&decider.rules)));
        let (active, receiver) = watch::channel(Arc::new(decider));
        let (sender, asks) = mpsc::channel(MOST_ASKS);
        let handle = RulesHandle { asks: sender, active: receiver };
        Self {
            active,
            handle,
            asks,
            alerts,
            metrics,
            folder: None,
            interval: Duration::ZERO,
            longest_window,
            refused: None,
        }
    }

    pub(super) fn watch(&mut self, folder: PathBuf, interval: Duration) {
        (self.folder, self.interval) = (Some(folder), interval);
    }

    pub(super) fn handle(&self) -> RulesHandle {
        self.handle.clone()
    }

    pub(super) fn active(&self) -> Arc<RuleSet> {
        self.handle.active()
    }

    pub(super) fn current(&self) -> CurrentRules {
        CurrentRules(self.handle.active.clone())
    }

    /// The longest window of any rule's cap so far, in seconds. It never shrinks: what an old set limited is still in the log.
    pub(super) fn longest_window(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.longest_window)
    }

    /// Reads the folder at its times until `shutdown`. `longest_memory`: no cooldown and no age limit may be longer.
    pub(super) async fn run(mut self, longest_memory: Duration, shutdown: CancellationToken) {
        // Nobody's signal is taken where there is nothing to reload: it would no longer end the process.
        let mut hang_up = self.folder.is_some().then(|| signal(SignalKind::hangup()).ok()).flatten();
        let mut ticks = interval(if self.interval.is_zero() { Duration::from_secs(3600) } else { self.interval });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let polls = self.folder.is_some() && !self.interval.is_zero();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(()) = async { match &mut hang_up { Some(signal) => signal.recv().await, None => None } } => {
                    tracing::info!("SIGHUP: the rules are read again.");
                    self.reload(longest_memory, true).await;
                }
                Some(answer) = self.asks.recv() => {
                    let came = self.reload(longest_memory, true).await;
                    // Whoever asked may have gone.
                    drop(answer.send(came));
                }
                _ = ticks.tick(), if polls => {
                    self.reload(longest_memory, false).await;
                }
            }
        }
    }

    /// Reads the folder, and puts what it holds in force. `asked`: somebody waits, so a fault is told again.
    async fn reload(&mut self, longest_memory: Duration, asked: bool) -> Reload {
        let hash = self.active().hash().to_owned();
        let Some(folder) = self.folder.clone() else {
            return Reload::Refused { reasons: vec!["the rules of this worker do not come from a folder".to_owned()] };
        };
        let refused = if asked { None } else { self.refused.clone() };
        let active = hash.clone();
        let read = tokio::task::spawn_blocking(move || read(&folder, &active, refused.as_ref())).await;
        let (fingerprint, found) = match read {
            Ok(Found::Unchanged) => {
                self.refused = None;
                self.metrics.set_rules_refused(false);
                return Reload::Unchanged { hash };
            }
            Ok(Found::Known | Found::Changing) => {
                let reasons = vec!["the folder changes while it is read, or was refused already".to_owned()];
                return Reload::Refused { reasons };
            }
            Ok(Found::Set(fingerprint, found)) => (fingerprint, found),
            Err(panic) => return self.refuse(None, vec![panic.to_string()]),
        };
        let rules = match found {
            Ok(rules) => *rules,
            Err(errors) => {
                let reasons = errors.diagnostics.iter().map(ToString::to_string).collect();
                return self.refuse(fingerprint, reasons);
            }
        };
        let too_long = [
            ("cooldown", rules.longest_cooldown()),
            ("max_alert_age", rules.longest_max_alert_age()),
            ("window of escalate and of correlations", rules.longest_threshold_window()),
            ("merge_window", rules.longest_merge_window()),
            ("limit.per", rules.longest_limit_window()),
        ];
        if let Some((what, need)) = too_long.into_iter().find(|(_, need)| *need > longest_memory) {
            let reason = format!(
                "the longest {what} ({need:?}) is more than half of the ledger's retention ({longest_memory:?}): raise \
                 retention.ms of the topic, or lower it"
            );
            return self.refuse(fingerprint, vec![reason]);
        }
        self.put_in_force(rules, hash)
    }

    fn refuse(&mut self, fingerprint: Option<String>, reasons: Vec<String>) -> Reload {
        self.refused = Some(fingerprint);
        self.metrics.rules_reload(RulesReload::Refused);
        let active = self.active();
        for reason in &reasons {
            tracing::error!(reason, "A fault of the rules.");
        }
        tracing::error!(in_force = active.hash(), faults = reasons.len(), "New rules are refused; the old ones stay.");
        Reload::Refused { reasons }
    }

    fn put_in_force(&mut self, rules: RuleSet, before: String) -> Reload {
        for warning in rules.warnings_at(jiff::Timestamp::now()) {
            tracing::warn!(%warning, "A rule has a weakness.");
        }
        self.refused = None;
        self.longest_window.fetch_max(longest_window(&rules), Ordering::Relaxed);
        self.metrics.set_rules(rules.hash(), rules.rules().iter().map(|rule| rule.id.as_str()));
        self.metrics.rules_reload(RulesReload::Loaded);
        let (hash, count) = (rules.hash().to_owned(), rules.rules().len());
        let options = self.alerts.options(rules.needs_raw());
        let next = Decider { rules: Arc::new(rules), options, ..self.active.borrow().as_ref().clone() };
        self.active.send_replace(Arc::new(next));
        tracing::info!(ruleset = hash, before, rules = count, "New rules are in force.");
        Reload::Loaded { hash, before }
    }
}

fn longest_window(rules: &RuleSet) -> u64 {
    rules.longest_limit_window().as_secs()
}

/// What a look at the folder showed.
enum Found {
    /// What is in force.
    Unchanged,
    /// What was refused already.
    Known,
    /// It did not stand still.
    Changing,
    /// Something else; `None` for a folder that cannot be read as a whole.
    Set(Option<String>, Result<Box<RuleSet>, RuleErrors>),
}

/// Reads a folder that may change meanwhile: what is taken was the same before and after.
fn read(folder: &Path, active: &str, refused: Option<&Option<String>>) -> Found {
    for _ in 0..MOST_READS {
        let before = RuleSet::fingerprint(folder);
        if before.as_deref() == Some(active) {
            return Found::Unchanged;
        }
        if refused == Some(&before) {
            return Found::Known;
        }
        let set = RuleSet::load_dir(folder);
        let after = RuleSet::fingerprint(folder);
        let stood_still = before == after && set.as_ref().is_ok_and(|set| Some(set.hash()) == after.as_deref());
        if stood_still || (before == after && set.is_err()) {
            return Found::Set(after, set.map(Box::new));
        }
    }
    Found::Changing
}

#[cfg(test)]
mod tests;
