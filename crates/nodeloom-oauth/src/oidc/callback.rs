//! What the browser brings back: RFC 6749 section 4.1.2, RFC 9207.

use nodeloom_crypto::Secret;
use url::form_urlencoded;

use super::{CallbackError, ErrorCode, Issuer, Pending, ProviderError};

/// Longest query that is read, in bytes.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// An authorization answer, read but not yet believed.
#[derive(Debug)]
pub struct Callback {
    state: Secret<String>,
    issuer: Option<String>,
    result: Result<Secret<String>, ProviderError>,
}

impl Callback {
    /// Reads the query of the redirect, without its question mark.
    ///
    /// Parameters that are not known are passed over: RFC 6749 section 4.1.2.
    ///
    /// # Errors
    /// [`CallbackError::Malformed`] unless there is a `state` and either a `code` or an `error`,
    /// each once.
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(CallbackError::Malformed);
        }
        let (mut state, mut code, mut issuer) = (None, None, None);
        let (mut error, mut description) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "iss" => &mut issuer,
                "error" => &mut error,
                "error_description" => &mut description,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(CallbackError::Malformed);
            }
        }
        let state = state.filter(|text| !text.is_empty());
        let result = match (code, error) {
            (Some(code), None) if is_visible(&code) => Ok(Secret::new(code)),
            (None, Some(error)) => Err(ProviderError::read(&error, description.as_deref())),
            _ => return Err(CallbackError::Malformed),
        };
        Ok(Self {
            state: Secret::new(state.ok_or(CallbackError::Malformed)?),
            issuer,
            result,
        })
    }

    /// The state, by which the flow is to be found.
    #[must_use]
    pub fn state(&self) -> &Secret<String> {
        &self.state
    }

    /// Whether the person said no at the provider, as far as the answer can be believed.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(&self.result, Err(error) if error.code == ErrorCode::AccessDenied)
    }

    /// The code, if the answer belongs to this flow and is not an error.
    pub(super) fn code(
        &self,
        pending: &Pending,
        issuer: &Issuer,
        issuer_required: bool,
    ) -> Result<&Secret<String>, super::OidcError> {
        // EXPOSE: compared in constant time.
        if !self.state.ct_eq(pending.state.expose().as_bytes()) {
            return Err(CallbackError::StateDiffers.into());
        }
        if pending.issuer != issuer.as_str() {
            return Err(CallbackError::OtherFlow.into());
        }
        // Before the error is read: another provider's error is not ours to show.
        match &self.issuer {
            Some(named) if named != issuer.as_str() => {
                return Err(CallbackError::IssuerDiffers.into());
            }
            None if issuer_required => return Err(CallbackError::IssuerMissing.into()),
            _ => {}
        }
        Ok(self.result.as_ref().map_err(Clone::clone)?)
    }
}

/// RFC 6749 appendix A.11: a code is visible ASCII and spaces.
fn is_visible(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_code_or_an_error_with_a_state() {
        for query in [
            "code=a&state=b",
            "state=b&code=a&session_state=x&scope=openid",
            "error=access_denied&state=b",
        ] {
            let read = Callback::parse(query).unwrap();
            assert_eq!(read.state().expose(), "b");
            assert_eq!(read.is_denied(), query.starts_with("error"));
        }
        let long = format!("state=b&code={}", "a".repeat(9_000));
        for query in [
            "",
            "code=a",
            "state=b",
            "state=&code=a",
            "code=&state=b",
            "code=a&state=b&error=c",
            "code=a&code=b&state=c",
            "code=a&state=b&state=b",
            "code=a%0d&state=b",
            "code=%ff&state=b",
            "error=a&error=b&state=c",
            "code=a&state=b&iss=c&iss=d",
            &long,
        ] {
            assert_eq!(
                Callback::parse(query).err(),
                Some(CallbackError::Malformed),
                "{query}"
            );
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let read = Callback::parse("code=hunter2&state=hunter3").unwrap();
        assert!(!format!("{read:?}").contains("hunter"));
    }
}
