//! The server from outside: on a free loopback port, with clients that send raw bytes.

mod app_tests;
mod events_tests;
mod limits_tests;
mod tokens_tests;
mod websocket_tests;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::clock;
use crate::curve::Distribution;
use crate::seed::Seed;

/// A server on a separate thread.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

fn config() -> TestServerConfig {
    TestServerConfig::new(Seed::new(1).unwrap())
}

impl Running {
    fn start(config: TestServerConfig) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            clock::block_on(serve(listener, config, async {
                let _ = stopped.await;
            }))
            .flatten()
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn stats(&self) -> Value {
        let response = self.ask("GET /stats HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Sends bytes on a new connection and reads to its end.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    }

    fn stop(mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

fn rest(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8(response).unwrap()
}

/// Reads one response with a content-length; returns its head and body.
fn read_response(stream: &mut TcpStream) -> (String, String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split_once("content-length: ").unwrap().1.split_once('\r').unwrap().0;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// One request after another on one connection: request, status, a part of head or body.
#[test]
fn every_route_responds() {
    let target = Running::start(config());
    let mut stream = target.connect();
    for (request, status, part) in [
        (get("/"), 200, "<h1>A shop</h1>"),
        (get("/?x=1"), 200, "text/html"),
        (get("/products?page=2"), 200, "{\"items\":[{\"id\":21,"),
        (get("/products"), 200, "\"page\":1}"),
        (get("/products?page=99"), 200, "{\"items\":[],\"page\":99}"),
        (get("/products?page=x"), 400, ""),
        (get("/products/7"), 200, "{\"id\":7,\"name\":\"drum 7\""),
        (get("/products/500"), 200, "\"id\":500"),
        (get("/products/501"), 404, ""),
        (get("/premium/101"), 200, "\"id\":101"),
        (get("/search?q=a+b%22"), 200, "\"q\":\"a b\\\"\""),
        (post("/login", "{\"user\":\"ana\"}"), 200, "set-cookie: session="),
        (post("/login", "user=ana&password=x"), 200, "\"user\":\"ana\""),
        (get("/login"), 405, "allow: POST"),
        (post("/cart", "{\"id\":7}"), 201, "{\"id\":7,\"authorized\":false}"),
        (post("/cart", "x"), 201, "location: /cart"),
        (get("/cart"), 200, "\"items\":[]"),
        (post("/logout", ""), 200, "Max-Age=0"),
        (get("/recommended"), 200, "{\"items\":[{\"id\":1,"),
        (get("/bargains"), 200, "\"id\":110"),
        (get("/n/2"), 200, "{\"n\":\"2\"}"),
        (get("/bytes/100000"), 200, "content-length: 100000\r\n"),
        (get("/bytes/0"), 200, "content-length: 0\r\n"),
        (get("/bytes/999999999"), 413, ""),
        (get("/export/all"), 200, "content-length: 262144\r\n"),
        (get("/old"), 302, "location: /\r\n"),
        (get("/status/418"), 418, ""),
        (get("/status/999"), 999, ""),
        (get("/status/1000"), 400, ""),
        (get("/nowhere"), 404, ""),
        (get("http://h/products/3"), 200, "\"id\":3"),
        (post("/echo?a=b", "hey"), 200, "\"target\":\"/echo?a=b\""),
        (post("/upload", "12345"), 201, "{\"bytes\":5}"),
        (post("/stall?for=x", ""), 400, ""),
        (get("/arrivals"), 404, ""),
    ] {
        stream.write_all(request.as_bytes()).unwrap();
        let (head, body) = read_response(&mut stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{head}");
        assert!(head.contains(part) || body.contains(part), "{request}{head}{body}");
    }
    target.stop();
}

#[test]
fn segmented_and_pipelined_requests_are_served() {
    let target = Running::start(config());
    let chunked = "POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
        3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let last = "GET /n/9 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let all = format!("{}{chunked}{}{last}", get("/n/1"), post("/upload", "abc"));
    // Four responses in order, however the requests are segmented.
    for step in [1, 7, 10_000] {
        let mut stream = target.connect();
        stream.set_nodelay(true).unwrap();
        for piece in all.as_bytes().chunks(step) {
            stream.write_all(piece).unwrap();
        }
        let responses = rest(&mut stream);
        let places: Vec<_> =
            ["{\"n\":\"1\"}", "\"body\":\"hello\"", "{\"bytes\":3}", "\"n\":\"9\""]
                .iter()
                .map(|part| responses.find(part).unwrap_or_else(|| panic!("{part} in {responses}")))
                .collect();
        assert!(places.is_sorted(), "{responses}");
    }
    target.stop();
}

#[test]
fn connections_are_closed_as_required() {
    let target = Running::start(config());
    let long = format!("GET / HTTP/1.1\r\nhost: h\r\na: {}\r\n\r\n", "b".repeat(40_000));
    for (request, begin, end) in [
        ("HEAD /n/1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "200", "close\r\n\r\n"),
        ("GET /n/1 HTTP/1.0\r\n\r\n", "200", "{\"n\":\"1\"}"),
        ("GET /status/204 HTTP/1.0\r\n\r\n", "204", "connection: close\r\n\r\n"),
        ("nonsense\r\n\r\n", "400", "Bad Request\n"),
        ("GET / HTTP/1.1\r\n\r\n", "400", "Bad Request\n"),
        ("PUT /x HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999999\r\n\r\n", "413", "Large\n"),
        (
            "PUT /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nx\r\nmore",
            "400",
            "Bad Request\n",
        ),
        (&long, "431", "Too Large\n"),
    ] {
        let response = target.ask(request);
        assert!(response.starts_with(&format!("HTTP/1.1 {begin} ")), "{response}");
        assert!(response.ends_with(end), "{response}");
    }
    // HTTP/1.0 with keep-alive is kept open, and the response says so; Expect gets its response
    // before the body.
    let mut stream = target.connect();
    stream.write_all(b"GET /n/1 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").unwrap();
    assert!(read_response(&mut stream).0.contains("connection: keep-alive\r\n"));
    stream
        .write_all(b"PUT /file HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\n")
        .and_then(|()| stream.write_all(b"content-length: 2\r\n\r\n"))
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    assert_eq!(read_response(&mut stream).1, "{\"bytes\":2}");
    target.stop();
}

#[test]
fn counts_are_exact() {
    let threads = 2;
    let target = Running::start(TestServerConfig { threads, ..config() });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut stream = target.connect();
                for n in 0..100 {
                    let path = if n % 10 == 0 { "/nowhere" } else { "/products/1" };
                    stream.write_all(get(path).as_bytes()).unwrap();
                    read_response(&mut stream);
                }
            });
        }
    });
    target.ask("bad\r\n\r\n");
    let stats = target.stats();
    for (place, count) in [
        ("/requests", 801),
        ("/held", 0),
        ("/routes/~1products~1{id}", 720),
        ("/routes/missing", 80),
        ("/routes/malformed", 1),
        ("/status/200", 720),
        ("/status/404", 80),
        ("/status/400", 1),
        ("/connections/opened", 10),
        ("/faults/status", 0),
        ("/log/lost", 0),
    ] {
        assert_eq!(stats.pointer(place), Some(&Value::from(count)), "{place} in {stats}");
    }
    target.stop();
}

/// The same seed selects the same requests; the counts of faults are exact.
#[test]
fn faults_follow_share_and_seed() {
    let fail = ["10%:503", "10%:reset", "10%:close"].map(|text| text.parse().unwrap()).to_vec();
    let runs = [0, 1].map(|_| {
        let target = Running::start(TestServerConfig { fail: fail.clone(), ..config() });
        let mut seen = String::new();
        let mut stream = target.connect();
        for _ in 0..300 {
            stream.write_all(get("/n/1").as_bytes()).unwrap();
            let mut byte = [0; 1];
            match stream.read(&mut byte) {
                Ok(0) => seen.push('c'),
                Ok(_) => {
                    let ok = read_response(&mut stream).0.contains(" 200 OK");
                    seen.push(if ok { '.' } else { '5' });
                    continue;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    seen.push('r');
                }
            }
            stream = target.connect();
        }
        let stats = target.stats();
        for (letter, place) in
            [('5', "/faults/status"), ('r', "/faults/reset"), ('c', "/faults/close")]
        {
            let count = seen.matches(letter).count();
            assert_eq!(stats.pointer(place), Some(&Value::from(count)), "{place}");
            // 300 draws of 10 %: 30, and four standard deviations are 21.
            assert!((9..=51).contains(&count), "{place}: {count}");
        }
        target.stop();
        seen
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn hang_sends_nothing_and_closed_client_counts_as_gone() {
    let fail = vec!["100%:hang".parse().unwrap()];
    let target = Running::start(TestServerConfig { fail, ..config() });
    let mut stream = target.connect();
    stream.write_all(get("/").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silence = stream.read(&mut [0]).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    assert_eq!(target.stats().pointer("/faults/hang"), Some(&Value::from(1)));
    target.stop();

    let latency = Some(Distribution::constant(Duration::from_hours(1)));
    let target = Running::start(TestServerConfig { latency, ..config() });
    let mut stream = target.connect();
    stream.write_all(get("/").as_bytes()).unwrap();
    while target.stats()["held"] == 0 {}
    drop(stream);
    while target.stats()["gone"] == 0 {}
    assert_eq!(target.stats()["held"], 0);
    target.stop();
}

/// A stall that begins while a request is pending delays it further; no response comes early.
#[test]
fn latency_and_stalls_are_exact() {
    let ms = Duration::from_millis;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.csv");
    let stalls = vec!["30ms@10ms".parse().unwrap()];
    let latency = Some(Distribution::constant(ms(20)));
    let target =
        Running::start(TestServerConfig { stalls, latency, log: Some(log.clone()), ..config() });
    let mut stream = target.connect();
    let intended = "GET /n/1 HTTP/1.1\r\nhost: h\r\nmanada-intended: 17 123456\r\n\r\n";
    stream.write_all(intended.as_bytes()).unwrap();
    read_response(&mut stream);
    stream.write_all(post("/stall?for=40ms", "").as_bytes()).unwrap();
    assert!(read_response(&mut stream).0.contains(" 200 "));
    stream.write_all(get("/products/3").as_bytes()).unwrap();
    read_response(&mut stream);
    stream.write_all(get("/arrivals").as_bytes()).unwrap();
    assert!(read_response(&mut stream).1.contains("\"log\":{\"written\":2,\"lost\":0}"));
    // One more is pending when the server ends: it is in the log as cut.
    stream.write_all(get("/").as_bytes()).unwrap();
    while target.stats()["held"] == 0 {}
    target.stop();

    let text = std::fs::read_to_string(log).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(log::HEADER.trim_end()));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    for (row, route, response, index, took) in [
        (&rows[0], "/n/{n}", "200", "17", 50),
        (&rows[1], "/products/{id}", "200", "", 20),
        (&rows[2], "/", "cut", "", 0),
    ] {
        assert_eq!((row[3], row[4], row[5]), (route, response, index));
        assert_eq!(row[2], "20000000");
        let (arrived, done): (u64, u64) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        assert!(done.saturating_sub(arrived) >= took * 1_000_000, "{row:?}");
    }
    assert_eq!((rows.len(), rows[0][6]), (3, "123456"));
}
