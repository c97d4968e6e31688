//! TLS from certificate files.

mod support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::{ADMIN_EMAIL, ADMIN_PASSWORD, Database, Server, Setup};

/// Signs in over TLS with the given certificate as the only one trusted, and asks who it is.
const CLIENT: &str = "
import http.client, json, ssl, sys
port, certificate, login = int(sys.argv[1]), sys.argv[2], sys.argv[3]
tls = ssl.create_default_context(cafile=certificate)
c = http.client.HTTPSConnection('localhost', port, context=tls, timeout=30)
own = {'Origin': 'https://localhost:%d' % port, 'Content-Type': 'application/json'}
c.request('POST', '/api/auth/login', login, own)
a = c.getresponse(); a.read()
cookie = a.getheader('Set-Cookie') or ''
http_origin = dict(own, Origin='http://localhost:%d' % port)
c.request('GET', '/api/auth/me', headers={'Cookie': cookie.split(';')[0]})
me = c.getresponse(); body = me.read()
c.request('POST', '/api/auth/login', login, http_origin)
plain = c.getresponse(); plain.read()
print(json.dumps({'login': a.status, 'cookie': cookie, 'me': me.status, 'plain': plain.status,
    'email': json.loads(body).get('email'), 'tls': c.sock.version(),
    'serial': c.sock.getpeercert()['serialNumber']}))
";

/// A setup with a certificate for `localhost` that signs itself.
fn with_certificate() -> Setup {
    let setup = Setup::with_admin(Database::Sqlite);
    certify(&setup);
    let file = |name: &str| {
        setup
            .path()
            .join(name)
            .to_str()
            .expect("a UTF-8 path")
            .to_owned()
    };
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    setup
        .with("NODELOOM_TLS_CERT_FILE", &certificate)
        .with("NODELOOM_TLS_KEY_FILE", &key)
}

fn certify(setup: &Setup) {
    let output = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '),
        )
        .args("-subj /CN=localhost -addext subjectAltName=DNS:localhost".split(' '))
        .args("-keyout tls.key -out tls.crt".split(' '))
        .current_dir(setup.path())
        .output()
        .expect("openssl is on the PATH");
    assert!(output.status.success(), "{output:?}");
}

fn visit(setup: &Setup, server: &Server) -> Result<Value, String> {
    let port = server.base().rsplit(':').next().expect("an address");
    let login = json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}).to_string();
    let output = Command::new("python3")
        .args(["-c", CLIENT, port, "tls.crt", &login])
        .current_dir(setup.path())
        .output()
        .expect("python3 is on the PATH");
    serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_session_works_over_tls_and_the_certificate_is_read_again_on_sighup() {
    let setup = with_certificate();
    let server = setup.serve();
    assert!(server.base().starts_with("https://"), "{}", server.base());
    let seen = visit(&setup, &server).unwrap();
    assert_eq!(
        (&seen["login"], &seen["me"]),
        (&json!(200), &json!(200)),
        "{seen}"
    );
    assert_eq!(seen["email"], ADMIN_EMAIL);
    let cookie = seen["cookie"].as_str().unwrap();
    assert!(cookie.starts_with("__Host-nodeloom=") && cookie.contains("Secure"));
    // The scheme is known here, so that a page over http is a foreign one.
    assert_eq!(seen["plain"], 403, "{seen}");
    assert!(matches!(seen["tls"].as_str(), Some("TLSv1.3" | "TLSv1.2")));

    let first = seen["serial"].clone();
    certify(&setup);
    // The new certificate is trusted and not served yet.
    assert!(
        visit(&setup, &server)
            .unwrap_err()
            .contains("CERTIFICATE_VERIFY_FAILED")
    );
    server.signal("HUP");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let second = loop {
        match visit(&setup, &server) {
            Ok(seen) => break seen["serial"].clone(),
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert_ne!(first, second);
    // A broken file leaves the former one in use.
    let good = fs::read(setup.path().join("tls.crt")).unwrap();
    fs::write(setup.path().join("tls.crt"), "no certificate").unwrap();
    server.signal("HUP");
    let told = |server: &Server| server.stderr().contains("former ones stay in use");
    while !told(&server) {
        assert!(std::time::Instant::now() < deadline, "{}", server.stderr());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    fs::write(setup.path().join("tls.crt"), good).unwrap();
    assert_eq!(visit(&setup, &server).unwrap()["serial"], second);
}

#[test]
fn files_that_are_no_identity_are_refused() {
    let setup = with_certificate();
    let read = |name: &str| fs::read(setup.path().join(name)).unwrap();
    let (certificate, key) = (read("tls.crt"), read("tls.key"));
    certify(&setup);
    let other = read("tls.key");
    for (bad_certificate, bad_key) in [
        (b"".as_slice(), key.as_slice()),
        (b"no certificate", &key),
        (&key, &key),
        (&certificate, b""),
        (&certificate, b"no key"),
        (&certificate, &certificate),
        (&certificate, &other),
    ] {
        fs::write(setup.path().join("tls.crt"), bad_certificate).unwrap();
        fs::write(setup.path().join("tls.key"), bad_key).unwrap();
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains("NODELOOM_TLS_"), "{finished:?}");
        assert!(!finished.stderr.contains("PRIVATE"), "{finished:?}");
    }
    for (missing, name) in [
        ("tls.key", "NODELOOM_TLS_KEY_FILE"),
        ("tls.crt", "NODELOOM_TLS_CERT_FILE"),
    ] {
        fs::remove_file(setup.path().join(missing)).unwrap();
        let finished = setup.serve_refused();
        assert!(finished.stderr.contains(name), "{finished:?}");
        assert!(finished.stderr.contains("does not exist"), "{finished:?}");
    }
}
