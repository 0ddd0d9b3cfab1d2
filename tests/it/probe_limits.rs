//! `manada probe-limits` against real limiters: nginx, HAProxy, the built-in target, and targets
//! that lie, fail or die.
//!
//! Invariant: what the program reports as certain is asserted, on a machine of any speed; a probe
//! that reports that it is uncertain is repeated once.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rustix::process::Signal;
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada};
use crate::peer::Server;
use crate::real_servers::{RealServer, free, program, start};

/// nginx with these directives of `http`, and these of its server.
fn nginx(http: &str, server: &str) -> (RealServer, SocketAddr) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let at = folder.path().display();
    std::fs::write(folder.path().join("page"), "a page\n").unwrap();
    let config = format!(
        "daemon off; pid {at}/pid; error_log {at}/error.log crit; worker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; root {at}; keepalive_requests 10000;\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; limit_req_status 429;\n\
         limit_conn_status 429; {http}\n\
         server {{ listen {address}; location / {{ try_files /page =404; }} {server} }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program("nginx", "nginx-light"));
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    (start(command, folder, &[address]), address)
}

/// HAProxy with a frontend for each of these texts.
fn haproxy(frontends: &[&str]) -> (RealServer, Vec<SocketAddr>) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = "global\n maxconn 1000\ndefaults\n mode http\n timeout client 60s\n \
                      timeout server 60s\n timeout connect 5s\n timeout http-keep-alive 60s\n"
        .to_owned();
    let mut addresses = Vec::new();
    for (number, text) in frontends.iter().enumerate() {
        let address = free();
        let _ = writeln!(config, "frontend f{number}\n bind {address}\n{text}");
        config += " http-request return status 200 content-type text/plain string ok\n";
        addresses.push(address);
    }
    std::fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
    let mut command = Command::new(program("haproxy", "haproxy"));
    command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    (start(command, folder, &addresses), addresses)
}

/// The result of a probe; a probe that did not find a rate with 5 % certainty is repeated once.
fn probe(url: &str, words: &[&str]) -> Value {
    let run = || {
        let done = Manada::new(&["probe-limits", url, "--json", "--max-time", "35s"]).words(words);
        let done = done.go();
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        serde_json::from_str::<Value>(&done.stdout).unwrap()["rate_limit"].take()
    };
    let found = run();
    if uncertainty(&found["rate_per_s"]) > 0.05 { run() } else { found }
}

fn uncertainty(bounds: &Value) -> f64 {
    match (bounds["low"].as_f64(), bounds["high"].as_f64()) {
        (Some(low), Some(high)) => (high - low) / (high + low),
        _ => f64::INFINITY,
    }
}

/// The rate is within 5 % if the probe is certain, else within its bounds.
#[track_caller]
fn has_rate(found: &Value, rate: f64) {
    let bounds = &found["rate_per_s"];
    let figure = |name: &str| bounds[name].as_f64().unwrap_or_else(|| panic!("{found:#}"));
    if uncertainty(bounds) <= 0.05 {
        assert!((figure("value") / rate - 1.0).abs() <= 0.05, "{found:#}");
    } else {
        assert!(figure("low") <= rate * 1.02 && rate <= figure("high") * 1.02, "{found:#}");
    }
}

#[track_caller]
fn has_count(found: &Value, name: &str, count: f64) {
    let value = found[name]["value"].as_f64().unwrap_or_else(|| panic!("{found:#}"));
    assert!((value - count).abs() <= 1.0, "{name}: {found:#}");
}

#[test]
fn rates_and_bursts_of_nginx_are_found() {
    let zone =
        |name: &str, rate: &str| format!("limit_req_zone $server_port zone={name}:1m rate={rate};");
    let http =
        [("a", "20r/s"), ("b", "20r/s"), ("c", "50r/s")].map(|(name, rate)| zone(name, rate));
    let place = |path: &str, limit: &str| {
        format!("location = {path} {{ limit_req {limit}; try_files /page =404; }}")
    };
    let server = [
        place("/none", "zone=a"),
        place("/burst", "zone=b burst=10 nodelay"),
        place("/large", "zone=c burst=100 nodelay"),
    ];
    let (_nginx, address) = nginx(&http.concat(), &server.concat());
    for (path, rate, burst) in [("none", 20.0, 1.0), ("burst", 20.0, 11.0), ("large", 50.0, 101.0)]
    {
        let found = probe(&format!("http://{address}/{path}"), &[]);
        assert_eq!(found["kind"], "bucket", "{found:#}");
        has_rate(&found, rate);
        has_count(&found, "burst", burst);
        assert_eq!(found["refusal_status"], 429);
        assert!(found["sent"].as_u64().unwrap() < 700, "{found:#}");
        assert!(found["limits"].as_str().unwrap().starts_with("limits: { global: "));
    }
    let found = probe(&format!("http://{address}/"), &["--max-requests", "300"]);
    assert_eq!((&found["kind"], &found["sent"]), (&"none".into(), &300.into()));
}

#[test]
fn delays_and_concurrency_of_nginx_are_told_from_a_rate() {
    let slow = Builtin::start(&["--latency", "300ms"]);
    let http = "limit_req_zone $server_port zone=d:1m rate=20r/s; \
                limit_conn_zone $server_port zone=c:1m;";
    let server = format!(
        "location = /delay {{ limit_req zone=d burst=20; try_files /page =404; }}\n\
         location = /slow {{ limit_conn c 10; proxy_pass http://{}/; }}",
        slow.address()
    );
    let (_nginx, address) = nginx(http, &server);
    let found = probe(&format!("http://{address}/delay"), &[]);
    assert_eq!(found["kind"], "delay", "{found:#}");
    let rate = found["rate_per_s"]["value"].as_f64().unwrap();
    assert!((rate / 20.0 - 1.0).abs() <= 0.06, "{found:#}");
    assert!((18..=21).contains(&found["waiting"].as_u64().unwrap()), "{found:#}");
    let found = probe(&format!("http://{address}/slow"), &[]);
    assert_eq!(found["kind"], "concurrency", "{found:#}");
    assert_eq!(found["concurrent"], 10, "{found:#}");
}

#[test]
fn windows_and_connections_of_haproxy_are_found() {
    let rate = |period: &str, most: u32| {
        format!(
            " stick-table type ip size 1k expire 60s store http_req_rate({period})\n \
             http-request track-sc0 src\n \
             http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {most} }}"
        )
    };
    let connections = " stick-table type ip size 1k expire 60s store conn_cur\n \
                       tcp-request connection track-sc0 src\n \
                       tcp-request connection reject if { sc_conn_cur(0) gt 10 }";
    let (_haproxy, addresses) = haproxy(&[&rate("5s", 50), connections]);
    let found = probe(&format!("http://{}/", addresses[0]), &[]);
    assert_eq!(found["kind"], "fading_window", "{found:#}");
    has_rate(&found, 10.0);
    has_count(&found, "requests", 50.0);
    let url = format!("http://{}/", addresses[1]);
    let done = Manada::new(&["probe-limits", &url, "--connections", "50", "--json"]).go();
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    // The start of the test may have left a connection of its own.
    let most = found["connections"]["per_address"].as_u64().unwrap_or_default();
    assert!((9..=10).contains(&most), "{found:#}");
}

#[test]
fn limits_of_the_built_in_target_agree_with_its_headers() {
    let target = Builtin::start(&["--rate-limit", "25/s", "--rate-burst", "5"]);
    let words =
        ["--source", "127.0.0.1", "--other-source", "127.0.0.9", "--other-path", "/status/200"];
    let words = [&words[..], &["--other-header", "authorization: Bearer b"]].concat();
    let found = probe(&target.url("/"), &words);
    assert_eq!(found["kind"], "bucket", "{found:#}");
    has_rate(&found, 25.0);
    has_count(&found, "burst", 5.0);
    let scope = &found["scope"];
    assert_eq!(
        (&scope["address"], &scope["user"], &scope["endpoint"]),
        (&"separate".into(), &"shared".into(), &"shared".into()),
        "{found:#}"
    );
    let headers = found["headers"].as_array().unwrap();
    assert!(headers.iter().any(|header| header["header"] == "RateLimit-Policy"), "{found:#}");
    assert!(headers.iter().all(|header| header["agrees"] != "no"), "{found:#}");

    let target =
        Builtin::start(&["--limit-requests", "--max-per-address", "10", "--max-connections", "25"]);
    let url = target.url("/");
    let words = ["--connections", "100", "--sources", "127.0.0.2-127.0.0.20", "--json"];
    let done = Manada::new(&["probe-limits", &url]).words(&words).go();
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    let found = &found["connections"];
    assert_eq!((&found["per_address"], &found["in_all"]), (&10.into(), &25.into()), "{found:#}");
    assert!(found["sent"].as_u64().unwrap() < 40, "{found:#}");
}

#[test]
fn headers_that_lie_do_not_agree() {
    let http = "limit_req_zone $server_port zone=a:1m rate=20r/s;";
    let server = "location = /lie { limit_req zone=a burst=10 nodelay; try_files /page =404;\n\
                  add_header X-RateLimit-Limit 100 always; add_header Retry-After 90 always;\n\
                  add_header X-RateLimit-Remaining 50 always; }";
    let (_nginx, address) = nginx(http, server);
    let found = probe(&format!("http://{address}/lie"), &[]);
    has_rate(&found, 20.0);
    let headers = found["headers"].as_array().unwrap();
    assert_eq!(headers.len(), 3, "{found:#}");
    assert!(headers.iter().all(|header| header["agrees"] == "no"), "{found:#}");
}

#[test]
fn failures_by_chance_are_no_limit() {
    for share in ["5%:503", "30%:503"] {
        let target = Builtin::start(&["--fail", share, "--latency", "1ms"]);
        let found = probe(&target.url("/"), &[]);
        let kinds = ["unrelated", "unknown", "none"];
        assert!(kinds.iter().any(|kind| found["kind"] == *kind), "{found:#}");
    }
}

#[test]
fn target_that_never_answers_has_no_known_limit() {
    // The kernel accepts for it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    for (words, part, what) in [
        (&["--timeout", "200ms"][..], "rate_limit", "3 requests in a row failed"),
        (&["--timeout", "2s", "--max-time", "1s"], "rate_limit", "no response to 1 request"),
        (&["--timeout", "200ms", "--connections", "5"], "connections", "first_byte timed out"),
    ] {
        let done = Manada::new(&["probe-limits", &url, "--json"]).words(words).go();
        assert_eq!(done.code, Some(1), "{done}");
        let found = &serde_json::from_str::<Value>(&done.stdout).unwrap()[part];
        assert_eq!(found["stopped"], "unreachable", "{found:#}");
        assert!(found["reason"].as_str().unwrap().starts_with(what), "{found:#}");
        if part == "rate_limit" {
            assert_eq!(found["kind"], "unknown", "{found:#}");
        } else {
            assert_eq!((&found["per_address"], &found["open"]), (&Value::Null, &0.into()));
        }
    }
}

/// A server that responds to a number of requests, and then no more.
fn mortal(life: u64) -> Server {
    let served = AtomicU64::new(0);
    Server::start(move |peer| {
        while peer.request() && served.fetch_add(1, SeqCst) < life {
            if !peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") {
                return;
            }
        }
        peer.reset();
    })
}

fn end(words: &[&str]) -> Done {
    Manada::new(&["probe-limits"]).words(words).go()
}

#[test]
fn what_a_target_that_dies_has_shown_is_reported() {
    let server = mortal(50);
    let done = end(&[&server.url()]);
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    let text = "not found out; 50 requests had a response";
    assert!(done.stdout.contains(text), "{}", done.stdout);
    assert!(done.stderr.contains("3 requests in a row failed"), "{}", done.stderr);
    let (_socket, address) = crate::peer::refusing_address();
    let done = end(&[&format!("http://{address}/")]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{}", done.stderr);
    assert!(done.stderr.contains("connect refused"), "{}", done.stderr);
}

#[test]
fn invalid_words_and_public_hosts_are_refused() {
    for (words, code, text) in [
        (&["http://203.0.113.7/"][..], 3, "--authorised"),
        (&["http://"], 2, "URL"),
        (&["http://127.0.0.1:1/", "--other-path", "x"], 2, "expected a path"),
        (&["http://127.0.0.1:1/a", "--other-path", "/a"], 2, "is the path of the URL"),
        (&["http://127.0.0.1:1/", "--sources", "127.0.0.2"], 2, "--connections"),
        (&["http://127.0.0.1:1/", "--connections", "5", "--sources", "x-y"], 2, "expected"),
        (&["http://127.0.0.1:1/", "--other-source", "127.0.0.2"], 2, "--source"),
        (&["http://127.0.0.1:1/", "--status", "200"], 2, "400"),
    ] {
        let done = end(words);
        assert_eq!(done.code, Some(code), "{words:?}: {}", done.stderr);
        assert!(done.stderr.contains(text), "{words:?}: {}", done.stderr);
    }
}

#[test]
fn a_signal_ends_a_probe_with_what_is_known() {
    let served = AtomicU64::new(0);
    let server = Server::start(move |peer| {
        while peer.request() {
            let is_admitted = served.fetch_add(1, SeqCst) < 20;
            let status = if is_admitted { "200 OK" } else { "429 Too Many Requests" };
            if !peer.send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()) {
                return;
            }
        }
    });
    let running = Manada::new(&["probe-limits", &server.url(), "--max-time", "10m"]).start();
    // The window never ends: only the signal ends the wait for it.
    while server.seen().1 < 24 {
        std::thread::yield_now();
    }
    running.signal(Signal::INT);
    let done = running.wait();
    assert_eq!(done.code, Some(130), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("by a signal"), "{}", done.stdout);
    assert!(done.stdout.contains("20 requests in more than"), "{}", done.stdout);
}
