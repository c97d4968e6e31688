//! The audit trail through the real binary: pages, copies, seams, and a second place.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::probe::{path_of, store, team};
use support::{Database, Setup};

#[test]
fn the_trail_is_read_by_page_event_and_copy() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let stored = store(&mut client, "who saw this");
        let id = stored["id"].as_str().unwrap();
        let reveal = format!("{}/reveal", path_of(&stored));
        client
            .post(&reveal, &json!({"reason": "a test"}))
            .expect(200);

        let path = format!("/api/audit?target={id}&action=credential.reveal");
        let page = client.get(&path).expect(200).json();
        assert_eq!(
            (
                &page["totalElements"],
                &page["totalPages"],
                &page["number"],
                &page["size"]
            ),
            (&json!(1), &json!(1), &json!(0), &json!(50))
        );
        let event = &page["content"][0];
        assert_eq!(event["actor"]["name"], support::ADMIN_EMAIL);
        assert_eq!(event["detail"]["reason"], "a test");
        assert_eq!(event["address"], "127.0.0.1");
        let one = client
            .get(&format!("/api/audit/{}", event["sequence"]))
            .expect(200);
        assert_eq!(one.json(), *event);
        let team = team(&mut client);
        let of_team = client
            .get(&format!("/api/audit?teamId={team}&size=1"))
            .expect(200)
            .json();
        assert_eq!(of_team["content"].as_array().unwrap().len(), 1);
        let before = of_team["content"][0]["sequence"].as_u64().unwrap();
        let older = client
            .get(&format!("/api/audit?before={before}"))
            .expect(200)
            .json();
        assert!(older["content"][0]["sequence"].as_u64().unwrap() < before);
        let day = client
            .get("/api/audit?from=2000-01-01&to=2001-01-01")
            .expect(200)
            .json();
        assert_eq!(day["totalElements"], 0);

        for (query, field, rule) in [
            ("teamId=x", "teamId", "id"),
            ("before=-1", "before", "range"),
            ("size=501", "size", "range"),
            ("page=1000&size=100", "page", "range"),
            ("from=yesterday", "from", "time"),
            ("to=2026-02-30", "to", "time"),
            ("target=Mail", "target", "id"),
            ("outcome=good", "outcome", "one-of"),
        ] {
            let answer = client.get(&format!("/api/audit?{query}"));
            answer.refused(400, "VALIDATION_FAILED").names(field, rule);
        }
        let answer = client.get("/api/audit/export?format=xml");
        answer
            .refused(400, "VALIDATION_FAILED")
            .names("format", "one-of");
        for none in ["0", "99999", "x", "-1"] {
            client
                .get(&format!("/api/audit/{none}"))
                .refused(404, "NOT_FOUND");
        }
        let mut nobody = server.client();
        for path in ["/api/audit", "/api/audit/1", "/api/audit/export"] {
            nobody.get(path).refused(401, "UNAUTHENTICATED");
        }

        let csv = client.get("/api/audit/export?format=csv").expect(200);
        assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
        assert!(csv.text.contains("credential.reveal"));
        let copy = client.get("/api/audit/export").expect(200);
        assert_eq!(copy.header("content-type"), Some("application/jsonl"));
        let file = setup.path().join("copy.jsonl");
        fs::write(&file, &copy.text).unwrap();
        let verify = ["audit", "verify", "--file", file.to_str().unwrap()];
        setup.run(&verify).expect(0);
        fs::write(&file, copy.text.replace("a test", "no test")).unwrap();
        setup.run(&verify).expect(1);
        assert!(
            setup
                .run(&["audit", "list"])
                .expect(0)
                .stdout
                .contains("audit.export")
        );
    }
}

#[test]
fn the_api_holds_the_trail_against_the_anchors_outside() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        setup.sql("DELETE FROM audit_events WHERE sequence = (SELECT sequence FROM audit_head)");
        setup.sql("DELETE FROM audit_checkpoints");
        setup.sql(
            "UPDATE audit_head SET sequence = (SELECT max(sequence) FROM audit_events), \
             mac = (SELECT mac FROM audit_events ORDER BY sequence DESC LIMIT 1)",
        );
        let server = setup.serve();
        let mut client = server.signed_in();
        let report = client.get("/api/audit/verify").expect(200).json();
        assert_eq!(report["intact"], false, "{report}");
        assert!(report["anchors"].as_u64().unwrap() > 0);
        // A line that a crash left half of is no reason to fail, and is told.
        let anchor = setup.data_dir().join("audit.anchor");
        fs::write(&anchor, "{\"sequence\":3").unwrap();
        let report = client.get("/api/audit/verify").expect(200).json();
        assert_eq!(report["falseAnchors"], 1, "{report}");
    }
}

#[test]
fn a_copy_of_the_database_is_checked_and_left_as_it_is() {
    let setup = Setup::seeded(Database::Sqlite);
    let directory = setup.path().join("backup");
    fs::create_dir(&directory).unwrap();
    let copy = directory.join("copied.db");
    fs::copy(setup.sqlite_file(), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    let arguments = ["audit", "verify", "--database", copy.to_str().unwrap()];
    let finished = setup.run(&arguments).expect(0);
    assert!(finished.stdout.contains("intact"), "{finished:?}");
    assert_eq!(fs::read(&copy).unwrap(), before);
    assert_eq!(
        fs::read_dir(&directory).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    let own = fs::read(setup.sqlite_file()).unwrap();
    setup.run(&["audit", "verify"]).expect(0);
    assert_eq!(
        fs::read(setup.sqlite_file()).unwrap(),
        own,
        "the check itself writes nothing"
    );

    // Tampered with, in another directory, without the database of the settings.
    let moved = directory.join("tampered.db");
    setup.sql("UPDATE audit_events SET actor_name = 'x' WHERE sequence = 2");
    fs::rename(setup.sqlite_file(), &moved).unwrap();
    let arguments = ["audit", "verify", "--database", moved.to_str().unwrap()];
    setup.run(&arguments).expect(1);
    setup
        .run(&["audit", "verify", "--database", "/none.db"])
        .expect(78);
}

#[test]
fn a_pruned_trail_stays_provable() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        setup.run(&["audit", "prune"]).expect(2);
        setup
            .run(&["audit", "prune", "--before", "yesterday"])
            .expect(2);
        let nothing = setup
            .run(&["audit", "prune", "--keep-days", "30"])
            .expect(0);
        assert!(nothing.stdout.contains("nothing"), "{nothing:?}");
        let file = setup.path().join("whole.jsonl");
        let file = file.to_str().unwrap();
        setup.run(&["audit", "export", "--out", file]).expect(0);
        setup.run(&["audit", "export", "--out", file]).expect(1);
        let arguments = [
            "audit",
            "prune",
            "--before",
            "2100-01-01",
            "--format",
            "json",
        ];
        let seam = setup.run(&arguments).expect(0).json();
        assert_eq!(seam["first"], 1);
        let left = setup.sql("SELECT min(sequence) FROM audit_events");
        assert_eq!(
            left.parse::<u64>().unwrap(),
            seam["last"].as_u64().unwrap() + 1
        );
        let verified = setup.run(&["audit", "verify"]).expect(0);
        assert!(verified.stdout.contains("seam"), "{verified:?}");
        setup.run(&["audit", "verify", "--file", file]).expect(0);
        setup.run(&["doctor"]).expect(0);
        let server = setup.serve();
        let report = server
            .signed_in()
            .get("/api/audit/verify")
            .expect(200)
            .json();
        assert_eq!((&report["intact"], &report["seam"]), (&json!(true), &seam));
        drop(server);
        setup.sql("DELETE FROM audit_seams");
        setup.run(&["audit", "verify"]).expect(1);
    }
}

#[test]
fn nothing_happens_without_a_required_sink() {
    for database in Database::ALL {
        let mut setup = Setup::with_admin(database);
        let folder = setup.path().join("second");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("audit.jsonl");
        setup.set("AUDIT_SINK", &format!("file:{}", file.display()));
        setup.set("AUDIT_SINK_REQUIRED", "true");
        let server = setup.serve();
        let mut client = server.signed_in();
        let stored = store(&mut client, "kept");
        let told = fs::read_to_string(&file).unwrap();
        assert_eq!(
            told.lines().count().to_string(),
            setup.sql("SELECT count(*) FROM audit_events"),
            "also what happened at the first start"
        );

        let away = setup.path().join("away");
        fs::rename(&folder, &away).unwrap();
        let events = setup.sql("SELECT count(*) FROM audit_events");
        let reveal = format!("{}/reveal", path_of(&stored));
        client
            .post(&reveal, &json!({}))
            .refused(503, "AUDIT_UNAVAILABLE");
        let patch = client.patch(&path_of(&stored), &json!({"name": "other"}));
        patch.refused(503, "AUDIT_UNAVAILABLE");
        let login = json!({"email": support::ADMIN_EMAIL, "password": support::ADMIN_PASSWORD});
        let mut second = server.client();
        second
            .post("/api/auth/login", &login)
            .refused(503, "AUDIT_UNAVAILABLE");
        assert_eq!(second.cookie, None);
        let show = ["credential", "show", "kept", "--reveal"];
        let shown = setup.run(&show).expect(1);
        assert!(
            shown.stdout.is_empty() && shown.stderr.contains("audit sink"),
            "{shown:?}"
        );
        assert_eq!(setup.sql("SELECT count(*) FROM audit_events"), events);
        assert_eq!(client.get(&path_of(&stored)).expect(200).json(), stored);
        let metrics = client.get("/metrics").expect(200).text;
        let value = |name: &str| {
            let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
        };
        assert_eq!(value("nodeloom_audit_sink_up "), 0);
        assert!(value("nodeloom_audit_sink_failures_total ") >= 3);
        let doctor = setup.run(&["doctor"]).expect(3);
        assert!(doctor.stdout.contains("LOOK sink"), "{doctor:?}");

        fs::rename(&away, &folder).unwrap();
        client.post(&reveal, &json!({})).expect(200);
        let doctor = setup.run(&["doctor"]).expect(0);
        assert!(doctor.stdout.contains("ok   sink"), "{doctor:?}");
        for line in fs::read_to_string(&file)
            .unwrap()
            .lines()
            .filter(|line| !line.is_empty())
        {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["sequence"].is_u64() || line["aborted"].is_u64());
        }
    }
}

#[test]
fn a_sink_that_is_not_required_is_given_everything_in_time() {
    for database in Database::ALL {
        let mut setup = Setup::with_admin(database);
        let file = setup.path().join("second/audit.jsonl");
        setup.set("AUDIT_SINK", &format!("file:{}", file.display()));
        let server = setup.serve();
        let mut client = server.signed_in();
        store(&mut client, "kept");
        fs::create_dir(file.parent().unwrap()).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let told = fs::read_to_string(&file).unwrap_or_default();
            if told.contains("\"kept\"") {
                let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
                assert_eq!(first["sequence"], 1);
                break;
            }
            assert!(Instant::now() < until, "{told}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(
            client
                .get("/metrics")
                .expect(200)
                .text
                .contains("nodeloom_audit_sink_lag_events")
        );
    }
}

#[test]
fn settings_of_the_trail_are_checked_at_the_start() {
    for (name, value, word) in [
        ("AUDIT_SINK", "somewhere", "file:"),
        ("AUDIT_SINK", "file:relative", "file:"),
        ("AUDIT_SINK_REQUIRED", "true", "AUDIT_SINK"),
        ("AUDIT_SINK_REQUIRED", "yes", "true"),
        ("AUDIT_SINK_TIMEOUT", "0", "20"),
        ("AUDIT_SINK_TIMEOUT", "21", "20"),
        ("AUDIT_RETENTION_DAYS", "0", "36500"),
    ] {
        let setup = Setup::with_admin(Database::Sqlite).with(name, value);
        let refused = setup
            .try_serve()
            .err()
            .unwrap_or_else(|| panic!("{name}={value}"))
            .expect(78);
        assert!(
            refused.stderr.contains(name) && refused.stderr.contains(word),
            "{refused:?}"
        );
        assert!(!setup.sqlite_file().exists());
    }
    let udp = Setup::with_admin(Database::Sqlite)
        .with("AUDIT_SINK", "syslog:udp:127.0.0.1:514")
        .with("AUDIT_SINK_REQUIRED", "true");
    let refused = udp.try_serve().err().unwrap().expect(78);
    assert!(refused.stderr.contains("UDP"), "{refused:?}");
}
