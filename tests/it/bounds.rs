//! Tests of the limits on what a target or a scenario may cost: work, memory and numbers; each
//! failure is attributed to its cause.
//!
//! Invariant: the program counts, never a clock of the test.

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::peer::{Server, Then};

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Runs one user through `flow` once, at a server with this body for every request. The exit code
/// is not checked: a single short iteration next to other tests may cost trust.
fn walk(body: &[u8], flow: &str, keys: &str) -> (Value, Done) {
    let server = Server::answering(answer(body), Then::Next);
    let scenario = format!(
        "services: {{ t: \"{}\" }}\n{keys}\nworkloads:\n  w:\n    users: 1\n    iterations: 1\n    \
         flow:\n{flow}",
        server.url().trim_end_matches('/')
    );
    let done = Manada::run(&scenario, &["--shards", "1"]).go();
    (done.json(), done)
}

/// Returns how often an error of this phase and kind was counted.
fn errors(report: &Value, phase: &str, kind: &str) -> u64 {
    let all = report["errors"].as_array().unwrap();
    let one = all.iter().find(|error| error["phase"] == phase && error["kind"] == kind);
    one.map_or(0, |error| error["count"].as_u64().unwrap())
}

#[test]
fn unusable_response_values_are_target_failures() {
    let body = br#"{"token": "a\r\nX: y", "count": 1000000000000}"#;
    for (flow, made) in [
        (
            "      - { get: /, capture: { t: { json: $.token } } }\n      \
             - { get: /next, headers: { x-token: \"{{ t }}\" } }\n",
            2,
        ),
        (
            "      - { get: /, capture: { n: { json: $.count } } }\n      \
             - { post: /next, body: \"{{ 'x' * n }}\" }\n",
            2,
        ),
        (
            "      - { get: /, capture: { n: { json: $.count } } }\n      \
             - repeat: { times: \"{{ n }}\", do: [ { get: /next } ] }\n",
            1,
        ),
        (
            "      - { get: /, capture: { n: { json: $.token } } }\n      \
             - set: { twice: \"{{ n ~ n }}\" }\n      \
             - { get: /next, headers: { x-token: \"{{ twice }}\" } }\n",
            2,
        ),
    ] {
        let (report, done) = walk(body, flow, "");
        assert_eq!(errors(&report, "prepare", "unusable_value"), 1, "{done}");
        assert_eq!(count(&report, "calls.made"), made, "{done}");
        assert_eq!(count(&report, "calls.failed"), made - 1, "{done}");
        assert_eq!(count(&report, "calls.generator_errors"), 0, "{done}");
        assert_eq!(count(&report, "iterations.ended_early"), 1, "{done}");
        let reasons = report["trust"]["reasons"].as_array().unwrap();
        assert!(reasons.iter().all(|reason| reason["check"] != "generator_errors"), "{done}");
    }
}

#[test]
fn oversized_own_values_are_generator_errors() {
    let flow = "      - set: { k: aaaaaaaaaaaaaaaa }\n      \
                - repeat: { times: 60, do: [ { set: { k: \"{{ k ~ k }}\" } } ] }\n      \
                - { get: /, headers: { x: \"{{ k }}\" } }\n";
    let (report, done) = walk(b"", flow, "");
    assert_eq!(errors(&report, "generator", "expression_limit"), 1, "{done}");
    assert_eq!(count(&report, "calls.made"), 0, "{done}");
    let batch = "workloads:\n  w:\n    users: 1\n    iterations: 1\n    flow:\n      \
                 - { post: /, body: \"{{ [1]|batch(1000000000,0)|list }}\" }\n";
    let done = Manada::run(&format!("services: {{ t: builtin }}\n{batch}"), &[]).go();
    assert!(done.stderr.contains("exceeds its limit of work or size"), "{done}");
    assert_eq!(done.code, Some(3), "{done}");
}

#[test]
fn expensive_response_fails_its_captures() {
    let deep = format!("{}1{}", "[0,".repeat(120), "]".repeat(120));
    let (page, json) = ("<div>".repeat(80_000), "$..*..*..*..*..*");
    for (body, source) in [
        (page.as_bytes(), "css: b".to_owned()),
        (deep.as_bytes(), format!("json: \"{json}\", pick: all")),
    ] {
        let flow = format!("      - {{ get: /, capture: {{ _v: {{ {source} }} }} }}\n");
        let (report, done) = walk(body, &flow, "");
        assert_eq!(errors(&report, "body", "too_complex"), 1, "{done}");
        assert_eq!(
            (count(&report, "calls.ok"), report["checks"][0]["failed"].as_u64().unwrap()),
            (1, 1),
            "{done}"
        );
    }
}

#[test]
fn body_over_memory_budget_is_an_error_without_abort() {
    // Half of the memory budget is for bodies.
    let body = vec![b'x'; 40 << 20];
    let flow = "      - { get: /, check: { body: { contains: y } } }\n";
    let (report, done) = walk(&body, flow, "memory: { budget: 64MiB }");
    assert_eq!(errors(&report, "generator", "kept_bodies"), 1, "{done}");
    assert_eq!(count(&report, "calls.generator_errors"), 1, "{done}");
    // Pages of the program count too, and a build without optimisation has many.
    let (small, _) = walk(b"x", flow, "memory: { budget: 64MiB }");
    let peak = |report: &Value| count(report, "generator.rss_bytes_peak");
    assert!(peak(&report) < peak(&small) + (37 << 20), "{} {done}", peak(&small));
    assert!(done.stderr.contains("kept_bodies") || done.stdout.contains("kept_bodies"), "{done}");
    let (report, done) = walk(&body[..20 << 20], flow, "memory: { budget: 64MiB }");
    assert_eq!((errors(&report, "generator", "kept_bodies"), count(&report, "calls.ok")), (0, 1));
    assert_eq!(report["checks"][0]["failed"].as_u64().unwrap(), 1, "{done}");
}

#[test]
fn message_over_memory_budget_is_an_error_of_the_generator() {
    // Half of the memory budget is for bodies and messages in parts.
    let event = [b"data: ".to_vec(), vec![b'x'; 40 << 20]].concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let server = Server::answering([head.as_bytes(), &event].concat(), Then::Close);
    let run = |flow: &str| {
        let scenario = format!(
            "services: {{ t: {{ url: \"{}\", ws: {{ max_message: 64MiB }} }} }}\n\
             memory: {{ budget: 64MiB }}\nworkloads:\n  w:\n    users: 1\n    iterations: 1\n    \
             flow:\n{flow}",
            server.url().trim_end_matches('/')
        );
        let done = Manada::run(&scenario, &["--shards", "1"]).go();
        (done.json(), done)
    };
    let listen = "      - { listen: /, match: { event: never } }\n";
    let wait = format!("{listen}      - {{ await: t, match: {{ event: ever }}, timeout: 20s }}\n");
    let (report, done) = run(&wait);
    assert_eq!(errors(&report, "generator", "kept_bodies"), 1, "{done}");
    assert_eq!(errors(&report, "message", "no_room_for_message"), 0, "{done}");
    assert_eq!(count(&report, "calls.generator_errors"), 1, "the `await`: {done}");
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
}

#[test]
fn rate_gets_the_users_it_needs() {
    // By Little's law 100/s × 0.8 s = 80 users.
    let target = Builtin::start(&["--latency", "800ms"]);
    let done = Manada::hit(&target.url("/"), &["-r", "100/s", "-d", "1500ms"]).go();
    let report = done.report(0);
    assert_eq!(count(&report, "iterations.dropped"), 0, "{done}");
    assert!(count(&report, "users.peak") > 50, "{done}");
    let words = ["hit", &target.url("/"), "-r", "100/s", "-d", "1s", "-c", "5", "--ui", "none"];
    let few = Manada::new(&words).go();
    assert!(few.stdout.contains("raise `-c`") && few.stdout.contains("dropped"), "{few}");
    assert!(!few.stdout.contains("no answer"), "{few}");
    assert!(few.stdout.contains("missing in those of steps"), "{few}");
}

#[test]
fn low_rates_are_exact_in_the_document() {
    let target = Builtin::start(&[]);
    // At 0 and 1.2 s.
    let done = Manada::hit(&target.url("/"), &["-r", "50/m", "-d", "1300ms"]).go();
    let report = done.report(0);
    assert_eq!(count(&report, "iterations.due"), 2, "{done}");
    let due = report["rate"]["due_per_s"].as_f64().unwrap();
    assert!((due - 2.0 / 1.3).abs() < 1e-6, "{done}");
}

#[test]
fn threshold_without_responses_has_no_margin() {
    let garbage = Server::answering(b"garbage\r\n", Then::Hold);
    let words = ["-n", "3", "-c", "1", "--threshold", "response.p99 < 10s"];
    let forms = ["--report", "junit.xml", "--report", "r.md", "--report", "github:annotations"];
    let done = Manada::hit(&garbage.url(), &words).words(&forms).go();
    let rule = &done.report(4)["thresholds"][1];
    assert_eq!((&rule["margin"], &rule["observed"]), (&Value::Null, &Value::Null), "{done}");
    let why = "100.0 % of calls got no response: they rank above every response";
    assert_eq!(rule["bound_reason"], why, "{done}");
    for (file, part) in [
        ("junit.xml", "observed no response, limit 10.0 s (100.0 % of calls"),
        ("r.md", "100.0 % of calls got no response"),
        ("annotations", "::error title=hit%3A threshold failed::response.p99 < 10s: observed no"),
    ] {
        let text = done.read(file);
        assert!(text.contains(part) && !text.contains("margin 100"), "{file}: {text}");
    }
}

#[test]
fn failed_expression_names_itself_value_and_step() {
    let server = Server::answering(answer(b"{}"), Then::Next);
    let scenario = format!(
        "services: {{ t: \"{}\" }}\nworkloads:\n  w:\n    users: 1\n    iterations: 2\n    \
         vars: {{ row: {{ id: 1, city: Olinda }} }}\n    flow:\n      \
         - {{ get: \"/{{{{ row.idd }}}}\", name: first }}\n",
        server.url().trim_end_matches('/')
    );
    let done = Manada::run(&scenario, &["--shards", "1"]).go();
    let report = done.json();
    let failed = &report["generator"]["failed_expressions"];
    let said = "`row` has no `idd`; it has `city`, `id` (step `first`)";
    assert_eq!(failed[said], 2, "{report}");
    let hints = report["trust"]["reasons"].to_string();
    assert!(hints.contains("expressions failed: `row` has no `idd`"), "{hints}");
    // In an expression as well.
    let scenario = scenario.replace("row.idd }}", "row.idd + 1 }}");
    let done = Manada::run(&scenario, &["--shards", "1"]).go();
    let failed = done.json()["generator"]["failed_expressions"].to_string();
    assert!(failed.contains("{{ row.idd + 1 }}: `row` has no `idd`; it has"), "{failed}");
}
