//! Tests of the reports of a resilient client: every key, every file, and consistent sums.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};

/// The files that only some runs have.
const SOME: [&str; 3] = ["out/pools.csv", "out/endpoints.csv", "out/events.jsonl"];

/// Runs a client that shares few connections, retries within a budget and opens breakers, at a
/// target that responds to half of the requests with 503.
fn troubled() -> Done {
    let target = Builtin::start(&["--latency", "exponential:10ms", "--fail", "50%:503"]);
    let scenario = format!(
        "scenario: troubled\nservices: {{ it: \"{}\" }}\nseed: 3\npools:\n  \
         web: {{ match: \"*\", connections: 2 }}\n  \
         own: {{ match: \"/products/*\", strategy: per_user }}\n\
         breakers: {{ endpoint: {{ failures: 3, open: 100ms }} }}\n\
         timeouts: {{ start: 3s, min: 500ms }}\nretries: {{ max: 1, backoff: {{ base: 1ms }} }}\n\
         degradation: {{ enabled: true, window: 1s, recover: 1s }}\nworkloads:\n  \
         web: {{ flow: [ {{ get: /, name: home }} ], duration: 3s, \
         arrivals: {{ rate: 150/s, process: poisson }} }}\n  \
         own: {{ flow: [ {{ get: /products/1, name: product }} ], duration: 3s, \
         arrivals: {{ rate: 20/s }} }}\n",
        target.url("")
    );
    Manada::run(&scenario, &["--shards", "2"]).go()
}

/// Reads the rows of a CSV file, by column.
fn rows(done: &Done, name: &str) -> Vec<HashMap<String, String>> {
    let mut csv = csv::Reader::from_path(done.path(name)).unwrap();
    csv.deserialize().map(Result::unwrap).collect()
}

fn sum(rows: &[HashMap<String, String>], column: &str) -> u64 {
    rows.iter().map(|row| row[column].parse::<u64>().unwrap()).sum()
}

fn list<'a>(report: &'a Value, key: &str) -> &'a [Value] {
    report[key].as_array().unwrap_or_else(|| panic!("{key} is {}", report[key]))
}

#[test]
fn resilience_actions_are_reported_and_add_up() {
    let done = troubled();
    let report = done.report(0);
    let by: u64 = (report["suppressed_by"].as_object().unwrap().values())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(by, count(&report, "calls.suppressed"), "{done}");
    assert!(count(&report, "suppressed_by.breaker") > 0, "{done}");
    let steps = list(&report, "steps").iter();
    assert_eq!(steps.map(|step| count(step, "calls.suppressed")).sum::<u64>(), by, "{done}");
    // Ten of the reserve, and one for each ten first attempts: far fewer than failures.
    let (first, retries) = (count(&report, "attempts.first"), count(&report, "attempts.retries"));
    assert!(retries > 0 && retries <= 2 * 10 + first / 10 + 1, "{done}");
    let started = count(&report, "attempts.started") as f64;
    let amplification = report["attempts"]["amplification"].as_f64().unwrap();
    assert!((amplification - started / first as f64).abs() <= 0.0005, "{done}");
    assert_eq!(count(&report, "attempts.cancelled"), 0, "{done}");
    // Calls waited for their pool or before a retry; refused calls did not wait.
    let causes: Vec<&String> = report["blocked_by_us"].as_object().unwrap().keys().collect();
    assert_eq!(causes, ["pool", "retry"], "{done}");
    assert!(count(&report, "blocked_by_us.pool.p50") > 0, "{done}");
    assert_eq!(report["client"]["kind"], "measure");
    assert!(report["client"]["parts"].to_string().contains("2 pools"), "{done}");
    check_breakers(&done, &report);
    check_pools(&done, &report);
    check_events(&done, &report);
    check_levels(&report);
    let timeline = rows(&done, "out/timeline.csv");
    let wholes: Vec<_> = timeline.into_iter().filter(|row| row["step"] == "*").collect();
    assert_eq!(sum(&wholes, "suppressed"), by, "{done}");
    assert!(wholes.iter().any(|row| row["blocked_p95_us"] != "0"), "{done}");
    assert_eq!(sum(&rows(&done, "out/steps.csv"), "suppressed"), by, "{done}");
}

/// A breaker opened as often as its events say; it refused calls and retries.
fn check_breakers(done: &Done, report: &Value) {
    let breakers = list(report, "breakers");
    let names: Vec<&str> = breakers.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["endpoint GET /", "endpoint GET /products/1"], "{done}");
    let refused: u64 = breakers.iter().map(|one| count(one, "refused")).sum();
    assert!(refused >= count(report, "suppressed_by.breaker"), "{done}");
    for breaker in breakers {
        let changes =
            list(report, "events").iter().filter(|event| event["subject"] == breaker["name"]);
        let opened = changes.filter(|event| event["change"].as_str().unwrap().ends_with("→ open"));
        assert_eq!(opened.count() as u64, count(breaker, "opened"), "{breaker}: {done}");
    }
    let rows = rows(done, "out/endpoints.csv");
    let timeouts = list(report, "timeouts");
    for (breaker, timeout) in breakers.iter().zip(timeouts) {
        let of = |row: &&HashMap<String, String>| row["endpoint"] == timeout["endpoint"];
        let last = rows.iter().rfind(of).unwrap_or_else(|| panic!("{timeout}: {done}"));
        assert_eq!(last["breaker"], breaker["state"].as_str().unwrap(), "{done}");
        assert_eq!(last["timeout_us"], timeout["limit_us"].to_string(), "{done}");
        assert_eq!(last["service_breaker"], "", "there is none");
    }
    assert_eq!(timeouts.len(), breakers.len(), "{done}");
}

/// One row per second; counts add up, and the last row has the final state.
fn check_pools(done: &Done, report: &Value) {
    let rows = rows(done, "out/pools.csv");
    let [pool] = list(report, "pools") else { panic!("only one is shared: {done}") };
    assert_eq!((&pool["name"], &pool["size"]), (&"web".into(), &2.into()), "{done}");
    for column in ["leases", "gave_up", "failed"] {
        assert_eq!(sum(&rows, column), count(pool, column), "{column}: {done}");
    }
    let last = rows.last().unwrap();
    for column in ["size", "lent", "idle", "waiting"] {
        assert_eq!(last[column], pool[column].to_string(), "{column}: {done}");
    }
    let seconds: HashSet<&str> = rows.iter().map(|row| row["second"].as_str()).collect();
    assert_eq!(seconds.len(), rows.len(), "one row for all shards: {done}");
    let longest = rows.iter().filter_map(|row| row["wait_max_us"].parse::<u64>().ok()).max();
    assert_eq!(longest, pool["wait_us"]["max"].as_u64(), "{done}");
    assert_eq!(count(pool, "wait_us.count"), count(pool, "leases"), "{done}");
    let share = pool["utilisation"].as_f64().unwrap();
    assert!(share > 0.0 && share <= 1.0, "{done}");
}

/// The file has what the document has, in order of time.
fn check_events(done: &Done, report: &Value) {
    let events = list(report, "events");
    let text = done.read("out/events.jsonl");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, events, "{done}");
    assert!(!events.is_empty() && count(report, "events_lost") == 0, "{done}");
    let times = events.iter().map(|event| event["at_s"].as_f64().unwrap());
    assert!(times.is_sorted(), "{done}");
    for event in events {
        for key in ["topic", "subject", "change", "cause"] {
            assert!(event[key].as_str().is_some_and(|text| !text.is_empty()), "{event}");
        }
    }
}

/// Each second was at some level, starting with the best.
fn check_levels(report: &Value) {
    let seconds = report["degradation"]["seconds"].as_object().unwrap();
    let names: Vec<&String> = seconds.keys().collect();
    assert_eq!(names, ["normal", "light", "heavy", "emergency"]);
    let all: f64 = seconds.values().map(|one| one.as_f64().unwrap()).sum();
    assert!((all - report["duration_s"].as_f64().unwrap()).abs() < 0.01, "{report}");
    let down = list(report, "events").iter().any(|event| event["topic"] == "degradation");
    assert!(down && seconds["normal"].as_f64().unwrap() < all, "{report}");
}

#[test]
fn the_summary_says_what_happened_within_80_columns() {
    let target = Builtin::start(&["--fail", "100%:503"]);
    let scenario = format!(
        "services: {{ it: \"{}\" }}\nseed: 3\nretries: {{ max: 1, backoff: {{ base: 1ms }} }}\n\
         breakers: {{ endpoint: {{ failures: 3, open: 10ms }} }}\nworkloads:\n  \
         w: {{ flow: [ {{ get: / }} ], duration: 1500ms, arrivals: {{ rate: 100/s }} }}\n",
        target.url("")
    );
    let words = ["run", "scenario.yaml", "--ui", "plain", "--out", "out"];
    let done = Manada::new(&words).file("scenario.yaml", &scenario).go();
    assert_eq!(done.code, Some(0), "{done}");
    let from = done.stdout.find("\n suppressed  ").unwrap_or_else(|| panic!("{done}"));
    let to = done.stdout.find("  generator  ").unwrap();
    let said = &done.stdout[from..to];
    for text in [" suppressed  ", "calls: breaker", "    retries  ", "   breakers  endpoint GET /"]
    {
        assert!(said.contains(text), "{text}: {done}");
    }
    let unbroken = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        unbroken.contains("closed → open (3 consecutive failures; last outcome: 503)"),
        "{done}"
    );
    assert!(said.contains("more in events.jsonl"), "it opened more often than is shown: {done}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{done}");
    for text in ["pools  ", "timeouts  ", "degraded  "] {
        assert!(!said.contains(text), "{text} was not asked for: {done}");
    }
    // A screen gets five a second, and a count of the rest.
    let shown = done.stderr.lines().filter(|line| line.starts_with("endpoint GET /: ")).count();
    assert!(
        (5..=20).contains(&shown) && done.stderr.contains("events more in this second"),
        "{done}"
    );
    assert!(
        done.stdout.contains("out/events.jsonl") && !done.stdout.contains("pools.csv"),
        "{done}"
    );
}

#[test]
fn measuring_client_is_reported() {
    let target = Builtin::start(&[]);
    let scenario = format!(
        "services: {{ it: \"{}\" }}\nworkloads:\n  w: {{ flow: [ {{ get: / }} ], users: 2, \
         iterations: 20 }}\n",
        target.url("")
    );
    let done = Manada::run(&scenario, &[]).file("out/events.jsonl", "old").go();
    assert_eq!(done.code, Some(1), "an old report is in the way: {done}");
    let done = Manada::run(&scenario, &["--force"]).file("out/events.jsonl", "old").go();
    let report = done.report(0);
    for key in ["pools", "breakers", "timeouts", "events"] {
        assert!(list(&report, key).is_empty(), "{key}: {done}");
    }
    for key in ["blocked_by_us", "suppressed_by"] {
        assert_eq!(report[key], serde_json::json!({}), "{key}: {done}");
    }
    assert!(report["degradation"].is_null() && count(&report, "events_lost") == 0, "{done}");
    assert_eq!(report["client"], serde_json::json!({ "kind": "measure", "parts": [] }), "{done}");
    assert_eq!(report["attempts"]["amplification"], 1.0, "{done}");
    for name in SOME {
        assert!(!done.path(name).exists(), "{name} is no file of this run");
    }
}
