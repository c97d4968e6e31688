//! JSON Web Signature in compact form, RFC 7515, for the algorithms on one short list.

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::IdTokenError;

/// Longest token that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// The algorithms that are accepted: RFC 7518 section 3.1, RFC 8037, RFC 9864.
///
/// `none` and the HMACs have no name here, so that no header can ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of a header's `alg`; compared exactly.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The left half of the hash that belongs to the algorithm, in base64url: OpenID Connect Core
    /// 3.1.3.6. Ed25519 goes with SHA-512, the hash it is built on.
    pub(super) fn half_hash(self, token: &str) -> String {
        let hash = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => digest::digest(&SHA256, token.as_bytes()),
            Self::EdDsa => digest::digest(&SHA512, token.as_bytes()),
        };
        let hash = hash.as_ref();
        URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// A token taken apart. Nothing in it is to be believed before its signature is verified.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// The bytes that were signed.
    pub(super) signed: &'a [u8],
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a compact JWS apart: RFC 7515 section 5.2.
    ///
    /// Keys and addresses of keys in the header (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
    pub(super) fn parse(token: &'a str) -> Result<Self, IdTokenError> {
        if token.len() > MAX_BYTES {
            return Err(IdTokenError::Malformed);
        }
        let parts: Vec<&str> = token.splitn(6, '.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => IdTokenError::Encrypted,
                _ => IdTokenError::Malformed,
            });
        };
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| IdTokenError::Malformed)
        };
        let read: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| IdTokenError::Malformed)?;
        let algorithm = Algorithm::parse(&read.alg).ok_or(IdTokenError::Algorithm)?;
        if read.crit.is_some() {
            return Err(IdTokenError::Critical);
        }
        Ok(Self {
            algorithm,
            kid: read.kid,
            signed: &token.as_bytes()[..header.len() + 1 + payload.len()],
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}
