//! What a connection test does, from the statements of a credential type.

use ::http::Method;
use nodeloom_domain::{
    Timestamp,
    credential_type::{By, CredentialType, Place, Protocol},
};
use serde_json::{Map, Value};

use super::{Placed, PlacementError, fill::Values, place, token_request};
use crate::http::{Request, Response};

/// How to test a credential.
#[derive(Debug)]
#[non_exhaustive]
pub enum TestPlan {
    /// Send the request and look at the answer.
    Http {
        /// The request, authenticated.
        placed: Placed,
        /// What a good answer looks like.
        expect: Expect,
    },
    /// Ask for a token; [`super::read_token`] says whether the answer has one.
    Token(Box<Request>),
    /// Sign in by that protocol, with the data's `host`, `port` and so on.
    Protocol(Protocol),
    /// There is no test.
    None {
        /// Why, a sentence.
        reason: String,
    },
}

/// What a good answer looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The statuses that say that the credential works.
    pub statuses: Vec<u16>,
    /// A JSON pointer (RFC 6901) to a member that must be `true`.
    pub json_true: Option<String>,
}

impl Expect {
    /// Whether this is a good answer.
    #[must_use]
    pub fn is_met_by(&self, answer: &Response) -> bool {
        self.statuses.contains(&answer.status.as_u16())
            && self.json_true.as_ref().is_none_or(|pointer| {
                // EXPOSE: one member of the answer is looked at.
                serde_json::from_slice::<Value>(answer.body.expose())
                    .is_ok_and(|body| body.pointer(pointer) == Some(&Value::Bool(true)))
            })
    }
}

/// The test of a credential of type `kind` with this data.
///
/// # Errors
/// [`PlacementError`], as [`place`].
pub fn test_plan(
    kind: &CredentialType,
    data: &Map<String, Value>,
    now: Timestamp,
) -> Result<TestPlan, PlacementError> {
    kind.validate(data)?;
    let unfit = |why| PlacementError::Unfit {
        what: "the test",
        why,
    };
    match &kind.test(data).ok_or_else(|| unfit("no test applies"))?.by {
        By::None { reason } => Ok(TestPlan::None {
            reason: reason.clone(),
        }),
        By::Protocol(protocol) => Ok(TestPlan::Protocol(*protocol)),
        By::Http(test) => {
            let method = Method::from_bytes(test.method.as_bytes())
                .map_err(|_| unfit("its method is none"))?;
            let draft = Request::new(method, kind.address(&test.url, data)?);
            Ok(TestPlan::Http {
                placed: place(kind, data, draft, now)?,
                expect: Expect {
                    statuses: test.expect.clone(),
                    json_true: test.json_true.clone(),
                },
            })
        }
        By::Token {} => {
            let place: &Place = kind
                .auth
                .iter()
                .filter(|auth| auth.when.as_ref().is_none_or(|when| when.holds(kind, data)))
                .map(|auth| &auth.place)
                .find(|place| place.token_url().is_some())
                .ok_or_else(|| unfit("no placement gets a token"))?;
            token_request(&Values { kind, data }, place, now)
                .map(|request| TestPlan::Token(Box::new(request)))
        }
    }
}
