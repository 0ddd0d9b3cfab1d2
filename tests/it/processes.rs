//! Tests of a run on several processes: what they share, what they refuse, and what is left of a
//! run when one of them is lost.

use std::fs;

use manada::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::arrival_log::arrivals;
use crate::builtin::Builtin;
use crate::harness::{LIMIT, Manada, Running, count};

/// An open load, a closed one, and one that a count ends, for four seconds.
fn mixed(target: &Builtin) -> String {
    format!(
        "\
scenario: parts
seed: 7
services: {{ it: \"{}\" }}
grace: 2s
archetypes: {{ reader: {{ think: 50ms, flow: [ {{ get: /products, name: page }} ] }} }}
workloads:
  api:
    arrivals: {{ rate: 100/s }}
    duration: 4s
    flow:
      - {{ get: /cart, name: home, headers: {{ manada-intended: \"{{{{ user.number }}}} 0\" }} }}
  people: {{ users: 9, duration: 4s, archetypes: {{ reader: 1 }} }}
",
        target.url("")
    )
}

/// The ids of the workers of a run.
fn workers(of: &Running) -> Vec<Pid> {
    let parent = of.pid().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        // The fields after the name, which stands in parentheses: state, parent.
        let after = stat.rsplit(')').next().unwrap_or_default().to_owned();
        let is_child = after.split_whitespace().nth(1) == Some(&parent);
        if is_child && words.split(|byte| *byte == 0).nth(1) == Some(b"worker") {
            found.push(pid);
        }
    }
    found.sort_unstable();
    found.into_iter().map(|pid| Pid::from_raw(pid).unwrap()).collect()
}

/// Starts a run whose first second is over.
fn started(scenario: &str, words: &[&str]) -> Running {
    let running = Manada::telling(scenario, words).start();
    running.hear("| api: ");
    running
}

fn workload<'r>(report: &'r Value, name: &str) -> &'r Value {
    let all = report["workloads"].as_array().unwrap();
    &all.iter().find(|workload| workload["name"] == name).unwrap()["iterations"]
}

/// The `to` of the last event of a kind.
fn event<'r>(report: &'r Value, kind: &str) -> Option<&'r Value> {
    let all = report["events"].as_array().unwrap();
    all.iter().rev().find(|event| event["kind"] == kind).map(|event| &event["to"])
}

/// Runs an open load of 100/s for six seconds on three workers, and kills the second one after a
/// second. Returns the report, after checks that hold for each policy.
fn with_a_loss(policy: &str, code: i32) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("arrivals.csv");
    let target = Builtin::start(&["--log", log.to_str().unwrap()]);
    let running =
        started(&mixed(&target), &["--processes", "3", "--duration", "6s", "--on-loss", policy]);
    let lost = workers(&running)[1];
    kill_process(lost, Signal::KILL).unwrap();
    running.hear("worker 2: lost; its work after");
    let done = running.wait();
    // `calls > 0` holds whatever is missing.
    let report = done.report(code);
    let api = workload(&report, "api");
    assert_eq!(count(api, "due"), 600, "{api}");
    let reasons = report["trust"]["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason["check"] == "lost_workers"), "{reasons:?}");
    assert_eq!(report["trust"]["verdict"], "no");
    let used = report["generator"]["workers"].as_array().unwrap();
    let lost: Vec<bool> = used.iter().map(|one| one["lost"].is_string()).collect();
    assert_eq!(lost, [false, true, false], "{used:?}");
    assert!(used.iter().all(|one| count(one, "rss_bytes_peak") > 1 << 20), "{used:?}");
    // What was sent and not reported is a part of what counts as unserved.
    let (arrived, unserved) = (target.count("/cart"), count(api, "unserved"));
    let reported = count(api, "started");
    assert!(arrived >= reported && arrived <= reported + unserved, "{arrived} {api}");
    target.end();
    let (arrivals, _) = arrivals(&log);
    assert_eq!(arrivals.len() as u64, arrived);
    assert!(arrivals.values().all(|times| *times == 1), "one came twice: {arrivals:?}");
    // The record gives the same report.
    let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
    assert_eq!(again.json(), report);
    report
}

/// Whether about a third of 100/s was unserved in a time, s.
fn assert_unserved(report: &Value, from: f64, until: f64) {
    let unserved = count(workload(report, "api"), "unserved") as f64;
    let expected = (until - from) * 100.0 / 3.0;
    assert!((unserved - expected).abs() < 3.0, "{unserved}, not {expected}: {report}");
}

#[test]
fn other_workers_serve_the_load_of_a_lost_one() {
    let report = with_a_loss("redistribute", 0);
    let lost = event(&report, "worker_lost").unwrap()["reported_until_s"].as_f64().unwrap();
    let moved = event(&report, "redistributed").unwrap();
    let from = moved["from_s"].as_f64().unwrap();
    assert_eq!(count(moved, "shards"), 2);
    assert_unserved(&report, lost, from);
    let reasons = report["trust"]["reasons"].as_array().unwrap();
    let hint = reasons.iter().find(|reason| reason["check"] == "lost_workers").unwrap();
    let hint = hint["hint"].as_str().unwrap();
    assert!(hint.contains("its load is served by 2 other shards from"), "{hint}");
}

#[test]
fn load_of_a_lost_worker_may_be_unserved() {
    let report = with_a_loss("continue", 0);
    let lost = event(&report, "worker_lost").unwrap()["reported_until_s"].as_f64().unwrap();
    assert!(event(&report, "redistributed").is_none());
    assert_unserved(&report, lost, 6.0);
}

#[test]
fn a_lost_worker_may_stop_the_run() {
    let report = with_a_loss("abort", 1);
    let stopped = report["stopped"].as_str().unwrap();
    assert!(stopped.contains("worker 2 is lost: killed by SIGKILL"), "{stopped}");
    assert!(count(workload(&report, "api"), "not_reached") > 0, "{report}");
}

#[test]
fn slots_that_a_lost_worker_had_adopted_move_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("arrivals.csv");
    let target = Builtin::start(&["--log", log.to_str().unwrap()]);
    let running = started(&mixed(&target), &["--processes", "4", "--duration", "9s"]);
    let workers = workers(&running);
    for (index, shards) in [(3, "3 other shards"), (0, "2 other shards"), (1, "1 other shard ")] {
        kill_process(workers[index], Signal::KILL).unwrap();
        running.hear(&format!("worker {}: its load is served by {shards}", index + 1));
    }
    let report = running.wait().report(0);
    let api = workload(&report, "api");
    assert_eq!(count(api, "due"), 900, "{api}");
    target.end();
    let (arrivals, _) = arrivals(&log);
    assert!(arrivals.values().all(|times| *times == 1), "one came twice: {arrivals:?}");
    let missing = 900 - arrivals.len() as u64;
    assert!(missing <= count(api, "unserved") + count(api, "dropped"), "{missing} {api}");
}

#[test]
fn without_a_worker_the_run_ends_and_reports_what_it_has() {
    let target = Builtin::start(&[]);
    let running = started(&mixed(&target), &["--processes", "2"]);
    for worker in workers(&running) {
        kill_process(worker, Signal::KILL).unwrap();
    }
    let done = running.wait();
    let report = done.report(1);
    let stopped = report["stopped"].as_str().unwrap();
    assert!(stopped.contains("no worker is left: killed by SIGKILL"), "{stopped}");
    let api = workload(&report, "api");
    assert_eq!(count(api, "due"), 400, "{api}");
    assert!(count(api, "not_reached") > 0 && count(api, "started") > 0, "{api}");
}

#[test]
fn workers_end_with_their_coordinator() {
    let target = Builtin::start(&[]);
    let running = started(&mixed(&target), &["--processes", "2"]);
    let workers = workers(&running);
    assert_eq!(workers.len(), 2);
    running.signal(Signal::KILL);
    let done = running.wait();
    assert_eq!(done.code, None, "{done}");
    // Standard error of the workers is the coordinator's: `wait` returns when they have ended.
    for worker in workers {
        let path = format!("/proc/{}/stat", worker.as_raw_nonzero());
        let begun = clock::now();
        loop {
            let stat = fs::read_to_string(&path).unwrap_or_default();
            // Its parent is gone: the system may not have removed it yet.
            let state = stat.rsplit(')').next().unwrap_or_default().trim().chars().next();
            if matches!(state, None | Some('Z' | 'X')) {
                break;
            }
            assert!(clock::now() < begun + LIMIT, "{worker:?} is there: {stat}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_signal_drains_all_workers() {
    let target = Builtin::start(&[]);
    let running = started(&mixed(&target), &["--processes", "2"]);
    running.signal(Signal::INT);
    let report = running.wait().report(130);
    let api = workload(&report, "api");
    assert_eq!(count(api, "due"), 400, "{api}");
    assert_eq!(count(api, "unserved"), 0, "{api}");
    assert_eq!(count(api, "started"), target.count("/cart"));
}

#[test]
fn counts_hold_over_all_processes_and_setup_runs_once() {
    let target = Builtin::start(&[]);
    let scenario = format!(
        "\
scenario: counts
services: {{ it: \"{}\" }}
setup: [ {{ get: /status/200, name: login }}, {{ set: {{ token: \"abc {{{{ 6 * 7 }}}}\" }} }} ]
workloads:
  counted:
    users: 5
    iterations: 101
    flow:
      - {{ get: \"/products?t={{{{ token }}}}\", name: page, \
check: {{ status: 200 }} }}
",
        target.url("")
    );
    let report = Manada::run(&scenario, &["--processes", "3"]).go().report(0);
    let counted = workload(&report, "counted");
    assert_eq!((count(counted, "started"), count(counted, "completed")), (101, 101));
    assert_eq!(count(&report, "generator.processes"), 3);
    // All users are there at the beginning: in each process before its first response.
    assert_eq!(count(&report, "users.peak"), 5);
    assert_eq!(target.count("/products"), 101);
    assert_eq!(target.count("/status/{code}"), 1);
}

#[test]
fn live_control_reaches_all_processes() {
    let target = Builtin::start(&[]);
    let running = started(&mixed(&target), &["--processes", "2", "--duration", "10m"]);
    let control = |words: &[&str]| {
        let done = Manada::new(words).env("XDG_RUNTIME_DIR", running.path("")).go();
        assert_eq!(done.code, Some(0), "{done}");
    };
    control(&["control", "parts", "mute", "home"]);
    control(&["control", "parts", "rate", "api", "400/s"]);
    running.hear("api: 100 % → 400/s");
    // A line each second.
    (0..3).for_each(|_| running.hear_more());
    control(&["control", "parts", "stop"]);
    let report = running.wait().report(130);
    assert!(count(&report, "calls.muted") > 0, "{report}");
}

#[test]
fn what_needs_one_process_is_refused_in_several() {
    let rendezvous = "\
scenario: together
services: { it: \"http://127.0.0.1:1\" }
workloads:
  w: { users: 4, duration: 1s, flow: [ { rendezvous: { users: 4, wait: 1s } }, { get: / } ] }
";
    for (scenario, words, code, text) in [
        (rendezvous, &["--processes", "2"][..], 2, "wait for each other within one process"),
        (rendezvous, &["--processes", "0"], 2, "expected `auto`, or a number from 1 to 256"),
    ] {
        let done = Manada::run(scenario, words).go();
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(text), "{done}");
    }
    let by_hand = Manada::new(&["worker"]).go();
    assert_eq!(by_hand.code, Some(1), "{by_hand}");
    assert!(by_hand.stderr.contains("standard input ended before a plan came from"), "{by_hand}");
}
