//! Looks at what a server stores, from outside: its files, its rows, by SQL of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Client, Database, Finished, Setup};

/// Runs SQL and prints rows as lines, columns with `|` in between.
const SQLITE: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
for row in db.execute(sys.argv[2]):
    print('|'.join('' if c is None else str(c) for c in row))
db.close()
";

/// One line for each table: its name and a digest of all its rows.
const POSTGRES_DIGEST: &str = "SELECT table_name, md5(query_to_xml(format('SELECT * FROM %I \
    ORDER BY 1', table_name), true, true, '')::text) FROM information_schema.tables \
    WHERE table_schema = 'public' ORDER BY 1";

/// Everything that a refused start must leave as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, (u32, Vec<u8>)>,
    rows: String,
}

impl Setup {
    /// Which database this is.
    pub fn database(&self) -> Database {
        if self.database_url().is_some() {
            Database::Postgres
        } else {
            Database::Sqlite
        }
    }

    /// Runs one statement and returns its rows as lines, columns with `|` in between.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> String {
        let output = match self.database_url() {
            Some(url) => Command::new("psql")
                .args([url, "-qXAtc", statement])
                .output(),
            None => Command::new("python3")
                .args(["-c", SQLITE])
                .arg(self.sqlite_file())
                .arg(statement)
                .output(),
        };
        let output = output.expect("psql and python3 are on the PATH");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {stderr}");
        String::from_utf8(output.stdout)
            .expect("the test asks for text")
            .trim_end()
            .to_owned()
    }

    /// The same, in each engine's own words.
    #[track_caller]
    pub fn sql_of(&self, sqlite: &str, postgres: &str) -> String {
        match self.database() {
            Database::Sqlite => self.sql(sqlite),
            Database::Postgres => self.sql(postgres),
        }
    }

    /// The root ids that the database knows, as people see them.
    pub fn root_ids(&self) -> String {
        self.sql_of(
            "SELECT lower(hex(id)) FROM root_keys ORDER BY id",
            "SELECT encode(id, 'hex') FROM root_keys ORDER BY id",
        )
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut files = BTreeMap::new();
        collect(self.path(), &mut files);
        let rows = match self.database() {
            Database::Sqlite => String::new(),
            Database::Postgres => self.sql(POSTGRES_DIGEST),
        };
        Snapshot { files, rows }
    }

    /// Starts a server that must refuse: exit code 78 within 10 seconds, what and the next step on
    /// stderr, nothing on stdout, and nothing changed.
    #[track_caller]
    pub fn serve_refused(&self) -> Finished {
        let before = self.snapshot();
        let started = Instant::now();
        let finished = match self.try_serve() {
            Ok(server) => panic!("it started: {}", server.stderr()),
            Err(finished) => finished.refused(),
        };
        assert!(started.elapsed() < Duration::from_secs(10), "{finished:?}");
        assert_eq!(finished.stdout, "", "{finished:?}");
        let after = self.snapshot();
        assert_eq!(names(&before), names(&after), "{finished:?}");
        assert!(before == after, "the start changed something: {finished:?}");
        finished
    }

    /// An instance with a first administrator and one credential, at rest.
    pub fn seeded(database: Database) -> Self {
        let setup = Self::with_admin(database);
        let server = setup.serve();
        store(&mut server.signed_in(), "seed");
        let (status, log) = server.terminate();
        assert!(status.success(), "{log}");
        setup
    }
}

fn names(snapshot: &Snapshot) -> Vec<&PathBuf> {
    snapshot.files.keys().collect()
}

fn collect(directory: &Path, files: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable directory").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The harness writes these.
        if name.starts_with("serve-") {
            continue;
        }
        let metadata = path.symlink_metadata().expect("it was just listed");
        let mode = metadata.permissions().mode();
        let bytes = if metadata.is_file() {
            fs::read(&path).expect("a readable file")
        } else {
            Vec::new()
        };
        if metadata.is_dir() {
            collect(&path, files);
        }
        files.insert(path, (mode, bytes));
    }
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o7777
}

/// The team of the signed-in person.
pub fn team(client: &mut Client) -> String {
    let me = client.get("/api/auth/me").expect(200).json();
    me["teams"][0]["teamId"].as_str().expect("an id").to_owned()
}

/// Stores a bearer token of this name; its value is `value of NAME`.
#[track_caller]
pub fn store(client: &mut Client, name: &str) -> Value {
    let team = team(client);
    client
        .post("/api/credentials", &bearer(&team, name))
        .expect(201)
        .json()
}

/// A body that stores a bearer token.
pub fn bearer(team: &str, name: &str) -> Value {
    json!({
        "name": name,
        "type": "BEARER_TOKEN",
        "teamId": team,
        "data": {"token": format!("value of {name}")},
    })
}

/// The path of a credential.
pub fn path_of(credential: &Value) -> String {
    format!(
        "/api/credentials/{}",
        credential["id"].as_str().expect("an id")
    )
}
