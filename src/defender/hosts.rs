//! Where each Microsoft cloud keeps its login, its Defender API, and the scope that a token is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Microsoft cloud. China (21Vianet) has no documented Defender for Endpoint API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// The commercial cloud.
    #[default]
    Commercial,
    /// US Government GCC: commercial login, government API host.
    Gcc,
    /// US Government GCC High.
    GccHigh,
    /// US Department of Defense.
    Dod,
}

/// The three places that make up a cloud. They are independent: the audience of a token does not follow the API's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// Login authority, without the tenant and without a trailing slash.
    pub authority: String,
    /// Base of the API, without `/api` and without a trailing slash.
    pub api: String,
    /// Scope of the client credentials request.
    pub scope: String,
}

impl Cloud {
    /// The cloud's documented hosts (Microsoft's pages on supported APIs and on US government customers). No page lists the
    /// scopes of the government clouds; these are the ones that published integrations use.
    #[must_use]
    pub fn hosts(self) -> Hosts {
        let (authority, api, scope) = match self {
            Self::Commercial => (
                "https://login.microsoftonline.com",
                "https://api.security.microsoft.com",
                "https://api.securitycenter.microsoft.com/.default",
            ),
            Self::Gcc => (
                "https://login.microsoftonline.com",
                "https://api-gcc.securitycenter.microsoft.us",
                "https://securitycenter.onmicrosoft.com/windowsatpservice/.default",
            ),
            Self::GccHigh | Self::Dod => (
                "https://login.microsoftonline.us",
                "https://api-gov.securitycenter.microsoft.us",
                "https://securitycenter.onmicrosoft.us/windowsatpservice/.default",
            ),
        };
        Hosts { authority: authority.to_owned(), api: api.to_owned(), scope: scope.to_owned() }
    }
}

/// Checks the base of a service: `https`, or plain `http` on this machine only, because a token or a secret goes there.
/// Returns it without a trailing slash.
pub(super) fn checked_base(key: &str, base: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(base)
        .map_err(|error| format!("{key}: {base:?} is not a URL ({error}); write it like https://host"))?;
    let safe = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        _ => false,
    };
    if !safe {
        return Err(format!("{key}: {base:?} must begin with https:// (plain http is allowed to this machine only)"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{key}: a base URL has neither user, query nor fragment"));
    }
    Ok(base.trim_end_matches('/').to_owned())
}

/// Whether the URL's host is this machine.
pub(super) fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for fine in
            ["https://eu.api.security.microsoft.com/", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost"]
        {
            assert!(checked_base("api_url", fine).is_ok(), "{fine}");
        }
        for bad in [
            "http://10.0.0.1",
            "http://127.0.0.1.example.org",
            "ftp://localhost",
            "nonsense",
            "https://a:b@c",
            "https://a?b",
        ] {
            assert!(checked_base("api_url", bad).unwrap_err().starts_with("api_url"), "{bad}");
        }
        assert_eq!(checked_base("x", "https://a/"), Ok("https://a".to_owned()));
    }

    #[test]
    fn gcc_mixes_commercial_login_and_government_host() {
        let hosts = Cloud::Gcc.hosts();
        assert!(hosts.authority.ends_with(".com") && hosts.api.ends_with("api-gcc.securitycenter.microsoft.us"));
        assert_eq!(serde_json::to_string(&Cloud::GccHigh).unwrap(), "\"gcc-high\"");
    }
}
