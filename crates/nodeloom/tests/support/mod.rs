//! What the end-to-end tests share: a server of one's own on a free port, a database of one's
//! own, a client with a cookie.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate and uses a part of this"
)]

pub mod probe;
pub mod shape;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A strong key that protects nothing.
pub const KEY: &str = "tEsTonLy7Qm2vX9cRw4LzKj8HsPdUa6GbEo3Yi5Nf1BrVtWq0MxCuJyDkAhSgZpO";
/// Another one.
pub const OTHER_KEY: &str = "tEsTonLy0pZgShAkDyJuCxM0qWtVrB1fN5iY3oEbG6aUdPsH8jKzL4wRc9Xv2mQ7";
/// The first administrator of [`Setup::with_admin`].
pub const ADMIN_EMAIL: &str = "ada@example.com";
/// Their password.
pub const ADMIN_PASSWORD: &str = "correct mule cell clip";

/// How long a server may take to be ready: debug builds on a busy machine are slow.
const READY: Duration = Duration::from_secs(30);

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_nodeloom")
}

/// The databases that the suites run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

/// A database of one's own on the test server; dropped with this value.
#[derive(Debug)]
struct PostgresDatabase {
    name: String,
    url: String,
}

impl PostgresDatabase {
    fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "nodeloom_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        psql(&format!("CREATE DATABASE {name}"));
        let base = superuser_url();
        // The path of the address is the database; options stay.
        let (rest, options) = base.split_once('?').unwrap_or((&base, ""));
        let at = rest.find("://").map_or(0, |at| at + 3);
        let host = rest[at..].split('/').next().unwrap_or_default();
        let options = if options.is_empty() {
            String::new()
        } else {
            format!("?{options}")
        };
        let url = format!("{}{host}/{name}{options}", &rest[..at]);
        Self { name, url }
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A failing test must not fail twice for what it leaves behind.
        let _ = Command::new("psql")
            .args([&superuser_url(), "-qXc", &sql])
            .stderr(Stdio::null())
            .status();
    }
}

fn superuser_url() -> String {
    std::env::var("NODELOOM_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("NODELOOM_TEST_POSTGRES is not set: run the tests with scripts/test.sh")
    })
}

fn psql(sql: &str) {
    let output = Command::new("psql")
        .args([&superuser_url(), "-qXc", sql])
        .output()
        .expect("psql is on the PATH");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {stderr}");
}

/// Settings and a place to run in.
#[derive(Debug)]
pub struct Setup {
    directory: TempDir,
    environment: BTreeMap<String, String>,
    postgres: Option<PostgresDatabase>,
    /// Every command is run by this one, which must end in an exec.
    runner: Vec<String>,
}

impl Setup {
    /// Development with [`KEY`], an empty data directory, and no user yet.
    pub fn new(database: Database) -> Self {
        let setup = Self::bare(database);
        setup.with("APP_ENCRYPTION_KEY", KEY)
    }

    /// Without a key.
    pub fn bare(database: Database) -> Self {
        let postgres = (database == Database::Postgres).then(PostgresDatabase::create);
        let directory = TempDir::new().expect("a temporary directory");
        let mut setup = Self {
            directory,
            environment: BTreeMap::new(),
            postgres,
            runner: Vec::new(),
        };
        for name in ["PATH", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"] {
            if let Ok(value) = std::env::var(name) {
                setup.set(name, &value);
            }
        }
        let data = setup.data_dir().display().to_string();
        setup.set("NODELOOM_DATA_DIR", &data);
        setup.set("NODELOOM_LISTEN", "127.0.0.1:0");
        if let Some(url) = setup.postgres.as_ref().map(|postgres| postgres.url.clone()) {
            setup.set("DATABASE_URL", &url);
        }
        setup
    }

    /// With a first administrator.
    pub fn with_admin(database: Database) -> Self {
        Self::new(database)
            .with("ADMIN_EMAIL", ADMIN_EMAIL)
            .with("ADMIN_PASSWORD", ADMIN_PASSWORD)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.unset(name);
        self
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// Runs every command by another one, such as `setpriv`, which must end in an exec.
    pub fn run_by(&mut self, runner: &[&str]) {
        self.runner = runner.iter().map(|word| (*word).to_owned()).collect();
    }

    /// The directory that the server runs in.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn sqlite_file(&self) -> PathBuf {
        self.data_dir().join("nodeloom.db")
    }

    /// The address of the PostgreSQL database.
    pub fn database_url(&self) -> Option<&str> {
        self.postgres.as_ref().map(|postgres| postgres.url.as_str())
    }

    /// A command in this environment and nothing else of the test's own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.runner.iter().map(String::as_str).chain([binary()]);
        let mut command = Command::new(words.next().expect("the binary at least"));
        command
            .args(words)
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::from(self.command(arguments).output().expect("the binary runs"))
    }

    /// Runs a command with `input` on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Finished {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut stdin = child.stdin.take().expect("it was asked for");
        // Who refuses before reading closes the pipe.
        let _ = stdin.write_all(input.as_ref());
        drop(stdin);
        Finished::from(child.wait_with_output().expect("the binary ends"))
    }

    /// Starts a server and waits until it is ready.
    pub fn serve(&self) -> Server {
        match self.try_serve() {
            Ok(server) => server,
            Err(finished) => panic!("the server did not start: {finished:?}"),
        }
    }

    /// Starts a server; it either becomes ready or ends.
    pub fn try_serve(&self) -> Result<Server, Finished> {
        Server::start(self)
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Asserts a refusal of the start: exit code, an error, a next step.
    #[track_caller]
    pub fn refused(self) -> Self {
        let finished = self.expect(78);
        assert!(finished.stderr.contains("error: "), "{finished:?}");
        assert!(finished.stderr.contains("next step: "), "{finished:?}");
        finished
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Server {
    fn start(setup: &Setup) -> Result<Self, Finished> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let log = |name: &str| setup.path().join(format!("serve-{number}.{name}"));
        let (stdout, stderr) = (log("stdout"), log("stderr"));
        let mut child = setup
            .command(&["serve"])
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr).expect("a log file"))
            .spawn()
            .expect("the binary runs");
        let pipe = child.stdout.take().expect("it was asked for");
        let mut copy = File::create(&stdout).expect("a log file");
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the server never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = writeln!(copy, "{line}");
                if let Some(base) = line.strip_prefix("nodeloom is ready on ") {
                    let _ = sender.send(base.to_owned());
                }
            }
        });
        let deadline = Instant::now() + READY;
        loop {
            match receiver.recv_timeout(Duration::from_millis(10)) {
                Ok(base) => {
                    return Ok(Self {
                        child,
                        base,
                        stdout,
                        stderr,
                    });
                }
                Err(_) => {
                    let ended = child.try_wait().expect("a child can be waited for");
                    if ended.is_none() && Instant::now() < deadline {
                        continue;
                    }
                    let _ = child.kill();
                    let status = child.wait().expect("a child can be waited for");
                    return Err(Finished {
                        code: status.code(),
                        stdout: read(&stdout),
                        stderr: read(&stderr),
                    });
                }
            }
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.expect("kill is on the PATH").success());
    }

    /// Ends it as an operator does, and waits.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.child.wait().expect("a child can be waited for");
        (status, self.stderr())
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A client without a session.
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// A client that is signed in as the first administrator.
    pub fn signed_in(&self) -> Client {
        let mut client = self.client();
        let answer = client.post(
            "/api/auth/login",
            &json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}),
        );
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.stderr());
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// An HTTP client as a browser of the same origin: it keeps the session cookie.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    pub cookie: Option<String>,
    /// Sent with every request; a test may change them.
    pub headers: Vec<(String, String)>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            // A proxy of the developer's machine is no part of the test.
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            base: base.to_owned(),
            cookie: None,
            headers: vec![("Sec-Fetch-Site".into(), "same-origin".into())],
        }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], None)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body), &[])
    }

    pub fn patch(&mut self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(body), &[])
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.send("DELETE", path, None, &[])
    }

    /// Any method, with a JSON body and further headers.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut all = headers.to_vec();
        let text = body.map(Value::to_string);
        if text.is_some() {
            all.push(("Content-Type", "application/json"));
        }
        self.request(method, path, &all, text.as_deref().map(str::as_bytes))
    }

    /// Any method, with raw bytes as the body.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let answer = match body {
            Some(body) => self
                .agent
                .run(request.body(body.to_vec()).expect("a valid request")),
            None => self.agent.run(request.body(()).expect("a valid request")),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect();
        for (name, value) in &headers {
            if name == "set-cookie" {
                self.keep_cookie(value);
            }
        }
        let answer = Answer {
            status: answer.status().as_u16(),
            headers,
            text: answer.body_mut().read_to_string().unwrap_or_default(),
        };
        shape::check(method, path, &answer);
        answer
    }

    fn keep_cookie(&mut self, header: &str) {
        let pair = header.split(';').next().unwrap_or_default().trim();
        let is_end = pair.ends_with('=') || header.to_ascii_lowercase().contains("max-age=0");
        self.cookie = (!is_end).then(|| pair.to_owned());
    }
}
