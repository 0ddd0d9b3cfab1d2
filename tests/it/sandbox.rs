//! Tests of `--sandbox`: everything that a run does works in it, and nothing else does. They need a
//! kernel with Landlock for TCP ports (Linux 6.7).

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Mutex, mpsc};

use manada::sandbox::{SandboxLevel, SandboxRules};
use serde_json::json;

use crate::builtin::Builtin;
use crate::harness::{LIMIT, MANADA, Manada, count};
use crate::peer::{Server, Then};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A scenario with files of its own, for all kinds of access to them.
fn scenario(url: &str) -> String {
    format!(
        "\
scenario: sandboxed
seed: 7
services: {{ it: \"{url}\" }}
archetypes:
  reader:
    think: 10ms
    data: {{ row: {{ csv: rows.csv, pick: random }} }}
    flow: [ {{ post: \"/cart?q={{{{ row.name }}}}\", name: page, file: body.bin }} ]
workloads: {{ w: {{ users: 4, duration: 1s, archetypes: {{ reader: 1 }} }} }}
"
    )
}

fn with_files(run: Manada) -> Manada {
    run.file("rows.csv", "name\nada\n").file("body.bin", [7u8; 1_000])
}

#[test]
fn everything_that_a_run_writes_and_sends_works_in_a_sandbox() {
    let target = Builtin::start(&[]);
    let receiver = Server::answering(OK, Then::Next);
    let write = receiver.url();
    let words = [
        "--sandbox",
        "--processes",
        "2",
        "--shards",
        "2",
        "--report",
        "reports/junit.xml",
        "--report",
        "page.html",
        "--samples",
        "calls/samples.ndjson.zst",
        "--log",
        "json:logs/run.log",
        "--log-level",
        "debug",
        "--log-rotate",
        "10kB:2",
        "--log-rate",
        "1000",
        "--history",
        "data/history.db",
        "--metrics=127.0.0.1:0",
        "--web=127.0.0.1:0",
        "--remote-write",
        &write,
    ];
    let run = with_files(Manada::telling(&scenario(&target.url("")), &words));
    for folder in ["reports", "calls", "logs"] {
        fs::create_dir(run.path(folder)).unwrap();
    }
    let done = run.go();
    let report = done.report(0);
    let port = target.url("").rsplit(':').next().unwrap().trim_end_matches('/').parse::<u16>();
    let mut ports = vec![53, port.unwrap(), receiver.address().port()];
    ports.sort_unstable();
    assert_eq!(
        report["generator"]["sandbox"],
        json!({ "files": true, "tcp_ports": true, "signals": true, "connect_ports": ports }),
        "{done}"
    );
    assert!(done.stderr.contains("sandbox: files, TCP ports 53 "), "{done}");
    assert!(count(&report, "calls.ok") > 20, "{done}");
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    for name in [
        "out/report.html",
        "out/run.record",
        "out/health.csv",
        "reports/junit.xml",
        "page.html",
        "calls/samples.ndjson.zst",
        "logs/run.log",
        "logs/run.log.1",
    ] {
        assert!(fs::metadata(done.path(name)).is_ok_and(|file| file.len() > 0), "{name}: {done}");
    }
    assert!(receiver.seen().1 > 0, "{done}");
    for trouble in ["denied", "not permitted", "Permission", "cannot"] {
        assert!(!done.stderr.contains(trouble), "{trouble}: {done}");
    }
    // The commit of the scenario, the intervals of the run, and the rest of the history.
    let place = done.path("data/history.db");
    let listed = Manada::new(&["history", "--history", place.to_str().unwrap(), "--json"]).go();
    assert!(listed.stdout.contains("sandboxed"), "{listed}");
    let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
    assert_eq!(again.json()["generator"]["sandbox"], report["generator"]["sandbox"]);
}

#[test]
fn hit_and_built_in_targets_work_in_a_sandbox() {
    let words = ["-c", "2", "-n", "20", "--sandbox", "-b", "@body.bin", "--processes", "2"];
    let target = Builtin::start(&[]);
    let hit = Manada::hit(&target.url("/cart"), &words).file("body.bin", "x").go();
    assert_eq!(count(&hit.report(0), "calls.ok"), 20, "{hit}");
    assert!(hit.stderr.contains("sandbox: files, TCP ports 53 "), "{hit}");
    let text = scenario("http://127.0.0.1:1").replace("\"http://127.0.0.1:1\"", "builtin");
    let run = with_files(Manada::run(&text, &["--sandbox=files"])).go();
    let report = run.report(0);
    assert!(count(&report, "calls.ok") > 20, "{run}");
    assert_eq!(report["generator"]["sandbox"]["tcp_ports"], false);
    assert!(run.stderr.contains("sandbox: files; TCP ports are not limited"), "{run}");
    // Without the option nothing is said of it.
    let run = with_files(Manada::run(&text, &[])).go();
    assert!(run.report(0)["generator"]["sandbox"].is_null(), "{run}");
}

/// A worker reads the files of its scenario again. Here one of them leads elsewhere by then.
#[test]
fn worker_cannot_read_a_file_that_the_scenario_was_not_compiled_from() {
    for (sandbox, code) in [(&["--sandbox"][..], 3), (&[], 0)] {
        let (arrived, is_set_up) = mpsc::sync_channel(1);
        let (let_go, may_go) = mpsc::sync_channel(1);
        let may_go = Mutex::new(may_go);
        let server = Server::start(move |peer| {
            while let Some(head) = peer.whole_request() {
                if head.starts_with("GET /setup") {
                    arrived.send(()).unwrap();
                    may_go.lock().unwrap().recv_timeout(LIMIT).unwrap();
                }
                if !peer.send(OK) {
                    return;
                }
            }
        });
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("limits.yaml");
        fs::write(&secret, "max_users: 1000\n").unwrap();
        let text = format!("setup: [ {{ get: /setup }} ]\n{}", scenario(&server.url()));
        let run = with_files(Manada::telling(&text, &["--processes", "2", "--shards", "2"]));
        let run = run.words(sandbox).file("limits.yaml", "max_users: 1000\n");
        let limits = run.path("limits.yaml");
        let running = run.env("MANADA_SAFETY", limits.clone()).start();
        // Workers start after the setup.
        is_set_up.recv_timeout(LIMIT).unwrap();
        fs::remove_file(&limits).unwrap();
        symlink(&secret, &limits).unwrap();
        let_go.send(()).unwrap();
        let done = running.wait();
        assert_eq!(done.code, Some(code), "{done}");
        if code != 0 {
            assert!(done.stderr.contains("limits.yaml"), "{done}");
            assert!(done.stderr.contains("Permission denied"), "{done}");
        }
    }
}

/// The test's thread allows no port but one; the program inherits that.
#[test]
fn forbidden_connection_is_an_error_of_the_generator() {
    let server = Server::answering(OK, Then::Next);
    let url = server.url();
    let enter = |port: u16| {
        let mut rules = SandboxRules::default();
        rules.write("/");
        rules.execute(MANADA);
        for folder in ["/bin", "/usr/bin", "/lib", "/lib64", "/usr/lib", "/usr/lib64"] {
            rules.execute(folder);
        }
        rules.listen(0);
        rules.connect(port);
        rules.enforce(SandboxLevel::All).unwrap();
    };
    let hit = |port: u16| {
        let url = url.clone();
        std::thread::spawn(move || {
            enter(port);
            Manada::hit(&url, &["-c", "1", "-n", "3"]).go()
        })
        .join()
        .unwrap()
    };
    let done = hit(server.address().port());
    assert_eq!(count(&done.report(0), "calls.ok"), 3, "{done}");
    let done = hit(server.address().port() ^ 1);
    let report = done.json();
    assert_eq!(count(&report, "calls.generator_errors"), 3, "{done}");
    let error = &report["errors"][0];
    assert_eq!((&error["phase"], &error["kind"]), (&json!("generator"), &json!("not_permitted")));
    assert!(error["hint"].as_str().unwrap().contains("--sandbox"), "{done}");
    assert_eq!(server.seen().1, 3);
}
