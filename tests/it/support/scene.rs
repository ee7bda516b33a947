//! Everything that a worker needs around it: a broker, a simulated Defender, rules, a configuration; and the worker.

#![expect(clippy::print_stdout, reason = "who looks into a failure must know where")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use alert_responder::kafka::{Cluster, Settings, committed, produce_lines, watermarks};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::account::{audit_balances, each_device_is_scanned_once, nothing_is_lost, quota_is_kept};
use super::broker::Broker;
use super::embedded_worker;
use super::ledger::Ledger;
use super::load::{Load, RULES};
use super::process::{LOOK_EVERY, Process, free_port, http};
use super::simulator::{SimulatorProcess, most_in_any_window};

/// Scenes that may be played at once: each runs several processes.
static STAGES: Semaphore = Semaphore::const_new(2);

/// Nothing may stand still for longer than this while something is awaited. Much longer than any wait of the settings below.
const PATIENCE: Duration = Duration::from_secs(30);

/// L of the settings below.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Calls that are allowed, scaled to tests.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) per_second: usize,
    pub(crate) per_long: usize,
    pub(crate) long: Duration,
}

impl Quota {
    /// Enough not to be in the way.
    pub(crate) const AMPLE: Self = Self { per_second: 50, per_long: 500, long: Duration::from_secs(10) };
}

/// A worker that was started.
pub(crate) struct Worker {
    pub(crate) process: Process,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Worker {
    /// The sum of a metric's series whose labels contain `labels`; `None` while nobody answers or it has none.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> Option<f64> {
        let (_, text) = http(self.address, "GET", "/metrics", "")?;
        let series = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
        let values: Vec<f64> = series.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Partitions of a topic that it says it owns.
    pub(crate) fn owned(&self, topic: &str) -> usize {
        self.metric("alert_responder_owned_partitions", &format!("\"{topic}\"")).map_or(0, |owned| owned as usize)
    }

    /// Status and JSON of a request to its admin API.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http(self.admin, method, path, &body)?;
        Some((status, serde_json::from_str(&answer).ok()?))
    }

    /// Where its admin API is.
    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Why it is not ready, or `None` when it is.
    pub(crate) fn not_ready(&self) -> Option<String> {
        match http(self.address, "GET", "/readyz", "") {
            Some((200, _)) => None,
            Some((_, body)) => Some(body),
            None => Some("nobody answers".to_owned()),
        }
    }
}

/// See the module.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) settings: Settings,
    pub(crate) broker: Broker,
    pub(crate) simulator: SimulatorProcess,
    /// The configuration of the next worker.
    pub(crate) config: Value,
    /// Most calls in a time.
    quotas: Vec<(usize, Duration)>,
    workers: usize,
    _stage: SemaphorePermit<'static>,
}

impl Scene {
    /// For a load, on a broker with topics of its own; few calls are allowed in any second and in any `long`.
    pub(crate) async fn set(load: &Load, partitions: i32, quota: Quota) -> Self {
        let stage = STAGES.acquire().await.expect("never closed");
        Self::on(stage, Broker::start(partitions).await, load, quota).await
    }

    /// The same on a broker of its own, which can be away.
    pub(crate) async fn set_on_own_broker(load: &Load, partitions: i32, quota: Quota) -> Self {
        let stage = STAGES.acquire().await.expect("never closed");
        Self::on(stage, Broker::start_own(partitions).await, load, quota).await
    }

    /// The same with the ledger alone on a broker of its own.
    pub(crate) async fn set_on_split_brokers(load: &Load, partitions: i32, quota: Quota) -> Self {
        let stage = STAGES.acquire().await.expect("never closed");
        Self::on(stage, Broker::start_split(partitions).await, load, quota).await
    }

    async fn on(stage: SemaphorePermit<'static>, broker: Broker, load: &Load, quota: Quota) -> Self {
        let quotas = vec![(quota.per_second, Duration::from_secs(1)), (quota.per_long, quota.long)];
        let mut simulator = load.machines();
        for (calls, window) in &quotas {
            simulator.extend(["--quota".to_owned(), format!("{calls}/{}s", window.as_secs())]);
        }
        let settings = broker.settings.clone();
        let directory = tempfile::tempdir().expect("a directory");
        let scaled = [
            ["--pending-for", "100ms"],
            ["--running-for", "200ms"],
            ["--list-lag", "500ms"],
            ["--latency", "100ms"],
            ["--slow-for", "1s"],
            ["--hang-for", "20s"],
        ];
        let flags: Vec<String> = scaled.concat().into_iter().map(str::to_owned).chain(simulator).collect();
        let simulator = SimulatorProcess::start(directory.path(), &flags).await;
        std::fs::create_dir(directory.path().join("rules")).expect("a directory");
        for (number, rule) in RULES.split("\n---\n").enumerate() {
            std::fs::write(directory.path().join(format!("rules/{number}.yml")), rule).expect("a rule");
        }
        let mut config = config(&settings, &simulator.url(), &directory.path().join("rules").display().to_string());
        let limits = json!({ "per_minute": quota.per_second, "per_hour": quota.per_long,
                             "hour_window": format!("{}s", quota.long.as_secs()) });
        merge(&mut config, json!({ "scheduler": { "quota": limits } }));
        Self { directory, settings, broker, simulator, config, quotas, workers: 0, _stage: stage }
    }

    /// Starts a worker with the configuration as it is now.
    pub(crate) fn start_worker(&mut self) -> Worker {
        self.workers += 1;
        let name = format!("worker-{}", self.workers);
        let [address, admin] = [(), ()].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        merge(
            &mut self.config,
            json!({ "worker": { "name": name }, "telemetry": { "listen": address.to_string() },
                    "admin": { "listen": admin.to_string() } }),
        );
        let config = self.directory.path().join(format!("{name}.yaml"));
        // JSON is YAML.
        std::fs::write(&config, self.config.to_string()).expect("a configuration");
        let log = self.directory.path().join(format!("{name}.log"));
        let process = if self.broker.embedded.is_some() {
            let (program, arguments, (variable, value)) = embedded_worker::command(&config);
            Process::run(&name, Command::new(program).args(arguments).env(variable, value), &log)
        } else {
            let arguments = ["run", "--config", &config.display().to_string()].map(str::to_owned);
            Process::start(&name, &arguments, &log)
        };
        Worker { process, address, admin }
    }

    /// Runs a command of the program with the configuration of the latest worker: exit code, standard output, standard error.
    pub(crate) fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let config = self.worker_config();
        let mut command = Command::new(env!("CARGO_BIN_EXE_alert-responder"));
        command.args(arguments).env_clear().env("ALERT_RESPONDER_CONFIG", config).env("USER", "jane");
        let output = command.output().expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().expect("no signal"), text(&output.stdout), text(&output.stderr))
    }

    /// The configuration file of the latest worker.
    pub(crate) fn worker_config(&self) -> std::path::PathBuf {
        self.directory.path().join(format!("worker-{}.yaml", self.workers))
    }

    /// Changes the configuration of workers that are started from now on.
    pub(crate) fn configure(&mut self, change: Value) {
        merge(&mut self.config, change);
    }

    /// Writes alerts.
    pub(crate) async fn produce(&self, lines: &[String]) {
        let input = lines.join("\n");
        let report = produce_lines(&self.settings, &self.settings.alerts_topic, input.as_bytes()).await;
        let report = report.expect("a producer");
        assert_eq!((report.produced, report.failed), (lines.len() as u64, 0), "{:?}", report.failures);
    }

    pub(crate) async fn ledger(&self) -> Ledger {
        Ledger::follow(&self.settings, &self.directory.path().join("ledger.ndjson")).await
    }

    /// Alerts that are not yet behind a committed offset, as the broker has it.
    pub(crate) async fn uncommitted(&self) -> i64 {
        let topic = &self.settings.alerts_topic;
        let commits =
            committed(&self.settings, Cluster::Alerts, &self.settings.group_id, topic).await.expect("commits");
        let marks = watermarks(&self.settings, Cluster::Alerts, topic).await.expect("watermarks");
        marks.iter().map(|m| m.high - commits.get(&m.partition).map_or(0, |commit| commit.offset)).sum()
    }

    /// Everything that the worker promised and did not keep, as seen from outside.
    pub(crate) async fn broken_promises(&self, load: &Load, ledger: &Ledger) -> Vec<String> {
        let calls = self.simulator.scans();
        let mut wrong = nothing_is_lost(&self.settings, load, ledger).await;
        wrong.extend(each_device_is_scanned_once(load, ledger, &calls, LEAVE_WITHIN));
        let by_name = load.devices.iter().filter(|name| name.starts_with("sim-429")).count();
        wrong.extend(quota_is_kept(&calls, &self.quotas, by_name));
        wrong.extend(audit_balances(&self.worker_config()));
        let windows = self.quotas.iter().map(|(limit, window)| (most_in_any_window(&calls, *window), limit, window));
        println!(
            "{} alerts; {} calls, {} scans of {} intended; {} owners, {} attempts without a result when the next one came, \
             {} scans found by a list; {} repeated requests, {} void ends; fullest windows {:?}; {:?}",
            load.lines.len(),
            calls.len(),
            calls.iter().filter(|call| call.created).count(),
            load.intended.len(),
            ledger.claims,
            ledger.inherited,
            ledger.accepted_by_list,
            ledger.repeated,
            ledger.void,
            windows.collect::<Vec<_>>(),
            ledger.totals(),
        );
        wrong
    }

    /// Fails the test when a promise is broken.
    pub(crate) async fn check_promises(&self, load: &Load, ledger: &Ledger) {
        let wrong = self.broken_promises(load, ledger).await;
        assert!(wrong.is_empty(), "{} promises are broken:\n{}", wrong.len(), wrong.join("\n"));
    }

    /// Waits until some more scan requests have arrived, but not for ever.
    pub(crate) async fn after_more_calls(&self, worker: &mut Worker, more: usize) {
        let (begin, deadline) = (self.simulator.scans().len(), Instant::now() + Duration::from_secs(20));
        while self.simulator.scans().len() < begin + more && Instant::now() < deadline {
            assert!(worker.process.exited().is_none(), "the worker ended by itself\n{}", worker.process.tail());
            sleep(LOOK_EVERY / 5).await;
        }
    }

    /// Waits until a look says yes; fails when it has said no for too long.
    pub(crate) async fn wait_for(&self, what: &str, worker: &mut Worker, mut look: impl FnMut(&Worker) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !look(worker) {
            let ended = worker.process.exited();
            assert!(ended.is_none(), "the worker ended ({ended:?}) before {what}\n{}", worker.process.tail());
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}\n{}", worker.process.tail());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until everything has come to its end as seen from outside: all alerts are committed, and `requests` requests
    /// have an outcome. Fails when nothing moves any more before that.
    pub(crate) async fn comes_to_rest(&mut self, requests: usize, ledger: &mut Ledger, worker: &mut Worker) {
        let (mut seen, mut since) = ((0, 0, 0), Instant::now());
        loop {
            ledger.read().await;
            let uncommitted = self.uncommitted().await;
            let (asked, open) = (ledger.requests.len(), ledger.open());
            if uncommitted == 0 && asked >= requests && open == 0 {
                return;
            }
            let now = (ledger.end, uncommitted, self.simulator.scans().len());
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            let state = || {
                let tail = worker.process.tail();
                let open_ones: Vec<_> = ledger.open_places().take(5).collect();
                format!(
                    "{uncommitted} alerts uncommitted, {asked} of {requests} requests made, {open} open: \
                     {open_ones:?}\n{tail}"
                )
            };
            assert!(since.elapsed() < PATIENCE, "nothing has moved for {PATIENCE:?}: {}", state());
            assert!(self.simulator.is_alive(), "the simulator has ended");
            if let Some(status) = worker.process.exited() {
                panic!("the worker ended with {status}: {}", worker.process.tail());
            }
        }
    }
}

impl Drop for Scene {
    /// What was written down about a failure stays.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            println!("logs are in {}", self.directory.path().display());
        }
    }
}

/// Times scaled to tests: a lost answer is resolved 4 s after its intent at the earliest instead of 95.
fn config(kafka: &Settings, defender: &str, rules: &str) -> Value {
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    json!({
        "mode": "live",
        "kafka": {
            "bootstrap_servers": kafka.bootstrap_servers,
            "group_id": kafka.group_id,
            "alerts_topic": kafka.alerts_topic,
            "ledger_topic": kafka.ledger_topic,
            "dead_letters_topic": kafka.dead_letters_topic,
            "session_timeout": millis(kafka.session_timeout),
            "revoke_budget": millis(kafka.revoke_budget),
            "delivery_timeout": millis(kafka.delivery_timeout),
            "fetch_wait_max": millis(kafka.fetch_wait_max),
            "librdkafka": kafka.librdkafka,
            "ledger": { "allow_single_replica": true, "cluster": kafka.ledger.cluster.as_ref().map(|cluster| json!({
                "bootstrap_servers": cluster.bootstrap_servers, "librdkafka": cluster.librdkafka,
            })) },
        },
        "rules": { "directory": rules },
        "defender": {
            "tenant_id": "1228d172-029d-54e1-81c4-e82adcba5353",
            "client_id": "f617dd7a-e131-5de7-bb91-af000f2b74c2",
            "client_secret": "simulator-secret",
            "api_url": defender,
            "authority_url": defender,
            "call_timeout": "2s",
            "connect_timeout": "1s",
        },
        "scheduler": {
            "quota": { "minute_window": "1s", "hour_window": "20s", "pause_without_retry_after": "1s" },
            "reads": { "per_minute": 6000, "per_hour": 100_000 },
            "retry": { "first": "200ms", "longest": "2s", "busy": "1s" },
            "leave_within": millis(LEAVE_WITHIN),
            "call_timeout": "2s",
            "settle": "1s",
            "list_gap": "1s",
            "follow_interval": "500ms",
            "merge_window": "200ms",
            "blast_radius": { "devices": 100_000 },
        },
        "telemetry": { "log_format": "text" },
        "worker": { "shutdown_grace": "10s", "dispatch_commit_interval": "1s", "reclaim_delay": "1s" },
    })
}

/// Lays one document over another.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
