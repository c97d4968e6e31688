//! The JWT with which a Google service account asks for a token.
//!
//! Source: RFC 7523, sections 2.1 and 3; Google Identity, "Using OAuth 2.0 for server to server
//! applications".

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nodeloom_domain::Timestamp;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// Why the key of a service account cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It lacks `client_email` or `private_key`.
    #[error("the key file has no client_email or no private_key")]
    Incomplete,
    /// The private key is no RSA key in PKCS #8 PEM.
    #[error("the private_key of the key file is no RSA key in PKCS #8 PEM")]
    Unreadable,
    /// Signing failed.
    #[error("the private_key of the key file cannot sign")]
    Signing,
}

/// How long an assertion is good for, in seconds: the most that Google takes.
const LIFETIME: i64 = 3600;

/// A signed JWT (RS256) of the account for `audience`, the token endpoint.
pub(super) fn assertion(
    key: &Value,
    scope: &str,
    subject: Option<&str>,
    audience: &str,
    now: Timestamp,
) -> Result<Zeroizing<String>, KeyError> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let (Some(email), Some(pem)) = (text("client_email"), text("private_key")) else {
        return Err(KeyError::Incomplete);
    };
    let mut head = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = text("private_key_id") {
        head["kid"] = id.into();
    }
    let issued = now.as_micros().div_euclid(1_000_000);
    let mut claims: Map<String, Value> = Map::new();
    claims.insert("iss".into(), email.into());
    claims.insert("scope".into(), scope.into());
    claims.insert("aud".into(), audience.into());
    claims.insert("iat".into(), issued.into());
    claims.insert("exp".into(), (issued + LIFETIME).into());
    if let Some(subject) = subject {
        claims.insert("sub".into(), subject.into());
    }
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head.to_string()),
        URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string())
    );
    let pair = RsaKeyPair::from_pkcs8(&der(pem)?).map_err(|_| KeyError::Unreadable)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| KeyError::Signing)?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let mut jwt = Zeroizing::new(String::with_capacity(signed.len() + 1 + signature.len()));
    jwt.push_str(&signed);
    jwt.push('.');
    jwt.push_str(&signature);
    Ok(jwt)
}

/// The bytes of a `PRIVATE KEY` block (RFC 7468, section 10).
fn der(pem: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let inner = pem
        .split_once("-----BEGIN PRIVATE KEY-----")
        .and_then(|(_, rest)| rest.split_once("-----END PRIVATE KEY-----"))
        .map(|(inner, _)| inner)
        .ok_or(KeyError::Unreadable)?;
    let mut plain = Zeroizing::new(String::with_capacity(inner.len()));
    plain.extend(inner.chars().filter(|c| !c.is_ascii_whitespace()));
    STANDARD
        .decode(plain.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| KeyError::Unreadable)
}
