//! The command line: credentials, evidence, exit codes, help.

mod support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::probe::{path_of, team};
use support::{Database, KEY, OTHER_KEY, Setup};

const TOKEN: &str = r#"{"token": "hunter2-of-the-cli"}"#;

fn add(setup: &Setup, name: &str) -> Value {
    let arguments = [
        "credential",
        "add",
        name,
        "--type",
        "BEARER_TOKEN",
        "--format",
        "json",
    ];
    setup.run_with_input(&arguments, TOKEN).expect(0).json()
}

fn os_user() -> String {
    let output = Command::new("id")
        .arg("-un")
        .output()
        .expect("the program runs");
    String::from_utf8(output.stdout)
        .expect("a UTF-8 name")
        .trim()
        .to_owned()
}

#[test]
fn a_credential_is_kept_from_a_shell_beside_a_running_server() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let added = add(&setup, "cli one");
        let id = added["id"].as_str().unwrap();
        assert!(!added.to_string().contains("hunter2"), "{added}");

        // The server sees it at once, and the commands see what the server stores.
        let mut client = server.signed_in();
        assert_eq!(client.get(&path_of(&added)).expect(200).json(), added);
        support::probe::store(&mut client, "over http");

        let list = setup.run(&["credential", "list"]).expect(0);
        for part in ["NAME", "cli one", "over http", "BEARER_TOKEN", id] {
            assert!(list.stdout.contains(part), "{part}: {list:?}");
        }
        let list = setup
            .run(&["credential", "list", "--format", "json"])
            .expect(0)
            .json();
        assert_eq!(list["totalElements"], 2);
        assert_eq!(list["content"][0]["name"], "cli one");
        let found = ["credential", "list", "--search", "HTT", "--format", "json"];
        assert_eq!(setup.run(&found).expect(0).json()["totalElements"], 1);

        for which in ["cli one", id] {
            let shown = setup.run(&["credential", "show", which]).expect(0);
            assert!(shown.stdout.contains("data.token"), "{shown:?}");
            assert!(!shown.stdout.contains("hunter2"), "{shown:?}");
            let arguments = [
                "credential",
                "show",
                which,
                "--reveal",
                "--reason",
                "a test",
                "--format",
                "json",
            ];
            let shown = setup.run(&arguments).expect(0);
            assert_eq!(shown.json()["data"]["token"], "hunter2-of-the-cli");
            assert_eq!(shown.stderr, "");
        }

        let set = ["credential", "set", "cli one", "--format", "json"];
        let changed = setup
            .run_with_input(&set, r#"{"token": "second"}"#)
            .expect(0)
            .json();
        assert_eq!(changed["generation"], 2);
        let field = ["credential", "set", id, "--field", "token"];
        setup.run_with_input(&field, "third\n").expect(0);
        let renamed = [
            "credential",
            "set",
            id,
            "--name",
            "cli two",
            "--format",
            "json",
        ];
        assert_eq!(setup.run(&renamed).expect(0).json()["name"], "cli two");
        let reveal = client.post(&format!("{}/reveal", path_of(&added)), &json!({}));
        assert_eq!(reveal.expect(200).json()["data"]["token"], "third");

        setup.run(&["credential", "remove", "cli two"]).expect(2);
        setup
            .run(&["credential", "remove", "cli two", "--yes"])
            .expect(0);
        client.get(&path_of(&added)).refused(404, "NOT_FOUND");
        setup.run(&["credential", "show", id]).expect(1);
        setup.run(&["credential", "show", "over http"]).expect(0);

        // All of it is in the audit trail under the operator's name.
        let events = setup.sql("SELECT action, actor_kind, actor_name FROM audit_events");
        let own: Vec<&str> = events
            .lines()
            .filter(|line| line.contains("operator"))
            .collect();
        for action in ["create", "update", "reveal", "delete"] {
            let is_there = own
                .iter()
                .any(|line| line.contains(action) && line.contains(&os_user()));
            assert!(is_there, "{action} in {events}");
        }
        setup.run(&["audit", "verify"]).expect(0);
    }
}

#[test]
fn what_goes_wrong_has_its_exit_code_and_a_next_step() {
    let setup = Setup::seeded(Database::Sqlite);
    let run = |arguments: &[&str], input: &str, code: i32| {
        let finished = setup.run_with_input(arguments, input).expect(code);
        assert!(finished.stdout.is_empty(), "{finished:?}");
        assert!(finished.stderr.contains("error: "), "{finished:?}");
        assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
        finished
    };
    let add = |name| ["credential", "add", name, "--type", "BEARER_TOKEN"];
    let taken = run(&add("seed"), TOKEN, 1);
    assert!(taken.stderr.contains("next step: "), "{taken:?}");
    for input in [
        "",
        "hunter2",
        "[1]",
        "{\"toke\": \"hunter2\"}",
        "{\"token\": 5}",
    ] {
        let refused = run(&add("other"), input, 1);
        assert!(refused.stderr.contains("next step: "), "{refused:?}");
    }
    run(&add("a\u{202e}b"), TOKEN, 1);
    run(&["credential", "show", "no such"], "", 1);
    let team = ["credential", "list", "--team", "no such"];
    assert!(run(&team, "", 1).stderr.contains("Default"));
    for arguments in [
        &["credential", "add", "x", "--type", "NO_SUCH"][..],
        &["credential", "add", "x"],
        &["credential", "frobnicate"],
        &["credential", "list", "--size", "0"],
        &["credential", "list", "--format", "xml"],
        &["no-such-command"],
        // A secret has no way in by argument.
        &[
            "credential",
            "add",
            "x",
            "--type",
            "BEARER_TOKEN",
            "--value",
            "x",
        ],
        &[
            "credential",
            "add",
            "x",
            "--type",
            "BEARER_TOKEN",
            "--token",
            "x",
        ],
        &["credential", "add", "x", "secret", "--type", "BEARER_TOKEN"],
        &["credential", "set", "seed", "--data", "{}"],
        &["serve", "--admin-password", "x"],
        &["key", "check", "--key", "x"],
    ] {
        run(arguments, "", 2);
    }
    let list = setup
        .run(&["credential", "list", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(list["totalElements"], 1);
}

#[test]
fn an_instance_that_is_not_there_or_not_ours_is_78() {
    for database in Database::ALL {
        let fresh = Setup::new(database);
        for arguments in [
            &["credential", "list"][..],
            &["doctor"],
            &["audit", "verify"],
            &["key", "status"],
        ] {
            let before = fresh.snapshot();
            fresh.run(arguments).refused();
            assert_eq!(before, fresh.snapshot(), "{arguments:?}");
        }
        let wrong = Setup::seeded(database).with("APP_ENCRYPTION_KEY", OTHER_KEY);
        for arguments in [
            &["credential", "list"][..],
            &["doctor"],
            &["audit", "verify"],
        ] {
            wrong.run(arguments).refused();
        }
    }
}

#[test]
fn the_schema_is_looked_at_without_a_key_and_made_with_one() {
    for database in Database::ALL {
        let setup = Setup::new(database);
        let check = ["migrate", "--check", "--format", "json"];
        let before = setup.snapshot();
        assert_eq!(setup.run(&check).expect(3).json()["pending"], true);
        assert_eq!(before, setup.snapshot());
        setup.run(&["migrate"]).expect(0);
        let setup = setup.without("APP_ENCRYPTION_KEY");
        assert_eq!(setup.run(&check).expect(0).json()["pending"], false);
        assert!(
            setup
                .run(&["migrate", "--check"])
                .expect(0)
                .stdout
                .contains("up to date")
        );
    }
}

#[test]
fn doctor_and_key_status_tell_of_a_healthy_instance() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        let root = setup.root_ids();
        let report = setup.run(&["doctor", "--format", "json"]).expect(0).json();
        assert_eq!(report["needsAttention"], false, "{report}");
        assert_eq!(report["keyVerdict"], "match");
        let table = setup.run(&["doctor"]).expect(0);
        assert!(table.stdout.contains(&root), "{table:?}");
        assert!(!table.stdout.contains("LOOK"), "{table:?}");
        let status = setup.run(&["key", "status"]).expect(0);
        assert!(status.stdout.contains(&root), "{status:?}");
        for finished in [&table, &status] {
            assert!(!finished.stdout.contains(KEY) && !finished.stderr.contains(KEY));
        }
        assert!(
            setup
                .run(&["key", "status", "--format", "json"])
                .expect(0)
                .json()
                .is_object()
        );
    }
}

#[test]
fn doctor_names_a_file_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = Setup::seeded(Database::Sqlite);
    fs::set_permissions(setup.sqlite_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let finished = setup.run(&["doctor"]).expect(3);
    assert!(finished.stdout.contains("chmod 600"), "{finished:?}");
    fs::set_permissions(setup.sqlite_file(), fs::Permissions::from_mode(0o600)).unwrap();
    setup.run(&["doctor"]).expect(0);
}

#[test]
fn audit_verify_finds_each_kind_of_tampering() {
    for database in Database::ALL {
        for (what, tampering) in [
            (
                "an edit",
                "UPDATE audit_events SET actor_name = 'somebody else' WHERE sequence = 3",
            ),
            ("a deletion", "DELETE FROM audit_events WHERE sequence = 3"),
            (
                "a cut tail",
                "DELETE FROM audit_events WHERE sequence = \
                (SELECT sequence FROM audit_head)",
            ),
        ] {
            let setup = Setup::seeded(database);
            let whole = setup
                .run(&["audit", "verify", "--format", "json"])
                .expect(0);
            assert!(whole.json().is_object());
            setup.sql(tampering);
            let finished = setup.run(&["audit", "verify"]).expect(1);
            assert!(finished.stdout.contains("BROKEN"), "{what}: {finished:?}");
            assert!(
                finished.stderr.contains("next step: "),
                "{what}: {finished:?}"
            );
            setup.run(&["doctor"]).expect(3);
        }
        // A tail that is cut as the database itself would say it: the anchor outside still knows.
        let setup = Setup::seeded(database);
        setup.sql("DELETE FROM audit_events WHERE sequence = (SELECT sequence FROM audit_head)");
        setup.sql("DELETE FROM audit_checkpoints");
        setup.sql(
            "UPDATE audit_head SET sequence = (SELECT max(sequence) FROM audit_events), \
             mac = (SELECT mac FROM audit_events ORDER BY sequence DESC LIMIT 1)",
        );
        setup.run(&["audit", "verify"]).expect(1);
        let anchor = setup.data_dir().join("audit.anchor");
        let copy = setup.path().join("copy.anchor");
        fs::rename(&anchor, &copy).unwrap();
        let copy = copy.to_str().unwrap();
        setup.run(&["audit", "verify", "--anchor", copy]).expect(1);
        setup
            .run(&["audit", "verify", "--anchor", "/none"])
            .expect(1);
    }
}

#[test]
fn the_api_document_is_the_one_in_the_repository_and_the_one_served() {
    let setup = Setup::with_admin(Database::Sqlite);
    let printed = setup.run(&["openapi"]).expect(0).stdout;
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    assert_eq!(printed, fs::read_to_string(kept).unwrap());
    let server = setup.serve();
    let served = server.client().get("/api/openapi.json").expect(200);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(served.json(), printed);
    let page = server.client().get("/api/docs").expect(200);
    assert!(page.text.contains("/api/credentials/{id}"));
    for foreign in ["src=\"http", "href=\"http", "src=\"//", "<script>"] {
        assert!(!page.text.contains(foreign), "{foreign}");
    }
}

#[test]
fn every_command_has_examples_and_every_shell_its_completions() {
    let setup = Setup::bare(Database::Sqlite);
    for command in [
        &["serve"][..],
        &["key", "generate"],
        &["key", "check"],
        &["key", "status"],
        &["credential", "add"],
        &["credential", "list"],
        &["credential", "show"],
        &["credential", "set"],
        &["credential", "remove"],
        &["doctor"],
        &["migrate"],
        &["audit", "list"],
        &["audit", "export"],
        &["audit", "verify"],
        &["audit", "prune"],
        &["completions"],
        &[],
    ] {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = setup.run(&arguments).expect(0).stdout;
        assert!(help.contains("Example"), "{command:?}: {help}");
        assert!(
            help.contains(&format!("nodeloom {}", command.join(" "))),
            "{help}"
        );
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = setup.run(&["completions", shell]).expect(0).stdout;
        assert!(
            script.contains("nodeloom") && script.contains("credential"),
            "{shell}"
        );
    }
    setup.run(&["completions", "tcsh"]).expect(2);
    assert!(
        setup
            .run(&["--version"])
            .expect(0)
            .stdout
            .starts_with("nodeloom ")
    );
    setup.run(&[]).expect(2);
    assert!(!setup.data_dir().exists());
}

#[test]
fn metrics_are_for_this_machine_or_with_the_token() {
    let setup = Setup::with_admin(Database::Sqlite)
        .with("NODELOOM_METRICS_TOKEN", "metrics-token-of-the-test");
    let server = setup.serve();
    let mut client = server.signed_in();
    team(&mut client);
    let text = client.get("/metrics").expect(200).text;
    assert!(text.contains("nodeloom"), "{text}");
    assert!(!text.contains("example.com"), "{text}");
    let proxied = ("X-Forwarded-For", "203.0.113.9");
    client
        .send("GET", "/metrics", None, &[proxied])
        .refused(403, "METRICS_NOT_ALLOWED");
    let wrong = ("Authorization", "Bearer metrics-token-of-the-tesT");
    assert_ne!(
        client
            .send("GET", "/metrics", None, &[proxied, wrong])
            .status,
        200
    );
    let right = ("Authorization", "Bearer metrics-token-of-the-test");
    client
        .send("GET", "/metrics", None, &[proxied, right])
        .expect(200);
}
