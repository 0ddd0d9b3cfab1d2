//! Times of a real PostgreSQL: the first and the last row of a result, and a restart of the server
//! in mid-run.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Done, Manada, count};
use crate::history_postgres::Postgres;
use crate::instances::wait_until;

/// The calls of a run, one by one.
fn calls(done: &Done) -> Vec<Value> {
    let text = done.read("calls.ndjson");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first byte and the service time of each call of a step, us.
fn times(calls: &[Value], step: &str) -> Vec<(f64, f64)> {
    let own = calls.iter().filter(|call| call["step"] == step);
    let number = |call: &Value, key: &str| call[key].as_f64().unwrap();
    own.map(|call| (number(call, "first_byte_us"), number(call, "service_us"))).collect()
}

#[test]
fn the_first_byte_is_that_of_the_first_row_and_the_body_lasts_until_the_last() {
    let server = Postgres::start(&[]);
    // The server sends its buffer when it has 8 kB: a row of 9,000 bytes begins on its way at once.
    // A notice is sent before the result; without a row the completion is the first of the result.
    let text = format!(
        "
scenario: rows
services: {{ db: '{}' }}
workloads: {{ w: {{ users: 1, iterations: 5, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      - {{ sql: select 1, name: connect }}
      - sql: select n, repeat('x', 9000) as v, pg_sleep(0.05) from generate_series(1, 20) n
        name: many rows
        expect: {{ rows: 20 }}
      - {{ sql: select pg_sleep(0.3), name: one row }}
      - sql: do $$ begin raise notice 'early'; perform pg_sleep(0.3); end $$
        name: no row
thresholds: [ errors == 0% ]
",
        server.url("")
    );
    let done = Manada::run(&text, &["--samples", "calls.ndjson"]).go();
    let report = done.report(0);
    let calls = calls(&done);
    // The server sleeps before each row, and 20 times before the last one.
    let many = times(&calls, "many rows");
    assert_eq!(many.len(), 5, "{done}");
    assert!(many.iter().all(|(first, all)| *first >= 50e3 && *all >= 1e6), "{many:?}");
    // A machine that is busy may read the first row late, but not five times by 0.45 s.
    assert!(many.iter().any(|(first, all)| first * 2.0 < *all), "{many:?}");
    for step in ["one row", "no row"] {
        let alone = times(&calls, step);
        assert_eq!(alone.len(), 5, "{done}");
        assert!(alone.iter().all(|(first, _)| *first >= 300e3), "{step}: {alone:?}");
    }
    for phase in ["first_byte", "body"] {
        assert_eq!(count(&report, &format!("phases_us.{phase}.count")), 20, "{done}");
    }
}

/// The workload of a restart: four users that insert rows, and one call that lasts.
const RESTART: &str = "
scenario: restart
services: { db: 'URL' }
archetypes:
  writer:
    pace: 20ms
    flow: [ { sql: insert into events default values, name: write } ]
  sleeper:
    flow: [ { sql: select pg_sleep(600), name: sleep, timeout: 10m } ]
workloads:
  writers: { archetypes: { writer: 1 }, users: 4, duration: 12s }
  sleepers: { archetypes: { sleeper: 1 }, users: 1, iterations: 1 }
thresholds: [ 'errors < 100%' ]
";

#[test]
fn a_restart_of_the_server_costs_the_calls_of_its_time_and_no_others() {
    let mut server = Postgres::start(&[]);
    server.execute("create table events (at timestamptz not null default clock_timestamp())");
    let now = |server: &Postgres| {
        let row = server.execute("").query_one("select now()::text", &[]).unwrap();
        row.get::<_, String>(0)
    };
    let text = RESTART.replace("URL", &server.url(""));
    let running = Manada::telling(&text, &["--samples", "calls.ndjson"]).start();
    let sleeps = "select (select count(*) from pg_stat_activity \
                  where query = 'select pg_sleep(600)') = 1 \
                  and (select count(*) from events) > 50";
    let mut client = server.execute("");
    wait_until("all calls are under way", || client.query_one(sleeps, &[]).unwrap().get(0));
    let before = now(&server);
    server.restart();
    let after = now(&server);
    let done = running.wait();
    let report = done.measured();

    // What was under way, and what found the server starting or stopping, has its words.
    let all = report["status"].as_object().unwrap();
    let statuses: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    let known = BTreeSet::from(["postgres OK", "postgres 57P01", "postgres 57P03"]);
    assert!(
        statuses.is_subset(&known) && count(&report["status"], "postgres 57P01") >= 1,
        "{done}"
    );
    let kinds = ["closed", "reset", "refused", "login_refused"];
    for error in report["errors"].as_array().unwrap() {
        assert!(kinds.contains(&error["kind"].as_str().unwrap()), "{error}: {done}");
    }
    // Each call that failed began before the server was ready again, and ended after it was
    // stopped; the times are compared by the server, with a second for the clocks.
    let mut client = server.execute("");
    let calls = calls(&done);
    let failed: Vec<&Value> = calls.iter().filter(|call| call["result"] != "ok").collect();
    assert!(!failed.is_empty() && failed.iter().any(|call| call["step"] == "sleep"), "{done}");
    for call in &failed {
        let sql = format!(
            "select '{time}'::timestamptz < '{after}'::timestamptz + interval '1s' \
             and '{time}'::timestamptz + interval '{us} us' \
                 > '{before}'::timestamptz - interval '1s'",
            time = call["time"].as_str().unwrap(),
            us = call["response_us"],
        );
        assert!(client.query_one(&sql, &[]).unwrap().get::<_, bool>(0), "{call}");
    }
    // Rows of both servers: the calls of the second one succeed on connections of their own.
    let rows = |rule: &str| {
        let sql = format!("select count(*) from events where {rule}");
        let row = server.execute("").query_one(&sql, &[]).unwrap();
        u64::try_from(row.get::<_, i64>(0)).unwrap()
    };
    assert!(rows("at < pg_postmaster_start_time()") > 0, "{done}");
    assert!(rows("at > pg_postmaster_start_time()") > 0, "{done}");
    assert!(count(&report, "connections.opened") >= 9, "{done}");
    // A row whose confirmation was lost belongs to a failed call.
    let stored = rows("true");
    let ok = count(&report["status"], "postgres OK");
    assert!((ok..=ok + failed.len() as u64).contains(&stored), "{stored} of {ok}: {done}");
}
