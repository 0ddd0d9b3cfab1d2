//! Streams against a real nginx with nchan: event streams and WebSockets of two instances that
//! share channels through a real Redis, one of which is killed in mid-run.
//!
//! Invariant: a machine without nchan or Redis fails the tests that need them, with advice.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use manada::clock;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Manada, Tied};
use crate::instances::Redis;
use crate::real_servers::program;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// A running nginx with nchan. It ends with its handle.
struct Nchan {
    process: Tied,
    address: SocketAddr,
    folder: TempDir,
}

impl Nchan {
    fn start(redis: &Redis) -> Self {
        assert!(
            Path::new(MODULE).exists(),
            "this test needs nchan: `apt-get install libnginx-mod-nchan`, or run scripts/test"
        );
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let redis = redis.address;
        let config = format!(
            "load_module {MODULE};\n\
             daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
             fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             nchan_shared_memory_size 16m;\n\
             upstream bus {{ nchan_redis_server redis://{redis}; }}\n\
             server {{ listen {address};\n\
             location ~ ^/pub/(\\w+)$ {{ nchan_publisher; nchan_channel_id $1;\n\
             nchan_redis_pass bus; nchan_message_timeout 60s;\n\
             nchan_message_buffer_length 1000; }}\n\
             location ~ ^/sub/(\\w+)$ {{ nchan_subscriber websocket eventsource;\n\
             nchan_channel_id $1; nchan_redis_pass bus; nchan_subscriber_first_message newest; }}\n\
             }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        Self { process: spawn(&folder, address), address, folder }
    }

    /// Kills it and starts it again at its address.
    fn restart(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.0.wait().unwrap();
        self.process = spawn(&self.folder, self.address);
    }
}

fn spawn(folder: &TempDir, address: SocketAddr) -> Tied {
    let path = folder.path().to_str().unwrap();
    let child = Command::new(program("nginx", "nginx-light"))
        .args(["-p", path, "-c", &format!("{path}/nginx.conf")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs nginx: run scripts/test");
    let tied = Tied(child);
    let open = (0..2_000_000).any(|_| {
        std::thread::yield_now();
        TcpStream::connect(address).is_ok()
    });
    assert!(open, "nginx does not listen at {address}");
    tied
}

/// Listeners at both instances, over both protocols, and a publisher at the second.
fn scenario(first: &Nchan, second: &Nchan, publishes: &str, listens: &str) -> String {
    let (first, second) = (first.address, second.address);
    let reconnect = "reconnect: { max: 100, backoff: { base: 50ms, max: 200ms } }";
    format!(
        "services: {{ one: \"http://{first}\", two: \"http://{second}\", \
         socket: \"ws://{second}\" }}\n\
         grace: 5s\n\
         archetypes:\n\
         \x20 events:\n\
         \x20   on_start: [ {{ listen: /sub/news, service: one, stamp: true, channel: news, \
         name: events, {reconnect} }} ]\n\
         \x20   flow: [ {{ pause: 100ms }} ]\n\
         \x20 sockets:\n\
         \x20   on_start: [ {{ listen: /sub/news, service: socket, stamp: true, channel: news, \
         name: sockets, {reconnect} }} ]\n\
         \x20   flow: [ {{ pause: 100ms }} ]\n\
         \x20 publisher:\n\
         \x20   pace: 20ms\n\
         \x20   flow: [ {{ post: /pub/news, service: two, body: hello, stamp: true, channel: news, \
         name: publish }} ]\n\
         workloads:\n\
         \x20 events: {{ archetypes: {{ events: 1 }}, users: 5, duration: {listens} }}\n\
         \x20 sockets: {{ archetypes: {{ sockets: 1 }}, users: 5, duration: {listens} }}\n\
         \x20 publisher: {{ archetypes: {{ publisher: 1 }}, users: 1, start: 1s, \
         duration: {publishes} }}\n\
         thresholds: [ calls > 0 ]\n"
    )
}

fn step<'r>(report: &'r Value, name: &str) -> &'r Value {
    let mut steps = report["steps"].as_array().unwrap().iter();
    &steps.find(|step| step["name"] == name).unwrap()["messages"]
}

#[test]
fn every_listener_gets_every_message_of_nchan() {
    let redis = Redis::start();
    let (first, second) = (Nchan::start(&redis), Nchan::start(&redis));
    let report = Manada::run(&scenario(&first, &second, "2s", "4s"), &[]).go().measured();
    let messages = &report["messages"];
    let sent = messages["sent"].as_u64().unwrap();
    assert!(sent >= 50, "{messages}");
    assert_eq!(messages["adds_up"], true, "{messages}");
    for name in ["events", "sockets"] {
        let counts = &step(&report, name)["counts"];
        assert_eq!(counts["due"], 5 * sent, "{name}: {counts}");
        assert_eq!(counts["delivered"], 5 * sent, "{name}: {counts}");
        assert_eq!(counts["duplicated"], 0, "{name}: {counts}");
        assert_eq!(step(&report, name)["delivery_us"]["count"], 5 * sent, "{name}");
    }
}

#[test]
fn killed_instance_is_left_and_found_again_and_the_ledger_says_what_was_missed() {
    let redis = Redis::start();
    let (mut first, second) = (Nchan::start(&redis), Nchan::start(&redis));
    let running = Manada::run(&scenario(&first, &second, "5s", "8s"), &[]).start();
    // The publisher begins after a second; the kill comes in the middle of its messages.
    clock::block_on(clock::sleep_until(clock::now() + Duration::from_secs(3))).unwrap();
    first.restart();
    let report = running.wait().measured();
    let (messages, streams) = (&report["messages"], &report["streams"]);
    let sent = messages["sent"].as_u64().unwrap();
    assert_eq!(messages["adds_up"], true, "{messages}");
    assert!(streams["reconnects"].as_u64().unwrap() >= 5, "{streams}");
    assert_eq!(streams["peak"], 10, "{streams}");
    let counts = &step(&report, "sockets")["counts"];
    assert_eq!(counts["delivered"], 5 * sent, "the other instance: {counts}");
    // What the publisher sent is what each listener got or missed, to the message.
    let counts = &step(&report, "events")["counts"];
    let of = |name: &str| counts[name].as_u64().unwrap();
    let settled = of("delivered") + of("missed") + of("lost") - of("late") - of("replayed");
    assert_eq!(of("due"), 5 * sent, "{counts}");
    assert_eq!(settled, 5 * sent, "{counts}");
    assert!(of("delivered") > 0 && of("lost") == 0, "missed, not lost: {counts}");
}
