//! Rows that are copied into tables of a real PostgreSQL: counts equal to the table's, values with
//! any characters, and rows that the server refuses.

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::history_postgres::Postgres;

const TABLE: &str =
    "create table events (user_id int not null, at timestamptz default now(), note text)";

fn scenario(server: &Postgres, steps: &str) -> String {
    format!(
        "
scenario: copy
services: {{ db: '{}' }}
workloads: {{ w: {{ users: 2, iterations: 20, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      {}
thresholds: [ 'errors < 100%' ]
",
        server.url(""),
        steps.trim().replace('\n', "\n      "),
    )
}

fn number(server: &Postgres, sql: &str) -> i64 {
    server.execute("").query_one(sql, &[]).unwrap().get(0)
}

#[track_caller]
fn assert_checks_hold(report: &Value) {
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check}");
    }
}

#[test]
fn rows_are_those_of_the_table_and_values_keep_their_characters() {
    let server = Postgres::start(&[]);
    server.execute(TABLE);
    let steps = r#"
- copy: events (user_id, note)
  row: [ "{{ user.number }}", "tab\tline\nback\\slash \\N {{ alnum(8) }}" ]
  count: 500
  name: many
  check: { rows: 500 }
  expect: { status: OK }
- copy: events (user_id, note)
  row: [ 7, null ]
  name: empty
  check: { rows: 1 }
- copy: events (user_id, note)
  body: "8,\"a, b\"\n9,{{ user.number }}\n"
  format: csv
  name: csv
  check: { rows: 2 }
- copy: events (user_id)
  file: ids.txt
  name: file
  check: { rows: 3 }
"#;
    let run = Manada::run(&scenario(&server, steps), &[]).file("ids.txt", "10\n11\n12\n");
    let done = run.go();
    let report = done.measured();
    assert_eq!(report["status"]["postgres OK"], 80, "{done}");
    assert_checks_hold(&report);
    let rows = |of: &str| number(&server, &format!("select count(*) from events where {of}"));
    assert_eq!(rows("true"), 20 * (500 + 1 + 2 + 3));
    let text = "note like e'tab\\tline\\nback\\\\\\\\slash \\\\\\\\N ________'";
    assert_eq!(rows(text), 20 * 500, "{text}");
    assert_eq!(rows("note is null"), 20 * 4);
    assert_eq!(rows("note = 'a, b'"), 20);
    assert_eq!(count(&report, "connections.opened"), 2, "{done}");
    // 500 rows of 36 bytes and more, 20 times.
    assert!(count(&report, "bytes.sent") > 360_000, "{done}");
}

#[test]
fn rows_that_the_server_refuses_are_named_and_the_connection_goes_on() {
    let server = Postgres::start(&[]);
    server.execute(TABLE);
    let steps = r#"
- { copy: events (user_id), body: "1\nx\n3\n", name: no number, check: { status: 22P02 } }
- copy: events (user_id, note)
  row: [ null, a ]
  count: 30000
  name: missing
  check: { status: 23502 }
- { copy: nothing, row: [ 1 ], name: unknown table }
- { sql: select 1, name: still open, expect: { status: OK } }
- transaction:
    name: load
    do:
      - { copy: events (user_id), row: [ 1 ], count: 10, name: in it }
      - { copy: events (user_id), row: [ x ], name: refused }
"#;
    let done = Manada::run(&scenario(&server, steps), &[]).go();
    let report = done.measured();
    assert_checks_hold(&report);
    assert_eq!(number(&server, "select count(*) from events"), 0, "all was rolled back");
    assert_eq!(count(&report, "connections.opened"), 2, "{done}");
    assert_eq!(report["status"]["postgres 42P01"], 20, "{done}");
    assert_eq!(report["status"]["postgres 22P02"], 40, "{done}");
    let failures = report["exemplars"].as_array().unwrap();
    let of = |step: &str| failures.iter().find(|failure| failure["step"] == step).unwrap();
    let refused = of("refused");
    assert!(refused["body"].as_str().unwrap().contains("where: COPY events, line 1"), "{refused}");
    let line = of("unknown table")["curl"].as_str().unwrap().to_owned();
    assert!(line.ends_with("-c 'copy nothing from stdin with (format text)' < DATA"), "{line}");
}
