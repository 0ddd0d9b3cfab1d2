//! Caches of logins in a real Redis, a real PostgreSQL and an SQLite file: which users log in
//! again, stores that are down, slow, or have been changed, and what is in them.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::history_postgres::Postgres;
use crate::instances::Redis;

const KEY: &str = "a key of more than sixteen bytes";

/// Users that each log in once, unless a cache has their token, and then use it.
fn scenario(url: &str, users: u64, cache: &str) -> String {
    format!(
        "
scenario: cached
services: {{ shop: \"{url}\" }}
cache: {{ tokens: {{ {cache} }} }}
workloads:
  members:
    users: {users}
    duration: 2s
    pace: 100s
    on_start:
      - cached: tokens
        key: \"account-{{{{ user.number }}}}@example.com\"
        keep: [token]
        do:
          - post: /login
            json: {{ user: \"account-{{{{ user.number }}}}@example.com\" }}
            expect: {{ status: 200 }}
            capture: {{ token: {{ json: $.token }} }}
    flow:
      - get: /cart
        headers: {{ authorization: \"Bearer {{{{ token }}}}\" }}
        check: {{ body: {{ contains: '\"authorized\":true' }} }}
thresholds: [ 'checks == 100%', 'errors == 0%' ]
"
    )
}

fn encrypted(layers: &str) -> String {
    format!("layers: [{layers}], ttl: 1h, encrypt: '{{{{ secret(\"CACHE_KEY\") }}}}'")
}

fn run(scenario: &str, words: &[&str]) -> Done {
    run_with(scenario, words, KEY)
}

fn run_with(scenario: &str, words: &[&str], key: &str) -> Done {
    Manada::run(scenario, words).env("CACHE_KEY", key).go()
}

/// A count of the cache, or of one of its layers: `hits`, `redis.hits`.
fn counted(report: &Value, path: &str) -> u64 {
    let cache = &report["caches"][0];
    match path.split_once('.') {
        None => cache[path].as_u64().unwrap(),
        Some((label, name)) => {
            let layers = cache["layers"].as_array().unwrap();
            let layer = layers.iter().find(|layer| layer["layer"] == label);
            layer.map_or(0, |layer| layer[name].as_u64().unwrap())
        }
    }
}

/// Checks the lookups of a run, and that nothing failed.
#[track_caller]
fn assert_counts(done: &Done, expected: &[(&str, u64)]) -> Value {
    let report = done.measured();
    for (path, number) in expected {
        assert_eq!(counted(&report, path), *number, "{path}: {done}");
    }
    report
}

fn redis_cli(redis: &Redis, words: &[&str]) -> String {
    let port = redis.address.port().to_string();
    let done = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
    assert!(done.status.success());
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The tokens that the built-in target gives, and the accounts, as bytes that no store may have.
fn plain_texts() -> [&'static [u8]; 3] {
    [b"account-", b"example.com", b"\"token\""]
}

#[test]
fn second_run_logs_in_no_user_whichever_layer_has_the_tokens() {
    let (target, redis, postgres) = (Builtin::start(&[]), Redis::start(), Postgres::start(&[]));
    let layers = format!("memory, 'redis://{}', '{}'", redis.address, postgres.url(""));
    // A busy machine may take longer for an answer than a lookup should.
    let cache = format!("{}, timeout: 20s", encrypted(&layers));
    let scenario = scenario(&target.url(""), 40, &cache);
    let first = run(&scenario, &[]);
    let writes = [("fills", 40), ("memory.writes", 40), ("redis.writes", 40)];
    assert_counts(&first, &writes);
    assert_counts(&first, &[("postgres.writes", 40), ("postgres.misses", 40), ("hits", 0)]);
    assert_eq!(target.count("/login"), 40);

    let second = run(&scenario, &[]);
    assert_counts(&second, &[("fills", 0), ("hits", 40), ("redis.hits", 40)]);
    assert_counts(&second, &[("memory.promotions", 40), ("postgres.hits", 0)]);
    assert_eq!(target.count("/login"), 40);
    assert_eq!(target.count("/cart"), 80);

    // Redis is empty: PostgreSQL has them, and Redis is filled again.
    redis_cli(&redis, &["FLUSHALL"]);
    let third = run(&scenario, &[]);
    assert_counts(&third, &[("hits", 40), ("redis.misses", 40), ("redis.promotions", 40)]);
    assert_counts(&third, &[("postgres.hits", 40)]);
    assert!(redis_cli(&redis, &["DBSIZE"]).contains("40"), "leases are left");
    assert_eq!(target.count("/login"), 40);

    // What is at rest has neither accounts nor tokens, and no output has them.
    redis_cli(&redis, &["SAVE"]);
    let dump = redis_cli(&redis, &["CONFIG", "GET", "dir"]);
    let folder = dump.lines().nth(1).unwrap();
    let dump = fs::read(std::path::Path::new(folder).join("dump.rdb")).unwrap();
    let mut client = postgres.execute("");
    let rows = client.query("SELECT name, value FROM manada_cache", &[]).unwrap();
    assert_eq!(rows.len(), 40);
    let rows: Vec<u8> = rows
        .iter()
        .flat_map(|row| [row.get::<_, String>(0).into_bytes(), row.get::<_, Vec<u8>>(1)])
        .flatten()
        .collect();
    assert!(dump.len() > 4_000 && rows.len() > 4_000);
    for (stored, plain) in [&dump, &rows].into_iter().flat_map(|at| plain_texts().map(|p| (at, p)))
    {
        assert!(!stored.windows(plain.len()).any(|part| part == plain), "{plain:?} is at rest");
    }
    for done in [&first, &second, &third] {
        for text in [&done.stdout, &done.stderr, &done.read("out/report.html")] {
            assert!(!text.contains(KEY) && !text.contains("s3cret"), "{done}");
        }
    }

    // A changed value is a miss of its own kind, and is written again.
    client
        .batch_execute(
            "UPDATE manada_cache SET value = set_byte(value, 60, get_byte(value, 60) # 1)",
        )
        .unwrap();
    redis_cli(&redis, &["FLUSHALL"]);
    assert_counts(&run(&scenario, &[]), &[("fills", 40), ("postgres.unreadable", 40)]);
    // So are values of another key, and entries that are not encrypted are never taken.
    let other = run_with(&scenario, &[], "another key of sixteen bytes");
    assert_counts(&other, &[("fills", 40), ("redis.unreadable", 40), ("hits", 0)]);
    assert_eq!(target.count("/login"), 120);
}

#[test]
fn store_that_is_down_or_silent_costs_its_entries_not_the_load() {
    let (target, redis) = (Builtin::start(&[]), Redis::start());
    let cache = encrypted(&format!("memory, 'redis://{}'", redis.address));
    let quick = format!("{cache}, timeout: 100ms");
    let scenario = scenario(&target.url(""), 20, &quick);
    let pid = redis_cli(&redis, &["INFO", "server"]);
    let pid = pid.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim();
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    let done = run(&scenario, &[]);
    rustix::process::kill_process(pid, Signal::CONT).unwrap();
    let report = assert_counts(&done, &[("fills", 20), ("redis.writes", 0), ("redis.hits", 0)]);
    assert!(counted(&report, "redis.timeouts") + counted(&report, "redis.failed") >= 3, "{done}");
    assert!(counted(&report, "redis.skipped") > 0, "{done}");
    let silent = assert_first_failure(&done, &report);
    assert!(silent["at_s"].as_f64().unwrap() >= 0.1, "{silent}");
    assert_eq!(target.count("/login"), 20);
    drop(redis);
    let done = Manada::telling(&scenario, &[]).env("CACHE_KEY", KEY).go();
    let report = assert_counts(&done, &[("fills", 20), ("redis.writes", 0)]);
    assert!(counted(&report, "redis.failed") >= 3, "{done}");
    assert!(done.stderr.contains("cache `tokens`, redis: "), "{done}");
    let refused = assert_first_failure(&done, &report);
    assert!(refused["why"].as_str().unwrap().contains("refused"), "{refused}");
    assert_eq!(target.count("/login"), 40);
}

/// Checks that the terminal, the page and the summary have the first failure of Redis; returns it.
#[track_caller]
fn assert_first_failure(done: &Done, report: &Value) -> Value {
    let layers = report["caches"][0]["layers"].as_array().unwrap();
    assert_eq!(layers[0]["first_failure"], Value::Null, "memory does not fail");
    let first = layers[1]["first_failure"].clone();
    let why = first["why"].as_str().unwrap();
    let terminal = Manada::new(&["report", done.path("out").to_str().unwrap()]).go();
    for text in [&terminal.stdout, &done.read("out/report.html")] {
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        assert!(text.contains("failed first after") && text.contains(why), "{why}: {terminal}");
    }
    first
}

#[test]
fn rules_on_caches_are_judged_over_all_processes_and_again_from_a_record() {
    let target = Builtin::start(&[]);
    let rules = "'cache(\"tokens\").hits == 50%', 'cache(\"tokens\").misses == 10', \
                 'cache(\"tokens\").errors == 0'";
    let scenario = scenario(&target.url(""), 20, "layers: [memory], ttl: 1h")
        .replace("account-{{ user.number }}@", "{{ user.number % 10 }}@")
        .replace("'errors == 0%'", &format!("'errors == 0%', {rules}"));
    let processes = ["--processes", "2", "--shards", "2"];
    // Each process has a memory of its own, so a key may be missed once in each of two.
    let apart =
        scenario.replace("hits == 50%", "hits >= 1%").replace("misses == 10", "misses < 20");
    let done = run(&apart, &processes);
    assert_eq!(done.code, Some(0), "{done}");
    let done = run(&scenario, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let out = done.path("out");
    let again = |rule: &str| {
        let words = ["report", out.to_str().unwrap(), "--threshold", rule];
        Manada::new(&words).go()
    };
    let judged = again("cache(\"tokens\").hits >= 50%");
    assert_eq!(judged.code, Some(0), "{judged}");
    assert!(judged.stdout.contains("50.00 %"), "{judged}");
    assert_eq!(again("cache(\"tokens\").misses < 10").code, Some(4));
    let unknown = again("cache(\"token\").misses < 10");
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert!(unknown.stderr.contains("did you mean `tokens`?"), "{unknown}");
}

#[test]
fn processes_and_runs_at_once_make_one_login_for_each_key() {
    // Logins that take a while, so that processes meet.
    let target = Builtin::start(&["--latency", "50ms"]);
    let redis = Redis::start();
    let cache = encrypted(&format!("memory, 'redis://{}'", redis.address));
    // All users of both processes need the same eight tokens.
    let scenario = scenario(&target.url(""), 64, &cache)
        .replace("{{ user.number }}@", "{{ user.number % 8 }}@");
    let done = run(&scenario, &["--processes", "2", "--shards", "2"]);
    assert_counts(&done, &[("lookups", 64), ("fills", 8), ("hits", 56)]);
    assert_eq!(target.count("/login"), 8);
    redis_cli(&redis, &["FLUSHALL"]);
    let both = [0, 1].map(|_| Manada::run(&scenario, &[]).env("CACHE_KEY", KEY).start());
    let fills: u64 = both.map(|one| counted(&one.wait().measured(), "fills")).iter().sum();
    assert_eq!((fills, target.count("/login")), (8, 16));
}

#[test]
fn file_is_a_layer_whose_entries_end() {
    let target = Builtin::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cache.db");
    // The program runs in a folder of its own; a link leads out of it.
    let go = |ttl: &str| {
        let cache = encrypted("memory, 'sqlite:kept/cache.db'").replace("1h", ttl);
        let run = Manada::run(&scenario(&target.url(""), 10, &cache), &[]);
        std::os::unix::fs::symlink(folder.path(), run.path("kept")).unwrap();
        run.env("CACHE_KEY", KEY).go()
    };
    assert_counts(&go("1h"), &[("fills", 10), ("sqlite.writes", 10)]);
    assert_counts(&go("1h"), &[("hits", 10), ("sqlite.hits", 10), ("memory.promotions", 10)]);
    let bytes = fs::read(&file).unwrap();
    for plain in plain_texts() {
        assert!(!bytes.windows(plain.len()).any(|part| part == plain), "{plain:?} is at rest");
    }
    // Entries are older than a millisecond by now.
    assert_counts(&go("1ms"), &[("fills", 10), ("sqlite.expired", 10)]);
    assert_eq!(target.count("/login"), 20);
}

#[test]
fn ten_thousand_users_log_in_once() {
    let (target, redis) = (Builtin::start(&[]), Redis::start());
    let cache = encrypted(&format!("memory, 'redis://{}'", redis.address));
    // A busy machine may take longer for an answer than a lookup should.
    let scenario = scenario(&target.url(""), 10_000, &format!("{cache}, timeout: 20s"))
        .replace("users: 10000", "users: [ { ramp: 10000, over: 10s }, { hold: 5s } ]")
        .replace("    duration: 2s\n", "");
    let first = run(&scenario, &[]).measured();
    assert_eq!((counted(&first, "fills"), target.count("/login")), (10_000, 10_000));
    let second = run(&scenario, &[]).measured();
    assert_eq!((counted(&second, "hits"), target.count("/login")), (10_000, 10_000));
    assert_eq!(count(&second, "calls.ok"), 10_000);
}

#[test]
fn setup_and_dry_runs_use_a_cache_and_a_failed_login_is_not_kept() {
    let (target, redis) = (Builtin::start(&[]), Redis::start());
    let cache = encrypted(&format!("memory, 'redis://{}'", redis.address));
    let scenario = format!(
        "
services: {{ shop: \"{}\" }}
cache: {{ tokens: {{ {cache} }} }}
setup:
  - cached: tokens
    key: all
    keep: [token]
    do: [ {{ post: /login, json: {{ user: ada }}, capture: {{ token: {{ json: $.token }} }} }} ]
workloads:
  w:
    users: 2
    flow:
      - get: /cart
        headers: {{ authorization: \"Bearer {{{{ token }}}}\" }}
        check: {{ body: {{ contains: '\"authorized\":true' }} }}
thresholds: [ 'checks == 100%' ]
",
        target.url("")
    );
    for logins in [1, 1] {
        run(&scenario, &[]).measured();
        assert_eq!(target.count("/login"), logins);
    }
    // A dry run shows the steps, and leaves the store alone.
    redis_cli(&redis, &["FLUSHALL"]);
    let words = ["check", "--once", "scenario.yaml"];
    let done = Manada::new(&words).file("scenario.yaml", &scenario).env("CACHE_KEY", KEY).go();
    assert!(done.code == Some(0) && done.stdout.contains("POST /login"), "{done}");
    assert_eq!(redis_cli(&redis, &["DBSIZE"]).trim(), "0");
    assert_eq!(target.count("/login"), 2);
}

#[test]
fn kept_values_are_hidden_whatever_their_names_are_and_a_forgotten_one_is_fetched_again() {
    let target = Builtin::start(&[]);
    let scenario = format!(
        "
services: {{ shop: \"{}\" }}
cache: {{ c: {{ layers: [memory], ttl: 1h }} }}
workloads:
  w:
    users: 1
    iterations: 3
    flow:
      - cached: c
        key: \"{{{{ user.number }}}}\"
        keep: [colour]
        do:
          - post: /login
            json: {{ user: ada }}
            capture: {{ colour: {{ json: $.token }} }}
      - log: \"has {{{{ colour }}}}.\"
      - if: \"{{{{ user.number >= 0 }}}}\"
        do: [ {{ forget: c, key: \"{{{{ user.number }}}}\" }} ]
",
        target.url("")
    );
    let done = Manada::telling(&scenario, &[]).go();
    let report = done.measured();
    assert_eq!((counted(&report, "fills"), counted(&report, "forgotten")), (3, 3), "{done}");
    assert!(done.stderr.contains("has ***."), "{done}");
    assert_eq!(target.count("/login"), 3);
}

#[test]
fn check_finds_what_a_run_would_refuse_of_stores() {
    for (layer, why) in [
        ("'redis://127.0.0.1:port'", "its URL is not valid"),
        ("'redis://cache.example:6379'", "use rediss://"),
        ("'postgres://h:port/db'", "port"),
    ] {
        let cache = format!("layers: [memory, {layer}], ttl: 1h, encrypt: none");
        let scenario = scenario("http://127.0.0.1:9", 1, &cache);
        let check = ["check", "scenario.yaml"];
        let checked = Manada::new(&check).file("scenario.yaml", &scenario).go();
        for done in [checked, Manada::run(&scenario, &[]).go()] {
            assert_eq!(done.code, Some(3), "{layer}: {done}");
            assert!(done.stderr.contains(why), "{layer}: {done}");
        }
    }
}

#[test]
fn agents_refuse_caches_with_stores() {
    let redis = Redis::start();
    let cache = encrypted("memory, 'sqlite:cache.db'");
    let bus = format!("redis://{}", redis.address);
    let scenario = scenario("http://127.0.0.1:9", 2, &cache);
    let words = ["--agents", "1", "--bus", &bus, "--join-timeout", "5s"];
    let done = run(&scenario, &words);
    assert!(done.code == Some(3) && done.stderr.contains("use `layers: [memory]`"), "{done}");
}
