//! Tests of every shipped scenario, and every example of the language page, against the built-in
//! target with a shortened clock.
//!
//! Invariant: what a newcomer runs first works; no test depends on the speed of the machine.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Done, Manada};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a file with these arguments and judges it, whatever the verdict on a busy machine.
fn run(file: &Path, words: &[&str]) -> (Done, Value) {
    let path = file.to_str().unwrap();
    let done = Manada::new(&["run", path, "--json", "--ui", "none", "--out", "out", "--seed", "5"])
        .words(words)
        .go();
    let code = done.code.unwrap();
    assert!([0, 4, 5].contains(&code), "{}: {done}", file.display());
    let report = done.report(code);
    (done, report)
}

fn count(report: &Value, name: &str) -> u64 {
    report["calls"][name].as_u64().unwrap()
}

/// Checks that hold for a shipped scenario at a healthy target.
fn all_is_well(done: &Done, report: &Value) {
    assert!(count(report, "made") > 0, "{done}");
    for wrong in ["failed", "timeout", "generator_errors", "suppressed"] {
        assert_eq!(count(report, wrong), 0, "{wrong}: {done}");
    }
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check}: {done}");
    }
    assert_eq!(report["data_ran_out"], serde_json::json!({}), "{done}");
}

/// Scenarios whose servers come with the tests of their protocol.
const ELSEWHERE: [&str; 7] = [
    "grpc-greeter.yaml",
    "kafka-clicks.yaml",
    "mqtt-devices.yaml",
    "order-journey.yaml",
    "postgres-shop.yaml",
    "rabbitmq-orders.yaml",
    "redis-sessions.yaml",
];

macro_rules! shipped {
    ($($name:ident $file:literal [$($word:literal),*] $check:expr;)+) => {
        $(#[test] fn $name() {
            let (done, report) = run(&folder("scenarios").join($file), &[$($word),*]);
            let check: fn(&Done, &Value) = $check;
            check(&done, &report);
        })+

        #[test]
        fn every_scenario_is_run() {
            let mut files: Vec<String> = std::fs::read_dir(folder("scenarios"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name.ends_with(".yaml"))
                .collect();
            files.sort();
            let mut run = vec![$($file),+];
            run.extend(ELSEWHERE);
            run.sort_unstable();
            assert_eq!(files, run);
        }
    };
}

/// Streams were held, and the ledger of messages balances with none lost.
fn streams_are_well(done: &Done, report: &Value) {
    all_is_well(done, report);
    assert!(report["streams"]["opened"].as_u64().unwrap() > 0, "{done}");
    let messages = &report["messages"];
    assert_eq!(messages["adds_up"], true, "{messages}");
    for wrong in ["lost", "missed", "duplicated", "foreign", "ahead", "dropped", "open"] {
        assert_eq!(messages[wrong], 0, "{wrong} of {messages}: {done}");
    }
}

shipped! {
    connections_10k_ws "connections-10k-ws.yaml" ["--duration", "2s", "--users", "200"]
        streams_are_well;
    llm_chat "llm-chat.yaml" ["--duration", "3s"] |done, report| {
        all_is_well(done, report);
        let step = &report["steps"][0]["messages"];
        assert!(step["first_us"]["count"].as_u64().unwrap() > 0, "{step}");
        assert!(step["counts"]["tokens"].as_u64().unwrap() > 0, "{step}");
        assert_eq!(step["counts"]["by_chunks"], 0, "the target reports usage: {step}");
    };
    reconnect_storm "reconnect-storm.yaml" ["--duration", "9s", "--users", "20"] |done, report| {
        assert!(report["streams"]["reconnects"].as_u64().unwrap() >= 20, "{done}");
        assert!(report["streams"]["held_percent"].as_f64().unwrap() > 50.0, "{done}");
    };
    slow_readers "slow-readers.yaml" ["--duration", "3s"] streams_are_well;
    sse_10k "sse-10k.yaml" ["--duration", "3s", "--users", "200"] streams_are_well;
    sse_failover "sse-failover.yaml" ["--duration", "8s"] |done, report| {
        streams_are_well(done, report);
        assert!(report["streams"]["reconnects"].as_u64().unwrap() > 0, "{done}");
        assert!(report["messages"]["delivered"].as_u64().unwrap() > 1_000, "{done}");
    };
    ws_channels "ws-channels.yaml" ["--duration", "5s", "--users", "20"] |done, report| {
        streams_are_well(done, report);
        assert!(report["messages"]["delivered"].as_u64().unwrap() >= 100, "{done}");
    };
    ws_echo "ws-echo.yaml" ["--duration", "3s", "--users", "20"] streams_are_well;
    api "api.yaml" ["--duration", "2s"] all_is_well;
    breakpoint "breakpoint.yaml" ["--duration", "3s"] |done, report| {
        // It is meant to overload its target; before that it is well.
        assert!(count(report, "ok") > 100, "{done}");
        assert_eq!(count(report, "generator_errors"), 0, "{done}");
    };
    connections "connections.yaml" ["--duration", "2s", "--users", "300"] |done, report| {
        all_is_well(done, report);
        assert_eq!(report["users"]["peak"], 300, "{done}");
    };
    backends "backends.yaml" ["--duration", "3s"] |done, report| {
        all_is_well(done, report);
        assert_eq!(report["backends"].as_array().map(Vec::len), Some(3), "{done}");
    };
    login_storm "login-storm.yaml" ["--duration", "3s"] all_is_well;
    cached_logins "cached-logins.yaml" ["--duration", "3s"] all_is_well;
    quickstart "quickstart.yaml" ["--duration", "3s"] all_is_well;
    resilient "resilient.yaml" ["--duration", "7s"] |done, report| {
        // Half-way its target stalls for two seconds: calls are held back, and continue
        // afterwards.
        assert!(count(report, "suppressed") > 0 && count(report, "ok") > 100, "{done}");
        assert_eq!(count(report, "generator_errors"), 0, "{done}");
        assert_eq!(report["client"]["kind"], "resilient", "{done}");
    };
    shop "shop.yaml" ["--duration", "3s", "-e", "weekend"] all_is_well;
    smoke "smoke.yaml" [] |done, report| {
        all_is_well(done, report);
        assert_eq!(report["iterations"]["completed"], 8, "{done}");
    };
    soak "soak.yaml" ["--duration", "3s"] all_is_well;
    spike "spike.yaml" ["--duration", "3s"] all_is_well;
    stress "stress.yaml" ["--duration", "3s"] |done, report| {
        assert!(count(report, "ok") > 100, "{done}");
        assert_eq!(count(report, "generator_errors"), 0, "{done}");
    };
}

#[test]
fn the_scenario_of_the_language_page_runs_as_written() {
    let file = folder("tests/language/shop-peak.yaml");
    // As written, except for the port, the clock, and a warm-up that would hide the first users.
    let words = [
        "--set",
        "services.shop=builtin",
        "--set",
        "warmup=0s",
        "--duration",
        "3s",
        "--shards",
        "2",
    ];
    let (done, report) = run(&file, &words);
    all_is_well(&done, &report);
    let made = |name: &str| -> u64 {
        let steps = report["steps"].as_array().unwrap().iter();
        let named = steps.filter(|step| step["name"] == name);
        named.map(|step| step["calls"]["ok"].as_u64().unwrap()).sum()
    };
    for step in ["GET /", "home", "catalogue", "product page", "poll", "GET /recommended"] {
        assert!(made(step) > 0, "{step}: {done}");
    }
    assert_eq!(made("POST /login"), made("POST /logout"), "who came went: {done}");
}

#[test]
fn every_step_of_the_language_page_runs_as_written() {
    let file = folder("tests/language/all-steps.yaml");
    let (done, report) = run(&file, &["--set", "services.shop=builtin", "-v"]);
    all_is_well(&done, &report);
    assert_eq!(report["iterations"]["completed"], 10, "{done}");
    let steps = report["steps"].as_array().unwrap();
    for (name, calls) in [("count", 30), ("css", 10), ("js", 10), ("upload", 10)] {
        let step = steps.iter().find(|step| step["name"] == name).unwrap();
        assert_eq!(step["calls"]["ok"], calls, "{name}: {done}");
        assert_eq!(step["tags"]["team"], "checkout", "{done}");
    }
    assert_eq!(report["groups"][0]["duration_us"]["count"], 10, "{done}");
    assert_eq!(report["attempts"]["redirects"], 10, "{done}");
}

#[test]
fn log_steps_write_lines() {
    let file = folder("tests/language/all-steps.yaml");
    let path = file.to_str().unwrap();
    let words = ["run", path, "--ui", "plain", "--set", "services.shop=builtin", "--out", "out"];
    let done = Manada::new(&words).go();
    assert!(done.stderr.contains("log: user 0 saw 200"), "{done}");
}
