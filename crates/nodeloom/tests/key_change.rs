//! A change of the root key with real processes: staged, mixed, retired, and once more.

mod support;

use serde_json::{Value, json};
use support::probe::{bearer, path_of, store, team};
use support::{Client, Database, KEY, OTHER_KEY, Setup};

const THIRD_KEY: &str = "mR7vKq2ZtXw9LbNc4HsJd8FgYp3UeAo6TiVx5WzBk1CnQrSy";

fn token(client: &mut Client, credential: &Value) -> Value {
    let path = format!("{}/reveal", path_of(credential));
    client.post(&path, &json!({})).expect(200).json()["data"]["token"].clone()
}

fn root_ids(setup: &Setup) -> Vec<(String, String)> {
    let status = setup
        .run(&["key", "status", "--format", "json"])
        .expect(0)
        .json();
    status["roots"]
        .as_array()
        .expect("roots")
        .iter()
        .map(|root| {
            let text = |name: &str| root[name].as_str().expect("text").to_owned();
            (text("id"), text("state"))
        })
        .collect()
}

#[test]
fn the_key_changes_under_running_replicas() {
    let mut setup = Setup::with_admin(Database::Postgres);
    let old = setup.serve();
    let mut client = old.signed_in();
    let first = store(&mut client, "first");
    let [(old_root, _)] = &root_ids(&setup)[..] else {
        panic!("one root")
    };

    // A replica with the new key takes over; the one on the old key goes on.
    setup.set("APP_ENCRYPTION_KEY", OTHER_KEY);
    // A command does not stage a key by accident.
    let refused = setup.run(&["credential", "list"]).expect(78);
    assert!(
        refused.stderr.contains("APP_ENCRYPTION_KEY_PREVIOUS"),
        "{refused:?}"
    );
    setup.set("APP_ENCRYPTION_KEY_PREVIOUS", KEY);
    let refused = setup.run(&["credential", "list"]).expect(78);
    assert!(refused.stderr.contains("key rewrap"), "{refused:?}");
    let new = setup.serve();
    let mut there = new.client();
    there.cookie.clone_from(&client.cookie);
    assert_eq!(token(&mut there, &first), token(&mut client, &first));
    let second = store(&mut there, "second");
    let third = store(&mut client, "third");
    assert_eq!(token(&mut client, &second), token(&mut there, &second));
    assert_eq!(token(&mut there, &third), token(&mut client, &third));

    // Not while the old one lives, and it is named.
    let refused = setup.run(&["key", "retire", old_root]).expect(1);
    assert!(
        refused.stderr.contains(&format!("process {}", old.pid())),
        "{refused:?}"
    );
    assert!(old.terminate().0.success());
    setup.unset("APP_ENCRYPTION_KEY_PREVIOUS");
    let done = setup.run(&["key", "retire", old_root]).expect(0);
    assert!(done.stdout.contains("is retired"), "{done:?}");
    let again = setup.run(&["key", "retire", old_root]).expect(1);
    assert!(again.stderr.contains("retired already"), "{again:?}");
    assert_eq!(token(&mut there, &first), token(&mut there, &first));
    let team = team(&mut there);
    there
        .post("/api/credentials", &bearer(&team, "later"))
        .expect(201);
    assert!(new.terminate().0.success());

    // The second change, offline; and the first key comes back in vain.
    setup.set("APP_ENCRYPTION_KEY", THIRD_KEY);
    setup.set("APP_ENCRYPTION_KEY_PREVIOUS", OTHER_KEY);
    let done = setup
        .run(&["key", "rewrap", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(done["notRewrapped"], json!([]));
    let previous = done["previousRootId"].as_str().expect("an id").to_owned();
    setup.run(&["key", "rewrap"]).expect(0);
    setup.run(&["key", "retire", &previous]).expect(0);
    setup.unset("APP_ENCRYPTION_KEY_PREVIOUS");
    let states: Vec<String> = root_ids(&setup)
        .into_iter()
        .map(|(_, state)| state)
        .collect();
    assert_eq!(states, ["retired", "retired", "active"]);
    let last = setup.serve();
    let mut client = last.signed_in();
    for credential in [&first, &second, &third] {
        token(&mut client, credential);
    }
    assert!(last.terminate().0.success());
    setup.run(&["doctor"]).expect(0);
    setup.set("APP_ENCRYPTION_KEY", KEY);
    let refused = setup.serve_refused();
    assert!(refused.stderr.contains("is a retired one"), "{refused:?}");
    assert!(refused.stderr.contains(old_root), "{refused:?}");
}

#[test]
fn one_server_on_sqlite_changes_its_key_by_a_restart() {
    let mut setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let first = store(&mut server.signed_in(), "first");
    assert!(server.terminate().0.success());
    let [(old_root, _)] = &root_ids(&setup)[..] else {
        panic!("one root")
    };
    setup.set("APP_ENCRYPTION_KEY", OTHER_KEY);
    setup.set("APP_ENCRYPTION_KEY_PREVIOUS", KEY);
    let server = setup.serve();
    token(&mut server.signed_in(), &first);
    // Beside the server, which holds both.
    let done = setup.run(&["key", "retire", old_root]).expect(0);
    assert!(
        done.stderr.contains("APP_ENCRYPTION_KEY_PREVIOUS"),
        "{done:?}"
    );
    token(&mut server.signed_in(), &first);
    assert!(server.terminate().0.success());
    setup.unset("APP_ENCRYPTION_KEY_PREVIOUS");
    token(&mut setup.serve().signed_in(), &first);
    // A weak key is no key to change to.
    setup.set("APP_ENV", "production");
    setup.set("APP_BASE_URL", "https://vault.example.com");
    setup.set("APP_ENCRYPTION_KEY_PREVIOUS", OTHER_KEY);
    setup.set("APP_ENCRYPTION_KEY", "password password password password");
    let before = setup.snapshot();
    setup.run(&["key", "rewrap"]).expect(78);
    setup.serve_refused();
    assert_eq!(before, setup.snapshot());
}
