//! Services with several backends against real nginx and HAProxy: what reaches which backend, what
//! becomes of calls while one is down, and health checks.
//!
//! Invariant: the servers' own access logs are compared with the report; what happens is triggered
//! by events of the run, not by time.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::influx::StrictReceiver;
use crate::peer::refusing_address;
use crate::real_servers::{RealServer, free, program, start};

/// An nginx that is one backend: it logs `URI user` of each request, is healthy while the file
/// `up` exists, and sets a cookie with its port.
pub(crate) fn nginx_at(address: SocketAddr) -> RealServer {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    std::fs::write(folder.path().join("page"), "a page\n").unwrap();
    std::fs::write(folder.path().join("up"), "all is well\n").unwrap();
    let port = address.port();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ log_format own '$status $request_uri $http_x_user';\n\
         access_log {at}/log own; root {at};\n\
         keepalive_requests 10000; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         server {{ listen {address}; add_header Set-Cookie 'ROUTE={port}; Path=/' always;\n\
         add_header X-Backend {port} always; add_header Content-Type text/plain always;\n\
         location = /health {{ if (!-f {at}/up) {{ return 503; }} try_files /up =404; }}\n\
         location / {{ try_files /page =404; }} }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program("nginx", "nginx-light"));
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    start(command, folder, &[address])
}

/// Some backends, and their addresses.
fn backends<const N: usize>() -> [(RealServer, SocketAddr); N] {
    std::array::from_fn(|_| {
        let address = free();
        (nginx_at(address), address)
    })
}

/// The lines of a backend's access log, without those of health checks.
pub(crate) fn pages(server: &RealServer) -> Vec<String> {
    let log = std::fs::read_to_string(server.path("log")).unwrap();
    let lines = log.lines().filter(|line| !line.contains(" /health "));
    lines.map(str::to_owned).collect()
}

/// The report's entry of a backend.
fn entry(report: &Value, address: SocketAddr) -> &Value {
    let name = format!("http://{address}");
    let all = report["backends"].as_array().unwrap();
    all.iter().find(|one| one["backend"] == name).unwrap_or_else(|| panic!("{all:#?}"))
}

/// The state changes of a report's backends, as text.
fn events(report: &Value) -> Vec<String> {
    let all = report["events"].as_array().unwrap().iter();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    all.filter(|event| text(event, "subject").starts_with("backend "))
        .map(|event| format!("{}: {}", text(event, "subject"), text(event, "change")))
        .collect()
}

pub(crate) fn run(scenario: &str) -> Done {
    Manada::run(scenario, &["--seed", "1"]).go()
}

/// The sum of a column over the rows of a backend that were due after the warm-up.
fn sum_of_rows(file: &str, column: &str, address: SocketAddr) -> u64 {
    let mut csv = csv::Reader::from_reader(file.as_bytes());
    let head = csv.headers().unwrap().clone();
    let place = |name: &str| head.iter().position(|one| one == name).unwrap();
    let (backend, measured, column) = (place("backend"), place("measured"), place(column));
    let rows = csv.records().map(Result::unwrap);
    let own =
        rows.filter(|row| row[backend].ends_with(&address.to_string()) && &row[measured] == "1");
    own.map(|row| row[column].parse::<u64>().unwrap()).sum()
}

#[test]
fn what_the_report_counts_at_a_backend_is_in_its_access_log() {
    let servers = backends::<3>();
    let [a, b, c] = [0, 1, 2].map(|at| servers[at].1);
    let receiver =
        StrictReceiver::start(|_, _| ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), true));
    let scenario = format!(
        "services:\n  it: {{ urls: [ \"http://{a}\", {{ url: \"http://{b}\", weight: 2 }}, \
         \"http://{c}\" ] }}\n\
         thresholds: [ errors == 0%, 'backend(\"http://{b}\").calls == 160' ]\n\
         workloads:\n  w:\n    duration: 2s\n    arrivals: {{ rate: 80/s }}\n\
         \x20   flow: [ {{ get: /x }}, {{ get: /y }} ]\n"
    );
    let url = receiver.url();
    let done = Manada::run(&scenario, &["--seed", "1", "--out", "out", "--influx", &url]).go();
    let report = done.report(0);
    let rows = done.read("out/backends.csv");
    for ((server, address), calls) in servers.iter().zip([80, 160, 80]) {
        let entry = entry(&report, *address);
        assert_eq!(sum_of_rows(&rows, "ok", *address), calls, "{rows}");
        assert_eq!(sum_of_rows(&rows, "attempts", *address), count(entry, "attempts"), "{rows}");
        let sum = receiver.sum("manada_backend_calls_total", |tags| {
            tags["backend"].ends_with(&address.to_string()) && tags["result"] == "ok"
        });
        assert_eq!(sum as u64, calls, "{address}");
        let paths = pages(server);
        assert_eq!(count(entry, "attempts"), paths.len() as u64, "{entry:#}");
        assert_eq!(count(entry, "calls.ok"), calls, "{entry:#}");
        assert_eq!(count(entry, "status.200"), calls);
        let steps = entry["steps"].as_array().unwrap();
        for step in steps {
            let path = step["step"].as_str().unwrap().rsplit(' ').next().unwrap();
            let logged = paths.iter().filter(|line| line.contains(path)).count();
            assert_eq!(count(step, "calls.made"), logged as u64, "{entry:#}");
        }
    }
}

#[test]
fn streams_that_are_held_count_at_their_backend() {
    let targets = [Builtin::start(&[]), Builtin::start(&[])];
    let [a, b] = targets.each_ref().map(|target| target.url(""));
    let done = run(&format!(
        "services: {{ it: {{ urls: [ \"{a}\", \"{b}\" ], balance: least_connections }} }}\n\
         workloads:\n  w:\n    users: [ {{ ramp: 24, over: 2s }}, {{ hold: 1s }} ]\n    flow:\n\
         \x20     - {{ open: /ws/echo, as: s }}\n      - {{ pause: 10s }}\n      - {{ close: s }}\n"
    ));
    assert_eq!(count(&done.report(0), "streams.peak"), 24);
    for target in &targets {
        let stats = target.stats();
        assert_eq!(count(&stats, "requests"), 12, "{stats}");
    }
}

/// The number of users that the backends saw; a user that two of them saw counts twice.
fn users(servers: &[&RealServer]) -> usize {
    let of = |server: &&RealServer| {
        let lines = pages(server);
        let users: BTreeSet<&str> =
            lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        users.len()
    };
    servers.iter().map(of).sum()
}

#[test]
fn users_stay_with_their_backend_by_number_and_by_cookie() {
    for (balance, is_sticky) in
        [("sticky", true), ("{ cookie: ROUTE }", true), ("round_robin", false)]
    {
        let servers = backends::<3>();
        let urls: Vec<String> = servers.iter().map(|(_, at)| format!("\"http://{at}\"")).collect();
        let done = run(&format!(
            "services:\n  it: {{ urls: [ {} ], balance: {balance}, \
             headers: {{ X-User: \"u{{{{ user.number }}}}\" }} }}\n\
             thresholds: [ errors == 0% ]\n\
             workloads:\n  w: {{ users: 30, iterations: 240, think: 5ms, \
             flow: [ {{ get: / }} ] }}\n",
            urls.join(", ")
        ));
        let report = done.report(0);
        assert_eq!(count(&report, "calls.ok"), 240);
        let seen = users(&servers.each_ref().map(|(server, _)| server));
        assert_eq!(seen == 30, is_sticky, "{balance}: {seen}");
        assert!(servers.iter().all(|(server, _)| !pages(server).is_empty()), "{balance}");
    }
}

#[test]
fn a_backend_that_dies_costs_no_call_and_is_ejected() {
    let [(one, a), (mut other, b)] = backends::<2>();
    let scenario = format!(
        "services:\n  it: {{ urls: [ \"http://{a}\", \"http://{b}\" ], \
         eject: {{ failures: 3, for: 1h }} }}\n\
         retries: {{ max: 2, when: [ connect, broken, timeout ], budget: 100%, \
         backoff: {{ base: 1ms, max: 5ms }} }}\n\
         thresholds: [ errors == 0% ]\n\
         workloads:\n  w: {{ duration: 6s, arrivals: {{ rate: 50/s }}, flow: [ {{ get: / }} ] }}\n"
    );
    let running = Manada::telling(&scenario, &["--seed", "1"]).start();
    running.hear("    1s of 6s");
    other.end(Signal::KILL);
    running.hear("ejected");
    let report = running.wait().report(0);
    let dead = entry(&report, b);
    assert!(count(dead, "failed_attempts") >= 3, "{dead:#}");
    assert_eq!(count(dead, "calls.failed"), 0);
    assert_eq!(count(entry(&report, a), "attempts"), pages(&one).len() as u64);
    let all = count(&report, "calls.made");
    assert_eq!(count(&report, "calls.ok"), all);
    let events = events(&report);
    let first = format!("backend http://{b} of it: ejected for 1h00m");
    assert_eq!(events.first(), Some(&first), "{events:?}");
}

#[test]
fn a_rolling_restart_behind_health_checks_costs_no_call() {
    let mut servers = backends::<2>();
    let [a, b] = [servers[0].1, servers[1].1];
    let scenario = format!(
        "services:\n  it:\n    urls: [ \"http://{a}\", \"http://{b}\" ]\n\
         \x20   health: {{ path: /health, body: well, every: 100ms, rise: 2, fall: 2 }}\n\
         thresholds: [ errors == 0%, recovery < 20s ]\n\
         workloads:\n  w: {{ duration: 20s, arrivals: {{ rate: 40/s }}, flow: [ {{ get: / }} ] }}\n"
    );
    let running = Manada::telling(&scenario, &["--seed", "1"]).start();
    running.hear("    1s of 20s");
    for (server, address) in &mut servers {
        let subject = format!("backend http://{address} of it: ");
        std::fs::remove_file(server.path("up")).unwrap();
        running.hear(&format!("{subject}unhealthy"));
        let before = pages(server).len();
        running.hear_more();
        running.hear_more();
        // What was on its way when the checks failed; a healthy backend gets 20 a second.
        assert!(pages(server).len() <= before + 40, "{}", pages(server).len() - before);
        // It ends, and another one takes its place.
        server.end(Signal::QUIT);
        *server = nginx_at(*address);
        running.hear(&format!("{subject}healthy"));
    }
    running.hear_more();
    running.hear_more();
    running.signal(Signal::INT);
    let done = running.wait();
    let report = done.json();
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_eq!(events(&report).len(), 4, "{:?}", events(&report));
    for (server, address) in &servers {
        assert!(!pages(server).is_empty(), "{address} gets calls again");
    }
}

#[test]
fn the_load_waits_for_a_healthy_service_and_ends_without_one() {
    let address = free();
    let scenario = format!(
        "services:\n  it: {{ url: \"http://{address}\", \
         health: {{ path: /health, within: 30s }} }}\n\
         thresholds: [ errors == 0%, recovery < 5s ]\n\
         workloads:\n  w: {{ duration: 1s, arrivals: {{ rate: 20/s }}, flow: [ {{ get: / }} ] }}\n"
    );
    let running = Manada::telling(&scenario, &["--seed", "1"]).start();
    running.hear("waiting for service it to be healthy: ");
    let server = nginx_at(address);
    let report = running.wait().report(0);
    assert_eq!(count(&report, "calls.ok"), 20);
    assert_eq!(pages(&server).len(), 20, "checks are no calls");
    let recovery = &report["thresholds"][1];
    assert_eq!(recovery["passed"], true, "{recovery:#}");

    let (_held, dead) = refusing_address();
    let done = run(&format!(
        "services:\n  it: {{ url: \"http://{dead}\", health: {{ path: /, within: 1ms }} }}\n\
         workloads:\n  w: {{ duration: 1s, arrivals: {{ rate: 20/s }}, flow: [ {{ get: / }} ] }}\n"
    ));
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("service it was not healthy within 1ms"), "{done}");
}

#[test]
fn a_service_that_does_not_recover_fails_the_rule() {
    let [(server, address)] = backends::<1>();
    let scenario = format!(
        "services:\n  it: {{ url: \"http://{address}\", \
         health: {{ path: /health, every: 100ms }} }}\n\
         thresholds: [ errors == 0%, recovery < 300ms ]\n\
         workloads:\n  w: {{ duration: 3s, arrivals: {{ rate: 20/s }}, flow: [ {{ get: / }} ] }}\n"
    );
    let running = Manada::telling(&scenario, &["--seed", "1"]).start();
    running.hear("    1s of 3s");
    std::fs::remove_file(server.path("up")).unwrap();
    let report = running.wait().report(4);
    let recovery = &report["thresholds"][1];
    assert_eq!(recovery["passed"], false, "{recovery:#}");
    assert!(recovery["observed"].as_f64().unwrap() >= 300_000.0, "{recovery:#}");
}

/// HAProxy that balances over these servers by a cookie of its own.
fn haproxy(servers: &[SocketAddr]) -> (RealServer, SocketAddr) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let mut config = format!(
        "global\n maxconn 1000\ndefaults\n mode http\n timeout client 60s\n timeout server 60s\n \
         timeout connect 5s\n retries 2\n option redispatch 1\n\
         frontend f\n bind {address}\n default_backend b\n\
         backend b\n balance roundrobin\n cookie SERVERID insert indirect nocache\n"
    );
    for (number, server) in servers.iter().enumerate() {
        let name = format!("s{number}");
        let check = "check inter 100ms fall 1 rise 1";
        let _ = writeln!(config, " server {name} {server} cookie {name} {check}");
    }
    std::fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
    let mut command = Command::new(program("haproxy", "haproxy"));
    command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    (start(command, folder, &[address]), address)
}

#[test]
fn sessions_that_haproxy_binds_to_a_server_stay_there_until_it_dies() {
    let [(one, a), (mut other, b)] = backends::<2>();
    let (_proxy, address) = haproxy(&[a, b]);
    let scenario = format!(
        "services:\n  it: {{ url: \"http://{address}\", \
         headers: {{ X-User: \"u{{{{ user.number }}}}\" }} }}\n\
         retries: {{ max: 3, when: [ connect, broken, 503 ], budget: 100% }}\n\
         thresholds: [ errors == 0% ]\n\
         workloads:\n  w: {{ users: 20, duration: 6s, think: 50ms, flow: [ {{ get: / }} ] }}\n"
    );
    let running = Manada::telling(&scenario, &["--seed", "1"]).start();
    running.hear("    2s of 6s");
    let of_other = users(&[&other]);
    assert_eq!((of_other > 0, users(&[&one, &other])), (true, 20), "each user has one server");
    other.end(Signal::KILL);
    let report = running.wait().report(0);
    assert!(count(&report, "calls.ok") > 0);
    assert_eq!(users(&[&one]), 20, "HAProxy moved those of the server that died");
}
