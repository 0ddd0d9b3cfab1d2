//! Tests of all ways to end, whatever else hangs: the right exit code, a complete report, nothing
//! left over.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::process::Signal;

use crate::harness::{LIMIT, MANADA, Manada, Tied, count};
use crate::peer::{Server, refusing_address};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts a server that never responds to paths beginning with `held`, and sends each path.
fn server(held: &'static str) -> (Server, Receiver<String>) {
    let (tell, told) = sync_channel(64);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.head() {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let holds = path.starts_with(held);
            let _ = tell.try_send(path);
            if holds {
                peer.hold();
            } else {
                peer.send(OK);
            }
        }
    });
    (server, told)
}

fn scenario(server: &Server) -> String {
    format!(
        "scenario: ends\nservices: {{ it: \"http://{}\" }}\n\
         setup: [ {{ post: /setup, timeout: 5m }} ]\n\
         teardown: [ {{ post: /teardown, timeout: 5m }} ]\n\
         workloads: {{ w: {{ flow: [ {{ get: / }} ], users: 1, iterations: 3 }} }}\n",
        server.address()
    )
}

/// Waits until a request for this path has arrived.
fn until(told: &Receiver<String>, path: &str) {
    while told.recv_timeout(LIMIT).unwrap() != path {}
}

#[test]
fn a_signal_in_setup_runs_the_teardown_and_leaves_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (server, told) = server("/setup");
        let running = Manada::run(&scenario(&server), &[]).start();
        until(&told, "/setup");
        running.signal(signal);
        let done = running.wait();
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains("before the load started"), "{done}");
        until(&told, "/teardown");
        assert!(!done.path("out").exists(), "nothing was measured: no empty folder is left");
    }
}

#[test]
fn a_signal_in_teardown_leaves_the_report_whole() {
    let (server, told) = server("/teardown");
    let running = Manada::telling(&scenario(&server), &[]).start();
    until(&told, "/teardown");
    running.signal(Signal::INT);
    let done = running.wait();
    let report = done.report(0);
    assert_eq!((count(&report, "calls.ok"), &report["verdict"]), (3, &"pass".into()), "{done}");
    assert!(done.stderr.contains("teardown failed: stopped by SIGINT"), "{done}");
    assert_eq!(done.read("out/summary.json").trim(), done.stdout.trim());
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let (server, told) = server("/none");
    let text = format!(
        "scenario: ends\nservices: {{ it: \"http://{}\" }}\n\
         workloads: {{ w: {{ flow: [ {{ get: / }} ], think: 10ms, users: 1, duration: 10m }} }}\n",
        server.address()
    );
    let running = Manada::run(&text, &[]).ignoring("HUP").start();
    until(&told, "/");
    running.signal(Signal::HUP);
    running.signal(Signal::TERM);
    let report = running.wait().report(143);
    assert_eq!(report["stopped"], "SIGTERM", "{report}");
}

/// A run that writes more to standard error than a pipe holds, and fails a threshold.
const TALKATIVE: &str = "
scenario: talkative
services: { it: builtin }
vars: {}
workloads:
  w: { flow: [ { get: / }, { log: \"{{ 'x' * 1 }}LINE\" } ], pace: 10ms, users: 4, duration: 2s }
thresholds: [ errors > 50% ]
";

fn talkative(folder: &std::path::Path, stderr: impl Into<Stdio>) -> Tied {
    let text = TALKATIVE.replace("{{ 'x' * 1 }}", &"x".repeat(4_000)).replace("vars: {}\n", "");
    std::fs::write(folder.join("scenario.yaml"), text).unwrap();
    let mut command = Command::new(MANADA);
    command.env("MANADA_HISTORY", "none");
    command.args(["run", "scenario.yaml", "--ui", "plain", "-v", "--json", "--out", "out"]);
    command.current_dir(folder).env_remove("MANADA_SAFETY").stdin(Stdio::null());
    command.stdout(File::create(folder.join("stdout")).unwrap()).stderr(stderr);
    // Its own process group, so that a test ends only this process.
    command.process_group(0);
    Tied(command.spawn().unwrap())
}

#[test]
fn unread_standard_error_does_not_change_exit() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = talkative(folder.path(), Stdio::piped());
    // It is not read until the process has ended; its pipe is full long before that.
    let code = running.0.wait().unwrap().code();
    assert_eq!(code, Some(4), "the threshold has failed, and that is all");
    let written = std::fs::read_to_string(folder.path().join("out/summary.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(report["exit_code"], 4, "{report}");
    let mut said = Vec::new();
    running.0.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    assert!(said.len() > 60_000, "only {} bytes: the pipe was never full", said.len());
}

#[test]
fn closed_standard_error_does_not_change_exit() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut running = talkative(folder.path(), writer);
    assert_eq!(running.0.wait().unwrap().code(), Some(4));
    let written = std::fs::read_to_string(folder.path().join("stdout")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(report["exit_code"], 4, "{report}");
}

#[test]
fn run_without_responses_fails() {
    let (_bound, free) = refusing_address();
    for words in [&["-n", "5"][..], &["-n", "5", "--threshold", "lag.p99 < 1h"]] {
        let forms = ["--report", "junit.xml", "--report", "r.md", "--report", "github:said"];
        let done = Manada::hit(&format!("http://{free}/"), words).words(&forms).go();
        let report = done.report(4);
        for file in ["junit.xml", "r.md", "said"] {
            assert!(done.read(file).contains("no call received a complete"), "{file} {done}");
        }
        assert_eq!(report["verdict"], "fail", "{done}");
        assert_eq!(report["reason"], "no call received a complete response", "{done}");
    }
    let server = Server::answering(
        &b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"[..],
        crate::peer::Then::Next,
    );
    let url = format!("http://{}/", server.address());
    let done = Manada::new(&["hit", &url, "-n", "5", "--ui", "none"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("all 5 have status 401"), "{done}");
}
