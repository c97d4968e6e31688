//! What stops a start: each refusal is exit code 78 with a next step, and changes nothing. And how
//! a start without any setting goes, up to the clean end.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::probe::mode;
use support::{ADMIN_EMAIL, ADMIN_PASSWORD, Database, KEY, Setup};

const SAMPLE: &str = "your-cryptographically-random-key-here-min-32-chars";

/// One key of each class of weakness.
const WEAK: [(&str, &str); 8] = [
    ("short", "tEsTonLy7Qm2vX9c"),
    ("a repeat", "abcabcabcabcabcabcabcabcabcabcabcabc"),
    (
        "words",
        "correct horse battery staple correct horse battery",
    ),
    ("a run", "abcdefghijklmnopqrstuvwxyz0123456789"),
    ("a walk", "qwertyuiopasdfghjklzxcvbnmqwertyuiop"),
    ("digits", "12345678901234567890123456789012"),
    ("leet", "P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd2024"),
    (
        "base64 of words",
        "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ=",
    ),
];

fn production(database: Database) -> Setup {
    Setup::bare(database)
        .with("APP_ENV", "production")
        .with("APP_BASE_URL", "https://vault.example.com")
}

#[test]
fn production_refuses_a_missing_key_and_says_how_to_make_one() {
    for database in Database::ALL {
        let finished = production(database).serve_refused();
        assert!(finished.stderr.contains("there is no encryption key"));
        assert!(finished.stderr.contains("nodeloom key generate"));
    }
}

#[test]
fn production_refuses_each_class_of_weak_key_and_development_warns() {
    for (class, key) in WEAK.into_iter().chain([("sample", SAMPLE)]) {
        let setup = production(Database::Sqlite).with("APP_ENCRYPTION_KEY", key);
        let finished = setup.serve_refused();
        assert!(
            finished.stderr.contains("too weak"),
            "{class}: {finished:?}"
        );
        assert!(finished.stderr.contains("rule `"), "{class}: {finished:?}");
        assert!(finished.stderr.contains("nodeloom key generate"));
        assert!(!finished.stderr.contains(key), "{class}: {finished:?}");
    }
    let sample = production(Database::Sqlite).with("APP_ENCRYPTION_KEY", SAMPLE);
    assert!(sample.serve_refused().stderr.contains("published-sample"));

    let development = Setup::with_admin(Database::Sqlite).with("APP_ENCRYPTION_KEY", SAMPLE);
    let server = development.serve();
    let log = server.stderr();
    assert!(log.contains("warning: "), "{log}");
    assert!(log.contains("is weak"), "{log}");
    assert!(!log.contains(SAMPLE), "{log}");
    server.signed_in();
}

#[test]
fn production_starts_with_a_good_key_and_https() {
    let setup = production(Database::Sqlite)
        .with("APP_ENCRYPTION_KEY", KEY)
        .with("ADMIN_EMAIL", ADMIN_EMAIL)
        .with("ADMIN_PASSWORD", ADMIN_PASSWORD);
    let server = setup.serve();
    assert!(
        !server.stderr().contains("warning: "),
        "{}",
        server.stderr()
    );
    let mut client = server.client();
    client
        .headers
        .push(("Host".into(), "vault.example.com".into()));
    let answer = client.get("/api/setup").expect(200);
    assert_eq!(answer.json()["needed"], false);
    assert!(answer.header("strict-transport-security").is_some());
}

#[test]
fn production_needs_an_https_address() {
    let without = production(Database::Sqlite)
        .with("APP_ENCRYPTION_KEY", KEY)
        .without("APP_BASE_URL");
    assert!(without.serve_refused().stderr.contains("APP_BASE_URL"));
    let plain = without.with("APP_BASE_URL", "http://vault.example.com");
    let finished = plain.serve_refused();
    assert!(finished.stderr.contains("https"), "{finished:?}");
}

#[test]
fn development_listens_on_loopback_alone() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let setup = Setup::new(Database::Sqlite).with("NODELOOM_LISTEN", address);
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains("loopback"), "{finished:?}");
        assert!(finished.stderr.contains("APP_ENV=production"));
    }
}

#[test]
fn every_bad_setting_is_listed_at_once_and_none_is_repeated() {
    let bad = "hunter2 nonsense";
    let mut setup = Setup::new(Database::Sqlite).with("APP_ENV", "development");
    let names = [
        "NODELOOM_LISTEN",
        "APP_BASE_URL",
        "APP_TRUSTED_PROXIES",
        "DATABASE_URL",
        "NODELOOM_LOG_FORMAT",
        "NODELOOM_METRICS_TOKEN",
    ];
    for name in names {
        setup.set(name, bad);
    }
    setup.set("NODELOOM_TLS_CERT_FILE", "/only/one");
    let before = setup.snapshot();
    let finished = setup.run(&["serve"]).refused();
    for name in names.into_iter().chain(["NODELOOM_TLS_KEY_FILE"]) {
        assert!(finished.stderr.contains(name), "{name}: {finished:?}");
    }
    assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
    assert_eq!(before, setup.snapshot());
    let mode = Setup::new(Database::Sqlite).with("APP_ENV", bad);
    let finished = mode.serve_refused();
    assert!(finished.stderr.contains("APP_ENV"), "{finished:?}");
    assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
}

#[test]
fn the_first_administrator_needs_both_settings_and_a_good_password() {
    for database in Database::ALL {
        let email = Setup::new(database).with("ADMIN_EMAIL", ADMIN_EMAIL);
        let finished = email.serve_refused();
        assert!(finished.stderr.contains("ADMIN_PASSWORD"), "{finished:?}");
        let password = Setup::new(database).with("ADMIN_PASSWORD", ADMIN_PASSWORD);
        assert!(password.serve_refused().stderr.contains("ADMIN_EMAIL"));
        for bad in ["elevenchars", "password1234"] {
            let finished = Setup::with_admin(database)
                .with("ADMIN_PASSWORD", bad)
                .serve_refused();
            assert!(finished.stderr.contains("ADMIN_PASSWORD"), "{finished:?}");
            assert!(!finished.stderr.contains(bad), "{finished:?}");
        }
        let finished = Setup::with_admin(database)
            .with("ADMIN_EMAIL", "nobody")
            .serve_refused();
        assert!(finished.stderr.contains("ADMIN_EMAIL"), "{finished:?}");
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for database in Database::ALL {
        let setup = Setup::seeded(database).with("NODELOOM_LISTEN", &address);
        // The lock file is left behind; its content is a process id.
        let finished = setup.try_serve().unwrap_err().refused();
        assert!(finished.stderr.contains(&address), "{finished:?}");
        assert!(finished.stderr.contains("another program"), "{finished:?}");
    }
}

#[test]
fn a_postgresql_that_is_not_there_or_says_no_is_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    // Bound but never accepting: connections hang, as they do behind a firewall.
    let silent = Setup::new(Database::Sqlite).with(
        "DATABASE_URL",
        &format!("postgres://user:hunter2secret@127.0.0.1:{port}/x"),
    );
    let finished = silent.serve_refused();
    assert!(finished.stderr.contains("answer"), "{finished:?}");
    assert!(!finished.stderr.contains("hunter2secret"), "{finished:?}");
    drop(closed);
    let finished = silent.serve_refused();
    assert!(finished.stderr.contains("DATABASE_URL"), "{finished:?}");
    assert!(!finished.stderr.contains("hunter2secret"), "{finished:?}");
}

#[test]
fn a_wrong_password_or_database_of_postgresql_is_refused() {
    let setup = Setup::new(Database::Postgres);
    let own = setup.database_url().unwrap();
    let missing = own.replacen("/nodeloom_", "/no_such_nodeloom_", 1);
    assert_ne!(own, missing);
    let finished = Setup::new(Database::Sqlite)
        .with("DATABASE_URL", &missing)
        .serve_refused();
    assert!(finished.stderr.contains("DATABASE_URL"), "{finished:?}");
    // The test server trusts whoever it knows: an unknown user is refused like a wrong password.
    let (scheme, rest) = own.split_once("://").unwrap();
    let host = rest.rsplit('@').next().unwrap();
    let finished = Setup::new(Database::Sqlite)
        .with(
            "DATABASE_URL",
            &format!("{scheme}://no_such_user:hunter2secret@{host}"),
        )
        .serve_refused();
    assert!(finished.stderr.contains("user, password"), "{finished:?}");
    assert!(!finished.stderr.contains("hunter2secret"), "{finished:?}");
}

#[test]
fn a_truncated_or_foreign_database_file_is_refused() {
    let setup = Setup::seeded(Database::Sqlite);
    let file = setup.sqlite_file();
    let whole = fs::read(&file).unwrap();
    for length in [1, 99, 100, 4096, 5000, whole.len() / 2, whole.len() - 4096] {
        fs::write(&file, &whole[..length]).unwrap();
        setup.serve_refused();
    }
    fs::write(&file, b"").unwrap();
    let empty = setup.serve_refused();
    assert!(empty.stderr.contains("empty"), "{empty:?}");
    // No pattern: a header of SQLite cannot come out.
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let random: Vec<u8> = (0..65536)
        .map(|_| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            noise.to_le_bytes()[7]
        })
        .collect();
    fs::write(&file, random).unwrap();
    setup.serve_refused();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    setup.serve_refused();
    fs::remove_dir(&file).unwrap();
    fs::write(&file, &whole).unwrap();
    let server = setup.serve();
    assert_eq!(list_length(&server), 1);
}

fn list_length(server: &support::Server) -> usize {
    let mut client = server.signed_in();
    let team = support::probe::team(&mut client);
    let list = client.get(&format!("/api/credentials?teamId={team}"));
    list.expect(200).json().as_array().expect("a list").len()
}

#[test]
fn a_newer_schema_is_refused() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        setup.sql_of(
            "INSERT INTO schema_migrations VALUES (99, 'later', x'0000000000000000')",
            "INSERT INTO schema_migrations VALUES (99, 'later', '\\x0000000000000000')",
        );
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains("99"), "{finished:?}");
        assert!(finished.stderr.contains("newer version"), "{finished:?}");
        setup.run(&["migrate", "--check"]).expect(78);
    }
}

#[test]
fn a_read_only_database_is_refused() {
    let mut setup = Setup::seeded(Database::Sqlite);
    // Root writes where the mode forbids it, unless it gives that right up.
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        setup.run_by(&[
            "setpriv",
            "--bounding-set=-dac_override",
            "--inh-caps=-dac_override",
        ]);
    }
    for path in [setup.data_dir(), setup.sqlite_file()] {
        let writable = fs::metadata(&path).unwrap().permissions();
        let read_only = fs::Permissions::from_mode(writable.mode() & !0o222);
        fs::set_permissions(&path, read_only).unwrap();
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains("may not"), "{finished:?}");
        fs::set_permissions(&path, writable).unwrap();
    }
    assert_eq!(list_length(&setup.serve()), 1);
}

#[test]
fn a_read_only_file_system_is_refused() {
    let setup = Setup::seeded(Database::Sqlite);
    let data = setup.data_dir();
    let own = data.to_str().unwrap();
    let mount = |arguments: &[&str]| {
        let mount = Command::new("mount").args(arguments).arg(own).output();
        mount.is_ok_and(|output| output.status.success())
    };
    if !mount(&["--bind", own]) {
        eprintln!("skipped: this user may not mount; the test of modes covers the refusal");
        return;
    }
    let _mounted = Mounted(&data);
    assert!(mount(&["-o", "remount,bind,ro"]));
    let finished = setup.serve_refused();
    assert!(finished.stderr.contains("read-only"), "{finished:?}");
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// The size limit of files stands for the disk: what it refuses, no disk takes.
#[test]
fn a_disk_without_room_is_refused_and_leaves_no_readable_half() {
    let setup = Setup::with_admin(Database::Sqlite);
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" serve";
    let mut shell = Command::new("sh");
    let own = setup.command(&[]);
    let environment: Vec<_> = own
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let finished = shell
        .args(["-c", script, support::binary()])
        .env_clear()
        .envs(environment)
        .current_dir(setup.path())
        .output()
        .unwrap();
    let finished = support::Finished::from(finished).refused();
    assert!(!finished.stdout.contains("ready"), "{finished:?}");
    // With room again the same directory works, and the administrator is there.
    assert_eq!(list_length(&setup.serve()), 0);
}

#[test]
fn without_any_setting_a_key_and_a_set_up_link_are_made() {
    let setup = Setup::bare(Database::Sqlite).without("NODELOOM_DATA_DIR");
    let server = setup.serve();
    let key = setup.data_dir().join("encryption.key");
    let link = setup.data_dir().join("setup-link");
    for file in [&key, &link, &setup.sqlite_file()] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&setup.data_dir()), 0o700);
    let text = fs::read_to_string(&key).unwrap();
    assert_eq!(text.trim_end().len(), 64);
    let log = server.stderr();
    assert!(log.contains("encryption.key"), "{log}");
    assert!(!log.contains(text.trim_end()), "{log}");

    let link_text = fs::read_to_string(&link).unwrap();
    let (address, code) = link_text.trim_end().split_once("/setup#code=").unwrap();
    assert_eq!(address, server.base());
    assert!(!log.contains(code) && !server.stdout().contains(code));
    let mut client = server.client();
    assert_eq!(client.get("/api/setup").json()["needed"], true);
    client.get("/setup").expect(200);
    let admin = |code: &str, password: &str| json!({"code": code, "email": ADMIN_EMAIL, "password": password});
    let wrong = client.post("/api/setup", &admin("wrong", ADMIN_PASSWORD));
    wrong
        .refused(400, "VALIDATION_FAILED")
        .names("code", "expired");
    let short = client.post("/api/setup", &admin(code, "short"));
    short.refused(400, "VALIDATION_FAILED");
    let done = client.post("/api/setup", &admin(code, ADMIN_PASSWORD));
    assert_eq!(done.expect(200).json()["teams"][0]["role"], "ADMIN");
    client.get("/api/auth/me").expect(200);
    let again = server
        .client()
        .post("/api/setup", &admin(code, ADMIN_PASSWORD));
    again.refused(409, "ALREADY_SET_UP");
    assert_eq!(client.get("/api/setup").json()["needed"], false);

    support::probe::store(&mut client, "kept");
    let (status, _) = server.terminate();
    assert_eq!(status.code(), Some(0));
    let server = setup.serve();
    assert!(!link.exists());
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    assert_eq!(list_length(&server), 1);
}

#[test]
fn what_was_stored_is_there_after_a_restart_with_the_same_key() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let team = support::probe::team(&mut client);
        let list = client
            .get(&format!("/api/credentials?teamId={team}"))
            .json();
        let path = support::probe::path_of(&list[0]);
        let revealed = client.post(&format!("{path}/reveal"), &json!({}));
        assert_eq!(
            revealed.expect(200).json()["data"],
            json!({"token": "value of seed"})
        );
    }
}

#[test]
fn a_running_server_shows_no_secret_and_dumps_no_core() {
    let database = Setup::with_admin(Database::Postgres);
    let url = database.database_url().unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit('@').next().unwrap();
    let with_password = format!("{scheme}://postgres:hunter2secret@{host}");
    let setup = database
        .with("DATABASE_URL", &with_password)
        .with("NODELOOM_METRICS_TOKEN", "metrics-token-of-the-test");
    let server = setup.serve();
    let proc = |file: &str| fs::read(format!("/proc/{}/{file}", server.pid()));
    // Without root a non-dumpable process hides these files, which is as good.
    for file in ["environ", "cmdline"] {
        let Ok(bytes) = proc(file) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        assert!(file != "environ" || text.contains("NODELOOM_LISTEN="));
        for secret in [
            KEY,
            ADMIN_PASSWORD,
            "hunter2secret",
            "metrics-token-of-the-test",
        ] {
            assert!(!text.contains(secret), "{file} has {secret}");
        }
    }
    let limits = String::from_utf8(proc("limits").unwrap()).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let columns: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(columns, ["0", "0"], "{core}");
    let owner = fs::metadata(format!("/proc/{}/environ", server.pid())).unwrap();
    // The kernel gives the files of a non-dumpable process to root.
    assert_eq!(owner.uid(), 0);
}

#[test]
fn a_signal_ends_it_cleanly_with_the_audit_anchored() {
    for (database, signal) in [(Database::Sqlite, "TERM"), (Database::Postgres, "INT")] {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        support::probe::store(&mut server.signed_in(), "before the end");
        let anchor = setup.data_dir().join("audit.anchor");
        let before = fs::read_to_string(&anchor).unwrap_or_default();
        server.signal(signal);
        let (status, log) = server.terminate();
        assert_eq!(status.code(), Some(0), "{log}");
        let after = fs::read_to_string(&anchor).unwrap();
        assert!(after.len() > before.len() && after.starts_with(&before));
        let last: serde_json::Value = serde_json::from_str(after.lines().last().unwrap()).unwrap();
        let head = setup.sql("SELECT sequence FROM audit_head");
        assert_eq!(last["sequence"].to_string(), head, "{last}");
        setup.run(&["audit", "verify"]).expect(0);
    }
}
