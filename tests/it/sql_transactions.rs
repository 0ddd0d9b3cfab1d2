//! Transactions at a real PostgreSQL: serialization failures and deadlocks that are tried again,
//! rollbacks, pools, and counts equal to the server's own.

use serde_json::Value;

use crate::harness::{Done, Manada, count};
use crate::history_postgres::Postgres;

const ACCOUNTS: &str = "create table accounts (id int primary key, balance int not null); \
     insert into accounts select n, 1000 from generate_series(0, 3) n; \
     create table moves (id bigserial primary key, amount int not null check (amount < 100))";

/// A server with a database of its own for the load, whose counts are the load's alone.
struct Bank {
    server: Postgres,
}

/// Transactions of the load's database.
#[derive(Debug, PartialEq)]
struct Counted {
    commits: u64,
    rollbacks: u64,
    deadlocks: u64,
}

impl Bank {
    fn start() -> Self {
        let server = Postgres::start(&["deadlock_timeout=20ms", "autovacuum=off"]);
        server.execute("create database bank");
        let bank = Self { server };
        bank.client().batch_execute(ACCOUNTS).unwrap();
        bank
    }

    fn url(&self) -> String {
        self.server.url("").replace("/postgres", "/bank")
    }

    fn client(&self) -> postgres::Client {
        postgres::Client::connect(&self.url(), postgres::NoTls).unwrap()
    }

    fn number(&self, sql: &str) -> u64 {
        let row = self.client().query_one(sql, &[]).unwrap();
        u64::try_from(row.get::<_, i64>(0)).unwrap()
    }

    /// What the server has counted once all sessions of the load have ended, and told it.
    fn counted(&self) -> Counted {
        let mut client = self.server.execute("");
        let left = "select count(*) from pg_stat_activity where datname = 'bank'";
        crate::instances::wait_until("the sessions have ended", || {
            client.query_one(left, &[]).unwrap().get::<_, i64>(0) == 0
        });
        let sql = "select xact_commit, xact_rollback, deadlocks from pg_stat_database \
                   where datname = 'bank'";
        let row = client.query_one(sql, &[]).unwrap();
        let number = |place: usize| u64::try_from(row.get::<_, i64>(place)).unwrap();
        Counted { commits: number(0), rollbacks: number(1), deadlocks: number(2) }
    }

    /// Runs users that do these steps 50 times each; returns the report, and what the server
    /// counted meanwhile.
    fn run(&self, users: u64, steps: &str, more: &str) -> (Done, Value, Counted) {
        let text = format!(
            "
scenario: bank
services: {{ db: '{}' }}
workloads: {{ w: {{ users: {users}, iterations: {}, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    vars: {{ first: 0, second: 1 }}
    flow:
      {}
thresholds: [ 'errors < 100%' ]
{more}",
            self.url(),
            users * 50,
            steps.trim().replace('\n', "\n      "),
        );
        let before = self.counted();
        let done = Manada::run(&text, &[]).go();
        let report = done.measured();
        let after = self.counted();
        let counted = Counted {
            commits: after.commits - before.commits,
            rollbacks: after.rollbacks - before.rollbacks,
            deadlocks: after.deadlocks - before.deadlocks,
        };
        (done, report, counted)
    }
}

fn status(report: &Value, name: &str) -> u64 {
    report["status"].get(format!("postgres {name}")).map_or(0, |count| count.as_u64().unwrap())
}

fn calls<'r>(report: &'r Value, step: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    &steps.iter().find(|one| one["name"] == step).unwrap_or_else(|| panic!("{step}"))["calls"]
}

/// The sums that hold however often a transaction was tried.
#[track_caller]
fn assert_tries(report: &Value, tries: u64, done: &Done) {
    let rollbacks = calls(report, "transfer rollback")["made"].as_u64().unwrap();
    // After a commit that fails nothing is left to roll back.
    assert!(rollbacks <= tries, "{done}");
    // A call is one, however often it is tried; what it took more are retries.
    assert_eq!(count(report, "attempts.first"), count(report, "calls.made"), "{done}");
    let all = count(report, "attempts.started");
    assert_eq!(all, count(report, "attempts.first") + count(report, "attempts.retries"));
    assert_eq!(all, count(report, "attempts.sent"), "{done}");
}

/// Each takes the two rows in an order of its own.
const CROSSING: &str = r#"
- set: { first: "{{ int(0, 1) }}", second: "{{ 1 - first }}" }
- transaction:
    name: transfer
    retry: 1000
    do:
      - sql: update accounts set balance = balance - 1 where id = $1
        params: [ "{{ first }}" ]
        name: take
      - { sql: select pg_sleep(0.002), name: think }
      - sql: update accounts set balance = balance + 1 where id = $1
        params: [ "{{ second }}" ]
        name: give
"#;

#[test]
fn deadlocks_are_tried_again_and_counted_as_the_server_counts_them() {
    let bank = Bank::start();
    let (done, report, counted) = bank.run(6, CROSSING, "");
    let deadlocks = status(&report, "40P01");
    assert!(deadlocks > 0, "{done}");
    assert_eq!(counted.deadlocks, deadlocks, "{done}");
    assert_eq!(counted.rollbacks, deadlocks, "{done}");
    assert_eq!(calls(&report, "transfer commit")["ok"], 300, "{done}");
    // The server counts the login of a session as a transaction, too.
    assert_eq!(counted.commits, 300 + count(&report, "connections.opened"), "{done}");
    for step in ["transfer begin", "take", "think", "give"] {
        assert_eq!(calls(&report, step)["made"], 300, "{step}: {done}");
    }
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_tries(&report, deadlocks, &done);
    assert_eq!(count(&report, "connections.opened"), 6, "a connection survives: {done}");
    assert_eq!(bank.number("select sum(balance) from accounts"), 4000);
    let groups = report["groups"].as_array().unwrap();
    assert_eq!(
        (&groups[0]["name"], &groups[0]["duration_us"]["count"]),
        (&"transfer".into(), &300.into()),
        "{groups:?}"
    );
}

#[test]
fn serialization_failures_are_tried_again_until_none_is_left() {
    let steps = r#"
- transaction:
    name: transfer
    isolation: serializable
    retry: RETRY
    do:
      - { sql: "select sum(balance) as n from accounts", name: look, check: { rows: 1 } }
      - { sql: select pg_sleep(0.001), name: think }
      - { sql: update accounts set balance = balance + 1 where id = 0, name: give }
"#;
    let bank = Bank::start();
    let (done, report, counted) = bank.run(4, &steps.replace("RETRY", "1000"), "");
    let failures = status(&report, "40001");
    assert!(failures > 0, "{done}");
    assert_eq!(counted.rollbacks, failures, "{done}");
    assert_eq!(counted.commits, 200 + count(&report, "connections.opened"), "{done}");
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    for step in ["transfer begin", "look", "give", "transfer commit"] {
        assert_eq!(calls(&report, step)["ok"], 200, "{step}: {done}");
    }
    assert_tries(&report, failures, &done);
    assert_eq!(bank.number("select sum(balance) from accounts"), 4_200);

    // Without retries each failure is a failed call, and its transaction leaves nothing behind.
    let (done, report, counted) = bank.run(4, &steps.replace("RETRY", "0"), "");
    let failures = status(&report, "40001");
    assert!(failures > 0, "{done}");
    assert_eq!(count(&report, "attempts.retries"), 0, "{done}");
    assert_eq!(count(&report, "calls.failed"), failures, "{done}");
    assert_eq!(counted.rollbacks, failures, "{done}");
    let committed = calls(&report, "transfer commit")["ok"].as_u64().unwrap();
    assert_eq!(committed + failures, 200, "{done}");
    assert_eq!(bank.number("select sum(balance) from accounts"), 4_400 - failures);
}

#[test]
fn an_error_rolls_the_transaction_back_and_skips_its_other_steps() {
    let bank = Bank::start();
    let steps = r#"
- transaction:
    name: transfer
    retry: 3
    do:
      - { sql: insert into moves (amount) values (1), name: move }
      - if: "{{ user.iteration % 2 == 0 }}"
        do: [ { sql: insert into moves (amount) values (1000), name: too much } ]
      - { sql: insert into moves (amount) values (2), name: after }
- { sql: select 1, name: next }
"#;
    // One user: of two, each could make an odd number of the iterations that they share.
    let (done, report, counted) = bank.run(1, steps, "");
    assert_eq!(status(&report, "23514"), 25, "{done}");
    assert_eq!(calls(&report, "too much")["failed"], 25, "{done}");
    assert_eq!(calls(&report, "after")["made"], 25, "{done}");
    assert_eq!(calls(&report, "transfer commit")["ok"], 25, "{done}");
    assert_eq!(calls(&report, "transfer rollback")["ok"], 25, "{done}");
    assert_eq!(calls(&report, "next")["ok"], 50, "the iteration goes on: {done}");
    assert_eq!(count(&report, "attempts.retries"), 0, "{done}");
    assert_eq!((counted.rollbacks, counted.commits), (25, 75 + 1), "{done}");
    assert_eq!(bank.number("select count(*) from moves"), 50);
}

#[test]
fn a_transaction_keeps_the_connection_of_its_pool() {
    let bank = Bank::start();
    let pools = "client: resilient
pools:
  write: { match: [ 'BEGIN *' ], connections: 2 }
  read: { match: [ 'SELECT *' ], connections: 1 }
";
    let steps = r"
- { sql: select count(*) from accounts, name: read }
- transaction:
    name: transfer
    retry: 1000
    do:
      - { sql: update accounts set balance = balance - 1 where id = 0, name: take }
      - { sql: select pg_backend_pid(), name: pid }
      - { sql: update accounts set balance = balance + 1 where id = 1, name: give }
";
    let (done, report, counted) = bank.run(6, steps, pools);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_eq!(counted.commits, 300 + 300 + count(&report, "connections.opened"), "{done}");
    assert_eq!(counted.rollbacks, 0, "{done}");
    assert!(count(&report, "connections.opened") <= 3, "{done}");
    assert_eq!(bank.number("select sum(balance) from accounts"), 4_000);
    // A transaction is one lease, and waits for it.
    let pools = report["pools"].as_array().unwrap();
    let write = pools.iter().find(|pool| pool["name"] == "write").unwrap();
    assert_eq!(write["leases"], 300, "{done}");
    assert!(write["wait_us"]["mean"].as_f64().unwrap() > 0.0, "{done}");
}
