//! What commands that order something share: who orders it, why, and which way the order goes.
//!
//! By default an order is written into the ledger, from any machine that has the worker's configuration; the replica that
//! dispatches obeys when it reads it. With `--url` a worker's admin API is asked instead.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use super::http_client::{Ask, ask};
use super::{CliError, ConfigArgs, Context, load_sections, runtime};
use crate::config::Config;
use crate::event::Control;
use crate::scheduler::State;
use crate::telemetry::{AdminError, AdminSettings};
use crate::worker::{append_orders, read_state};

/// Longest wait for a worker's answer: it waits for the ledger itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which way an order goes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Way {
    /// The configuration: ledger and tenant, and with `--url` the token.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Ask the admin API of a worker (`http://127.0.0.1:9091`) instead of writing into the ledger.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// With `--url`: file that holds the token [default: `admin.token_file` or `admin.token` of the configuration].
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
}

/// Who orders something.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Author {
    /// Who orders it; it is recorded in the ledger [default: the name of the user].
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
}

impl Author {
    /// The name given, or the user's.
    ///
    /// # Errors
    /// [`CliError::Usage`] where the environment names no user.
    pub fn name(&self, context: &Context) -> Result<String, CliError> {
        let user = || {
            // Behind sudo everybody would be root.
            let names = ["SUDO_USER", "USER", "LOGNAME"].iter().filter_map(|name| context.environment.get(*name));
            names.map(|name| name.trim()).find(|name| !name.is_empty()).map(str::to_owned)
        };
        let unknown =
            || CliError::Usage("the environment names no user; say who orders it with --author NAME".to_owned());
        self.author.clone().or_else(user).ok_or_else(unknown)
    }
}

/// Where orders go and answers come from.
#[derive(Debug)]
pub(super) enum Target {
    /// The ledger of this configuration.
    Ledger(Box<Config>),
    /// A worker's admin API.
    Api { host: String, token: Option<SecretString> },
}

impl Way {
    pub(super) fn target(&self, context: &Context) -> Result<Target, CliError> {
        let Some(url) = &self.url else {
            let config = load_sections(self.config.config.as_deref(), &["kafka"], context)?;
            if config.defender.tenant_id.trim().is_empty() {
                return Err(CliError::Rules("defender.tenant_id is not set: whose ledger is it?".to_owned()));
            }
            return Ok(Target::Ledger(Box::new(config)));
        };
        let settings = match &self.token_file {
            Some(file) => AdminSettings { token_file: Some(file.clone()), ..AdminSettings::default() },
            // Brokers are none of its business.
            None => load_sections(self.config.config.as_deref(), &["admin"], context)?.admin,
        };
        Ok(Target::Api { host: host_of(url)?, token: settings.read_token().map_err(CliError::Rules)? })
    }
}

/// `host:port` of `http://host:port`.
fn host_of(url: &str) -> Result<String, CliError> {
    let usage = |what: &str| CliError::Usage(format!("--url {url}: {what}; write http://HOST:PORT"));
    let host = url.strip_prefix("http://").ok_or_else(|| usage("only plain http is spoken here"))?;
    let host = host.trim_end_matches('/');
    let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if port && plain { Ok(host.to_owned()) } else { Err(usage("it names no host and port")) }
}

impl Target {
    /// Asks a worker: its answer, or its refusal.
    pub(super) fn api(
        host: &str,
        token: Option<&SecretString>,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value, CliError> {
        let text = body.map(serde_json::to_string).transpose().map_err(anyhow::Error::new)?;
        let token = token.map(|token| token.expose_secret());
        let request = Ask { method, host, path, token, body: text.as_deref(), patience: PATIENCE };
        let addresses: Vec<SocketAddr> =
            host.to_socket_addrs().with_context(|| format!("cannot look {host} up"))?.collect();
        let address = addresses.first().copied().with_context(|| format!("{host} has no address"))?;
        let (status, answer) = ask(address, &request).with_context(|| format!("cannot ask http://{host}{path}"))?;
        if (200..300).contains(&status) {
            return Ok(serde_json::from_str(&answer).with_context(|| format!("http://{host}{path} answered no JSON"))?);
        }
        let error = serde_json::from_str::<AdminError>(&answer);
        let what = error.map_or_else(|_| answer.trim().to_owned(), |error| error.to_string());
        Err(anyhow::anyhow!("http://{host}{path} says {status}: {what}").into())
    }

    /// Writes orders into a ledger: their offsets.
    pub(super) fn write(config: &Config, orders: Vec<Control>) -> Result<Vec<i64>, CliError> {
        let writing = append_orders(&config.kafka, &config.defender.tenant_id, orders, Timestamp::now());
        Ok(runtime()?.block_on(writing).context("the order was not written into the ledger")?)
    }

    /// What a ledger folds to.
    pub(super) fn state(config: &Config) -> Result<State, CliError> {
        Ok(runtime()?.block_on(read_state(&config.kafka)).context("cannot read the ledger")?)
    }
}

/// Writes one order into a ledger, and tells of it as the admin API would.
pub(super) fn write_one(config: &Config, name: &str, order: Control) -> Result<Value, CliError> {
    let offsets = Target::write(config, vec![order])?;
    Ok(json!({ "order": name, "offset": offsets.first() }))
}

/// A refusal of what was asked for, in the words of the command line.
pub(super) fn usage(error: AdminError) -> CliError {
    CliError::Usage(error.message)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::cli::OutputFormat;

    #[test]
    fn a_url_is_a_host_and_a_port() {
        assert_eq!(host_of("http://127.0.0.1:9091/").expect("a host"), "127.0.0.1:9091");
        assert_eq!(host_of("http://[::1]:9091").expect("a host"), "[::1]:9091");
        for url in [
            "https://worker:9091",
            "worker:9091",
            "http://worker",
            "http://a:1/admin",
            "http://a b:1",
            "http://a\r\n:1",
        ] {
            assert!(host_of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn who_orders_is_the_user_behind_sudo_too() {
        let context = |variables: &[(&str, &str)]| Context {
            output: OutputFormat::Text,
            environment: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            out: Box::new(std::io::sink()),
        };
        let nobody = Author::default();
        assert_eq!(nobody.name(&context(&[("USER", "root"), ("SUDO_USER", "jane")])).expect("a name"), "jane");
        assert_eq!(nobody.name(&context(&[("USER", ""), ("LOGNAME", "joe")])).expect("a name"), "joe");
        assert!(nobody.name(&context(&[])).is_err());
        let named = Author { author: Some("on call".to_owned()) };
        assert_eq!(named.name(&context(&[("USER", "root")])).expect("a name"), "on call");
    }
}
