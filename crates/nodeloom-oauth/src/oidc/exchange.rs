//! The code's exchange for tokens: RFC 6749 section 4.1.3, OpenID Connect Core 3.1.3.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodeloom_crypto::Secret;
use serde::{Deserialize, Deserializer};

use super::{
    ClientSettings, OidcError, Pending, ProviderError, TokenError,
    discovery::{ClientAuthentication, Metadata},
    documents::Documents,
};
use crate::{
    Method, Request,
    form::{encode, encode_pair},
};

/// What is used of a token answer.
#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(deserialize_with = "secret")]
    pub(super) access_token: Secret<String>,
    token_type: String,
    #[serde(default, deserialize_with = "optional_secret")]
    id_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct ErrorDocument {
    error: String,
    error_description: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(from).map(Secret::new)
}

fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::new))
}

impl Tokens {
    pub(super) fn id_token(&self) -> Result<&Secret<String>, TokenError> {
        self.id_token.as_ref().ok_or(TokenError::NoIdToken)
    }
}

/// Exchanges the code.
pub(super) async fn exchange(
    documents: &Documents,
    metadata: &Metadata,
    settings: &ClientSettings,
    pending: &Pending,
    code: &Secret<String>,
) -> Result<Tokens, OidcError> {
    // EXPOSE: all three go into the request to the token endpoint.
    let (code, verifier) = (code.expose(), pending.verifier.secret().expose());
    let secret = settings.client_secret.as_ref().map(Secret::expose);
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", settings.redirect_uri.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    let mut authorization = None;
    match (metadata.authentication, secret) {
        (ClientAuthentication::Basic, Some(secret)) => {
            authorization = Some(basic(&settings.client_id, secret));
        }
        (ClientAuthentication::Post, Some(secret)) => {
            pairs.push(("client_id", &settings.client_id));
            pairs.push(("client_secret", secret));
        }
        _ => pairs.push(("client_id", &settings.client_id)),
    }
    let body = encode(&pairs);
    let request = Request {
        method: Method::PostForm,
        url: &metadata.token_endpoint,
        authorization: authorization.as_ref(),
        body: Some(&body),
    };
    let answer = documents.send(request).await?;
    // EXPOSE: read here; the tokens in it become secrets of their own.
    read(answer.status, answer.body.expose())
}

fn read(status: u16, body: &[u8]) -> Result<Tokens, OidcError> {
    if status != 200 {
        return Err(match serde_json::from_slice::<ErrorDocument>(body) {
            Ok(read) if (400..500).contains(&status) => {
                ProviderError::read(&read.error, read.error_description.as_deref()).into()
            }
            _ => TokenError::Status(status).into(),
        });
    }
    let tokens: Tokens = serde_json::from_slice(body).map_err(|_| TokenError::Malformed)?;
    if !tokens.token_type.eq_ignore_ascii_case("Bearer") {
        return Err(TokenError::Malformed.into());
    }
    Ok(tokens)
}

/// RFC 6749 section 2.3.1.
fn basic(client_id: &str, secret: &str) -> Secret<String> {
    const SCHEME: &str = "Basic ";
    let pair = encode_pair(client_id, secret);
    // EXPOSE: it is the header that authenticates this client.
    let pair = pair.expose();
    let mut header = String::with_capacity(SCHEME.len() + pair.len().div_ceil(3) * 4);
    header.push_str(SCHEME);
    STANDARD.encode_string(pair, &mut header);
    Secret::new(header)
}
