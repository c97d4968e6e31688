use super::*;
use crate::output::Exit;

fn serve<const N: usize>(variables: [(&str, &str); N]) -> Outcome<ServeConfig> {
    let environment = Environment::from(variables);
    ServeConfig::read(
        &environment,
        &CommonFlags::default(),
        &ServeFlags::default(),
    )
}

fn refusal<const N: usize>(variables: [(&str, &str); N]) -> String {
    let failure = serve(variables).unwrap_err();
    assert_eq!(failure.exit(), Exit::Configuration);
    failure.text()
}

#[test]
fn without_any_setting_it_is_development_on_loopback() {
    let config = serve([]).unwrap();
    assert_eq!(config.common.mode, Mode::Development);
    assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
    assert_eq!(config.common.data_dir, PathBuf::from("./data"));
    assert_eq!(config.common.database.to_string(), "./data/nodeloom.db");
    assert!(config.tls.is_none() && config.base_url.is_none());
}

#[test]
fn an_option_wins_over_its_variable() {
    let environment = Environment::from([("NODELOOM_LISTEN", "127.0.0.1:1")]);
    let flags = ServeFlags {
        listen: Some("127.0.0.1:0".into()),
        ..ServeFlags::default()
    };
    let config = ServeConfig::read(&environment, &CommonFlags::default(), &flags).unwrap();
    assert_eq!(config.listen.port(), 0);
}

#[test]
fn every_bad_setting_is_named_at_once() {
    let text = refusal([
        ("APP_ENV", "prod"),
        ("NODELOOM_LISTEN", "localhost"),
        ("APP_BASE_URL", "vault.example.com"),
        ("APP_TRUSTED_PROXIES", "proxy"),
        ("NODELOOM_TLS_CERT_FILE", "/tls/cert.pem"),
        ("NODELOOM_LOG", "a=b=c"),
        ("NODELOOM_LOG_FORMAT", "xml"),
        ("NODELOOM_METRICS_TOKEN", "short"),
        ("DATABASE_URL", "mysql://user:hunter2@host/db"),
    ]);
    for name in [
        "APP_ENV must",
        "NODELOOM_LISTEN must",
        "APP_BASE_URL cannot",
        "APP_TRUSTED_PROXIES must",
        "NODELOOM_TLS_KEY_FILE is not set",
        "NODELOOM_LOG is not",
        "NODELOOM_LOG_FORMAT must",
        "NODELOOM_METRICS_TOKEN must",
        "DATABASE_URL cannot",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(!text.contains("hunter2"));
    // Which rules of a mode apply cannot be known.
    assert!(!refusal([("APP_ENV", "prod")]).contains("APP_BASE_URL"));
}

#[test]
fn development_stays_on_loopback() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
        let text = refusal([("NODELOOM_LISTEN", address)]);
        assert!(text.contains("APP_ENV=production"), "{text}");
    }
    assert!(serve([("NODELOOM_LISTEN", "[::1]:0")]).is_ok());
}

#[test]
fn production_needs_https_and_somebody_who_does_tls() {
    let production = ("APP_ENV", "production");
    let https = ("APP_BASE_URL", "https://vault.example.com");
    let open = ("NODELOOM_LISTEN", "0.0.0.0:8443");
    assert!(refusal([production]).contains("APP_BASE_URL is not set"));
    assert!(refusal([production, ("APP_BASE_URL", "http://x")]).contains("must be an https"));
    assert!(serve([production, https]).is_ok());
    assert!(refusal([production, https, open]).contains("without TLS"));
    assert!(serve([production, https, open, ("APP_TRUSTED_PROXIES", "10.0.0.2")]).is_ok());
    let files = [
        production,
        https,
        open,
        ("NODELOOM_TLS_CERT_FILE", "c"),
        ("NODELOOM_TLS_KEY_FILE", "k"),
    ];
    assert!(serve(files).is_ok());
}

#[test]
fn proxies_are_addresses_or_networks_and_not_everyone() {
    let config = serve([("APP_TRUSTED_PROXIES", "10.0.0.2, 10.1.2.3/16,fd00::1")]).unwrap();
    let shown: Vec<String> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["10.0.0.2/32", "10.1.0.0/16", "fd00::1/128"]);
    assert!(refusal([("APP_TRUSTED_PROXIES", "0.0.0.0/0")]).contains("every address"));
    assert!(refusal([("APP_TRUSTED_PROXIES", "10.0.0.1,,")]).contains("separated by commas"));
}

const SINGLE_SIGN_ON: [(&str, &str); 3] = [
    ("OIDC_ISSUER", "https://id.example.com/realms/main"),
    ("OIDC_CLIENT_ID", "nodeloom"),
    ("APP_BASE_URL", "https://vault.example.com"),
];

/// Single sign-on with these settings besides the three that it needs.
fn with_single_sign_on<const N: usize>(variables: [(&str, &str); N]) -> Environment {
    let mut environment = Environment::from(SINGLE_SIGN_ON);
    environment.extend(variables);
    environment
}

#[test]
fn single_sign_on_needs_three_settings_and_has_careful_defaults() {
    let config = serve(SINGLE_SIGN_ON).unwrap().single_sign_on.unwrap();
    let client = &config.client;
    assert_eq!(client.issuer.as_str(), "https://id.example.com/realms/main");
    let callback = "https://vault.example.com/api/auth/oidc/callback";
    assert_eq!(client.redirect_uri.as_str(), callback);
    assert_eq!(client.scopes.as_str(), "openid email profile");
    assert!(client.client_secret.is_none());
    let rules = &config.rules;
    assert_eq!(rules.name, "id.example.com");
    assert!(rules.default_role.is_none() && rules.allowed_domains.is_empty());
    assert!(rules.link_by_email && !rules.only);
    assert!(serve([]).unwrap().single_sign_on.is_none());
}

#[test]
fn single_sign_on_reads_every_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cret with spaces \r\n").unwrap();
    let environment = with_single_sign_on([
        ("OIDC_CLIENT_SECRET_FILE", file.to_str().unwrap()),
        ("OIDC_SCOPES", "openid email groups"),
        ("OIDC_NAME", "Example\u{202e} ID"),
        ("OIDC_DEFAULT_ROLE", "BUILDER"),
        ("OIDC_DEFAULT_TEAM", "Default"),
        ("OIDC_ALLOWED_DOMAINS", "Example.com, example.org,"),
        ("OIDC_LINK_BY_EMAIL", "false"),
        ("OIDC_ONLY", "true"),
    ]);
    let flags = (CommonFlags::default(), ServeFlags::default());
    let config = ServeConfig::read(&environment, &flags.0, &flags.1).unwrap();
    let config = config.single_sign_on.unwrap();
    let secret = config.client.client_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "s3cret with spaces ");
    let rules = &config.rules;
    assert_eq!(
        (rules.name.as_str(), rules.only, rules.link_by_email),
        ("Example ID", true, false)
    );
    assert_eq!(rules.default_role, Some(nodeloom_domain::Role::Builder));
    assert_eq!(rules.allowed_domains, ["example.com", "example.org"]);
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn bad_settings_of_single_sign_on_are_named() {
    let text = refusal([
        ("OIDC_ISSUER", "http://id.example.com"),
        ("OIDC_CLIENT_SECRET", "a"),
        ("OIDC_CLIENT_SECRET_FILE", "/nowhere"),
        ("OIDC_SCOPES", "email"),
        ("OIDC_DEFAULT_ROLE", "ADMIN"),
        ("OIDC_ALLOWED_DOMAINS", "@example.com"),
        ("OIDC_ONLY", "yes"),
        ("APP_SSRF_ALLOW", "0.0.0.0/0"),
        ("APP_SSRF_PROTECTION_ENABLED", "no"),
    ]);
    for name in [
        "OIDC_ISSUER must",
        "OIDC_CLIENT_ID is not set",
        "OIDC_CLIENT_SECRET and OIDC_CLIENT_SECRET_FILE",
        "OIDC_SCOPES must",
        "OIDC_DEFAULT_ROLE must not",
        "OIDC_ALLOWED_DOMAINS must",
        "OIDC_ONLY must",
        "APP_BASE_URL is not set, and OIDC_ISSUER is",
        "APP_SSRF_ALLOW cannot",
        "APP_SSRF_PROTECTION_ENABLED must",
    ] {
        assert!(text.contains(name), "{name}: {text}");
    }
    let text = refusal([("OIDC_ONLY", "true")]);
    assert!(
        text.contains("OIDC_ISSUER is not set, and OIDC_ONLY is"),
        "{text}"
    );
    let text = refusal([
        ("OIDC_CLIENT_SECRET_FILE", "/nowhere/secret"),
        ("OIDC_ISSUER", "x"),
    ]);
    assert!(
        text.contains("OIDC_CLIENT_SECRET_FILE (/nowhere/secret) cannot be read"),
        "{text}"
    );
}

#[test]
fn mail_needs_a_server_and_a_sender() {
    let url = ("SMTP_URL", "smtps://ada:hunter2@smtp.example.com");
    let from = ("SMTP_FROM", "Example vault <vault@example.com>");
    let config = serve([url, from]).unwrap().mail.unwrap();
    assert_eq!(config.from.email.to_string(), "vault@example.com");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(serve([]).unwrap().mail.is_none());
    for (variables, words) in [
        (
            [url, ("SMTP_FROM", "")],
            "SMTP_FROM is not set, and SMTP_URL is",
        ),
        (
            [("SMTP_URL", ""), from],
            "SMTP_FROM is set, and SMTP_URL is not",
        ),
        ([url, ("SMTP_FROM", "vault")], "SMTP_FROM is not an address"),
        (
            [("SMTP_URL", "hunter2"), from],
            "SMTP_URL is not an address",
        ),
        (
            [("SMTP_URL_FILE", "/nowhere/url"), from],
            "SMTP_URL_FILE (/nowhere/url) cannot be read",
        ),
    ] {
        let text = refusal(variables);
        assert!(text.contains(words) && !text.contains("hunter2"), "{text}");
    }
}
