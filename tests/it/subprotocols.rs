//! The shipped archetypes of protocols over WebSocket against real servers: Socket.IO and
//! graphql-ws from npm, RabbitMQ with its web-stomp plugin. What Manada counted is what the server
//! counted.
//!
//! Invariant: a machine without these servers fails the tests that need them, with advice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use manada::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Manada, Tied};

const ADVICE: &str = "run scripts/test, which installs it where it can";

/// Users of each run.
const USERS: u64 = 5;

/// A server of `tests/node`, which counts what it got and sent. It ends with its handle.
struct NodeServer {
    process: Tied,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl NodeServer {
    fn start(script: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = root.join("target/node/node_modules");
        assert!(modules.join(".complete").exists(), "this test needs servers from npm: {ADVICE}");
        let mut child = Command::new("node")
            .arg(root.join("tests/node").join(script))
            .env("NODE_PATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs node: {error}; {ADVICE}"));
        let output = child.stdout.take().unwrap();
        let process = Tied(child);
        let mut output = BufReader::new(output);
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let address = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
        Self { process, output, address }
    }

    /// Ends it; returns what it counted.
    fn counts(mut self) -> Value {
        drop(self.process.0.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// A RabbitMQ of its own, with a port mapper of its own. It ends with its handle.
struct RabbitMq {
    web_stomp: SocketAddr,
    metrics: SocketAddr,
    // Dropped in this order: the script that waits for the broker first.
    _script: Tied,
    _port_mapper: Tied,
    folder: TempDir,
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let id = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        if let Some(id) = id.trim().parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

/// Starts a program whose output goes to a file.
fn spawn(command: &mut Command, output: &Path) -> Child {
    let output = std::fs::File::create(output).unwrap();
    command
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output)
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs rabbitmq-server: {error}; {ADVICE}"))
}

/// A free port below those of outgoing connections: the broker takes seconds until it listens, and
/// other tests open thousands of connections meanwhile.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let is_free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    let ports = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Relaxed);
        SocketAddr::from(([127, 0, 0, 1], 20_000 + (number % 12_000) as u16))
    });
    ports.take(12_000).find(is_free).unwrap()
}

impl RabbitMq {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| -> PathBuf { folder.path().join(name) };
        let [web_stomp, metrics, amqp, distribution, mapper] = [(); 5].map(|()| free_address());
        let config = format!(
            "listeners.tcp.1 = {amqp}\nweb_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = {}\n\
             prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {}\n\
             stomp.listeners.tcp = none\ndisk_free_limit.absolute = 10MB\n",
            web_stomp.port(),
            metrics.port()
        );
        std::fs::write(at("rabbitmq.conf"), config).unwrap();
        std::fs::write(at("plugins"), "[rabbitmq_web_stomp,rabbitmq_prometheus].\n").unwrap();
        let mapper_port = mapper.port().to_string();
        let mut mapper = Command::new("epmd");
        mapper.args(["-port", &mapper_port, "-address", "127.0.0.1"]);
        let port_mapper = Tied(spawn(&mut mapper, &at("epmd.log")));
        // The script on the path would change to the user `rabbitmq`.
        let mut broker = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        broker
            .env("HOME", folder.path())
            .env("RABBITMQ_NODENAME", format!("manada{}@localhost", amqp.port()))
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
            .env("RABBITMQ_PID_FILE", at("pid"))
            .env("RABBITMQ_DIST_PORT", distribution.port().to_string())
            .env("ERL_EPMD_PORT", &mapper_port)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            );
        let script = Tied(spawn(&mut broker, &at("broker.log")));
        let started =
            Self { web_stomp, metrics, _script: script, _port_mapper: port_mapper, folder };
        let log = || {
            let path = started.folder.path().join("broker.log");
            std::fs::read_to_string(path).unwrap_or_default()
        };
        let is_up = || log().contains("Starting broker... completed");
        assert!(wait_until(is_up), "RabbitMQ does not start:\n{}", log());
        started
    }

    /// The sum of a counter over its labels.
    fn count(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let lines = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.sum::<f64>() as u64
    }
}

/// Waits until a condition holds, for two minutes at most.
fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    (0..2_400).any(|_| {
        let has_held = holds();
        if !has_held {
            clock::block_on(clock::sleep_until(clock::now() + Duration::from_millis(50))).unwrap();
        }
        has_held
    })
}

/// A run with users of a shipped archetype, and other workloads.
fn users(archetype: &str, address: SocketAddr, others: &str) -> Manada {
    let scenario = format!(
        "services: {{ server: \"ws://{address}\" }}\n\
         grace: 10s\n\
         workloads:\n\
         \x20 users: {{ archetypes: {{ {archetype}: 1 }}, users: {USERS}, duration: 3s }}\n\
         {others}\
         thresholds: [ calls > 0 ]\n"
    );
    Manada::run(&scenario, &[])
}

/// Runs it: nothing fails, and no message is lost.
fn run(users: Manada) -> Value {
    let report = users.go().measured();
    assert_eq!(report["messages"]["adds_up"], true, "{}", report["messages"]);
    for wrong in ["lost", "missed", "unsent", "open", "duplicated", "reordered", "dropped"] {
        assert_eq!(report["messages"][wrong], 0, "{wrong}: {}", report["messages"]);
    }
    for wrong in ["failed", "timeout", "generator_errors"] {
        assert_eq!(report["calls"][wrong], 0, "{wrong}: {report:#}");
    }
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check}");
    }
    report
}

/// The sum of a count over all steps of a name; `at` is its place in a step.
fn sum(report: &Value, name: &str, at: &str) -> u64 {
    let steps = report["steps"].as_array().unwrap().iter();
    let named: Vec<&Value> = steps.filter(|step| step["name"] == name).collect();
    assert!(!named.is_empty(), "no step {name}: {report:#}");
    // A step without messages has no counts of them.
    let of = |step: &&Value| step.pointer(at).and_then(Value::as_u64).unwrap_or(0);
    named.iter().map(of).sum()
}

fn calls(report: &Value, name: &str) -> u64 {
    sum(report, name, "/calls/ok")
}

fn received(report: &Value, name: &str) -> u64 {
    sum(report, name, "/messages/counts/received")
}

/// Compares the messages of a run with the counts of its server.
fn compare(report: &Value, counts: &Value, answer: &str) {
    let sent = calls(report, "say");
    assert!(sent >= 2 * USERS, "{counts}");
    assert_eq!(counts["connections"], USERS, "{counts}");
    assert_eq!((&counts["said"], calls(report, answer)), (&Value::from(sent), sent), "{counts}");
    // What comes to a user between its subscription and its listener is not heard: on a busy
    // machine others have begun to speak by then.
    let (delivered, heard) = (counts["delivered"].as_u64().unwrap(), received(report, "heard"));
    assert!(heard <= delivered && delivered <= heard + USERS, "{heard} heard: {counts}");
    // Each ping that came before the close was answered.
    let (pings, pongs) = (counts["pings"].as_u64().unwrap(), counts["pongs"].as_u64().unwrap());
    let seen = received(report, "pings");
    assert!(pongs > 0 && pongs <= seen && seen <= pings, "{seen} pings: {counts}");
    assert!(pings <= pongs + USERS, "{seen} pings: {counts}");
}

#[test]
fn socket_io_counts_what_the_archetype_counted() {
    let server = NodeServer::start("socket-io.js");
    let report = run(users("socket-io", server.address, ""));
    let counts = server.counts();
    compare(&report, &counts, "acknowledged");
    let said = calls(&report, "say");
    for count in ["acknowledged", "asked", "answered"] {
        assert_eq!(counts[count], said, "{count}: {counts}");
    }
    assert_eq!(received(&report, "questions"), said);
}

#[test]
fn graphql_ws_counts_what_the_archetype_counted() {
    let server = NodeServer::start("graphql-ws.js");
    let report = run(users("graphql-ws", server.address, ""));
    let counts = server.counts();
    compare(&report, &counts, "result");
    assert_eq!(counts["subscriptions"], USERS, "{counts}");
}

#[test]
fn rabbitmq_counts_what_the_archetype_of_stomp_counted() {
    let broker = RabbitMq::start();
    // A user that is as good as silent, so that heart-beats are sent on both sides.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("archetypes/stomp.yaml");
    let mut quiet = std::fs::read_to_string(shipped).unwrap();
    for (text, other) in [
        ("archetype: stomp", "archetype: quiet"),
        ("pace: 1s", "pace: 10s"),
        ("/topic/manada", "/topic/quiet"),
        ("heart-beat:10000,10000", "heart-beat:1000,1000"),
    ] {
        assert_eq!(quiet.matches(text).count(), 1, "{text}");
        quiet = quiet.replace(text, other);
    }
    let silent = "\x20 quiet: { archetypes: { quiet: 1 }, users: 1, duration: 4s }\n";
    let users = users("stomp", broker.web_stomp, silent).file("archetypes/quiet.yaml", quiet);
    let report = run(users);
    assert!(received(&report, "heart-beats") > 0, "{report:#}");
    // Without them the broker closes after three seconds.
    let closed = serde_json::json!({ "1000 by us": USERS + 1 });
    assert_eq!(report["streams"]["closed"], closed, "{report:#}");
    let (sent, heard) = (calls(&report, "say"), received(&report, "heard"));
    assert!(sent >= 2 * USERS && heard >= sent, "{report:#}");
    assert_eq!(calls(&report, "receipt"), sent);
    let answered = report["checks"].as_array().unwrap().iter();
    let answered: u64 = answered
        .filter(|check| check["name"] == "reply 1" && check["step"] == "heard")
        .map(|check| check["passed"].as_u64().unwrap())
        .sum();
    assert_eq!(answered, heard, "each message is acknowledged: {report:#}");
    // The broker counts an acknowledgement when it has read it.
    let metric = |name: &str| broker.count(&format!("rabbitmq_global_messages_{name}_total"));
    wait_until(|| metric("acknowledged") >= heard);
    let counts = ["received", "confirmed", "delivered", "acknowledged"].map(metric);
    assert_eq!(counts, [sent, sent, heard, heard]);
}
