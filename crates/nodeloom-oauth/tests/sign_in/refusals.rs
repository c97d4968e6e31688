//! What must not become an identity.

use nodeloom_oauth::oidc::{
    Callback, CallbackError, DiscoveryError, ErrorCode, Freshness, IdTokenError, OidcError,
    ProviderError, SettingsError, TokenError, UserInfoError,
};
use serde_json::{Value, json};

use crate::provider::{CODE, ISSUER, NOW, SECRET, Stage, answer, b64, sign};

/// Signs in with other claims and expects one refusal.
async fn refused(stage: &Stage, claims: Value, expected: IdTokenError) {
    let result = stage.sign_in_with(claims.clone()).await;
    assert_eq!(result, Err(OidcError::IdToken(expected)), "{claims}");
}

#[tokio::test]
async fn claims_that_are_not_ours_are_refused() {
    let stage = Stage::new();
    let table = [
        (
            json!({ "iss": "https://id.example.com/realm/" }),
            IdTokenError::Issuer,
        ),
        (
            json!({ "iss": "https://ID.example.com/realm" }),
            IdTokenError::Issuer,
        ),
        (json!({ "iss": null }), IdTokenError::Malformed),
        (json!({ "aud": "other" }), IdTokenError::Audience),
        (json!({ "aud": [] }), IdTokenError::Audience),
        (json!({ "aud": ["node", "loom"] }), IdTokenError::Audience),
        (json!({ "aud": null }), IdTokenError::Malformed),
        (
            json!({ "aud": ["node:loom", "other"] }),
            IdTokenError::AuthorizedParty,
        ),
        (json!({ "azp": "other" }), IdTokenError::AuthorizedParty),
        (
            json!({ "aud": ["node:loom", "other"], "azp": "other" }),
            IdTokenError::AuthorizedParty,
        ),
        (json!({ "exp": NOW - 60 }), IdTokenError::Expired),
        (json!({ "exp": 0 }), IdTokenError::Expired),
        (json!({ "exp": -1e300 }), IdTokenError::Expired),
        (json!({ "exp": null }), IdTokenError::Malformed),
        (json!({ "exp": "1900000000" }), IdTokenError::Malformed),
        (json!({ "iat": NOW + 61 }), IdTokenError::Future),
        (json!({ "iat": null }), IdTokenError::Malformed),
        (json!({ "nbf": NOW + 61 }), IdTokenError::Future),
        (json!({ "nonce": "another-flow" }), IdTokenError::Nonce),
        (json!({ "nonce": null }), IdTokenError::Nonce),
        (json!({ "nonce": "" }), IdTokenError::Nonce),
        (
            json!({ "at_hash": b64([0; 16]) }),
            IdTokenError::AccessTokenHash,
        ),
        (json!({ "at_hash": "" }), IdTokenError::AccessTokenHash),
        (json!({ "sub": "" }), IdTokenError::Subject),
        (json!({ "sub": "a".repeat(256) }), IdTokenError::Subject),
        (json!({ "sub": "jané" }), IdTokenError::Subject),
        (json!({ "sub": "a\nb" }), IdTokenError::Subject),
        (json!({ "sub": 7 }), IdTokenError::Malformed),
        (
            json!({ "email_verified": false }),
            IdTokenError::EmailNotVerified,
        ),
        (
            json!({ "email_verified": null }),
            IdTokenError::EmailNotVerified,
        ),
        (
            json!({ "email_verified": "True" }),
            IdTokenError::EmailNotVerified,
        ),
        (
            json!({ "email_verified": 1 }),
            IdTokenError::EmailNotVerified,
        ),
        (
            json!({ "email_verified": ["true"] }),
            IdTokenError::EmailNotVerified,
        ),
        (json!({ "email": "" }), IdTokenError::EmailMissing),
        (json!({ "email": "a\u{0}@b" }), IdTokenError::EmailMissing),
        (
            json!({ "email": "a".repeat(255) }),
            IdTokenError::EmailMissing,
        ),
    ];
    for (claims, expected) in table {
        refused(&stage, claims, expected).await;
    }
    assert!(
        stage.sign_in_with(json!({})).await.is_ok(),
        "the stage itself is good"
    );
}

#[tokio::test]
async fn algorithms_off_the_list_are_refused() {
    let stage = Stage::new();
    let table = [
        // The public key as an HMAC secret, with and without naming it.
        (
            json!({ "alg": "HS256", "kid": "rsa" }),
            IdTokenError::Algorithm,
        ),
        (json!({ "alg": "HS256" }), IdTokenError::Algorithm),
        (json!({ "alg": "none" }), IdTokenError::Algorithm),
        (
            json!({ "alg": "None", "kid": "rsa" }),
            IdTokenError::Algorithm,
        ),
        (
            json!({ "alg": "rs256", "kid": "rsa" }),
            IdTokenError::Algorithm,
        ),
        (
            json!({ "alg": "RS1", "kid": "rsa" }),
            IdTokenError::Algorithm,
        ),
        (json!({ "alg": "" }), IdTokenError::Algorithm),
        (json!({ "kid": "rsa" }), IdTokenError::Malformed),
        (
            json!({ "alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false }),
            IdTokenError::Critical,
        ),
        // The key is there but is of another kind, or for another algorithm or use.
        (
            json!({ "alg": "ES256", "kid": "rsa" }),
            IdTokenError::UnknownKey,
        ),
        (
            json!({ "alg": "RS256", "kid": "ec" }),
            IdTokenError::UnknownKey,
        ),
        (
            json!({ "alg": "RS256", "kid": "enc" }),
            IdTokenError::UnknownKey,
        ),
        (
            json!({ "alg": "RS256", "kid": "absent" }),
            IdTokenError::UnknownKey,
        ),
    ];
    for (header, expected) in table {
        stage
            .provider
            .change(|script| script.header = header.clone());
        assert_eq!(
            stage.sign_in().await,
            Err(OidcError::IdToken(expected)),
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_token_without_kid_needs_one_key_that_fits() {
    let stage = Stage::new();
    stage.provider.change(|script| {
        let mut twin = script.jwks["keys"][0].clone();
        twin["kid"] = json!("twin");
        script.jwks["keys"].as_array_mut().unwrap().push(twin);
        script.header = json!({ "alg": "RS256" });
    });
    assert_eq!(stage.sign_in().await, Err(IdTokenError::UnknownKey.into()));
}

#[tokio::test]
async fn tokens_that_were_tampered_with_are_refused() {
    let stage = Stage::new();
    let good = sign(
        &json!({ "alg": "RS256", "kid": "rsa" }),
        &json!({ "iss": ISSUER }),
        b"",
    );
    let parts: Vec<&str> = good.split('.').collect();
    let other = b64(json!({ "iss": ISSUER, "sub": "admin" }).to_string());
    let table = [
        (
            format!("{}.{other}.{}", parts[0], parts[2]),
            IdTokenError::Signature,
        ),
        (
            format!("{}.{}.", parts[0], parts[1]),
            IdTokenError::Signature,
        ),
        (
            format!("{}.{}.AAAA", parts[0], parts[1]),
            IdTokenError::Signature,
        ),
        (
            format!("{}.{}", parts[0], parts[1]),
            IdTokenError::Malformed,
        ),
        (format!("{good}.x"), IdTokenError::Malformed),
        (format!("{good}=="), IdTokenError::Malformed),
        (format!("{good}.."), IdTokenError::Encrypted),
        (format!("{good}....."), IdTokenError::Malformed),
        ("a".repeat(70_000), IdTokenError::Malformed),
        (String::new(), IdTokenError::Malformed),
    ];
    for (token, expected) in table {
        let shown: String = token.chars().rev().take(30).collect();
        stage
            .provider
            .change(|script| script.id_token = Some(token));
        assert_eq!(
            stage.sign_in().await,
            Err(OidcError::IdToken(expected)),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_answer_of_another_flow_or_provider_is_refused() {
    let stage = Stage::new();
    let finish = async |query: &str, begun: &nodeloom_oauth::oidc::Begun| {
        let callback = Callback::parse(query).expect("an answer");
        stage.client.finish(&callback, &begun.pending).await
    };
    let (one, two) = (stage.begin().await, stage.begin().await);
    let foreign = answer(&two, &[("code", CODE)]);
    assert_eq!(
        finish(&foreign, &one).await,
        Err(CallbackError::StateDiffers.into())
    );

    // RFC 9207: another provider's answer, a code and an error.
    for pair in [("code", CODE), ("error", "access_denied")] {
        let mixed_up = answer(&one, &[pair, ("iss", "https://attacker.example")]);
        assert_eq!(
            finish(&mixed_up, &one).await,
            Err(CallbackError::IssuerDiffers.into())
        );
    }
    assert_eq!(stage.provider.count("/token"), 0, "no code went anywhere");
    let named = answer(&two, &[("code", CODE), ("iss", ISSUER)]);
    assert!(finish(&named, &two).await.is_ok());

    let strict = Stage::new();
    strict.provider.change(|script| {
        script.discovery["authorization_response_iss_parameter_supported"] = json!(true);
    });
    assert_eq!(
        strict.sign_in().await,
        Err(CallbackError::IssuerMissing.into())
    );
}

#[tokio::test]
async fn the_code_needs_the_verifier_of_its_flow() {
    let stage = Stage::new();
    let begun = stage.begin().await;
    let _later = stage.begin().await;
    let callback = Callback::parse(&answer(&begun, &[("code", CODE)])).unwrap();
    let result = stage.client.finish(&callback, &begun.pending).await;
    let Err(OidcError::Provider(ProviderError { code, description })) = result else {
        panic!("{result:?}");
    };
    assert_eq!(code, ErrorCode::InvalidGrant);
    assert_eq!(description.unwrap().as_str(), "no such code", "on one line");
}

#[tokio::test]
async fn the_providers_errors_are_typed_and_their_words_are_tamed() {
    let stage = Stage::new();
    let table = [
        ("access_denied", ErrorCode::AccessDenied),
        ("login_required", ErrorCode::InteractionRequired),
        ("unauthorized_client", ErrorCode::InvalidClient),
        ("temporarily_unavailable", ErrorCode::Unavailable),
        ("invalid_scope", ErrorCode::InvalidScope),
    ];
    for (text, expected) in table {
        let begun = stage.begin().await;
        let words = format!("<b>no</b>\r\nSet-Cookie: a=b\u{202e}{}", "x".repeat(5_000));
        let query = answer(&begun, &[("error", text), ("error_description", &words)]);
        let callback = Callback::parse(&query).unwrap();
        let result = stage.client.finish(&callback, &begun.pending).await;
        let Err(OidcError::Provider(error)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(error.code, expected);
        let shown = error.to_string();
        assert!(
            shown.len() < 300 && !shown.contains(['\r', '\n', '\u{202e}']),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn discovery_documents_that_must_not_be_used() {
    let endpoint = |name, rule| DiscoveryError::Endpoint { name, rule };
    let table = [
        (
            "issuer",
            json!("https://id.example.com/realm/"),
            DiscoveryError::IssuerDiffers,
        ),
        (
            "issuer",
            json!("https://attacker.example"),
            DiscoveryError::IssuerDiffers,
        ),
        ("issuer", json!(1), DiscoveryError::Malformed),
        (
            "token_endpoint",
            json!("http://id.example.com/token"),
            endpoint("token_endpoint", SettingsError::Scheme),
        ),
        (
            "token_endpoint",
            json!("http://127.0.0.1/token"),
            endpoint("token_endpoint", SettingsError::Scheme),
        ),
        (
            "authorization_endpoint",
            json!("javascript:alert(1)"),
            endpoint("authorization_endpoint", SettingsError::NotUrl),
        ),
        (
            "jwks_uri",
            json!("https://u:p@id.example.com/keys"),
            endpoint("jwks_uri", SettingsError::Extra),
        ),
        (
            "jwks_uri",
            json!("/keys"),
            endpoint("jwks_uri", SettingsError::NotUrl),
        ),
        (
            "userinfo_endpoint",
            json!("file:///etc/passwd"),
            endpoint("userinfo_endpoint", SettingsError::NotUrl),
        ),
        ("token_endpoint", Value::Null, DiscoveryError::Malformed),
        (
            "id_token_signing_alg_values_supported",
            json!(["HS256", "none"]),
            DiscoveryError::Algorithms,
        ),
        (
            "token_endpoint_auth_methods_supported",
            json!(["private_key_jwt"]),
            DiscoveryError::ClientAuthentication,
        ),
    ];
    for (name, value, expected) in table {
        let stage = Stage::new();
        stage
            .provider
            .change(|script| script.discovery[name] = value.clone());
        let error = stage.client.begin(Freshness::Now).await.unwrap_err();
        assert_eq!(error, OidcError::Discovery(expected), "{name}: {value}");
    }
}

#[tokio::test]
async fn token_answers_that_must_not_be_used() {
    let table = [
        (500, "oops", TokenError::Status(500)),
        (302, r#"{"error":"x"}"#, TokenError::Status(302)),
        (200, "<html>", TokenError::Malformed),
        (
            200,
            r#"{"access_token":"a","token_type":"mac","id_token":"x"}"#,
            TokenError::Malformed,
        ),
        (
            200,
            r#"{"token_type":"Bearer","id_token":"x"}"#,
            TokenError::Malformed,
        ),
        (
            200,
            r#"{"access_token":"a","token_type":"Bearer"}"#,
            TokenError::NoIdToken,
        ),
    ];
    for (status, body, expected) in table {
        let stage = Stage::new();
        stage
            .provider
            .change(|script| script.token_answer = Some((status, body.to_owned())));
        assert_eq!(
            stage.sign_in().await,
            Err(OidcError::Token(expected)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn user_info_about_somebody_else_is_refused() {
    let stage = Stage::new();
    let absent = json!({ "email": null, "email_verified": null });
    for (info, expected) in [
        (
            json!({ "sub": "other", "email": "a@b.c", "email_verified": true }),
            UserInfoError::SubjectDiffers,
        ),
        (
            json!({ "email": "a@b.c", "email_verified": true }),
            UserInfoError::Malformed,
        ),
        (json!("jwt"), UserInfoError::Malformed),
    ] {
        stage.provider.change(|script| script.user_info = info);
        assert_eq!(
            stage.sign_in_with(absent.clone()).await,
            Err(OidcError::UserInfo(expected))
        );
    }
    stage
        .provider
        .change(|script| script.user_info = json!({ "sub": "248289761001", "email": "a@b.c" }));
    refused(&stage, absent.clone(), IdTokenError::EmailNotVerified).await;
    // A verified flag of one document does not vouch for the address of the other.
    refused(
        &stage,
        json!({ "email": null, "email_verified": true }),
        IdTokenError::EmailNotVerified,
    )
    .await;
    stage
        .provider
        .change(|script| script.user_info = json!({ "sub": "248289761001" }));
    refused(&stage, absent, IdTokenError::EmailMissing).await;
}

#[tokio::test]
async fn no_error_holds_a_secret() {
    let stage = Stage::new();
    stage
        .provider
        .change(|script| script.claims = json!({ "nonce": "x" }));
    let begun = stage.begin().await;
    let callback = Callback::parse(&answer(&begun, &[("code", CODE)])).unwrap();
    let error = stage
        .client
        .finish(&callback, &begun.pending)
        .await
        .unwrap_err();
    let shown = format!(
        "{error} {error:?} {:?} {callback:?} {:?}",
        stage.client, begun.pending
    );
    for secret in [
        SECRET,
        CODE,
        begun.pending.state().expose(),
        crate::provider::ACCESS_TOKEN,
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
