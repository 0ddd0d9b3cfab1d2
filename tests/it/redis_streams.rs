//! Streams of a real Redis: entries that users add, consumer groups that read and acknowledge them,
//! counts equal to the server's own, errors by their words, captures from nested replies.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Done, Manada, count};
use crate::instances::Redis;

/// The lines of a reply, as the server's own client prints them: one for each value.
fn cli(redis: &Redis, words: &[&str]) -> Vec<String> {
    let port = redis.address.port().to_string();
    let done = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn number(redis: &Redis, words: &[&str]) -> u64 {
    let lines = cli(redis, words);
    lines[0].parse().unwrap_or_else(|_| panic!("{words:?}: {lines:?}"))
}

/// A figure of the only group of a stream.
fn of_group(redis: &Redis, stream: &str, name: &str) -> String {
    let lines = cli(redis, &["XINFO", "GROUPS", stream]);
    let at = lines.iter().position(|line| line == name);
    lines[at.unwrap_or_else(|| panic!("no {name}: {lines:?}")) + 1].clone()
}

fn calls(report: &Value, step: &str) -> u64 {
    let steps = report["steps"].as_array().unwrap();
    let row = steps.iter().find(|row| row["name"] == step);
    count(row.unwrap_or_else(|| panic!("no step {step}")), "calls.ok")
}

#[track_caller]
fn assert_checks_hold(report: &Value, done: &Done) {
    let checks = report["checks"].as_array().unwrap();
    assert!(!checks.is_empty(), "{done}");
    assert!(checks.iter().all(|check| check["failed"] == 0), "{done}");
}

#[test]
fn a_group_reads_and_acknowledges_what_others_add() {
    let redis = Redis::start();
    // Each read waits for one entry, so 200 reads are all of them, however fast each side is.
    let text = format!(
        r#"
scenario: jobs
services: {{ store: 'redis://{}' }}
setup:
  - redis: [XGROUP, CREATE, jobs, workers, 0, MKSTREAM]
    expect: {{ status: OK }}
archetypes:
  maker:
    flow:
      - redis: [XADD, jobs, "*", id, "{{{{ uuid() }}}}", by, "{{{{ user.number }}}}"]
        name: add
        capture: {{ entry: {{ regex: "^[0-9]+-[0-9]+$" }} }}
  taker:
    flow:
      - redis: "XREADGROUP GROUP workers w{{{{ user.number }}}} COUNT 1 BLOCK 30000 STREAMS jobs >"
        name: take
        timeout: 40s
        capture:
          entry: {{ json: "$[0][1][0][0]" }}
          id: {{ json: "$[0][1][0][1][1]" }}
        check: {{ json: {{ "$[0][0]": jobs, "$[0][1][0][1][0]": id, "$[0][1][0][1][2]": by }} }}
      - redis: [SADD, done, "{{{{ id }}}}"]
        name: work
        expect: {{ body: {{ equals: "1" }} }}
      - redis: [XACK, jobs, workers, "{{{{ entry }}}}"]
        name: acknowledge
        expect: {{ body: {{ equals: "1" }} }}
workloads:
  makers: {{ archetypes: {{ maker: 1 }}, users: 2, iterations: 200 }}
  takers: {{ archetypes: {{ taker: 1 }}, users: 3, iterations: 200 }}
thresholds: [ errors == 0%, checks == 100% ]
"#,
        redis.address
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.report(0);
    assert_checks_hold(&report, &done);
    for step in ["add", "take", "work", "acknowledge"] {
        assert_eq!(calls(&report, step), 200, "{step}: {done}");
    }
    assert_eq!(number(&redis, &["XLEN", "jobs"]), 200);
    assert_eq!(number(&redis, &["SCARD", "done"]), 200, "each id was read once");
    for (name, figure) in [("entries-read", "200"), ("lag", "0"), ("pending", "0")] {
        assert_eq!(of_group(&redis, "jobs", name), figure, "{name}");
    }
    assert_eq!(number(&redis, &["XPENDING", "jobs", "workers"]), 0);
}

#[test]
fn nested_replies_are_captured_and_errors_have_their_words() {
    let redis = Redis::start();
    let steps = r#"
- redis: [XREADGROUP, GROUP, g, me, STREAMS, s, ">"]
  name: no stream
  check: { status: NOGROUP }
- { redis: [XGROUP, CREATE, s, g, 0], name: no key, check: { status: ERR } }
- { redis: [XGROUP, CREATE, s, g, 0, MKSTREAM], name: create, expect: { status: OK } }
- { redis: [XGROUP, CREATE, s, g, 0], name: again, check: { status: BUSYGROUP } }
- { redis: [XACK, s, nosuch, 1-1], name: no group, check: { body: { equals: "0" } } }
- redis: [XREADGROUP, GROUP, g, me, STREAMS, s, ">"]
  name: nothing new
  check: { body: { equals: "null" } }
  capture: { empty: { value: true } }
- redis: { pipeline: [ [XADD, s, "*", n, 1, text, "a b"], [XADD, s, "*", n, 2], [XLEN, s] ] }
  name: add
  capture: { first: { json: "$[0]" }, second: { json: "$[1]" }, length: { json: "$[2]" } }
- redis: [XREADGROUP, GROUP, g, me, COUNT, 10, STREAMS, s, ">"]
  name: read
  capture:
    ids: { json: "$[0][1][*][0]", pick: all }
    text: { json: "$[0][1][0][1][3]" }
    all: { value: true }
- redis: [XPENDING, s, g]
  name: pending
  capture: { due: { json: "$[0]" }, from: { json: "$[1]" }, reader: { json: "$[3][0][0]" } }
- if: "{{ not empty and ids == [first, second] and text == 'a b' and length == 2 }}"
  do:
    - if: "{{ all[0][1][1][0] == second and all[0][1][1][1] == ['n', '2'] }}"
      do:
        - if: "{{ due == 2 and from == first and reader == 'me' }}"
          do:
            - set: { n: 0 }
            - repeat:
                times: "{{ ids | length }}"
                do:
                  - { redis: [XACK, s, g, "{{ ids[n] }}"], name: acknowledge }
                  - set: { n: "{{ n + 1 }}" }
- redis: [XPENDING, s, g]
  name: settled
  check: { json: { "$[0]": 0, "$[3]": null } }
- redis: [XINFO, GROUPS, s]
  name: group
  check: { json: { "$[0][1]": g, "$[0][5]": 0 } }
- { redis: [DEL, s], name: forget }
"#;
    let text = format!(
        "
scenario: nested
services: {{ store: 'redis://{}' }}
workloads: {{ w: {{ users: 1, iterations: 20, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      {}
thresholds: [ errors == 0%, checks == 100% ]
",
        redis.address,
        steps.trim().replace('\n', "\n      "),
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.report(0);
    assert_checks_hold(&report, &done);
    assert_eq!(calls(&report, "acknowledge"), 40, "{done}");
    for (status, times) in [("NOGROUP", 20), ("BUSYGROUP", 20), ("ERR", 20)] {
        assert_eq!(report["status"][format!("redis {status}")], times, "{done}");
    }
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
}
