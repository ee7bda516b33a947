//! A few words of HTTP to a worker, with nothing but a socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

/// Longest time to connect and to write, each.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// One request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    /// `host:port` as the asker wrote it.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    /// Shown as `Authorization: Bearer …`.
    pub(super) token: Option<&'a str>,
    /// A JSON document.
    pub(super) body: Option<&'a str>,
    /// Longest wait for the answer.
    pub(super) patience: Duration,
}

impl<'a> Ask<'a> {
    /// A plain GET.
    pub(super) const fn get(host: &'a str, path: &'a str) -> Self {
        Self { method: "GET", host, path, token: None, body: None, patience: TIMEOUT }
    }
}

/// Status and body of the answer.
pub(super) fn ask(address: SocketAddr, ask: &Ask<'_>) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(ask.patience))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut request = format!("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", ask.method, ask.path, ask.host);
    if let Some(token) = ask.token {
        request.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = ask.body {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(ask.body.unwrap_or_default());
    // In one piece: a server may answer as soon as it has read the first line.
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status =
        answer.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).context("the answer is not HTTP")
}
