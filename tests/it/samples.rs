//! Calls one by one: what a file of samples has adds up to the report.
//!
//! Invariant: no figure depends on how fast the machine is.

use std::io::Read;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::peer::Server;

/// It holds however late a busy machine is: without a rule such a run is inconclusive.
const RULE: &str = "--threshold=errors < 60%";

fn scenario(target: &Builtin) -> String {
    format!(
        "services: {{ shop: {{ url: '{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /?a\n      name: look\n    \
         - get: /status/404\n      name: miss\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    \
         arrivals: {{ rate: 50/s }}\n    duration: 3s\n",
        target.url("")
    )
}

fn run(target: &Builtin, words: &[&str]) -> Done {
    let all = [&["run", "s.yaml", "--json", "--ui", "none", "--seed", "7", RULE], words];
    Manada::new(&all.concat()).file("s.yaml", scenario(target)).go()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sum(lines: &[Value], key: &str) -> u64 {
    lines.iter().map(|line| line[key].as_u64().unwrap()).sum()
}

#[test]
fn samples_add_up_to_the_report() {
    let target = Builtin::start(&[]);
    for processes in ["1", "2"] {
        let done = run(&target, &["--samples", "calls.ndjson", "--processes", processes]);
        let report = done.report(0);
        let calls = lines(&done.read("calls.ndjson"));
        assert_eq!(calls.len() as u64, count(&report, "calls.made"), "{done}");
        assert_eq!(calls.len(), 300, "{done}");
        let failed = calls.iter().filter(|call| call["result"] == "failed").count() as u64;
        assert_eq!(failed, count(&report, "calls.failed"), "{done}");
        assert_eq!(sum(&calls, "bytes_received"), count(&report, "bytes.received"), "{done}");
        assert_eq!(sum(&calls, "bytes_sent"), count(&report, "bytes.sent"), "{done}");
        assert_eq!(sum(&calls, "attempts"), 300, "{done}");
        // The mean of the report is the mean of the calls; it is rounded to µs per call.
        let (mut us, mut slowest) = (0.0, 0.0f64);
        for call in &calls {
            let response = call["response_us"].as_f64().unwrap();
            assert!(response >= call["service_us"].as_f64().unwrap(), "{call}");
            let is_miss = call["step"] == "miss";
            assert_eq!(call["status"], if is_miss { 404 } else { 200 }, "{call}");
            assert_eq!(call["trace_id"].as_str().unwrap().len(), 32, "{call}");
            us += response;
            slowest = slowest.max(response);
        }
        let mean = report["response_us"]["mean"].as_f64().unwrap();
        assert!((us / 300.0 - mean).abs() < mean / 100.0 + 2.0, "{} {mean} {done}", us / 300.0);
        let max = report["response_us"]["max"].as_f64().unwrap();
        assert!((slowest - max).abs() <= max / 100.0 + 2.0, "{slowest} {max} {done}");
        let mut traces: Vec<&str> =
            calls.iter().map(|call| call["trace_id"].as_str().unwrap()).collect();
        traces.sort_unstable();
        traces.dedup();
        assert_eq!(traces.len(), 150, "one trace for each iteration");
        assert!(done.stderr.contains("calls.ndjson: 300 calls"), "{done}");
    }
}

#[test]
fn a_bound_leaves_whole_iterations_out_and_counts_them() {
    let target = Builtin::start(&[]);
    let words = ["--samples", "calls.ndjson.zst", "--samples-rate", "16/s", "--shards", "1"];
    let done = run(&target, &words);
    let made = count(&done.report(0), "calls.made");
    let bytes = std::fs::read(done.path("calls.ndjson.zst")).unwrap();
    let (mut left, mut text) = (bytes.as_slice(), String::new());
    while !left.is_empty() {
        let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut left).unwrap();
        frame.read_to_string(&mut text).unwrap();
    }
    let calls = lines(&text);
    assert!(!calls.is_empty() && calls.len() as u64 <= made / 2, "{} {done}", calls.len());
    let said = format!("calls.ndjson.zst: {} of {made} calls", calls.len());
    assert!(done.stderr.contains(&said), "{said} {done}");
}

#[test]
fn a_file_that_cannot_be_written_ends_the_run_before_the_load() {
    let target = Builtin::start(&[]);
    let done = run(&target, &["--samples", "/dev/null/calls.ndjson"]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("cannot write /dev/null/calls.ndjson"), "{done}");
    assert_eq!(target.count("/"), 0);
}

/// Checks the header `baggage` of a request.
fn check_baggage(head: &str) {
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let bags: Vec<&str> = headers
        .filter(|(name, _)| name.eq_ignore_ascii_case("baggage"))
        .map(|(_, value)| value)
        .collect();
    if head.contains("/bag") {
        assert_eq!(bags, ["mine=1"], "a header of the scenario's own stays");
    } else if head.contains("/own") {
        assert!(bags.is_empty(), "{head}");
    } else {
        let step = if head.contains("/static") { "GET%20%2Fstatic" } else { "GET%20%2F" };
        let [bag] = bags[..] else { panic!("{head}") };
        let (run, rest) = bag.split_once(",manada.scenario=").unwrap();
        assert!(run.starts_with("manada.run_id="), "{bag}");
        let expected = format!("s,manada.archetype=buyer,manada.step={step}");
        assert!(rest.starts_with(&expected), "{bag}");
    }
}

#[test]
fn requests_carry_the_ids_of_their_calls() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&seen);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.whole_request() {
            heads.lock().unwrap().push(head);
            if !peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") {
                return;
            }
        }
    });
    let text = format!(
        "services: {{ shop: {{ url: 'http://{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - get: /static\n    \
         - get: '/{{{{ user.number }}}}'\n    \
         - {{ post: /own, headers: {{ Traceparent: mine }}, body: text }}\n    \
         - {{ get: /bag, name: 'a bag, or two', headers: {{ BAGGAGE: 'mine=1' }} }}\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    users: 2\n    iterations: 40\n",
        server.address()
    );
    let words =
        ["run", "s.yaml", "--json", "--ui", "none", "--seed=7", "--samples", "c.ndjson", RULE];
    let run = |more: &[&str]| {
        let done = Manada::new(&[&words, more].concat()).file("s.yaml", text.clone()).go();
        done.report(0);
        let heads: Vec<String> = std::mem::take(&mut *seen.lock().unwrap());
        (lines(&done.read("c.ndjson")), heads)
    };
    let parent = |head: &String| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("traceparent:"));
        line.map(|line| line.split_once(": ").unwrap().1.to_owned())
    };
    let (_, heads) = run(&[]);
    assert!(heads.iter().filter(|head| !head.contains("/own")).all(|head| parent(head).is_none()));
    let (calls, heads) = run(&["--trace-ratio", "25%"]);
    assert_eq!((calls.len(), heads.len()), (160, 160));
    let mut sampled = std::collections::BTreeSet::new();
    for head in &heads {
        check_baggage(head);
        let value = parent(head).unwrap();
        if head.contains("/own") {
            assert_eq!(value, "mine", "a header of the scenario's own stays");
            continue;
        }
        let parts: Vec<&str> = value.split('-').collect();
        let [version, trace, span, flags] = parts[..] else { panic!("{value}") };
        assert_eq!((version, trace.len(), span.len(), flags.len()), ("00", 32, 16, 2), "{value}");
        let is_its = |call: &&Value| call["trace_id"] == trace && call["span_id"] == span;
        assert_eq!(calls.iter().filter(is_its).count(), 1, "{value} {head}");
        if flags == "01" {
            sampled.insert(trace.to_owned());
        }
    }
    // The seed is fixed, and so is what it samples: some of the 40 iterations.
    assert!((4..=16).contains(&sampled.len()), "{}", sampled.len());
}

#[test]
fn calls_that_cannot_be_written_are_counted_and_the_verdict_stays() {
    let target = Builtin::start(&[]);
    let done = run(&target, &["--samples", "/dev/full"]);
    assert_eq!(count(&done.report(0), "calls.made"), 300, "{done}");
    assert!(done.stderr.contains("/dev/full: 300 calls not written: No space left"), "{done}");
    assert!(done.stderr.contains("/dev/full: 0 calls"), "{done}");
}

#[test]
fn files_that_two_options_or_the_run_itself_would_write_are_refused() {
    let target = Builtin::start(&[]);
    for (words, wanted) in [
        (&["--samples", "-"][..], "`--samples` expects a file"),
        (&["--samples", "a", "--log", "json:./a"], "--samples and --log have the same file"),
        (&["--report", "a.json", "--samples", "a.json"], "--report and --samples have the same"),
        (&["--out", "o", "--log", "json:o/run.record"], "the run itself writes o/run.record"),
        (&["--trace-ratio", "2"], "expected at most 100%"),
        (&["--otlp", "http://127.0.0.1:1", "--otlp-signals", "traces"], "add `--trace-ratio`"),
    ] {
        // The folder is there, as that of an earlier run would be.
        let all = [&["run", "s.yaml", "--ui", "none"], words].concat();
        let done = Manada::new(&all).file("s.yaml", scenario(&target)).file("o/x", "").go();
        assert!(matches!(done.code, Some(1 | 2)), "{done}");
        assert!(done.stderr.contains(wanted), "{wanted}: {done}");
    }
    assert_eq!(target.count("/"), 0);
}

#[test]
fn a_pipe_without_a_reader_is_refused_before_the_load() {
    let target = Builtin::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let pipe = pipe.to_str().unwrap();
    for words in [["--samples", pipe], ["--log", &format!("json:{pipe}")]] {
        let done = run(&target, &words);
        assert_eq!(done.code, Some(1), "{done}");
        assert!(done.stderr.contains("cannot write"), "{done}");
    }
    assert_eq!(target.count("/"), 0);
}

#[test]
fn attempts_add_up_also_if_a_breaker_refuses_a_retry() {
    let target = Builtin::start(&[]);
    let text = format!(
        "services: {{ shop: {{ url: '{}' }} }}\n\
         client: resilient\n\
         breakers: {{ endpoint: {{ failures: 2, open: 200ms }} }}\n\
         retries: {{ max: 3, budget: none, backoff: {{ base: 5ms }}, when: [503] }}\n\
         archetypes:\n  buyer:\n    flow:\n    - {{ get: /status/503, name: busy }}\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    users: 4\n    duration: 2s\n",
        target.url("")
    );
    let words =
        ["run", "s.yaml", "--json", "--ui", "none", "--samples", "c", "--threshold=calls > 0"];
    let done = Manada::new(&words).file("s.yaml", text).go();
    let report = done.report(0);
    let calls = lines(&done.read("c"));
    assert_eq!(sum(&calls, "attempts"), count(&report, "attempts.started"), "{done}");
    assert!(count(&report, "calls.suppressed") > 0, "{done}");
}
