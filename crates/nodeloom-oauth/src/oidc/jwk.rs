//! The provider's public keys: RFC 7517, RFC 7518 section 6, RFC 8037.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    IdTokenError, KeysError,
    jws::{Algorithm, Jws},
};

/// Most keys that a provider may list.
const MAX_KEYS: usize = 100;

/// The keys of a provider that can verify something here.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point: 4, x, y.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct SetDocument {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct KeyDocument {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a key set. A key that is of no use here is passed over: RFC 7517 section 5.
    pub(super) fn read(body: &[u8]) -> Result<Self, KeysError> {
        let set: SetDocument = serde_json::from_slice(body).map_err(|_| KeysError::Malformed)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeysError::Malformed);
        }
        let key = |value| Key::read(serde_json::from_value(value).ok()?);
        Ok(Self(set.keys.into_iter().filter_map(key).collect()))
    }

    /// Verifies a token's signature.
    ///
    /// A header without `kid` needs a set with one key that fits: OpenID Connect Core 10.1.
    pub(super) fn verify(&self, token: &Jws<'_>) -> Result<(), IdTokenError> {
        let fitting = || self.0.iter().filter(|key| key.fits(token.algorithm));
        let mut candidates: Vec<&Key> = match &token.kid {
            Some(kid) => fitting()
                .filter(|key| key.id.as_ref() == Some(kid))
                .collect(),
            None => fitting().collect(),
        };
        let (Some(key), None) = (candidates.pop(), candidates.pop()) else {
            return Err(IdTokenError::UnknownKey);
        };
        if key.verifies(token) {
            Ok(())
        } else {
            Err(IdTokenError::Signature)
        }
    }
}

impl Key {
    fn read(document: KeyDocument) -> Option<Self> {
        let signs = document.usage.as_deref().is_none_or(|usage| usage == "sig")
            && document
                .key_ops
                .is_none_or(|operations| operations.iter().any(|name| name == "verify"));
        if !signs {
            return None;
        }
        let material = match (document.kty.as_str(), document.crv.as_deref()) {
            ("RSA", _) => Material::Rsa {
                modulus: integer(&document.n?)?,
                exponent: integer(&document.e?)?,
            },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes_32(&document.x?)?, bytes_32(&document.y?)?);
                Material::P256([&[4], x.as_slice(), y.as_slice()].concat())
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes_32(&document.x?)?),
            _ => return None,
        };
        Some(Self {
            id: document.kid,
            algorithm: document.alg,
            material,
        })
    }

    /// Whether the key is of the kind that the algorithm needs, and not meant for another.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let meant = self
            .algorithm
            .as_deref()
            .is_none_or(|name| Algorithm::parse(name) == Some(algorithm));
        meant
            && matches!(
                (algorithm, &self.material),
                (Algorithm::Rs256 | Algorithm::Ps256, Material::Rsa { .. })
                    | (Algorithm::Es256, Material::P256(_))
                    | (Algorithm::EdDsa, Material::Ed25519(_))
            )
    }

    fn verifies(&self, token: &Jws<'_>) -> bool {
        let result = match (&self.material, token.algorithm) {
            (Material::Rsa { modulus, exponent }, algorithm) => {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                // Moduli below 2048 bits are refused by both parameter sets.
                let parameters = match algorithm {
                    Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    Algorithm::Es256 | Algorithm::EdDsa => return false,
                };
                key.verify(parameters, token.signed, &token.signature)
            }
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(token.signed, &token.signature)
            }
            (Material::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(token.signed, &token.signature)
            }
            _ => return false,
        };
        result.is_ok()
    }
}

/// A Base64urlUInt without leading zeros, which the standard forbids and some providers send.
fn integer(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}

fn bytes_32(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() == 32).then_some(bytes)
}
