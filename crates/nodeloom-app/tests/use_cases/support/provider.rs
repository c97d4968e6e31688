//! An identity provider without a network. It signs with Ed25519 and vouches for one person at a
//! time; what the protocol refuses is tested where the protocol is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodeloom_app::{App, SingleSignOn, SingleSignOnRules};
use nodeloom_crypto::{KeyId, KeyMaterial, Secret, SigningKey};
use nodeloom_domain::Clock;
use nodeloom_oauth::{
    Answer, Fetch, FetchError, Fetching, Request,
    oidc::{Client, ClientSettings, Issuer, PlainHttp, Scopes},
};
use serde_json::{Value, json};
use url::Url;

pub(crate) const ISSUER: &str = "https://id.example.com";

pub(crate) struct Provider {
    key: SigningKey,
    clock: Clock,
    /// The claims about the person who signs in next.
    person: Mutex<Value>,
    pub(crate) is_down: Mutex<bool>,
}

impl Provider {
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            key: SigningKey::new(KeyId::from_bytes([1; 8]), KeyMaterial::from_bytes(&[9; 32])),
            clock: clock.clone(),
            person: Mutex::new(json!({})),
            is_down: Mutex::default(),
        })
    }

    /// Lets `app` sign people in here by these rules.
    pub(crate) fn serve(self: &Arc<Self>, app: &App, rules: SingleSignOnRules) {
        let settings = ClientSettings {
            issuer: Issuer::parse(ISSUER, PlainHttp::Refuse).unwrap(),
            client_id: "nodeloom".into(),
            client_secret: None,
            redirect_uri: Url::parse("https://vault.example.com/api/auth/oidc/callback").unwrap(),
            scopes: Scopes::default(),
            plain_http: PlainHttp::Refuse,
        };
        let fetch: Arc<dyn Fetch> = Arc::<Self>::clone(self);
        let client = Client::new(settings, fetch, self.clock.clone());
        app.use_single_sign_on(SingleSignOn { client, rules });
    }

    /// Who signs in next: a subject with a verified address, and further claims.
    pub(crate) fn knows(&self, subject: &str, email: &str, further: Value) {
        let mut person = json!({ "sub": subject, "email": email, "email_verified": true });
        for (name, value) in further.as_object().unwrap() {
            person[name] = value.clone();
        }
        *self.person.lock().unwrap() = person;
    }

    /// The browser arrives here; the answer is the query that it takes back.
    pub(crate) fn visit(&self, location: &str) -> String {
        let url = Url::parse(location).unwrap();
        assert!(
            location.starts_with("https://id.example.com/authorize?"),
            "{location}"
        );
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        // The code is the nonce, which is all that the provider has to remember.
        format!("code={}&state={}", query["nonce"], query["state"])
    }

    fn id_token(&self, nonce: &str) -> String {
        let now = self.clock.now().as_micros() / 1_000_000;
        let mut claims = json!({
            "iss": ISSUER, "aud": "nodeloom", "iat": now, "exp": now + 60,
            "nonce": nonce,
        });
        for (name, value) in self.person.lock().unwrap().as_object().unwrap() {
            claims[name] = value.clone();
        }
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(json!({ "alg": "EdDSA" })), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

impl Fetch for Provider {
    fn fetch<'a>(&'a self, request: Request<'a>) -> Fetching<'a> {
        let body = match request.url.path() {
            _ if *self.is_down.lock().unwrap() => None,
            "/.well-known/openid-configuration" => Some(json!({
                "issuer": ISSUER,
                "authorization_endpoint": format!("{ISSUER}/authorize"),
                "token_endpoint": format!("{ISSUER}/token"),
                "jwks_uri": format!("{ISSUER}/keys"),
            })),
            "/keys" => Some(json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519",
                "x": URL_SAFE_NO_PAD.encode(self.key.public_key()) }] })),
            "/token" => {
                let form = request.body.unwrap().expose().as_bytes();
                let form: BTreeMap<_, _> = url::form_urlencoded::parse(form).collect();
                let id_token = self.id_token(&form["code"]);
                Some(json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token }))
            }
            other => panic!("{other}"),
        };
        Box::pin(async move {
            let body = body.ok_or(FetchError::TimedOut)?.to_string().into_bytes();
            Ok(Answer {
                status: 200,
                body: Secret::new(body),
            })
        })
    }
}
