//! Several built-in targets that share their channels through a real Redis.
//!
//! Invariant: a machine without Redis fails the tests that need it, with advice.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::yield_now;
use std::time::Duration;

use manada::clock;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::builtin::Builtin;
use crate::harness::{LIMIT, Tied};

/// A Redis that keeps nothing on disk unless it is told to. It ends with its handle.
pub(crate) struct Redis {
    process: Tied,
    pub(crate) address: SocketAddr,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with further arguments, of which `PORT` is replaced by its port.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::at(address, arguments)
    }

    /// Starts one at an address.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Self::at(address, &[])
    }

    fn at(address: SocketAddr, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = address.port().to_string();
        let arguments: Vec<String> =
            arguments.iter().map(|one| one.replace("PORT", &port)).collect();
        let process = Self::spawn(address, &folder, &arguments);
        Self { process, address, folder, arguments }
    }

    /// Starts it again at its address after it was killed: without data, unless it keeps them.
    pub(crate) fn restart(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.0.wait().unwrap();
        self.process = Self::spawn(self.address, &self.folder, &self.arguments);
    }

    fn spawn(address: SocketAddr, folder: &TempDir, arguments: &[String]) -> Tied {
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("this test needs redis-server: `apt-get install redis-server`");
        let tied = Tied(child);
        wait_until("Redis listens", || TcpStream::connect(address).is_ok());
        tied
    }

    fn target(&self) -> Builtin {
        Builtin::start(&["--redis", &format!("redis://{}", self.address)])
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = clock::now();
    while !holds() {
        assert!(clock::now() - begun < LIMIT, "in vain: {what}");
        yield_now();
    }
}

/// Sends a head and a body, and reads up to the end of the head of the response.
fn request(target: &Builtin, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(target.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream
}

fn join(target: &Builtin, path: &str) -> WebSocket<TcpStream> {
    let stream = request(
        target,
        &format!(
            "GET {path} HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        ),
    );
    WebSocket::from_raw_socket(stream, Role::Client, None)
}

fn listen(target: &Builtin, last_id: &str) -> TcpStream {
    let text = format!("GET /sse/news HTTP/1.0\r\nlast-event-id: {last_id}\r\n\r\n");
    request(target, &text)
}

fn publish(target: &Builtin, body: &str) {
    let length = body.len();
    request(
        target,
        &format!("POST /publish/news HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}"),
    );
}

/// Reads until there are `count` events; returns what they consist of, without the first lines.
fn read_events(stream: &mut TcpStream, count: usize) -> String {
    let mut text = String::new();
    while text.matches("\ndata: ").count() < count || !text.ends_with("\n\n") {
        let mut piece = [0; 1_000];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "the stream ended after {text}");
        text += std::str::from_utf8(&piece[..length]).unwrap();
    }
    text.replace("retry: 3000\n\n", "")
}

#[test]
fn channels_reach_the_members_of_all_instances() {
    let redis = Redis::start();
    let [one, two] = [redis.target(), redis.target()];
    let mut ana = join(&one, "/ws/channel/x");
    let mut ben = join(&two, "/ws/channel/x?echo=false");
    let mut eve = join(&two, "/ws/channel/y");
    ana.send(Message::text("from one")).unwrap();
    ben.send(Message::binary(vec![7, 0, 255])).unwrap();
    let mut seen = [ana.read().unwrap(), ana.read().unwrap()];
    seen.sort_by_key(Message::is_binary);
    assert_eq!(seen, [Message::text("from one"), Message::binary(vec![7, 0, 255])]);
    assert_eq!(ben.read().unwrap(), Message::text("from one"));
    eve.send(Message::text("alone")).unwrap();
    assert_eq!(eve.read().unwrap(), Message::text("alone"));
    // What is said in a channel of the application socket.
    let mut apps = [join(&one, "/ws/app?user=ana"), join(&two, "/ws/app?user=ben")];
    for app in &mut apps {
        app.send(Message::text(r#"{"type":"subscribe","channel":"public.a"}"#)).unwrap();
        assert!(app.read().unwrap().to_text().unwrap().contains("subscribed"));
    }
    apps[0].send(Message::text(r#"{"type":"say","channel":"public.a","data":1}"#)).unwrap();
    for app in &mut apps {
        let said = app.read().unwrap();
        assert!(said.to_text().unwrap().contains(r#""user":"ana","data":1"#), "{said}");
    }
    assert_eq!(two.stats()["streams"]["bus_lost"], 0);
    one.end();
    two.end();
}

#[test]
fn events_survive_an_instance_and_a_redis_without_data() {
    let mut redis = Redis::start();
    let [one, two] = [redis.target(), redis.target()];
    let (mut at_one, mut at_two) = (listen(&one, ""), listen(&two, ""));
    publish(&one, "a");
    publish(&two, "b\nc");
    let first = read_events(&mut at_one, 3);
    assert_eq!(read_events(&mut at_two, 3), first, "one order everywhere");
    assert!(first.contains("id: 1\n") && first.contains("id: 2\n"), "{first}");
    one.signal(Signal::KILL);
    assert_eq!(at_one.read(&mut [0; 100]).unwrap_or(0), 0);
    publish(&two, "d");
    assert_eq!(read_events(&mut at_two, 1), "id: 3\ndata: d\n\n");
    // A listener of the killed one goes on at another one, and at one that has just started.
    let three = redis.target();
    for target in [&two, &three] {
        assert_eq!(read_events(&mut listen(target, "2"), 1), "id: 3\ndata: d\n\n");
        let replayed = read_events(&mut listen(target, "0"), 4);
        assert_eq!(replayed, format!("{first}id: 3\ndata: d\n\n"));
    }
    redis.restart();
    // What is published before the connection is made again may be lost; ids go on.
    let mut rest = String::new();
    at_two.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    wait_until("an event comes", || {
        publish(&two, "after");
        let mut piece = [0; 1_000];
        let length = at_two.read(&mut piece).unwrap_or(0);
        rest += std::str::from_utf8(&piece[..length]).unwrap();
        rest.contains("data: after\n\n")
    });
    assert!(rest.starts_with("id: 4\ndata: after\n\n"), "{rest}");
    two.end();
    three.end();
}

#[test]
fn target_without_its_redis_does_not_start() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, part) in
        [(format!("redis://{free}"), "onnection refused"), ("http://h".to_owned(), "Redis at http")]
    {
        let output = Command::new(crate::harness::MANADA)
            .args(["target", "--listen", "127.0.0.1:0", "--redis", &url])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(part), "{error}");
    }
}
