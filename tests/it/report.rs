//! Tests of the files of a run: every documented key, and that files agree with each other.

use std::collections::HashMap;
use std::fs;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::peer::{Server, Then};

/// LANGUAGE's summary.json, key by key: `n` is a count or a whole duration, `f` a number, `s` a
/// text, `a` a list, `o` a map, `l` a latency, `i` a ledger of iterations, `c` of calls; a type
/// that ends in `?` may be null. A number in a path is an index of a list.
const KEYS: [(&str, &str); 58] = [
    ("version", "n"),
    ("scenario", "s"),
    ("seed", "n"),
    ("started_at", "s"),
    ("duration_s", "f"),
    ("verdict", "s"),
    ("exit_code", "n"),
    ("trust.verdict", "s"),
    ("trust.reasons", "a"),
    ("iterations", "i"),
    ("calls", "c"),
    ("attempts.started", "n"),
    ("attempts.sent", "n"),
    ("attempts.first", "n"),
    ("attempts.retries", "n"),
    ("attempts.hedges", "n"),
    ("attempts.redirects", "n"),
    ("attempts.stale_resends", "n"),
    ("users.peak", "n"),
    ("connections.opened", "n"),
    ("connections.reused", "n"),
    ("connections.failed", "n"),
    ("connections.peak", "n"),
    ("bytes.sent", "n"),
    ("bytes.received", "n"),
    ("rate.due_per_s", "f?"),
    ("rate.achieved_per_s", "f?"),
    ("rate.achieved_percent", "f?"),
    ("status", "o"),
    ("errors", "a"),
    ("response_us", "l"),
    ("service_us", "l"),
    ("lag_us", "l"),
    ("blocked_us", "l"),
    ("iteration_us", "l"),
    ("phases_us.dns", "l"),
    ("phases_us.connect", "l"),
    ("phases_us.tls", "l"),
    ("phases_us.first_byte", "l"),
    ("phases_us.body", "l"),
    ("workloads.0.name", "s"),
    ("workloads.0.model", "s"),
    ("workloads.0.iterations", "i"),
    ("workloads.0.calls", "c"),
    ("workloads.0.response_us", "l"),
    ("workloads.0.lag_us", "l"),
    ("workloads.0.rate", "o"),
    ("steps.0.id", "n"),
    ("steps.0.name", "s"),
    ("steps.0.archetype", "s"),
    ("steps.0.workload", "s"),
    ("steps.0.calls", "c"),
    ("steps.0.rate_per_s", "f?"),
    ("steps.0.response_us", "l"),
    ("steps.0.service_us", "l"),
    ("checks", "a"),
    ("thresholds", "a"),
    ("warmup.duration_s", "f"),
];

/// The additional keys of the run of [`shop`].
const MORE: [(&str, &str); 15] = [
    ("checks.0.step", "s"),
    ("checks.0.name", "s"),
    ("checks.0.passed", "n"),
    ("checks.0.failed", "n"),
    ("thresholds.0.rule", "s"),
    ("thresholds.0.observed", "f?"),
    ("thresholds.0.limit", "f"),
    ("thresholds.0.passed", "b"),
    ("warmup.calls", "c"),
    ("warmup.response_us", "l"),
    ("generator.tier", "s"),
    ("generator.shards", "n"),
    ("generator.processes", "n"),
    ("generator.cpu_percent_max", "f"),
    ("generator.rss_bytes_peak", "n"),
];

const LATENCY: [(&str, &str); 12] = [
    ("count", "n"),
    ("censored", "n"),
    ("min", "n?"),
    ("mean", "f?"),
    ("p50", "n?"),
    ("p90", "n?"),
    ("p95", "n?"),
    ("p99", "n?"),
    ("p99_9", "n?"),
    ("max", "n?"),
    ("at_least", "a"),
    ("thin", "a"),
];

const ITERATIONS: [&str; 8] = [
    "due",
    "started",
    "completed",
    "ended_early",
    "interrupted",
    "dropped",
    "suppressed",
    "not_reached",
];

const CALLS: [&str; 8] = [
    "made",
    "ok",
    "failed",
    "timeout",
    "suppressed",
    "cancelled",
    "generator_errors",
    "unfinished",
];

/// Returns the keys that are missing or have another type.
fn missing(value: &Value, keys: &[(&str, &str)]) -> Vec<String> {
    let mut missing = Vec::new();
    for (path, kind) in keys {
        let found = path.split('.').try_fold(value, |value, key| match key.parse::<usize>() {
            Ok(place) => value.get(place),
            Err(_) => value.get(key),
        });
        let Some(found) = found else {
            missing.push(format!("{path} is not there"));
            continue;
        };
        let optional = kind.ends_with('?') && found.is_null();
        let below: Vec<(&str, &str)> = match *kind {
            "l" => LATENCY.to_vec(),
            "i" => ITERATIONS.map(|name| (name, "n?")).to_vec(),
            "c" => CALLS.map(|name| (name, "n")).to_vec(),
            _ => Vec::new(),
        };
        let fits = match kind.trim_end_matches('?') {
            "n" => found.is_u64(),
            "f" => found.is_number(),
            "s" => found.is_string(),
            "a" => found.is_array(),
            "b" => found.is_boolean(),
            _ => found.is_object(),
        };
        if !fits && !optional {
            missing.push(format!("{path} is {found}, not {kind}"));
        }
        missing.extend(self::missing(found, &below).iter().map(|one| format!("{path}.{one}")));
    }
    missing
}

/// Runs two workloads, checks, a warm-up, a threshold that holds and one that does not.
fn shop() -> Done {
    let target = Builtin::start(&["--latency", "2ms", "--fail", "3%:503"]);
    let scenario = format!(
        "scenario: two\nservices: {{ it: \"{}\" }}\nwarmup: 1s\nworkloads:\n  closed:\n    \
         users: 5\n    duration: 2500ms\n    flow:\n      \
         - {{ get: /, name: home, check: {{ status: 200 }}, think: 10ms }}\n      \
         - {{ get: /products/1, name: product }}\n  open:\n    \
         arrivals: {{ rate: 80/s, max_users: 100 }}\n    duration: 2500ms\n    \
         flow: [ {{ get: /products/2, name: \"=other\" }} ]\nthresholds:\n  \
         - achieved > 1%\n  - timeouts > 1000000\n",
        target.url("")
    );
    Manada::run(&scenario, &["--shards", "2"]).go()
}

#[test]
fn the_document_has_every_key_and_the_files_agree() {
    let done = shop();
    let report = done.report(4);
    let missing = [missing(&report, &KEYS), missing(&report, &MORE)].concat();
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(report["verdict"], "fail");
    let thresholds: Vec<_> = [0, 1].map(|at| &report["thresholds"][at]["passed"]).into();
    assert_eq!(thresholds, [&Value::Bool(true), &Value::Bool(false)]);
    let written: Value = serde_json::from_str(&done.read("out/summary.json")).unwrap();
    assert_eq!(written, report, "one document, on paper and on screen");
    check_timeline(&done, &report);
    check_steps(&done, &report);
    check_log(&done, &report);
}

/// Reads the rows of a CSV file, by column.
fn rows(done: &Done, name: &str) -> Vec<HashMap<String, String>> {
    let mut csv = csv::Reader::from_path(done.path(name)).unwrap();
    csv.deserialize().map(Result::unwrap).collect()
}

fn number(row: &HashMap<String, String>, column: &str) -> u64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} in {row:?}"))
}

/// The rows add up to the calls of the whole run, and the measured ones to the steps.
fn check_timeline(done: &Done, report: &Value) {
    let rows = rows(done, "out/timeline.csv");
    for (column, path) in [
        ("calls", "calls.made"),
        ("ok", "calls.ok"),
        ("failed", "calls.failed"),
        ("timeout", "calls.timeout"),
        ("unfinished", "calls.unfinished"),
    ] {
        for of_workload in [true, false] {
            let rows = rows.iter().filter(|row| (row["step"] == "*") == of_workload);
            let sum: u64 = rows.map(|row| number(row, column)).sum();
            assert_eq!(sum, count(report, path), "{column} of timeline.csv");
        }
    }
    for step in report["steps"].as_array().unwrap() {
        let name = step["name"].as_str().unwrap().trim_start_matches('=');
        let own = rows.iter().filter(|row| row["step"].trim_start_matches("'=") == name);
        let own = own.filter(|row| row["measured"] == "1");
        let sum: u64 = own.map(|row| number(row, "calls")).sum();
        assert_eq!(sum, count(step, "calls.made"), "{name}");
    }
    let loads = rows.iter().filter(|row| row["step"] == "*" && row["workload"] == "open");
    let due: u64 = loads.map(|row| number(row, "due")).sum();
    assert_eq!(due, count(&report["workloads"][1], "iterations.due"));
}

fn check_steps(done: &Done, report: &Value) {
    let rows = rows(done, "out/steps.csv");
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(rows.len(), steps.len());
    for (row, step) in rows.iter().zip(steps) {
        for (column, path) in [
            ("id", "id"),
            ("calls", "calls.made"),
            ("ok", "calls.ok"),
            ("failed", "calls.failed"),
            ("timeout", "calls.timeout"),
            ("response_censored", "response_us.censored"),
            ("response_p50_us", "response_us.p50"),
            ("response_p99_9_us", "response_us.p99_9"),
            ("response_max_us", "response_us.max"),
            ("service_p99_us", "service_us.p99"),
        ] {
            assert_eq!(number(row, column), count(step, path), "{column} of {row:?}");
        }
        assert_eq!(row["workload"], step["workload"].as_str().unwrap());
    }
    assert_eq!(rows[2]["step"], "'=other", "no spreadsheet takes it for a formula");
    let warm: u64 = rows.iter().map(|row| number(row, "calls")).sum();
    assert_eq!(warm + count(report, "warmup.calls.made"), count(report, "calls.made"));
}

/// The log is read by the library's own reader; its counts and values equal the report's.
fn check_log(done: &Done, report: &Value) {
    let log = fs::read(done.path("out/latency.hlog")).unwrap();
    let mut by_tag: HashMap<String, Histogram<u64>> = HashMap::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes = base64(interval.encoded_histogram());
        let one: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        let tag = interval.tag().unwrap().to_string();
        let all = by_tag.entry(tag).or_insert_with(|| Histogram::new_from(&one));
        all.add(&one).unwrap();
    }
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(by_tag.len(), 2 * steps.len());
    for step in steps {
        for kind in ["response", "service"] {
            let logged = &by_tag[&format!("{}.{kind}", step["id"])];
            let latency = &step[&format!("{kind}_us")];
            let answered = count(latency, "count") - count(latency, "censored");
            assert_eq!(logged.len(), answered, "{kind} of {step}");
            let (median, p50) = (logged.value_at_quantile(0.5), count(latency, "p50"));
            assert!(logged.equivalent(median, p50) || median.abs_diff(p50) * 100 < p50, "{step}");
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

#[test]
fn a_hit_has_every_key_too() {
    let target = Builtin::start(&[]);
    for words in [&["-n", "50", "-c", "5"][..], &["-r", "100/s", "-d", "1s"]] {
        let done = Manada::hit(&target.url("/"), words).go();
        let report = done.report(0);
        let missing = missing(&report, &KEYS);
        assert!(missing.is_empty(), "{missing:#?}");
        assert_eq!(report["iterations"]["due"].is_u64(), words[0] == "-r", "{report}");
        assert!(!done.path("reports").exists(), "a hit leaves a folder only when asked");
    }
}

#[test]
fn unwritable_report_fails_before_the_load() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Then::Next);
    let hit = |out: &str| {
        let words = ["-n", "10", "-c", "1", "--out", out];
        Manada::hit(&server.url(), &words).file("file", "in the way").file("old/steps.csv", "x")
    };
    for (out, said) in [
        ("file", "cannot write the report to file"),
        ("file/below", "cannot write the report to file/below"),
        ("old", "--force"),
        ("/proc/report", "cannot write the report to /proc/report"),
    ] {
        let done = hit(out).go();
        assert_eq!(done.code, Some(1), "{out}: {done}");
        assert!(done.stderr.contains(said) && done.stdout.is_empty(), "{out}: {done}");
        assert_eq!(done.path("file").metadata().unwrap().len(), 10);
    }
    assert_eq!(server.seen(), (0, 0), "no load before a report that cannot be kept");
    let done = hit("old").words(&["--force"]).go();
    done.report(0);
    assert!(done.read("old/steps.csv").starts_with("id,"));
    let done = hit("deep/er/new").go();
    done.report(0);
    assert!(done.path("deep/er/new/summary.json").exists());
}

#[test]
fn a_run_names_its_folder_and_its_files() {
    let scenario = "scenario: a-b.c\nservices: { it: builtin }\nworkloads:\n  w:\n    \
                    users: 2\n    iterations: 10\n    flow: [ { get: / } ]\n";
    let done = Manada::new(&["run", "scenario.yaml"]).file("scenario.yaml", scenario).go();
    assert_eq!(done.code, Some(0), "{done}");
    let folder = fs::read_dir(done.path("reports")).unwrap().next().unwrap().unwrap();
    let name = folder.file_name().into_string().unwrap();
    assert!(name.starts_with("a-b.c-20"), "{name}");
    for file in ["summary.json", "report.html", "steps.csv", "timeline.csv", "latency.hlog"] {
        // Each on a line of its own.
        let mut lines = done.stdout.lines();
        assert!(lines.any(|line| line.ends_with(&format!(" reports/{name}/{file}"))), "{done}");
    }
}
