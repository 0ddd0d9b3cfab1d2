//! Tests of the generator's counts against the target's: answered ≤ seen ≤ sent, and equal without
//! faults (MEASURING, "Ground truth").

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Manada, count};
use crate::sums::answered;

const CLOSED: [&str; 4] = ["-c", "20", "-d", "1s"];
const COUNTED: [&str; 4] = ["-c", "20", "-n", "1500"];
const OPEN: [&str; 6] = ["-c", "400", "-r", "600/s", "-d", "1500ms"];

/// Runs and compares; returns the report and the target's own count.
fn compare(faults: &[&str], words: &[&str]) -> (Value, Value) {
    let target = Builtin::start(faults);
    // Only a hanging target needs a short timeout; a busy machine must not look like one.
    let hangs = faults.iter().any(|fault| fault.contains("hang"));
    let timeout = if hangs { "250ms" } else { "30s" };
    let hit = Manada::hit(&target.url("/products/7"), &["--timeout", timeout]);
    let report = hit.words(words).go().report(0);
    let stats = target.stats();
    let context = format!("{faults:?} {words:?}\n{report}\n{stats}");
    let (seen, sent) = (count(&stats, "requests"), count(&report, "attempts.sent"));
    assert!(answered(&report) <= seen, "answered ≤ seen: {context}");
    assert!(seen <= sent, "seen ≤ sent: {context}");
    assert!(sent <= count(&report, "attempts.started"), "sent ≤ started: {context}");
    assert_eq!(count(&report, "calls.generator_errors"), 0, "{context}");
    // Each response that the target completed was read, except timed-out ones.
    for (status, read) in report["status"].as_object().unwrap() {
        assert!(read.as_u64() <= stats["status"][status].as_u64(), "{status}: {context}");
    }
    let opened = count(&stats, "connections.opened") - 1;
    assert_eq!(count(&report, "connections.opened"), opened, "{context}");
    (report, stats)
}

#[test]
fn without_faults_all_three_are_equal() {
    for words in [&CLOSED[..], &COUNTED, &OPEN] {
        for shards in ["1", "2"] {
            let words = [words, &["--shards", shards]].concat();
            let (report, stats) = compare(&[], &words);
            let seen = count(&stats, "requests");
            assert!(seen > 0, "{report}");
            assert_eq!(answered(&report), seen, "{words:?} {report}");
            assert_eq!(count(&report, "attempts.sent"), seen, "{words:?} {report}");
            assert_eq!(count(&report, "calls.ok"), seen, "{words:?} {report}");
            assert_eq!(count(&report, "response_us.count"), seen, "{words:?} {report}");
        }
    }
}

#[test]
fn a_count_is_kept_exactly() {
    for shards in ["1", "2", "5"] {
        let words = [&COUNTED[..], &["--shards", shards]].concat();
        let (report, stats) = compare(&[], &words);
        assert_eq!(count(&stats, "requests"), 1_500, "{report}");
    }
}

#[test]
fn error_statuses_are_responses() {
    for words in [&COUNTED[..], &OPEN] {
        let (report, stats) = compare(&["--fail", "5%:503"], words);
        let faults = count(&stats, "faults.status");
        assert!(faults > 0);
        assert_eq!(count(&report, "calls.failed"), faults, "{report}");
        assert_eq!(count(&report, "status.503"), faults, "{report}");
        assert_eq!(answered(&report), count(&stats, "requests"), "{report}");
    }
}

#[test]
fn lost_requests_appear_on_both_sides() {
    for (fault, kinds, name) in [
        ("5%:reset", &["reset"][..], "faults.reset"),
        ("5%:close", &["closed", "reset"], "faults.close"),
    ] {
        for words in [&COUNTED[..], &OPEN] {
            let (report, stats) = compare(&["--fail", fault], words);
            let (lost, failed) = (count(&stats, name), count(&report, "calls.failed"));
            assert!(lost > 0, "{stats}");
            assert_eq!(failed, lost, "{fault} {report}");
            assert_eq!(answered(&report) + lost, count(&stats, "requests"), "{fault} {report}");
            for error in report["errors"].as_array().unwrap() {
                assert!(kinds.contains(&error["kind"].as_str().unwrap()), "{fault} {report}");
            }
        }
    }
}

#[test]
fn hanging_requests_time_out_and_are_censored() {
    for words in [&["-c", "40", "-n", "600"][..], &OPEN] {
        let (report, stats) = compare(&["--fail", "2%:hang"], words);
        let hung = count(&stats, "faults.hang");
        assert!(hung > 0, "{stats}");
        assert!(count(&report, "calls.timeout") >= hung, "{report}");
        assert!(count(&report, "response_us.censored") >= hung, "{report}");
        // Two of a hundred hang, so the 99th percentile is at least the timeout, and a known lower
        // bound.
        assert!(count(&report, "response_us.p99_9") >= 250_000, "{report}");
        assert!(report["response_us"]["at_least"].to_string().contains("p99_9"), "{report}");
    }
}

#[test]
fn all_faults_at_once() {
    let faults = ["--fail", "5%:503", "--fail", "5%:reset", "--fail", "2%:hang"];
    for words in [&CLOSED[..], &OPEN] {
        compare(&faults, words);
    }
}

#[test]
fn arrivals_reuse_or_open_connections() {
    let target = Builtin::start(&[]);
    for (connections, most, least) in [("kept", 3, 1), ("fresh", 20, 20)] {
        let scenario = format!(
            "services: {{ it: \"{}\" }}\nworkloads:\n  w:\n    arrivals: {{ rate: 50/s, \
             connections: {connections} }}\n    iterations: 20\n    flow: [ {{ get: / }} ]\n",
            target.url("")
        );
        let report = Manada::run(&scenario, &[]).go().report(0);
        let opened = report["connections"]["opened"].as_u64().unwrap();
        assert!((least..=most).contains(&opened), "{connections}: {opened} opened");
    }
}
