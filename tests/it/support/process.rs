//! Processes of the binary under test, which never outlive their test, and the few words of HTTP that are spoken to them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Pause between two looks at something that only a look can tell.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running process of ours; killed by its id when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the binary with these arguments; both its outputs are appended to `log`.
    pub(crate) fn start(name: &str, arguments: &[String], log: &Path) -> Self {
        Self::run(name, Command::new(env!("CARGO_BIN_EXE_alert-responder")).args(arguments).env_clear(), log)
    }

    /// Starts a command.
    pub(super) fn run(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        let child = command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// SIGKILL: it has no time for anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// SIGTERM: it is asked to stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// SIGSTOP: it stands still between two instructions and does not know it.
    pub(crate) fn stand_still(&self) {
        self.signal("STOP");
    }

    /// SIGCONT: it goes on as if nothing had happened.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill(1)").success(), "{}: no such process", self.name);
    }

    /// SIGHUP: it reads its rules anew.
    pub(crate) fn hang_up(&self) {
        let status = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(status.expect("kill(1)").success(), "{}: no such process", self.name);
    }

    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// The exit code; fails the test when the process is still there after `limit`.
    pub(crate) async fn exit_code(&mut self, limit: Duration) -> i32 {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                return status.code().unwrap_or_else(|| panic!("{} was ended by a signal: {status}", self.name));
            }
            assert!(Instant::now() < deadline, "{} is still there after {limit:?}\n{}", self.name, self.tail());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Everything it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it says something.
    pub(crate) async fn says(&mut self, what: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let said = self.said();
            if said.contains(what) {
                return said;
            }
            assert!(self.exited().is_none(), "{} ended before it said {what:?}\n{}", self.name, self.tail());
            assert!(Instant::now() < deadline, "{} did not say {what:?} in {limit:?}\n{}", self.name, self.tail());
            sleep(LOOK_EVERY).await;
        }
    }

    /// The last lines it said.
    pub(crate) fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let from = lines.len().saturating_sub(30);
        format!("--- the last words of {} ---\n{}\n---", self.name, lines.get(from..).unwrap_or_default().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port of this machine that nobody has now, from below those that the system gives to outgoing connections.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Status and body of one request; `None` when nobody answers.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let limit = Some(Duration::from_secs(5));
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(limit).ok()?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
