//! Tests that the same seed gives the same traffic for any number of shards and processes, by the
//! target's own log.
//!
//! The header `manada-intended` carries the arrival's number, so the log holds pairs of number and
//! request; their set must be the same for 1, 2 and 5 shards, also in processes, and another for
//! another seed.

use std::collections::BTreeSet;

use crate::arrival_log::rows;
use crate::builtin::Builtin;
use crate::harness::{Manada, count};

const OPEN: &str =
    "    arrivals: { process: poisson, rate: 300/s, max_users: 600 }\n    duration: 2s";
const COUNTED: &str = "    users: 30\n    iterations: 600";

/// Returns the target's log: number and request of each arrival.
fn traffic(load: &str, header: &str, size: &[&str], seed: &str) -> BTreeSet<[String; 2]> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("arrivals.csv");
    let target = Builtin::start(&["--log", log.to_str().unwrap()]);
    let scenario = format!(
        "scenario: seeds\nservices: {{ it: \"{}\" }}\nworkloads:\n  w:\n{load}\n    flow:\n      \
         - post: \"/cart?q={{{{ int(1, 1000000) }}}}\"\n        name: it\n        \
         headers: {{ manada-intended: \"{header} 0\" }}\n        \
         json: {{ id: \"{{{{ int(1, 1000000) }}}}\", word: \"{{{{ word() }}}}\" }}\n",
        target.url("")
    );
    let report = Manada::run(&scenario, &["--seed", seed]).words(size).go().report(0);
    assert_eq!(count(&report, "iterations.dropped"), 0, "{report}");
    assert_eq!(count(&report, "calls.made"), count(&report, "calls.ok"), "{report}");
    assert_eq!(report["seed"].to_string(), seed);
    target.end();
    let set: BTreeSet<_> = rows(&log, ["index", "request"]).into_iter().collect();
    assert_eq!(set.len() as u64, count(&report, "calls.made"), "each was logged once");
    set
}

fn check(load: &str, header: &str) {
    let one = traffic(load, header, &["--shards", "1"], "42");
    assert!(one.len() > 400, "{}", one.len());
    let sizes: [&[&str]; 4] = [
        &["--shards", "2"],
        &["--shards", "5"],
        &["--processes", "2"],
        &["--processes", "4", "--shards", "5"],
    ];
    for size in sizes {
        let other = traffic(load, header, size, "42");
        let differ: Vec<_> = one.symmetric_difference(&other).take(5).collect();
        assert!(differ.is_empty(), "{size:?}: {differ:?}");
    }
    assert_ne!(one, traffic(load, header, &["--shards", "2"], "43"), "another seed, other traffic");
}

#[test]
fn of_poisson_arrivals() {
    check(OPEN, "{{ user.number }}");
}

#[test]
fn of_iterations_bound_by_count() {
    // The target's speed decides which user makes an iteration, but not what it sends.
    check(COUNTED, "0");
}
