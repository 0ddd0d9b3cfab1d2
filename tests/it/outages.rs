//! Tests of a resilient client at a target that stalls, dies and comes back.
//!
//! The load is 2,000 users, with think times so long that a debug build can run them.
//! Invariant: no speed is asserted; the run's own events trigger the next fault.

use rustix::process::Signal;
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, Running, count};
use crate::nginx::Nginx;
use crate::sums::answered;

/// The number of users.
const USERS: u64 = 2_000;

/// Starts a run of ten seconds; all its users have arrived after two.
fn start(target: &Builtin, keys: &str) -> Running {
    let scenario = format!(
        "client: resilient\nservices: {{ it: {{ url: \"{}\", timeout: 3s }} }}\n\
         safety: {{ stop_on: false }}\ndegradation: {{ enabled: false }}\n\
         timeouts: {{ start: 2s, min: 1s }}\n{keys}\nworkloads:\n  w:\n    \
         users: [ {{ ramp: {USERS}, over: 2s }}, {{ hold: 8s }} ]\n    think: 2s\n    \
         flow: [ {{ get: / }} ]\n",
        target.url("")
    );
    let running = Manada::telling(&scenario, &["--seed", "1"]).start();
    running.hear("    3s of 10s  | w:");
    running
}

/// Reads a folder's timeline: for each second, the calls due and the successful ones.
fn seconds(done: &Done) -> Vec<(u64, u64)> {
    let text = done.read("out/timeline.csv");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let head = rows.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|known| known == name).unwrap();
    let (workload, calls, ok) = (at("archetype"), at("calls"), at("ok"));
    let rows = rows.records().map(Result::unwrap).filter(|row| &row[workload] == "*");
    rows.map(|row| (row[calls].parse().unwrap(), row[ok].parse().unwrap())).collect()
}

/// At the end of the run the target serves all users again.
fn check_all_is_well_again(done: &Done) {
    let seconds = seconds(done);
    let (calls, ok) = seconds[seconds.len() - 1];
    // A busy machine may keep a few of them waiting; none is held back any more.
    assert!(calls > 0 && ok * 10 >= calls * 9, "{seconds:?}\n{done}");
}

/// Checks that the report has these events, in this order.
fn check_told(done: &Done, events: &[&str]) {
    let report = done.report(0);
    let told = report["events"].as_array().unwrap().iter();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let told: Vec<String> = told
        .map(|one| {
            let [subject, change, cause] = ["subject", "change", "cause"].map(|key| text(one, key));
            format!("{subject}: {change} ({cause})")
        })
        .collect();
    let told = told.join("\n");
    let mut rest = told.as_str();
    for event in events {
        let at = rest.find(event).unwrap_or_else(|| panic!("no {event:?} in its place: {done}"));
        rest = &rest[at + event.len()..];
    }
}

#[test]
fn breakers_open_at_a_target_that_stands_still() {
    let target = Builtin::start(&[]);
    let breakers = "breakers: { endpoint: { open: 500ms }, service: { open: 500ms }, \
                    system: { open: 500ms } }";
    let running = start(&target, breakers);
    target.signal(Signal::STOP);
    running.hear("endpoint GET /: closed → open");
    // Calls that were held back are all that this second has.
    running.hear_more();
    target.signal(Signal::CONT);
    let done = running.wait();
    check_told(
        &done,
        &[
            "endpoint GET /: closed → open (5 consecutive failures; last outcome: timeout \
             (first_byte))",
            "endpoint GET /: open → half-open",
            "endpoint GET /: half-open → closed",
        ],
    );
    check_all_is_well_again(&done);
    let (report, stats) = (done.report(0), target.stats());
    let context = format!("{report}\n{stats}");
    assert!(count(&report, "calls.suppressed") > 0, "{context}");
    assert!(count(&report, "calls.timeout") >= 5, "{context}");
    assert_eq!(count(&report, "users.peak"), USERS, "{context}");
    check_counts(&report, &stats);
}

/// answered ≤ seen ≤ sent (MEASURING, "Ground truth").
fn check_counts(report: &Value, stats: &Value) {
    let (seen, sent) = (count(stats, "requests"), count(report, "attempts.sent"));
    assert!(answered(report) <= seen && seen <= sent, "{report}\n{stats}");
}

#[test]
fn dead_target_gets_few_calls_and_all_users_return() {
    let target = Builtin::start(&[]);
    let address = target.address().to_owned();
    // Without breakers only the connect backoff keeps 2,000 users from reconnecting.
    let running = start(&target, "breakers: false\nretries: false\nconnect_backoff: { max: 1s }");
    target.signal(Signal::KILL);
    // Refused; or reset, if the target had not accepted a connection yet.
    running.hear("service it: accepts no connections, calls wait (re");
    // More than a second without a target.
    running.hear_more();
    running.hear_more();
    let target = Builtin::start_at(&address, &[]);
    running.hear("service it: accepts connections again, sending calls (a connection was opened)");
    let done = running.wait();
    check_all_is_well_again(&done);
    let report = done.report(0);
    let refused = count(&report, "connections.failed");
    // A generator that stalls connects for all calls due meanwhile, before it reads a refusal.
    let is_stalled = report["trust"].to_string().contains("\"stalls\"");
    let limit = if is_stalled { USERS / 2 } else { USERS / 20 };
    assert!((1..limit).contains(&refused), "{refused} of {USERS} users failed\n{report}");
    let opened = count(&report, "connections.opened");
    assert!(opened > USERS * 3 / 2, "users are back on new connections: {report}");
    let stats = target.stats();
    assert!(count(&stats, "requests") > USERS, "{stats}\n{report}");
}

/// Runs a resilient client of nginx: twenty users call `path` twenty times a second each, for four
/// seconds.
fn at_nginx(nginx: &Nginx, path: &str) -> Done {
    let scenario = format!(
        "client: resilient\nservices: {{ it: {{ url: \"http://{}\", timeout: 5s }} }}\n\
         safety: {{ stop_on: false }}\ndegradation: {{ enabled: false }}\n\
         retries: {{ backoff: {{ base: 10ms }} }}\n\
         breakers: {{ endpoint: {{ open: 300ms }}, service: false, system: false }}\nworkloads:\n  \
         w: {{ users: 20, duration: 4s, think: 50ms, flow: [ {{ get: {path} }} ] }}\n",
        nginx.plain
    );
    Manada::telling(&scenario, &["--seed", "1", "--shards", "1"]).go()
}

#[test]
fn nginx_with_rate_limit_is_backed_off_and_retried() {
    let nginx = Nginx::start();
    let done = at_nginx(&nginx, "/few");
    let report = done.report(0);
    let event = "endpoint GET /few: closed → open (5 consecutive failures; last outcome: 503)";
    check_told(&done, &[event, "open → half-open", "half-open → closed"]);
    for what in ["calls.ok", "status.503", "calls.suppressed", "attempts.retries"] {
        assert!(count(&report, what) > 0, "{what} {done}");
    }
    // Twenty a second are admitted; the client sends a small part of the 400 that it could.
    let (sent, made) = (count(&report, "attempts.sent"), count(&report, "calls.made"));
    assert!(sent * 3 < made * 2, "{sent} of {made} {done}");
}

#[test]
fn nginx_that_fails_for_good_sees_little_of_2_000_calls() {
    let nginx = Nginx::start();
    let done = at_nginx(&nginx, "/fail");
    let report = done.report(0);
    check_told(
        &done,
        &["closed → open (5 consecutive failures", "open → half-open", "half-open → open"],
    );
    assert_eq!(count(&report, "calls.ok"), 0, "{done}");
    // Five, those in progress with them, retries within the budget, and a probe each 300 ms.
    assert!(count(&report, "attempts.sent") < 100, "{done}");
    assert!(count(&report, "calls.suppressed") > count(&report, "calls.made") / 2, "{done}");
}
