//! What an agent refuses to run: targets that it does not allow, plans that are not signed, limits
//! of its user, and more than its machine has.

use super::lobby::client;
use super::*;
use crate::peer::{Server, Then};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts an agent for a run of this scenario; it refuses the plan and the coordinator names why.
#[track_caller]
fn assert_refused(scenario: &str, agent_of: impl FnOnce(&Redis) -> Manada, code: i32, why: &str) {
    let redis = Redis::start();
    let coordinator = coordinator(&redis, scenario, &[]).start();
    coordinator.hear("waiting for 1 agent");
    let agent = agent_of(&redis).go();
    assert_end(&agent, code, &[why]);
    coordinator.hear(&format!("agent 0 does not run the plan: {why}"));
    dismiss(coordinator);
}

#[test]
fn an_agent_loads_what_it_allows_and_nothing_else() {
    let server = Server::answering(OK, Then::Next);
    let port = server.address().port();
    let at = |host: &str| scenario(&format!("\"http://{host}:{port}\""));
    let socket = scenario("{ url: \"http://x.test\", unix: /run/docker.sock }");
    let proxied =
        scenario(&format!("{{ url: \"http://x.test\", proxy: \"http://127.0.0.1:{port}\" }}"));
    let moved =
        scenario(&format!("{{ url: \"http://x.test\", connect_to: \"127.0.0.1:{port}\" }}"));
    for (scenario, allow, refused) in [
        (at("127.0.0.1"), "10.0.0.0/8", format!("127.0.0.1:{port} is not among the targets")),
        (at("127.0.0.1"), "127.0.0.1:1", format!("127.0.0.1:{port} is not among the targets")),
        (at("localhost"), "other.test", format!("localhost:{port} is not among the targets")),
        (moved, "x.test", format!("127.0.0.1:{port} is not among the targets")),
        // A proxy resolves the name, which no network permits.
        (proxied, "127.0.0.0/8", "x.test:80 is not among the targets".to_owned()),
        (socket, "any", "the socket /run/docker.sock is not among the targets".to_owned()),
        (scenario("builtin"), "10.0.0.1", "127.0.0.1:".to_owned()),
    ] {
        let agent_of = |redis: &Redis| agent(redis, &["--allow", allow]);
        assert_refused(&scenario, agent_of, 3, &format!("service `it`: {refused}"));
    }
    assert_eq!(server.seen().1, 0);
    for (host, allow) in [
        ("127.0.0.1", format!("127.0.0.0/8:{port}")),
        ("localhost", format!("localhost:{port}")),
        ("localhost", "any".to_owned()),
    ] {
        let redis = Redis::start();
        let before = server.seen().1;
        let coordinator = coordinator(&redis, &at(host), &[]).start();
        let agent = agent(&redis, &["--allow", "10.0.0.0/8", "--allow", &allow]).go();
        assert_end(&agent, 0, &[]);
        coordinator.wait().report(0);
        assert_eq!(server.seen().1 - before, 20, "{host} {allow}");
    }
}

#[test]
fn a_name_that_leads_to_an_address_beyond_the_list_is_refused_before_the_load() {
    let server = Server::answering(OK, Then::Next);
    let at = scenario(&format!("\"http://shop.test:{}\"", server.address().port()));
    let redis = Redis::start();
    let coordinator = coordinator(&redis, &at, &[]).start();
    coordinator.hear("waiting for 1 agent");
    let hosts = "127.0.0.1 localhost shop.test\n";
    let agent = agent(&redis, &["--allow", "10.0.0.0/8"]).instead_of("/etc/hosts", hosts).go();
    assert_end(&agent, 3, &["service `it`: shop.test:", "(127.0.0.1) is not among the targets"]);
    coordinator.hear("agent 0 does not run the plan: service `it`: shop.test:");
    dismiss(coordinator);
    assert_eq!(server.seen().1, 0);
}

#[test]
fn limits_of_the_agents_user_hold_beside_those_of_the_coordinator() {
    let server = Server::answering(OK, Then::Next);
    let at = scenario(&format!("\"{}\"", server.url()));
    for (limits, why) in [
        ("hosts: [ 10.0.0.0/8 ]\n", "127.0.0.1 is not among the hosts that"),
        ("max_rate: 5/s\n", "20/s at the peak:"),
        ("deny: { paths: [ /prod* ] }\n", "this request is not sent:"),
        ("deny: { methods: [ GET ] }\n", "this request is not sent:"),
        ("hosts: 7\n", "host"),
    ] {
        let redis = Redis::start();
        let coordinator = coordinator(&redis, &at, &[]).start();
        coordinator.hear("waiting for 1 agent");
        let agent = agent(&redis, &[]).file("own.yaml", limits).env("MANADA_SAFETY", "own.yaml");
        assert_end(&agent.go(), 3, &[why]);
        coordinator.hear("agent 0 does not run the plan: ");
        dismiss(coordinator);
    }
    assert_eq!(server.seen().1, 0);
}

#[test]
fn only_plans_with_the_signature_that_an_agent_demands_are_run() {
    let server = Server::answering(OK, Then::Next);
    let at = scenario(&format!("\"{}\"", server.url()));
    let folder = tempfile::tempdir().unwrap();
    let keys = ["one", "two"].map(|name| {
        let path = folder.path().join(name).display().to_string();
        let made = Manada::new(&["agent", "--new-key", &path]).go();
        assert_end(&made, 0, &[]);
        let trusted = made.stdout.trim().strip_prefix("--trust-key ").unwrap().to_owned();
        (path, trusted)
    });
    let [(one, trusted), (two, other)] = keys;
    assert_refused(
        &at,
        |redis| agent(redis, &["--trust-key", &trusted]),
        3,
        "the plan is not signed",
    );
    let redis = Redis::start();
    let signed = coordinator(&redis, &at, &["--sign-key", &two]).start();
    signed.hear(&format!("the plan is signed: --trust-key {other}"));
    let refused = agent(&redis, &["--trust-key", &trusted]).go();
    assert_end(&refused, 3, &[&format!("the plan is signed with {other}, and")]);
    signed.hear("agent 0 does not run the plan: the plan is signed with");
    let agent_of_both = agent(&redis, &["--trust-key", &trusted, "--trust-key", &other]).go();
    assert_end(&agent_of_both, 0, &[]);
    signed.wait().report(0);
    let before = server.seen().1;
    assert_eq!(before, 20);
    // The setup, or the files of the scenario, are changed on the bus; or it is another run's.
    let redis = Redis::start();
    let signed = coordinator(&redis, &at, &["--sign-key", &one]).start();
    signed.hear("the plan is signed");
    let demanding = |run: &str| agent(&redis, &["--trust-key", &trusted, "--run", run]).go();
    let mut bus = client(&redis, "r1");
    let setup = bus.get("setup").unwrap().unwrap();
    client(&redis, "r2").put("setup", &setup).unwrap();
    let changed = "the plan is not the one that was signed with";
    assert_end(&demanding("r2"), 3, &[changed]);
    let mut other_setup = setup.clone();
    *other_setup.last_mut().unwrap() ^= 1;
    bus.put("setup", &other_setup).unwrap();
    assert_end(&demanding("r1"), 3, &[changed]);
    bus.put("setup", &setup).unwrap();
    let text = String::from_utf8_lossy(&setup).into_owned();
    let name = &text[text.find("blob:").unwrap()..][..69];
    let mut files = bus.get(name).unwrap().unwrap();
    *files.last_mut().unwrap() ^= 1;
    bus.put(name, &files).unwrap();
    let lines = ["the files of the scenario are not those that the coordinator wrote"];
    assert_end(&demanding("r1"), 3, &lines);
    dismiss(signed);
    assert_eq!(server.seen().1, before);
}

#[test]
fn an_agent_checks_what_its_part_needs_of_its_machine() {
    let server = Server::answering(OK, Then::Next);
    let many = format!(
        "seed: 7\nscenario: many\nservices: {{ it: \"{}\" }}\nworkloads:\n  w: {{ users: 1000, \
         iterations: 1000, flow: [ {{ get: / }} ] }}\n",
        server.url()
    );
    let redis = Redis::start();
    let coordinator = coordinator(&redis, &many, &["--agents", "2"]).start();
    coordinator.hear("waiting for 2 agents");
    let line = format!("ulimit -n 300 && exec \"$0\" agent --bus {} --run r1", url(&redis));
    let output = std::process::Command::new("sh")
        .args(["-c", &line, crate::harness::MANADA])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    // Half of the users, and what the program itself needs.
    assert!(said.contains("the plan needs 564 open files, a process can have 300"), "{said}");
    coordinator.hear("agent 0 does not run the plan: the plan needs 564 open files");
    dismiss(coordinator);
    assert_eq!(server.seen().1, 0);
}
