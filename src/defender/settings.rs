//! What the client needs to be told.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::DefenderError;
use super::hosts::{Cloud, Hosts, checked_base};
use super::text::clean;

/// Settings of the Defender API client.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Entra tenant, by its GUID. Required.
    pub tenant_id: String,
    /// Application (client) id of the app registration. Required.
    pub client_id: String,
    /// Client secret. Best given through the environment; never printed. Give this or `client_secret_file`.
    #[serde(deserialize_with = "secret", skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub client_secret: Option<SecretString>,
    /// File that holds the client secret. It is read again for every token, so a rotated secret needs no restart.
    pub client_secret_file: Option<PathBuf>,
    /// Microsoft cloud: `commercial` (default), `gcc`, `gcc-high` or `dod`.
    pub cloud: Cloud,
    /// Base URL of the API instead of the cloud's, for example a regional host. Plain http only to this machine.
    pub api_url: Option<String>,
    /// Base URL of the login authority instead of the cloud's. Plain http only to this machine.
    pub authority_url: Option<String>,
    /// Scope of the token instead of the cloud's. It does not follow `api_url`.
    pub scope: Option<String>,
    /// Longest time of one call, from its start to the last byte of its answer. Default 30s. The in-doubt handling waits for it.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub call_timeout: Duration,
    /// Longest time to connect, TLS included. Default 4s: a scan must leave within 5s of its intent.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// Longest time of a token request. Default 10s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub token_timeout: Duration,
    /// Machine actions per page of a list, 1 to 10000 (the documented maximum). Default 1000.
    pub list_page_size: u32,
    /// The `User-Agent` sent. Default `alert-responder/<version>`.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tenant_id: String::new(),
            client_id: String::new(),
            client_secret: None,
            client_secret_file: None,
            cloud: Cloud::default(),
            api_url: None,
            authority_url: None,
            scope: None,
            call_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(4),
            token_timeout: Duration::from_secs(10),
            list_page_size: 1000,
            user_agent: concat!("alert-responder/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

fn is_guid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok() && text.len() == 36
}

impl Settings {
    /// What is wrong, one message for each mistake, naming the key and the mend. Empty when all is well.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        // Alerts tell their tenant by its GUID, so the worker must know it by the same name.
        if !is_guid(&self.tenant_id) {
            wrong.push("tenant_id: write the tenant's GUID (Entra admin center, Overview, Tenant ID)".to_owned());
        }
        if !word(&self.client_id) {
            wrong.push("client_id: write the app registration's application (client) id".to_owned());
        }
        match (&self.client_secret, &self.client_secret_file) {
            (None, None) => wrong.push("client_secret_file: name the file with the client secret".to_owned()),
            (Some(_), Some(_)) => {
                wrong.push("client_secret_file: give either the file or client_secret, not both".to_owned());
            }
            (Some(secret), None) if secret.expose_secret().trim().is_empty() => {
                wrong.push("client_secret: is empty".to_owned());
            }
            _ => {}
        }
        wrong.extend(self.hosts().err().unwrap_or_default());
        for (key, duration, longest) in [
            ("call_timeout", self.call_timeout, 300),
            ("connect_timeout", self.connect_timeout, 60),
            ("token_timeout", self.token_timeout, 60),
        ] {
            if duration.is_zero() || duration > Duration::from_secs(longest) {
                wrong.push(format!("{key}: write a time above 0s and up to {longest}s"));
            }
        }
        if !(1..=10_000).contains(&self.list_page_size) {
            wrong.push("list_page_size: write a number from 1 to 10000".to_owned());
        }
        if self.user_agent.is_empty() || !self.user_agent.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            wrong.push("user_agent: write printable ASCII text".to_owned());
        }
        wrong
    }

    /// The places in force: the cloud's, each of the three replaced where the settings say so.
    ///
    /// # Errors
    /// One message for each base URL that cannot be used.
    pub fn hosts(&self) -> Result<Hosts, Vec<String>> {
        let mut hosts = self.cloud.hosts();
        let mut wrong = Vec::new();
        for (key, given, place) in
            [("api_url", &self.api_url, &mut hosts.api), ("authority_url", &self.authority_url, &mut hosts.authority)]
        {
            if let Some(given) = given {
                match checked_base(key, given) {
                    Ok(base) => *place = base,
                    Err(message) => wrong.push(message),
                }
            }
        }
        if let Some(scope) = &self.scope {
            if scope.trim().is_empty() || scope.contains(char::is_whitespace) {
                wrong.push(
                    "scope: write one scope, such as https://api.securitycenter.microsoft.com/.default".to_owned(),
                );
            }
            hosts.scope.clone_from(scope);
        }
        if wrong.is_empty() { Ok(hosts) } else { Err(wrong) }
    }

    /// The secret now in force.
    pub(super) fn read_secret(&self) -> Result<SecretString, DefenderError> {
        let Some(path) = &self.client_secret_file else {
            return self.client_secret.clone().ok_or_else(|| {
                DefenderError::Secret("no client secret: set client_secret_file or client_secret".to_owned())
            });
        };
        // A secret is a short text on a local or projected volume; reading it blocks for microseconds.
        let secret = std::fs::read_to_string(path).map_err(|error| {
            let place = clean(&path.display().to_string(), 200);
            DefenderError::Secret(format!("client_secret_file {place}: {error}; check that the worker may read it"))
        })?;
        let secret = secret.trim_end_matches(['\r', '\n', ' ']);
        if secret.is_empty() {
            return Err(DefenderError::Secret(format!("client_secret_file {} is empty", path.display())));
        }
        Ok(SecretString::from(secret))
    }
}
