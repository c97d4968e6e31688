//! The command line: the people of the instance.

mod support;

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
