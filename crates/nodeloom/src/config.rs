//! The settings: every bad one is named with its rule and a remedy, all of them at once.

mod mail;
mod outbound;
mod single_sign_on;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use nodeloom_app::{SinkSettings, SinkTarget};
use nodeloom_crypto::Secret;
use nodeloom_store::Target;
use nodeloom_web::{PublicOrigin, RateLimits};

use crate::environment::Environment;
use crate::output::{Failure, Outcome};
pub(crate) use mail::{MailConfig, MailServer, MailTls};
pub(crate) use outbound::OutboundConfig;
pub(crate) use single_sign_on::SingleSignOnConfig;

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DATA_DIR: &str = "./data";
/// The name of the embedded database in the data directory.
const DATABASE_FILE: &str = "nodeloom.db";
/// Fewest characters of the metrics token: it guards no secret, and is guessed over the network.
const MIN_METRICS_TOKEN: usize = 16;

/// Settings that are no secrets may also come from the command line; an option wins.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct CommonFlags {
    /// Directory of the database and of generated files [env: NODELOOM_DATA_DIR] [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What to log, such as `debug` or `info,nodeloom_store=debug` [env: NODELOOM_LOG] [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How log lines look [env: NODELOOM_LOG_FORMAT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Settings of `serve` alone.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct ServeFlags {
    /// Address and port to listen on; port 0 picks a free one [env: NODELOOM_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The address that browsers use [env: APP_BASE_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Proxies whose X-Forwarded-* headers are believed: addresses or networks, separated by commas
    /// [env: APP_TRUSTED_PROXIES]
    #[arg(long, value_name = "NETWORKS")]
    pub(crate) trusted_proxies: Option<String>,
    /// Certificate chain in PEM [env: NODELOOM_TLS_CERT_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate in PEM [env: NODELOOM_TLS_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key_file: Option<PathBuf>,
    /// Address of the first administrator; the password comes from ADMIN_PASSWORD [env: ADMIN_EMAIL]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) admin_email: Option<String>,
}

/// How careful the start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Weak and missing keys are refused, https is required.
    Production,
    /// For one's own machine.
    Development,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The two files of a TLS identity.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// Chain in PEM, the server's own certificate first.
    pub(crate) certificate: PathBuf,
    /// Private key in PEM.
    pub(crate) key: PathBuf,
}

/// What the log takes and how it looks.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// The settings that every command shares.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) data_dir: PathBuf,
    pub(crate) database: Target,
    pub(crate) log: LogSettings,
    /// A second place that keeps the audit trail.
    pub(crate) audit_sink: Option<SinkSettings>,
    /// How many days of the audit trail the server keeps; all of them if nothing is set.
    pub(crate) audit_retention_days: Option<u32>,
    /// After how many days the server purges deleted credentials; 0: never.
    pub(crate) credential_purge_days: u32,
    /// Where this process may connect to.
    pub(crate) outbound: OutboundConfig,
}

/// The settings of the server.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) common: Config,
    pub(crate) listen: SocketAddr,
    pub(crate) base_url: Option<PublicOrigin>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) metrics_token: Option<Secret<String>>,
    pub(crate) single_sign_on: Option<SingleSignOnConfig>,
    pub(crate) mail: Option<MailConfig>,
    pub(crate) rate_limits: RateLimits,
    pub(crate) admin_email: Option<String>,
    pub(crate) admin_password: Option<Secret<String>>,
}

impl Config {
    /// Reads what every command needs.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn read(environment: &Environment, flags: &CommonFlags) -> Outcome<Self> {
        // A command speaks through its output; its log tells of trouble alone.
        let mut reader = Reader::new(environment, "warn");
        let config = reader.common(flags);
        Failure::all(reader.problems)?;
        Ok(config)
    }

    /// Where development keeps a key of its own.
    pub(crate) fn generated_key(&self) -> PathBuf {
        self.data_dir.join("encryption.key")
    }

    /// Where checkpoints of the audit chain go, out of the database's reach.
    pub(crate) fn audit_anchor(&self) -> PathBuf {
        self.data_dir.join("audit.anchor")
    }

    /// Where a set-up link waits if there is no terminal to print it to.
    pub(crate) fn set_up_link(&self) -> PathBuf {
        self.data_dir.join("setup-link")
    }
}

impl ServeConfig {
    /// Reads what the server needs.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn read(
        environment: &Environment,
        common: &CommonFlags,
        flags: &ServeFlags,
    ) -> Outcome<Self> {
        let mut reader = Reader::new(environment, "info");
        let common = reader.common(common);
        let config = reader.serve(common, flags);
        Failure::all(reader.problems)?;
        Ok(config)
    }
}

/// Reads settings and collects what is wrong with them.
struct Reader<'e> {
    environment: &'e Environment,
    default_log: &'static str,
    /// Without a mode there is no telling which of its rules to apply.
    is_mode_known: bool,
    problems: Vec<Failure>,
}

impl<'e> Reader<'e> {
    const fn new(environment: &'e Environment, default_log: &'static str) -> Self {
        Self {
            environment,
            default_log,
            is_mode_known: true,
            problems: Vec::new(),
        }
    }

    fn refuse(&mut self, name: &str, rule: &str, remedy: impl Into<String>) {
        let failure = Failure::configuration(format!("{name} {rule}"));
        self.problems.push(failure.next_step(remedy));
    }

    /// The option if it is given, else the variable; an empty one is as good as none.
    fn setting(&mut self, name: &str, flag: Option<&str>) -> Option<String> {
        if let Some(flag) = flag {
            return Some(flag.to_owned());
        }
        match self.environment.text(name) {
            Ok(value) => value.map(str::to_owned),
            Err(_) => {
                self.refuse(name, "is not UTF-8", format!("set {name} to a UTF-8 text"));
                None
            }
        }
    }

    fn is_given(&self, name: &str, by_flag: bool) -> bool {
        by_flag
            || self
                .environment
                .bytes(name)
                .is_some_and(|value| !value.is_empty())
    }

    fn path(&mut self, name: &str, flag: Option<&PathBuf>) -> Option<PathBuf> {
        flag.cloned()
            .or_else(|| self.setting(name, None).map(PathBuf::from))
    }

    fn secret(&mut self, name: &str) -> Option<Secret<String>> {
        self.setting(name, None).map(Secret::new)
    }

    /// A secret in the variable, or in the file that `file_name` names; one line end at the file's
    /// end is no part of it.
    fn secret_or_file(&mut self, name: &str, file_name: &str) -> Option<Secret<String>> {
        let path = match (self.secret(name), self.path(file_name, None)) {
            (secret, None) => return secret,
            (None, Some(path)) => path,
            (Some(_), Some(_)) => {
                let rule = format!("and {file_name} are both set");
                self.refuse(name, &rule, "unset one of them");
                return None;
            }
        };
        match std::fs::read_to_string(&path).map(Secret::new) {
            Ok(text) => {
                // EXPOSE: goes on into a secret again.
                let text = text.expose();
                let text = text.strip_suffix('\n').unwrap_or(text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                Some(Secret::new(text.to_owned()))
            }
            Err(error) => {
                let why = crate::root_source::plain_reason(&error);
                self.refuse(
                    file_name,
                    &format!("({}) cannot be read: {why}", path.display()),
                    format!("set {file_name} to a file that this user can read"),
                );
                None
            }
        }
    }

    fn common(&mut self, flags: &CommonFlags) -> Config {
        let mode = match self.setting("APP_ENV", None).as_deref() {
            None | Some("development") => Mode::Development,
            Some("production") => Mode::Production,
            // The value is not repeated: a key may have landed in the wrong variable.
            Some(_) => {
                self.refuse(
                    "APP_ENV",
                    "must be `production` or `development`",
                    "set APP_ENV=production on a server, or unset it on your own machine",
                );
                self.is_mode_known = false;
                Mode::Production
            }
        };
        let data_dir = self
            .path("NODELOOM_DATA_DIR", flags.data_dir.as_ref())
            .unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        let database = match self.secret("DATABASE_URL") {
            None => Target::Sqlite {
                path: data_dir.join(DATABASE_FILE),
            },
            // EXPOSE: the address keeps its password to itself.
            Some(url) => Target::parse_url(url.expose()).unwrap_or_else(|error| {
                self.refuse(
                    "DATABASE_URL",
                    &format!("cannot be used: {error}"),
                    "set DATABASE_URL=postgres://user:password@host:5432/database, or unset it \
                     to use the SQLite file in the data directory",
                );
                Target::Sqlite {
                    path: data_dir.join(DATABASE_FILE),
                }
            }),
        };
        Config {
            mode,
            database,
            log: self.log(flags),
            audit_sink: self.audit_sink(),
            audit_retention_days: self.audit_retention_days(),
            credential_purge_days: self.credential_purge_days(),
            outbound: self.outbound(),
            data_dir,
        }
    }

    fn audit_sink(&mut self) -> Option<SinkSettings> {
        const SINK: &str = "AUDIT_SINK";
        const REQUIRED: &str = "AUDIT_SINK_REQUIRED";
        const TIMEOUT: &str = "AUDIT_SINK_TIMEOUT";
        const TOKEN_FILE: &str = "AUDIT_SINK_TOKEN_FILE";
        let required = match self.setting(REQUIRED, None).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.refuse(
                    REQUIRED,
                    "must be `true` or `false`",
                    "set it to one of them",
                );
                false
            }
        };
        let mut timeout = SinkSettings::DEFAULT_TIMEOUT;
        if let Some(text) = self.setting(TIMEOUT, None) {
            match text.parse::<u64>() {
                Ok(seconds @ 1..=20) => timeout = Duration::from_secs(seconds),
                _ => self.refuse(
                    TIMEOUT,
                    "must be a whole number of seconds from 1 to 20",
                    "set it like AUDIT_SINK_TIMEOUT=5",
                ),
            }
        }
        let Some(text) = self.setting(SINK, None) else {
            if required {
                self.refuse(
                    SINK,
                    &format!("is not set, and {REQUIRED} is: nothing could ever happen"),
                    format!(
                        "set {SINK} like file:/var/log/nodeloom/audit.jsonl, or unset {REQUIRED}"
                    ),
                );
            }
            return None;
        };
        // The text is not repeated: someone may have put a password into it.
        let Ok(target) = text.parse::<SinkTarget>() else {
            self.refuse(
                SINK,
                "names no sink",
                format!(
                    "set {SINK} to file:/path, syslog:unix:/dev/log, syslog:udp:host:port, \
                     syslog:tcp:host:port or https://host/path, without a query; a token goes \
                     into the file of {TOKEN_FILE}"
                ),
            );
            return None;
        };
        if required && !target.can_be_required() {
            self.refuse(
                REQUIRED,
                "is set, and UDP cannot tell whether anything arrived",
                format!("set {SINK} to a file or to syslog:tcp:…, or unset {REQUIRED}"),
            );
        }
        let token_file = self.path(TOKEN_FILE, None);
        if let Some(path) = &token_file {
            if !target.is_https() {
                self.refuse(
                    TOKEN_FILE,
                    &format!("is set, and {SINK} is no https address"),
                    format!("unset {TOKEN_FILE}, or set {SINK} to https://…"),
                );
            } else if let Err(error) = std::fs::File::open(path) {
                let why = crate::root_source::plain_reason(&error);
                self.refuse(
                    TOKEN_FILE,
                    &format!("({}) cannot be read: {why}", path.display()),
                    format!("set {TOKEN_FILE} to a file that this user can read"),
                );
            }
        }
        Some(SinkSettings {
            target,
            required,
            timeout,
            token_file,
            authorities: [].into(),
        })
    }

    fn credential_purge_days(&mut self) -> u32 {
        const NAME: &str = "CREDENTIAL_PURGE_AFTER_DAYS";
        const DEFAULT: u32 = 30;
        let Some(text) = self.setting(NAME, None) else {
            return DEFAULT;
        };
        match text.parse::<u32>() {
            Ok(days @ 0..=36_500) => days,
            _ => {
                self.refuse(
                    NAME,
                    "must be a whole number of days from 0 to 36500",
                    format!("set it like {NAME}=90, or to 0 to purge nothing by age"),
                );
                DEFAULT
            }
        }
    }

    fn audit_retention_days(&mut self) -> Option<u32> {
        const NAME: &str = "AUDIT_RETENTION_DAYS";
        let text = self.setting(NAME, None)?;
        match text.parse::<u32>() {
            Ok(days @ 1..=36_500) => Some(days),
            _ => {
                self.refuse(
                    NAME,
                    "must be a whole number of days from 1 to 36500",
                    format!("set it like {NAME}=730, or unset it to keep everything"),
                );
                None
            }
        }
    }

    fn log(&mut self, flags: &CommonFlags) -> LogSettings {
        let filter = self.setting("NODELOOM_LOG", flags.log.as_deref());
        let filter = filter.unwrap_or_else(|| self.default_log.into());
        if tracing_subscriber::EnvFilter::builder()
            .parse(&filter)
            .is_err()
        {
            self.refuse(
                "NODELOOM_LOG",
                "is not a log filter",
                "set NODELOOM_LOG to error, warn, info, debug or trace, or to a list such as \
                 info,nodeloom_store=debug",
            );
        }
        let format = flags.log_format.unwrap_or_else(|| {
            match self.setting("NODELOOM_LOG_FORMAT", None).as_deref() {
                None | Some("text") => LogFormat::Text,
                Some("json") => LogFormat::Json,
                Some(_) => {
                    self.refuse(
                        "NODELOOM_LOG_FORMAT",
                        "must be `text` or `json`",
                        "set NODELOOM_LOG_FORMAT=json for a log collector, or unset it",
                    );
                    LogFormat::Text
                }
            }
        });
        LogSettings { filter, format }
    }

    fn serve(&mut self, common: Config, flags: &ServeFlags) -> ServeConfig {
        let listen = self.listen(flags);
        let base_url = self.base_url(flags);
        let trusted_proxies = self.trusted_proxies(flags);
        let tls = self.tls(flags);
        let metrics_token = self.metrics_token();
        let single_sign_on = self.single_sign_on(base_url.as_ref());
        let mail = self.mail();
        let rate_limits = self.rate_limits();
        match common.mode {
            _ if !self.is_mode_known => {}
            Mode::Development => {
                if !listen.ip().is_loopback() {
                    self.refuse(
                        "NODELOOM_LISTEN",
                        &format!("is {listen}: development listens on loopback only"),
                        "listen on 127.0.0.1, or set APP_ENV=production with an https \
                         APP_BASE_URL to be reached from elsewhere",
                    );
                }
            }
            Mode::Production => {
                match &base_url {
                    Some(url) if url.is_https() => {}
                    Some(_) => self.refuse(
                        "APP_BASE_URL",
                        "must be an https address in production",
                        "set APP_BASE_URL=https://… to the address that browsers use",
                    ),
                    // One that cannot be read was refused already.
                    None if self.is_given("APP_BASE_URL", flags.base_url.is_some()) => {}
                    None => self.refuse(
                        "APP_BASE_URL",
                        "is not set, and production needs it",
                        "set APP_BASE_URL=https://… to the address that browsers use",
                    ),
                }
                if !listen.ip().is_loopback() && tls.is_none() && trusted_proxies.is_empty() {
                    self.refuse(
                        "NODELOOM_LISTEN",
                        &format!(
                            "is {listen} without TLS: passwords would cross the network in clear"
                        ),
                        "set NODELOOM_TLS_CERT_FILE and NODELOOM_TLS_KEY_FILE, or name the proxy \
                         that does TLS in APP_TRUSTED_PROXIES, or listen on 127.0.0.1",
                    );
                }
            }
        }
        ServeConfig {
            common,
            listen,
            base_url,
            trusted_proxies,
            tls,
            metrics_token,
            single_sign_on,
            mail,
            rate_limits,
            admin_email: self.setting("ADMIN_EMAIL", flags.admin_email.as_deref()),
            admin_password: self.secret("ADMIN_PASSWORD"),
        }
    }

    fn listen(&mut self, flags: &ServeFlags) -> SocketAddr {
        let text = self.setting("NODELOOM_LISTEN", flags.listen.as_deref());
        let default = DEFAULT_LISTEN.parse().expect("a test parses the default");
        match text.map(|text| text.parse()) {
            None => default,
            Some(Ok(address)) => address,
            Some(Err(_)) => {
                self.refuse(
                    "NODELOOM_LISTEN",
                    "must be an IP address and a port",
                    format!("set it like {DEFAULT_LISTEN} or [::1]:8080"),
                );
                default
            }
        }
    }

    fn base_url(&mut self, flags: &ServeFlags) -> Option<PublicOrigin> {
        let text = self.setting("APP_BASE_URL", flags.base_url.as_deref())?;
        // The text is not repeated: someone may have put a password into it.
        text.parse().map_or_else(
            |error| {
                self.refuse(
                    "APP_BASE_URL",
                    &format!("cannot be used: {error}"),
                    "set it like https://vault.example.com or http://127.0.0.1:8080",
                );
                None
            },
            Some,
        )
    }

    fn rate_limits(&mut self) -> RateLimits {
        let default = RateLimits::default();
        RateLimits {
            per_address: self.per_minute("APP_RATE_LIMIT_PER_ADDRESS", default.per_address),
            per_token: self.per_minute("APP_RATE_LIMIT_PER_TOKEN", default.per_token),
        }
    }

    fn per_minute(&mut self, name: &'static str, default: u32) -> u32 {
        match self.setting(name, None).map(|text| text.parse()) {
            None => default,
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                self.refuse(
                    name,
                    "must be a number of requests a minute",
                    "set a whole number such as 60000, or 0 for no limit",
                );
                default
            }
        }
    }

    fn trusted_proxies(&mut self, flags: &ServeFlags) -> Vec<IpNet> {
        const NAME: &str = "APP_TRUSTED_PROXIES";
        let text = self.setting(NAME, flags.trusted_proxies.as_deref());
        let mut networks = Vec::new();
        for part in text.iter().flat_map(|text| text.split(',')).map(str::trim) {
            let network = part
                .parse::<IpNet>()
                .ok()
                .or_else(|| part.parse::<std::net::IpAddr>().ok().map(IpNet::from));
            match network {
                Some(network) if network.prefix_len() == 0 => self.refuse(
                    NAME,
                    "must not name every address: anyone could then pretend to be anyone",
                    "name the addresses of your own proxies",
                ),
                Some(network) => networks.push(network.trunc()),
                None => self.refuse(
                    NAME,
                    "must be addresses or networks, separated by commas",
                    "set it like 10.0.0.2 or 10.0.0.0/24,fd00::/8",
                ),
            }
        }
        networks
    }

    fn tls(&mut self, flags: &ServeFlags) -> Option<TlsFiles> {
        const CERTIFICATE: &str = "NODELOOM_TLS_CERT_FILE";
        const KEY: &str = "NODELOOM_TLS_KEY_FILE";
        let certificate = self.path(CERTIFICATE, flags.tls_cert_file.as_ref());
        let key = self.path(KEY, flags.tls_key_file.as_ref());
        let (given, missing) = match (certificate, key) {
            (None, None) => return None,
            (Some(certificate), Some(key)) => return Some(TlsFiles { certificate, key }),
            (Some(_), None) => (CERTIFICATE, KEY),
            (None, Some(_)) => (KEY, CERTIFICATE),
        };
        self.refuse(
            missing,
            &format!("is not set, and {given} is: TLS needs both"),
            format!("set {missing} too, or unset {given}"),
        );
        None
    }

    fn metrics_token(&mut self) -> Option<Secret<String>> {
        const NAME: &str = "NODELOOM_METRICS_TOKEN";
        let token = self.secret(NAME)?;
        // EXPOSE: counted and looked at, not kept.
        let text = token.expose();
        if text.chars().count() < MIN_METRICS_TOKEN || text.bytes().any(|b| !b.is_ascii_graphic()) {
            self.refuse(
                NAME,
                "must have at least 16 printable ASCII characters without spaces",
                "set it to the output of `nodeloom key generate`, a different one than the key",
            );
        }
        Some(token)
    }
}

#[cfg(test)]
mod tests;
