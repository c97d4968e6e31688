//! Where the key comes from, and what the data say about it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nodeloom_crypto::RootKey;
use serde_json::json;
use support::probe::{path_of, store, team};
use support::{Database, KEY, OTHER_KEY, Setup};

fn root_id(key: &str) -> String {
    RootKey::derive(key.as_bytes()).id().to_string()
}

/// Starts, and opens what an earlier start under [`KEY`] has sealed.
fn opens_the_seed(setup: &Setup) {
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = team(&mut client);
    let list = client
        .get(&format!("/api/credentials?teamId={team}"))
        .json();
    let revealed = client.post(&format!("{}/reveal", path_of(&list[0])), &json!({}));
    assert_eq!(
        revealed.expect(200).json()["data"]["token"],
        "value of seed"
    );
    let (status, log) = server.terminate();
    assert!(status.success(), "{log}");
    assert!(!log.contains(KEY));
}

#[test]
fn the_key_comes_from_a_file_a_command_or_systemd_and_is_the_same_key() {
    let setup = Setup::seeded(Database::Sqlite).without("APP_ENCRYPTION_KEY");
    let file = setup.path().join("app_encryption_key");
    let path = file.to_str().unwrap().to_owned();
    let directory = setup.path().to_str().unwrap().to_owned();
    let sources = [
        ("APP_ENCRYPTION_KEY_FILE", path.clone()),
        ("APP_ENCRYPTION_KEY_COMMAND", format!("cat \"{path}\"")),
        ("CREDENTIALS_DIRECTORY", directory),
    ];
    let mut setup = setup;
    for (name, value) in sources {
        setup.set(name, &value);
        for end in ["", "\n", "\r\n"] {
            fs::write(&file, format!("{KEY}{end}")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            opens_the_seed(&setup);
        }
        for wrong in [
            format!("{KEY}\n\n"),
            format!("{KEY}\r\n\r\n"),
            format!(" {KEY}"),
        ] {
            fs::write(&file, wrong).unwrap();
            let finished = setup.serve_refused();
            assert!(
                finished.stderr.contains("white space"),
                "{name}: {finished:?}"
            );
            assert!(!finished.stderr.contains(KEY), "{name}: {finished:?}");
        }
        setup.unset(name);
    }
}

#[test]
fn a_source_that_gives_nothing_is_refused() {
    let mut setup = Setup::bare(Database::Sqlite);
    let directory = setup.path().to_str().unwrap().to_owned();
    for (name, value) in [
        ("APP_ENCRYPTION_KEY", ""),
        ("APP_ENCRYPTION_KEY_FILE", "/no/such/file"),
        ("APP_ENCRYPTION_KEY_FILE", &directory),
        ("APP_ENCRYPTION_KEY_FILE", "/dev/null"),
        ("APP_ENCRYPTION_KEY_COMMAND", "false"),
        ("APP_ENCRYPTION_KEY_COMMAND", "true"),
        ("APP_ENCRYPTION_KEY_COMMAND", "no-such-program-anywhere"),
        ("APP_ENCRYPTION_KEY_COMMAND", "cat 'unfinished"),
        ("APP_ENCRYPTION_KEY_URI", "aws-sm:some-secret"),
    ] {
        setup.set(name, value);
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains(name), "{name}: {finished:?}");
        setup.unset(name);
    }
}

#[test]
fn a_commands_own_words_and_errors_stay_out_of_the_log() {
    let setup = Setup::bare(Database::Sqlite);
    let script = setup.path().join("fetch");
    fs::write(
        &script,
        "#!/bin/sh\necho hunter2-on-stderr >&2\nenv > env\nexit 3\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let setup = setup
        .with(
            "APP_ENCRYPTION_KEY_COMMAND",
            "./fetch --token hunter2-in-argv",
        )
        .with("ADMIN_EMAIL", "ada@example.com")
        .with("ADMIN_PASSWORD", "hunter2-as-password");
    let finished = setup.try_serve().unwrap_err().refused();
    assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
    let inherited = fs::read_to_string(setup.path().join("env")).unwrap();
    assert!(inherited.contains("PATH="), "{inherited}");
    for name in ["APP_ENCRYPTION_KEY", "ADMIN_PASSWORD", "DATABASE_URL"] {
        assert!(!inherited.contains(name), "{inherited}");
    }
}

#[test]
fn a_command_that_never_ends_is_refused_in_time() {
    let setup = Setup::bare(Database::Sqlite).with("APP_ENCRYPTION_KEY_COMMAND", "sleep 600");
    let finished = setup.try_serve().unwrap_err().refused();
    assert!(finished.stderr.contains("seconds"), "{finished:?}");
    assert!(!setup.data_dir().exists());
}

#[test]
fn two_sources_are_refused_and_both_are_named() {
    let setup = Setup::new(Database::Sqlite);
    let file = setup.path().join("key");
    fs::write(&file, KEY).unwrap();
    let setup = setup.with("APP_ENCRYPTION_KEY_FILE", file.to_str().unwrap());
    let finished = setup.serve_refused();
    assert!(finished.stderr.contains("2 sources"), "{finished:?}");
    assert!(finished.stderr.contains("APP_ENCRYPTION_KEY_FILE"));
    assert!(!finished.stderr.contains(KEY));
}

#[test]
fn a_wrong_key_is_refused_and_both_root_ids_are_named() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        let expected = setup.root_ids();
        assert_eq!(expected, root_id(KEY));
        assert_eq!(expected.len(), 16);
        for mode in ["development", "production"] {
            let mut setup = Setup::seeded(database);
            setup.set("APP_ENCRYPTION_KEY", OTHER_KEY);
            setup.set("APP_ENV", mode);
            setup.set("APP_BASE_URL", "https://vault.example.com");
            let finished = setup.serve_refused();
            assert!(finished.stderr.contains(&expected), "{finished:?}");
            assert!(
                finished.stderr.contains(&root_id(OTHER_KEY)),
                "{finished:?}"
            );
            for way_out in [
                "put the expected key back",
                "_PREVIOUS",
                "recovery",
                "adopt",
            ] {
                assert!(finished.stderr.contains(way_out), "{way_out}: {finished:?}");
            }
            assert!(!finished.stderr.contains(OTHER_KEY), "{finished:?}");
            // No command changes anything either.
            for command in [&["doctor"][..], &["credential", "list"], &["migrate"]] {
                let before = setup.snapshot();
                setup.run(command).expect(78);
                assert_eq!(before, setup.snapshot(), "{command:?}");
            }
            setup.set("APP_ENCRYPTION_KEY", KEY);
            setup.set("APP_ENV", "development");
            opens_the_seed(&setup);
        }
    }
}

#[test]
fn a_previous_key_that_nothing_needs_is_ignored() {
    let setup = Setup::seeded(Database::Sqlite).with("APP_ENCRYPTION_KEY_PREVIOUS", OTHER_KEY);
    opens_the_seed(&setup);
    let said = setup.run(&["key", "status"]).expect(0).stderr;
    assert!(said.contains("the data have never known it"), "{said}");
}

#[test]
fn a_missing_key_on_existing_data_is_refused_and_none_is_made() {
    for database in Database::ALL {
        for mode in ["development", "production"] {
            let mut setup = Setup::seeded(database).without("APP_ENCRYPTION_KEY");
            setup.set("APP_ENV", mode);
            setup.set("APP_BASE_URL", "https://vault.example.com");
            let finished = setup.serve_refused();
            assert!(finished.stderr.contains(&root_id(KEY)), "{finished:?}");
            assert!(!setup.data_dir().join("encryption.key").exists());
        }
    }
}

#[test]
fn a_lost_key_file_of_development_is_refused_until_it_is_back() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database).without("APP_ENCRYPTION_KEY");
        let server = setup.serve();
        store(&mut server.signed_in(), "seed");
        assert!(server.terminate().0.success());
        let file = setup.data_dir().join("encryption.key");
        let aside = setup.path().join("aside");
        fs::rename(&file, &aside).unwrap();
        let finished = setup.serve_refused();
        let key = fs::read_to_string(&aside).unwrap();
        assert!(finished.stderr.contains(&root_id(key.trim_end())));
        assert!(finished.stderr.contains("encryption.key"), "{finished:?}");
        fs::rename(&aside, &file).unwrap();
        opens_the_seed(&setup);
    }
}

#[test]
fn a_retired_root_is_refused_by_id_and_date() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        let newer = "00112233445566aa";
        setup.sql_of(
            "INSERT INTO root_keys SELECT x'00112233445566aa', 'active', first_seen, last_seen, NULL FROM root_keys",
            "INSERT INTO root_keys SELECT '\\x00112233445566aa', 'active', first_seen, last_seen, NULL FROM root_keys",
        );
        setup.sql_of(
            "UPDATE root_keys SET state = 'retired' WHERE id <> x'00112233445566aa'",
            "UPDATE root_keys SET state = 'retired' WHERE id <> '\\x00112233445566aa'",
        );
        // Retired, and still in the slots: what the record says counts.
        let finished = setup.serve_refused();
        for word in ["retired", newer, &root_id(KEY), "20"] {
            assert!(finished.stderr.contains(word), "{word}: {finished:?}");
        }
    }
}

#[test]
fn a_damaged_slot_is_refused_and_the_key_is_not_blamed() {
    for database in Database::ALL {
        let setup = Setup::seeded(database);
        setup.sql_of(
            "UPDATE key_slots SET envelope = CAST(substr(envelope, 1, 60) || zeroblob(length(envelope) - 60) AS BLOB)
             WHERE data_key_id = (SELECT id FROM data_keys WHERE purpose = 'audit')",
            "UPDATE key_slots SET envelope = set_byte(envelope, 60, get_byte(envelope, 60) # 1)
             WHERE data_key_id = (SELECT id FROM data_keys WHERE purpose = 'audit')",
        );
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains("damaged"), "{finished:?}");
        assert!(finished.stderr.contains(&root_id(KEY)), "{finished:?}");
        assert!(
            finished.stderr.contains("key is not at fault"),
            "{finished:?}"
        );
    }
}
