//! The outbound guard: a table of what a person may try, and HTTP through it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use nodeloom_connect::guard::{
    AddressClass, AllowError, Guard, GuardSettings, Host, Refused, Resolve, Resolving, classify,
    parse_allow,
};
use nodeloom_connect::http::{HttpError, Request, secret_header};
use nodeloom_connect::{ConnectError, Limits, Outbound, Trust};
use nodeloom_crypto::Secret;
use support::{Answers, outbound};
use url::Url;

/// Answers with the n-th list at the n-th question; the last one stays.
struct Script {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let list = |texts: &&[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        Arc::new(Self {
            answers: answers.iter().map(list).collect(),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.answers[turn.min(self.answers.len() - 1)].clone();
        Box::pin(async move { Ok(found) })
    }
}

fn settings(allow: &str) -> GuardSettings {
    GuardSettings {
        enabled: true,
        allow: parse_allow(allow).unwrap(),
    }
}

fn guard(allow: &str, answers: &[&[&str]]) -> Guard {
    Guard::with_resolver(settings(allow), Script::new(answers))
}

#[test]
fn every_address_is_of_its_kind() {
    use AddressClass::{
        Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Shared,
        Unspecified,
    };
    let table = [
        ("1.1.1.1", Public),
        ("93.184.216.34", Public),
        ("172.15.255.255", Public),
        ("172.32.0.0", Public),
        ("100.63.255.255", Public),
        ("100.128.0.0", Public),
        ("192.169.0.1", Public),
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("10.0.0.1", Private),
        ("100.64.0.1", Shared),
        ("100.127.255.255", Shared),
        ("127.0.0.1", Loopback),
        ("127.255.255.254", Loopback),
        ("169.254.1.1", Metadata),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("100.100.100.200", Metadata),
        ("168.63.129.16", Metadata),
        ("192.0.0.192", Metadata),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.0.0.8", Reserved),
        ("192.0.2.1", Documentation),
        ("192.88.99.1", Reserved),
        ("192.168.1.1", Private),
        ("198.18.0.1", Documentation),
        ("198.19.255.255", Documentation),
        ("198.51.100.7", Documentation),
        ("203.0.113.7", Documentation),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("240.0.0.1", Reserved),
        ("255.255.255.255", Multicast),
        ("2606:4700:4700::1111", Public),
        ("::", Unspecified),
        ("::1", Loopback),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("fec0::1", Private),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("ff02::1", Multicast),
        ("2001:db8::1", Documentation),
        ("3fff::1", Documentation),
        ("2001:2::1", Documentation),
        ("2001:10::1", Reserved),
        ("100::1", Reserved),
        ("5f00::1", Reserved),
        ("4000::1", Reserved),
        ("fd00:ec2::254", Metadata),
        ("fd00:ec2::23", Metadata),
        ("fd20:ce::254", Metadata),
        // Mapped.
        ("::ffff:8.8.8.8", Public),
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:10.1.2.3", Private),
        ("::ffff:169.254.169.254", Metadata),
        // Compatible, translated.
        ("::127.0.0.1", Reserved),
        ("::169.254.169.254", Metadata),
        ("::ffff:0:169.254.169.254", Metadata),
        // NAT64.
        ("64:ff9b::8.8.8.8", Public),
        ("64:ff9b::10.0.0.1", Private),
        ("64:ff9b::169.254.169.254", Metadata),
        ("64:ff9b:1::8.8.8.8", Private),
        ("64:ff9b:1::169.254.169.254", Metadata),
        ("64:ff9b:1:a9fe:a9:fe00::", Metadata),
        // 6to4.
        ("2002:808:808::1", Public),
        ("2002:7f00:1::1", Loopback),
        ("2002:a9fe:a9fe::1", Metadata),
        // Teredo: server, then client with its bits turned.
        ("2001:0:808:808::f7f7:f7f7", Public),
        ("2001:0:7f00:1::f7f7:f7f7", Loopback),
        ("2001:0:808:808::f5ff:fffe", Private),
        ("2001:0:808:808::5601:5601", Metadata),
        // ISATAP.
        ("2606:4700::5efe:10.0.0.1", Private),
        ("2606:4700::200:5efe:169.254.169.254", Metadata),
    ];
    for (text, class) in table {
        assert_eq!(classify(text.parse().unwrap()), class, "{text}");
    }
}

#[tokio::test]
async fn every_notation_of_an_inside_address_is_refused() {
    let guard = guard("", &[&["1.1.1.1"]]);
    let loopback = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "１２７.０.０.１",
        "⑫⑦.0.0.1",
        "127。0。0。1",
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.0.1",
        "fd12::1",
    ];
    for host in loopback {
        let refused = guard.resolve(host, 443).await.unwrap_err();
        assert!(
            matches!(refused, Refused::Address { .. }),
            "{host}: {refused}"
        );
    }
    let metadata = [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "::ffff:169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata",
    ];
    for host in metadata {
        let refused = guard.resolve(host, 80).await.unwrap_err();
        assert!(
            matches!(refused, Refused::Metadata { .. }),
            "{host}: {refused}"
        );
    }
    let unreadable = [
        "",
        ".",
        "..",
        "a..b",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "user@1.1.1.1",
        "user:pass@1.1.1.1",
        "1.1.1.1:443",
        "example.com:443",
        "example.com/path",
        "example.com#x",
        "exam ple.com",
        "exa\nmple.com",
        "127.0.0.1%00.example.com",
        "1.2.3.4.5",
        "1.2.3.256",
        "0x1ffffffff",
        "[::1",
        "::1]",
    ];
    for host in unreadable {
        let refused = guard.resolve(host, 443).await.unwrap_err();
        assert!(matches!(refused, Refused::Host(_)), "{host:?}: {refused}");
    }
    assert!(guard.resolve("example.com", 0).await.is_err(), "port 0");
    let found = guard.resolve("Example.COM.", 443).await.unwrap();
    assert_eq!(found, ["1.1.1.1:443".parse::<SocketAddr>().unwrap()]);
}

#[tokio::test]
async fn one_inside_address_among_many_refuses_the_name() {
    for inside in ["10.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1"] {
        let guard = guard("", &[&["1.1.1.1", inside, "1.0.0.1"]]);
        let refused = guard.resolve("mixed.example", 443).await.unwrap_err();
        assert!(refused.is_by_rule(), "{inside}: {refused}");
    }
    // Also one beyond the number of addresses that are kept.
    let many: Vec<String> = (0..64).map(|n| format!("1.1.1.{n}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        guard("", &[&many])
            .resolve("m.example", 1)
            .await
            .unwrap()
            .len(),
        32
    );
    many.push("10.0.0.1");
    assert!(guard("", &[&many]).resolve("m.example", 1).await.is_err());
    let none = guard("", &[&[]]).resolve("nothing.example", 443).await;
    assert!(!none.unwrap_err().is_by_rule());
}

#[tokio::test]
async fn a_refusal_names_the_setting_and_the_exact_entry() {
    let table = [
        ("db.internal", 5432, "10.1.2.3", "db.internal:5432"),
        ("10.1.2.3", 5432, "", "10.1.2.3:5432"),
        ("fd00::7", 443, "", "[fd00::7]:443"),
        ("0x7f.1", 80, "", "127.0.0.1:80"),
    ];
    for (host, port, answer, entry) in table {
        let answers: &[&str] = if answer.is_empty() { &[] } else { &[answer] };
        let refused = guard("", &[answers]).resolve(host, port).await.unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains(&format!("add {entry} to APP_SSRF_ALLOW")),
            "{text}"
        );
        // A name's refusal does not tell what the inside's resolver knows.
        assert!(answer.is_empty() || !text.contains(answer), "{text}");
        // And the entry it names is the one that helps, for this host and port alone.
        let guard = guard(entry, &[answers]);
        assert_eq!(guard.resolve(host, port).await.unwrap().len(), 1);
        assert!(guard.resolve(host, port + 1).await.is_err());
        assert!(guard.resolve("10.9.9.9", port).await.is_err());
    }
}

#[tokio::test]
async fn the_list_allows_networks_and_hosts_and_never_metadata() {
    let list = "10.1.0.0/16, fd12::/16,127.0.0.1,db.internal:5432,[::1]:8080,";
    let at = |answer: &'static str| guard(list, &[&[answer]]);
    assert!(at("10.1.255.1").resolve("any.example", 1).await.is_ok());
    assert!(at("10.2.0.1").resolve("any.example", 1).await.is_err());
    assert!(
        at("::ffff:10.1.0.1")
            .resolve("any.example", 1)
            .await
            .is_ok()
    );
    assert!(at("fd12::5").resolve("any.example", 1).await.is_ok());
    assert!(at("10.2.0.1").resolve("DB.internal.", 5432).await.is_ok());
    assert!(at("10.2.0.1").resolve("db.internal", 5433).await.is_err());
    assert!(at("10.2.0.1").resolve("x.db.internal", 5432).await.is_err());
    assert!(at("::1").resolve("any.example", 8080).await.is_ok());
    assert!(at("::1").resolve("any.example", 8081).await.is_err());
    assert!(at("127.0.0.2").resolve("any.example", 1).await.is_err());

    let everything = "169.254.0.0/16,169.254.169.254,169.254.169.254:80,fd00:ec2::/32,0.0.0.0/1,\
                      128.0.0.0/1,metadata.google.internal:80,trap.example:80";
    let metadata = [
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
    ];
    for address in metadata {
        for enabled in [true, false] {
            let settings = GuardSettings {
                enabled,
                allow: parse_allow(everything).unwrap(),
            };
            let guard = Guard::with_resolver(settings, Script::new(&[&[address]]));
            for host in [address, "trap.example", "metadata.google.internal"] {
                let refused = guard.resolve(host, 80).await.unwrap_err();
                assert!(
                    matches!(refused, Refused::Metadata { .. }),
                    "{host}: {refused}"
                );
                assert!(!refused.to_string().contains("APP_SSRF_ALLOW"));
            }
        }
    }
    // Off means off for everything else.
    let settings = GuardSettings {
        enabled: false,
        allow: vec![],
    };
    let guard = Guard::new(settings);
    assert!(guard.resolve("127.0.0.1", 80).await.is_ok());
}

#[test]
fn the_list_is_read_strictly() {
    assert_eq!(parse_allow("").unwrap(), []);
    assert_eq!(parse_allow(" , ,").unwrap(), []);
    for text in ["db", "db.internal", "localhost"] {
        assert_eq!(parse_allow(text), Err(AllowError::NoPort(text.into())));
    }
    for text in ["0.0.0.0/0", "::/0"] {
        let error = parse_allow(text).unwrap_err();
        assert!(error.to_string().contains("APP_SSRF_PROTECTION_ENABLED"));
    }
    for text in [
        "10.0.0.0/33",
        "db:0",
        "db:70000",
        "db:",
        ":5",
        "http://db:5",
        "::1:x",
        "a b:5",
        "*:5",
    ] {
        assert_eq!(
            parse_allow(text),
            Err(AllowError::Form(text.into())),
            "{text}"
        );
    }
}

#[test]
fn only_plain_web_addresses_pass() {
    let guard = Guard::new(settings(""));
    let check = |text: &str| guard.check_url(&Url::parse(text).unwrap());
    let (host, port) = check("https://Example.com/a?b#c").unwrap();
    assert_eq!((host, port), (Host::Name("example.com".into()), 443));
    assert_eq!(check("http://example.com:8080/").unwrap().1, 8080);
    for text in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/plain,x",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://:pass@example.com/",
    ] {
        assert!(matches!(check(text), Err(Refused::Url(_))), "{text}");
    }
    for text in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://1.1.1.1@127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://%31%32%37.0.0.1/",
    ] {
        assert!(check(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_checked_address_is_connected_to() {
    let server = Answers::start(vec![support::ok("inside"); 3]).await;
    // The first answer is allowed; the second is what an attacker would turn it into.
    let script = Script::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let guard = Guard::with_resolver(settings("127.0.0.1/32"), Arc::clone(&script) as _);
    let outbound = Outbound::new(guard, support::trust(), Limits::default());
    let url = Url::parse(&format!("http://rebind.example:{}/", server.port())).unwrap();

    let response = outbound.send(Request::get(url.clone())).await.unwrap();
    assert_eq!(response.body.expose(), b"inside");
    assert_eq!(script.asked(), 1, "one look-up for check and connection");
    let seen = server.seen();
    assert!(
        seen[0].contains(&format!("host: rebind.example:{}\r\n", server.port())),
        "{}",
        seen[0]
    );

    let error = outbound.send(Request::get(url)).await.unwrap_err();
    assert!(
        matches!(error, HttpError::Connect(ConnectError::Refused(_))),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1, "nothing reached the second address");
}

#[tokio::test]
async fn redirects_are_checked_and_take_no_secret_elsewhere() {
    let inside = Answers::start(vec![support::ok("must not be read")]).await;
    let elsewhere = Answers::start(vec![support::ok("elsewhere")]).await;
    let redirect =
        |to: String| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let to = |path: &str| redirect(path.to_owned());
    let start = Answers::start(vec![
        redirect(inside.url("/")),
        redirect(elsewhere.url("/b?c=d")),
        to("http://169.254.169.254/latest/meta-data/"),
        to("//user:pass@example.com/"),
        to("file:///etc/passwd"),
        to("/again"),
        to("/again"),
        to("/again"),
        to("/again"),
        to("/second"),
        support::ok("second"),
        redirect(inside.url("/")),
    ])
    .await;
    let outbound = outbound(&[start.address(), elsewhere.address()]);
    let secret = Secret::new("Bearer sk-live-1".to_owned());
    let request = |redirects: u8| {
        let mut request = Request::get(Url::parse(&start.url("/start?key=sk-live-2")).unwrap());
        let (name, value) = secret_header("Authorization", &secret).unwrap();
        request.headers.insert(name, value);
        request
            .headers
            .insert("x-api-key", "sk-live-3".parse().unwrap());
        request.redirects = redirects;
        assert!(!format!("{request:?}").contains("sk-live"), "{request:?}");
        request
    };

    let error = outbound.send(request(3)).await.unwrap_err();
    assert!(
        matches!(error, HttpError::Connect(ConnectError::Refused(_))),
        "{error}"
    );
    assert_eq!(
        inside.seen().len(),
        0,
        "loopback was not reached through a redirect"
    );

    let response = outbound.send(request(3)).await.unwrap();
    assert_eq!(response.body.expose(), b"elsewhere");
    let seen = elsewhere.seen();
    assert!(
        seen[0].starts_with("GET /b?c=d HTTP/1.1\r\n"),
        "{}",
        seen[0]
    );
    assert!(!seen[0].contains("sk-live"), "{}", seen[0]);

    for _ in 0..3 {
        let error = outbound.send(request(3)).await.unwrap_err();
        assert!(
            matches!(error, HttpError::Connect(ConnectError::Refused(_))),
            "{error}"
        );
    }
    let error = outbound.send(request(9)).await.unwrap_err();
    assert!(matches!(error, HttpError::Redirect(_)), "{error}");

    // Within one origin the headers go along.
    let response = outbound.send(request(1)).await.unwrap();
    assert_eq!(response.body.expose(), b"second");
    assert!(start.seen().last().unwrap().contains("sk-live-1"));

    // Not asked for: the redirect is the answer.
    let response = outbound.send(request(0)).await.unwrap();
    assert_eq!(response.status.as_u16(), 302);
}

#[tokio::test]
async fn a_request_with_a_body_is_sent_once_and_as_given() {
    let server = Answers::start(vec![
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".into(),
    ])
    .await;
    let mut request = Request::new(
        Method::POST,
        Url::parse(&server.url("/a%20b?c=%C3%A9")).unwrap(),
    );
    request.body = Secret::new(b"{\"a\":1}".to_vec());
    request.redirects = 3;
    request
        .headers
        .insert("content-type", "application/json".parse().unwrap());
    let response = outbound(&[server.address()]).send(request).await.unwrap();
    assert_eq!(response.status.as_u16(), 307);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].starts_with("POST /a%20b?c=%C3%A9 HTTP/1.1\r\n"),
        "{}",
        seen[0]
    );
    assert!(seen[0].contains("content-length: 7\r\n"), "{}", seen[0]);
    assert!(seen[0].ends_with("\r\n\r\n{\"a\":1}"), "{}", seen[0]);
}

#[tokio::test]
async fn answers_that_hang_or_never_end_are_given_up() {
    let hang = Answers::start(vec![]).await;
    let slow = Limits {
        total: std::time::Duration::from_millis(300),
        ..Limits::default()
    };
    let limited = outbound(&[hang.address()]).with_limits(slow);
    let error = limited
        .send(Request::get(Url::parse(&hang.url("/")).unwrap()))
        .await;
    assert!(matches!(error, Err(HttpError::TimeLimit)), "{error:?}");

    let endless = |head: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let huge = Answers::start(vec![
        endless("content-length: 2000000") + &"x".repeat(2_000_000),
        endless("transfer-encoding: chunked") + &chunk.repeat(40),
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000)),
        "SSH-2.0-OpenSSH_9.2\r\n".into(),
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort".into(),
        endless("content-encoding: gzip\r\ncontent-length: 3") + "abc",
    ])
    .await;
    let outbound = outbound(&[huge.address()]);
    let send = || outbound.send(Request::get(Url::parse(&huge.url("/")).unwrap()));
    for _ in 0..2 {
        let error = send().await;
        assert!(
            matches!(error, Err(HttpError::TooLarge(1_048_576))),
            "{error:?}"
        );
    }
    for _ in 0..3 {
        let error = send().await;
        assert!(matches!(error, Err(HttpError::Exchange(_))), "{error:?}");
    }
    // Nothing is decompressed: a small answer cannot become a large one.
    assert_eq!(send().await.unwrap().body.expose(), b"abc");
}

#[tokio::test]
async fn a_closed_port_and_a_name_without_address_are_failures_not_refusals() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let error = outbound(&[closed])
        .connect("127.0.0.1", closed.port())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Tcp(_)), "{error}");
    let guard = Guard::with_resolver(settings(""), Script::new(&[&[]]));
    let outbound = Outbound::new(guard, support::trust(), Limits::default());
    let error = outbound.connect("nothing.example", 1).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Refused(r) if !r.is_by_rule()),
        "{error}"
    );
}

#[test]
fn a_file_without_certificates_is_refused() {
    let missing = Trust::load(Some(std::path::Path::new("/nonexistent/ca.pem")));
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("/nonexistent/ca.pem")
    );
    assert!(Trust::load(Some(std::path::Path::new("Cargo.toml"))).is_err());
    assert!(Trust::load(None).is_ok());
}
