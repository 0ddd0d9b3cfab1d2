//! `manada shift` between two real servers: both outcomes, and behind HAProxy whose weights its
//! commands turn.
//!
//! Invariant: the servers' own access logs show where the users went.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use manada::clock;
use rustix::process::Signal;
use serde_json::Value;

use crate::backends::{nginx_at, pages};
use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::peer::{Peer, Server, refusing_address};
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
    let words = [&words[..], &["--steps", "50%,100%"]].concat();
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

/// A run whose targets are checked often, with these keys of its shift.
fn checked(url: &str, keys: &str) -> Manada {
    let text = format!(
        "services:\n  shop: {{ url: \"{url}\", health: {{ path: /, every: 100ms, fall: 1 }} }}\n\
         shift: {{ {keys} }}\nworkloads:\n  \
         w: {{ users: 20, duration: 30s, think: 100ms, flow: [ {{ get: / }} ] }}\n"
    );
    let words = ["run", "scenario.yaml", "--json", "--ui", "none", "--out", "out", "--seed", "1"];
    Manada::new(&words).file("scenario.yaml", text)
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    clock::block_on(async {
        let until = clock::now() + Duration::from_mins(1);
        while !holds() {
            assert!(clock::now() < until, "{what}");
            clock::sleep_until(clock::now() + Duration::from_millis(20)).await;
        }
    })
    .unwrap();
}

/// All requests that a target has had, checks of its health among them.
fn requests(target: &Builtin) -> u64 {
    count(&target.stats(), "requests")
}

/// Whether the process whose number is in a file lives.
fn is_alive(file: &Path) -> bool {
    let number = std::fs::read_to_string(file).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", number.trim()));
    state.is_ok_and(|state| !state.contains(") Z "))
}

#[test]
fn an_interrupted_shift_is_rolled_back_unless_it_has_to_stop_at_once() {
    // A command that starts another one, which writes its number and does not end.
    let hangs = "sleep 600 & echo $! > pid.new; mv pid.new pid; wait";
    let (old, new) = (Builtin::start(&[]), Builtin::start(&[]));
    let begin = format!("to: \"{}\", hold: 10s, steps: [25%, 100%]", new.url(""));
    for (before, rollback, signals, why) in [
        (
            "touch held",
            "echo $MANADA_SHIFT_PERCENT > back",
            1,
            "the load ended in the step of 25 %; `rollback` was run",
        ),
        (
            "touch held",
            hangs,
            2,
            "the load ended in the step of 25 %; `rollback` was skipped, as the run had to stop \
             at once, the last `before` was for 25 %",
        ),
        (
            &format!("touch held; {hangs}"),
            "touch back",
            1,
            "the load ended while `before` ran for 25 %; `rollback` was run",
        ),
    ] {
        let keys = format!("{begin}, before: \"{before}\", rollback: \"{rollback}\"");
        let first = requests(&new);
        let running = checked(&old.url(""), &keys).start();
        until("a command runs", || running.path("held").exists());
        if before.contains("wait") {
            until("it hangs", || running.path("pid").exists());
        } else {
            // Those of its checks alone are too few.
            until("the step is held", || requests(&new) > first + 200);
        }
        running.signal(Signal::INT);
        if signals > 1 {
            until("`rollback` hangs", || running.path("pid").exists());
            running.signal(Signal::INT);
        }
        let done = running.wait();
        let report = done.report(130);
        assert_eq!(report["shift"]["outcome"], "unfinished", "{done}");
        assert_eq!(report["shift"]["why"], why, "{done}");
        assert_eq!(done.path("back").exists(), signals == 1, "{why}");
        if done.path("pid").exists() {
            until("nothing is left", || !is_alive(&done.path("pid")));
        }
    }
}

#[test]
fn a_killed_run_leaves_no_command() {
    let (old, new) = (Builtin::start(&[]), Builtin::start(&[]));
    let hangs = "sleep 600 & echo $! > pid.new; mv pid.new pid; wait";
    let keys = format!("to: \"{}\", hold: 10s, steps: [100%], before: \"{hangs}\"", new.url(""));
    let running = checked(&old.url(""), &keys).start();
    until("it hangs", || running.path("pid").exists());
    running.signal(Signal::KILL);
    until("nothing is left", || !is_alive(&running.path("pid")));
    drop(running);
}

#[test]
fn a_shift_that_the_load_ends_is_rolled_back() {
    let (old, new) = (Builtin::start(&[]), Builtin::start(&[]));
    // Too few calls to be judged before the load ends.
    let keys = format!(
        "to: \"{}\", hold: 14s, steps: [100%], min_calls: 1000000000, rollback: \"touch back\"",
        new.url("")
    );
    let done = checked(&old.url(""), &keys).words(&["--set", "workloads.w.duration=18s"]).go();
    let report = done.report(5);
    let why = "the load ended in the step of 100 %; `rollback` was run";
    assert_eq!(report["shift"]["why"], why, "{done}");
    let step = &report["shift"]["steps"][0];
    assert!(step["judged_s"].is_null() && step["new"]["calls"].as_u64() > Some(100), "{done}");
    assert!(done.path("back").exists());
}

#[test]
fn a_command_is_ended_before_the_rollback_of_an_unhealthy_target() {
    let (old, new) = (Builtin::start(&[]), Builtin::start(&[]));
    let before = "sleep 600 & echo $! > pid.new; mv pid.new pid; wait";
    let rollback = "(grep -v ' Z ' /proc/$(cat pid)/stat >&2 && exit 7); echo $? > state";
    let keys = format!(
        "to: \"{}\", hold: 4s, steps: [50%, 100%], before: \"{before}\", rollback: \"{rollback}\"",
        new.url("")
    );
    let running = checked(&old.url(""), &keys).start();
    until("it hangs", || running.path("pid").exists());
    new.signal(Signal::KILL);
    let done = running.wait();
    let report = done.report(4);
    let why = report["shift"]["why"].as_str().unwrap();
    assert!(
        why.starts_with("at 0 %, before the first step: the new target is unhealthy: "),
        "{why}"
    );
    assert_eq!(done.read("state"), "1\n", "`before` had ended");
    assert!(!is_alive(&done.path("pid")));
}

#[test]
fn a_target_that_is_unhealthy_before_the_first_step_gets_no_users() {
    let (old, new) = (Builtin::start(&[]), Builtin::start(&[]));
    let keys = format!(
        "to: \"{}\", start: 8s, hold: 4s, steps: [100%], before: \"touch before\"",
        new.url("")
    );
    let running = checked(&old.url(""), &keys).start();
    until("the load goes on", || requests(&old) > 100);
    new.signal(Signal::KILL);
    let done = running.wait();
    let report = done.report(4);
    assert_eq!(report["shift"]["outcome"], "rolled_back", "{done}");
    let why = report["reason"].as_str().unwrap();
    let begin = "the shift was rolled back: at 0 %, before the first step: the new target is \
                 unhealthy: ";
    assert!(why.starts_with(begin), "{why}");
    assert!(steps(&report).is_empty() && !done.path("before").exists(), "{done}");
}

#[test]
fn a_command_that_fails_before_the_first_step_is_the_reason() {
    let (old, new) = (Builtin::start(&[]), Builtin::start(&[]));
    let keys = format!(
        "to: \"{}\", hold: 4s, steps: [100%], before: \"echo no socket >&2; exit 3\"",
        new.url("")
    );
    let done = checked(&old.url(""), &keys).go();
    let report = done.report(4);
    let why = "at 0 %, before the first step: `before` failed (exit status: 3): no socket";
    assert_eq!(report["shift"]["why"], why, "{done}");
    let events = report["events"].as_array().unwrap();
    let event = events.iter().find(|event| event["kind"] == "shift").unwrap();
    let change = format!("the shift to {} failed at 0 %", new.url(""));
    assert_eq!(event["change"], change.as_str(), "{event:#}");
    assert!(event.to_string().contains("exit status: 3"), "{event:#}");
}

#[test]
fn the_new_target_has_ten_seconds_for_its_first_response() {
    let old = Builtin::start(&[]);
    let slow = Builtin::start(&["--latency", "3s"]);
    let text = scenario(&old.url(""));
    let words = ["shift", "scenario.yaml", "--json", "--ui", "none", "--hold", "3s", "--to"];
    let run = Manada::new(&words).words(&[&slow.url(""), "--steps", "100%"]);
    let running = run.file("scenario.yaml", text).start();
    until("the load begins", || requests(&old) > 60);
    running.signal(Signal::INT);
    running.wait().report(130);
    // The reason of one that does not respond is told in words.
    let dead = Server::start(Peer::hold);
    let keys = format!("to: \"{}\", hold: 3s", dead.url());
    let run = checked(&old.url(""), &keys).words(&["--set", "services.shop.health.within=1s"]);
    let done = run.words(&["--set", "services.shop.health.timeout=300ms"]).go();
    assert_eq!(done.code, Some(1), "{done}");
    let why = "was not healthy within 1s: no complete response within 300ms";
    assert!(done.stderr.contains(why), "{done}");
}

#[test]
fn another_path_of_the_same_server_is_another_target() {
    let at = free();
    let server = nginx_at(at);
    let keys = format!("to: \"http://{at}/v2\", hold: 3s, steps: [100%], rules: [ calls > 0 ]");
    let done = checked(&format!("http://{at}/v1"), &keys).go();
    let report = done.report(0);
    assert_eq!(report["shift"]["outcome"], "complete", "{done}");
    assert_eq!(report["shift"]["new"], format!("http://{at}/v2"), "{done}");
    let pages = pages(&server);
    let logged = |prefix: &str| pages.iter().filter(|line| line.contains(prefix)).count() as u64;
    let calls = count(&report, "calls.ok");
    assert!(logged(" /v1/") > 0 && logged(" /v2/") > 0, "{calls}");
    assert!(logged(" /v1/") + logged(" /v2/") >= calls, "{calls}");
}
