//! Agents that are too many, too few, twice there or of another plan, and signals before the load.

use manada::fleet::protocol::{
    BusReply, BusRequest, Heartbeat, Incarnation, Member, MemberState, Ordinal,
};

use super::*;

#[test]
fn an_id_that_is_taken_is_refused_and_the_first_run_goes_on() {
    let (redis, target) = (Redis::start(), Builtin::start(&[]));
    let scenario = scenario(&format!("\"{}\"", target.url("")));
    let first = coordinator(&redis, &scenario, &[]).start();
    first.hear("waiting for 1 agent");
    let second = coordinator(&redis, &scenario, &[]).go();
    assert_end(&second, 2, &["the bus has a run `r1` already"]);
    let agent = agent(&redis, &[]).go();
    assert_end(&agent, 0, &["the coordinator has everything"]);
    first.wait().report(0);
    target.end();
}

#[test]
fn too_few_agents_end_the_run_and_the_missing_ones_are_named() {
    let redis = Redis::start();
    let scenario = scenario("\"http://127.0.0.1:1\"");
    let words = ["--agents", "2", "--join-timeout", "1s"];
    let done = coordinator(&redis, &scenario, &words).go();
    assert_end(&done, 1, &["0 of 2 agents joined within 1s", "manada agent", "--join-timeout"]);
    // An agent whose run does not come.
    let done = agent(&redis, &["--run", "r2", "--join-timeout", "1s"]).go();
    assert_end(&done, 1, &["the bus has no run `r2` after 1s"]);
}

#[test]
fn an_agent_too_many_ends_at_once() {
    let (redis, target) = (Redis::start(), Builtin::start(&[]));
    let coordinator =
        coordinator(&redis, &scenario(&format!("\"{}\"", target.url(""))), &[]).start();
    coordinator.hear("waiting for 1 agent");
    let beyond = agent(&redis, &["--ordinal", "1"]).go();
    assert_end(&beyond, 2, &["the run has 1 agents, with ordinals from 0 to 0; this one is 1"]);
    assert_end(&agent(&redis, &[]).go(), 0, &[]);
    coordinator.wait().report(0);
    target.end();
}

#[test]
fn of_two_agents_with_one_ordinal_the_newer_one_takes_part() {
    let (redis, target) = (Redis::start(), Builtin::start(&[]));
    let scenario = scenario(&format!("\"{}\"", target.url("")));
    let coordinator = coordinator(&redis, &scenario, &["--agents", "2"]).start();
    coordinator.hear("waiting for 2 agents");
    let older = agent(&redis, &[]).start();
    coordinator.hear("1 of 2 agents joined");
    let newer = agent(&redis, &[]).start();
    assert_end(&older.wait(), 1, &["another process has its ordinal"]);
    let other = agent(&redis, &["--ordinal", "1"]).start();
    let report = coordinator.wait().report(0);
    assert_eq!(crate::harness::count(&report, "iterations.started"), 20, "{report}");
    assert_end(&newer.wait(), 0, &[]);
    assert_end(&other.wait(), 0, &[]);
    target.end();
}

#[test]
fn agents_of_other_plans_variables_and_builds_are_refused_and_named() {
    let redis = Redis::start();
    let flow = scenario("\"http://127.0.0.1:1\"")
        .replace("/products", "\"/{{ env('PLACE') }}{{ env('ZONE', '') }}\"");
    let coordinator = coordinator(&redis, &flow, &[]).env("PLACE", "a").start();
    coordinator.hear("waiting for 1 agent");
    let without = agent(&redis, &[]).go();
    assert_end(&without, 3, &["variables that this machine does not have: PLACE"]);
    coordinator.hear("agent 0 does not run the plan: the scenario reads environment variables");
    let differs = agent(&redis, &[]).env("PLACE", "b-42").env("ZONE", "z").go();
    let parts = ["other values here than at the coordinator: PLACE, ZONE; ", "--env-may-differ"];
    assert_end(&differs, 3, &parts);
    coordinator.hear("agent 0 does not run the plan: environment variables have other values");
    // As an agent that compiled another plan.
    let member = Member { ordinal: Ordinal(0), incarnation: Incarnation(u64::MAX / 2) };
    let mut other = client(&redis, "r1");
    let BusReply::Looked { top, .. } = other.carry_out(&BusRequest::Look { ordinal: Ordinal(0) })
    else {
        panic!("{:?}", other.last_error())
    };
    let heartbeat =
        Heartbeat { member, plan: 9, beat: 1, state: MemberState::Joined, ..*top.clone().unwrap() };
    let after = top.map(|top| top.id());
    let joined = other.carry_out(&BusRequest::Join { after, heartbeat });
    assert!(matches!(joined, BusReply::Beat { .. }), "{joined:?}");
    coordinator.hear("agent 0 is refused: it compiled another plan");
    dismiss(coordinator);
    // Another build wrote the setup.
    client(&redis, "r2").put("setup", b"manada setup 9.9.9 shapes 00000000\n").unwrap();
    let done = agent(&redis, &["--run", "r2"]).go();
    assert_end(&done, 3, &["another build of manada", "9.9.9", "use one build"]);
    client(&redis, "r3").put("setup", b"x").unwrap();
    assert_end(&agent(&redis, &["--run", "r3"]).go(), 3, &["another build of manada"]);
}

#[test]
fn variables_that_may_differ_and_secrets_are_those_of_each_agent() {
    let (redis, target) = (Redis::start(), Builtin::start(&[]));
    let path = "\"/{{ env('PLACE') }}?token={{ secret('TOKEN') }}\"";
    let flow = scenario(&format!("\"{}\"", target.url(""))).replace("/products", path);
    let unread = coordinator(&redis, &flow, &["--env-may-differ", "TOKEN"]);
    let unread = unread.env("PLACE", "products").env("TOKEN", "of-coordinator").go();
    assert_end(&unread, 2, &["--env-may-differ TOKEN: the scenario does not read"]);
    let words = ["--agents", "2", "--env-may-differ", "PLACE"];
    let coordinator = coordinator(&redis, &flow, &words).env("PLACE", "products");
    let coordinator = coordinator.env("TOKEN", "of-coordinator").start();
    coordinator.hear("waiting for 2 agents");
    let agents = [("0", "products"), ("1", "search")].map(|(ordinal, place)| {
        let agent = agent(&redis, &["--ordinal", ordinal]).env("PLACE", place);
        agent.env("TOKEN", format!("of-agent-{ordinal}")).start()
    });
    coordinator.wait().report(0);
    for agent in agents {
        assert_end(&agent.wait(), 0, &[]);
    }
    assert_eq!(["/products", "/search"].map(|route| target.count(route)), [10, 10]);
    target.end();
}

/// A client of a run on the bus, as an attacker may have one.
pub(super) fn client(redis: &Redis, run: &str) -> BusClient<ShardDeltas> {
    let address = BusAddress::parse(&url(redis), &BusOptions::default()).unwrap();
    let limits = BusLimits { max_frame: 0, request_timeout: Duration::from_secs(30) };
    BusClient::open(&address, run, limits).unwrap()
}

#[test]
fn agents_end_with_a_coordinator_that_is_stopped_in_the_lobby() {
    let redis = Redis::start();
    let scenario = scenario("\"http://127.0.0.1:1\"");
    let coordinator = coordinator(&redis, &scenario, &["--agents", "2"]).start();
    coordinator.hear("waiting for 2 agents");
    let one = agent(&redis, &[]).start();
    coordinator.hear("1 of 2 agents joined");
    dismiss(coordinator);
    assert_end(&one.wait(), 1, &["the run ended before its load started"]);
}

#[test]
fn an_agent_that_is_stopped_in_the_lobby_ends_and_another_takes_its_place() {
    let (redis, target) = (Redis::start(), Builtin::start(&[]));
    let scenario = scenario(&format!("\"{}\"", target.url("")));
    // Before there is a run.
    let waiting = agent(&redis, &["--run", "r9"]).start();
    waiting.hear("waiting for the run `r9`");
    waiting.signal(Signal::INT);
    assert_end(&waiting.wait(), 130, &["stopped by SIGINT"]);
    let coordinator = coordinator(&redis, &scenario, &["--agents", "2"]).start();
    coordinator.hear("waiting for 2 agents");
    let left = agent(&redis, &[]).start();
    coordinator.hear("1 of 2 agents joined");
    left.signal(Signal::TERM);
    assert_end(&left.wait(), 0, &["leaving the run"]);
    let agents = ["0", "1"].map(|ordinal| agent(&redis, &["--ordinal", ordinal]).start());
    coordinator.wait().report(0);
    for agent in agents {
        assert_end(&agent.wait(), 0, &[]);
    }
    target.end();
}

#[test]
fn a_lost_agent_ends_the_run_if_it_is_to() {
    let (redis, target) = (Redis::start(), Builtin::start(&[]));
    let scenario =
        scenario(&format!("\"{}\"", target.url(""))).replace("duration: 1s", "duration: 20s");
    let coordinator =
        coordinator(&redis, &scenario, &["--agents", "2", "--on-loss", "abort"]).start();
    coordinator.hear("waiting for 2 agents");
    let lost = agent(&redis, &[]).start();
    let other = agent(&redis, &["--ordinal", "1"]).start();
    coordinator.hear("| w: ");
    lost.signal(Signal::KILL);
    let report = coordinator.wait().report(1);
    assert!(
        report["stopped"].as_str().unwrap().contains("no heartbeat of agent 0"),
        "{}",
        report["stopped"]
    );
    let other = other.wait();
    assert_eq!(other.code, Some(0), "{other}");
    target.end();
}
