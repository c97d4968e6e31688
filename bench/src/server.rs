//! A real `nodeloom serve` on loopback, with a data folder of its own that goes when it does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Serve;
use crate::client::Connection;

const EMAIL: &str = "bench@example.org";
const PASSWORD: &str = "correct-horse-loopback-only-4711";
const READY: &str = "nodeloom is ready on http://";

/// Where a server's data lives: made empty, reused by each start, removed on drop.
pub(crate) struct Home {
    folder: TempDir,
    binary: PathBuf,
    postgres: Option<String>,
}

impl Home {
    pub(crate) fn new(serve: &Serve) -> anyhow::Result<Self> {
        let binary = serve.binary.canonicalize().with_context(|| {
            format!(
                "{} is missing: cargo build --release -p nodeloom",
                serve.binary.display()
            )
        })?;
        let folder = tempfile::Builder::new()
            .prefix("nodeloom-bench.")
            .tempdir_in(&serve.directory)?;
        Ok(Self {
            folder,
            binary,
            postgres: serve.postgres.clone(),
        })
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// `SQLite` or `PostgreSQL`.
    pub(crate) fn database(&self) -> &'static str {
        if self.postgres.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        }
    }

    /// Bytes of all files in the data folder.
    pub(crate) fn bytes(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for entry in std::fs::read_dir(self.folder.path().join("data"))? {
            sum += entry?.metadata()?.len();
        }
        Ok(sum)
    }

    /// Starts the server and waits until it says that it is ready; tells how long that took.
    pub(crate) async fn start(&self) -> anyhow::Result<(Server, Duration)> {
        let start = Instant::now();
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NODELOOM_LISTEN", "127.0.0.1:0")
            .env("NODELOOM_DATA_DIR", self.folder.path().join("data"))
            .env("ADMIN_EMAIL", EMAIL)
            .env("ADMIN_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.folder.path().join("log"))?)
            .kill_on_drop(true);
        if let Some(url) = &self.postgres {
            command.env("DATABASE_URL", url);
        }
        let mut child = command.spawn().context("cannot start the server")?;
        let pid = child.id().context("the server ended at once")?;
        let stdout = child.stdout.take().context("no output to read")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once(READY) {
                    let address = rest.split([' ', '/']).next().unwrap_or(rest);
                    return anyhow::Ok(address.parse()?);
                }
            }
            bail!(
                "the server ended before it was ready:\n{}",
                std::fs::read_to_string(self.folder.path().join("log"))?
            )
        };
        let address = timeout(Duration::from_secs(30), ready)
            .await
            .context("the server was not ready in 30 s")??;
        let took = start.elapsed();
        // Keep reading, so that a later line never meets a closed pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let server = Server {
            child,
            pid,
            address,
            log: self.folder.path().join("log"),
        };
        Ok((server, took))
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// The last lines of its log, for a failure's report.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks the server to end, as an operator would, and waits.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid)?).context("pid 0")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = timeout(Duration::from_secs(20), self.child.wait())
            .await
            .context("the server did not end in 20 s")??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Signs the first administrator in.
    pub(crate) async fn sign_in(&self) -> anyhow::Result<Session> {
        let mut connection = Connection::open(self.address).await?;
        let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let request = request(self.address, "POST", "/api/auth/login", None, &body);
        let answer = connection.exchange(&request).await?;
        let cookie = answer
            .header("set-cookie")
            .and_then(|cookie| cookie.split(';').next())
            .map(str::to_owned);
        let account = answer.into_json().context("cannot sign in")?;
        let team = account["teams"][0]["teamId"]
            .as_str()
            .context("no team in the answer to the sign-in")?
            .to_owned();
        Ok(Session {
            address: self.address,
            cookie: cookie.context("no session cookie")?,
            team,
        })
    }
}

/// What requests of a signed-in administrator carry.
#[derive(Clone)]
pub(crate) struct Session {
    address: SocketAddr,
    cookie: String,
    team: String,
}

impl Session {
    /// A GET of `/api/credentials` in the team, with `query` (starting with `&`) behind it.
    pub(crate) fn list(&self, query: &str) -> Vec<u8> {
        let path = format!("/api/credentials?teamId={}{query}", self.team);
        request(self.address, "GET", &path, Some(&self.cookie), "")
    }

    pub(crate) fn read(&self, id: &str) -> Vec<u8> {
        let path = format!("/api/credentials/{id}");
        request(self.address, "GET", &path, Some(&self.cookie), "")
    }

    pub(crate) fn create(&self, name: &str, kind: Kind) -> Vec<u8> {
        let (kind, data) = match kind {
            Kind::ApiKey => (
                "API_KEY",
                json!({ "apiKey": "not-a-secret-0123456789abcdef" }),
            ),
            Kind::BearerToken => (
                "BEARER_TOKEN",
                json!({ "token": "not-a-secret-0123456789" }),
            ),
        };
        let body = json!({ "name": name, "type": kind, "teamId": self.team, "data": data });
        let path = "/api/credentials";
        let body = body.to_string();
        request(self.address, "POST", path, Some(&self.cookie), &body)
    }
}

/// The credential types that the measurements use.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    ApiKey,
    BearerToken,
}

/// The ids in an array of credentials.
pub(crate) fn ids(credentials: &Value) -> anyhow::Result<Vec<String>> {
    credentials
        .as_array()
        .context("the list is no array")?
        .iter()
        .map(|one| Ok(one["id"].as_str().context("no id")?.to_owned()))
        .collect()
}

fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    cookie: Option<&str>,
    body: &str,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    text.push_str("Sec-Fetch-Site: same-origin\r\n");
    if let Some(cookie) = cookie {
        text.push_str(&format!("Cookie: {cookie}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}
