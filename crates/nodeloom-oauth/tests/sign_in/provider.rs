//! A provider without a network: it answers the requests of a client from memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::AsDer as _,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nodeloom_crypto::Secret;
use nodeloom_domain::{Clock, Timestamp};
use nodeloom_oauth::{
    Answer, Fetch, FetchError, Fetching, Method, Request,
    oidc::{
        Begun, Callback, Client, ClientSettings, Freshness, Identity, Issuer, OidcError, PlainHttp,
        Scopes,
    },
};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

pub(crate) const ISSUER: &str = "https://id.example.com/realm";
pub(crate) const CLIENT: &str = "node:loom";
pub(crate) const SECRET: &str = "s3cret+/ %";
pub(crate) const ACCESS_TOKEN: &str = "access-token-of-the-test";
pub(crate) const CODE: &str = "code-of-the-test";
/// The fixed clock's first second.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) struct Keys {
    pub(crate) rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

/// Making an RSA key takes long enough to do it once.
pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"),
        ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key"),
        ed: Ed25519KeyPair::generate().expect("an Ed25519 key"),
    })
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The RSA key under a name.
pub(crate) fn rsa_jwk(kid: &str) -> Value {
    // RFC 8017 appendix A.1.1 at 2048 bits: the modulus follows 9 bytes, the exponent ends it.
    let der = keys().rsa.public_key().as_ref();
    json!({ "kty": "RSA", "kid": kid, "use": "sig", "n": b64(&der[9..265]), "e": b64(&der[267..]) })
}

/// The provider's key set: one key of each kind.
pub(crate) fn jwks() -> Value {
    let keys = keys();
    let point = keys.ec.public_key().as_ref();
    json!({ "keys": [
        rsa_jwk("rsa"),
        { "kty": "EC", "kid": "ec", "crv": "P-256", "alg": "ES256",
          "x": b64(&point[1..33]), "y": b64(&point[33..]) },
        { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": b64(keys.ed.public_key()) },
        { "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB" },
        { "kty": "new-kind", "kid": "rsa" },
    ]})
}

/// The public RSA key as DER, which a careless verifier would take as an HMAC key.
pub(crate) fn rsa_public_der() -> Vec<u8> {
    let der = keys().rsa.public_key().as_der().expect("a public key");
    let der: &[u8] = der.as_ref();
    der.to_vec()
}

/// A token of these parts, signed as its header says (`none` and HS256 too).
pub(crate) fn sign(header: &Value, claims: &Value, hmac_key: &[u8]) -> String {
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let message = signed.as_bytes();
    let random = SystemRandom::new();
    let rsa = |encoding| {
        let mut out = vec![0; keys().rsa.public_modulus_len()];
        keys()
            .rsa
            .sign(encoding, &random, message, &mut out)
            .expect("a signature");
        out
    };
    let signature = match header["alg"].as_str() {
        Some("RS256") => rsa(&RSA_PKCS1_SHA256),
        Some("PS256") => rsa(&RSA_PSS_SHA256),
        Some("ES256") => keys()
            .ec
            .sign(&random, message)
            .expect("a signature")
            .as_ref()
            .to_vec(),
        Some("EdDSA") => keys().ed.sign(message).as_ref().to_vec(),
        Some("HS256") => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, hmac_key), message)
            .as_ref()
            .to_vec(),
        _ => Vec::new(),
    };
    format!("{signed}.{}", b64(signature))
}

/// What the provider answers; a test changes what it is about.
pub(crate) struct Script {
    pub(crate) discovery: Value,
    pub(crate) jwks: Value,
    pub(crate) header: Value,
    /// Claims that replace the good ones; null removes one.
    pub(crate) claims: Value,
    pub(crate) user_info: Value,
    /// Replaces the whole token answer.
    pub(crate) token_answer: Option<(u16, String)>,
    /// Replaces the ID token.
    pub(crate) id_token: Option<String>,
    pub(crate) down: bool,
}

/// The pairs of a form, in their order.
type Form = Vec<(String, String)>;

pub(crate) struct Provider {
    pub(crate) script: Mutex<Script>,
    nonce: Mutex<String>,
    challenge: Mutex<String>,
    /// How often each path was asked.
    counts: Mutex<BTreeMap<String, usize>>,
    /// The last token request: header and form.
    pub(crate) token_request: Mutex<(Option<String>, Form)>,
    pub(crate) requests: AtomicUsize,
}

impl Provider {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Script {
                discovery: json!({
                    "issuer": ISSUER,
                    "authorization_endpoint": format!("{ISSUER}/authorize?tenant=a"),
                    "token_endpoint": format!("{ISSUER}/token"),
                    "jwks_uri": format!("{ISSUER}/keys"),
                    "userinfo_endpoint": format!("{ISSUER}/me"),
                    "id_token_signing_alg_values_supported": ["HS256", "RS256"],
                }),
                jwks: jwks(),
                header: json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" }),
                claims: json!({}),
                user_info: json!({}),
                token_answer: None,
                id_token: None,
                down: false,
            }),
            nonce: Mutex::default(),
            challenge: Mutex::default(),
            counts: Mutex::default(),
            token_request: Mutex::default(),
            requests: AtomicUsize::new(0),
        })
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().expect("the script"));
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.counts
            .lock()
            .expect("the counts")
            .get(path)
            .copied()
            .unwrap_or(0)
    }

    fn claims(&self, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "sub": "248289761001", "aud": CLIENT, "exp": NOW + 300, "iat": NOW,
            "nonce": *self.nonce.lock().expect("the nonce"),
            "email": "Jane@example.com", "email_verified": true,
            "given_name": "Jane", "family_name": "Doe", "name": "Jane Doe",
        });
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn token(&self, script: &Script, request: &Request<'_>) -> (u16, String) {
        let body = request.body.expect("a form").expose();
        let form: Form = form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
        let field = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let verifier = field("code_verifier").unwrap_or_default();
        let challenge = b64(digest(&SHA256, verifier.as_bytes()));
        let good = field("grant_type") == Some("authorization_code")
            && field("code") == Some(CODE)
            && field("redirect_uri") == Some("https://loom.example.com/api/auth/oidc/callback")
            && challenge == *self.challenge.lock().expect("the challenge");
        *self.token_request.lock().expect("the request") = (
            request.authorization.map(|value| value.expose().clone()),
            form,
        );
        if let Some(answer) = &script.token_answer {
            return answer.clone();
        }
        if !good {
            let error = json!({ "error": "invalid_grant", "error_description": "no\r\nsuch code" });
            return (400, error.to_string());
        }
        let id_token = script.id_token.clone().unwrap_or_else(|| {
            sign(
                &script.header,
                &self.claims(&script.claims),
                &rsa_public_der(),
            )
        });
        let answer = json!({
            "access_token": ACCESS_TOKEN, "token_type": "bearer", "expires_in": 60, "id_token": id_token,
        });
        (200, answer.to_string())
    }

    fn answer(&self, request: &Request<'_>) -> Result<(u16, String), FetchError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let path = request.url.path().trim_start_matches("/realm").to_owned();
        *self
            .counts
            .lock()
            .expect("the counts")
            .entry(path.clone())
            .or_default() += 1;
        let script = self.script.lock().expect("the script");
        if script.down {
            return Err(FetchError::TimedOut);
        }
        assert_eq!(request.method == Method::PostForm, path == "/token");
        Ok(match path.as_str() {
            "/.well-known/openid-configuration" => (200, script.discovery.to_string()),
            "/keys" => (200, script.jwks.to_string()),
            "/token" => self.token(&script, request),
            "/me" => {
                let bearer = request.authorization.map(|value| value.expose().as_str());
                assert_eq!(bearer, Some("Bearer access-token-of-the-test"));
                (200, script.user_info.to_string())
            }
            _ => (404, String::new()),
        })
    }
}

impl Fetch for Provider {
    fn fetch<'a>(&'a self, request: Request<'a>) -> Fetching<'a> {
        Box::pin(async move {
            let (status, body) = self.answer(&request)?;
            Ok(Answer {
                status,
                body: Secret::new(body.into_bytes()),
            })
        })
    }
}

/// A client at a provider, and the clock of both.
pub(crate) struct Stage {
    pub(crate) provider: Arc<Provider>,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with_secret(Some(SECRET))
    }

    pub(crate) fn with_secret(secret: Option<&str>) -> Self {
        let provider = Provider::new();
        let clock = Clock::fixed(Timestamp::from_micros(NOW * 1_000_000));
        let settings = ClientSettings {
            issuer: Issuer::parse(ISSUER, PlainHttp::Refuse).expect("an issuer"),
            client_id: CLIENT.to_owned(),
            client_secret: secret.map(|text| Secret::new(text.to_owned())),
            redirect_uri: Url::parse("https://loom.example.com/api/auth/oidc/callback")
                .expect("a URL"),
            scopes: Scopes::default(),
            plain_http: PlainHttp::Refuse,
        };
        let fetch: Arc<dyn Fetch> = Arc::<Provider>::clone(&provider);
        Self {
            client: Client::new(settings, fetch, clock.clone()),
            provider,
            clock,
        }
    }

    /// Begins a flow; the provider remembers what the browser would bring it.
    pub(crate) async fn begin(&self) -> Begun {
        self.begin_with(Freshness::WithinSeconds(3600)).await
    }

    pub(crate) async fn begin_with(&self, freshness: Freshness) -> Begun {
        let begun = self.client.begin(freshness).await.expect("a flow");
        let query: BTreeMap<_, _> = begun.url.query_pairs().into_owned().collect();
        self.provider
            .nonce
            .lock()
            .expect("the nonce")
            .clone_from(&query["nonce"]);
        self.provider
            .challenge
            .lock()
            .expect("the challenge")
            .clone_from(&query["code_challenge"]);
        begun
    }

    /// A whole flow with a good browser.
    pub(crate) async fn sign_in(&self) -> Result<Identity, OidcError> {
        let begun = self.begin().await;
        let query = answer(&begun, &[("code", CODE)]);
        self.client
            .finish(&Callback::parse(&query).expect("an answer"), &begun.pending)
            .await
    }

    /// A whole flow with other claims.
    pub(crate) async fn sign_in_with(&self, claims: Value) -> Result<Identity, OidcError> {
        self.provider.change(|script| script.claims = claims);
        self.sign_in().await
    }
}

/// The query that the browser brings back: the flow's state and these.
pub(crate) fn answer(begun: &Begun, pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("state", begun.pending.state().expose())
        .extend_pairs(pairs)
        .finish()
}

/// The `Authorization` header of HTTP Basic, taken apart.
pub(crate) fn basic(header: &str) -> String {
    let encoded = header.strip_prefix("Basic ").expect("Basic");
    String::from_utf8(STANDARD.decode(encoded).expect("Base64")).expect("UTF-8")
}
