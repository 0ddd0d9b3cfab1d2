//! `manada schedule`: what starts, what is told, and what a history says of it.
//!
//! Facts are read from histories; no test compares times with a clock.

#[cfg(feature = "redis")]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Done, Manada, Running};
use crate::instances::wait_until;
use crate::peer::{Server, refusing_address};

/// A scenario that ends at once.
const SHORT: &str = "\
services: { shop: builtin }
workloads: { w: { users: 1, iterations: 2, flow: [ { get: / } ] } }
thresholds: [ calls > 0 ]
";

/// A scenario that goes on until it is ended.
const LONG: &str = "\
services: { shop: builtin }
workloads: { w: { users: 1, duration: 10m, flow: [ { get: / }, { pause: 100ms } ] } }
grace: 100ms
";

/// A folder with a schedule file and its scenarios.
pub(crate) struct Schedule {
    folder: TempDir,
}

impl Schedule {
    pub(crate) fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("short.yaml"), SHORT).unwrap();
        fs::write(folder.path().join("long.yaml"), LONG).unwrap();
        fs::write(folder.path().join("s.yaml"), text).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `manada schedule COMMAND` of the file.
    pub(crate) fn command(&self, command: &str, words: &[&str]) -> Manada {
        let file = self.path("s.yaml").to_str().unwrap().to_owned();
        Manada::new(&["schedule", command, &file]).words(words)
    }

    pub(crate) fn run(&self) -> Running {
        self.command("run", &[]).start()
    }

    fn trigger(&self, job: &str) -> Done {
        self.command("trigger", &[job]).go()
    }

    /// The history of all jobs, oldest first.
    pub(crate) fn history(&self) -> Vec<Value> {
        let done = self.command("history", &["--json", "--last", "1000"]).go();
        assert_eq!(done.code, Some(0), "{done}");
        let mut entries = done.json()["entries"].as_array().unwrap().clone();
        entries.reverse();
        entries
    }

    /// The words of all outcomes, oldest first.
    fn outcomes(&self) -> Vec<String> {
        self.history().iter().map(|entry| outcome(entry).to_owned()).collect()
    }
}

/// The outcome of an entry.
pub(crate) fn outcome(entry: &Value) -> &str {
    entry["outcome"].as_str().unwrap_or("running")
}

/// Ends a scheduler in good order.
pub(crate) fn end(scheduler: Running) -> Done {
    scheduler.signal(Signal::TERM);
    let done = scheduler.wait();
    assert_eq!(done.code, Some(0), "{done}");
    done
}

#[test]
fn runs_start_when_they_are_due_and_leave_reports_and_a_history() {
    let schedule = Schedule::new(
        "jobs:\n  a: { scenario: short.yaml, every: 1s }\n  \
         b: { scenario: short.yaml, cron: '* * * * * *', args: [--threshold, calls > 1000] }\n",
    );
    let scheduler = schedule.run();
    wait_until("both jobs ran twice", || {
        let history = schedule.history();
        let ended = |job: &str| {
            let is_one = |entry: &&Value| entry["job"] == job && !entry["ended"].is_null();
            history.iter().filter(is_one).count()
        };
        ended("a") >= 2 && ended("b") >= 2
    });
    let done = end(scheduler);
    assert!(done.stderr.contains("a: attempt 1 passed"), "{done}");
    for entry in schedule.history() {
        let expected = match (entry["job"].as_str().unwrap(), outcome(&entry)) {
            (_, "skipped" | "stopped") => continue,
            ("a", _) => ("passed", 0, "pass"),
            _ => ("failed", 4, "fail"),
        };
        let found = (outcome(&entry), entry["exit"].as_i64().unwrap());
        assert_eq!((found.0, found.1, entry["verdict"].as_str().unwrap()), expected, "{entry}");
        let folder = PathBuf::from(entry["folder"].as_str().unwrap());
        assert!(folder.join("summary.json").is_file(), "{}", folder.display());
        assert!(folder.with_extension("log").is_file());
    }
    let list = schedule.command("list", &[]).go();
    assert!(list.stdout.contains("every 1s") && list.stdout.contains("passed"), "{list}");
}

#[test]
fn triggered_run_has_the_exit_code_of_the_run_and_its_commands_run_around_it() {
    let schedule = Schedule::new(
        "jobs:\n  \
         good: { scenario: short.yaml, every: 24h, after: 'echo $MANADA_OUTCOME $MANADA_EXIT \
         $MANADA_FENCING_TOKEN $MANADA_SLOT >> after.txt' }\n  \
         unprepared: { scenario: short.yaml, every: 24h, before: 'echo no database; exit 3', \
         after: 'echo $MANADA_OUTCOME >> after.txt' }\n  \
         untidy: { scenario: short.yaml, every: 24h, after: 'exit 9' }\n  \
         strict: { scenario: short.yaml, every: 24h, args: [--threshold, calls > 1000], \
         retries: 3 }\n  \
         invalid: { scenario: short.yaml, every: 24h, args: [--set, none.such=1], \
         retries: 3 }\n",
    );
    let codes = [("good", 0), ("unprepared", 1), ("untidy", 0), ("strict", 4), ("invalid", 3)];
    for (job, code) in codes {
        let done = schedule.trigger(job);
        assert_eq!(done.code, Some(code), "{job}: {done}");
    }
    let history = schedule.history();
    let found: Vec<(&str, i64)> =
        history.iter().map(|one| (outcome(one), one["attempt"].as_i64().unwrap())).collect();
    let expected = ["passed", "before_failed", "passed", "failed", "invalid"];
    assert_eq!(found, expected.map(|outcome| (outcome, 1)), "one attempt each");
    let why = |at: usize| history[at]["why"].as_str().unwrap_or_default();
    assert_eq!(why(1), "`before` ended with exit code 3: no database");
    assert!(why(2).starts_with("`after` ended with exit code 9"), "{}", why(2));
    assert!(why(4).contains("exit code"), "{}", why(4));
    assert!(!PathBuf::from(history[1]["folder"].as_str().unwrap()).exists(), "there was no run");
    let after = fs::read_to_string(schedule.path("after.txt")).unwrap();
    assert_eq!(after, "passed 0 1\nbefore_failed\n");
    let wrong = schedule.trigger("strickt");
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert!(wrong.stderr.contains("did you mean `strict`?"), "{wrong}");
}

#[test]
fn timeouts_are_retried_and_counted() {
    let schedule = Schedule::new(
        "jobs:\n  slow: { scenario: long.yaml, every: 24h, timeout: 1s, grace: 1s, \
         retries: { max: 2, backoff: { base: 100ms, max: 200ms } } }\n",
    );
    let done = schedule.trigger("slow");
    assert_eq!(done.code, Some(1), "{done}");
    let attempts: Vec<(i64, String)> = schedule
        .history()
        .iter()
        .map(|entry| (entry["attempt"].as_i64().unwrap(), outcome(entry).to_owned()))
        .collect();
    assert_eq!(attempts, [1, 2, 3].map(|attempt| (attempt, "timed_out".to_owned())));
}

#[test]
fn replaced_run_ends_before_the_next_one_starts() {
    let schedule =
        Schedule::new("jobs:\n  j: { scenario: long.yaml, every: 2s, overlap: replace }\n");
    let scheduler = schedule.run();
    wait_until("two runs are replaced", || {
        schedule.outcomes().iter().filter(|one| *one == "replaced").count() >= 2
    });
    end(scheduler);
    let history = schedule.history();
    assert!(history.iter().all(|one| ["replaced", "stopped"].contains(&outcome(one))));
    for pair in history.windows(2) {
        assert!(pair[0]["ended"].as_str() <= pair[1]["started"].as_str(), "{pair:?}");
        assert!(pair[0]["slot"].as_u64() < pair[1]["slot"].as_u64(), "{pair:?}");
    }
}

#[test]
fn two_schedulers_of_one_machine_run_each_slot_once() {
    let schedule = Schedule::new("jobs:\n  j: { scenario: short.yaml, every: 1s }\n");
    let schedulers = [schedule.run(), schedule.run()];
    wait_until("some slots ran", || {
        schedule.outcomes().iter().filter(|one| *one == "passed").count() >= 5
    });
    for scheduler in schedulers {
        end(scheduler);
    }
    let history = schedule.history();
    let slots: Vec<u64> = history
        .iter()
        .filter(|entry| outcome(entry) != "skipped")
        .map(|entry| entry["slot"].as_u64().unwrap())
        .collect();
    assert!(slots.is_sorted_by(|one, next| one < next), "{history:#?}");
}

#[cfg(feature = "history")]
#[test]
fn runs_are_in_the_history_with_their_job_and_claim() {
    let schedule = Schedule::new(
        "schedule: shop\nhistory: runs.db\njobs:\n  a: { scenario: short.yaml, every: 24h }\n",
    );
    assert_eq!(schedule.trigger("a").code, Some(0));
    let place = schedule.path("runs.db").to_str().unwrap().to_owned();
    let words = ["history", "--history", &place, "--tag", "job=a", "--tag", "claim=1"];
    let found = Manada::new(&words).words(&["--tag", "schedule=shop"]).go();
    assert_eq!(found.code, Some(0), "{found}");
    assert!(found.stdout.contains("claim=1 job=a schedule=shop"), "{found}");
}

#[test]
fn missed_slots_are_caught_up_from_the_state() {
    for (catch_up, most) in [("none", 0), ("last", 1), ("all", 4)] {
        let schedule = Schedule::new(&format!(
            "out: out\njobs:\n  j: {{ scenario: short.yaml, every: 24h, catch_up: {catch_up} }}\n"
        ));
        let next = || {
            let next = schedule.command("next", &["-n", "1", "--json"]).go().json();
            next["slots"][0]["slot"].as_u64().unwrap()
        };
        // A day may begin meanwhile: then its slot is one more.
        loop {
            let begun = next();
            let known = json!({ "token": 7, "slot": begun - 5 * 86_400 });
            fs::create_dir_all(schedule.path("out/state")).unwrap();
            fs::write(schedule.path("out/state/j.json"), known.to_string()).unwrap();
            let scheduler = schedule.run();
            if most == 0 {
                scheduler.hear("missed 4 slots");
            } else {
                wait_until("the missed slots ran", || {
                    schedule.outcomes().iter().filter(|one| *one == "passed").count() >= most
                });
            }
            end(scheduler);
            if next() != begun {
                continue;
            }
            let slots: Vec<u64> =
                schedule.history().iter().map(|one| one["slot"].as_u64().unwrap()).collect();
            let days = (1..=most as u64).rev();
            assert_eq!(slots, days.map(|day| begun - day * 86_400).collect::<Vec<_>>());
            break;
        }
    }
}

#[test]
fn damaged_state_of_a_job_stops_that_job_alone() {
    let schedule = Schedule::new(
        "out: out\njobs:\n  a: { scenario: short.yaml, every: 1s }\n  \
         b: { scenario: short.yaml, every: 1s }\n",
    );
    fs::create_dir_all(schedule.path("out/state")).unwrap();
    fs::write(schedule.path("out/state/a.json"), "{").unwrap();
    let scheduler = schedule.run();
    scheduler.hear("a.json: EOF");
    scheduler.hear("b: attempt 1 passed");
    end(scheduler);
    let history = schedule.command("history", &[]).go();
    assert_eq!(history.code, Some(1), "{history}");
    assert!(history.stderr.contains("move it away"), "{history}");
}

#[test]
fn signals_are_passed_on_and_a_second_one_waits_for_nothing() {
    let schedule = Schedule::new("jobs:\n  j: { scenario: long.yaml, every: 1s }\n");
    let scheduler = schedule.run();
    scheduler.hear("attempt 1 starts");
    end(scheduler);
    let mut outcomes = schedule.outcomes();
    outcomes.retain(|one| one != "skipped");
    assert_eq!(outcomes, ["stopped"]);

    let schedule = Schedule::new(
        "jobs:\n  j: { scenario: short.yaml, every: 1s, grace: 10m, \
         before: \"trap '' TERM; echo > begun; while :; do sleep 1; done\" }\n",
    );
    let scheduler = schedule.run();
    wait_until("the command runs", || schedule.path("begun").exists());
    scheduler.signal(Signal::TERM);
    scheduler.hear("ending:");
    scheduler.signal(Signal::TERM);
    let done = scheduler.wait();
    assert_eq!(done.code, Some(143), "{done}");
    assert!(schedule.outcomes().contains(&"stopped".to_owned()));
}

#[test]
fn webhook_is_told_of_failure_and_recovery_also_after_errors() {
    let bodies = Arc::new(Mutex::new(Vec::<Value>::new()));
    let own = Arc::clone(&bodies);
    let hook = Server::start(move |peer| {
        while let Some((_, body)) = peer.head_and_body() {
            let mut bodies = own.lock().unwrap();
            bodies.push(serde_json::from_slice(&body).unwrap());
            // The first request fails: the same body comes again.
            let status = if bodies.len() == 1 { "500 Broken" } else { "200 OK" };
            drop(bodies);
            let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if !peer.send(response.as_bytes()) {
                return;
            }
        }
    });
    let schedule = Schedule::new(
        "schedule: shop\nnotify: { url: \"{{ secret('HOOK') }}\", on: [failure, recovery] }\n\
         jobs:\n  j: { scenario: short.yaml, every: 24h, before: test -e ready }\n",
    );
    let url = format!("{}s3cr3t-path", hook.url());
    let trigger = || schedule.command("trigger", &["j"]).env("HOOK", url.clone()).go();
    assert_eq!(trigger().code, Some(1));
    fs::write(schedule.path("ready"), "").unwrap();
    assert_eq!(trigger().code, Some(0));
    assert_eq!(trigger().code, Some(0), "a further pass is no news");
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[1]["occasions"], json!(["failure"]));
    assert_eq!(bodies[1]["run"]["outcome"], "before_failed");
    assert_eq!(bodies[2]["occasions"], json!(["recovery"]));
    assert_eq!(bodies[2]["former"], "before_failed");
    let text = bodies[2]["text"].as_str().unwrap();
    assert!(text.starts_with("shop: j passed (before: before_failed)"), "{text}");
}

#[test]
fn webhook_that_is_down_delays_nothing_and_is_said_without_its_url() {
    let (_socket, refusing) = refusing_address();
    let silent = Server::start(|peer| {
        peer.whole_request();
        peer.hold();
    });
    for url in [format!("http://{refusing}/s3cr3t-path"), format!("{}s3cr3t-path", silent.url())] {
        let schedule = Schedule::new(&format!(
            "notify: {{ url: {url}, on: failure }}\njobs:\n  \
             j: {{ scenario: short.yaml, every: 1s, args: [--threshold, calls > 1000] }}\n"
        ));
        let scheduler = schedule.run();
        wait_until("runs go on", || schedule.outcomes().len() >= 4);
        let done = end(scheduler);
        assert!(!done.stderr.contains("s3cr3t"), "{done}");
        assert!(schedule.outcomes().iter().filter(|one| *one == "failed").count() >= 2);
    }
}

#[test]
fn times_of_a_night_with_a_repeated_hour_are_shown() {
    let schedule = Schedule::new(
        "time_zone: Europe/Lisbon\njobs:\n  \
         night: { scenario: short.yaml, cron: '30 1 * * *' }\n  \
         often: { scenario: short.yaml, cron: '*/30 * * * *' }\n",
    );
    let times = |job: &str| -> Vec<String> {
        let words = ["-n", "4", "--from", "2026-10-25T00:30", "--job", job, "--json"];
        let slots = schedule.command("next", &words).go().json();
        let slots = slots["slots"].as_array().unwrap();
        slots.iter().map(|slot| slot["due"].as_str().unwrap()[..16].to_owned()).collect()
    };
    assert_eq!(
        times("night"),
        ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30", "2026-10-28T01:30"]
    );
    assert_eq!(
        times("often"),
        ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]
    );
    let wrong = schedule.command("next", &["--from", "noon"]).go();
    assert_eq!(wrong.code, Some(2), "{wrong}");
    let file = schedule.path("s.yaml");
    let checked = Manada::new(&["check", file.to_str().unwrap()]).go();
    assert_eq!(checked.code, Some(0), "{checked}");
    fs::write(&file, "jobs: { a: { scenario: none.yaml, every: 1h, args: [--no-such] } }\n")
        .unwrap();
    for command in ["run", "list"] {
        let done = schedule.command(command, &[]).go();
        assert_eq!(done.code, Some(3), "{done}");
        for text in ["file `none.yaml` not found", "unexpected argument '--no-such' found"] {
            assert!(done.stderr.contains(text), "{done}");
        }
    }
}
