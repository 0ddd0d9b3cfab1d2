//! Tests of `manada report`: a finished run shown, judged and exported again; and the formats of
//! `--report`.
//!
//! Invariant: no run is repeated for a comparison: the record gives what the run itself wrote.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, MANADA, Manada, count};
use crate::peer::Server;

/// Runs with a bit of everything: two workloads, failures, breakers, checks, a warm-up.
fn run(target: &Builtin, words: &[&str]) -> Done {
    let scenario = format!(
        "client: resilient\ndegradation: {{ enabled: false }}\n\
         services: {{ it: {{ url: \"{}\" }} }}\nwarmup: 500ms\n\
         breakers: {{ endpoint: {{ failures: 2, open: 100ms }} }}\n\
         thresholds: [ 'service.p50 < 5s', 'errors <= 100%', 'service.p50 < 5s over 1s' ]\n\
         workloads:\n  closed:\n    users: 3\n    duration: 2500ms\n    think: 20ms\n    \
         flow:\n      - {{ get: /, name: home, check: {{ body: {{ contains: xyz }} }} }}\n      \
         - {{ get: '/status/503', name: bad }}\n  \
         open:\n    arrivals: {{ rate: 50/s }}\n    duration: 2500ms\n    flow: [ {{ get: / }} ]\n",
        target.url("")
    );
    Manada::run(&scenario, &["--seed", "3"]).words(words).go()
}

/// Runs `manada report` in the folder of a run.
fn again(done: &Done, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(MANADA);
    command.env("MANADA_HISTORY", "none");
    let output = command.arg("report").args(words).current_dir(done.path("")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn record_reproduces_every_file() {
    let target = Builtin::start(&["--fail", "10%:503"]);
    let done = run(&target, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let (code, json, _) = again(&done, &["out", "--json", "--out", "anew"]);
    assert_eq!((code, json.as_str()), (Some(0), done.stdout.as_str()));
    let files = std::fs::read_dir(done.path("out")).unwrap().map(|file| file.unwrap().file_name());
    let files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    assert!(files.len() >= 8, "{files:?}");
    for name in files.iter().filter(|name| *name != "run.record") {
        let [run, anew] = ["out", "anew"].map(|folder| done.read(&format!("{folder}/{name}")));
        assert!(run == anew, "{name} is another");
    }
    // A report's own record works as well.
    let (code, json, _) = again(&done, &["anew/run.record", "--json"]);
    assert_eq!((code, json.as_str()), (Some(0), done.stdout.as_str()));
    let (_, summary, _) = again(&done, &["out"]);
    assert!(summary.contains("PASS") && summary.contains("Thresholds"), "{summary}");
}

#[test]
fn other_thresholds_judge_the_same_figures() {
    let target = Builtin::start(&[]);
    let done = run(&target, &[]);
    // On a busy machine the generator may have caused a time; it never caused these errors.
    for (rules, code, verdict) in [
        (&["errors < 1%"][..], 4, "fail"),
        (&["errors < 1% over 1s"], 4, "fail"),
        (&["service.p50 < 5s over 1s", "step(\"home\").calls > 1"], 0, "pass"),
        (&["checks > 99%"], 4, "fail"),
    ] {
        let mut words = vec!["out", "--json"];
        rules.iter().for_each(|rule| words.extend(["--threshold", rule]));
        let (found, json, stderr) = again(&done, &words);
        assert_eq!(found, Some(code), "{rules:?}: {stderr}");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["verdict"], verdict);
        assert_eq!(json["thresholds"].as_array().unwrap().len(), rules.len());
        assert_eq!(json["response_us"], done.json()["response_us"]);
    }
}

#[test]
fn killed_run_replays_to_its_last_second() {
    let target = Builtin::start(&[]);
    let words = ["hit", &target.url("/"), "-r", "50/s", "-d", "30s", "--out", "out", "--ui"];
    let running = Manada::new(&words).words(&["plain", "-v"]).start();
    running.hear("    3s of 30s  | hit:");
    running.signal(Signal::KILL);
    let done = running.wait();
    let (code, json, _) = again(&done, &["out", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["verdict"]), (Some(130), &Value::from("interrupted")));
    assert_eq!(json["stopped"], "its record has no end: the run was killed, or is still running");
    assert!(count(&json, "calls.ok") >= 100, "{json:#}");
}

#[test]
fn invalid_record_is_refused_with_advice() {
    let target = Builtin::start(&[]);
    let done = run(&target, &[]);
    std::fs::write(done.path("foreign"), "not a record at all").unwrap();
    let mut damaged = std::fs::read(done.path("out/run.record")).unwrap();
    let line = damaged.iter().position(|byte| *byte == b'\n').unwrap();
    let mut other = damaged.clone();
    other[line - 8..line].copy_from_slice(b"01234567");
    std::fs::write(done.path("other"), &other).unwrap();
    damaged.truncate(line + 2);
    std::fs::write(done.path("cut"), &damaged).unwrap();
    for (words, code, says) in [
        (&["nowhere"][..], 3, "expected the report folder of a run, with its run.record"),
        (&["foreign"], 3, "not a record that this version of manada can read"),
        (&["other"], 3, "the shapes of its entries are `01234567`"),
        (&["cut"], 3, "damaged at its beginning"),
        (&["out", "--out", "out"], 2, "--out is the folder of the record"),
        (&["out", "--threshold", "p95"], 2, "this rule has no comparison"),
        (&["out", "--report", "x.pdf"], 2, "unknown report format `x.pdf`"),
        (&["out", "--report", "foreign/x.md"], 1, "cannot write foreign/x.md"),
    ] {
        let (found, _, stderr) = again(&done, words);
        assert_eq!(found, Some(code), "{words:?}: {stderr}");
        assert!(stderr.contains(says), "{words:?}: {stderr}");
    }
    // Any flipped bit is damage.
    let whole = std::fs::read(done.path("out/run.record")).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 25) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(done.path("damaged"), damaged).unwrap();
        let (found, json, stderr) = again(&done, &["damaged", "--json"]);
        assert!(found == Some(3) && json.is_empty(), "byte {at}: {found:?} {stderr}");
    }
    // A file that never ends is not a record.
    assert!(Command::new("mkfifo").arg(done.path("pipe")).status().unwrap().success());
    for path in ["pipe", "/dev/zero"] {
        let (found, _, stderr) = again(&done, &[path]);
        assert!(found == Some(3) && stderr.contains("not a regular file"), "{path}: {stderr}");
    }
}

#[test]
fn unreadable_record_replaces_earlier_report_and_leaves_no_folder() {
    let target = Builtin::start(&[]);
    let done = run(&target, &[]);
    std::fs::write(done.path("old.md"), "of an earlier run ".repeat(10_000)).unwrap();
    std::fs::write(done.path("foreign"), "not a record at all").unwrap();
    let (code, ..) = again(&done, &["foreign", "--report", "old.md"]);
    let now = done.read("old.md");
    assert!(code == Some(3) && !now.contains("of an earlier run") && !now.is_empty(), "{now}");
    // An empty folder is removed as well.
    for words in [&["out"][..], &["foreign"]] {
        let words = [words, &["--out", "anew", "--report", "old.md/x.md"]].concat();
        assert_eq!(again(&done, &words).0, Some(1));
        assert!(!done.path("anew").exists());
    }
    let done_too = run(&target, &["--report", "scenario.yaml/x.md"]);
    assert!(done_too.code == Some(1) && !done_too.path("out").exists(), "{done_too}");
    again(&done, &["out", "--report", "old.md"]);
    let text = done.read("old.md");
    assert!(text.starts_with("## ") && !text.contains("earlier"), "{text}");
}

#[test]
fn ci_formats_name_failures() {
    let target = Builtin::start(&[]);
    let words = ["--threshold", "errors < 1%", "--report", "github"];
    let files = ["--report", "j.xml", "--report", "m.md", "--report", "b.svg", "--report", "s.csv"];
    let done = run(&target, &[&words[..], &files].concat());
    assert_eq!(done.code, Some(4), "{done}");
    let error = "::error title=scenario%3A threshold failed::errors < 1%25: observed ";
    assert!(done.stderr.contains(error), "{done}");
    let junit = quick_junit::Report::deserialize_from_str(&done.read("j.xml")).unwrap();
    let failed = |suite: &quick_junit::TestSuite| {
        let cases = suite.test_cases.iter();
        let failed = |case: &&quick_junit::TestCase| {
            matches!(case.status, quick_junit::TestCaseStatus::NonSuccess { .. })
        };
        cases.filter(failed).map(|case| case.name.to_string()).collect::<Vec<_>>()
    };
    let failed: Vec<_> = junit.test_suites.iter().map(failed).collect();
    assert_eq!(failed[0], Vec::<String>::new(), "it was carried out");
    assert_eq!(failed[1], ["errors < 1%"]);
    assert_eq!(failed[2].len(), 1, "{:?}: nothing contains xyz", failed[2]);
    let markdown = done.read("m.md");
    assert!(markdown.starts_with("## ❌ scenario: fail\n"), "{markdown}");
    assert!(markdown.contains("| ❌ | errors &lt; 1% | "), "{markdown}");
    assert!(markdown.contains("--seed 3"), "{markdown}");
    let badge = done.read("b.svg");
    assert!(badge.starts_with("<svg") && badge.contains("fail · p95"), "{badge}");
    assert_eq!(done.read("s.csv"), done.read("out/steps.csv"));
    // To standard output, in place of the summary.
    let (_, json, _) = again(&done, &["out", "--report", "json:-"]);
    assert_eq!(json, done.stdout);
}

#[test]
fn foreign_text_is_escaped_in_every_format() {
    const EVIL: &str = concat!(
        "=cmd()|'`<script>alert(1)</script>[x](javascript:y)]]>&",
        "\\u0007\\u202e\\ufffe\\uffff\\u200b\\n::error::"
    );
    let server = Server::start(|peer| {
        while peer.head().is_some() {
            let body = "<script>alert(2)</script>";
            peer.send(
                format!(
                    "HTTP/1.1 500 <img src=x>\r\nX-<b>: \"><script>\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            );
        }
    });
    let scenario = format!(
        "description: \"{EVIL}\"\n\
         services: {{ it: {{ url: \"{}\" }} }}\nthresholds: [ 'errors < 1%' ]\n\
         workloads:\n  w:\n    users: 1\n    iterations: 5\n    flow:\n      - get: /\n        \
         name: \"{EVIL}\"\n        check: {{ body: {{ contains: \"{EVIL}\" }} }}\n",
        server.url()
    );
    let files = ["--report", "j.xml", "--report", "m.md", "--report", "b.svg", "--report", "s.csv"];
    let done = Manada::run(&scenario, &files).words(&["--report", "github"]).go();
    assert_eq!(done.code, Some(4), "{done}");
    let csv = ["s.csv", "out/timeline.csv", "out/health.csv", "out/steps.csv"];
    let files = ["j.xml", "m.md", "b.svg", "out/summary.json", "out/report.html"];
    let texts = files.into_iter().chain(csv).map(|name| (name, done.read(name)));
    for (name, text) in
        texts.chain([("stdout", done.stdout.clone()), ("stderr", done.stderr.clone())])
    {
        let unseen = |c: char| "\u{7}\u{1b}\u{202e}\u{fffe}\u{ffff}\u{200b}".contains(c);
        assert!(!text.contains(unseen), "{name}: {text}");
    }
    for name in ["j.xml", "m.md", "b.svg"] {
        let text = done.read(name);
        assert!(!text.contains("<script") && !text.contains("<img"), "{name}: {text}");
        assert!(!text.contains(['\u{7}', '\u{1b}']), "{name}");
    }
    assert!(quick_junit::Report::deserialize_from_str(&done.read("j.xml")).is_ok());
    for line in done.stderr.lines() {
        assert!(!line.starts_with("::error::"), "a command of theirs: {line}");
    }
    for name in ["s.csv", "out/timeline.csv", "out/health.csv"] {
        let text = done.read(name);
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        for row in rows.records() {
            let cells: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
            assert!(cells.iter().all(|cell| !cell.starts_with(['=', '@', '+'])), "{cells:?}");
        }
    }
}
