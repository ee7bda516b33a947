//! Tokens: issued and checked without being remembered, so that they outlive a restart of the simulator as real ones do.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::config::{Config, SimApp};
use super::reply::{Call, Reply};

/// Not a secret: it only tells our tokens from others.
const SIGNING: &[u8] = b"alert-responder simulator";

/// Who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) app_id: String,
    pub(super) audience: String,
    pub(super) roles: Vec<String>,
}

/// Answers a token request; also tells the client id asked for. `now_ms` is Unix time in milliseconds.
pub(super) fn issue(config: &Config, call: &Call, version: u8, now_ms: i64, number: u64) -> (Reply, Option<String>) {
    let form: Vec<(String, String)> = super::server::pairs(&String::from_utf8_lossy(&call.body));
    let field = |key: &str| form.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let client_id = field("client_id").map(str::to_owned);
    (answer(config, call, version, now_ms, number, field), client_id)
}

fn answer<'a>(
    config: &Config,
    call: &Call,
    version: u8,
    now_ms: i64,
    number: u64,
    field: impl Fn(&str) -> Option<&'a str>,
) -> Reply {
    let tenant = call.path.split('/').nth(1).unwrap_or_default();
    if tenant != config.tenant_id {
        return refuse(400, "invalid_request", 90_002, &format!("Tenant '{tenant}' not found."));
    }
    if field("grant_type") != Some("client_credentials") {
        return refuse(400, "invalid_request", 900_144, "The request body must contain: 'grant_type'.");
    }
    let Some(client_id) = field("client_id") else {
        return refuse(400, "invalid_request", 900_144, "The request body must contain: 'client_id'.");
    };
    let Some(app) = config.apps.iter().find(|app| app.client_id == client_id) else {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        return refuse(400, "unauthorized_client", 700_016, &text);
    };
    match field("client_secret") {
        None => {
            let text = "The request body must contain: 'client_assertion' or 'client_secret'.";
            return refuse(401, "invalid_client", 7_000_218, text);
        }
        Some(secret) if secret != app.client_secret => {
            let text = format!("Invalid client secret provided for app '{client_id}'.");
            return refuse(401, "invalid_client", 7_000_215, &text);
        }
        Some(_) => {}
    }
    let audience = if version == 2 {
        if field("resource").is_some() {
            return refuse(400, "invalid_request", 901_002, "The 'resource' request parameter is not supported.");
        }
        let scope = field("scope").unwrap_or_default();
        match scope.strip_suffix("/.default") {
            Some(audience) if !audience.is_empty() && !scope.contains(' ') => audience,
            _ => return refuse(400, "invalid_scope", 70_011, &format!("The provided scope '{scope}' is not valid.")),
        }
    } else {
        match field("resource").map(|resource| resource.trim_end_matches('/')) {
            Some(resource) if !resource.is_empty() => resource,
            _ => return refuse(400, "invalid_request", 900_144, "The request body must contain: 'resource'."),
        }
    };
    let lifetime_ms = i64::try_from(config.token_lifetime.as_millis()).unwrap_or(i64::MAX / 4);
    let token = make(config, app, audience, now_ms, lifetime_ms, number);
    let seconds = lifetime_ms / 1000;
    let body = if version == 2 {
        json!({ "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token })
    } else {
        json!({ "token_type": "Bearer", "expires_in": seconds.to_string(), "ext_expires_in": seconds.to_string(),
                "expires_on": (now_ms / 1000 + seconds).to_string(), "not_before": (now_ms / 1000).to_string(),
                "resource": audience, "access_token": token })
    };
    Reply { content_type: "application/json; charset=utf-8", ..Reply::json(200, &body) }
}

fn refuse(status: u16, error: &str, code: u32, text: &str) -> Reply {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text}\r\nTrace ID: 86379b11-2e6f-5976-89d3-806bc59b04e2"),
        "error_codes": [code],
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Reply { error_code: Some(error.to_owned()), ..Reply::json(status, &body) }
}

fn make(config: &Config, app: &SimApp, audience: &str, now_ms: i64, lifetime_ms: i64, number: u64) -> String {
    let tenant = &config.tenant_id;
    let mut claims = json!({
        "aud": audience, "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": now_ms / 1000, "nbf": now_ms / 1000, "exp": now_ms.saturating_add(lifetime_ms) / 1000,
        "appid": app.client_id, "tid": tenant, "ver": "1.0",
        "sim_exp_ms": now_ms.saturating_add(lifetime_ms), "sim_number": number,
    });
    // Entra issues a token without the claim when nothing was granted.
    if !app.roles.is_empty()
        && let Some(claims) = claims.as_object_mut()
    {
        claims.insert("roles".to_owned(), json!(app.roles));
    }
    let head = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
    let unsigned = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = sign(&unsigned);
    format!("{unsigned}.{signature}")
}

fn sign(unsigned: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(SIGNING).chain_update(unsigned).finalize())
}

/// Reads a bearer. None when it is missing, foreign, expired, of another tenant, or revoked (number below `first_valid`).
pub(super) fn check(config: &Config, authorization: Option<&str>, now_ms: i64, first_valid: u64) -> Option<Caller> {
    let token = authorization?.strip_prefix("Bearer ")?;
    let (unsigned, signature) = token.rsplit_once('.')?;
    if sign(unsigned) != signature {
        return None;
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(unsigned.split_once('.')?.1).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let text = |key: &str| claims.get(key).and_then(Value::as_str).map(str::to_owned);
    let expired = claims.get("sim_exp_ms")?.as_i64()? <= now_ms;
    let revoked = claims.get("sim_number")?.as_u64()? < first_valid;
    if expired || revoked || text("tid")? != config.tenant_id {
        return None;
    }
    let roles = claims.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Caller {
        app_id: text("appid")?,
        audience: text("aud")?,
        roles: roles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}
