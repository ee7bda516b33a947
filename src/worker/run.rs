//! From a configuration to running loops, and back to rest.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::account::Accounts;
use super::authority::check_authority;
use super::calls::Caller;
use super::decide::Decider;
use super::dispatch::Dispatch;
use super::error::WorkerError;
use super::intake::Intake;
use super::intake_account::IntakeAccounts;
use super::kill_switch::KillSwitch;
use super::lane::LaneContext;
use super::order_desk::{Desk, DispatchStatus, QUEUE};
use super::reload::{Rules, RulesHandle};
use super::signals;
use super::tasks::{Ended, Tasks};
use crate::config::Config;
use crate::defender::Client;
use crate::event::Mode;
use crate::kafka::{TopicsReport, ensure_topics};
use crate::rules::RuleSet;
use crate::telemetry::{
    AdminApi, AdminState, Condition, Liveness, Metrics, Readiness, RulesReload, serve, serve_admin,
};

/// A loop that has not come round for this long is stuck.
const LOOP_LIMIT: Duration = Duration::from_secs(60);
/// Pauses between attempts to reach the brokers at start double from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// What was left when the worker stopped. None of it is lost: records are read again, calls are in doubt for the next owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leftover {
    /// Records read and not decided durably.
    pub records: usize,
    /// Calls whose answer was not recorded.
    pub calls: usize,
}

impl Leftover {
    /// Whether the grace period was too short.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.records > 0 || self.calls > 0
    }
}

/// A worker that is ready to run.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    rules: Rules,
    metrics: Metrics,
    liveness: Liveness,
    readiness: Readiness,
}

impl Worker {
    /// A worker for a checked configuration and its rules. Nothing is started yet.
    ///
    /// # Errors
    /// [`WorkerError::Telemetry`].
    pub fn new(config: Config, rules: RuleSet) -> Result<Self, WorkerError> {
        let metrics = Metrics::new(&config.defender.tenant_id)?;
        metrics.set_rules(rules.hash(), rules.rules().iter().map(|rule| rule.id.as_str()));
        metrics.rules_reload(RulesReload::Loaded);
        let liveness = Liveness::new(metrics.clone());
        let decider = Decider {
            options: config.alerts.options(rules.needs_raw()),
            rules: Arc::new(rules),
            tenant: config.defender.tenant_id.clone(),
            mode: config.mode,
            topic: config.kafka.alerts_topic.clone(),
        };
        let rules = Rules::new(decider, config.alerts.clone(), metrics.clone());
        Ok(Self { config, rules, metrics, liveness, readiness: Readiness::default() })
    }

    /// Takes over what `rules.directory` comes to hold, every `rules.reload_interval` and at SIGHUP.
    #[must_use]
    pub fn watching_rules(mut self) -> Self {
        self.rules.watch(self.config.rules.directory.clone(), self.config.rules.reload_interval);
        self
    }

    /// Asks for the rules in force, and for their reload.
    #[must_use]
    pub fn rules(&self) -> RulesHandle {
        self.rules.handle()
    }

    /// The worker's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Listens for probes and scrapes on `telemetry.listen`; port 0 lets the system choose one.
    ///
    /// # Errors
    /// [`WorkerError::Listen`].
    pub async fn listen(&self) -> Result<TcpListener, WorkerError> {
        let address = self.config.telemetry.listen;
        TcpListener::bind(address).await.map_err(|source| WorkerError::Listen { address, source })
    }

    /// Runs until `shutdown`, then finishes what is in hand within the grace period.
    ///
    /// # Errors
    /// What keeps it from starting, or a loop that ended by itself.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<Leftover, WorkerError> {
        let switch = KillSwitch::new(self.config.halted);
        let client = Client::new(&self.config.defender)?.stopped_by(switch.stopped());
        let admin_listener = self.listen_for_orders().await?;
        let mut tasks = Tasks::default();
        let admin = AdminState {
            metrics: self.metrics.clone(),
            liveness: self.liveness.clone(),
            readiness: self.readiness.clone(),
        };
        let topics_ready = self.readiness.condition("topics checked", false);
        let intake_joined = self.readiness.condition("alerts group joined", false);
        let not_halted = self.readiness.condition("ledger intact", true);
        let not_draining = self.readiness.condition("not draining", true);
        // Probes are served to the very end, so that a drain can be seen.
        let served_until = CancellationToken::new();
        let stop_serving = served_until.clone();
        tasks.beside(async move { Ended::Served(serve(listener, admin, stop_serving.cancelled_owned()).await) });

        let (requests, requested) = mpsc::channel(QUEUE);
        let (status, status_now) = watch::channel(DispatchStatus::default());
        let desk = self.desk(switch.clone(), status_now);
        if let Some(listener) = admin_listener {
            let api = AdminApi { settings: self.config.admin.clone(), requests: requests.clone() };
            let stop_serving = served_until.clone();
            let served = serve_admin(listener, api, stop_serving.cancelled_owned());
            tasks.beside(async move { Ended::Served(served.await) });
        }
        let name = desk.name.clone();
        tasks.beside(async move {
            tokio::join!(signals::listen(name, requests), desk.run(requested));
            Ended::Aside
        });

        let report = tokio::select! {
            report = self.check_topics() => report?,
            () = shutdown.cancelled() => return Ok(Leftover::default()),
        };
        topics_ready.set(true);
        let carry_after = self.check_retention(&report)?;

        let intake = self.intake(intake_joined);
        let dispatch = self.dispatch(client.clone(), carry_after, not_halted, switch, status);
        let word = shutdown.child_token();
        let rules = self.rules;
        let stop_reloading = word.clone();
        tasks.beside(async move {
            rules.run(carry_after, stop_reloading).await;
            Ended::Aside
        });
        let (stop_intake, stop_dispatch, stop_asking) = (word.clone(), word.clone(), word.clone());
        let mode = self.config.mode;
        let may_scan = self.readiness.condition("authorised at Defender", mode == Mode::Shadow);
        tasks.one_of_the_loops("intake", async move { Ended::Intake(intake.run(stop_intake).await) });
        tasks.one_of_the_loops("dispatch", async move { Ended::Dispatch(dispatch.run(stop_dispatch).await) });
        let metrics = self.metrics.clone();
        tasks.beside(async move {
            tokio::select! {
                () = check_authority(&client, &metrics, mode, &may_scan) => {}
                () = stop_asking.cancelled() => {}
            }
            Ended::Aside
        });

        let ended = tasks.until_loops_end(&shutdown, &word, &not_draining).await;
        served_until.cancel();
        tasks.shutdown().await;
        ended
    }

    /// Checks the topics, waiting for brokers that are away.
    async fn check_topics(&self) -> Result<TopicsReport, WorkerError> {
        let mut pause = RETRY_FIRST;
        loop {
            match ensure_topics(&self.config.kafka).await {
                Ok(report) => {
                    for topic in &report.created {
                        tracing::info!(topic, "A missing topic was created.");
                    }
                    for warning in &report.warnings {
                        tracing::warn!(warning, "A topic is not as safe as it could be.");
                    }
                    return Ok(report);
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, retry_in = ?pause, "Kafka does not answer; the worker waits for it.");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LAST);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Half of the ledger's retention must outlast everything that a record can matter for.
    fn check_retention(&self, report: &TopicsReport) -> Result<Duration, WorkerError> {
        let rules = self.rules.active();
        let needs = [
            ("the deadlines of scheduler", self.config.scheduler.longest_memory()),
            ("the longest cooldown of the rules", rules.longest_cooldown()),
            ("the longest max_alert_age of the rules", rules.longest_max_alert_age()),
            ("the longest window of escalate and of correlations in the rules", rules.longest_threshold_window()),
            ("the longest merge_window of the rules", rules.longest_merge_window()),
            ("the longest limit.per of the rules", rules.longest_limit_window()),
        ];
        let Some(retention) = report.ledger_retention else { return Ok(Duration::MAX / 4) };
        let half = retention / 2;
        match needs.into_iter().find(|(_, need)| *need > half) {
            Some((what, need)) => Err(WorkerError::Retention(format!(
                "topic `{}` keeps records for {retention:?}; {what} ({need:?}) must be at most half of that. Raise \
                 retention.ms of the topic, or lower them",
                self.config.kafka.ledger_topic
            ))),
            None => Ok(half),
        }
    }

    fn intake(&self, joined: Condition) -> Intake {
        let config = &self.config;
        let decider = self.rules.current();
        let accounts = IntakeAccounts {
            metrics: self.metrics.clone(),
            topic: config.kafka.alerts_topic.clone(),
            progress: self.liveness.register("intake", LOOP_LIMIT, Timestamp::now()),
            joined,
            partitions: AtomicI64::new(0),
        };
        Intake::new(config.kafka.clone(), Arc::new(decider), Arc::new(accounts), config.worker.shutdown_grace)
    }

    /// Listens on `admin.listen`, where that is set.
    async fn listen_for_orders(&self) -> Result<Option<TcpListener>, WorkerError> {
        let settings = &self.config.admin;
        let Some(address) = settings.listen else { return Ok(None) };
        settings.read_token().map_err(|reason| WorkerError::Admin { address, reason })?;
        let listening = TcpListener::bind(address).await;
        listening.map(Some).map_err(|error| WorkerError::Admin { address, reason: error.to_string() })
    }

    fn desk(&self, switch: KillSwitch, status: watch::Receiver<DispatchStatus>) -> Desk {
        let config = &self.config;
        Desk {
            name: config.worker.name.clone().unwrap_or_else(host_name),
            mode: config.mode,
            kafka: config.kafka.clone(),
            tenant: config.defender.tenant_id.clone(),
            switch,
            status,
            rules: self.rules.handle(),
        }
    }

    fn dispatch(
        &self,
        client: Client,
        carry_after: Duration,
        not_halted: Condition,
        switch: KillSwitch,
        status: watch::Sender<DispatchStatus>,
    ) -> Dispatch {
        let config = &self.config;
        let accounts = Accounts { metrics: self.metrics.clone(), longest_rule_window: self.rules.longest_window() };
        let context = LaneContext {
            tenant: config.defender.tenant_id.clone(),
            owner: config.worker.name.clone().unwrap_or_else(host_name),
            mode: config.mode,
            switch,
            scheduler: config.scheduler.clone(),
            partition: config.kafka.ledger.partition,
            partitions: u32::try_from(config.kafka.ledger.partitions).unwrap_or(1),
            carry_after,
            accept_lost_ledger: config.worker.accept_lost_ledger,
            accounts,
        };
        Dispatch {
            kafka: config.kafka.clone(),
            settings: config.worker.clone(),
            context,
            caller: Caller { client, metrics: self.metrics.clone() },
            metrics: self.metrics.clone(),
            progress: self.liveness.register("dispatch", LOOP_LIMIT, Timestamp::now()),
            not_halted,
            status,
        }
    }
}

/// The name that a replica goes by when none is configured.
fn host_name() -> String {
    let from_environment = std::env::var("HOSTNAME").ok();
    let from_file = || std::fs::read_to_string("/etc/hostname").ok();
    let name = from_environment.or_else(from_file).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "alert-responder".to_owned() } else { name.to_owned() }
}
