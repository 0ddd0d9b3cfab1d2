//! The run history in an SQLite file: what runs leave, what commands read, and files that cannot be
//! used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Done, Manada};

/// A scenario with two steps, thresholds and the built-in target.
const SHOP: &str = r#"
scenario: shop
services: { web: { builtin: { latency: 1ms } } }
workloads:
  api:
    flow: [ { get: /products/1, name: item }, { get: /, name: 'a "b"' } ]
    duration: 1500ms
    arrivals: { rate: 40/s, max_users: 40 }
thresholds: [ "calls < 100000", "iterations < 100000" ]
"#;

/// Runs the scenario with a history in this file.
fn run(history: &Path, words: &[&str]) -> Done {
    let words_first = ["--history", history.to_str().unwrap()];
    Manada::run(SHOP, &words_first).words(words).go()
}

/// Runs `manada history` on a file.
fn history(file: &Path, words: &[&str]) -> Done {
    Manada::new(&["history"]).words(words).words(&["--history", file.to_str().unwrap()]).go()
}

/// The runs of a list.
fn list(file: &Path, words: &[&str]) -> Vec<Value> {
    let done = history(file, &[words, &["--json"]].concat());
    assert_eq!(done.code, Some(0), "{done}");
    done.json().as_array().unwrap().clone()
}

/// A figure of a run.
fn figure(run: &Value, scope: &str, metric: &str) -> Option<f64> {
    let figures = run["figures"].as_array().unwrap();
    let found = figures.iter().find(|one| one["scope"] == scope && one["metric"] == metric);
    found.unwrap_or_else(|| panic!("{scope} {metric} is not in {run:#}"))["value"].as_f64()
}

#[test]
fn figures_of_the_history_equal_the_summary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/history.db");
    let done = run(&file, &["--tag", "release=1.4", "--tag", "team=shop"]);
    let summary = done.measured();
    let runs = list(&file, &[]);
    assert_eq!(runs.len(), 1);
    let id = runs[0]["id"].as_str().unwrap();
    assert_eq!(summary["run_id"], id);
    let stored = history(&file, &["show", &id[..9], "--json"]).json();
    assert_eq!(stored["summary"], summary);
    for key in ["verdict", "exit_code", "scenario", "reason"] {
        assert_eq!(stored[key], summary[key], "{key}");
    }
    assert_eq!(stored["trust"], summary["trust"]["verdict"]);
    assert_eq!(stored["tags"]["release"], "1.4");
    for (of, scope) in [
        (&summary, ""),
        (&summary["workloads"][0], "workload(\"api\")"),
        (&summary["steps"][0], "workload(\"api\").archetype(\"api\").step(\"item\")"),
        (&summary["steps"][1], "workload(\"api\").archetype(\"api\").step(\"a \\\"b\\\"\")"),
    ] {
        for kind in ["response", "service"] {
            let times = &of[format!("{kind}_us")];
            for (name, key) in [("p50", "p50"), ("p95", "p95"), ("p99.9", "p99_9"), ("max", "max")]
            {
                let value = figure(&stored, scope, &format!("{kind}.{name}"));
                assert_eq!(value, times[key].as_f64(), "{scope} {kind} {name}");
            }
        }
        assert_eq!(figure(&stored, scope, "calls"), of["calls"]["made"].as_f64());
        assert_eq!(figure(&stored, scope, "timeouts"), of["calls"]["timeout"].as_f64());
    }
    let rate = figure(&stored, "", "rate");
    assert_eq!(rate, summary["rate"]["started_per_s"].as_f64());
    assert_eq!(figure(&stored, "", "bytes"), summary["bytes"]["received"].as_f64());
    let rules = |document: &Value| {
        let rules = document["thresholds"].as_array().unwrap().iter();
        let rule =
            |one: &Value| ["rule", "observed", "limit", "passed"].map(|key| one[key].clone());
        rules.map(rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&stored), rules(&summary));
    assert_eq!(rules(&stored).len(), 3);
}

#[test]
fn interval_histograms_count_what_the_log_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let summary = run(&file, &[]).measured();
    let id = list(&file, &[])[0]["id"].as_str().unwrap().to_owned();
    let stored = history(&file, &["show", &id, "--json"]).json();
    for (at, step) in summary["steps"].as_array().unwrap().iter().enumerate() {
        for kind in ["response", "service"] {
            let intervals = stored["intervals"].as_array().unwrap().iter();
            let of_step = intervals.filter(|one| one["step"] == at + 1 && one["kind"] == kind);
            let counts = of_step.map(|one| histogram(one["histogram"].as_str().unwrap()).len());
            // Without calls that have no time at all.
            let times = &step[format!("{kind}_us")];
            let count = times["count"].as_u64().unwrap() - times["censored"].as_u64().unwrap();
            let counted: u64 = counts.sum();
            assert!(counted >= count && counted <= times["count"].as_u64().unwrap(), "{counted}");
            assert!(counted > 0);
        }
    }
}

/// Decodes a histogram in HdrHistogram's own format.
fn histogram(text: &str) -> hdrhistogram::Histogram<u64> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let mut decoder = hdrhistogram::serialization::Deserializer::new();
    decoder.deserialize(&mut bytes.as_slice()).unwrap()
}

#[test]
fn runs_are_listed_filtered_and_shown_as_a_trend() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    for release in ["1.4", "1.5"] {
        run(&file, &["--tag", &format!("release={release}")]).measured();
    }
    let runs = list(&file, &[]);
    let releases: Vec<&str> =
        runs.iter().map(|run| run["tags"]["release"].as_str().unwrap()).collect();
    assert_eq!(releases, ["1.5", "1.4"], "the latest comes first");
    assert_eq!(list(&file, &["--tag", "release=1.4"]).len(), 1);
    assert_eq!(list(&file, &["--last", "1"]).len(), 1);
    assert_eq!(list(&file, &["--scenario", "shop"]).len(), 2);
    assert_eq!(list(&file, &["--scenario", "another"]).len(), 0);
    let text = history(&file, &[]).stdout;
    assert!(text.contains("release=1.5") && text.contains("shop"), "{text}");
    let id = runs[0]["id"].as_str().unwrap();
    let shown = history(&file, &["show", id]).stdout;
    assert!(shown.contains("iterations < 100000") && shown.contains(id), "{shown}");

    let page = folder.path().join("trend.html");
    let words = ["trend", "step(\"item\").response.p95", "--html", page.to_str().unwrap()];
    let trend = history(&file, &[&words[..], &["--json"]].concat()).json();
    let scope = "workload(\"api\").archetype(\"api\").step(\"item\")";
    let values: Vec<Option<f64>> =
        trend["runs"].as_array().unwrap().iter().map(|run| run["value"].as_f64()).collect();
    let expected = runs.iter().rev().map(|run| {
        let id = run["id"].as_str().unwrap();
        figure(&history(&file, &["show", id, "--json"]).json(), scope, "response.p95")
    });
    assert_eq!(values, expected.collect::<Vec<_>>());
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("release=1.5") && page.contains("Content-Security-Policy"), "{page}");
    let text = history(&file, &["trend", "rate"]).stdout;
    assert!(text.contains('█') && text.lines().count() >= 4, "{text}");

    let done = history(&file, &["trend", "respons.p95"]);
    assert!(done.code == Some(2) && done.stderr.contains("did you mean `response`?"), "{done}");
    let done = history(&file, &["show", "zz"]);
    assert!(done.code == Some(2) && done.stderr.contains("no run `zz`"), "{done}");
    assert_eq!(history(&file, &["delete", id]).code, Some(0));
    assert_eq!(list(&file, &[]).len(), 1);
    let done = history(&file, &["prune", "--keep", "0"]);
    assert!(done.code == Some(0) && done.stdout == "deleted 1 run\n", "{done}");
    assert_eq!(list(&file, &[]).len(), 0);
}

#[test]
fn the_file_is_in_the_data_folder_and_private() {
    let home = tempfile::tempdir().unwrap();
    let start = |words: &[&str]| {
        Manada::run(SHOP, words).env("MANADA_HISTORY", "").env("XDG_DATA_HOME", home.path())
    };
    start(&["--no-history"]).go().measured();
    assert!(!home.path().join("manada").exists());
    start(&[]).go().measured();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = home.path().join("manada");
    assert_eq!((mode(&folder), mode(&folder.join("history.db"))), (0o700, 0o600));
    assert_eq!(list(&folder.join("history.db"), &[]).len(), 1);
    // Without a data folder there is no history, which is told; the run is as good.
    let done = start(&[]).env("XDG_DATA_HOME", "").env("HOME", "").go();
    done.measured();
    assert_eq!(done.stderr.matches("name a file with --history").count(), 1, "{done}");
}

#[test]
fn hit_writes_only_to_a_named_history() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let target = crate::builtin::Builtin::start(&[]);
    let url = target.url("/");
    let words = ["-n", "5", "-c", "1"];
    Manada::hit(&url, &words).env("MANADA_HISTORY", file.to_str().unwrap()).go().measured();
    assert!(!file.exists());
    Manada::hit(&url, &words).words(&["--history", file.to_str().unwrap()]).go().measured();
    assert_eq!(list(&file, &[]).len(), 1);
}

#[test]
fn histories_that_cannot_be_written_never_fail_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "a text of the user\n".repeat(100)).unwrap();
    let before = fs::read(&text).unwrap();
    let below_file = text.join("history.db");
    let device = Path::new("/dev/full");
    for (file, why) in [
        (text.as_path(), "not an SQLite file"),
        (folder.path(), "not a regular file"),
        (below_file.as_path(), "cannot create it"),
        (device, "not a regular file"),
    ] {
        let done = run(file, &[]);
        done.measured();
        let lines: Vec<&str> =
            done.stderr.lines().filter(|line| line.contains("not in the history")).collect();
        assert_eq!(lines.len(), 1, "{done}");
        assert!(lines[0].contains(why) && lines[0].contains(file.to_str().unwrap()), "{done}");
    }
    assert_eq!(fs::read(&text).unwrap(), before);
    let done = history(&text, &[]);
    assert!(done.code == Some(1) && done.stderr.contains("left alone"), "{done}");
    let done = history(&folder.path().join("none.db"), &[]);
    assert!(done.code == Some(3) && done.stderr.contains("none yet"), "{done}");
    let done = Manada::run(SHOP, &[]).env("MANADA_HISTORY", "mysql://me:hunter2@db/").go();
    done.measured();
    assert!(done.stderr.contains("MANADA_HISTORY: unknown kind of database"), "{done}");
    assert!(!done.stderr.contains("hunter2"), "{done}");
}

#[test]
fn a_newer_history_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    run(&file, &[]).measured();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let done = run(&file, &[]);
    done.measured();
    assert!(done.stderr.contains("its tables have version 99"), "{done}");
    let done = history(&file, &[]);
    assert!(done.code == Some(1) && done.stderr.contains("update manada"), "{done}");
}

#[test]
fn a_locked_history_is_waited_for_in_a_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    run(&file, &[]).measured();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let done = run(&file, &[]);
    done.measured();
    assert!(done.stderr.contains("the run is not in the history"), "{done}");
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(list(&file, &[]).len(), 1);
}

#[test]
fn several_runs_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let words = ["--history", file.to_str().unwrap()];
    let running: Vec<_> = (0..4).map(|_| Manada::run(SHOP, &words).start()).collect();
    for one in running {
        let done = one.wait();
        assert!(!done.stderr.contains("not in the history"), "{done}");
    }
    assert_eq!(list(&file, &[]).len(), 4);
}

#[test]
fn a_full_disk_costs_the_history_alone() {
    // A file system of 64 KiB of its own.
    let folder = tempfile::tempdir().unwrap();
    let line = "mount -t tmpfs -o size=64k tmpfs small && exec \"$0\" \"$@\"";
    fs::create_dir(folder.path().join("small")).unwrap();
    fs::write(folder.path().join("scenario.yaml"), SHOP).unwrap();
    let done = std::process::Command::new("unshare")
        .args(["--mount", "/bin/sh", "-c", line, crate::harness::MANADA])
        .args(["run", "scenario.yaml", "--ui", "none", "--out", "out"])
        .args(["--history", "small/history.db", "--threshold", "calls > 0"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() || done.status.code() == Some(5), "{stderr}");
    assert!(stderr.contains("the run is not in the history (small/history.db)"), "{stderr}");
    assert!(stderr.contains("full"), "{stderr}");
    assert!(folder.path().join("out/summary.json").exists());
}

#[test]
fn secrets_are_masked_in_tags_rules_and_commands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let secret = "hunter2-hunter2";
    let scenario =
        SHOP.replace("get: /products/1", "get: \"/products/1?key={{ secret('SHOP_KEY') }}\"");
    let words = ["--history", file.to_str().unwrap()];
    let tag = format!("note={secret}");
    let done = Manada::run(&scenario, &words)
        .words(&["--tag", "password=swordfish", "--tag", &tag])
        .env("SHOP_KEY", secret)
        .go();
    done.measured();
    let id = list(&file, &[])[0]["id"].as_str().unwrap().to_owned();
    for words in [&["show", &id, "--json"][..], &["show", &id], &["--json"], &[]] {
        let text = history(&file, words).stdout;
        assert!(!text.contains(secret) && !text.contains("swordfish"), "{text}");
    }
    let bytes = fs::read(&file).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("note") && !has(secret) && !has("swordfish"));
}

#[test]
fn the_commit_of_the_scenario_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let id = "0123456789abcdef0123456789abcdef01234567";
    let words = ["--history", file.to_str().unwrap()];
    let done = Manada::run(SHOP, &words)
        .file(".git/HEAD", "ref: refs/heads/main\n")
        .file(".git/refs/heads/main", format!("{id}\n"))
        .go();
    done.measured();
    let done = Manada::run(SHOP, &words).env("CI_COMMIT_SHA", id.replace('0', "f")).go();
    done.measured();
    let runs = list(&file, &[]);
    assert_eq!((&runs[1]["commit"], &runs[1]["branch"]), (&id.into(), &"main".into()));
    assert_eq!(runs[0]["commit"], id.replace('0', "f"));
    let text = history(&file, &["trend", "rate"]).stdout;
    assert!(text.contains("f123456 new"), "{text}");
}

#[test]
fn a_tag_without_a_history_is_a_remark() {
    let target = crate::builtin::Builtin::start(&[]);
    let words = ["hit", &target.url("/"), "-n", "1", "--ui", "none", "--tag", "a=b"];
    let done = Manada::new(&words).words(&["--threshold", "errors < 1%"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stderr.contains("`--tag` has no effect"), "{done}");
}
