//! One helper for two brokers: librdkafka's mock cluster, and a real one when `KAFKA_BOOTSTRAP_SERVERS` names it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use alert_responder::kafka::{EmbeddedBroker, Settings, ensure_topics};
use uuid::Uuid;

/// A broker with topics of this test's own.
pub(crate) struct Broker {
    pub(crate) settings: Settings,
    /// Kept alive; `None` when the broker is a real one.
    pub(crate) embedded: Option<EmbeddedBroker>,
    _own: Option<StopOnDrop>,
}

/// A broker that no failed test leaves behind.
struct StopOnDrop(PathBuf);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        kafka_script("stop", &self.0);
    }
}

impl Broker {
    /// Topics and groups get names that no other test has.
    pub(crate) async fn start(alerts_partitions: i32) -> Self {
        let id = Uuid::new_v4().simple().to_string();
        let named = |settings: Settings| named(&id, alerts_partitions, settings);
        if let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            return Self::real(bootstrap_servers, named).await;
        }
        let names = named(Settings::default());
        let embedded = EmbeddedBroker::start(&[
            (&names.alerts_topic, alerts_partitions),
            (&names.ledger_topic, 1),
            (&names.dead_letters_topic, 1),
        ])
        .expect("embedded broker");
        Self { settings: named(embedded.settings()), embedded: Some(embedded), _own: None }
    }
    /// A real broker of this test's own, in `dir`, which the test may kill; `None` where the tests run without real ones.
    pub(crate) async fn start_own(dir: &Path, alerts_partitions: i32) -> Option<Self> {
        std::env::var_os("KAFKA_BOOTSTRAP_SERVERS")?;
        let servers = kafka_script("start", dir);
        let id = Uuid::new_v4().simple().to_string();
        let own = Some(StopOnDrop(dir.to_owned()));
        let broker = Self::real(servers, |settings| named(&id, alerts_partitions, settings)).await;
        Some(Self { _own: own, ..broker })
    }

    async fn real(bootstrap_servers: String, named: impl FnOnce(Settings) -> Settings) -> Self {
        let settings = named(Settings {
            bootstrap_servers,
            session_timeout: Duration::from_secs(6),
            revoke_budget: Duration::from_secs(3),
            delivery_timeout: Duration::from_secs(10),
            fetch_wait_max: Duration::from_millis(100),
            ..Settings::default()
        });
        ensure_topics(&settings).await.expect("topics");
        Self { settings, embedded: None, _own: None }
    }
}

fn named(id: &str, alerts_partitions: i32, settings: Settings) -> Settings {
    let mut settings = Settings {
        group_id: format!("g-{id}"),
        alerts_topic: format!("alerts-{id}"),
        ledger_topic: format!("scans-{id}"),
        dead_letters_topic: format!("dead-{id}"),
        create_topics: true,
        create_alerts_partitions: alerts_partitions,
        create_replication_factor: 1,
        ..settings
    };
    settings.ledger.allow_single_replica = true;
    settings
}

/// Runs `.ci/kafka.sh COMMAND DIR`; what `start` says of the address.
pub(crate) fn kafka_script(command: &str, dir: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/kafka.sh");
    let output = Command::new(script).arg(command).arg(dir).output().expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.trim().trim_start_matches("KAFKA_BOOTSTRAP_SERVERS=").to_owned()
}
