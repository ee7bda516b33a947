//! `healthcheck`: asks a running worker (or simulator) whether it is ready, with nothing but a socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context as _;
use serde::Serialize;

use super::http_client::{Ask, ask};
use super::{CliError, Context, OutputFormat};

/// Options of `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address that answers; where it listens on all addresses, this machine is asked.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "ALERT_RESPONDER__TELEMETRY__LISTEN",
        default_value = "127.0.0.1:9090"
    )]
    pub address: SocketAddr,
    /// What is asked; `/simulator/health` is the simulator's.
    #[arg(long, default_value = "/readyz", value_parser = ["/readyz", "/livez", "/simulator/health"])]
    pub path: String,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Unexpected`] where the worker cannot be reached or says no, with its answer.
pub fn run(args: &Args, context: &mut Context) -> Result<(), CliError> {
    let address = reachable(args.address);
    let (status, body) = ask(address, &Ask::get(&address.to_string(), &args.path))
        .with_context(|| format!("cannot ask http://{address}{}", args.path))?;
    if status != 200 {
        return Err(anyhow::anyhow!(
            "http://{address}{} says {status}: {}",
            args.path,
            body.trim().replace('\n', ", ")
        )
        .into());
    }
    match context.output {
        OutputFormat::Json => context.json(&Answer { address, path: &args.path, status, answer: body.trim() }),
        OutputFormat::Text => context.line(body.trim()),
    }
}

/// What was said, as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    address: SocketAddr,
    path: &'a str,
    status: u16,
    answer: &'a str,
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_on_all_addresses_is_asked_on_this_machine() {
        for (given, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.7:3", "10.0.0.7:3")] {
            assert_eq!(reachable(given.parse().expect("an address")).to_string(), asked);
        }
    }
}
