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
