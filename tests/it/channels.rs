//! Channels of a real Redis and a real PostgreSQL: messages by stamp, patterns, answers, sessions
//! that the server ends, and refusals.

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::history_postgres::Postgres;
use crate::instances::{Redis, wait_until};

/// A scenario of listeners and of users that publish, at a service of this URL.
fn scenario(url: &str, listen: &str, send: &str, each: u64) -> String {
    format!(
        "
scenario: channels
services: {{ bus: '{url}' }}
workloads:
  takers: {{ users: 3, duration: 3s, archetypes: {{ taker: 1 }} }}
  makers: {{ users: 2, iterations: {}, archetypes: {{ maker: 1 }} }}
archetypes:
  taker:
    on_start:
      - {{ open: true, service: bus }}
      - {{ listen: {listen}, stamp: true, channel: news, name: heard }}
    flow: [ {{ pause: 100ms }} ]
  maker:
    on_start: [ {{ open: true, service: bus }}, {{ pause: 500ms }} ]
    flow: [ {{ send: {send}, json: {{ a: 1 }}, stamp: true, channel: news, name: said }} ]
thresholds: [ 'errors < 100%' ]
",
        each * 2
    )
}

fn counts<'r>(report: &'r Value, step: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    let row = steps.iter().find(|row| row["name"] == step);
    &row.unwrap_or_else(|| panic!("no step {step}"))["messages"]["counts"]
}

#[track_caller]
fn assert_delivered(report: &Value, sent: u64, listeners: u64) {
    let (said, heard) = (counts(report, "said"), counts(report, "heard"));
    assert_eq!(count(said, "sent"), sent, "{said}");
    assert_eq!(count(said, "confirmed"), sent, "{said}");
    assert_eq!(count(said, "expected"), sent * listeners, "{said}");
    assert_eq!(count(heard, "due"), sent * listeners, "{heard}");
    assert_eq!(count(heard, "delivered"), sent * listeners, "{heard}");
    assert_eq!(count(heard, "lost") + count(heard, "duplicated"), 0, "{heard}");
    assert_eq!(count(heard, "reordered"), 0, "{heard}");
}

#[test]
fn each_listener_of_redis_gets_each_message_by_channel_and_by_pattern() {
    for (listen, send) in [("news", "news"), ("'n?ws.*'", "'news.{{ user.number }}'")] {
        let redis = Redis::start();
        let text = scenario(&format!("redis://{}", redis.address), listen, send, 200);
        let done = Manada::run(&text, &[]).go();
        let report = done.measured();
        assert_delivered(&report, 400, 3);
        assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
        // Sessions, subscriptions and messages are answered.
        assert_eq!(report["status"]["redis OK"], 5 + 3 + 400, "{done}");
    }
}

#[test]
fn each_listener_of_postgresql_gets_each_message() {
    let server = Postgres::start(&[]);
    let done =
        Manada::run(&scenario(&server.url(""), "'order news'", "'order news'", 200), &[]).go();
    let report = done.measured();
    assert_delivered(&report, 400, 3);
    assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
    assert_eq!(report["status"]["postgres OK"], 5 + 3 + 400, "{done}");
    // The server ends all sessions in mid-run: those that reconnect go on.
    let text = scenario(&server.url(""), "news", "news", 400)
        .replace("open: true", "open: true, reconnect: { backoff: { base: 50ms } }")
        .replace("name: said }", "name: said }, { pause: 4ms }");
    let running = Manada::telling(&text, &[]).start();
    running.hear("1s  | takers");
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where application_name = 'manada'";
    let ended: i64 = server.execute("").query_one(end, &[]).unwrap().get(0);
    assert!(ended >= 3, "{ended}");
    let report = running.wait().measured();
    let closed = &report["streams"]["closed"];
    assert!(closed.to_string().contains("57P01"), "{closed}");
    let heard = counts(&report, "heard");
    assert!(count(heard, "delivered") > 400, "{heard}");
}

#[test]
fn a_payload_that_a_server_refuses_is_an_answer_and_the_session_goes_on() {
    let server = Postgres::start(&[]);
    let text = format!(
        "
scenario: large
services: {{ bus: '{}' }}
workloads: {{ w: {{ users: 1, iterations: 10, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    on_start: [ {{ open: true }}, {{ listen: news, keep: true }} ]
    flow:
      - {{ send: news, body: '{{{{ alnum(9000) }}}}', name: too long }}
      - {{ send: news, body: 'it''s \"here\"', name: fits }}
      - {{ await: bus, match: {{ text: 'it''s \"here\"' }}, name: heard }}
thresholds: [ 'errors < 100%' ]
",
        server.url("")
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    assert_eq!(report["status"]["postgres 22023"], 10, "{done}");
    assert_eq!(count(counts(&report, "too long"), "refused"), 10, "{done}");
    assert_eq!(count(counts(&report, "fits"), "confirmed"), 10, "{done}");
    assert_eq!(count(&report, "connections.opened"), 1, "{done}");
    let steps = report["steps"].as_array().unwrap();
    let heard = steps.iter().find(|row| row["name"] == "heard").unwrap();
    assert_eq!(heard["calls"]["ok"], 10, "{done}");
}

#[test]
fn a_listener_without_the_right_to_a_channel_is_refused() {
    let redis =
        Redis::with(&["--user", "limited", "on", ">word", "resetchannels", "&open", "+@all", "~*"]);
    let url = format!("redis://limited:word@{}", redis.address);
    let done = Manada::run(&scenario(&url, "news", "open", 5), &[]).go();
    let report = done.report(0);
    assert_eq!(report["status"]["redis NOPERM"], 3, "{done}");
    assert_eq!(count(counts(&report, "said"), "confirmed"), 10, "{done}");
}

#[test]
fn a_restart_of_redis_ends_sessions_and_those_that_reconnect_subscribe_again() {
    let mut redis = Redis::start();
    let text = scenario(&format!("redis://{}", redis.address), "news", "news", 400)
        .replace("open: true", "open: true, reconnect: { backoff: { base: 50ms } }")
        .replace("name: said }", "name: said }, { pause: 4ms }");
    let running = Manada::telling(&text, &[]).start();
    running.hear("1s  | takers");
    redis.restart();
    wait_until("Redis listens", || std::net::TcpStream::connect(redis.address).is_ok());
    let report = running.wait().measured();
    assert!(count(&report, "streams.reconnects") >= 3, "{report}");
    let heard = counts(&report, "heard");
    assert!(count(heard, "delivered") > 400, "{heard}");
}
