//! Runs on agents over a real Redis: what arrives at the target is what one process sends, whatever
//! becomes of agents and of the bus.

mod faults; // a bus that refuses, and damaged values on it

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use manada::clock;
use rustix::process::Signal;
use serde_json::Value;

use crate::arrival_log::{arrivals, rows};
use crate::builtin::Builtin;
use crate::harness::{LIMIT, Manada, Running, count};
use crate::instances::{Redis, wait_until};

/// A target that logs what arrives, a bus, a coordinator and its agents.
struct Fleet {
    redis: Redis,
    target: Builtin,
    coordinator: Running,
    agents: Vec<Running>,
    log: PathBuf,
    folder: tempfile::TempDir,
}

/// What is left of a fleet: the report, what the agents printed, and how often each arrival came.
struct FleetResult {
    report: Value,
    agents: Vec<(Option<i32>, String)>,
    arrivals: BTreeMap<u64, u64>,
    /// All requests that the target logged.
    requests: u64,
}

/// An open load whose arrivals carry their numbers, and a closed one.
fn scenario(target: &Builtin, seconds: u64) -> String {
    format!(
        "\
scenario: fleet
seed: 7
services: {{ it: \"{}\" }}
grace: 2s
archetypes: {{ reader: {{ think: 50ms, flow: [ {{ get: /products, name: page }} ] }} }}
workloads:
  api:
    arrivals: {{ process: poisson, rate: 120/s, max_users: 600 }}
    duration: {seconds}s
    flow:
      - post: \"/cart?q={{{{ int(1, 1000000) }}}}\"
        name: home
        headers: {{ manada-intended: \"{{{{ user.number }}}} 0\" }}
  people: {{ users: 10, duration: {seconds}s, archetypes: {{ reader: 1 }} }}
",
        target.url("")
    )
}

impl Fleet {
    /// Starts a run of `seconds` on so many agents; its load has begun.
    fn start(agents: u16, seconds: u64, words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("arrivals.csv");
        let target = Builtin::start(&["--log", log.to_str().unwrap()]);
        let redis = Redis::start();
        let bus = format!("redis://{}", redis.address);
        let number = agents.to_string();
        let coordinator = Manada::telling(
            &scenario(&target, seconds),
            &["--agents", &number, "--bus", &bus, "--run", "it", "--shards", "1"],
        );
        let coordinator = coordinator.words(words).start();
        coordinator.hear("waiting for");
        let agents: Vec<Running> = (0..agents).map(|ordinal| agent(&bus, ordinal)).collect();
        coordinator.hear("| api: ");
        Self { redis, target, coordinator, agents, log, folder }
    }

    /// Waits for all processes; the coordinator ends with `code`.
    fn wait(self, code: i32) -> FleetResult {
        let done = self.coordinator.wait();
        let report = done.report(code);
        let agents = self.agents.into_iter().map(|agent| {
            let agent = agent.wait();
            (agent.code, agent.to_string())
        });
        let agents = agents.collect();
        self.target.end();
        let (arrivals, requests) = arrivals(&self.log);
        // The record gives the same report.
        let again = Manada::new(&["report", done.path("out").to_str().unwrap(), "--json"]).go();
        assert_eq!(again.json(), report);
        FleetResult { report, agents, arrivals, requests }
    }
}

fn agent(bus: &str, ordinal: u16) -> Running {
    let ordinal = ordinal.to_string();
    Manada::new(&["agent", "--bus", bus, "--run", "it", "--ordinal", &ordinal]).start()
}

#[test]
fn coordinator_and_agents_work_in_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let target = Builtin::start(&[]);
    let redis = Redis::start();
    let bus = format!("redis://{}", redis.address);
    let words = ["--agents", "1", "--bus", &bus, "--run", "it", "--sandbox"];
    let coordinator = Manada::telling(&scenario(&target, 2), &words).start();
    coordinator.hear("waiting for");
    let journal = folder.path().join("journal");
    let words = ["agent", "--bus", &bus, "--run", "it", "--sandbox", "--journal"];
    let agent = Manada::new(&words).words(&[journal.to_str().unwrap()]);
    let agent = agent.words(&["--allow", target.address()]).start();
    let (done, agent) = (coordinator.wait(), agent.wait());
    let report = done.report(0);
    assert!(count(&report, "calls.ok") > 20, "{done}");
    assert_eq!(count(&report, "calls.generator_errors"), 0, "{done}");
    let ports = report["generator"]["sandbox"]["connect_ports"].as_array().unwrap();
    assert_eq!(ports.len(), 3, "DNS, bus and target: {ports:?}");
    assert_eq!(agent.code, Some(0), "{agent}");
    assert!(agent.stderr.contains("agent 0 of it: sandbox: files, TCP ports 53 "), "{agent}");
    assert!(std::fs::read_dir(&journal).unwrap().next().is_some(), "{agent}");
}

fn api(report: &Value) -> &Value {
    let all = report["workloads"].as_array().unwrap();
    &all.iter().find(|workload| workload["name"] == "api").unwrap()["iterations"]
}

impl FleetResult {
    /// What holds whatever happens: no arrival comes twice, each is accounted for, and the report
    /// has what arrived, except what lost agents had not reported.
    fn check(&self) {
        let api = api(&self.report);
        let twice: Vec<_> = self.arrivals.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "sent twice: {twice:?}");
        let of = |name| count(api, name);
        let accounted =
            of("started") + of("dropped") + of("suppressed") + of("not_reached") + of("unserved");
        assert_eq!(of("due"), accounted, "{api}");
        let (arrived, started) = (self.arrivals.len() as u64, of("started"));
        assert!(started <= arrived && arrived <= started + of("unserved"), "{arrived}: {api}");
        let reasons = self.report["trust"]["reasons"].as_array().unwrap();
        let is_broken = |reason: &&Value| reason["check"] == "ledger";
        assert!(!reasons.iter().any(|reason| is_broken(&reason)), "{reasons:?}");
    }

    /// The report has each request that arrived.
    fn check_exact(&self) {
        self.check();
        assert_eq!(count(&self.report, "attempts.sent"), self.requests, "{}", self.report);
        let agents = self.report["generator"]["workers"].as_array().unwrap();
        let exact = agents.iter().all(|agent| agent["agent"]["sums_agree"] == true);
        assert!(exact, "{agents:?}");
        for (code, printed) in &self.agents {
            assert_eq!(*code, Some(0), "{printed}");
        }
    }

    fn has_reason(&self, check: &str) -> bool {
        let reasons = self.report["trust"]["reasons"].as_array().unwrap();
        reasons.iter().any(|reason| reason["check"] == check)
    }
}

/// The rows of the target's log that make an arrival: number and hash of the request.
fn traffic(log: &std::path::Path) -> Vec<[String; 2]> {
    let mut all = rows(log, ["index", "request"]);
    all.retain(|[index, _]| !index.is_empty());
    all.sort_unstable();
    all
}

/// Asserts that each agent has told its first start, and that the skew is that of their lags.
fn assert_first_starts(report: &Value, seconds: f64) {
    let workers = report["generator"]["workers"].as_array().unwrap();
    let of = |name: &str| -> Vec<f64> {
        workers.iter().map(|one| one["agent"][name].as_f64().unwrap()).collect()
    };
    assert!(of("first_start_s").iter().all(|at| (0.0..seconds).contains(at)), "{workers:?}");
    let lags = of("first_start_lag_us");
    let most = lags.iter().fold(0.0f64, |most, lag| most.max(*lag));
    let least = lags.iter().fold(f64::MAX, |least, lag| least.min(*lag));
    let skew = &report["generator"]["start_skew_us"];
    assert!((skew["by_lag"].as_f64().unwrap() - (most - least)).abs() < 0.01, "{workers:?}");
    let clock = of("clock_error_us").iter().fold(0.0f64, |most, error| most.max(*error));
    assert!((skew["by_clocks_max"].as_f64().unwrap() - 2.0 * clock).abs() < 0.01, "{skew}");
}

#[test]
fn agents_send_what_one_process_sends() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("arrivals.csv");
    let target = Builtin::start(&["--log", log.to_str().unwrap()]);
    let alone = Manada::telling(&scenario(&target, 3), &["--shards", "1"]).go().report(0);
    target.end();
    let alone_sent = traffic(&log);
    assert!(alone_sent.len() > 200, "{}", alone_sent.len());
    for agents in [1, 3] {
        let fleet = Fleet::start(agents, 3, &[]);
        let Fleet { coordinator, agents: running, target, log, folder, .. } = fleet;
        let report = coordinator.wait().report(0);
        running.into_iter().for_each(|agent| assert_eq!(agent.wait().code, Some(0)));
        target.end();
        assert_eq!(traffic(&log), alone_sent, "{agents} agents");
        drop(folder);
        for name in ["due", "started", "completed", "unserved"] {
            assert_eq!(api(&report)[name], api(&alone)[name], "{agents} agents: {name}");
        }
        assert_eq!(count(&report, "generator.processes"), u64::from(agents));
        assert_first_starts(&report, 3.0);
    }
}

#[test]
fn others_serve_the_load_of_a_killed_agent() {
    let mut fleet = Fleet::start(3, 9, &[]);
    fleet.agents[1].signal(Signal::KILL);
    fleet.coordinator.hear("agent 1: its load is served by 2 other shards from");
    let killed = fleet.agents.remove(1);
    let result = fleet.wait(0);
    assert_eq!(killed.wait().code, None);
    result.check();
    assert!(result.has_reason("lost_workers"), "{}", result.report["trust"]);
    assert_eq!(result.report["trust"]["verdict"], "no");
    let agents = result.report["generator"]["workers"].as_array().unwrap();
    let lost: Vec<bool> = agents.iter().map(|one| one["lost"].is_string()).collect();
    assert_eq!(lost, [false, true, false], "{agents:?}");
    let slots: Vec<u64> = agents.iter().map(|one| count(one, "agent.slots")).collect();
    assert_eq!((slots[1], slots.iter().sum::<u64>()), (0, 4_096));
    // Until it is noticed, about six seconds of its third are not served.
    assert!(count(api(&result.report), "unserved") > 100, "{}", result.report);
}

#[test]
fn a_replacement_that_comes_after_the_start_is_refused_and_others_serve_the_load() {
    let mut fleet = Fleet::start(3, 9, &[]);
    fleet.agents[1].signal(Signal::KILL);
    let killed = fleet.agents.remove(1);
    let bus = format!("redis://{}", fleet.redis.address);
    let again = agent(&bus, 1).wait();
    assert_eq!(again.code, Some(3), "{again}");
    assert!(again.stderr.contains("the load was divided before this agent joined"), "{again}");
    fleet.coordinator.hear("agent 1 was started again after the load had been divided");
    fleet.coordinator.hear("agent 1: its load is served by 2 other shards from");
    let result = fleet.wait(0);
    assert_eq!(killed.wait().code, None);
    result.check();
    let agents = result.report["generator"]["workers"].as_array().unwrap();
    let lost: Vec<bool> = agents.iter().map(|one| one["lost"].is_string()).collect();
    assert_eq!(lost, [false, true, false], "{agents:?}");
}

#[test]
fn an_agent_that_was_stopped_sends_nothing_of_what_others_have() {
    let fleet = Fleet::start(3, 13, &[]);
    fleet.agents[2].signal(Signal::STOP);
    fleet.coordinator.hear("agent 2: its load is served by 2 other shards from");
    // It comes back after others have its slots.
    let moved = clock::now();
    wait_until("the slots have moved", || clock::now() - moved > Duration::from_secs(2));
    fleet.agents[2].signal(Signal::CONT);
    fleet.coordinator.hear("agent 2: had no lease since");
    let result = fleet.wait(0);
    result.check_exact();
    assert!(result.has_reason("lost_lease"), "{}", result.report["trust"]);
    let agents = result.report["generator"]["workers"].as_array().unwrap();
    assert_eq!(count(&agents[2], "agent.slots"), 0, "{agents:?}");
}

#[test]
fn a_bus_that_forgets_costs_nothing() {
    let mut fleet = Fleet::start(2, 8, &[]);
    let mut command = std::process::Command::new("redis-cli");
    let port = fleet.redis.address.port().to_string();
    let flushed = command.args(["-p", &port, "flushall"]).status().unwrap();
    assert!(flushed.success());
    fleet.coordinator.hear_more();
    fleet.redis.restart();
    let result = fleet.wait(0);
    result.check_exact();
    assert_eq!(count(api(&result.report), "unserved"), 0, "{}", result.report);
}

#[test]
fn an_agent_leaves_and_others_take_its_load() {
    let fleet = Fleet::start(2, 9, &[]);
    fleet.agents[0].signal(Signal::TERM);
    fleet.agents[0].hear("leaving the run");
    fleet.coordinator.hear("agent 0: its load is served by 1 other shard from");
    let result = fleet.wait(0);
    result.check_exact();
    // What became due between its end and the change of slots.
    let unserved = count(api(&result.report), "unserved");
    assert!(unserved < 400, "{unserved}: {}", result.report);
}

#[test]
fn a_signal_to_the_coordinator_drains_all_agents() {
    let fleet = Fleet::start(2, 60, &[]);
    fleet.coordinator.signal(Signal::INT);
    let begun = clock::now();
    let result = fleet.wait(130);
    assert!(clock::now() - begun < LIMIT);
    result.check_exact();
    assert!(count(api(&result.report), "not_reached") > 1_000, "{}", result.report);
}

#[test]
fn a_lost_agent_may_stop_the_run() {
    let mut fleet = Fleet::start(2, 60, &["--on-loss", "abort"]);
    fleet.agents[0].signal(Signal::KILL);
    let killed = fleet.agents.remove(0);
    let result = fleet.wait(1);
    assert_eq!(killed.wait().code, None);
    result.check();
    let stopped = result.report["stopped"].as_str().unwrap();
    assert!(stopped.contains("no heartbeat of agent 0 comes through the bus"), "{stopped}");
}

#[test]
fn live_control_changes_the_load_of_all_agents() {
    let fleet = Fleet::start(2, 10, &[]);
    let control = Manada::new(&["control", "-", "pause", "api"]);
    let paused = control.env("XDG_RUNTIME_DIR", fleet.coordinator.path("")).go();
    assert_eq!(paused.code, Some(0), "{paused}");
    fleet.coordinator.hear("paused");
    let result = fleet.wait(0);
    result.check_exact();
    let due = count(api(&result.report), "due");
    assert!(due < 1_000, "the load was paused: {due}");
}
