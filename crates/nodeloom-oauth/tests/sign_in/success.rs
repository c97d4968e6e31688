//! What a good provider and a good browser get.

use std::collections::BTreeMap;

use nodeloom_oauth::{
    FetchError,
    oidc::{Callback, Freshness, IdTokenError, OidcError, Pending},
};
use serde_json::json;

use crate::provider::{
    ACCESS_TOKEN, CODE, ISSUER, NOW, SECRET, Stage, answer, b64, basic, rsa_jwk,
};

#[tokio::test]
async fn the_authorization_request_has_state_nonce_and_pkce() {
    let stage = Stage::new();
    let (one, two) = (stage.begin().await, stage.begin().await);
    assert_eq!(one.url.path(), "/realm/authorize");
    let query: BTreeMap<String, String> = one.url.query_pairs().into_owned().collect();
    let expected = [
        ("tenant", "a"),
        ("response_type", "code"),
        ("client_id", "node:loom"),
        (
            "redirect_uri",
            "https://loom.example.com/api/auth/oidc/callback",
        ),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
        ("max_age", "3600"),
    ];
    for (name, value) in expected {
        assert_eq!(query[name], value, "{name}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(query[name].len(), 43, "{name} holds 256 bits");
        assert!(!two.url.as_str().contains(&query[name]), "{name} is fresh");
    }
    assert!(!one.url.as_str().contains(SECRET));
    assert_eq!(
        stage.provider.count("/.well-known/openid-configuration"),
        1,
        "it is kept"
    );
}

#[tokio::test]
async fn an_identity_comes_out_of_a_whole_flow() {
    let stage = Stage::new();
    let identity = stage.sign_in().await.unwrap();
    assert_eq!(identity.issuer, ISSUER);
    assert_eq!(identity.subject, "248289761001");
    assert_eq!(identity.email, "Jane@example.com");
    assert_eq!(identity.given_name.unwrap().as_str(), "Jane");
    assert_eq!(identity.family_name.unwrap().as_str(), "Doe");

    let (header, form) = stage.provider.token_request.lock().unwrap().clone();
    assert_eq!(basic(&header.unwrap()), "node%3Aloom:s3cret%2B%2F+%25");
    assert!(
        form.iter()
            .all(|(name, _)| name != "client_secret" && name != "client_id")
    );
}

#[tokio::test]
async fn a_flow_that_was_kept_as_bytes_goes_on() {
    let stage = Stage::new();
    let begun = stage.begin().await;
    let kept = Pending::parse(begun.pending.to_bytes().expose()).unwrap();
    let callback = Callback::parse(&answer(&begun, &[("code", CODE)])).unwrap();
    assert!(stage.client.finish(&callback, &kept).await.is_ok());
}

#[tokio::test]
async fn each_algorithm_on_the_list_is_verified() {
    let stage = Stage::new();
    for (algorithm, kid) in [
        ("RS256", "rsa"),
        ("PS256", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ] {
        stage
            .provider
            .change(|script| script.header = json!({ "alg": algorithm, "kid": kid }));
        assert!(stage.sign_in().await.is_ok(), "{algorithm}");
        // Without a kid there is one key that fits each.
        stage
            .provider
            .change(|script| script.header = json!({ "alg": algorithm }));
        assert!(stage.sign_in().await.is_ok(), "{algorithm} without kid");
    }
    assert_eq!(stage.provider.count("/keys"), 1, "they are kept");
}

#[tokio::test]
async fn a_good_at_hash_passes() {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    let stage = Stage::new();
    let half = b64(&digest(&SHA256, ACCESS_TOKEN.as_bytes()).as_ref()[..16]);
    assert!(stage.sign_in_with(json!({ "at_hash": half })).await.is_ok());

    stage
        .provider
        .change(|script| script.header = json!({ "alg": "EdDSA", "kid": "ed" }));
    let half = b64(&digest(&SHA512, ACCESS_TOKEN.as_bytes()).as_ref()[..32]);
    assert!(stage.sign_in_with(json!({ "at_hash": half })).await.is_ok());
}

#[tokio::test]
async fn what_providers_write_differently_is_understood() {
    let stage = Stage::new();
    let accepted = [
        json!({ "email_verified": "true" }),
        json!({ "aud": ["node:loom"] }),
        json!({ "aud": ["other", "node:loom"], "azp": "node:loom" }),
        json!({ "azp": "node:loom" }),
        json!({ "exp": NOW as f64 + 0.5, "iat": NOW as f64 - 0.25 }),
        // Clocks a minute apart.
        json!({ "exp": NOW - 59, "iat": NOW + 60, "nbf": NOW + 60 }),
        json!({ "name": null, "given_name": null, "family_name": null }),
    ];
    for claims in accepted {
        let result = stage.sign_in_with(claims.clone()).await;
        assert!(result.is_ok(), "{claims}: {result:?}");
    }
}

#[tokio::test]
async fn the_secret_goes_where_the_provider_takes_it() {
    let stage = Stage::new();
    stage.provider.change(|script| {
        script.discovery["token_endpoint_auth_methods_supported"] =
            json!(["private_key_jwt", "client_secret_post"]);
    });
    stage.sign_in().await.unwrap();
    let (header, form) = stage.provider.token_request.lock().unwrap().clone();
    assert_eq!(header, None);
    assert!(form.contains(&("client_id".into(), "node:loom".into())));
    assert!(form.contains(&("client_secret".into(), SECRET.into())));

    let public = Stage::with_secret(None);
    public.sign_in().await.unwrap();
    let (header, form) = public.provider.token_request.lock().unwrap().clone();
    assert_eq!(header, None);
    assert!(form.contains(&("client_id".into(), "node:loom".into())));
    assert!(form.iter().all(|(name, _)| name != "client_secret"));
}

#[tokio::test]
async fn an_email_that_stands_at_the_user_info_endpoint_is_found() {
    let stage = Stage::new();
    stage.provider.change(|script| {
        script.user_info = json!({
            "sub": "248289761001", "email": "me@example.com", "email_verified": true, "given_name": "J\u{202e}ane",
        });
    });
    let absent = json!({ "email": null, "email_verified": null, "given_name": null });
    let identity = stage.sign_in_with(absent).await.unwrap();
    assert_eq!(identity.email, "me@example.com");
    assert_eq!(identity.given_name.unwrap().as_str(), "Jane");
}

#[tokio::test]
async fn changed_keys_are_fetched_once_and_not_more_often_than_allowed() {
    let stage = Stage::new();
    stage.sign_in().await.unwrap();
    assert_eq!(stage.provider.count("/keys"), 1);

    // The provider signs with a key that it did not list a minute ago.
    stage.clock.advance_seconds(60);
    stage.provider.change(|script| {
        script.header = json!({ "alg": "RS256", "kid": "next" });
        script.jwks = json!({ "keys": [rsa_jwk("next")] });
    });
    assert!(stage.sign_in().await.is_ok());
    assert_eq!(stage.provider.count("/keys"), 2);

    // Unknown names do not make a stream of requests.
    for _ in 0..5 {
        stage
            .provider
            .change(|script| script.header = json!({ "alg": "RS256", "kid": "unknown" }));
        assert!(stage.sign_in().await.is_err());
    }
    assert_eq!(stage.provider.count("/keys"), 2);
    stage.clock.advance_seconds(31);
    assert!(stage.sign_in().await.is_err());
    assert_eq!(stage.provider.count("/keys"), 3);
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_asked_by_everyone() {
    let stage = Stage::new();
    stage.provider.change(|script| script.down = true);
    for _ in 0..4 {
        let error = stage.client.begin(Freshness::Now).await.unwrap_err();
        assert_eq!(error, OidcError::Unreachable(FetchError::TimedOut));
    }
    assert_eq!(stage.provider.count("/.well-known/openid-configuration"), 1);
    stage.provider.change(|script| script.down = false);
    stage.clock.advance_seconds(5);
    assert!(stage.sign_in().await.is_ok());
}

#[tokio::test]
async fn a_proof_that_must_be_new_is_asked_for_and_checked() {
    let stage = Stage::new();
    let url = stage.begin_with(Freshness::Now).await.url;
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(
        (query["prompt"].as_str(), query["max_age"].as_str()),
        ("login", "0")
    );

    // Seconds since the person's proof; none where the provider does not tell.
    let table = [
        (Freshness::Now, Some(60), true),
        (Freshness::Now, Some(61), false),
        (Freshness::Now, None, true),
        (Freshness::WithinSeconds(3600), Some(3600), true),
        (Freshness::WithinSeconds(3600), Some(3661), false),
    ];
    for (freshness, age, good) in table {
        stage.provider.change(|script| {
            script.claims = json!({ "auth_time": age.map(|age: i64| NOW - age) });
        });
        let begun = stage.begin_with(freshness).await;
        let callback = Callback::parse(&answer(&begun, &[("code", CODE)])).unwrap();
        match stage.client.finish(&callback, &begun.pending).await {
            Ok(identity) if good => {
                let at = identity
                    .authenticated_at
                    .map(|at| at.as_micros() / 1_000_000);
                assert_eq!(at, age.map(|age| NOW - age));
            }
            Err(error) if !good => assert_eq!(error, IdTokenError::Stale.into()),
            other => panic!("{freshness:?} {age:?}: {other:?}"),
        }
    }
    let ahead = stage
        .sign_in_with(json!({ "auth_time": NOW + 30 }))
        .await
        .unwrap();
    assert_eq!(
        ahead.authenticated_at.map(|at| at.as_micros() / 1_000_000),
        Some(NOW)
    );
}
