//! The demo's configuration: the real one with its times scaled down.

use std::net::SocketAddr;
use std::time::Duration;

use super::stream::{Stream, TENANT};
use crate::config::Config;
use crate::event::Mode;
use crate::kafka::EmbeddedBroker;
use crate::scheduler::ProtectedDevices;
use crate::simulator::{Config as SimulatorConfig, Quota, SimApp};

/// Calls in the short window.
pub(super) const PER_MINUTE: u32 = 25;
/// Calls in the long window.
pub(super) const PER_HOUR: u32 = 150;
/// The quota's minute.
pub(super) const MINUTE: Duration = Duration::from_secs(3);
/// The quota's hour.
pub(super) const HOUR: Duration = Duration::from_secs(30);

const CLIENT: &str = "f617dd7a-e131-5de7-bb91-af000f2b74c2";
const SECRET: &str = "simulator-secret";

/// The Defender of the demo.
pub(super) fn simulator_config(stream: &Stream) -> SimulatorConfig {
    let calls = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    SimulatorConfig {
        tenant_id: TENANT.to_owned(),
        apps: vec![SimApp {
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
            roles: vec!["Machine.Scan".to_owned(), "Machine.Read.All".to_owned()],
        }],
        machines: stream.machines.clone(),
        // Tokens expire on the way, and are renewed before they do.
        token_lifetime: Duration::from_secs(10),
        pending_for: Duration::from_millis(300),
        running_for: Duration::from_millis(700),
        list_lag: Duration::from_millis(200),
        foreign_ends_after: Some(Duration::from_secs(13)),
        quotas: vec![
            Quota { calls: calls(PER_MINUTE), window: MINUTE },
            Quota { calls: calls(PER_HOUR), window: HOUR },
        ],
        ..SimulatorConfig::default()
    }
}

/// The worker of the demo.
pub(super) fn configuration(broker: &EmbeddedBroker, api: &str, serve: bool) -> Config {
    let mut config = Config { mode: Mode::Live, kafka: broker.settings(), ..Config::default() };
    config.defender.tenant_id = TENANT.to_owned();
    config.defender.client_id = CLIENT.to_owned();
    config.defender.client_secret = Some(SECRET.to_owned().into());
    config.defender.api_url = Some(api.to_owned());
    config.defender.authority_url = Some(api.to_owned());
    config.defender.call_timeout = Duration::from_millis(1500);
    config.defender.connect_timeout = Duration::from_millis(500);
    config.telemetry.listen = SocketAddr::from(([127, 0, 0, 1], if serve { 9090 } else { 0 }));
    config.worker.name = Some("demo".to_owned());
    config.worker.tick = Duration::from_millis(20);
    config.worker.shutdown_grace = Duration::from_secs(5);
    let scheduler = &mut config.scheduler;
    scheduler.quota.per_minute = PER_MINUTE;
    scheduler.quota.per_hour = PER_HOUR;
    scheduler.quota.minute_window = MINUTE;
    scheduler.quota.hour_window = HOUR;
    scheduler.quota.pause_without_retry_after = Duration::from_secs(1);
    scheduler.reads.per_minute = 1000;
    scheduler.reads.per_hour = 10_000;
    scheduler.retry.first = Duration::from_millis(300);
    scheduler.retry.longest = Duration::from_secs(2);
    scheduler.retry.busy = Duration::from_secs(2);
    scheduler.leave_within = Duration::from_secs(1);
    scheduler.call_timeout = Duration::from_millis(1500);
    scheduler.settle = Duration::from_millis(1000);
    scheduler.list_gap = Duration::from_millis(1000);
    scheduler.follow_interval = Duration::from_millis(500);
    scheduler.quick_deadline = Duration::from_secs(16);
    scheduler.full_deadline = Duration::from_secs(16);
    scheduler.merge_window = Duration::from_millis(1500);
    scheduler.protected = ProtectedDevices {
        names: vec!["dc-*".to_owned()],
        tags: vec!["no-scan".to_owned()],
        ..ProtectedDevices::default()
    };
    config
}
