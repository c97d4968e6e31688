//! Several at once, and what happens when the ground goes away: a second server, a power cut, a
//! database that leaves and comes back, a disk that fills.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::probe::{bearer, path_of, store, team};
use support::{Client, Database, Server, Setup};

/// Waits for something that has to come, however slow the machine is.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn reveal(client: &mut Client, credential: &Value) -> support::Answer {
    client.post(&format!("{}/reveal", path_of(credential)), &json!({}))
}

#[test]
fn a_second_server_on_the_same_file_is_refused_and_the_first_goes_on() {
    let setup = Setup::with_admin(Database::Sqlite);
    let first = setup.serve();
    let mut client = first.signed_in();
    let credential = store(&mut client, "first");
    let finished = setup.try_serve().unwrap_err().refused();
    let pid = format!("process {}", first.pid());
    assert!(finished.stderr.contains(&pid), "{finished:?}");
    assert!(finished.stderr.contains("DATABASE_URL"), "{finished:?}");
    reveal(&mut client, &credential).expect(200);
    setup.run(&["credential", "list"]).expect(0);
    first.kill();
    // What a dead server leaves behind locks nobody out.
    reveal(&mut setup.serve().signed_in(), &credential).expect(200);
}

#[test]
fn two_servers_share_one_postgresql() {
    let setup = Setup::with_admin(Database::Postgres);
    let (one, two) = (setup.serve(), setup.serve());
    let mut here = one.signed_in();
    let credential = store(&mut here, "shared");
    let mut there = two.client();
    there.cookie.clone_from(&here.cookie);
    reveal(&mut there, &credential).expect(200);
    let team = team(&mut there);
    there
        .post("/api/credentials", &bearer(&team, "shared"))
        .refused(409, "NAME_TAKEN");
    here.request("POST", "/api/auth/logout", &[], None)
        .expect(204);
    there.get("/api/auth/me").refused(401, "UNAUTHENTICATED");
}

#[test]
fn one_of_many_gets_a_name_and_one_of_many_gets_a_revision() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut admin = server.signed_in();
        let team = team(&mut admin);
        let credential = store(&mut admin, "contended");
        let race = |body: Value, method: &'static str, path: String| -> Vec<u16> {
            thread::scope(|scope| {
                let racers: Vec<_> = (0..8)
                    .map(|number| {
                        let mut client = server.client();
                        client.cookie.clone_from(&admin.cookie);
                        let (mut body, path) = (body.clone(), path.clone());
                        if method == "PATCH" {
                            body["data"]["token"] = json!(format!("token {number}"));
                        }
                        let headers: &[_] = match method {
                            "PATCH" => &[("If-Match", "\"1\"")],
                            _ => &[],
                        };
                        scope.spawn(move || client.send(method, &path, Some(&body), headers).status)
                    })
                    .collect();
                racers
                    .into_iter()
                    .map(|racer| racer.join().unwrap())
                    .collect()
            })
        };
        let count = |statuses: &[u16], wanted| statuses.iter().filter(|s| **s == wanted).count();
        let created = race(bearer(&team, "only one"), "POST", "/api/credentials".into());
        assert_eq!(
            (count(&created, 201), count(&created, 409)),
            (1, 7),
            "{created:?}"
        );
        let patched = race(json!({"data": {}}), "PATCH", path_of(&credential));
        assert_eq!(
            (count(&patched, 200), count(&patched, 412)),
            (1, 7),
            "{patched:?}"
        );
        setup.run(&["doctor"]).expect(0);
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut admin = server.signed_in();
        let team = team(&mut admin);
        let stored = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let base = server.base().to_owned();
                let (cookie, team) = (admin.cookie.clone().unwrap(), team.clone());
                let (stored, is_over) = (Arc::clone(&stored), Arc::clone(&is_over));
                thread::spawn(move || {
                    for number in 0.. {
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        let name = format!("w{writer} n{number}");
                        // A client that dies with the server panics; that is no news.
                        let Some(id) = raw_create(&base, &cookie, &bearer(&team, &name)) else {
                            return;
                        };
                        stored.lock().unwrap().push((id, name));
                    }
                })
            })
            .collect();
        wait_until("forty are stored", || stored.lock().unwrap().len() >= 40);
        server.kill();
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
        let server = setup.serve();
        let mut client = server.signed_in();
        let stored = stored.lock().unwrap();
        for (id, name) in stored.iter() {
            let answer = client.post(&format!("/api/credentials/{id}/reveal"), &json!({}));
            let data = answer.expect(200).json()["data"].clone();
            assert_eq!(data, json!({"token": format!("value of {name}")}));
        }
        let report = setup.run(&["doctor", "--format", "json"]).expect(0).json();
        assert_eq!(report["needsAttention"], false, "{report}");
        setup.run(&["audit", "verify"]).expect(0);
    }
}

/// The id of a stored credential, if the answer came whole.
fn raw_create(base: &str, cookie: &str, body: &Value) -> Option<String> {
    let host = base.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(host).ok()?;
    let body = body.to_string();
    let request = format!(
        "POST /api/credentials HTTP/1.1\r\nHost: {host}\r\nOrigin: {base}\r\nCookie: {cookie}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
    let stored: Value = serde_json::from_str(body).ok()?;
    Some(stored["id"].as_str()?.to_owned())
}

/// A way to the database that can be cut and restored.
struct Wire {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let is_cut = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (cut, streams) = (Arc::clone(&is_cut), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if cut.load(Ordering::SeqCst) {
                    let _ = client.shutdown(Shutdown::Both);
                    continue;
                }
                let server = TcpStream::connect(&upstream).expect("the database listens");
                streams.lock().expect("no holder panicked").extend([
                    client.try_clone().expect("a socket"),
                    server.try_clone().expect("a socket"),
                ]);
                for (mut from, mut to) in [
                    (
                        client.try_clone().expect("a socket"),
                        server.try_clone().expect("a socket"),
                    ),
                    (server, client),
                ] {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self {
            address,
            is_cut,
            open,
        }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("no holder panicked").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn restore(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

#[test]
fn a_database_that_goes_and_comes_back_costs_a_503_and_nothing_else() {
    let setup = Setup::with_admin(Database::Postgres);
    let url = setup.database_url().unwrap().to_owned();
    let (before, rest) = url.split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let wire = Wire::to(host.to_owned());
    let through = format!("{before}@{}/{name}", wire.address);
    let setup = setup.with("DATABASE_URL", &through);
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = team(&mut client);
    let credential = store(&mut client, "before");
    client.get("/health/ready").expect(200);

    wire.cut();
    client.get("/health/ready").refused(503, "NOT_READY");
    client.get("/health/live").expect(200);
    client
        .get(&path_of(&credential))
        .refused(503, "UNAVAILABLE");
    let body = bearer(&team, "during");
    let answer = client
        .post("/api/credentials", &body)
        .refused(503, "UNAVAILABLE");
    assert!(
        !answer.text.to_lowercase().contains("postgres"),
        "{answer:?}"
    );
    // A failing database must not end a session, nor look like an empty one.
    assert!(client.cookie.is_some());
    client
        .get(&format!("/api/credentials?teamId={team}"))
        .refused(503, "UNAVAILABLE");

    wire.restore();
    wait_until("it is ready again", || {
        client.get("/health/ready").status == 200
    });
    reveal(&mut client, &credential).expect(200);
    let list = client
        .get(&format!("/api/credentials?teamId={team}"))
        .expect(200)
        .json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    client.post("/api/credentials", &body).expect(201);
    assert!(server.terminate().0.success());
    setup.run(&["doctor"]).expect(0);
}

/// What keeps a server from writing, until it is taken away.
enum Shortage {
    /// A disk of a few megabytes, filled by this file.
    Disk(PathBuf),
    /// A limit on the size of files.
    Limit,
}

impl Shortage {
    fn begin(&self, server: &Server) {
        match self {
            Self::Limit => limit_files(server, "4096"),
            Self::Disk(filler) => {
                let mut file = fs::File::create(filler).expect("room for a name");
                for size in [65536, 4096, 1] {
                    let block = vec![b'x'; size];
                    while file.write_all(&block).is_ok() {}
                }
            }
        }
    }

    fn end(&self, server: &Server) {
        match self {
            Self::Limit => limit_files(server, "unlimited"),
            Self::Disk(filler) => fs::remove_file(filler).expect("it was made"),
        }
    }
}

fn limit_files(server: &Server, size: &str) {
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", server.pid()))
        .arg(format!("--fsize={size}:unlimited"))
        .status();
    assert!(status.expect("prlimit is on the PATH").success());
}

/// A disk of a few megabytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).expect("a directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"])
            .arg(&at)
            .output();
        let is_mounted = mount.is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_while_serving_refuses_writes_and_keeps_all_else() {
    let setup = Setup::with_admin(Database::Sqlite);
    let Some(disk) = SmallDisk::mount(setup.data_dir()) else {
        // The next test does the same by other means.
        eprintln!("skipped: this user may not mount a small disk");
        return;
    };
    let filler = setup.data_dir().join("filler");
    writes_come_back_after(&setup, &Shortage::Disk(filler));
    drop(disk);
}

#[test]
fn a_limit_on_files_that_is_met_while_serving_does_the_same() {
    let setup = Setup::with_admin(Database::Sqlite);
    writes_come_back_after(&setup, &Shortage::Limit);
}

#[track_caller]
fn writes_come_back_after(setup: &Setup, shortage: &Shortage) {
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = team(&mut client);
    let credential = store(&mut client, "before");
    shortage.begin(&server);
    let mut acknowledged = vec![("before".to_owned(), path_of(&credential))];
    let big = "x".repeat(200_000);
    let mut refused = 0;
    for number in 0..5 {
        let mut body = bearer(&team, &format!("during {number}"));
        body["data"]["token"] = json!(big);
        let answer = client.post("/api/credentials", &body);
        match answer.status {
            201 => acknowledged.push((format!("during {number}"), path_of(&answer.json()))),
            _ => {
                answer.refused(503, "UNAVAILABLE");
                refused += 1;
            }
        }
    }
    assert!(refused >= 3, "{acknowledged:?}");
    client
        .get(&format!("/api/credentials?teamId={team}"))
        .expect(200);
    client.get("/health/live").expect(200);

    shortage.end(&server);
    let list = client
        .get(&format!("/api/credentials?teamId={team}"))
        .expect(200)
        .json();
    let mut listed: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| {
            (
                item["name"].as_str().expect("a text").to_owned(),
                path_of(item),
            )
        })
        .collect();
    acknowledged.sort();
    listed.sort();
    assert_eq!(listed, acknowledged);
    let later = client.post("/api/credentials", &bearer(&team, "later"));
    assert_eq!(later.status, 201, "{later:?}\n{}", server.stderr());
    for (_, path) in &acknowledged {
        client
            .post(&format!("{path}/reveal"), &json!({}))
            .expect(200);
    }
    let rows = setup.sql("SELECT count(*) FROM sealed_values WHERE kind = 'credential'");
    assert_eq!(rows, (acknowledged.len() + 1).to_string());
    assert!(server.terminate().0.success());
    setup.run(&["doctor"]).expect(0);
}
