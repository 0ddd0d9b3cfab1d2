//! `manada shift` between two real servers: both outcomes, and behind HAProxy whose weights its
//! commands turn.
//!
//! Invariant: the servers' own access logs show where the users went.

use std::fmt::Write;
use std::process::Command;

use serde_json::Value;

use crate::backends::{nginx_at, pages};
use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::peer::refusing_address;
use crate::real_servers::{RealServer, free, program, start};

/// A load of 60 users for 20 s at this URL.
fn scenario(url: &str) -> String {
    format!(
        "services: {{ shop: \"{url}\" }}\nworkloads:\n  \
         w: {{ users: 60, duration: 20s, think: 200ms, flow: [ {{ get: / }} ] }}\n"
    )
}

fn shift(url: &str, words: &[&str]) -> Done {
    let first = ["shift", "scenario.yaml", "--json", "--ui", "none", "--out", "out", "--seed", "1"];
    let steps = ["--steps", "25%,50%,100%", "--hold", "2s"];
    let command = Manada::new(&first).words(&steps).words(words);
    command.file("scenario.yaml", scenario(url)).go()
}

/// The steps of a report: share, and whether each passed.
fn steps(report: &Value) -> Vec<(u64, bool)> {
    let steps = report["shift"]["steps"].as_array().unwrap().iter();
    steps.map(|step| (count(step, "percent"), step["passed"].as_bool().unwrap())).collect()
}

#[test]
fn users_move_to_a_good_target_and_stay_there() {
    let (old, new) = (free(), free());
    let servers = [nginx_at(old), nginx_at(new)];
    let url = format!("http://{old}");
    let done = shift(&url, &["--to", &format!("http://{new}"), "--rule", "errors < 1%"]);
    let report = done.report(0);
    assert_eq!(report["shift"]["outcome"], "complete", "{done}");
    assert_eq!(steps(&report), [(25, true), (50, true), (100, true)]);
    let shown = &report["shift"]["steps"];
    assert!(shown[0]["old"]["calls"].as_u64() > shown[0]["new"]["calls"].as_u64(), "{shown:#}");
    assert_eq!(shown[2]["old"]["calls"], 0, "{shown:#}");
    let logged: usize = servers.iter().map(|server| pages(server).len()).sum();
    // Besides the calls there were checks of the health, which are at `/`, too.
    assert!(logged as u64 >= count(&report, "calls.ok"), "{logged}");
    let events = report["events"].as_array().unwrap().iter();
    let shares: Vec<&str> = events
        .filter(|event| event["kind"] == "shift")
        .map(|event| event["change"].as_str().unwrap())
        .collect();
    let target = format!("http://{new}");
    let expected = [
        format!("users at {target}: 0 % → 25 %"),
        format!("users at {target}: 25 % → 50 %"),
        format!("users at {target}: 50 % → 100 %"),
        format!("100 % of the users stay at {target}"),
    ];
    assert_eq!(shares, expected);
    assert!(done.read("out/report.html").contains("complete"), "the page has the outcome");
}

#[test]
fn a_target_that_is_much_slower_is_left_again() {
    let old = free();
    let _old = nginx_at(old);
    let slow = Builtin::start(&["--latency", "300ms"]);
    let words =
        ["--to", &slow.url(""), "--rule", "errors < 1%", "--rule", "response.p50 < 3 * old"];
    let done = shift(&format!("http://{old}"), &words);
    let report = done.report(4);
    assert_eq!(report["shift"]["outcome"], "rolled_back", "{done}");
    assert_eq!(steps(&report), [(25, false)]);
    let why = report["reason"].as_str().unwrap();
    assert!(why.starts_with("the shift was rolled back: response.p50 < 3 * old: "), "{why}");
    // The record alone gives the same report.
    let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
    assert_eq!(again.code, Some(4), "{again}");
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["shift"], report["shift"]);
}

#[test]
fn a_target_that_does_not_respond_gets_no_users() {
    let old = free();
    let server = nginx_at(old);
    let (_held, dead) = refusing_address();
    let to = format!("http://{dead}");
    let words = ["--to", &to, "--set", "services.shop.health={path: /health, within: 10ms}"];
    let url = format!("http://{old}");
    let text = scenario(&url).replace(&format!("\"{url}\""), &format!("{{ url: \"{url}\" }}"));
    let first = ["shift", "scenario.yaml", "--json", "--ui", "none", "--hold", "2s"];
    let done = Manada::new(&first).words(&words).file("scenario.yaml", text).go();
    assert_eq!(done.code, Some(1), "{done}");
    let expected = format!("backend {to} of shop was not healthy within 10ms");
    assert!(done.stderr.contains(&expected), "{done}");
    assert!(pages(&server).is_empty(), "no load was sent");
}

/// HAProxy in front of two servers; its admin socket is the file `admin` of its folder.
fn haproxy(old: &str, new: &str) -> (RealServer, String) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let at = folder.path().display();
    let mut config = format!(
        "global\n maxconn 1000\n stats socket {at}/admin level admin\ndefaults\n mode http\n \
         timeout client 60s\n timeout server 60s\n timeout connect 5s\n"
    );
    let _ = writeln!(
        config,
        "frontend f\n bind {address}\n default_backend b\nbackend b\n balance roundrobin\n \
         server old {old} weight 100\n server new {new} weight 0"
    );
    std::fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
    let mut command = Command::new(program("haproxy", "haproxy"));
    command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    (start(command, folder, &[address]), format!("http://{address}"))
}

/// A command that turns the weights of HAProxy over its socket.
fn turn(proxy: &RealServer, percent: &str) -> String {
    let socket = proxy.path("admin");
    format!(
        "python3 -c 'import socket, sys; p = int(sys.argv[1])\n\
         for name, weight in ((\"new\", p), (\"old\", 100 - p)):\n    \
         s = socket.socket(socket.AF_UNIX); s.connect(\"{}\")\n    \
         s.sendall(f\"set server b/{{name}} weight {{weight}}\\n\".encode())\n    \
         reply = s.recv(999).strip(); assert not reply, reply' {percent}",
        socket.display()
    )
}

#[test]
fn commands_turn_the_weights_of_haproxy_both_ways() {
    for is_good in [true, false] {
        let (old, new) = (free(), free());
        let servers = [nginx_at(old), nginx_at(new)];
        if !is_good {
            std::fs::remove_file(servers[1].path("page")).unwrap();
        }
        let (proxy, url) = haproxy(&old.to_string(), &new.to_string());
        let (before, back) = (turn(&proxy, "$MANADA_SHIFT_PERCENT"), turn(&proxy, "0"));
        let to = format!("http://{new}");
        let words = [
            "--to",
            &to,
            "--rule",
            "errors < 5%",
            "--before",
            &before,
            "--rollback",
            &back,
            "--set",
            "workloads.w.flow.0.expect={status: 200}",
        ];
        let done = shift(&url, &words);
        let report = done.report(if is_good { 0 } else { 4 });
        let outcome = if is_good { "complete" } else { "rolled_back" };
        assert_eq!(report["shift"]["outcome"], outcome, "{done}");
        // What HAProxy sends to the new server now, over the same address.
        let before = pages(&servers[1]).len();
        let hit = Manada::hit(&url, &["-n", "20"]).go();
        assert_eq!(hit.code, Some(0), "{hit}");
        let after = pages(&servers[1]).len() - before;
        assert_eq!(after, if is_good { 20 } else { 0 }, "{outcome}");
    }
}

#[test]
fn a_sandbox_runs_no_commands_of_a_shift() {
    let words = ["--to", "http://127.0.0.1:9", "--before", "true", "--sandbox=files"];
    let done = shift("http://127.0.0.1:10", &words);
    assert_eq!(done.code, Some(2), "{done}");
    assert!(done.stderr.contains("--sandbox runs no other program"), "{done}");
}
