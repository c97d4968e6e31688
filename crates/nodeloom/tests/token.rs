//! `nodeloom token` and `nodeloom man`.

mod support;

use support::{Client, Database, Setup};

#[test]
fn a_token_is_made_used_listed_and_revoked() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut browser = server.signed_in();
        let me = browser.get("/api/auth/me").expect(200).json();
        let (email, team) = (
            me["email"].as_str().expect("text"),
            me["teams"][0]["teamName"].as_str().expect("text"),
        );
        let create = |extra: &[&str]| {
            let mut arguments = vec![
                "token", "create", "ci", "--team", team, "--owner", email, "--role", "VIEWER",
            ];
            arguments.extend(extra);
            setup.run(&arguments)
        };
        let made = create(&["--days", "7"]).expect(0);
        let text = made.stdout.trim_end();
        assert!(
            text.starts_with("nlt_") && !text.contains(char::is_whitespace),
            "{text}"
        );
        assert!(
            !made.stderr.contains(text),
            "the text is on standard output alone"
        );
        let mut program = Client::new(server.base());
        program.headers = vec![("Authorization".into(), format!("Bearer {text}"))];
        program.get("/api/credentials").expect(200);

        let listed = setup
            .run(&["token", "list", "--team", team])
            .expect(0)
            .stdout;
        assert!(listed.contains("ci") && listed.contains(email), "{listed}");
        assert!(!listed.contains(text), "{listed}");
        let listed = setup.run(&["token", "list", "--team", team, "--format", "json"]);
        let listed = listed.expect(0).json();
        let id = listed[0]["id"].as_str().expect("an id").to_owned();
        setup.run(&["token", "revoke", &id]).expect(0);
        program.get("/api/credentials").expect(401);
        let none = "018f4c6e-7d3a-7c2b-9a51-0123456789ab";
        assert!(
            setup
                .run(&["token", "revoke", none])
                .expect(1)
                .stderr
                .contains("no such token")
        );

        let refused = create(&["--scope", "everything"]).expect(1);
        assert!(refused.stderr.contains("scopes"), "{refused:?}");
        let refused = create(&["--scope", "reveal"]).expect(1);
        assert!(refused.stderr.contains("90"), "{refused:?}");
        create(&["--address", "not-a-network"]).expect(1);
        assert!(create(&["--role", "KING"]).expect(2).stdout.is_empty());
        setup.run(&["token", "list", "--team", "Nowhere"]).expect(1);
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let setup = Setup::new(Database::Sqlite);
    let out = setup.path().join("man");
    setup
        .run(&["man", "--out", out.to_str().expect("UTF-8")])
        .expect(0);
    for page in [
        "nodeloom",
        "nodeloom-serve",
        "nodeloom-key-retire",
        "nodeloom-token-create",
    ] {
        let text = std::fs::read_to_string(out.join(format!("{page}.1"))).expect(page);
        assert!(text.contains(".TH"), "{page}: {text}");
    }
    let retire = std::fs::read_to_string(out.join("nodeloom-key-retire.1")).expect("a page");
    assert!(retire.contains("Examples"), "{retire}");
    let file = setup.path().join("file");
    std::fs::write(&file, "").expect("a file");
    setup
        .run(&["man", "--out", file.to_str().expect("UTF-8")])
        .expect(1);
}
