//! How faithful, how fast and how broken the simulated Defender is.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Settings of a simulator. [`Config::default`] follows the documented behaviour, on a free port of this machine, with two
/// workstations and an app registration that may do everything, and takes an action through its life in a few seconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on. Default `127.0.0.1:0`, a free port.
    pub listen: SocketAddr,
    /// The one tenant.
    pub tenant_id: String,
    /// Its app registrations.
    pub apps: Vec<SimApp>,
    /// Token audiences that the API takes.
    pub audiences: Vec<String>,
    /// Life of a token. Default 3599 s. The answer's `expires_in` is whole seconds, rounded down.
    pub token_lifetime: Duration,
    /// Answer to a token for another API.
    pub wrong_audience: WrongAudience,
    /// Devices known from the start.
    pub machines: Vec<SimMachine>,
    /// Whether every other id of 40 hexadecimal digits is a device too, with a name made from the id.
    pub any_machine: bool,
    /// Ids that do not exist even so.
    pub unknown_ids: BTreeSet<String>,
    /// Answer to a scan request for a device with an open scan.
    pub repeat: Repeat,
    /// How long an action is `Pending`. Default 1 s.
    pub pending_for: Duration,
    /// How long it is then `InProgress`. Default 2 s.
    pub running_for: Duration,
    /// When an action that nobody takes ends as `TimeOut`. Default 3 days, as at Defender.
    pub timeout_after: Duration,
    /// When somebody else's scans end, from their beginning; by default they stay open until `timeout_after`.
    pub foreign_ends_after: Option<Duration>,
    /// How long after its creation an action shows up in lists. Default 0.
    pub list_lag: Duration,
    /// Page size when `$top` is absent. Default 10,000.
    pub default_page_size: usize,
    /// A page is never longer, whatever `$top` says. Default 10,000.
    pub max_page_size: usize,
    /// Whether a list that goes on carries `@odata.nextLink` (with another host, as seen in the wild). Default off.
    pub next_link: bool,
    /// Whether an empty list of machine actions is a 404 instead of an empty `value`. Default off.
    pub empty_list_404: bool,
    /// Whether creation answers have null `scope`, `machineId` and `computerDnsName`. Default off.
    pub null_fields: bool,
    /// Whether the update time is spelled `lastUpdateTimeUtc`. Default off.
    pub old_update_spelling: bool,
    /// Rate limits, for each application and family of endpoints. Default 100 in 60 s and 1,500 in 3,600 s.
    pub quotas: Vec<Quota>,
    /// Kind of the windows. Default sliding.
    pub window: WindowKind,
    /// Whether a call answered with 429 counts as well. Default off.
    pub count_rejected: bool,
    /// How a 429 says when to come back. Default whole seconds.
    pub retry_after: RetryAfter,
    /// How long `hang` holds a connection before it is cut. Default 120 s.
    pub hang_for: Duration,
    /// How late the answer of a `slow` device is, and the scan of a `late-create` one. Default 2 s.
    pub slow_for: Duration,
    /// File to which every call is appended as a line of JSON, at once.
    pub log_file: Option<PathBuf>,
    /// Calls kept in memory; the oldest go first. Default 500,000.
    pub log_capacity: usize,
    /// Machine actions kept; the oldest go first. Default 200,000.
    pub action_capacity: usize,
    /// Seed of action and correlation ids. Default none: from the start time, so that a restart makes new ids.
    pub seed: Option<u64>,
}

/// An app registration.
#[derive(Debug, Clone)]
pub struct SimApp {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: String,
    /// Application permissions granted. None: its tokens have no `roles`.
    pub roles: Vec<String>,
}

/// A device. Its name may ask for a behaviour; see the table in the [module's documentation](crate::simulator).
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimMachine {
    /// Machine id; empty means the one made from the name.
    #[serde(default)]
    pub id: String,
    /// Computer name.
    pub name: String,
    /// Operating system.
    #[serde(default = "default_os")]
    pub os: String,
    /// Device group.
    #[serde(default)]
    pub group: Option<String>,
    /// Machine tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Risk score.
    #[serde(default)]
    pub risk: Option<String>,
    /// Last address.
    #[serde(default)]
    pub ip: Option<String>,
}

fn default_os() -> String {
    "Windows11".to_owned()
}

impl SimMachine {
    /// A device by its name alone; the id is [`machine_id_of`] the name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            id: machine_id_of(name),
            name: name.to_owned(),
            os: default_os(),
            group: None,
            tags: Vec::new(),
            risk: None,
            ip: None,
        }
    }
}

/// The machine id that a name stands for: the first 40 hexadecimal digits of its SHA-256, in lower case.
#[must_use]
pub fn machine_id_of(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// A rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls allowed.
    pub calls: usize,
    /// In this time.
    pub window: Duration,
}

/// The status for a token of another API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum WrongAudience {
    /// 401.
    #[default]
    Unauthorized,
    /// 403.
    Forbidden,
}

/// The answer to a request for a device with an open scan; the documentation allows them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Repeat {
    /// 400 `ActiveRequestAlreadyExists`.
    #[default]
    Error400,
    /// 200 with the open action.
    Existing200,
    /// 201 with the open action.
    Existing201,
}

/// How calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum WindowKind {
    /// The calls of the last so many seconds.
    #[default]
    Sliding,
    /// The calls since the last full window.
    Fixed,
}

/// The `Retry-After` of a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum RetryAfter {
    /// Whole seconds, rounded up, at least 1.
    #[default]
    Seconds,
    /// An HTTP date.
    Date,
    /// Absent.
    Absent,
}

impl Default for Config {
    fn default() -> Self {
        let mut first = SimMachine::named("ws-0417.corp.contoso.com");
        "2eeb1689b274fc8f816c48ac9219e820fc4de080".clone_into(&mut first.id);
        let mut second = SimMachine::named("ws-0522.corp.contoso.com");
        "54d1b7e74cb04d18673208ee97ab29dbb71cde4e".clone_into(&mut second.id);
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tenant_id: "1228d172-029d-54e1-81c4-e82adcba5353".to_owned(),
            apps: vec![SimApp::default()],
            audiences: [
                "https://api.securitycenter.microsoft.com",
                "https://securitycenter.onmicrosoft.com/windowsatpservice",
                "https://securitycenter.onmicrosoft.us/windowsatpservice",
            ]
            .map(str::to_owned)
            .to_vec(),
            token_lifetime: Duration::from_secs(3599),
            wrong_audience: WrongAudience::default(),
            machines: vec![first, second],
            any_machine: false,
            unknown_ids: BTreeSet::new(),
            repeat: Repeat::default(),
            pending_for: Duration::from_secs(1),
            running_for: Duration::from_secs(2),
            timeout_after: Duration::from_secs(3 * 86_400),
            foreign_ends_after: None,
            list_lag: Duration::ZERO,
            default_page_size: 10_000,
            max_page_size: 10_000,
            next_link: false,
            empty_list_404: false,
            null_fields: false,
            old_update_spelling: false,
            quotas: vec![
                Quota { calls: 100, window: Duration::from_secs(60) },
                Quota { calls: 1500, window: Duration::from_secs(3600) },
            ],
            window: WindowKind::default(),
            count_rejected: false,
            retry_after: RetryAfter::default(),
            hang_for: Duration::from_secs(120),
            slow_for: Duration::from_secs(2),
            log_file: None,
            log_capacity: 500_000,
            action_capacity: 200_000,
            seed: None,
        }
    }
}

impl Default for SimApp {
    /// The app registration of the examples: client id `f617dd7a-e131-5de7-bb91-af000f2b74c2`, secret `simulator-secret`, roles
    /// `Machine.Scan` and `Machine.Read.All`.
    fn default() -> Self {
        Self {
            client_id: "f617dd7a-e131-5de7-bb91-af000f2b74c2".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            roles: vec!["Machine.Scan".to_owned(), "Machine.Read.All".to_owned()],
        }
    }
}
