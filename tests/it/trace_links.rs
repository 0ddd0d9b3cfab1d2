//! Exemplars of metrics, and links to traces in reports: at a real Prometheus, at receivers that
//! others wrote, and in all documents of a run.
//!
//! Invariant: each trace that is named is that of a call of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::builtin::Builtin;
use crate::harness::{Done, Manada};
use crate::metrics::{scenario, step};
use crate::otlp_receivers::{OtlpReceiver, array};
use crate::peer::Server;
use crate::prometheus::{Prometheus, ask, pause};

/// A run of the scenario of `metrics` with all calls as samples.
fn run(target: &Builtin, words: &[&str]) -> Manada {
    let all = ["run", "s.yaml", "--json", "--ui", "none", "--no-control", "--seed", "7"];
    Manada::new(&all)
        .words(&["--samples", "calls.ndjson", "--trace-ratio", "50%"])
        .words(words)
        .file("s.yaml", scenario(target))
}

/// The samples of a run by the id of their span.
fn samples(done: &Done) -> BTreeMap<String, Value> {
    let text = done.read("calls.ndjson");
    let calls = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    calls.map(|call| (call["span_id"].as_str().unwrap().to_owned(), call)).collect()
}

/// Checks the exemplars of a job: series of `name`, each with its exemplars.
fn check_exemplars(series: &[Value], samples: &BTreeMap<String, Value>) {
    let mut bounds = BTreeSet::new();
    for one in series {
        let labels = &one["seriesLabels"];
        for exemplar in array(&one["exemplars"]) {
            let ids = &exemplar["labels"];
            let call = &samples[ids["span_id"].as_str().unwrap()];
            assert_eq!((&call["trace_id"], &call["step"]), (&ids["trace_id"], &labels["step"]));
            let value: f64 = exemplar["value"].as_str().unwrap().parse().unwrap();
            let response = call["response_us"].as_f64().unwrap() / 1e6;
            assert!((value - response).abs() < 1e-9, "{exemplar} {call}");
            let at = exemplar["timestamp"].as_f64().unwrap();
            let time = humantime::parse_rfc3339(call["time"].as_str().unwrap()).unwrap();
            let end = time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64() + response;
            assert!((at - end).abs() < 0.003, "{at} {end}");
            if let Some(bound) = labels["le"].as_str().filter(|bound| *bound != "+Inf") {
                assert!(value <= bound.parse().unwrap(), "{bound} {exemplar}");
            }
            bounds.insert(labels["step"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(bounds.into_iter().collect::<Vec<_>>(), ["buy", "look"], "{series:#?}");
}

#[test]
fn prometheus_has_exemplars_by_openmetrics_and_by_remote_write() {
    let (target, prometheus) = (Builtin::start(&[]), Prometheus::with_features("exemplar-storage"));
    let write = format!("http://{}/api/v1/write", prometheus.address);
    let running = run(&target, &["--metrics=127.0.0.1:0", "--remote-write", &write]).start();
    let url = running.heard_line("metrics: ");
    let address = url.trim().trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    prometheus.scrape(address);
    // The text for other scrapers has none.
    let text = (0..300).find_map(|_| {
        pause();
        let text = ask(address, "/metrics");
        text.contains("manada_response_duration_seconds_bucket{").then_some(text)
    });
    assert!(!text.unwrap().contains("trace_id"));
    let done = running.wait();
    done.report(0);
    assert!(!done.stderr.contains("lost"), "{done}");
    let samples = samples(&done);
    for job in ["run", "manada"] {
        let query = format!("manada_response_duration_seconds_bucket{{job=\"{job}\"}}");
        check_exemplars(&prometheus.exemplars(&query), &samples);
    }
}

#[test]
fn prometheus_has_exemplars_of_native_histograms() {
    let (target, prometheus) = (Builtin::start(&[]), Prometheus::start());
    let write = format!("http://{}/api/v1/write", prometheus.address);
    let native = ["--remote-write", &write, "--remote-write-histograms", "native"];
    let words = [&native[..], &["--metrics=127.0.0.1:0"]].concat();
    let running = run(&target, &words).start();
    let url = running.heard_line("metrics: ");
    let address = url.trim().trim_start_matches("metrics: http://").trim_end_matches("/metrics");
    prometheus.scrape(address);
    let done = running.wait();
    done.report(0);
    assert!(!done.stderr.contains("lost"), "{done}");
    for job in ["run", "manada"] {
        let query = format!("manada_response_duration_seconds{{job=\"{job}\"}}");
        check_exemplars(&prometheus.exemplars(&query), &samples(&done));
    }
}

/// The bytes of an id in JSON of protobuf, in hexadecimal digits.
fn hex(value: &Value) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn points_of_otlp_have_exemplars_and_reports_name_the_spans() {
    let target = Builtin::start(&["--fail", "20%:503"]);
    let receiver = OtlpReceiver::grpc(None);
    let url = format!("http://{}", receiver.address);
    let template = "http://127.0.0.1:16686/trace/{trace_id}?uiFind={span_id}";
    let words = ["--otlp", &url, "--otlp-protocol", "grpc", "--trace-url", template];
    let done = run(&target, &words).words(&["--out", "out"]).go();
    let summary = done.report(0);
    let samples = samples(&done);
    let received = receiver.received();
    let spans: BTreeSet<String> = received.spans.iter().map(|span| hex(&span["spanId"])).collect();
    let points = received.points("manada.response.duration", &[("period", "measured")]);
    assert_eq!(points.len(), 2);
    for point in points {
        let exemplars: Vec<&Value> = array(&point["exemplars"]).collect();
        assert!(!exemplars.is_empty(), "{point}");
        for one in exemplars {
            let call = &samples[&hex(&one["spanId"])];
            assert_eq!(call["trace_id"], hex(&one["traceId"]).as_str(), "{one}");
            let response = call["response_us"].as_f64().unwrap() / 1e6;
            assert!((one["asDouble"].as_f64().unwrap() - response).abs() < 1e-9, "{one} {call}");
            assert!(spans.contains(&hex(&one["spanId"])), "a trace without this span: {one}");
        }
    }
    check_slowest(&summary, &samples, &spans);
    // The first failure of each step is among those that are kept.
    let failures: Vec<&Value> = array(&summary["exemplars"]).collect();
    assert_eq!(failures.len(), 2, "{summary}");
    for one in failures {
        let sample = &samples[one["span_id"].as_str().unwrap()];
        assert_eq!((&sample["trace_id"], &sample["status"]), (&one["trace_id"], &503.into()));
        assert_eq!((&sample["step"], &sample["user"]), (&one["step"], &one["user"]));
        assert!(spans.contains(one["span_id"].as_str().unwrap()), "{one}");
    }
    // The page links to them; the report of the record has the same links, or others.
    let page = done.read("out/report.html");
    let trace = calls_of(&summary, "look")[0]["trace_id"].as_str().unwrap();
    let link = format!("<a href=\"http://127.0.0.1:16686/trace/{trace}?uiFind=");
    assert!(page.contains(&link) && page.contains("rel=\"noopener noreferrer\""), "{link}");
    let folder = done.path("out");
    let again = |words: &[&str]| {
        Manada::new(&["report", folder.to_str().unwrap(), "--json"]).words(words).go().report(0)
    };
    assert_eq!(again(&[])["steps"], summary["steps"]);
    let other = again(&["--trace-url", "https://example.com/{run_id}/{trace_id}"]);
    let run_id = summary["run_id"].as_str().unwrap();
    let wanted = format!("https://example.com/{run_id}/{trace}");
    assert_eq!(calls_of(&other, "look")[0]["trace_url"], wanted.as_str());
    let text = Manada::new(&["report", folder.to_str().unwrap()]).go();
    assert!(text.stdout.contains("    http://127.0.0.1:16686/trace/"), "{text}");
}

/// Checks the slowest calls of a summary against all samples, and the spans of a receiver.
fn check_slowest(summary: &Value, samples: &BTreeMap<String, Value>, spans: &BTreeSet<String>) {
    for name in ["look", "buy"] {
        let calls = calls_of(summary, name);
        assert_eq!(calls.len(), 5, "{summary}");
        let mut last = f64::INFINITY;
        for call in &calls {
            let sample = &samples[call["span_id"].as_str().unwrap()];
            for key in ["trace_id", "step", "user", "result", "status", "response_us", "lag_us"] {
                let own = if key == "step" { name.into() } else { call[key].clone() };
                assert_eq!(own, sample[key], "{key} {call} {sample}");
            }
            let us = call["response_us"].as_f64().unwrap();
            assert!(us <= last, "{call}");
            last = us;
            let ids = ["trace_id", "span_id"].map(|key| call[key].as_str().unwrap());
            let wanted = format!("http://127.0.0.1:16686/trace/{}?uiFind={}", ids[0], ids[1]);
            assert_eq!(call["trace_url"], wanted.as_str());
            assert!(spans.contains(ids[1]), "{call}");
        }
        // With spans at a receiver, the slowest call of each second that is ok has one.
        // That of the second in which the warm-up ends may be one of the warm-up.
        let due = |call: &&Value| call["intended_us"].as_f64() >= Some(3e6);
        let of_step =
            samples.values().filter(|call| call["step"] == name && call["result"] == "ok");
        let slowest = of_step.filter(due).map(|call| call["response_us"].as_f64().unwrap());
        let slowest = slowest.fold(0.0, f64::max);
        assert!(calls[0]["response_us"].as_f64() >= Some(slowest), "{slowest} {}", calls[0]);
    }
}

fn calls_of<'v>(summary: &'v Value, name: &str) -> Vec<&'v Value> {
    array(&step(summary, name)["slowest_traced_calls"]).collect()
}

#[test]
fn without_a_receiver_only_sampled_iterations_are_named() {
    let parents = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&parents);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.whole_request() {
            let line = head.lines().find_map(|line| line.strip_prefix("traceparent: "));
            seen.lock().unwrap().insert(line.unwrap_or_default().to_owned());
            if !peer.send(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n") {
                return;
            }
        }
    });
    let run = |words: &[&str]| {
        let all = ["hit", &server.url(), "-n", "100", "-c", "2", "--json", "--ui", "none"];
        let rule = ["--seed", "7", "--threshold", "errors <= 100%"];
        Manada::new(&[&all[..], &rule, words].concat()).go().report(0)
    };
    for processes in ["1", "2"] {
        let summary = run(&["--trace-ratio", "50%", "--processes", processes]);
        let calls: Vec<&Value> = array(&summary["steps"][0]["slowest_traced_calls"]).collect();
        assert_eq!(calls.len(), 5, "{summary}");
        let parents = parents.lock().unwrap();
        for call in calls {
            assert_eq!(call["trace_url"], Value::Null, "{call}");
            let [trace, span] = ["trace_id", "span_id"].map(|key| call[key].as_str().unwrap());
            assert!(parents.contains(&format!("00-{trace}-{span}-01")), "{call}");
        }
    }
    // All calls failed and many are kept, but without a receiver none of them has a span; the page
    // and the document name the first failure only if its iteration is sampled.
    let summary = run(&["--trace-ratio", "0%"]);
    assert_eq!(summary["steps"][0]["slowest_traced_calls"], json!([]));
    assert_eq!(summary["exemplars"][0]["trace_id"], Value::Null, "{summary}");
    let plain = run(&[]);
    assert_eq!(plain["steps"][0]["slowest_traced_calls"], Value::Null);
}

#[test]
fn wrong_urls_of_traces_are_refused_before_the_run() {
    for (words, wanted) in [
        (
            &["--trace-ratio", "1%", "--trace-url", "http://h/{traceId}"][..],
            "did you mean `trace_id`?",
        ),
        (&["--trace-ratio", "1%", "--trace-url", "javascript:{trace_id}"], "begins with http://"),
        (&["--trace-url", "http://h/{trace_id}"], "--trace-ratio <SHARE>"),
    ] {
        let done = Manada::new(&["hit", "http://127.0.0.1:1/", "-n", "1"]).words(words).go();
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(wanted), "{wanted} {done}");
    }
}
