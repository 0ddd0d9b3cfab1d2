//! Tests of names with several addresses, some of which do not respond, and of names without any.
//!
//! The program gets its own files in place of /etc/hosts and /etc/resolv.conf, which needs root.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// Both addresses of one name; glibc sorts the one first that is nearer to its source (RFC 6724
/// §5, rule 9), whatever the order here.
const HOSTS: &str = "127.0.0.1 localhost\n127.0.0.1 shop.test\n127.0.0.2 shop.test\n";

/// A listener that accepts nothing: its queue is full, so the kernel drops further connection
/// attempts.
struct Silent {
    _listener: Socket,
    _queue: Vec<Socket>,
    at: SocketAddr,
}

impl Silent {
    fn new(at: SocketAddr) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&at.into()).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            // In progress, or dropped already.
            let _ = socket.connect(&at.into());
            socket
        };
        let queue = (0..8).map(connect).collect();
        Self { _listener: listener, _queue: queue, at }
    }
}

/// Whether this machine lets a program see other files in place of the system's. Where it does not
/// (no root, or no mount namespaces), these tests check nothing.
fn can_replace_files() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// Responds to a request, and closes.
fn answer(peer: &mut Peer) {
    if peer.request() {
        peer.send(OK);
    }
}

/// Runs two users that make six calls to both addresses at this port, each on its own connection.
fn run(port: u16, keys: &str) -> Value {
    let text = format!(
        "seed: 1\nservices: {{ it: {{ url: \"http://shop.test:{port}\", timeout: 3s, {keys} }} }}\n\
         workloads: {{ w: {{ users: 1, iterations: 6, flow: [ {{ get: /a }} ] }} }}\n"
    );
    let run = Manada::run(&text, &["--shards", "1", "--authorised", "shop.test"]);
    run.instead_of("/etc/hosts", HOSTS).go().measured()
}

/// Returns what the report says about an address: connected, failed, slower.
fn used(report: &Value, address: SocketAddr) -> Option<[u64; 3]> {
    let all = report["addresses"].as_array().unwrap();
    let one = all.iter().find(|one| one["address"] == address.to_string())?;
    assert_eq!(one["service"], "it");
    Some(["connected", "failed", "slower"].map(|key| count(one, key)))
}

#[test]
fn the_next_address_is_tried_beside_a_silent_one() {
    if !can_replace_files() {
        return;
    }
    let silent = Silent::new("127.0.0.1:0".parse().unwrap());
    let port = silent.at.port();
    let server = Server::start_at(([127, 0, 0, 2], port).into(), answer);
    let report = run(port, "");
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    // After it has responded it is tried first.
    assert_eq!(used(&report, silent.at), Some([0, 0, 1]), "{report}");
    assert_eq!(used(&report, server.address()), Some([6, 0, 0]), "{report}");
    assert_eq!(server.seen(), (6, 6));

    let hit = Manada::new(&["hit", &format!("http://shop.test:{port}/"), "-n", "1"]);
    let hit = hit.words(&["--authorised", "shop.test"]).instead_of("/etc/hosts", HOSTS).go();
    let line =
        format!("target: 127.0.0.1:{port} 0 connected, 1 slower; 127.0.0.2:{port} 1 connected");
    // The summary is wrapped at 80 columns.
    let unbroken = hit.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unbroken.contains(&line), "{hit}");
}

#[test]
fn the_next_address_is_tried_at_once_after_a_refusal() {
    if !can_replace_files() {
        return;
    }
    let silent = Silent::new("127.0.0.1:0".parse().unwrap());
    let port = silent.at.port();
    let server = Server::start_at(([127, 0, 0, 2], port).into(), answer);
    let refusing = silent.at;
    drop(silent);
    let report = run(port, "");
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    assert_eq!(used(&report, refusing), Some([0, 1, 0]), "{report}");
    assert_eq!(used(&report, server.address()), Some([6, 0, 0]), "{report}");

    // With `rotate` each connection starts with the next address.
    let report = run(port, "dns: { pick: rotate }");
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    assert_eq!(used(&report, refusing), Some([0, 3, 0]), "{report}");
}

#[test]
fn addresses_that_are_all_silent_run_out_of_time() {
    if !can_replace_files() {
        return;
    }
    let one = Silent::new("127.0.0.1:0".parse().unwrap());
    let port = one.at.port();
    let two = Silent::new(([127, 0, 0, 2], port).into());
    let text = format!(
        "services: {{ it: {{ url: \"http://shop.test:{port}\", timeout: 500ms }} }}\n\
         workloads: {{ w: {{ users: 1, iterations: 2, flow: [ {{ get: /a }} ] }} }}\n"
    );
    let run = Manada::run(&text, &["--shards", "1", "--authorised", "shop.test"]);
    let report = run.instead_of("/etc/hosts", HOSTS).go().measured();
    assert_eq!(count(&report, "calls.timeout"), 2, "{report}");
    let error = &report["errors"][0];
    assert_eq!((&error["phase"], &error["kind"]), (&"connect".into(), &"timeout".into()));
    assert_eq!(used(&report, one.at), Some([0, 2, 0]), "{report}");
    assert_eq!(used(&report, two.at), Some([0, 2, 0]), "{report}");
}

/// Starts a name server whose answers depend on the first label of the name.
fn name_server() -> Option<SocketAddr> {
    let Ok(socket) = UdpSocket::bind("127.0.0.9:53") else {
        return None;
    };
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let mut answer = question[..length].to_vec();
            let is_v4 = answer[length - 3] == 1;
            // Recursion is available: glibc ignores an empty answer of a server without it.
            (answer[2], answer[3]) = (answer[2] | 0x80, 0x80);
            match &answer[13..length] {
                name if name.starts_with(b"servfail") => answer[3] |= 2,
                name if name.starts_with(b"nx") => answer[3] |= 3,
                name if name.starts_with(b"refused") => answer[3] |= 5,
                name if name.starts_with(b"silent") => continue,
                name if name.starts_with(b"v4") && is_v4 => {
                    answer[7] = 1;
                    // A pointer to the name above; its IPv4 address is 127.0.0.1.
                    answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\0");
                    answer.extend([0, 4, 127, 0, 0, 1]);
                }
                _ => {}
            }
            // Additional records of the question are not repeated.
            (answer[10], answer[11]) = (0, 0);
            socket.send_to(&answer, from).unwrap();
        }
    });
    Some(at)
}

#[test]
fn names_without_an_address_have_a_kind_by_the_reason() {
    if !can_replace_files() {
        return;
    }
    let Some(server) = name_server() else { return };
    let resolver = format!("nameserver {}\noptions timeout:1 attempts:1\n", server.ip());
    let text = "seed: 1\nservices:\n  nx: { url: \"http://nx.test\" }\n  \
        servfail: { url: \"http://servfail.test\" }\n  \
        refused: { url: \"http://refused.test\" }\n  \
        empty: { url: \"http://empty.test\" }\n  \
        v4: { url: \"http://v4.test\", dns: { family: 6 } }\n  \
        silent: { url: \"http://silent.test\", timeout: 20s }\nworkloads:\n  w:\n    users: 1\n    \
        iterations: 1\n    flow:\n      - { get: /, service: nx }\n      \
        - { get: /, service: servfail }\n      - { get: /, service: refused }\n      \
        - { get: /, service: empty }\n      - { get: /, service: v4 }\n      \
        - { get: /, service: silent }\n";
    let hosts = ["nx", "servfail", "refused", "empty", "v4", "silent"];
    let mut run = Manada::run(text, &["--shards", "1"]);
    for host in hosts {
        run = run.words(&["--authorised", &format!("{host}.test")]);
    }
    let report = run.instead_of("/etc/resolv.conf", &resolver).go().measured();
    let kind = |step: &Value| (step["error"]["phase"].clone(), step["error"]["kind"].clone());
    let mut kinds: Vec<String> = (report["exemplars"].as_array().unwrap().iter())
        .map(|one| {
            let (phase, kind) = kind(one);
            assert_eq!(phase, "dns", "{report}");
            assert_eq!(one["count"], 1, "{report}");
            assert!(!one["error"]["said"].as_str().unwrap().is_empty(), "{report}");
            kind.as_str().unwrap().to_owned()
        })
        .collect();
    kinds.sort();
    let expected = [
        "dns_refused",
        "dns_servfail",
        "dns_timeout",
        "no_address",
        "no_address_of_family",
        "no_such_name",
    ];
    assert_eq!(kinds, expected, "{report}");
}
