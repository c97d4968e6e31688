use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::*;
use crate::output::Exit;

const KEY: &str = "k3y-for-tests-only/0123456789abcdef";

fn current(variables: &[(&str, &str)]) -> Outcome<Option<Source>> {
    // The array form is the only constructor; tests need at most three variables.
    let at = |index: usize| variables.get(index).copied().unwrap_or(("UNRELATED", ""));
    choose(&Environment::from([at(0), at(1), at(2)]), Which::Current)
}

fn read(variables: &[(&str, &str)]) -> Outcome<RootString> {
    current(variables)?.expect("a source is set").read()
}

fn refusal<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.exit(), Exit::Configuration);
    let text = failure.text();
    assert!(!text.contains(KEY), "{text}");
    text
}

fn key_file(bytes: &[u8]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn nothing_set_is_no_source() {
    assert!(current(&[]).unwrap().is_none());
}

#[test]
fn the_variable_is_taken_as_it_is() {
    let inner = "a \t b\n c  very long key with inner spaces";
    let root = read(&[("APP_ENCRYPTION_KEY", inner)]).unwrap();
    assert_eq!(root.text(), inner);
    assert_eq!(root.source, "APP_ENCRYPTION_KEY");
}

#[test]
fn outer_white_space_is_refused_in_the_variable() {
    for text in [" x", "x ", "x\n", "\u{a0}x", "x\r\n", " "] {
        let text = refusal(read(&[("APP_ENCRYPTION_KEY", text)]));
        assert!(text.contains("white space"), "{text}");
    }
}

#[test]
fn one_line_end_is_trimmed_from_a_file() {
    for (bytes, expected) in [
        ("abc", Some("abc")),
        ("abc\n", Some("abc")),
        ("abc\r\n", Some("abc")),
        ("a\nb\n", Some("a\nb")),
        ("abc\n\n", None),
        ("abc\r", None),
        ("abc\n\r", None),
        (" abc\n", None),
        ("abc \n", None),
        ("\n", None),
        ("", None),
    ] {
        let (_directory, path) = key_file(bytes.as_bytes());
        let root = read(&[("APP_ENCRYPTION_KEY_FILE", &path)]);
        assert_eq!(
            root.as_ref().ok().map(RootString::text),
            expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let (directory, path) = key_file(b"\xff\xfe");
    assert!(refusal(read(&[("APP_ENCRYPTION_KEY_FILE", &path)])).contains("not UTF-8"));
    let missing = directory.path().join("none");
    let missing = refusal(read(&[(
        "APP_ENCRYPTION_KEY_FILE",
        missing.to_str().unwrap(),
    )]));
    assert!(missing.contains("does not exist"), "{missing}");
    let folder = directory.path().to_str().unwrap();
    assert!(refusal(read(&[("APP_ENCRYPTION_KEY_FILE", folder)])).contains("is a directory"));
    assert!(
        refusal(read(&[("APP_ENCRYPTION_KEY_FILE", "/dev/zero")])).contains("not a regular file")
    );
    let (_directory, path) = key_file(&vec![b'x'; MAX_BYTES + 1]);
    assert!(refusal(read(&[("APP_ENCRYPTION_KEY_FILE", &path)])).contains("larger than 65536"));
}

#[test]
fn a_file_that_others_can_read_is_warned_of() {
    let (_directory, path) = key_file(KEY.as_bytes());
    assert!(
        read(&[("APP_ENCRYPTION_KEY_FILE", &path)])
            .unwrap()
            .warnings
            .is_empty()
    );
    for mode in [0o640, 0o604, 0o644, 0o620] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let root = read(&[("APP_ENCRYPTION_KEY_FILE", &path)]).unwrap();
        assert!(root.warnings[0].contains("chmod 600"), "{mode:o}");
    }
}

#[test]
fn two_sources_are_refused_by_name() {
    let text = refusal(current(&[
        ("APP_ENCRYPTION_KEY", KEY),
        ("APP_ENCRYPTION_KEY_FILE", "/run/key"),
    ]));
    assert!(text.contains("APP_ENCRYPTION_KEY and the file /run/key"));
    let (directory, _path) = key_file(b"");
    std::fs::write(directory.path().join("app_encryption_key"), KEY).unwrap();
    let text = refusal(current(&[
        ("APP_ENCRYPTION_KEY_COMMAND", "printf token"),
        ("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap()),
    ]));
    assert!(text.contains("APP_ENCRYPTION_KEY_COMMAND and the systemd credential"));
    assert!(!text.contains("token"));
}

#[test]
fn an_empty_variable_is_a_source_that_was_not_filled_in() {
    for name in [
        "APP_ENCRYPTION_KEY",
        "APP_ENCRYPTION_KEY_FILE",
        "APP_ENCRYPTION_KEY_COMMAND",
    ] {
        assert!(refusal(current(&[(name, "")])).contains("set but empty"));
    }
    assert!(refusal(current(&[("APP_ENCRYPTION_KEY_URI", "aws-kms:x")])).contains("later version"));
}

#[test]
fn the_previous_key_has_the_same_forms() {
    let (_directory, path) = key_file(b"short\n");
    let environment = Environment::from([("APP_ENCRYPTION_KEY_PREVIOUS_FILE", path.as_str())]);
    let source = choose(&environment, Which::Previous).unwrap().unwrap();
    assert_eq!(source.read().unwrap().text(), "short");
    assert!(choose(&environment, Which::Current).unwrap().is_none());
}

#[test]
fn a_systemd_credential_is_a_source() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    assert!(
        current(&[("CREDENTIALS_DIRECTORY", path)])
            .unwrap()
            .is_none()
    );
    let file = directory.path().join("app_encryption_key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
    let root = read(&[("CREDENTIALS_DIRECTORY", path)]).unwrap();
    assert_eq!(root.text(), KEY);
    assert!(root.warnings.is_empty());
}

#[test]
fn slips_of_the_pen_are_found() {
    let environment = Environment::from([
        ("APP_ENCRYPTION_KEY_FIEL", "/run/key"),
        ("APP_ENCRYPTION_KEY_PREVIOUS_COMMAND", "x"),
        ("APP_ENCRYPTION_KEY", "x"),
    ]);
    assert_eq!(unknown_variables(&environment), ["APP_ENCRYPTION_KEY_FIEL"]);
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    let split = |line: &str| command::split(line);
    assert_eq!(split("  a  b\tc ").unwrap(), ["a", "b", "c"]);
    assert_eq!(split("a 'b  c' \"d e\"").unwrap(), ["a", "b  c", "d e"]);
    assert_eq!(
        split(r#"a\ b "c\"\\d\n" '\'"#).unwrap(),
        ["a b", r#"c"\d\n"#, r"\"]
    );
    assert_eq!(split("x'y'\"z\" '' \"\"").unwrap(), ["xyz", "", ""]);
    assert_eq!(split("$HOME ~ | >").unwrap(), ["$HOME", "~", "|", ">"]);
    assert!(split("").unwrap().is_empty());
    for open in ["'a", "\"a", "a\\", "\"a\\"] {
        assert!(split(open).is_err(), "{open}");
    }
}

#[test]
fn a_command_prints_the_key() {
    let root = read(&[("APP_ENCRYPTION_KEY_COMMAND", "printf '%s\\n' 'in  ner'")]).unwrap();
    assert_eq!(root.text(), "in  ner");
    let root = read(&[("APP_ENCRYPTION_KEY_COMMAND", "printf '%s\\n\\n' x")]);
    assert!(refusal(root).contains("white space"));
}

#[test]
fn a_command_that_gives_no_key_is_refused() {
    for (line, reason) in [
        (
            "sh -c 'echo key; echo secret-of-stderr >&2; exit 3'",
            "exit code 3",
        ),
        ("true", "printed nothing"),
        ("/nowhere/at/all", "does not exist"),
        ("sh -c 'kill -9 $$'", "killed by a signal"),
        ("head -c 70000 /dev/zero", "more than a key"),
        ("'unclosed", "not closed"),
        (" ", "no words"),
    ] {
        let text = refusal(read(&[("APP_ENCRYPTION_KEY_COMMAND", line)]));
        assert!(text.contains(reason), "{line}: {text}");
        assert!(!text.contains("secret-of-stderr"));
    }
}

#[test]
fn a_slow_command_is_killed_with_what_it_started() {
    for line in [
        "sleep 60",
        "sh -c 'sleep 60 & wait'",
        // Closes its output and lives on.
        "sh -c 'echo x; exec >&-; sleep 60'",
    ] {
        let start = Instant::now();
        let limit = Duration::from_millis(200);
        let text = refusal(command::run_within("NAME", line, limit));
        assert!(text.contains("killed"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(5), "{line}");
    }
}

#[test]
fn a_generated_key_is_its_owners_alone_and_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("encryption.key");
    store_generated(&path, &Secret::new(KEY.to_owned())).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{KEY}\n"));
    let again = store_generated(&path, &Secret::new("other".to_owned()));
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
