//! Steps that call a real PostgreSQL: counts equal to its tables, errors by code, logins, TLS,
//! transactions, lost connections, and servers that are no PostgreSQL.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::history_postgres::Postgres;

const TABLES: &str = "create table products (id int primary key, name text, price numeric); \
     insert into products select n, 'product ' || n, 1.50 from generate_series(0, 99) n; \
     create table orders (id bigserial primary key, product int references products, note text)";

/// A scenario of users that do these steps 40 times each. `service` is a URL, or a map.
fn scenario(service: &str, users: u64, steps: &str) -> String {
    format!(
        "
scenario: sql
services: {{ db: {service} }}
workloads: {{ w: {{ users: {users}, iterations: {}, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      {}
thresholds: [ 'errors < 100%' ]
",
        users * 40,
        steps.trim().replace('\n', "\n      "),
    )
}

/// The same with three iterations: a user whose calls fail waits before it begins again.
fn few(scenario: &str) -> String {
    scenario.replace("iterations: 40", "iterations: 3")
}

fn statuses(report: &Value) -> BTreeMap<String, u64> {
    let all = report["status"].as_object().unwrap();
    all.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}

fn expected<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs.into_iter().map(|(name, count)| (format!("postgres {name}"), count)).collect()
}

/// A number that the server returns.
fn number(server: &Postgres, sql: &str) -> u64 {
    let row = server.execute("").query_one(sql, &[]).unwrap();
    u64::try_from(row.get::<_, i64>(0)).unwrap()
}

#[track_caller]
fn assert_checks_hold(report: &Value, done: &Done) {
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["failed"], 0, "{check}: {done}");
    }
}

/// The phase and kind of the only error of a run.
#[track_caller]
fn only_error(done: &Done, report: &Value) -> (String, String) {
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{done}");
    let text = |key: &str| errors[0][key].as_str().unwrap().to_owned();
    (text("phase"), text("kind"))
}

#[test]
fn calls_are_those_that_the_tables_show_and_statements_are_parsed_once() {
    let server = Postgres::start(&[]);
    server.execute(TABLES);
    let steps = r#"
- sql: "select id, name, price, null as none, true as yes from products where id = $1"
  params: [ "{{ user.number }}" ]
  capture: { name: { column: name }, price: { column: price } }
  check: { rows: 1, json: { "$[0].price": 1.5, "$[0].yes": true, "$[0].none": null } }
- sql: insert into orders (product, note) values ($1, $2)
  params: [ "{{ user.number }}", null ]
  expect: { status: OK }
  check: { rows: 1 }
- { sql: "insert into products values ($1, 'x', 0)", params: [ 0 ], check: { status: 23505 } }
- { sql: insert into orders (product) values (-1), check: { status: "23503" } }
- { sql: select * from nothing, name: unknown table }
- { sql: selec 1, name: syntax }
- if: "{{ name == 'product ' ~ user.number and price == 1.5 }}"
  do: [ { sql: "select 1; select 2", mode: simple, check: { rows: 2 } } ]
- sql: select id from products order by id
  capture: { ids: { column: id, pick: all } }
  check: { rows: "> 99", size: "> 100" }
- sql: "select count(*) as n from pg_prepared_statements"
  mode: extended
  check: { json: { "$[0].n": 5 } }
"#;
    let url = format!("'{}'", server.url(""));
    let done = Manada::run(&scenario(&url, 5, steps), &[]).go();
    let report = done.measured();
    let counted = [("OK", 1_000), ("23505", 200), ("23503", 200), ("42P01", 200), ("42601", 200)];
    assert_eq!(statuses(&report), expected(counted), "{done}");
    assert_eq!(number(&server, "select count(*) from orders where note is null"), 200);
    assert_eq!(count(&report, "connections.opened"), 5);
    assert_eq!(count(&report, "phases_us.login.count"), 5);
    // An unexpected error fails its call; one that a check names does not.
    assert_eq!(count(&report, "calls.failed"), 400);
    assert_checks_hold(&report, &done);
    let failures = report["exemplars"].as_array().unwrap();
    let failure = failures.iter().find(|failure| failure["step"] == "unknown table").unwrap();
    let port = server.address.port();
    let line =
        format!("psql 'postgres://manada@127.0.0.1:{port}/postgres' -c 'select * from nothing'");
    assert_eq!(failure["curl"], line);
    assert!(failure["body"].as_str().unwrap().starts_with("ERROR 42P01: relation"), "{failure}");
    for text in [&done.stdout, &done.stderr, &done.read("out/report.html")] {
        assert!(!text.contains("s3cret"), "{done}");
    }
}

#[test]
fn each_way_to_log_in_works_and_a_refusal_has_the_words_of_the_server() {
    let server = Postgres::start(&[]);
    let rules = server.folder.path().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    let own = "host all trusted 127.0.0.1/32 trust\nhost all clear 127.0.0.1/32 password\n\
               host all hashed 127.0.0.1/32 md5\n";
    fs::write(&rules, format!("{own}{before}")).unwrap();
    server.execute(
        "set password_encryption = 'md5'; create role hashed login password 'word-of-md5'; \
         set password_encryption = 'scram-sha-256'; create role clear login password 'clear-word'; \
         create role trusted login; create role proved login password 'proved-word'; \
         select pg_reload_conf()",
    );
    let url =
        |login: &str, database: &str| format!("postgres://{login}@{}{database}", server.address);
    let steps = "- sql: select current_user = $1 as same\n  params: [ USER ]\n  \
                 check: { json: { '$[0].same': true } }";
    for user in ["trusted", "clear:clear-word", "hashed:word-of-md5", "proved:proved-word"] {
        let name = user.split(':').next().unwrap();
        let steps = steps.replace("USER", name);
        let done = Manada::run(&scenario(&url(user, "/postgres"), 2, &steps), &[]).go();
        let report = done.measured();
        assert_eq!(statuses(&report), expected([("OK", 80)]), "{user}: {done}");
        assert_checks_hold(&report, &done);
    }
    for (login, database, words) in [
        ("proved:another-word", "/postgres", "FATAL 28P01: password authentication failed"),
        ("proved", "/postgres", "the server asks for a password, and the service has none"),
        ("trusted", "/nowhere", "FATAL 3D000: database"),
        ("trusted", "", "does not exist"),
    ] {
        let text = few(&scenario(&url(login, database), 1, "- sql: select 1"));
        let done = Manada::run(&text, &[]).go();
        let report = done.report(4);
        assert_eq!(only_error(&done, &report), ("login".to_owned(), "login_refused".to_owned()));
        assert!(done.stdout.contains(words), "{words}: {done}");
        assert!(!done.stdout.contains("another-word"), "{done}");
    }
}

#[test]
fn a_transaction_that_an_iteration_leaves_open_is_rolled_back() {
    let server = Postgres::start(&[]);
    server.execute(TABLES);
    let order = "- sql: insert into orders (product) values (1)\n";
    let url = format!("'{}'", server.url(""));
    let committed = format!("- sql: begin\n{order}- sql: commit\n");
    let done = Manada::run(&scenario(&url, 2, &committed), &[]).go();
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("OK", 240)]), "{done}");
    assert_eq!(count(&report, "connections.opened"), 2);
    assert_eq!(number(&server, "select count(*) from orders"), 80);

    let failed = format!(
        "- sql: begin\n{order}- sql: select 1 / 0\n  check: {{ status: 22012 }}\n\
         - sql: select 1\n  check: {{ status: 25P02 }}\n"
    );
    for steps in [format!("- sql: begin\n{order}"), failed] {
        let done = Manada::run(&scenario(&url, 2, &steps), &[]).go();
        let report = done.measured();
        assert_checks_hold(&report, &done);
        assert_eq!(count(&report, "calls.failed"), 0, "{done}");
        assert_eq!(count(&report, "connections.opened"), 80, "{done}");
        assert_eq!(number(&server, "select count(*) from orders"), 80);
    }
    // A pool does not lend a connection with an open transaction to the next call.
    let pooled = scenario(&url, 2, &format!("- sql: begin\n{order}"))
        + "client: resilient\npools: { all: { match: '*', connections: 1 } }\n";
    let done = Manada::run(&pooled, &[]).go();
    done.measured();
    assert_eq!(
        number(&server, "select count(*) from orders"),
        160,
        "each is a transaction of its own"
    );
}

#[test]
fn connections_that_the_server_ends_are_replaced() {
    let server = Postgres::start(&[]);
    server.execute(TABLES);
    let text = format!(
        "
scenario: ended
services: {{ db: '{}' }}
workloads: {{ w: {{ users: 4, duration: 4s, archetypes: {{ a: 1 }} }} }}
archetypes: {{ a: {{ pace: 20ms, flow: [ {{ sql: insert into orders (product) values (1) }} ] }} }}
thresholds: [ 'errors < 60%' ]
",
        server.url("")
    );
    let running = Manada::telling(&text, &[]).start();
    running.hear_second(1);
    let ended = number(
        &server,
        "select count(pg_terminate_backend(pid)) from pg_stat_activity \
         where application_name = 'manada'",
    );
    assert_eq!(ended, 4);
    let report = running.wait().measured();
    let answered = statuses(&report)["postgres OK"];
    let lost = count(&report, "calls.made") - answered;
    let stored = number(&server, "select count(*) from orders");
    assert!((answered..=answered + lost).contains(&stored), "{stored} of {answered} and {lost}");
    assert!(count(&report, "connections.opened") >= 8, "{report}");
}

#[test]
fn servers_over_tls_are_verified_and_those_without_are_named() {
    let files = ["ssl=on", "ssl_cert_file=FOLDER/cert.pem", "ssl_key_file=FOLDER/key.pem"];
    let server = Postgres::start(&files);
    let tls = |server: &Postgres| server.url("").replace("postgres://", "postgres+tls://");
    let ca = std::fs::read(server.folder.path().join("ca.pem")).unwrap();
    let service = format!("{{ url: '{}', tls: {{ ca: ca.pem }} }}", tls(&server));
    let steps = "- sql: select ssl from pg_stat_ssl where pid = pg_backend_pid()\n  \
                 check: { json: { '$[0].ssl': true } }";
    let done = Manada::run(&scenario(&service, 2, steps), &[]).file("ca.pem", ca).go();
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("OK", 80)]), "{done}");
    assert_checks_hold(&report, &done);
    assert_eq!(count(&report, "phases_us.tls.count"), 2);

    let untrusted = format!("'{}'", tls(&server));
    let done = Manada::run(&few(&scenario(&untrusted, 1, steps)), &[]).go();
    let report = done.report(4);
    assert_eq!(
        only_error(&done, &report),
        ("tls".to_owned(), "certificate_self_signed".to_owned())
    );
    let plain = Postgres::start(&[]);
    let text = few(&scenario(&format!("'{}'", tls(&plain)), 1, steps));
    let done = Manada::run(&text, &[]).go();
    let report = done.report(4);
    assert_eq!(only_error(&done, &report), ("tls".to_owned(), "tls_not_offered".to_owned()));
}

#[test]
fn a_server_that_is_no_postgresql_is_named() {
    let target = Builtin::start(&[]);
    let redis = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = redis.local_addr().unwrap();
    thread::spawn(move || {
        for stream in redis.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"-ERR unknown command\r\n");
        }
    });
    for (address, kinds) in [
        (address, &["bad_reply"][..]),
        (target.address().parse().unwrap(), &["bad_reply", "closed", "reset"]),
    ] {
        let text = few(&scenario(&format!("'postgres://{address}/a'"), 1, "- sql: select 1"));
        let done = Manada::run(&text, &[]).go();
        let report = done.report(4);
        let (phase, kind) = only_error(&done, &report);
        assert!(phase == "login" && kinds.contains(&&*kind), "{phase} {kind}: {done}");
    }
}

#[test]
fn a_large_row_is_bounded_by_the_step() {
    let server = Postgres::start(&[]);
    let steps = "
- { sql: \"select repeat('x', 3000000) as v\", name: fits, check: { size: '> 3000000' } }
- { sql: \"select repeat('x', 3000000) as v\", name: too large, max_body: 1MiB }
- { sql: select 1, name: still open, expect: { status: OK } }";
    let url = format!("'{}'", server.url(""));
    let text = scenario(&url, 1, steps).replace("iterations: 40", "iterations: 5");
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    assert_eq!(only_error(&done, &report), ("body".to_owned(), "body_too_large".to_owned()));
    assert_eq!(statuses(&report), expected([("OK", 10)]), "{done}");
    assert_checks_hold(&report, &done);
}

#[test]
fn the_shipped_scenario_runs_against_a_real_server() {
    let server = Postgres::start(&[]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/postgres-shop.yaml");
    let db = format!("services.db={}", server.url(""));
    let words = ["run", file, "--set", &db, "--duration", "2s", "--users", "5"];
    let done = Manada::new(&words).words(&["--json", "--ui", "none", "--out", "out"]).go();
    let code = done.code.unwrap();
    // On a busy machine times may not hold, or not be trusted.
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert!(count(&report, "calls.ok") > 0);
    assert_checks_hold(&report, &done);
    let schemas = "select count(*) from pg_namespace where nspname = 'manada_shop'";
    assert_eq!(number(&server, schemas), 0, "the teardown drops the schema");
}
