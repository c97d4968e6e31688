//! The command line: the people of the instance.

mod support;

use serde_json::json;
use support::{Database, Setup};

const PASSWORD: &str = "a fine long passphrase 4711";

#[test]
fn people_are_kept_from_a_shell() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        // Beside a running server, which has made the instance.
        let _server = setup.serve();
        let create = [
            "user",
            "create",
            "Bob@Example.com",
            "--first-name",
            "Bob",
            "--password-file",
            "-",
            "--format",
            "json",
        ];
        let made = setup
            .run_with_input(&create, format!("{PASSWORD}\n"))
            .expect(0);
        assert!(!format!("{made:?}").contains(PASSWORD), "{made:?}");
        let made = made.json();
        assert_eq!(made["email"], "bob@example.com");
        assert_eq!(made["hasPassword"], true);
        let id = made["id"].as_str().unwrap();
        let taken = setup.run_with_input(&create, PASSWORD).expect(1);
        assert!(taken.stderr.contains("next step: "), "{taken:?}");

        let table = setup.run(&["user", "list"]).expect(0);
        for part in ["E-MAIL", "bob@example.com", "active", id] {
            assert!(table.stdout.contains(part), "{part}: {table:?}");
        }
        let search = ["user", "list", "--search", "BOB", "--format", "json"];
        let list = setup.run(&search).expect(0).json();
        assert_eq!(list["totalElements"], 1);

        let run = |arguments: &[&str], code: i32| setup.run(arguments).expect(code);
        run(&["user", "update", id, "--email", "robert@example.com"], 0);
        run(&["user", "deactivate", "robert@example.com"], 0);
        let shown = run(&["user", "show", id, "--format", "json"], 0).json();
        assert_eq!(shown["active"], false);
        assert_eq!(shown["teams"], serde_json::json!([]));
        run(&["user", "reactivate", id], 0);
        run(&["user", "grant-instance-admin", id], 0);
        assert!(
            run(&["user", "show", id], 0)
                .stdout
                .contains("robert@example.com")
        );
        run(&["user", "revoke-instance-admin", id], 0);

        // Somebody always stays who administers.
        let all = run(&["user", "list", "--format", "json"], 0).json();
        let people = all["content"].as_array().unwrap().clone();
        let admin = people.iter().find(|user| user["instanceAdmin"] == true);
        let admin = admin.unwrap()["id"].as_str().unwrap();
        for arguments in [
            &["user", "deactivate", admin][..],
            &["user", "revoke-instance-admin", admin],
            &["user", "delete", admin, "--yes"],
        ] {
            let refused = run(arguments, 1);
            assert!(
                refused.stderr.contains("grant-instance-admin"),
                "{refused:?}"
            );
        }

        // No terminal, no --yes, no deletion.
        let asked = setup.run_with_input(&["user", "delete", id], "").expect(2);
        assert!(asked.stderr.contains("--yes"), "{asked:?}");
        run(&["user", "delete", id, "--yes"], 0);
        run(&["user", "show", id], 1);
        run(&["user", "update", admin], 2);
        run(&["user", "create"], 2);
    }
}

#[test]
fn an_invitation_and_a_second_factor_from_a_shell() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut admin = server.signed_in();
        let team = admin.get("/api/auth/me").json()["teams"][0]["teamName"].clone();
        let team = team.as_str().unwrap();
        let run = |arguments: &[&str], code: i32| setup.run(arguments).expect(code);
        let invite = ["team", "invite", team, "bob@example.com", "BUILDER"];
        let first = run(&invite, 0);
        let link = first.stdout.trim();
        assert!(
            link.starts_with("http://127.0.0.1:8080/invitation#nlinv_"),
            "{link}"
        );
        let mut again = invite.to_vec();
        again.extend([
            "--base-url",
            "https://vault.example.com",
            "--format",
            "json",
        ]);
        let made = run(&again, 0).json();
        let link = made["link"].as_str().unwrap();
        let code = link
            .strip_prefix("https://vault.example.com/invitation#")
            .unwrap();
        let last = again.len() - 3;
        again[last] = "vault.example.com";
        run(&again, 2);
        let list = run(&["team", "invitations", team, "--format", "json"], 0);
        assert!(!list.stdout.contains("nlinv_"));
        let states: Vec<_> = list
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["state"].clone())
            .collect();
        assert_eq!(states, ["open", "revoked"]);

        // Whoever holds the link sees where it leads, and comes in once.
        let mut bob = server.client();
        let body = json!({ "code": code });
        let seen = bob.post("/api/invitations/read", &body).expect(200).json();
        assert_eq!(
            (&seen["teamName"], &seen["next"]),
            (&json!(team), &json!("new-account"))
        );
        let accept = json!({ "code": code, "password": PASSWORD, "firstName": "Bob" });
        bob.post("/api/invitations/accept", &accept).expect(200);
        bob.get("/api/auth/me").expect(200);
        server
            .client()
            .post("/api/invitations/accept", &accept)
            .expect(400);
        let id = made["details"]["id"].as_str().unwrap();
        run(&["team", "revoke-invitation", id], 1);

        let sessions = ["user", "sessions", "bob@example.com", "--format", "json"];
        let listed = run(&sessions, 0).json();
        assert_eq!(listed.as_array().unwrap().len(), 1);
        let session = listed[0]["id"].as_str().unwrap();
        run(
            &[
                "user",
                "end-sessions",
                "bob@example.com",
                "--session",
                session,
            ],
            0,
        );
        run(
            &[
                "user",
                "end-sessions",
                "bob@example.com",
                "--session",
                session,
            ],
            1,
        );
        bob.get("/api/auth/me").expect(401);
        assert_eq!(run(&sessions, 0).json(), json!([]));
        run(&["user", "reset-second-factor", "bob@example.com"], 1);
    }
}
