//! Tests of signals: the first drains and reports, the second stops at once.

use std::sync::mpsc::{Receiver, sync_channel};

use rustix::process::Signal;

use crate::harness::{Done, LIMIT, Manada, Running, count};
use crate::peer::Server;
use crate::sums::answered;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts a server that responds, or keeps its clients waiting for ever, and sends each request.
fn server(answers: bool) -> (Server, Receiver<()>) {
    let (tell, told) = sync_channel(1);
    let server = Server::start(move |peer| {
        while peer.request() {
            let _ = tell.try_send(());
            if answers {
                peer.send(OK);
            } else {
                peer.hold();
            }
        }
    });
    (server, told)
}

/// Starts a long run, and returns after its first request.
fn start(server: &Server, told: &Receiver<()>, load: &str) -> Running {
    start_for("10m", server, told, load)
}

fn start_for(duration: &str, server: &Server, told: &Receiver<()>, load: &str) -> Running {
    let scenario = format!(
        "scenario: long\nservices: {{ it: \"http://{}\" }}\ngrace: 10m\nworkloads:\n  w:\n    \
         {load}\n    duration: {duration}\n    flow: [ {{ get: /, timeout: 5m }} ]\n",
        server.address()
    );
    let words = ["run", "scenario.yaml", "--json", "--ui", "plain", "--out", "out"];
    let running = Manada::new(&words).file("scenario.yaml", scenario).start();
    told.recv_timeout(LIMIT).unwrap();
    running
}

const OPEN: &str = "arrivals: { rate: 100/s, max_users: 100 }";
const CLOSED: &str = "users: 4";

/// Checks a partial report: on standard output and in the folder, with the same figures.
fn check_partial(done: &Done, code: i32) -> serde_json::Value {
    let report = done.report(code);
    assert_eq!(report["verdict"], "interrupted", "{report}");
    assert_eq!(report["exit_code"], code, "{report}");
    let written: serde_json::Value = serde_json::from_str(&done.read("out/summary.json")).unwrap();
    assert_eq!(written, report);
    for name in ["steps.csv", "timeline.csv", "latency.hlog"] {
        assert!(!done.read(&format!("out/{name}")).is_empty(), "{name}");
    }
    report
}

#[test]
fn one_drains_and_reports() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        for load in [OPEN, CLOSED] {
            let (server, told) = server(true);
            let running = start(&server, &told, load);
            running.signal(signal);
            let done = running.wait();
            let report = check_partial(&done, code);
            let made = count(&report, "calls.made");
            assert!(made > 0 && made == count(&report, "calls.ok"), "{report}");
            assert_eq!((answered(&report), made), (made, server.seen().1), "{report}");
            if load == OPEN {
                let (due, left) = ("iterations.due", "iterations.not_reached");
                assert!(count(&report, left) > 50_000, "{report}");
                assert_eq!(count(&report, due), 60_000, "{report}");
            }
        }
    }
}

#[test]
fn two_stop_now() {
    for (first, second, code) in [
        (Signal::INT, Signal::INT, 130),
        (Signal::TERM, Signal::TERM, 143),
        (Signal::INT, Signal::TERM, 130),
    ] {
        let (server, told) = server(false);
        let running = start(&server, &told, CLOSED);
        running.signal(first);
        // Two concurrent signals would merge, so the second one follows when the first was
        // handled.
        running.hear("stopping: no new iterations");
        running.signal(second);
        let done = running.wait();
        let report = check_partial(&done, code);
        let unfinished = count(&report, "calls.unfinished");
        assert!(unfinished > 0, "{report}");
        assert_eq!(unfinished, count(&report, "calls.made"), "{report}");
        assert_eq!(count(&report, "iterations.interrupted"), unfinished, "{report}");
        assert_eq!(report["errors"][0]["kind"], "unfinished", "{report}");
        assert_eq!(answered(&report), 0, "{report}");
    }
}

#[test]
fn quit_stops_at_once() {
    let (server, told) = server(false);
    let running = start(&server, &told, CLOSED);
    running.signal(Signal::QUIT);
    let report = check_partial(&running.wait(), 131);
    assert_eq!(report["stopped"], "SIGQUIT", "{report}");
    assert_eq!(count(&report, "calls.unfinished"), count(&report, "calls.made"), "{report}");
}

#[test]
fn long_schedule_stops_at_once() {
    // Some 10¹¹ starts are never made; iterating over them would take minutes.
    for process in ["constant", "poisson"] {
        let (server, told) = server(true);
        let load = format!("arrivals: {{ process: {process}, rate: 10000/s, max_users: 1 }}");
        let running = start_for("2400h", &server, &told, &load);
        running.signal(Signal::INT);
        running.hear("stopping: no new iterations");
        running.signal(Signal::INT);
        let report = check_partial(&running.wait(), 130);
        assert!(count(&report, "iterations.not_reached") > 0, "{report}");
    }
}
