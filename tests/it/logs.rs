//! Logs of runs: failed calls add up to the report, levels, rates, rotation, and files that fail.
//!
//! Invariant: no figure depends on how fast the machine is.

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};

/// It holds however late a busy machine is: without a rule such a run is inconclusive.
const RULE: &str = "--threshold=errors < 60%";

fn scenario(target: &Builtin) -> String {
    format!(
        "scenario: shop\nservices: {{ shop: {{ url: '{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /?a\n      name: look\n    \
         - get: /status/404\n      name: miss\n    - log: 'a \"quoted\" line'\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    \
         arrivals: {{ rate: 50/s }}\n    duration: 3s\n",
        target.url("")
    )
}

fn run(target: &Builtin, words: &[&str]) -> Done {
    let all = [&["run", "s.yaml", "--json", "--seed", "7", RULE], words];
    Manada::new(&all.concat()).file("s.yaml", scenario(target)).go()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// The number of entries of a kind by the lines: those written, and those left out.
fn entries(lines: &[Value], kind: &str) -> u64 {
    let left_out = of(lines, "left_out").into_iter().filter(|line| line["of"] == kind);
    let left_out: u64 = left_out.map(|line| line["count"].as_u64().unwrap()).sum();
    let all = of(lines, kind).len() as u64 + left_out;
    let total = of(lines, "total").into_iter().find(|line| line["of"] == kind).unwrap();
    assert_eq!(total["count"], all, "{total}");
    assert_eq!(total["left_out"], left_out, "{total}");
    all
}

fn failed(report: &Value) -> u64 {
    let kinds = ["failed", "timeout", "suppressed", "generator_errors"];
    kinds.iter().map(|kind| count(report, &format!("calls.{kind}"))).sum()
}

#[test]
fn failed_calls_add_up_to_the_report() {
    let target = Builtin::start(&["--fail", "10%:503"]);
    for (processes, level) in [("1", "error"), ("2", "info")] {
        let words = ["--log", "json:run.log", "--log-level", level, "--processes", processes];
        let done = run(&target, &words);
        let report = done.report(0);
        let lines = lines(&done.read("run.log"));
        assert!(failed(&report) >= 150, "{done}");
        assert_eq!(entries(&lines, "failed_call"), failed(&report), "{done}");
        for line in of(&lines, "failed_call") {
            assert_eq!((&line["level"], &line["result"]), (&"error".into(), &"failed".into()));
            assert_eq!(line["workload"], "shop", "{line}");
            assert_eq!(line["archetype"], "buyer", "{line}");
            assert!(line["step"] == "miss" || line["step"] == "look", "{line}");
            assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "{line}");
            assert_eq!(line["run_id"], report["run_id"], "{line}");
            assert_eq!(line["scenario"], "shop", "{line}");
        }
        assert_eq!(of(&lines, "ended").len(), usize::from(level == "info"), "{done}");
        assert!(done.stderr.contains("left out, raise --log-rate for more"), "{done}");
    }
}

#[test]
fn a_log_at_level_debug_has_calls_and_iterations() {
    let target = Builtin::start(&[]);
    let words = ["--log", "json:run.log", "--log-level=debug", "--log-rate=10000"];
    let done = run(&target, &words);
    let report = done.report(0);
    let lines = lines(&done.read("run.log"));
    // Nothing is left out at this rate, unless a busy machine makes one second of all of them.
    assert_eq!(entries(&lines, "failed_call"), count(&report, "calls.failed"), "{done}");
    assert_eq!(entries(&lines, "call"), count(&report, "calls.ok"), "{done}");
    assert_eq!(entries(&lines, "iteration"), count(&report, "iterations.completed"), "{done}");
    assert_eq!(entries(&lines, "log"), 150, "{done}");
    for kind in ["failed_call", "call", "iteration"] {
        assert_eq!(of(&lines, kind).len(), 150, "{kind} {done}");
    }
    let iterations = of(&lines, "iteration");
    for call in of(&lines, "call") {
        let has_its_trace = |one: &&&Value| one["trace_id"] == call["trace_id"];
        assert_eq!(iterations.iter().filter(has_its_trace).count(), 1, "{call}");
    }
    let ended = of(&lines, "ended");
    assert_eq!((&ended[0]["verdict"], &ended[0]["exit_code"]), (&"pass".into(), &0.into()));
    assert_eq!(of(&lines, "threshold")[0]["passed"], true);
    assert_eq!(of(&lines, "started")[0]["seed"], 7);
}

#[test]
fn lines_without_a_file_are_on_standard_error_alone() {
    let target = Builtin::start(&[]);
    let done = run(&target, &["--log", "json", "--log-level=debug"]);
    let report = done.report(0);
    let lines = lines(&done.stderr);
    assert_eq!(entries(&lines, "failed_call"), failed(&report), "{done}");
    assert_eq!(lines.last().unwrap()["kind"], "ended", "{done}");
    for ui in ["plain", "bar"] {
        let done = run(&target, &["--log", "logfmt", "--ui", ui]);
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains("such as `--log json:run.log`"), "{done}");
    }
}

#[test]
fn rotated_files_have_all_lines() {
    let target = Builtin::start(&[]);
    let words = ["--log=json:run.log", "--log-level=debug", "--log-rate=10000"];
    let done = run(&target, &[&words[..], &["--log-rotate", "8KiB:999"]].concat());
    let report = done.report(0);
    let mut text = done.read("run.log");
    let mut files = 0;
    while let Ok(former) = std::fs::read_to_string(done.path(format!("run.log.{}", files + 1))) {
        assert!(former.len() <= 8_192 && former.ends_with('\n'), "{}", former.len());
        text = former + &text;
        files += 1;
    }
    let lines = lines(&text);
    assert!(files > 10, "{files} {done}");
    assert_eq!(entries(&lines, "failed_call"), failed(&report), "{done}");
    assert_eq!(of(&lines, "failed_call").len(), 150, "{done}");
    assert_eq!(
        (&lines[0]["kind"], &lines.last().unwrap()["kind"]),
        (&"started".into(), &"ended".into())
    );
}

#[test]
fn a_disk_that_is_full_costs_lines_and_no_run() {
    let target = Builtin::start(&[]);
    let done = run(&target, &["--log", "logfmt:/dev/full", "--ui", "none"]);
    done.report(0);
    assert!(done.stderr.contains("/dev/full: "), "{done}");
    assert!(done.stderr.contains("lines not written: No space left on device"), "{done}");
    assert!(done.stderr.contains("/dev/full: 0 lines"), "{done}");
}

#[test]
fn wrong_options_are_refused_before_the_load() {
    let target = Builtin::start(&[]);
    for (words, code, says) in [
        (&["--log", "jsn"][..], 2, "did you mean `json`?"),
        (&["--log", "run.log"], 2, "such as json:run.log"),
        (&["--log", "json:/dev/null/run.log"], 1, "cannot write /dev/null/run.log"),
        (&["--log", "json", "--log-rate", "0"], 2, "raise --log-level"),
        (&["--log", "json", "--log-level", "all"], 2, "possible values: error, warn, info, debug"),
        (&["--log", "json", "--log-rotate", "1MB"], 2, "`--log-rotate` needs a file"),
        (&["--log", "json:l", "--log-rotate", "5"], 2, "at least 1KiB"),
        (&["--log-level", "warn"], 2, "--log <FORMAT[:FILE]>"),
    ] {
        let done = run(&target, words);
        assert_eq!(done.code, Some(code), "{words:?} {done}");
        assert!(done.stderr.contains(says), "{says} {done}");
    }
    assert_eq!(target.count("/"), 0);
}

#[test]
fn a_run_that_cannot_begin_has_an_end_in_its_log() {
    let target = Builtin::start(&[]);
    let text = scenario(&target)
        .replace("archetypes:\n  buyer", "setup: [ { get: /status/500 } ]\narchetypes:\n  buyer");
    let words = ["run", "s.yaml", "--ui=none", "--log=json:run.log"];
    let done = Manada::new(&words).file("s.yaml", text).go();
    assert_ne!(done.code, Some(0), "{done}");
    let lines = lines(&done.read("run.log"));
    let [ended] = &lines[..] else { panic!("{lines:?} {done}") };
    assert!(ended["msg"].as_str().unwrap().contains("setup failed"), "{ended}");
    assert_eq!((&ended["kind"], &ended["level"]), (&"ended".into(), &"error".into()), "{done}");
    assert_eq!(ended["exit_code"], done.code.unwrap(), "{done}");
}
