//! Steps over TCP, UDP and DNS: against a real Redis as a line protocol, dnsmasq, and sockets of
//! the test.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::instances::Redis;
use crate::real_servers::{RealServer, free, program, start};

fn scenario(services: &str, users: u64, steps: &str) -> String {
    format!(
        "
scenario: lines
services: {{ {services} }}
workloads: {{ w: {{ users: {users}, iterations: {}, archetypes: {{ a: 1 }} }} }}
archetypes: {{ a: {{ flow: [ {steps} ] }} }}
thresholds: [ 'errors < 100%' ]
",
        users * 30
    )
}

fn statuses(report: &Value) -> Vec<(String, u64)> {
    let all = report["status"].as_object().unwrap();
    all.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}

#[test]
fn a_line_protocol_is_called_over_tcp() {
    let redis = Redis::start();
    let steps = r#"
{ tcp: "SET k {{ user.number }}\r\n", expect: { body: { equals: "+OK\r\n" } } },
{ tcp: "GET k\r\n", name: value, until: "\r\n", check: { body: { starts_with: "$1" } } },
{ tcp: "PING\r\n", length: 7, name: ping, capture: { pong: { regex: "[A-Z]+" } } },
{ tcp: { base64: "UElORw0K" }, until_bytes: "DQo=", name: bytes },
{ if: "{{ pong == 'PONG' }}", do: [ { tcp: "INCR n\r\n", name: count } ] }"#;
    let service = format!("line: 'tcp://{}'", redis.address);
    let done = Manada::run(&scenario(&service, 4, steps), &[]).go();
    let report = done.measured();
    // `GET` answers with two lines: the second ends the connection, as the step did not ask for it.
    assert_eq!(statuses(&report), [("tcp OK".to_owned(), 600)], "{done}");
    assert_eq!(count(&report, "calls.failed"), 0);
    assert_eq!(count(&report, "connections.opened"), 4 + 4 * 30 - 4 + 4, "{done}");
    let port = redis.address.port().to_string();
    let n = Command::new("redis-cli").args(["-p", &port, "GET", "n"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&n.stdout).trim(), "120");
}

#[test]
fn the_end_of_a_connection_or_nothing_ends_a_response() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        use std::io::{Read, Write};
        let mut received = Vec::new();
        // 30 connections of `ask`, one of `tell`.
        for _ in 0..31 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut begin = [0; 4];
            stream.read_exact(&mut begin).unwrap();
            if &begin == b"ask\n" {
                stream.write_all(b"until the end").unwrap();
            } else {
                received.extend_from_slice(&begin);
                stream.read_to_end(&mut received).unwrap();
            }
        }
        received
    });
    let ask = "{ tcp: \"ask\\n\", until_close: true, name: ask, service: ask, \
               expect: { body: { equals: until the end } } }";
    let done = Manada::run(&scenario(&format!("ask: 'tcp://{address}'"), 1, ask), &[]).go();
    let report = done.measured();
    assert_eq!(count(&report, "calls.ok"), 30, "{done}");
    let tell = "{ tcp: \"{{ user.iteration }},\", response: false }";
    let done = Manada::run(&scenario(&format!("t: 'tcp://{address}'"), 1, tell), &[]).go();
    assert_eq!(count(&done.measured(), "calls.ok"), 30, "{done}");
    let received = String::from_utf8(server.join().unwrap()).unwrap();
    let numbers: Vec<String> = (0..30).map(|n| format!("{n},")).collect();
    assert_eq!(received, numbers.concat(), "one connection has all of them, in order");
}

/// A server that answers the datagrams that it gets, but for `lost` and `gone`; it returns their
/// number.
fn answer(socket: UdpSocket) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let (mut buffer, mut count) = ([0; 2_000], 0);
        loop {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            match &buffer[..length] {
                b"stop" => return count,
                b"lost" | b"gone" => {}
                other => {
                    let _ = socket.send_to(other, from).unwrap();
                }
            }
            count += 1;
        }
    })
}

#[test]
fn datagrams_are_sent_and_answered_or_time_out() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    let server = answer(socket);
    let steps = r#"
{ udp: "ping {{ user.number }}", check: { body: { matches: "^ping [0-9]$" } } },
{ udp: "gone", response: false, name: told },
{ udp: "lost", timeout: 20ms, name: lost }"#;
    let done = Manada::run(&scenario(&format!("u: 'udp://{address}'"), 3, steps), &[]).go();
    let report = done.measured();
    assert_eq!(count(&report, "calls.ok"), 180, "{done}");
    assert_eq!(count(&report, "calls.timeout"), 90);
    assert_eq!(report["checks"][0]["failed"], 0);
    // A datagram that comes after its call has timed out is no response to the next one.
    assert!(count(&report, "connections.opened") >= 90, "{done}");
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"stop", address).unwrap();
    assert_eq!(server.join().unwrap(), 270);

    // Nothing listens there any more: the kernel reports it for the next datagram.
    let done = Manada::run(
        &scenario(&format!("u: 'udp://{address}'"), 1, "{ udp: ping, timeout: 1s }"),
        &[],
    )
    .go();
    let report = done.report(4);
    assert_eq!(report["errors"][0]["kind"], "refused", "{done}");
}

/// dnsmasq with a few records of its own, which asks no other server.
fn dnsmasq() -> (RealServer, SocketAddr) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let mut command = Command::new(program("dnsmasq", "dnsmasq-base"));
    command
        .args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--conf-file="])
        .args(["--bind-interfaces", "--listen-address=127.0.0.1", "--pid-file"])
        .arg(format!("--port={}", address.port()))
        .args(["--host-record=shop.test,127.0.0.2", "--txt-record=shop.test,v=1"])
        .args(["--local=/test/", "--mx-host=shop.test,mx.shop.test,10"]);
    (start(command, folder, &[address]), address)
}

#[test]
fn name_servers_are_asked_over_udp_and_tcp() {
    let (_server, address) = dnsmasq();
    let steps = r#"
{ dns: shop.test, check: { json: { "$.answers[0].data": 127.0.0.2 } } },
{ dns: "{{ choice(['shop', 'SHOP']) }}.test", type: TXT,
  check: { json: { "$.answers[0].data": "v=1" } } },
{ dns: shop.test, type: MX, service: t, check: { json: { "$.answers[0].data": 10 mx.shop.test } } },
{ dns: "nobody-{{ user.iteration }}.test", name: nobody, check: { status: NXDOMAIN } },
{ dns: other.example, name: refused }"#;
    let services = format!("u: 'dns://{address}', t: 'dns+tcp://{address}'");
    let done = Manada::run(&scenario(&services, 3, steps), &[]).go();
    let report = done.measured();
    let expected = [("dns NOERROR", 270), ("dns NXDOMAIN", 90), ("dns REFUSED", 90)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(statuses(&report), expected, "{done}");
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check} {done}");
    }
    assert_eq!(count(&report, "calls.failed"), 90);
    let port = address.port();
    assert_eq!(
        report["exemplars"][0]["curl"],
        format!("dig @'127.0.0.1' -p {port} 'other.example' A")
    );
}
