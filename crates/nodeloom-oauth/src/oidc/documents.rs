//! The provider's two public documents, fetched when needed and kept for a while.

use std::sync::Arc;

use nodeloom_domain::{Clock, Timestamp};
use tokio::sync::Mutex;
use url::Url;

use super::{
    ClientSettings, DiscoveryError, IdTokenError, KeysError, OidcError, SettingsError,
    discovery::Metadata, jwk::KeySet, jws::Jws,
};
use crate::{Answer, Fetch, Method, Request};

/// How long a document is used without asking again.
const MAX_AGE_SECONDS: i64 = 3600;
/// How soon a token with an unknown key may make the keys be fetched again.
const REFETCH_SECONDS: i64 = 30;
/// How long a failure is answered without asking again, so that those who waited for a provider
/// that is down do not each wait for it in turn.
const FAILURE_SECONDS: i64 = 5;

/// One document. The lock is held over the request: whoever comes meanwhile gets its result.
struct Kept<T> {
    value: Option<(Arc<T>, Timestamp)>,
    failure: Option<(OidcError, Timestamp)>,
}

impl<T> Kept<T> {
    const EMPTY: Self = Self {
        value: None,
        failure: None,
    };

    /// The value, unless it is older than `seconds`.
    fn younger_than(&self, seconds: i64, now: Timestamp) -> Option<Arc<T>> {
        let (value, at) = self.value.as_ref()?;
        (now.seconds_since(*at) < seconds).then(|| Arc::clone(value))
    }

    fn recent_failure(&self, now: Timestamp) -> Option<OidcError> {
        let (error, at) = self.failure.as_ref()?;
        (now.seconds_since(*at) < FAILURE_SECONDS).then(|| error.clone())
    }

    fn keep(&mut self, result: Result<T, OidcError>, now: Timestamp) -> Result<Arc<T>, OidcError> {
        match result {
            Ok(value) => {
                let value = Arc::new(value);
                self.value = Some((Arc::clone(&value), now));
                self.failure = None;
                Ok(value)
            }
            Err(error) => {
                self.failure = Some((error.clone(), now));
                Err(error)
            }
        }
    }
}

/// Both documents of one provider.
pub(super) struct Documents {
    fetch: Arc<dyn Fetch>,
    clock: Clock,
    metadata: Mutex<Kept<Metadata>>,
    keys: Mutex<Kept<KeySet>>,
}

impl Documents {
    pub(super) fn new(fetch: Arc<dyn Fetch>, clock: Clock) -> Self {
        Self {
            fetch,
            clock,
            metadata: Mutex::new(Kept::EMPTY),
            keys: Mutex::new(Kept::EMPTY),
        }
    }

    /// The discovery document.
    pub(super) async fn metadata(
        &self,
        settings: &ClientSettings,
    ) -> Result<Arc<Metadata>, OidcError> {
        let mut kept = self.metadata.lock().await;
        let now = self.clock.now();
        if let Some(value) = kept.younger_than(MAX_AGE_SECONDS, now) {
            return Ok(value);
        }
        if let Some(error) = kept.recent_failure(now) {
            return Err(error);
        }
        let result = self.fetch_metadata(settings).await;
        kept.keep(result, self.clock.now())
    }

    async fn fetch_metadata(&self, settings: &ClientSettings) -> Result<Metadata, OidcError> {
        let url = settings
            .issuer
            .discovery_url()
            .map_err(|rule: SettingsError| DiscoveryError::Endpoint {
                name: "issuer",
                rule,
            })?;
        let answer = self.get(&url).await?;
        if answer.status != 200 {
            return Err(DiscoveryError::Status(answer.status).into());
        }
        // EXPOSE: a public document.
        Ok(Metadata::read(answer.body.expose(), settings)?)
    }

    /// Verifies a token with the provider's keys; asks for them again, once, when it names a key
    /// that is not among those kept: the provider may have changed them.
    pub(super) async fn verify(
        &self,
        metadata: &Metadata,
        token: &Jws<'_>,
    ) -> Result<(), OidcError> {
        let keys = self.keys(metadata, MAX_AGE_SECONDS).await?;
        match keys.verify(token) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.keys(metadata, REFETCH_SECONDS).await?;
                Ok(keys.verify(token)?)
            }
            result => Ok(result?),
        }
    }

    async fn keys(&self, metadata: &Metadata, max_age: i64) -> Result<Arc<KeySet>, OidcError> {
        let mut kept = self.keys.lock().await;
        let now = self.clock.now();
        if let Some(value) = kept.younger_than(max_age, now) {
            return Ok(value);
        }
        if let Some(error) = kept.recent_failure(now) {
            return Err(error);
        }
        let result = self.fetch_keys(metadata).await;
        kept.keep(result, self.clock.now())
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<KeySet, OidcError> {
        let answer = self.get(&metadata.jwks_uri).await?;
        if answer.status != 200 {
            return Err(KeysError::Status(answer.status).into());
        }
        // EXPOSE: public keys.
        Ok(KeySet::read(answer.body.expose())?)
    }

    async fn get(&self, url: &Url) -> Result<Answer, OidcError> {
        let request = Request {
            method: Method::Get,
            url,
            authorization: None,
            body: None,
        };
        self.send(request).await
    }

    /// Sends a request of this flow.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Answer, OidcError> {
        let answer = self.fetch.fetch(request).await;
        answer.map_err(OidcError::Unreachable)
    }

    /// The current instant.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
