//! A second place that keeps the trail. Required: nothing happens without it. Otherwise: nothing
//! is lost while it is away.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::{fs::MetadataExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    time::Duration,
};

use nodeloom_app::{App, AppError, AuditSink, SinkSettings};
use nodeloom_crypto::RootKey;
use nodeloom_domain::Role;
use serde_json::{Value, json};

use crate::support::{
    ADMIN, Db, PASSWORD, ROOT, World, assert_refused, fields_of, on_both, operator, origin, reveal,
    secret, token_of,
};

on_both!(
    every_event_is_in_a_required_sink,
    without_a_required_sink_nothing_happens,
    a_moved_or_deleted_file_swallows_nothing,
    what_did_not_commit_is_taken_back,
    an_instance_is_born_into_its_sink,
    a_sink_that_was_away_is_given_everything,
    two_processes_deliver_once,
    nothing_is_pruned_that_a_sink_waits_for,
    syslog_messages_hold_one_event_each,
);

fn settings(target: &str, required: bool) -> SinkSettings {
    SinkSettings {
        target: target.parse().unwrap(),
        required,
        timeout: Duration::from_secs(10),
        token_file: None,
        authorities: [].into(),
    }
}

/// Another process on the same database, with a sink.
async fn with_sink(world: &World, settings: SinkSettings) -> App {
    let root = RootKey::derive(ROOT.as_bytes());
    let (store, clock) = (world.store.clone(), world.clock.clone());
    let sink = AuditSink::new(settings).unwrap();
    App::open_with_sink(store, root.into(), clock, &origin(), Some(sink))
        .await
        .unwrap()
}

fn place(dir: &tempfile::TempDir) -> (PathBuf, String) {
    let path = dir.path().join("audit.jsonl");
    let target = format!("file:{}", path.display());
    (path, target)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

async fn in_database(world: &World) -> i64 {
    world.db.count("audit_events").await
}

/// Stores a `BEARER_TOKEN` through this process.
async fn add(
    app: &App,
    world: &World,
    name: &str,
) -> Result<nodeloom_app::CredentialView, AppError> {
    let data = json!({"token": "value"}).as_object().unwrap().clone();
    let new = nodeloom_app::NewCredential {
        team: world.team,
        name: name.into(),
        kind: "BEARER_TOKEN".into(),
        data,
    };
    app.create_credential(&operator(), new).await
}

async fn every_event_is_in_a_required_sink(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = place(&dir);
    let before = in_database(&world).await;
    let app = with_sink(&world, settings(&target, true)).await;
    let mail = add(&app, &world, "Mail\u{1b}\r\n").await;
    assert!(
        fields_of(mail.unwrap_err()).len() == 1,
        "a refused input is no event"
    );
    let mail = add(&app, &world, "Mail").await.unwrap();
    assert_eq!(token_of(&app, mail.id).await.unwrap(), "value");
    let viewer = world
        .person("v@example.com", world.team, Role::Viewer)
        .await;
    let signed_in = in_database(&world).await;
    assert_refused!(
        reveal(&app, &viewer.ctx(), mail.id).await,
        AppError::Denied(_)
    );
    let wrong = app
        .sign_in(ADMIN, secret("wrong"), None, &origin(), None)
        .await;
    assert_refused!(wrong, AppError::SignInRefused);
    let told = lines(&path);
    let actions: Vec<String> = told
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["action"].as_str().unwrap(),
                line["outcome"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        actions,
        [
            "credential.create success",
            "credential.reveal success",
            "credential.reveal refused",
            "session.create refused"
        ]
    );
    assert_eq!(told[0]["sequence"], before + 1);
    assert_eq!(told[2]["sequence"], signed_in + 1);
    let mac = world
        .db
        .one(&format!(
            "SELECT mac FROM audit_events WHERE sequence = {}",
            before + 1
        ))
        .await;
    assert_eq!(told[0]["mac"], crate::support::hex(mac.bytes()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let state = app.probe_audit_sink().await.unwrap().unwrap();
    assert!(
        state.reachable && state.required && state.failures == 0,
        "{state:?}"
    );
}

async fn without_a_required_sink_nothing_happens(db: Db) {
    let world = World::new(db).await;
    let mail = world.add(world.team, "Mail", "the value").await;
    let admin = world.admin().await;
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/audit.jsonl");
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    let refused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (what, target) in [
        ("a full disk", "file:/dev/full".to_owned()),
        (
            "a directory that is gone",
            format!("file:{}", missing.display()),
        ),
        (
            "a directory in its place",
            format!("file:{}", dir.path().display()),
        ),
        (
            "a pipe that nobody reads",
            format!("file:{}", fifo.display()),
        ),
        ("no syslog", format!("syslog:unix:{}", missing.display())),
        ("nobody listens", format!("syslog:tcp:{refused}")),
    ] {
        let app = with_sink(&world, settings(&target, true)).await;
        let before = in_database(&world).await;
        let sessions = world.db.count("sessions").await;
        let revealed = reveal(&app, &admin.ctx(), mail.id).await;
        assert_refused!(revealed, AppError::AuditUnavailable);
        assert_refused!(add(&app, &world, "New").await, AppError::AuditUnavailable);
        let deleted = app.delete_credential(&operator(), mail.id, None).await;
        assert_refused!(deleted, AppError::AuditUnavailable);
        let sign_in = app
            .sign_in(ADMIN, secret(PASSWORD), None, &origin(), None)
            .await;
        assert_refused!(sign_in, AppError::AuditUnavailable);
        assert_eq!(in_database(&world).await, before, "{what}");
        assert_eq!(world.db.count("sessions").await, sessions, "{what}");
        assert_eq!(world.names(world.team).await, ["Mail"], "{what}");
        let state = app.probe_audit_sink().await.unwrap().unwrap();
        assert!(
            !state.reachable && state.failures >= 4 || target.contains("/dev/full"),
            "{what}: {state:?}"
        );
        assert!(state.failures >= 4, "{what}: {state:?}");
    }
    // The processes without that rule go on, and the trail is whole.
    assert_eq!(world.token_of(mail.id).await.unwrap(), "the value");
    assert!(
        world
            .app
            .verify_audit(&operator(), &[])
            .await
            .unwrap()
            .intact
    );
    // As soon as the sink is back, all goes on.
    fs::create_dir(missing.parent().unwrap()).unwrap();
    let target = format!("file:{}", missing.display());
    let app = with_sink(&world, settings(&target, true)).await;
    fs::remove_dir(missing.parent().unwrap()).unwrap();
    assert_refused!(add(&app, &world, "New").await, AppError::AuditUnavailable);
    fs::create_dir(missing.parent().unwrap()).unwrap();
    assert!(add(&app, &world, "New").await.is_ok());
    let told = lines(&missing);
    assert_eq!(told.last().unwrap()["action"], "credential.create");
}

async fn a_moved_or_deleted_file_swallows_nothing(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = place(&dir);
    let app = with_sink(&world, settings(&target, true)).await;
    add(&app, &world, "One").await.unwrap();
    let rotated = dir.path().join("audit.jsonl.1");
    fs::rename(&path, &rotated).unwrap();
    add(&app, &world, "Two").await.unwrap();
    assert_eq!((lines(&rotated).len(), lines(&path).len()), (1, 1));
    fs::remove_file(&path).unwrap();
    add(&app, &world, "Three").await.unwrap();
    assert_eq!(lines(&path).len(), 1);
    // Half a line of a crash does not spoil the next one.
    fs::write(&path, "{\"sequence\":9,\"half").unwrap();
    add(&app, &world, "Four").await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "the half line has its end: {text}");
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["target"]["name"], "Four");
}

async fn what_did_not_commit_is_taken_back(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = place(&dir);
    let app = with_sink(&world, settings(&target, true)).await;
    add(&app, &world, "One").await.unwrap();
    // The database refuses at the very end: a reference that is checked at the commit.
    if world.db.is_sqlite() {
        world
            .db
            .run("CREATE TABLE never (id BLOB PRIMARY KEY)")
            .await;
        world
            .db
            .run("CREATE TABLE late (id BLOB REFERENCES never (id) DEFERRABLE INITIALLY DEFERRED)")
            .await;
        world
            .db
            .run(
                "CREATE TRIGGER refuse AFTER INSERT ON credentials BEGIN \
             INSERT INTO late VALUES (NEW.id); END",
            )
            .await;
    } else {
        world
            .db
            .run("CREATE TABLE never (id BYTEA PRIMARY KEY)")
            .await;
        world
            .db
            .run("CREATE TABLE late (id BYTEA REFERENCES never (id) DEFERRABLE INITIALLY DEFERRED)")
            .await;
        world
            .db
            .run(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO late VALUES (NEW.id); RETURN NEW; END $$",
            )
            .await;
        world.db.run(
            "CREATE TRIGGER refuse AFTER INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION refuse()",
        ).await;
    }
    let before = in_database(&world).await;
    assert!(add(&app, &world, "Two").await.is_err());
    assert_eq!(in_database(&world).await, before);
    world
        .db
        .run(if world.db.is_sqlite() {
            "DROP TRIGGER refuse"
        } else {
            "DROP TRIGGER refuse ON credentials"
        })
        .await;
    add(&app, &world, "Three").await.unwrap();
    let told = lines(&path);
    assert_eq!(told.len(), 4);
    assert_eq!(told[1]["target"]["name"], "Two");
    assert_eq!(told[2]["aborted"], told[1]["sequence"]);
    assert_eq!(told[2]["mac"], told[1]["mac"]);
    assert_eq!(
        told[3]["sequence"], told[1]["sequence"],
        "its place is free again"
    );
    assert_ne!(told[3]["mac"], told[1]["mac"]);
}

async fn an_instance_is_born_into_its_sink(db: Db) {
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = place(&dir);
    let store = nodeloom_store::Store::open(&db.target).await.unwrap();
    store.migrate().await.unwrap();
    let clock = nodeloom_domain::Clock::fixed(crate::support::NOW);
    let open = async |target: &str| {
        let root = RootKey::derive(ROOT.as_bytes());
        let sink = AuditSink::new(settings(target, true)).unwrap();
        App::open_with_sink(
            store.clone(),
            root.into(),
            clock.clone(),
            &origin(),
            Some(sink),
        )
        .await
    };
    assert!(open("file:/dev/full").await.is_err());
    assert_eq!(db.count("instance").await, 0);
    open(&target).await.unwrap();
    let actions: Vec<Value> = lines(&path)
        .into_iter()
        .map(|line| line["action"].clone())
        .collect();
    assert_eq!(actions, ["instance.create", "team.create"]);
}

async fn a_sink_that_was_away_is_given_everything(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later/audit.jsonl");
    let target = format!("file:{}", path.display());
    let app = with_sink(&world, settings(&target, false)).await;
    add(&app, &world, "One").await.unwrap();
    assert_refused!(app.deliver_audit().await, AppError::AuditUnavailable);
    let state = app.probe_audit_sink().await.unwrap().unwrap();
    let head = u64::try_from(in_database(&world).await).unwrap();
    assert_eq!((state.reachable, state.behind), (false, head));
    fs::create_dir(path.parent().unwrap()).unwrap();
    assert_eq!(app.deliver_audit().await.unwrap(), head);
    assert_eq!(app.deliver_audit().await.unwrap(), 0);
    // What commands and other processes write is delivered too; after a restart it goes on.
    let events = vec![world.event("credential.reveal"); 450];
    let tx = world.store.begin().await.unwrap();
    tx.commit_all(&events, &world.chain().await).await.unwrap();
    world.clock.advance_seconds(61);
    let again = with_sink(&world, settings(&target, false)).await;
    assert_eq!(again.deliver_audit().await.unwrap(), 450);
    let told = lines(&path);
    let sequences: Vec<u64> = told
        .iter()
        .map(|line| line["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences, (1..=head + 450).collect::<Vec<_>>());
    let state = again.probe_audit_sink().await.unwrap().unwrap();
    assert!(state.reachable && state.behind == 0, "{state:?}");
}

async fn two_processes_deliver_once(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = place(&dir);
    let one = with_sink(&world, settings(&target, false)).await;
    let two = with_sink(&world, settings(&target, false)).await;
    let head = u64::try_from(in_database(&world).await).unwrap();
    assert_eq!(one.deliver_audit().await.unwrap(), head);
    world.add(world.team, "One", "value").await;
    assert_eq!(
        two.deliver_audit().await.unwrap(),
        0,
        "the other one does it"
    );
    assert_eq!(one.deliver_audit().await.unwrap(), 1);
    world.add(world.team, "Two", "value").await;
    world.clock.advance_seconds(61);
    assert_eq!(
        two.deliver_audit().await.unwrap(),
        1,
        "the other one has gone"
    );
    assert_eq!(lines(&path).len() as u64, head + 2);
}

async fn nothing_is_pruned_that_a_sink_waits_for(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let (_, target) = place(&dir);
    let app = with_sink(&world, settings(&target, false)).await;
    world.clock.advance_seconds(10 * 24 * 60 * 60);
    world.add(world.team, "One", "value").await;
    let now = world.clock.now();
    assert!(app.prune_audit(&operator(), now).await.unwrap().is_none());
    app.deliver_audit().await.unwrap();
    assert!(app.prune_audit(&operator(), now).await.unwrap().is_some());
    app.deliver_audit().await.unwrap();
    assert!(app.verify_audit(&operator(), &[]).await.unwrap().intact);
}

async fn syslog_messages_hold_one_event_each(db: Db) {
    let world = World::new(db).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let daemon = UnixDatagram::bind(&path).unwrap();
    let app = with_sink(
        &world,
        settings(&format!("syslog:unix:{}", path.display()), true),
    )
    .await;
    let name = "Mail\"] [x y=\"z\\";
    add(&app, &world, name).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let size = daemon.recv(&mut buffer).unwrap();
    let message = String::from_utf8(buffer[..size].to_vec()).unwrap();
    check_message(&message);

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("syslog:tcp:{}", server.local_addr().unwrap());
    let app = with_sink(&world, settings(&target, true)).await;
    add(&app, &world, "Two \"] [x y=\"z\\").await.unwrap();
    let (stream, _) = server.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut read_message = || {
        let mut length = Vec::new();
        reader.read_until(b' ', &mut length).unwrap();
        let length: usize = String::from_utf8(length).unwrap().trim().parse().unwrap();
        let mut message = vec![0; length];
        reader.read_exact(&mut message).unwrap();
        String::from_utf8(message).unwrap()
    };
    check_message(&read_message());
    // The server ends the connection, and the next event finds a new one.
    drop(reader);
    add(&app, &world, "Three \"] [x y=\"z\\").await.unwrap();
    let (stream, _) = server.accept().unwrap();
    let mut size = Vec::new();
    BufReader::new(stream).read_until(b' ', &mut size).unwrap();
    assert!(size.len() > 1);
}

fn check_message(message: &str) {
    assert!(
        !message.chars().any(|c| c.is_control() || c == '\u{202e}'),
        "{message}"
    );
    let (head, rest) = message.split_once(" [nodeloom@32473 ").unwrap();
    let head: Vec<&str> = head.split(' ').collect();
    assert_eq!(
        (head[0], head[3], head[5]),
        ("<110>1", "nodeloom", "credential.create")
    );
    assert!(rest.contains(r#"\"\] [x y=\"z\\"#), "{rest}");
    let (_, json) = rest.split_once("] {").unwrap();
    let event: Value = serde_json::from_str(&format!("{{{json}")).unwrap();
    assert_eq!(event["action"], "credential.create");
}
