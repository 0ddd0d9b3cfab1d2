//! Coordinators that die or are replaced, and reports that are made of the journals of agents: what
//! the report has is what the target received.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, Running, count};
use crate::instances::Redis;

/// A target that logs what arrives, a bus, a coordinator and two agents that keep journals.
struct JournalFleet {
    redis: Redis,
    target: Builtin,
    coordinator: Running,
    agents: Vec<Running>,
    folder: tempfile::TempDir,
}

impl JournalFleet {
    /// Starts a run of `seconds`; its load has begun.
    fn start(seconds: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("arrivals.csv");
        let target = Builtin::start(&["--log", log.to_str().unwrap()]);
        let redis = Redis::start();
        let scenario = format!(
            "\
scenario: resumed
seed: 7
services: {{ it: \"{}\" }}
grace: 5s
archetypes: {{ reader: {{ think: 100ms, flow: [ {{ get: /products, name: page }} ] }} }}
workloads:
  api:
    arrivals: {{ rate: 60/s, max_users: 600 }}
    duration: {seconds}s
    flow: [ {{ get: /cart, name: home }} ]
  people: {{ users: 6, duration: {seconds}s, archetypes: {{ reader: 1 }} }}
",
            target.url("")
        );
        let bus = bus(&redis);
        let words = ["--agents", "2", "--bus", &bus, "--run", "it", "--shards", "1"];
        let coordinator = Manada::telling(&scenario, &words).start();
        coordinator.hear("waiting for");
        let journal = folder.path().join("journals");
        let agents = ["0", "1"].map(|ordinal| {
            let words = ["agent", "--bus", &bus, "--run", "it", "--ordinal", ordinal];
            Manada::new(&words).words(&["--journal", journal.to_str().unwrap()]).start()
        });
        coordinator.hear("| api: ");
        Self { redis, target, coordinator, agents: agents.into(), folder }
    }

    /// `manada coordinate` with these arguments.
    fn resume(&self, words: &[&str]) -> Manada {
        let bus = bus(&self.redis);
        let first = ["coordinate", "--resume", "it", "--bus", &bus, "--json", "--out", "out"];
        Manada::new(&first).words(&["--ui", "plain", "-v"]).words(words)
    }

    fn journals(&self) -> PathBuf {
        self.folder.path().join("journals")
    }

    /// Waits for the agents, which have handed in everything. Returns the number of requests that
    /// the target received.
    fn end(self) -> (tempfile::TempDir, u64) {
        for agent in self.agents {
            let agent = agent.wait();
            assert_eq!(agent.code, Some(0), "{agent}");
        }
        self.target.end();
        let log = fs::read_to_string(self.folder.path().join("arrivals.csv")).unwrap();
        (self.folder, log.lines().count() as u64 - 1)
    }
}

fn bus(redis: &Redis) -> String {
    format!("redis://{}", redis.address)
}

/// The report of these journals.
fn merged(journals: &[&Path]) -> Done {
    let mut merge = Manada::new(&["merge", "--json", "-o", "out"]);
    for journal in journals {
        merge = merge.words(&[journal.to_str().unwrap()]);
    }
    merge.go()
}

/// The journal of an agent.
fn journal_of(folder: &Path, ordinal: u16) -> PathBuf {
    let begin = format!("agent-{ordinal}-");
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let found = entries.find(|entry| entry.file_name().to_str().unwrap().starts_with(&begin));
    found.unwrap().path()
}

/// What is measured in a report: without what only the coordinator knows, such as its machine.
fn measured(report: &Value) -> Value {
    let mut measured = report.clone();
    let all = measured.as_object_mut().unwrap();
    for own in ["dials", "generator", "monitors", "started_at", "command", "events"] {
        all.remove(own);
    }
    let usage = all["usage"].as_object_mut().unwrap();
    usage.retain(|key, _| key == "network_bytes");
    all["connections"].as_object_mut().unwrap().remove("at_load_end");
    measured
}

/// Checks that both reports have the same figures.
#[track_caller]
fn assert_same(one: &Value, other: &Value) {
    let (one, other) = (measured(one), measured(other));
    for (key, value) in one.as_object().unwrap() {
        assert_eq!(*value, other[key], "{key}");
    }
}

/// The subjects of the events of a kind, sorted.
fn events<'r>(report: &'r Value, kind: &str) -> Vec<&'r str> {
    let all = report["events"].as_array().unwrap().iter();
    let of_kind = all.filter(|event| event["kind"] == kind);
    let mut subjects: Vec<&str> = of_kind.map(|event| event["subject"].as_str().unwrap()).collect();
    subjects.sort_unstable();
    subjects
}

#[test]
fn run_of_a_killed_coordinator_goes_on_and_its_report_is_whole() {
    let fleet = JournalFleet::start(9);
    fleet.coordinator.hear_second(3);
    fleet.coordinator.signal(Signal::KILL);
    let former = fleet.coordinator.path("out");
    assert!(former.join("fleet.journal").is_file());
    let first = fleet.resume(&["--from", former.to_str().unwrap()]).start();
    first.hear("this coordinator goes on with it");
    first.hear("| api: ");
    // The second one dies, too: its journal begins with what the first one had merged.
    first.signal(Signal::KILL);
    let former = first.path("out");
    let done = fleet.resume(&["--from", former.to_str().unwrap()]).go();
    let report = done.report(0);
    assert!(!done.path("out/fleet.journal").exists(), "nothing is to be resumed");
    let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
    assert_eq!(again.json(), report);
    let over = fleet.resume(&["--from", done.path("out").to_str().unwrap()]).go();
    assert_eq!(over.code, Some(2), "{over}");
    assert!(over.stderr.contains("the run is over"), "{over}");
    let journals = fleet.journals();
    let (_folder, requests) = fleet.end();
    assert_eq!(count(&report, "calls.made"), requests, "{report}");
    let api = &report["workloads"][0]["iterations"];
    assert_eq!(count(api, "due"), 540, "{api}");
    assert_eq!(events(&report, "unmerged").len(), 0);
    // The journals of the agents have the same.
    let merged = merged(&[&journals]).report(0);
    assert_same(&merged, &report);
}

#[test]
fn what_only_the_lost_folder_had_is_a_declared_loss() {
    let fleet = JournalFleet::start(9);
    // Snapshots are two seconds apart: agents have forgotten the first seconds.
    fleet.coordinator.hear_second(6);
    fleet.coordinator.signal(Signal::KILL);
    let done = fleet.resume(&["--without-folder"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stderr.contains("what it merged is lost"), "{done}");
    let report = done.json();
    let (_folder, requests) = fleet.end();
    let ended = count(&report, "calls.ok");
    assert!(0 < ended && ended < requests, "{ended} of {requests}");
    assert_eq!(events(&report, "unmerged"), ["agent 0", "agent 1"]);
    let reasons = report["trust"]["reasons"].as_array().unwrap();
    let checks: Vec<&str> = reasons.iter().map(|one| one["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"lost_workers") && !checks.contains(&"ledger"), "{reasons:?}");
    assert_eq!(report["trust"]["verdict"], "no");
}

#[test]
fn second_coordinator_replaces_the_first_which_says_so() {
    let fleet = JournalFleet::start(8);
    fleet.coordinator.hear_second(2);
    let former = fleet.coordinator.path("out").to_str().unwrap().to_owned();
    let second = fleet.resume(&["--from", &former]).start();
    fleet.coordinator.hear("another coordinator has taken over the run");
    let JournalFleet { redis, target, coordinator, agents, folder } = fleet;
    let first = coordinator.wait();
    let first = first.report(1);
    let stopped = first["stopped"].as_str().unwrap();
    assert!(stopped.contains("another coordinator has taken over the run"), "{stopped}");
    assert_eq!(events(&first, "worker_lost"), ["agent 0", "agent 1"]);
    let report = second.wait().report(0);
    for agent in agents {
        let agent = agent.wait();
        assert_eq!(agent.code, Some(0), "{agent}");
    }
    target.end();
    drop(redis);
    let log = fs::read_to_string(folder.path().join("arrivals.csv")).unwrap();
    assert_eq!(count(&report, "calls.made"), log.lines().count() as u64 - 1);
    assert_eq!(count(&report["workloads"][0]["iterations"], "due"), 480);
}

#[test]
fn journals_make_the_report_of_the_coordinator_and_name_what_is_missing() {
    let mut fleet = JournalFleet::start(4);
    let coordinator = std::mem::replace(&mut fleet.coordinator, Manada::new(&["--help"]).start());
    let own = coordinator.wait().report(0);
    let journals = fleet.journals();
    let (_folder, requests) = fleet.end();
    let done = merged(&[&journals]);
    let report = done.report(0);
    assert_same(&report, &own);
    assert_eq!(count(&report, "calls.made"), requests);
    let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
    assert_eq!(again.json(), report);
    // One journal of two.
    let [zero, one] = [0, 1].map(|ordinal| journal_of(&journals, ordinal));
    let without = merged(&[&one]).report(0);
    assert_eq!(events(&without, "worker_lost"), ["agent 0"]);
    assert_eq!(without["generator"]["workers"][0]["lost"], "its journal is missing");
    let other = merged(&[&zero]).report(0);
    let calls = |report: &Value| count(report, "calls.made");
    assert_eq!(calls(&without) + calls(&other), requests);
    // A journal that a kill cut.
    let bytes = fs::read(&zero).unwrap();
    let cut = journals.join("agent-0-1.record");
    fs::write(&cut, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let done = merged(&[&cut, &one]);
    let report = done.report(0);
    assert_eq!(events(&report, "worker_lost"), ["agent 0"]);
    assert!(calls(&without) < calls(&report) && calls(&report) < requests, "{report}");
    let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
    assert_eq!(again.json(), report);
    // Both are in the folder now.
    let twice = merged(&[&journals]);
    assert_eq!(twice.code, Some(3), "{twice}");
    assert!(twice.stderr.contains("both have what agent 0 measured"), "{twice}");
}

#[test]
fn agent_whose_journal_cannot_be_written_goes_on() {
    let target = Builtin::start(&[]);
    let redis = Redis::start();
    let bus = bus(&redis);
    let scenario = format!(
        "\
scenario: s
services: {{ it: \"{}\" }}
workloads:
  api: {{ arrivals: {{ rate: 20/s }}, duration: 1s, flow: [ {{ get: /cart }} ] }}
",
        target.url("")
    );
    let words = ["--agents", "1", "--bus", &bus, "--run", "it", "--shards", "1"];
    let coordinator = Manada::run(&scenario, &words).start();
    let agent = Manada::new(&["agent", "--bus", &bus, "--run", "it", "--journal", "file/x"]);
    let agent = agent.file("file", "").start();
    assert_eq!(count(&coordinator.wait().report(0), "calls.made"), 20);
    let agent = agent.wait();
    assert_eq!(agent.code, Some(0), "{agent}");
    assert!(agent.stderr.contains("cannot write the journal file/x"), "{agent}");
    target.end();
}

#[test]
fn wrong_folders_and_unknown_runs_get_advice() {
    let redis = Redis::start();
    let bus = bus(&redis);
    let coordinate = ["coordinate", "--resume", "it", "--bus", &bus];
    for (words, more, code, text) in [
        (&["merge", "."][..], &[][..], 3, "has no journal of an agent; expected a file such as"),
        (&["merge", "no.record"], &[], 3, "cannot read the journal no.record"),
        (&["merge", "x.record"], &[], 3, "the journal x.record: not a record"),
        (&coordinate, &[], 2, "--from <DIR>"),
        (&coordinate, &["--without-folder"], 1, "the bus has no run `it`"),
    ] {
        let done = Manada::new(words).words(more).file("x.record", "x").go();
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(text), "{done}");
    }
}
