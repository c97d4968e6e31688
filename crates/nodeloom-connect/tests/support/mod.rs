//! What the tests share: a guard with a list, and a server that answers from a script.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use nodeloom_connect::guard::{Guard, GuardSettings, parse_allow};
use nodeloom_connect::{Limits, Outbound, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The system's authorities.
pub(crate) fn trust() -> Trust {
    Trust::load(None).expect("authorities")
}

/// Connections to exactly these addresses, by the list and not by the switch.
pub(crate) fn outbound(allowed: &[SocketAddr]) -> Outbound {
    let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let settings = GuardSettings {
        enabled: true,
        allow: parse_allow(&list.join(",")).expect("a list"),
    };
    Outbound::new(Guard::new(settings), trust(), Limits::default())
}

/// An HTTP answer with this body.
pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A server on loopback: each connection gets the next answer after its request, then is closed;
/// when there are no more answers, it is held open in silence.
pub(crate) struct Answers {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Answers {
    pub(crate) async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            let mut answers = answers.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                log.lock().expect("a lock").push(request);
                match answers.next() {
                    // A client that has had enough closes first.
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => held.push(stream),
                }
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far: head and body as they came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("a lock").clone()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            if body.len() >= length {
                return text;
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => read.extend_from_slice(&part[..count]),
        }
    }
}

/// A server that says one thing after the other: the first at once where the protocol lets servers
/// begin (`220`, a greeting of MySQL), each of the rest after something came in. Then it closes.
pub(crate) struct Talk {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Talk {
    pub(crate) async fn start(steps: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                for step in &steps {
                    // A client that has had enough closes first.
                    drop(stream.write_all(step).await);
                    let mut part = [0; 4096];
                    let wait = std::time::Duration::from_millis(250);
                    if let Ok(Ok(count)) = tokio::time::timeout(wait, stream.read(&mut part)).await
                    {
                        log.lock()
                            .expect("a lock")
                            .extend_from_slice(&part[..count]);
                    }
                }
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// All that came in so far.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("a lock")).into_owned()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.task.abort();
    }
}
