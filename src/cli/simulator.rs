//! `simulator`: a local Defender for Endpoint to try rules, dashboards and failures against.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use super::time::duration;
use super::{CliError, OutputFormat};
use crate::simulator::{
    Config, Fault, FaultBody, FaultPlan, FaultScope, Quota, Repeat, RetryAfter, SimApp, SimMachine, Simulator,
    WindowKind, WrongAudience, machine_id_of,
};

/// Run a local Defender for Endpoint: tokens, machines, machine actions, rate limits, faults on demand.
#[derive(Debug, Clone, Args)]
pub struct SimulatorArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Append every call to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Tenant id
    #[arg(long, default_value = "1228d172-029d-54e1-81c4-e82adcba5353")]
    pub tenant_id: String,
    /// Client id of the app registration
    #[arg(long, default_value = "f617dd7a-e131-5de7-bb91-af000f2b74c2")]
    pub client_id: String,
    /// Client secret of the app registration
    #[arg(long, default_value = "simulator-secret", env = "SIMULATOR_CLIENT_SECRET", hide_env_values = true)]
    pub client_secret: String,
    /// Role granted; may be repeated [default: Machine.Scan and Machine.Read.All]
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Grant no role at all: tokens without the claim
    #[arg(long, conflicts_with = "roles")]
    pub no_roles: bool,
    /// A device by name, or NAME=ID; may be repeated. Names that begin with sim- ask for a behaviour
    #[arg(long = "machine", value_name = "NAME[=ID]")]
    pub machines: Vec<String>,
    /// Take any id of 40 hexadecimal digits for a device
    #[arg(long)]
    pub any_machine: bool,
    /// An id that does not exist even so; may be repeated
    #[arg(long, value_name = "ID")]
    pub unknown_machine: Vec<String>,
    /// Answer to a request for a device with an open scan
    #[arg(long, value_enum, default_value_t)]
    pub repeat: Repeat,
    /// Answer to a token for another API
    #[arg(long, value_enum, default_value_t)]
    pub wrong_audience: WrongAudience,
    /// Life of a token
    #[arg(long, value_parser = duration, default_value = "3599s")]
    pub token_lifetime: Duration,
    /// How long an action is Pending
    #[arg(long, value_parser = duration, default_value = "1s")]
    pub pending_for: Duration,
    /// How long it is then InProgress
    #[arg(long, value_parser = duration, default_value = "2s")]
    pub running_for: Duration,
    /// When an action that nobody takes ends as TimeOut
    #[arg(long, value_parser = duration, default_value = "72h")]
    pub timeout_after: Duration,
    /// How long after its creation an action shows up in lists
    #[arg(long, value_parser = duration, default_value = "0s")]
    pub list_lag: Duration,
    /// Longest page of a list, whatever $top says
    #[arg(long, default_value_t = 10_000)]
    pub page_size: usize,
    /// Give lists that go on an @odata.nextLink
    #[arg(long)]
    pub next_link: bool,
    /// Answer an empty list of machine actions with 404
    #[arg(long)]
    pub empty_list_404: bool,
    /// Leave scope, machineId and computerDnsName null in creation answers
    #[arg(long)]
    pub null_fields: bool,
    /// Spell the update time lastUpdateTimeUtc
    #[arg(long)]
    pub old_update_spelling: bool,
    /// Rate limit as CALLS/TIME; may be repeated
    #[arg(long = "quota", value_name = "CALLS/TIME", value_parser = quota, default_values = ["100/60s", "1500/3600s"])]
    pub quotas: Vec<Quota>,
    /// No rate limits
    #[arg(long, conflicts_with = "quotas")]
    pub no_quota: bool,
    /// Kind of the rate limits' windows
    #[arg(long, value_enum, default_value_t)]
    pub window: WindowKind,
    /// Count calls that were answered with 429 as well
    #[arg(long)]
    pub count_rejected: bool,
    /// How a 429 says when to come back
    #[arg(long, value_enum, default_value_t)]
    pub retry_after: RetryAfter,
    /// How long a hanging call is held before its connection is cut
    #[arg(long, value_parser = duration, default_value = "120s")]
    pub hang_for: Duration,
    /// How late a slow device's answer and a late-create device's scan are
    #[arg(long, value_parser = duration, default_value = "2s")]
    pub slow_for: Duration,
    /// Answer every call late by this
    #[arg(long, value_parser = duration, default_value = "0s")]
    pub latency: Duration,
    /// Answer every API call with this status, as a gateway does
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(400..600))]
    pub down: Option<u16>,
    /// Seed of action and correlation ids [default: from the start time]
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Runs the simulator until it is interrupted.
///
/// # Errors
/// When the address or the log file cannot be had, or a device is not written as NAME or NAME=ID.
pub async fn run(args: SimulatorArgs, context: &mut super::Context) -> Result<(), CliError> {
    let (latency, down) = (args.latency, args.down);
    let (tenant_id, client_id) = (args.tenant_id.clone(), args.client_id.clone());
    let simulator = Simulator::start(config(args)?).await.map_err(anyhow::Error::from)?;
    if let Some(status) = down {
        simulator.set_fault(FaultPlan::new(Fault::Status { status, body: FaultBody::Html }, FaultScope::Api));
    }
    if !latency.is_zero() {
        let ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        simulator.set_fault(FaultPlan::new(Fault::Latency { ms }, FaultScope::All));
    }
    let url = simulator.url();
    match context.output {
        // One document when it listens, one when it ends.
        OutputFormat::Json => {
            context.json_line(&json!({ "url": url, "tenant_id": tenant_id, "client_id": client_id }))?;
        }
        OutputFormat::Text => {
            context.line(format_args!("Defender simulator on {url}"))?;
            context.line(format_args!("  ALERT_RESPONDER__DEFENDER__API_URL={url}"))?;
            context.line(format_args!("  ALERT_RESPONDER__DEFENDER__AUTHORITY_URL={url}"))?;
            context.line(format_args!("  ALERT_RESPONDER__DEFENDER__TENANT_ID={tenant_id}"))?;
            context.line(format_args!("  ALERT_RESPONDER__DEFENDER__CLIENT_ID={client_id}"))?;
            context.line(format_args!("calls: {url}/simulator/log, counted: {url}/simulator/summary"))?;
        }
    }
    context.out.flush()?;
    interrupted().await?;
    let summary = simulator.summary();
    simulator.stop().await;
    match context.output {
        OutputFormat::Json => context.json_line(&summary),
        OutputFormat::Text => context.line(summary),
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("cannot listen for SIGINT")?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

fn config(args: SimulatorArgs) -> Result<Config> {
    let default = SimApp::default();
    let roles = match (args.no_roles, args.roles.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => default.roles,
        (false, false) => args.roles,
    };
    let mut config = Config {
        listen: args.listen,
        tenant_id: args.tenant_id,
        apps: vec![SimApp { client_id: args.client_id, client_secret: args.client_secret, roles }],
        any_machine: args.any_machine,
        unknown_ids: args.unknown_machine.into_iter().map(|id| id.to_ascii_lowercase()).collect(),
        repeat: args.repeat,
        wrong_audience: args.wrong_audience,
        token_lifetime: args.token_lifetime,
        pending_for: args.pending_for,
        running_for: args.running_for,
        timeout_after: args.timeout_after,
        list_lag: args.list_lag,
        max_page_size: args.page_size.max(1),
        next_link: args.next_link,
        empty_list_404: args.empty_list_404,
        null_fields: args.null_fields,
        old_update_spelling: args.old_update_spelling,
        quotas: if args.no_quota { Vec::new() } else { args.quotas },
        window: args.window,
        count_rejected: args.count_rejected,
        retry_after: args.retry_after,
        hang_for: args.hang_for,
        slow_for: args.slow_for,
        log_file: args.log,
        seed: args.seed,
        ..Config::default()
    };
    for machine in &args.machines {
        let (name, id) = match machine.split_once('=') {
            Some((name, id)) => (name, id.to_owned()),
            None => (machine.as_str(), machine_id_of(machine)),
        };
        let hexadecimal = id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        anyhow::ensure!(
            !name.is_empty() && hexadecimal,
            "--machine {machine}: write NAME, or NAME=ID with 40 hex digits"
        );
        config.machines.push(SimMachine { id, ..SimMachine::named(name) });
    }
    Ok(config)
}

fn quota(text: &str) -> Result<Quota, String> {
    let (calls, window) = text.split_once('/').ok_or("write CALLS/TIME, such as 100/60s")?;
    let calls = calls.trim().parse().map_err(|error| format!("{calls:?}: {error}"))?;
    let window = duration(window.trim())?;
    if window.is_zero() { Err("the window cannot be 0".to_owned()) } else { Ok(Quota { calls, window }) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulatorArgs,
    }

    fn parsed(line: &[&str]) -> Result<Config> {
        config(Line::try_parse_from([&["simulator"], line].concat())?.args)
    }

    #[test]
    fn without_flags_it_is_the_documented_defender() {
        let (config, default) = (parsed(&[]).unwrap(), Config::default());
        assert_eq!(config.quotas, default.quotas);
        assert_eq!(config.apps[0].roles, default.apps[0].roles);
        assert_eq!(config.timeout_after, default.timeout_after);
        assert_eq!(config.token_lifetime, default.token_lifetime);
    }

    #[test]
    fn flags_switch_what_is_undocumented() {
        let line = ["--machine", "sim-503-once-a", "--quota", "5/600ms", "--repeat", "existing201", "--no-roles"];
        let config = parsed(&line).unwrap();
        assert_eq!(config.quotas, [Quota { calls: 5, window: Duration::from_millis(600) }]);
        assert_eq!(config.repeat, Repeat::Existing201);
        assert!(config.apps[0].roles.is_empty());
        assert_eq!(config.machines.last().unwrap().id, machine_id_of("sim-503-once-a"));
        for wrong in [["--machine", "a=b"], ["--quota", "5"], ["--list-lag", "-1s"], ["--down", "200"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
