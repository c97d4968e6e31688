//! The claims of an ID token: OpenID Connect Core 2, 3.1.3.7 and 5.1.

use nodeloom_crypto::Secret;
use nodeloom_domain::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use super::{ClientSettings, IdTokenError, Pending, jws::Algorithm};
use crate::SafeText;

/// How far the provider's clock may be from ours.
const SKEW_SECONDS: i64 = 60;
/// Longest e-mail address: RFC 5321 with its limits on the parts.
const MAX_EMAIL_BYTES: usize = 254;

/// A person that the provider signed in and whose e-mail address it has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer, as configured.
    pub issuer: String,
    /// The issuer's name for the person, which never changes: 1 to 255 ASCII characters.
    pub subject: String,
    /// The verified e-mail address, as the provider writes it.
    pub email: String,
    /// The person's first name.
    pub given_name: Option<SafeText>,
    /// The person's last name.
    pub family_name: Option<SafeText>,
    /// The person's whole name.
    pub name: Option<SafeText>,
    /// When the person last proved who they are at the provider, where it says so.
    pub authenticated_at: Option<Timestamp>,
}

/// The claims about the person, which stand in the ID token or in the user info answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Profile {
    email: Option<String>,
    email_verified: Option<Flag>,
    given_name: Option<String>,
    family_name: Option<String>,
    name: Option<String>,
}

/// A boolean that some providers write as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Flag {
    Boolean(bool),
    Text(String),
    Other(IgnoredAny),
}

impl Flag {
    fn is_true(&self) -> bool {
        match self {
            Self::Boolean(value) => *value,
            Self::Text(text) => text == "true",
            Self::Other(_) => false,
        }
    }
}

/// One audience or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Seconds since the epoch, which may have a fraction: RFC 7519 section 2.
#[derive(Debug, Clone, Copy, Deserialize)]
struct NumericDate(f64);

impl NumericDate {
    /// Whether this instant lies more than the accepted difference of clocks before `now`.
    fn is_past(self, now: f64) -> bool {
        self.0 + SKEW_SECONDS as f64 <= now
    }

    /// Whether this instant lies before `oldest` by more than the accepted difference of clocks.
    fn is_before(self, oldest: f64) -> bool {
        self.0 + (SKEW_SECONDS as f64) < oldest
    }

    /// This instant, or `now` where the provider's clock is ahead.
    fn or_earlier(self, now: f64) -> Timestamp {
        // Out of range, the cast ends at the last instant there is.
        Timestamp::from_micros((self.0.min(now) * 1e6) as i64)
    }

    /// Whether this instant lies more than the accepted difference of clocks after `now`.
    fn is_future(self, now: f64) -> bool {
        self.0 - SKEW_SECONDS as f64 > now
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: NumericDate,
    iat: NumericDate,
    nbf: Option<NumericDate>,
    auth_time: Option<NumericDate>,
    nonce: Option<String>,
    at_hash: Option<String>,
}

/// What is known after the token's claims were checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) subject: String,
    pub(super) authenticated_at: Option<Timestamp>,
    pub(super) profile: Profile,
}

/// Checks the claims of a token whose signature is verified. `now` is in seconds.
pub(super) fn check(
    payload: &[u8],
    algorithm: Algorithm,
    settings: &ClientSettings,
    pending: &Pending,
    access_token: &Secret<String>,
    now: i64,
) -> Result<Checked, IdTokenError> {
    let claims: Claims = serde_json::from_slice(payload).map_err(|_| IdTokenError::Malformed)?;
    let now = now as f64;
    if claims.iss != settings.issuer.as_str() {
        return Err(IdTokenError::Issuer);
    }
    let audiences = match &claims.aud {
        Audience::One(one) => std::slice::from_ref(one),
        Audience::Several(several) => several,
    };
    if !audiences.contains(&settings.client_id) {
        return Err(IdTokenError::Audience);
    }
    match &claims.azp {
        Some(azp) if *azp != settings.client_id => return Err(IdTokenError::AuthorizedParty),
        None if audiences.len() > 1 => return Err(IdTokenError::AuthorizedParty),
        _ => {}
    }
    if claims.exp.is_past(now) {
        return Err(IdTokenError::Expired);
    }
    let begins = [Some(claims.iat), claims.nbf, claims.auth_time];
    if begins.into_iter().flatten().any(|at| at.is_future(now)) {
        return Err(IdTokenError::Future);
    }
    // OpenID Connect Core 3.1.3.7, item 12. Some providers leave the claim out, asked or not.
    let oldest = pending.oldest_proof as f64;
    if claims.auth_time.is_some_and(|at| at.is_before(oldest)) {
        return Err(IdTokenError::Stale);
    }
    let nonce = claims.nonce.unwrap_or_default();
    if !pending.nonce.ct_eq(nonce.as_bytes()) {
        return Err(IdTokenError::Nonce);
    }
    if let Some(hash) = &claims.at_hash {
        // EXPOSE: hashed, to compare with the claim.
        if *hash != algorithm.half_hash(access_token.expose()) {
            return Err(IdTokenError::AccessTokenHash);
        }
    }
    if !is_subject(&claims.sub) {
        return Err(IdTokenError::Subject);
    }
    Ok(Checked {
        subject: claims.sub,
        authenticated_at: claims.auth_time.map(|at| at.or_earlier(now)),
        profile: serde_json::from_slice(payload).map_err(|_| IdTokenError::Malformed)?,
    })
}

/// OpenID Connect Core 2: at most 255 ASCII characters.
fn is_subject(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

impl Profile {
    /// Whether the e-mail address has to be asked for at the user info endpoint.
    pub(super) fn lacks_email(&self) -> bool {
        self.email.is_none()
    }

    /// The person, if the provider vouches for an e-mail address.
    pub(super) fn identify(
        self,
        issuer: &str,
        subject: String,
        authenticated_at: Option<Timestamp>,
    ) -> Result<Identity, IdTokenError> {
        let email = self.email.filter(|text| !text.is_empty());
        let email = email.ok_or(IdTokenError::EmailMissing)?;
        if email.len() > MAX_EMAIL_BYTES || email.chars().any(char::is_control) {
            return Err(IdTokenError::EmailMissing);
        }
        if !self.email_verified.is_some_and(|flag| flag.is_true()) {
            return Err(IdTokenError::EmailNotVerified);
        }
        let clean = |text: Option<String>| text.as_deref().and_then(SafeText::clean);
        Ok(Identity {
            issuer: issuer.to_owned(),
            subject,
            email,
            given_name: clean(self.given_name),
            family_name: clean(self.family_name),
            name: clean(self.name),
            authenticated_at,
        })
    }
}
