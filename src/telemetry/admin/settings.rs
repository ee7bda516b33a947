//! Where operators may give orders over HTTP, and what they must show.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

/// Fewest characters of a token.
const SHORTEST_TOKEN: usize = 16;

/// The admin API: orders of operators over HTTP.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Address and port of the admin API, for example `127.0.0.1:9091`. Any other address than this machine's own needs a token.
    /// It speaks plain HTTP: beyond this machine, put TLS in front of it. Default: not set, there is no admin API; the commands
    /// `halt`, `resume`, `rearm` and `silences` need none.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// File that holds the token, at least 16 characters; every request must then carry it (`Authorization: Bearer …`). It is
    /// read again for every request, so a rotated token needs no restart.
    pub token_file: Option<PathBuf>,
    /// The token itself; meant for the environment. Never printed. Give this or `token_file`.
    #[serde(skip_serializing, deserialize_with = "secret")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true))]
    pub token: Option<SecretString>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

impl AdminSettings {
    /// What is wrong with the values, each message beginning with its key.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(address) = self.listen.filter(|address| !address.ip().is_loopback() && !self.has_token()) {
            wrong.push(format!(
                "listen {address} can be reached from other machines, and there is no token; set token_file, or listen on \
                 127.0.0.1"
            ));
        }
        if self.token.is_some() && self.token_file.is_some() {
            wrong.push("token_file: give either the file or token, not both".to_owned());
        }
        if let Some(Err(message)) = self.token.as_ref().map(|token| checked(token.expose_secret())) {
            wrong.push(format!("token {message}"));
        }
        wrong
    }

    /// Whether requests must carry a token.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.token.is_some() || self.token_file.is_some()
    }

    /// The token now in force; `None` where none is asked for.
    ///
    /// # Errors
    /// Why it cannot be told, naming the key.
    pub fn read_token(&self) -> Result<Option<SecretString>, String> {
        let Some(path) = &self.token_file else { return Ok(self.token.clone()) };
        // A short text on a local or projected volume; reading it blocks for microseconds.
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("admin.token_file {}: {error}; check that it may be read", path.display()))?;
        let token = text.trim_end_matches(['\r', '\n', ' ']);
        checked(token).map_err(|message| format!("admin.token_file {}: {message}", path.display()))?;
        Ok(Some(SecretString::from(token)))
    }
}

fn checked(token: &str) -> Result<(), String> {
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() >= SHORTEST_TOKEN && plain {
        return Ok(());
    }
    Err(format!(
        "must be {SHORTEST_TOKEN} or more printable ASCII characters without spaces, such as `openssl rand -hex 32` makes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str, token: Option<&str>) -> AdminSettings {
        AdminSettings {
            listen: Some(listen.parse().expect("an address")),
            token: token.map(SecretString::from),
            token_file: None,
        }
    }

    #[test]
    fn other_machines_need_a_token() {
        let token = Some("0123456789abcdef");
        for (listen, token, refused) in [
            ("127.0.0.1:9091", None, None),
            ("[::1]:9091", None, None),
            ("0.0.0.0:9091", None, Some("there is no token")),
            ("[::]:9091", None, Some("there is no token")),
            ("10.1.2.3:9091", None, Some("there is no token")),
            ("10.1.2.3:9091", token, None),
            ("127.0.0.1:9091", token, None),
            ("127.0.0.1:9091", Some("short"), Some("16 or more")),
            ("127.0.0.1:9091", Some("0123456789 abcdef"), Some("without spaces")),
        ] {
            let wrong = settings(listen, token).validate();
            match refused {
                None => assert_eq!(wrong, Vec::<String>::new(), "{listen}"),
                Some(word) => assert!(wrong.len() == 1 && wrong[0].contains(word), "{listen}: {wrong:?}"),
            }
        }
        assert!(AdminSettings::default().validate().is_empty(), "without an address there is nothing to guard");
    }

    #[test]
    fn a_token_file_is_read_again_and_must_hold_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let settings = AdminSettings { token_file: Some(path.clone()), ..AdminSettings::default() };
        let read = || settings.read_token().map(|token| token.map(|token| token.expose_secret().to_owned()));
        assert!(read().is_err_and(|message| message.contains("admin.token_file")));
        for token in ["0123456789abcdef", "fedcba9876543210"] {
            std::fs::write(&path, format!("{token}\n")).expect("written");
            assert_eq!(read(), Ok(Some(token.to_owned())));
        }
        std::fs::write(&path, "\n").expect("written");
        assert!(read().is_err(), "an empty file is no token, and no open door");
    }
}
