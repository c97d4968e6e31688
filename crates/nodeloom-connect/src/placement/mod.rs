//! From a credential and a request without authentication to the request that is sent: where each
//! secret goes is stated in the credential type's file, this module acts on it. No I/O.
//!
//! [`place`] answers with the request, or with the token request that has to be sent first.
//! A request goes only to the hosts that its type names, over https unless the credential's own
//! base address is http.
//!
//! The HMAC of AWS requests and the RSA signature of a service account's JWT are made here, with
//! aws-lc-rs: they authenticate towards others and have nothing to do with what is stored.

mod aws_scope;
mod fill;
mod plan;
mod put;
mod service_account;
mod sigv4;
mod token;

pub use plan::{Expect, TestPlan, test_plan};
pub use service_account::KeyError;
pub use token::{Token, TokenError, read_token};

use nodeloom_domain::{
    FieldErrors, Timestamp,
    credential_type::{AddressError, CredentialType, Place},
};
use serde_json::{Map, Value};

use crate::http::Request;
use fill::Values;

/// Why a credential cannot be placed in a request. No text repeats a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// The data does not fit its type (any more).
    #[error("the credential's data does not fit its type: {0}")]
    Data(#[from] FieldErrors),
    /// The request goes where this type's secret may not go.
    #[error("the secret of this credential goes to {allowed} alone")]
    Host {
        /// The hosts that the type names.
        allowed: String,
    },
    /// The type is not used by HTTP.
    #[error("this type does not authenticate HTTP requests: {reason}")]
    NotHttp {
        /// What happens instead.
        reason: String,
    },
    /// A value cannot stand in its place.
    #[error("{what} cannot hold the credential's value: {why}")]
    Unfit {
        /// The place.
        what: &'static str,
        /// What is in the way.
        why: &'static str,
    },
    /// An address cannot be made from the data.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A token endpoint must be reached by TLS (RFC 6749, section 3.2).
    #[error("the token address must be https, or http on this machine")]
    TokenAddress,
    /// The key of the service account cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A request with its credential in place, or the step before it.
#[derive(Debug)]
pub enum Placed {
    /// Send this.
    Ready(Box<Request>),
    /// Send [`NeedsToken::request`] first.
    NeedsToken(Box<NeedsToken>),
}

/// A request that needs a token from a token endpoint.
#[derive(Debug)]
pub struct NeedsToken {
    /// The request for the token. It follows no redirect.
    pub request: Request,
    draft: Request,
}

impl NeedsToken {
    /// The request that was asked for, with the token as bearer (RFC 6750, section 2.1).
    ///
    /// # Errors
    /// [`PlacementError::Unfit`] if the token cannot stand in a header.
    pub fn place(self, token: &Token) -> Result<Request, PlacementError> {
        let mut request = self.draft;
        // EXPOSE: the token authenticates the request that it was asked for.
        put::bearer(&mut request, token.access.expose())?;
        Ok(request)
    }
}

/// Puts the secrets of `data`, a credential of type `kind`, where the type says, and adds the
/// headers that the service wants. A header or query parameter of the draft with the same name
/// gives way to a secret and wins over a header without one.
///
/// # Errors
/// [`PlacementError`]; nothing of a value is in it.
pub fn place(
    kind: &CredentialType,
    data: &Map<String, Value>,
    mut draft: Request,
    now: Timestamp,
) -> Result<Placed, PlacementError> {
    kind.validate(data)?;
    let values = Values { kind, data };
    let places: Vec<&Place> = kind
        .auth
        .iter()
        .filter(|auth| auth.when.as_ref().is_none_or(|when| when.holds(kind, data)))
        .map(|auth| &auth.place)
        .collect();
    let address_is_secret = places
        .iter()
        .any(|place| matches!(place, Place::Url { .. }));
    if !address_is_secret && !kind.may_send_to(data, &draft.url) {
        let allowed: Vec<String> = kind.allowed_hosts.iter().map(ToString::to_string).collect();
        let allowed = allowed.join(", ");
        return Err(PlacementError::Host { allowed });
    }
    draft.url.set_fragment(None);
    for header in &kind.headers {
        if header
            .when
            .as_ref()
            .is_none_or(|when| when.holds(kind, data))
        {
            put::plain_header(&mut draft, &header.name, &values.text(&header.value)?)?;
        }
    }
    let mut signing = None;
    let mut token = None;
    for place in places {
        match place {
            Place::Header { name, value } => {
                put::header(&mut draft, &values.text(name)?, &values.text(value)?)?;
            }
            Place::Query { name, value } => {
                put::query(&mut draft, &values.text(name)?, &values.text(value)?);
            }
            Place::Basic { username, password } => {
                put::basic(&mut draft, &values.text(username)?, &values.text(password)?)?;
            }
            Place::Bearer { token } => put::bearer(&mut draft, &values.text(token)?)?,
            Place::Body { name, value } => put::body(&mut draft, name, &values.text(value)?)?,
            Place::Path { prefix } => put::path(&mut draft, &values.segment(prefix)?),
            Place::Url { value } => put::url(&mut draft, &values.text(value)?)?,
            Place::AwsSigv4 { .. } => signing = Some(place),
            Place::GoogleServiceAccount { .. } | Place::ClientCredentials { .. } => {
                token = Some(token_request(&values, place, now)?);
            }
            Place::None { reason } => {
                let reason = reason.clone();
                return Err(PlacementError::NotHttp { reason });
            }
        }
    }
    // Last, since a signature covers what the others have put.
    if let Some(Place::AwsSigv4 {
        access_key_id,
        secret_access_key,
        session_token,
        region,
    }) = signing
    {
        let keys = sigv4::Keys {
            id: &values.text(access_key_id)?,
            secret: &values.text(secret_access_key)?,
            session: values.optional(session_token.as_ref())?,
        };
        let scope = aws_scope::of_host(&draft.url, &values.text(region)?);
        sigv4::sign(&mut draft, &keys, &scope, now)?;
    }
    Ok(match token {
        None => Placed::Ready(Box::new(draft)),
        Some(request) => Placed::NeedsToken(Box::new(NeedsToken { request, draft })),
    })
}

/// The request for a token, of the places that need one.
fn token_request(
    values: &Values<'_>,
    place: &Place,
    now: Timestamp,
) -> Result<Request, PlacementError> {
    match place {
        Place::GoogleServiceAccount {
            key,
            scope,
            subject,
            token_url,
        } => {
            let subject = values.optional(subject.as_ref())?;
            let address = token::address(values, token_url)?;
            let assertion = service_account::assertion(
                values.json(key)?,
                &values.text(scope)?,
                subject.as_ref().map(|text| text.as_str()),
                address.as_str(),
                now,
            )?;
            Ok(token::by_jwt(address, &assertion))
        }
        Place::ClientCredentials {
            token_url,
            client_id,
            client_secret,
            scope,
            audience,
            client_auth,
        } => {
            let client = token::Client {
                id: &values.text(client_id)?,
                secret: &values.text(client_secret)?,
                in_body: values.text(client_auth)?.as_str() == "body",
            };
            let scope = values.optional(scope.as_ref())?;
            let audience = values.optional(audience.as_ref())?;
            token::by_client(
                token::address(values, token_url)?,
                &client,
                scope.as_ref().map(|text| text.as_str()),
                audience.as_ref().map(|text| text.as_str()),
            )
        }
        _ => Err(PlacementError::NotHttp {
            reason: "No placement gets a token.".into(),
        }),
    }
}

#[cfg(test)]
mod tests;
