//! What a run used, its ceilings, and its cost.
//!
//! Invariant: no assertion is about the speed of this machine: of CPU time only its order is
//! compared, `scripts/cost-check` shows the rest.

use std::process::Command;

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, MANADA, Manada, count};
use crate::tls;

const PRICES: &str = "prices: 1\ncurrency: EUR\ncpu_core_hour: 0.04\nmemory_gb_hour: 0.005\n\
                      network_gb: { sent: 0.09, received: 0.01 }\nstorage_gb_hour: 0.0001\n";

fn number(document: &Value, path: &str) -> f64 {
    let found = path.split('.').fold(document, |value, key| &value[key]);
    found.as_f64().unwrap_or_else(|| panic!("{path} is {found}"))
}

/// Runs the program in the folder of a run.
fn again(done: &Done, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(MANADA);
    command.env("MANADA_HISTORY", "none").args(words).current_dir(done.path(""));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A constant load that ends after so long, over connections that are kept or not.
fn scenario(url: &str, seconds: u32, is_kept: bool) -> String {
    let flow = "{ get: /products }, { post: /echo, json: { text: \"0123456789\" } }";
    calls(&format!("\"{url}\""), seconds, is_kept, flow)
}

/// A constant load on a service.
fn calls(service: &str, seconds: u32, is_kept: bool, flow: &str) -> String {
    let pools =
        if is_kept { "" } else { "pools: { each: { match: \"*\", strategy: per_request } }\n" };
    format!(
        "scenario: cost\nservices: {{ it: {service} }}\n{pools}workloads:\n  api:\n    \
         arrivals: {{ rate: 400/s, max_users: 50 }}\n    duration: {seconds}s\n    \
         flow: [ {flow} ]\n"
    )
}

#[test]
fn what_a_run_used_is_the_same_in_all_outputs() {
    let target = Builtin::start(&[]);
    let scenario = scenario(&target.url(""), 2, true);
    let done = Manada::run(&scenario, &["--processes", "2", "--threshold", "calls > 0"]).go();
    let report = done.report(0);
    let used = &report["usage"];
    let (user, system) = (number(used, "cpu_s.user"), number(used, "cpu_s.system"));
    assert!((user + system - number(used, "cpu_s.total")).abs() < 1e-6, "{used}");
    assert!(number(used, "cpu_s.total") > number(used, "cpu_s.before_load"), "{used}");
    assert!(count(used, "memory_bytes.mean") <= count(used, "memory_bytes.peak"), "{used}");
    assert_eq!(used["network_bytes"], report["bytes"]);
    let mut files = 0;
    for entry in std::fs::read_dir(done.path("out")).unwrap() {
        files += entry.unwrap().metadata().unwrap().len();
    }
    let written = count(used, "written_bytes");
    assert!(written > 0 && written < files, "{written} of {files}, without the reports");
    let record = std::fs::metadata(done.path("out/run.record")).unwrap().len();
    assert!(written > record / 2, "{written}, and the record alone has {record}");
    // The record has it as well.
    let (code, text, error) = again(&done, &["report", "out/run.record", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let replayed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(replayed["usage"], *used);
    let (_, summary, _) = again(&done, &["report", "out"]);
    assert!(summary.contains("       used  ") && summary.contains(" CPU ("), "{summary}");
    let page = done.read("out/report.html");
    assert!(page.contains("cpu time") && page.contains("memory, mean"));
}

#[test]
fn connections_beyond_the_ceiling_are_shared_and_waits_are_counted() {
    let target = Builtin::start(&["--latency", "5ms"]);
    let words = ["-c", "20", "-n", "400", "--max-connections", "3", "--out", "out"];
    let report = Manada::hit(&target.url("/"), &words).go().report(0);
    assert!(count(&report, "connections.peak") <= 3, "{}", report["connections"]);
    assert_eq!(count(&report, "connections.opened"), 3);
    assert_eq!(report["pools"][0]["name"], "max_connections", "{}", report["pools"]);
    // 17 of 20 users wait for 5 ms at least.
    assert!(number(&report, "blocked_us.p50") > 4_000.0, "{}", report["blocked_us"]);
    let remarks = report["generator"]["remarks"].to_string();
    assert!(remarks.contains("at most 3 connections (--max-connections)"), "{remarks}");
    // Where users need fewer, each has its own.
    let words = ["-c", "3", "-n", "30", "--max-connections", "3"];
    let report = Manada::hit(&target.url("/"), &words).go().report(0);
    assert!(report["pools"].as_array().is_none_or(Vec::is_empty), "{}", report["pools"]);
}

#[test]
fn cores_and_memory_have_ceilings_and_the_strictest_holds() {
    let target = Builtin::start(&[]);
    let safety = "max_cores: 2\nmax_memory: 300MiB\n";
    let scenario = format!("safety: {{ max_cores: 3 }}\n{}", scenario(&target.url(""), 1, true));
    let run = |words: &[&str]| {
        let run = Manada::run(&scenario, words).file("safety.yaml", safety);
        let path = run.path("safety.yaml");
        run.env("MANADA_SAFETY", path).go()
    };
    let report = run(&["--shards", "4"]).report(0);
    let generator = &report["generator"];
    assert_eq!(count(generator, "shards"), 2, "{generator}");
    let reason = generator["reason"].as_str().unwrap();
    assert!(reason.contains("safety.yaml allows 2 cores"), "{reason}");
    let report = run(&["--shards", "4", "--max-cores", "1"]).report(0);
    assert_eq!(count(&report, "generator.shards"), 1);
    assert!(report["generator"]["reason"].as_str().unwrap().contains("--max-cores allows 1 core"));
    // What the plan surely needs is refused before the load.
    let url = target.url("/");
    let done = Manada::hit(&url, &["-c", "100000", "-d", "1s", "--max-memory", "20MiB"]).go();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("--max-memory allows 20"), "{done}");
}

#[test]
fn plan_warns_of_ceilings() {
    let plan = |words: &[&str]| {
        let text = scenario("http://127.0.0.1:9/", 3_000, true);
        let words = [&["plan", "scenario.yaml", "--json"], words].concat();
        let done = Manada::new(&words).file("scenario.yaml", text).go();
        assert_eq!(done.code, Some(0), "{done}");
        done.json()["warnings"].to_string()
    };
    let warnings = plan(&["--max-disk", "1MiB", "--max-connections", "10", "--max-cores", "1"]);
    assert!(warnings.contains("--max-disk allows 1.00 MiB"), "{warnings}");
    assert!(warnings.contains("users share 10 connections"), "{warnings}");
    let warnings = plan(&["--max-cores", "1", "--rate", "50000/s"]);
    assert!(warnings.contains("need 3 cores, --max-cores allows 1"), "{warnings}");
}

#[test]
fn files_end_in_order_before_the_ceiling_and_the_report_says_so() {
    let target = Builtin::start(&[]);
    let words = [
        ["-c", "10", "-n", "12000", "--max-disk", "4MiB"].as_slice(),
        &["--samples", "calls.ndjson", "--samples-rate", "1000000/s", "--out", "out"],
    ];
    let done = Manada::hit(&target.url("/"), &words.concat()).go();
    let report = done.report(0);
    assert_eq!(count(&report, "calls.made"), 12_000);
    let left_out = &report["usage"]["not_written"];
    assert_eq!(left_out[0]["output"], "samples", "{done}");
    assert_eq!(left_out.as_array().unwrap().len(), 1, "only samples are many: {left_out}");
    assert!(done.stderr.contains("`max_disk` (4.00 MiB) was near"), "{done}");
    let samples = done.read("calls.ndjson");
    assert!(samples.ends_with('\n') && samples.lines().count() > 1_000, "whole lines");
    let mut bytes = samples.len() as u64;
    for entry in std::fs::read_dir(done.path("out")).unwrap() {
        bytes += entry.unwrap().metadata().unwrap().len();
    }
    assert!(bytes <= 4 << 20, "{bytes}");
    let (code, summary, error) = again(&done, &["report", "out"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(summary.contains("not written  samples: not written from"), "{summary}");
}

/// What a plan predicts from a short run, and what the long run used; the scenario of some seconds.
fn predicted_and_used(scenario: impl Fn(u32) -> String, ca: &str) -> (Value, Value, f64) {
    let short = Manada::run(&scenario(2), &[]).file("ca.pem", ca).go();
    short.report(0);
    std::fs::write(short.path("prices.yaml"), PRICES).unwrap();
    std::fs::write(short.path("long.yaml"), scenario(6)).unwrap();
    let words = ["plan", "long.yaml", "--json", "--cost", "prices.yaml", "--like", "out"];
    let (code, text, error) = again(&short, &words);
    assert_eq!(code, Some(0), "{error}");
    let plan: Value = serde_json::from_str(&text).unwrap();
    let words = ["run", "long.yaml", "--json", "--ui", "none", "--out", "long", "--cost"];
    let words = [&words, ["prices.yaml", "--threshold", "calls > 0"].as_slice()].concat();
    let (code, text, error) = again(&short, &words);
    assert_eq!(code, Some(0), "{error}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let total = number(&report, "cost.total");
    // A replay with prices costs the same.
    let (_, text, _) = again(&short, &["report", "long", "--json", "--cost", "prices.yaml"]);
    let replayed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(replayed["cost"], report["cost"]);
    let (_, text, _) = again(&short, &["report", "long", "--cost", "prices.yaml"]);
    assert!(text.contains("       cost  ") && text.contains(" EUR"), "{text}");
    (plan["cost"].clone(), report, total)
}

fn near(predicted: f64, used: f64, tolerance: f64) -> bool {
    (predicted / used - 1.0).abs() <= tolerance
}

fn compare(is_kept: bool, scenario: impl Fn(u32) -> String, ca: &str) {
    let (cost, report, total) = predicted_and_used(scenario, ca);
    let (expected, used) = (&cost["expected"], &report["usage"]);
    for (name, path) in [("sent_bytes", "sent"), ("received_bytes", "received")] {
        let (predicted, used) = (number(expected, name), number(&used["network_bytes"], path));
        assert!(near(predicted, used, 0.15), "{name}: {predicted}, used {used}");
    }
    let (predicted, memory) =
        (number(expected, "memory_bytes_mean"), number(used, "memory_bytes.mean"));
    assert!(near(predicted, memory, 0.15), "memory: {predicted}, used {memory}");
    let opened = number(expected, "connections_opened");
    if !is_kept {
        assert!(near(opened, number(&report, "connections.opened"), 0.15), "{opened}");
    }
    // Only the order of magnitude: other processes share caches and cores.
    let (predicted, cpu) = (number(expected, "cpu_s"), number(used, "cpu_s.total"));
    assert!(predicted > cpu / 4.0 && predicted < cpu * 4.0, "CPU: {predicted} s, used {cpu} s");
    let range = &expected["cpu_s_range"];
    let (low, high) = (range[0].as_f64().unwrap(), range[1].as_f64().unwrap());
    assert!(0.0 < low && low < predicted && predicted < high, "{expected}");
    // Shards are a part of the process, and their intervals have each call.
    let intervals = &used["cpu_intervals"];
    let sum = |name: &str| -> f64 {
        intervals[name].as_array().unwrap().iter().filter_map(Value::as_f64).sum()
    };
    assert!(sum("cpu_s") > 0.0 && sum("cpu_s") < cpu, "{used}");
    assert!(near(sum("calls"), number(&report, "attempts.sent"), 1e-9), "{intervals}");
    assert!(near(sum("opened"), number(&report, "connections.opened"), 1e-9), "{intervals}");
    assert!(total > 0.0 && cost["total"].as_f64().is_some());
}

#[test]
fn predicted_use_is_that_of_a_run_over_kept_connections() {
    let target = Builtin::start(&[]);
    compare(true, |seconds| scenario(&target.url(""), seconds, true), "");
}

#[test]
fn predicted_use_is_that_of_a_run_that_opens_connections() {
    let target = Builtin::start(&[]);
    compare(false, |seconds| scenario(&target.url(""), seconds, false), "");
}

#[test]
fn predicted_use_is_that_of_a_run_over_tls() {
    let authority = tls::authority();
    let server = tls::over_tls(tls::leaf(Some(&authority), "127.0.0.1", (2020, 2100)));
    let url = server.url().replacen("http:", "https:", 1);
    let service = format!("{{ url: \"{url}\", tls: {{ ca: ca.pem }} }}");
    compare(true, |seconds| calls(&service, seconds, true, "{ get: / }"), &authority.pem());
}

/// The cost of a scenario of 60 s, measured on loopback.
fn calibrated(text: &str, words: &[&str]) -> Value {
    let fixed = ["plan", "scenario.yaml", "--cost", "prices.yaml", "--service-time", "1ms"];
    let words = [&fixed, words].concat();
    let done = Manada::new(&words).file("scenario.yaml", text).file("prices.yaml", PRICES).go();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stderr.contains("on loopback: about"), "{done}");
    done.json()["cost"].clone()
}

#[test]
fn calibration_has_transport_and_rate_of_the_plan() {
    for (scheme, version, expected) in [
        ("https", "1.1", "HTTP/1.1 with TLS"),
        ("https", "2", "HTTP/2 with TLS"),
        ("http", "2", "HTTP/2 without TLS"),
    ] {
        let service =
            format!("{{ url: \"{scheme}://127.0.0.1:9\", http: {{ version: {version} }} }}");
        let text = calls(&service, 60, true, "{ get: / }, { post: /, body: hello }");
        let cost = calibrated(&text, &["--json", "--rounds", "2"]);
        let said = cost["assumptions"].to_string();
        assert!(said.contains(expected) && said.contains("2 rounds"), "{said}");
        let measured = &cost["measured_cpu"][0];
        // A busy machine makes fewer than the 800 of the plan.
        assert!(number(measured, "calls_per_s") > 50.0, "{measured}");
        assert_eq!(count(measured, "rounds"), 2);
        let call = number(measured, "us_per_call");
        let range = &measured["us_per_call_range"];
        let (low, high) = (range[0].as_f64().unwrap(), range[1].as_f64().unwrap());
        assert!(0.0 < low && low <= call && call <= high, "{measured}");
        assert!(number(&cost, "expected.cpu_s") > 60.0 * 800.0 * low / 1e6, "{cost}");
    }
}

#[test]
fn calibration_measures_two_rates_if_the_plan_has_them() {
    let text = "scenario: ramp\nservices: { it: \"http://127.0.0.1:9\" }\nworkloads:\n  w:\n    \
                arrivals: { rate: [ { step: 30/s, over: 30s }, { step: 600/s, over: 30s } ], \
                max_users: 50 }\n    flow: [ { get: / } ]\n";
    let cost = calibrated(text, &["--json", "--rounds", "1"]);
    let rates = cost["measured_cpu"].as_array().unwrap();
    assert_eq!(rates.len(), 1, "few calls are made at the low rate: {rates:?}");
    let text = text.replace("600/s, over: 30s", "600/s, over: 5s");
    let cost = calibrated(&text, &["--json", "--rounds", "1"]);
    let rates = cost["measured_cpu"].as_array().unwrap();
    assert_eq!(rates.len(), 2, "{rates:?}");
    assert!(cost["assumptions"].to_string().contains("at two rates"), "{cost}");
}

#[test]
fn calibration_measures_a_connection_and_can_be_left_out() {
    let text = scenario("http://127.0.0.1:9/", 60, false);
    let words = ["--json", "--rounds", "1", "--response-size", "10KB"];
    let cost = calibrated(&text, &words);
    assert!(number(&cost, "rows.cpu.cost") > 0.0, "{cost}");
    assert!(cost["assumptions"].to_string().contains("a connection for each"), "{cost}");
    // 48,000 calls with 10 KB and a head.
    let received = number(&cost, "expected.received_bytes");
    assert!(near(received, 48_000.0 * 10_150.0, 0.01), "{received}");
    assert!(cost["cheaper"].to_string().contains("accept-encoding"), "{cost}");
    let words = ["plan", "scenario.yaml", "--cost", "prices.yaml", "--no-calibration"];
    let done = Manada::new(&words).file("scenario.yaml", &text).file("prices.yaml", PRICES).go();
    assert!(done.stdout.contains("not measured, so CPU time"), "{done}");
    assert!(done.stdout.contains("per hour") && done.stdout.contains("EUR"), "{done}");
}

#[test]
fn check_and_schema_know_files_of_prices() {
    let check = |text: &str| Manada::new(&["check", "prices.yaml"]).file("prices.yaml", text).go();
    let done = check(PRICES);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "prices.yaml: no mistakes; prices in EUR\n")
    );
    let done = check("prices: 1\ncpu_core_hours: 0.04\n");
    assert_eq!(done.code, Some(3), "{done}");
    let said = &done.stderr;
    assert!(
        said.contains("prices.yaml:2:1") && said.contains("did you mean `cpu_core_hour`"),
        "{done}"
    );
    let schema = Manada::new(&["schema", "prices"]).go().json();
    assert_eq!(schema["title"], "Manada prices");
}

#[test]
fn a_run_that_tells_no_use_is_no_measurement() {
    let text = scenario("http://127.0.0.1:9/", 6, true);
    let words = ["plan", "scenario.yaml", "--cost", "prices.yaml", "--like", "old.json"];
    let done = Manada::new(&words)
        .file("scenario.yaml", text)
        .file("prices.yaml", PRICES)
        .file("old.json", "{ \"version\": 1, \"duration_s\": 3 }")
        .go();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("expected a finished run that tells its CPU time"), "{done}");
}
