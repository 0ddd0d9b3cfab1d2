//! Steps that call a real Redis: counts equal to the server's own, errors by kind, logins, TLS, a
//! restart in mid-run, and servers that are no Redis.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::instances::Redis;

/// A scenario of users that do these steps as often as they can for a second.
fn scenario(url: &str, users: u64, steps: &str) -> String {
    format!(
        "
scenario: redis
services: {{ store: {url} }}
workloads: {{ w: {{ users: {users}, iterations: {}, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      {}
thresholds: [ 'errors < 100%' ]
",
        users * 40,
        steps.trim_end().replace('\n', "\n      "),
    )
}

/// What a Redis counted: calls by command.
fn calls_of(redis: &Redis) -> BTreeMap<String, u64> {
    let port = redis.address.port().to_string();
    let done =
        Command::new("redis-cli").args(["-p", &port, "info", "commandstats"]).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    let count = |line: &str| {
        let (name, rest) = line.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    lines.filter_map(count).collect()
}

fn statuses(report: &Value) -> BTreeMap<String, u64> {
    let all = report["status"].as_object().unwrap();
    all.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}

fn expected<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// The kind of the only error of a run.
#[track_caller]
fn only_error(done: &Done, report: &Value) -> (String, String) {
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{done}");
    let text = |key: &str| errors[0][key].as_str().unwrap().to_owned();
    (text("phase"), text("kind"))
}

#[test]
fn calls_are_those_that_the_server_counted() {
    let redis = Redis::start();
    let steps = r#"
- redis: [SET, "k:{{ user.number }}", "{{ alnum(20) }}", EX, 60]
- redis: GET k:{{ user.number }}
  capture: { v: { value: true } }
  check: { body: { matches: "^[A-Za-z0-9]{20}$" } }
- redis: { pipeline: [ [INCR, n], "GET k:{{ user.number }}", [LRANGE, none, 0, -1] ] }
  capture: { n: { json: "$[0]" }, got: { json: "$[1]" } }
- if: "{{ got == v and n > 0 }}"
  do: [ { redis: [RPUSH, same, "{{ user.number }}"] } ]
- redis: { transaction: [ [INCR, m], [HSET, h, a, "{{ n }}"], [HGETALL, h] ] }
  expect: { status: OK }
  check: { json: { "$[2][0]": a } }
- { redis: [LPUSH, n, x], name: wrong type, check: { status: WRONGTYPE } }
- { redis: [NOSUCH, a], name: unknown }
"#;
    let done = Manada::run(&scenario(&format!("redis://{}", redis.address), 5, steps), &[]).go();
    let report = done.measured();
    let calls = calls_of(&redis);
    for (command, times) in [
        ("set", 1),
        ("get", 2),
        ("incr", 2),
        ("lrange", 1),
        ("rpush", 1),
        ("multi", 1),
        ("exec", 1),
        ("hset", 1),
        ("hgetall", 1),
        ("lpush", 1),
    ] {
        assert_eq!(calls.get(command), Some(&(200 * times)), "{command}: {calls:?} {done}");
    }
    let counted = expected([("redis ERR", 200), ("redis OK", 1_000), ("redis WRONGTYPE", 200)]);
    assert_eq!(statuses(&report), counted);
    assert_eq!(count(&report, "calls.made"), 1_400);
    // An unexpected error fails its call; one that a check names does not.
    assert_eq!(count(&report, "calls.failed"), 200);
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check}");
    }
    let failure = &report["exemplars"][0];
    assert_eq!(failure["step"], "unknown");
    let port = redis.address.port();
    assert_eq!(failure["curl"], format!("redis-cli -h '127.0.0.1' -p {port} 'NOSUCH' 'a'"));
    assert!(failure["body"].as_str().unwrap().starts_with("ERR unknown command"), "{failure}");
}

#[test]
fn a_login_is_part_of_opening_a_connection_and_no_output_has_its_password() {
    let redis =
        Redis::with(&["--databases", "4", "--user", "app", "on", ">s3cret-word", "~*", "+@all"]);
    let url = format!("redis://app:s3cret-word@{}/3", redis.address);
    let steps =
        "- redis: [INCR, n]\n- redis: [CLIENT, INFO]\n  check: { body: { contains: 'db=3' } }";
    let done = Manada::run(&scenario(&url, 3, steps), &[]).go();
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("redis OK", 240)]), "{done}");
    assert_eq!(count(&report, "connections.opened"), 3);
    assert_eq!(count(&report, "phases_us.login.count"), 3);
    assert_eq!(report["checks"][0]["failed"], 0);

    let wrong = url.replace("s3cret-word", "another-word");
    // A user whose calls fail waits before it begins again.
    let few = |text: String| text.replace("iterations: 40", "iterations: 3");
    let done = Manada::run(&few(scenario(&wrong, 1, "- redis: [INCR, n]")), &[]).go();
    let report = done.report(4);
    assert_eq!(only_error(&done, &report), ("login".to_owned(), "login_refused".to_owned()));
    assert!(done.stdout.contains("WRONGPASS"), "{done}");
    for text in [&done.stdout, &done.stderr, &done.read("out/report.html")] {
        assert!(!text.contains("another-word"), "{done}");
    }
    let unknown = format!("redis://{}/9", redis.address);
    let none = Manada::run(&few(scenario(&unknown, 1, "- redis: [PING]")), &[]).go();
    let report = none.report(4);
    assert_eq!(only_error(&none, &report).1, "login_refused", "a database that does not exist");
}

#[test]
fn a_restart_costs_the_calls_of_its_time_and_no_others() {
    let mut redis = Redis::start();
    let scenario = format!(
        "
scenario: restart
services: {{ store: 'redis://{}' }}
workloads: {{ w: {{ users: 4, duration: 4s, archetypes: {{ a: 1 }} }} }}
archetypes: {{ a: {{ pace: 20ms, flow: [ {{ redis: [INCR, n] }} ] }} }}
thresholds: [ 'errors < 60%' ]
",
        redis.address
    );
    let running = Manada::telling(&scenario, &[]).start();
    running.hear_second(1);
    redis.restart();
    let done = running.wait();
    let report = done.measured();
    // What the new server counted came after the restart, on connections of its own.
    let calls = calls_of(&redis)["incr"];
    let answered = statuses(&report)["redis OK"];
    assert!(calls > 0 && calls < answered, "{calls} of {answered}");
    assert!(count(&report, "connections.opened") >= 8, "{done}");
    let kinds = ["closed", "reset", "refused"];
    for error in report["errors"].as_array().unwrap() {
        assert!(kinds.contains(&error["kind"].as_str().unwrap()), "{error}");
    }
}

#[test]
fn a_server_that_is_no_redis_is_named() {
    let target = Builtin::start(&[]);
    let url = format!("redis://{}", target.address());
    let text = scenario(&url, 1, "- redis: [GET, a]").replace("iterations: 40", "iterations: 3");
    let done = Manada::run(&text, &[]).go();
    let report = done.report(4);
    assert_eq!(only_error(&done, &report), ("first_byte".to_owned(), "bad_reply".to_owned()));
    assert!(done.stdout.contains("check the port and the scheme"), "{done}");
}

#[test]
fn a_large_value_is_bounded_by_the_step() {
    let redis = Redis::start();
    let steps = "
- { redis: [SETRANGE, big, 3000000, x] }
- { redis: [GET, big], name: fits, check: { size: '> 3000000' } }
- { redis: [GET, big], name: too large, max_body: 1MiB }
- { redis: [GET, none], name: still open, expect: { status: OK } }";
    let url = format!("redis://{}", redis.address);
    let text = scenario(&url, 1, steps).replace("iterations: 40", "iterations: 5");
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    assert_eq!(only_error(&done, &report), ("body".to_owned(), "body_too_large".to_owned()));
    assert_eq!(statuses(&report), expected([("redis OK", 15)]), "{done}");
    assert_eq!(report["checks"][0]["failed"], 0);
}

#[test]
fn a_policy_treats_errors_as_those_of_http_and_denied_commands_are_never_sent() {
    let redis = Redis::with(&["--maxmemory", "100kb"]);
    let url = format!("redis://{}", redis.address);
    // Redis rejects writes for lack of memory, which may pass: it is tried again.
    let steps = "- redis: [SET, 'k{{ user.iteration }}', '{{ alnum(1000) }}']";
    let text = scenario(&url, 1, steps)
        + "client: resilient\nretries: { max: 1, when: [5xx], backoff: { base: 1ms } }\n";
    let done = Manada::run(&text, &[]).go();
    let report = done.report(4);
    // Then its breaker opens.
    assert!(statuses(&report)["redis OOM"] >= 5, "{done}");
    assert!(count(&report, "attempts.retries") > 0, "{done}");

    let denied =
        scenario(&url, 1, "- redis: [FLUSHALL]") + "safety: { deny: { operations: [FLUSHALL] } }";
    let done = Manada::run(&denied, &[]).go();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("a safety limit forbids this request"), "{done}");
    assert_eq!(calls_of(&redis).get("flushall"), None);
}

#[test]
fn the_shipped_scenario_runs_against_a_real_server() {
    let redis = Redis::start();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/redis-sessions.yaml");
    let store = format!("services.store=redis://{}", redis.address);
    let words = ["run", file, "--set", &store, "--duration", "2s", "--users", "10"];
    let done = Manada::new(&words).words(&["--json", "--ui", "none", "--out", "out"]).go();
    let code = done.code.unwrap();
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    let calls = calls_of(&redis);
    let sent = count(&report, "calls.ok");
    assert_eq!(calls["set"] + calls["get"] + calls["incr"], sent, "{calls:?} {done}");
    assert_eq!(count(&report, "calls.failed"), 0);
}
