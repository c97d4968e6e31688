//! `nodeloom key generate` and `key check`: verdicts, rules and exit codes.

mod support;

use support::{Database, KEY, Setup};

const SAMPLE: &str = "your-cryptographically-random-key-here-min-32-chars";

fn check(input: impl AsRef<[u8]>) -> support::Finished {
    Setup::bare(Database::Sqlite).run_with_input(&["key", "check"], input)
}

#[test]
fn generate_prints_the_key_and_nothing_else() {
    let setup = Setup::bare(Database::Sqlite);
    let first = setup.run(&["key", "generate"]).expect(0);
    let key = first.stdout.strip_suffix('\n').unwrap();
    assert_eq!(key.len(), 64);
    assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert!(first.stderr.is_empty());
    check(&first.stdout).expect(0);
    assert_ne!(setup.run(&["key", "generate"]).stdout, first.stdout);
    assert!(!setup.data_dir().exists());
}

#[test]
fn a_good_key_is_0_with_or_without_one_line_end() {
    for end in ["", "\n", "\r\n"] {
        let finished = check(format!("{KEY}{end}")).expect(0);
        assert!(finished.stdout.starts_with("good: 64 characters"));
        assert!(!finished.stdout.contains(KEY));
    }
}

#[test]
fn a_refused_key_is_1_and_names_the_rule() {
    let long = "x".repeat(70_000);
    for (input, rule) in [
        (b"short\n".as_slice(), "too-short"),
        (b"", "too-short"),
        (b"\n", "too-short"),
        (SAMPLE.as_bytes(), "published-sample"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
        (
            b"\xff\xfe\xfd-not-a-text-but-long-enough-to-count",
            "not-utf8",
        ),
        (long.as_bytes(), "too-long"),
    ] {
        let finished = check(input).expect(1);
        let shown = format!("refused: {rule}");
        assert!(finished.stdout.starts_with(&shown), "{rule}: {finished:?}");
        assert!(finished.stderr.contains("next step: "), "{finished:?}");
    }
}

#[test]
fn only_one_line_end_is_trimmed() {
    for input in [
        format!("{KEY}\n\n"),
        format!(" {KEY}"),
        format!("{KEY} \n"),
        format!("{KEY}\r"),
    ] {
        let finished = check(&input).expect(1);
        assert!(
            finished.stdout.contains("outer-white-space"),
            "{finished:?}"
        );
        assert!(!finished.stderr.contains(KEY));
    }
}

#[test]
fn the_verdict_is_json_too() {
    let setup = Setup::bare(Database::Sqlite);
    let arguments = ["key", "check", "--format", "json"];
    let good = setup.run_with_input(&arguments, KEY).expect(0).json();
    assert_eq!(good["verdict"], "good");
    assert_eq!(good["characters"], 64);
    let bad = setup.run_with_input(&arguments, SAMPLE).expect(1).json();
    assert_eq!(bad["verdict"], "refused");
    assert_eq!(bad["rule"], "published-sample");
}

#[test]
fn a_file_or_the_environment_can_be_checked() {
    let mut setup = Setup::bare(Database::Sqlite);
    let file = setup.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    setup.run(&["key", "check", "--file", &file]).expect(0);
    setup.run(&["key", "check", "--file", "/none"]).expect(2);

    setup.run(&["key", "check", "--env"]).expect(2);
    setup.set("APP_ENCRYPTION_KEY_FILE", &file);
    setup.run(&["key", "check", "--env"]).expect(0);
    setup.set("APP_ENCRYPTION_KEY", KEY);
    let two = setup.run(&["key", "check", "--env"]).expect(1);
    assert!(two.stderr.contains("2 sources"), "{two:?}");
    setup.unset("APP_ENCRYPTION_KEY_FILE");
    setup.run(&["key", "check", "--env"]).expect(0);
    setup.set("OTHER_SECRET", KEY);
    let reused = setup.run(&["key", "check", "--env"]).expect(1);
    assert!(reused.stdout.starts_with("refused: reused-secret"));
    // The variable is no file: a line end in it is white space, not an end.
    setup.set("APP_ENCRYPTION_KEY", &format!("{KEY}\n"));
    let line = setup.run(&["key", "check", "--env"]).expect(1);
    assert!(line.stdout.contains("outer-white-space"), "{line:?}");
    setup.set("APP_ENCRYPTION_KEY", "");
    setup.run(&["key", "check", "--env"]).expect(1);
}

#[test]
fn nothing_else_of_the_environment_matters() {
    let setup = Setup::bare(Database::Sqlite)
        .with("APP_ENV", "nonsense")
        .with("DATABASE_URL", "nonsense");
    setup.run_with_input(&["key", "check"], KEY).expect(0);
    setup.run_with_input(&["key", "check"], SAMPLE).expect(1);
}

#[test]
fn a_wrong_command_line_is_2() {
    let setup = Setup::bare(Database::Sqlite);
    for arguments in [
        &["key"][..],
        &["key", "chek"],
        &["key", "check", "a-key-as-an-argument"],
        &["key", "check", "--value", "x"],
        &["key", "check", "--env", "--file", "x"],
        &["key", "check", "--format", "xml"],
    ] {
        setup.run(arguments).expect(2);
    }
}

#[test]
fn a_start_with_the_key_leaves_none_of_it_in_proc() {
    let setup = Setup::new(Database::Sqlite).with("ADMIN_EMAIL", "ada@example.com");
    let setup = setup.with("ADMIN_PASSWORD", support::ADMIN_PASSWORD);
    let server = setup.serve();
    for file in ["environ", "cmdline"] {
        let path = format!("/proc/{}/{file}", server.pid());
        // A non-dumpable process hides the file from everyone but root.
        let Ok(bytes) = std::fs::read(path) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(KEY), "{file}");
        assert!(!text.contains(support::ADMIN_PASSWORD), "{file}");
    }
}
