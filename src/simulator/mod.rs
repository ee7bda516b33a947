//! A faithful local Defender for Endpoint: tokens, machines, machine actions, rate limits, and faults on demand.
//!
//! What Microsoft's pages fix is fixed: token answers of both versions, 401 and 403, case-sensitive `Comment` and
//! `ScanType`, 404 for an unknown machine, `Pending` → `InProgress` → an end, 429 with `Retry-After`, the error shape with a
//! `target`, lists with `$filter`, `$top` and `$skip`, get and cancel. What they leave open is a switch of [`Config`].
//!
//! # Behaviours by device name
//!
//! A name that begins with `sim-` asks for what the words after it say, until a word that is not in the table. A fault stays
//! unless `-once`, `-twice` or `-<n>x` follows it; several faults apply one after the other
//! (`sim-503-once-429-once-pending-forever-7.corp.contoso.com`).
//!
//! | word | effect |
//! |---|---|
//! | `500` | 500 `InternalServerError` in the API's shape, no scan |
//! | `502` `503` `504` | gateway page in HTML, no scan |
//! | `500-empty` … `504-empty` | the same without a body |
//! | `400` `401` `403` `404` | `InvalidInput`, `Unauthorized`, `Forbidden`, `ResourceNotFound` |
//! | `403-html` `404-html` | the status with a page that is not in the API's shape |
//! | `disabled` `disallowed` | 403 `DisabledFeature`, `DisallowedOperation` |
//! | `unsupported` `old-client` | 400 `OsPlatformNotSupported`, `ClientVersionNotSupported` |
//! | `429` `429-date` `429-no-retry-after` | 429 with 1 second, with a date, with nothing |
//! | `redirect` | 307 to itself |
//! | `hang` | no answer, no scan; cut after `hang_for` |
//! | `slow` | the scan is created, the answer comes after `slow_for` |
//! | `late-create` | no answer; the scan is created `slow_for` later |
//! | `cut-before-create` `cut-after-create` | the connection is cut before or after the scan is created |
//! | `html-after-create` | the scan is created, the answer is 200 with HTML |
//! | `pending-forever` `runs-forever` | its actions stay `Pending` or `InProgress` until `timeout_after`, then `TimeOut` |
//! | `fails` `cancelled` | its actions end as `Failed`, or are cancelled by an analyst |
//! | `unknown-status` | its actions end with a status that no page names |
//! | `busy-400` `busy-existing` `busy-existing-201` | an analyst's Quick scan is open; a request is answered with 400, 200, 201 |
//! | `busy-full-400` `busy-full-existing` `busy-full-existing-201` | the same with a Full scan |
//! | `null-fields` | creation answers have null `scope`, `machineId`, `computerDnsName` |
//! | `unlisted` | its actions are in no list |
//! | `lookup-404` `lookup-503` | the look-up of the machine fails |
//!
//! # Control over HTTP
//!
//! | call | effect |
//! |---|---|
//! | `GET /simulator/health` | 200 |
//! | `GET /simulator/log` | every [`CallRecord`] as a line of JSON |
//! | `GET /simulator/summary` | accepted scans, statuses, most calls in any sliding window |
//! | `POST /simulator/faults` | a [`FaultPlan`] |
//! | `DELETE /simulator/faults` | no more faults |
//! | `POST /simulator/machines` | a [`SimMachine`]; only `name` is needed |
//! | `POST /simulator/actions` | an analyst's scan: `{"machine_id", "scan_type", "comment"}` |
//! | `POST /simulator/revoke-tokens` | every token issued so far is answered with 401 |

mod action;
mod calls;
mod config;
mod fault;
mod machines;
mod names;
mod net;
mod odata;
mod quota;
mod reads;
mod reply;
mod scan;
mod server;
mod token;
mod world;

#[cfg(test)]
mod tests;

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use calls::{CallRecord, Endpoint};
pub use config::{Config, Quota, Repeat, RetryAfter, SimApp, SimMachine, WindowKind, WrongAudience, machine_id_of};
pub use fault::{Fault, FaultBody, FaultPlan, FaultScope};

use net::{CutListener, Scissors};
use server::Shared;
use world::World;

/// A simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address cannot be listened on.
    #[error("the simulator cannot listen on {address}: {source}; choose a free port with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The log file cannot be written.
    #[error("the simulator's log file cannot be opened: {0}")]
    Log(std::io::Error),
}

impl SimulatorError {
    /// A short stable word.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "listen",
            Self::Log(_) => "log",
        }
    }
}

/// A running simulator; dropped or stopped, it is gone with all its connections.
pub struct Simulator {
    address: SocketAddr,
    shared: Shared,
    connections: CancellationToken,
    tasks: JoinSet<()>,
}

impl Simulator {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address or the log file cannot be had.
    pub async fn start(config: Config) -> Result<Self, SimulatorError> {
        let listen = config.listen;
        let world = World::new(config).map_err(SimulatorError::Log)?;
        let connections = CancellationToken::new();
        let (refuse, refusing) = watch::channel(None);
        let listener = CutListener::bind(listen, refusing, connections.clone())
            .await
            .map_err(|source| SimulatorError::Listen { address: listen, source })?;
        let address = listener.address();
        let shared = Shared::new(world, refuse);
        let service = server::router(shared.clone()).into_make_service_with_connect_info::<Scissors>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, service).into_future().await {
                tracing::error!(%error, "the simulator's server ended");
            }
        });
        Ok(Self { address, shared, connections, tasks })
    }

    /// Base URL of the API, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL of the login authority; the same place.
    #[must_use]
    pub fn authority_url(&self) -> String {
        self.url()
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<CallRecord> {
        self.shared.world().log.records().cloned().collect()
    }

    /// The calls of one endpoint.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> Vec<CallRecord> {
        self.shared.world().log.records().filter(|record| record.endpoint == endpoint).cloned().collect()
    }

    /// The scan requests that made a scan, answered or not.
    #[must_use]
    pub fn accepted_scans(&self) -> Vec<CallRecord> {
        self.shared.world().log.records().filter(|record| record.created).cloned().collect()
    }

    /// The most calls of an endpoint that lie within any window of this length.
    #[must_use]
    pub fn most_calls_in_any_sliding_window(&self, window: Duration, endpoint: Endpoint) -> usize {
        self.shared.world().log.most_in_window(window, endpoint)
    }

    /// What `GET /simulator/summary` says.
    #[must_use]
    pub fn summary(&self) -> serde_json::Value {
        let world = self.shared.world();
        let windows: Vec<Duration> = world.config.quotas.iter().map(|quota| quota.window).collect();
        world.log.summary(&windows)
    }

    /// Switches a fault on; of several, the latest that covers a call applies.
    pub fn set_fault(&self, plan: FaultPlan) {
        self.shared.set_fault(plan);
    }

    /// Switches every fault off.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Adds a device while running; returns its id.
    pub fn add_machine(&self, machine: SimMachine) -> String {
        self.shared.world().add_machine(machine)
    }

    /// Puts an analyst's scan on a device; it stays open until `timeout_after`. Returns its action id, none for an unknown
    /// device.
    pub fn add_foreign_scan(&self, machine_id: &str, scan_type: &str, comment: &str) -> Option<String> {
        self.shared.world().add_foreign(machine_id, scan_type, comment)
    }

    /// Makes every token issued so far invalid.
    pub fn revoke_tokens(&self) {
        self.shared.world().revoke_tokens();
    }

    /// Closes the port and cuts every connection.
    pub async fn stop(mut self) {
        self.connections.cancel();
        self.tasks.shutdown().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.connections.cancel();
    }
}
