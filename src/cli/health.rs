//! `healthcheck`: asks a running worker (or simulator) whether it is ready, with nothing but a socket.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::{CliError, Context};

/// Longest time to connect, to write and to wait for the answer, each.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longest answer that is read.
const LONGEST_ANSWER: u64 = 64 * 1024;

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
    let (status, body) =
        ask(address, &args.path).with_context(|| format!("cannot ask http://{address}{}", args.path))?;
    if status != 200 {
        return Err(anyhow::anyhow!(
            "http://{address}{} says {status}: {}",
            args.path,
            body.trim().replace('\n', ", ")
        )
        .into());
    }
    context.line(body.trim())
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In one piece: a server may answer as soon as it has read the first line.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status =
        answer.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).context("the answer is not HTTP")
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
