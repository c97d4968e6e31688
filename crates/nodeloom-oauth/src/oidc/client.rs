//! The flow, from the button to the identity.

use std::{fmt, sync::Arc};

use nodeloom_crypto::Secret;
use nodeloom_domain::Clock;
use serde::Deserialize;
use url::Url;

use super::{
    Callback, ClientSettings, Freshness, Identity, OidcError, Pending, UserInfoError,
    documents::Documents,
    exchange::{Tokens, exchange},
    id_token::{self, Profile},
    jws::Jws,
};
use crate::{Fetch, Method, Request};

/// One client at one provider, with the provider's documents as they were last seen.
pub struct Client {
    settings: ClientSettings,
    documents: Documents,
}

/// A flow that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: Url,
    /// What is kept until it comes back.
    pub pending: Pending,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
}

impl Client {
    /// A client that has not spoken to its provider yet.
    #[must_use]
    pub fn new(settings: ClientSettings, fetch: Arc<dyn Fetch>, clock: Clock) -> Self {
        Self {
            settings,
            documents: Documents::new(fetch, clock),
        }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// Begins a flow: OpenID Connect Core 3.1.2.1.
    ///
    /// # Errors
    /// [`OidcError::Unreachable`] and [`OidcError::Discovery`] when the provider's discovery
    /// document cannot be had or used.
    pub async fn begin(&self, freshness: Freshness) -> Result<Begun, OidcError> {
        let metadata = self.documents.metadata(&self.settings).await?;
        let max_age = freshness.max_age_seconds();
        let oldest_proof = self.now_seconds() - i64::from(max_age);
        let pending = Pending::generate(&self.settings.issuer, oldest_proof)
            .map_err(|_| OidcError::Random)?;
        let mut url = metadata.authorization_endpoint.clone();
        // EXPOSE: state and nonce travel through the browser by design; the verifier does not.
        let (state, nonce) = (pending.state.expose(), pending.nonce.expose());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", self.settings.redirect_uri.as_str())
            .append_pair("scope", self.settings.scopes.as_str())
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", &pending.verifier.challenge())
            .append_pair("code_challenge_method", "S256")
            .append_pair("max_age", &max_age.to_string());
        if freshness == Freshness::Now {
            url.query_pairs_mut().append_pair("prompt", "login");
        }
        Ok(Begun { url, pending })
    }

    /// Ends a flow: checks the answer, exchanges the code and checks the ID token.
    ///
    /// When the ID token has no e-mail address, as in a strict reading of OpenID Connect Core 5.4,
    /// the user info endpoint is asked.
    ///
    /// # Errors
    /// [`OidcError`], the first check that fails.
    pub async fn finish(
        &self,
        callback: &Callback,
        pending: &Pending,
    ) -> Result<Identity, OidcError> {
        let metadata = self.documents.metadata(&self.settings).await?;
        let issuer = &self.settings.issuer;
        let code = callback.code(pending, issuer, metadata.answers_name_issuer)?;
        let tokens = exchange(&self.documents, &metadata, &self.settings, pending, code).await?;
        // EXPOSE: taken apart and checked here.
        let token = Jws::parse(tokens.id_token()?.expose())?;
        self.documents.verify(&metadata, &token).await?;
        let checked = id_token::check(
            &token.payload,
            token.algorithm,
            &self.settings,
            pending,
            &tokens.access_token,
            self.now_seconds(),
        )?;
        let mut profile = checked.profile;
        if profile.lacks_email()
            && let Some(url) = &metadata.userinfo_endpoint
        {
            profile = self.user_info(url, &tokens, &checked.subject).await?;
        }
        Ok(profile.identify(issuer.as_str(), checked.subject, checked.authenticated_at)?)
    }

    fn now_seconds(&self) -> i64 {
        self.documents.now().as_micros().div_euclid(1_000_000)
    }

    /// OpenID Connect Core 5.3. Only a plain JSON answer is read.
    async fn user_info(
        &self,
        url: &Url,
        tokens: &Tokens,
        subject: &str,
    ) -> Result<Profile, OidcError> {
        // EXPOSE: it is the header that asks for the person's claims.
        let authorization = Secret::new(format!("Bearer {}", tokens.access_token.expose()));
        let request = Request {
            method: Method::Get,
            url,
            authorization: Some(&authorization),
            body: None,
        };
        let answer = self.documents.send(request).await?;
        if answer.status != 200 {
            return Err(UserInfoError::Status(answer.status).into());
        }
        // EXPOSE: claims, read here.
        let body = answer.body.expose();
        let about: UserInfo = serde_json::from_slice(body).map_err(|_| UserInfoError::Malformed)?;
        if about.sub != subject {
            return Err(UserInfoError::SubjectDiffers.into());
        }
        Ok(serde_json::from_slice(body).map_err(|_| UserInfoError::Malformed)?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("issuer", &self.settings.issuer.as_str())
            .finish_non_exhaustive()
    }
}
