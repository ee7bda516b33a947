//! What a token allows, read from its payload.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::error::DefenderError;
use super::text::clean;

/// The application permissions in a token. Entra issues a token even when none was granted; the claim is then absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roles {
    /// May start a scan (`Machine.Scan`).
    pub scan: bool,
    /// May read machines and machine actions (`Machine.Read.All` or `Machine.ReadWrite.All`).
    pub read: bool,
    /// Every role named.
    pub names: Vec<String>,
}

impl Roles {
    /// Reads the `roles` claim. The token is somebody else's to validate; this is for diagnosis only.
    pub(super) fn from_token(token: &str) -> Result<Self, DefenderError> {
        let unreadable = |why: &str| DefenderError::TokenUnreadable(why.to_owned());
        let payload = token.split('.').nth(1).ok_or_else(|| unreadable("it is not a JWT"))?;
        let payload = BASE64_URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .map_err(|_| unreadable("its payload is not base64url"))?;
        let claims: Value = serde_json::from_slice(&payload).map_err(|_| unreadable("its payload is not JSON"))?;
        let names: Vec<String> = claims
            .get("roles")
            .and_then(Value::as_array)
            .map(|roles| roles.iter().filter_map(Value::as_str).map(|role| clean(role, 100)).collect())
            .unwrap_or_default();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        Ok(Self { scan: has("Machine.Scan"), read: has("Machine.Read.All") || has("Machine.ReadWrite.All"), names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_token_without_the_claim_has_no_roles() {
        assert_eq!(Roles::from_token(&token(r#"{"aud":"x"}"#)), Ok(Roles::default()));
        let roles = Roles::from_token(&token(r#"{"roles":["Machine.ReadWrite.All","Alert.Read.All"]}"#)).unwrap();
        assert!(roles.read && !roles.scan && roles.names.len() == 2);
        assert!(Roles::from_token(&token(r#"{"roles":["Machine.Scan"]}"#)).unwrap().scan);
    }

    #[test]
    fn an_opaque_token_is_said_to_be_unreadable() {
        for opaque in ["opaque", "a.!!.c", "a.aGVsbG8.c"] {
            assert_eq!(Roles::from_token(opaque).unwrap_err().code(), "token_unreadable");
        }
    }
}
