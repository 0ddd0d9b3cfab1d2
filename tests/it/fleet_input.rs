//! Fleets that are set up wrongly, and plans that an agent must not run: what each process says,
//! and its exit code.

use std::time::Duration;

use manada::fleet::bus::{BusAddress, BusClient, BusLimits, BusOptions};
use manada::fleet::payload::ShardDeltas;
use rustix::process::Signal;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, Running};
use crate::instances::Redis;

mod encrypted; // certificates that do not fit
mod limits; // targets, signatures, and what a machine has
mod lobby; // agents too many, too few, of other plans; signals

fn url(redis: &Redis) -> String {
    format!("redis://{}", redis.address)
}

/// A scenario of a second at this target.
fn scenario(target: &str) -> String {
    format!(
        "seed: 7\nscenario: fleet\nservices: {{ it: {target} }}\nworkloads:\n  w: {{ arrivals: \
         {{ rate: 20/s }}, duration: 1s, flow: [ {{ get: /products }} ] }}\n"
    )
}

/// A coordinator of one agent.
fn coordinator(redis: &Redis, scenario: &str, words: &[&str]) -> Manada {
    let first = ["--agents", "1", "--run", "r1", "--bus", &url(redis), "--join-timeout", "20s"];
    Manada::telling(scenario, &first).words(words)
}

fn agent(redis: &Redis, words: &[&str]) -> Manada {
    Manada::new(&["agent", "--bus", &url(redis), "--run", "r1"]).words(words)
}

/// Asserts how a program ended, and that it said all of this.
#[track_caller]
fn assert_end(done: &Done, code: i32, parts: &[&str]) {
    assert_eq!(done.code, Some(code), "{done}");
    for part in parts {
        assert!(done.stderr.contains(part), "without {part:?}: {done}");
    }
}

/// Ends a coordinator in its lobby.
#[track_caller]
fn dismiss(coordinator: Running) -> Done {
    coordinator.signal(Signal::TERM);
    let done = coordinator.wait();
    assert_end(&done, 143, &["stopped by SIGTERM before the load started"]);
    done
}

/// Runs both roles against a bus that cannot be used.
#[track_caller]
fn assert_unusable(bus: &[&str], environment: &[(&str, &str)], code: i32, parts: &[&str]) {
    let run = ["--agents", "1", "--run", "r1", "--join-timeout", "1s"];
    let run = Manada::run(&scenario("\"http://127.0.0.1:1\""), &run);
    let agent = ["agent", "--run", "r1", "--join-timeout", "1s", "--allow", "127.0.0.1"];
    for mut program in [run, Manada::new(&agent)] {
        for (name, value) in environment {
            program = program.env(name, *value);
        }
        let done = program.words(bus).go();
        assert_end(&done, code, parts);
        assert!(!done.to_string().contains("hunter2"), "{done}");
    }
}

#[test]
fn a_bus_that_cannot_be_used_is_named_with_the_cure() {
    let redis = Redis::with(&["--requirepass", "correct-horse"]);
    let address = redis.address.to_string();
    let plain = format!("redis://{address}");
    let wrong = format!("redis://:hunter2@{address}");
    let nobody = format!("redis://nobody:hunter2@{address}");
    let operator = format!("redis://:correct-horse@{address}");
    let mut operator = redis::Client::open(operator).unwrap().get_connection().unwrap();
    let mut set = redis::cmd("ACL");
    set.arg(&["SETUSER", "nobody", "on", ">hunter2", "+ping", "+select"]);
    set.query::<()>(&mut operator).unwrap();
    let refused = ["refused the user or the password", "MANADA_BUS_PASSWORD"];
    assert_unusable(&["--bus", &plain], &[], 1, &refused);
    assert_unusable(&["--bus", &wrong], &[], 1, &refused);
    let password = [("MANADA_BUS_PASSWORD", "hunter2")];
    assert_unusable(&["--bus", &plain], &password, 1, &refused);
    assert_unusable(&["--bus", &nobody], &[], 1, &["does not permit this user", "--acl"]);
    let encrypted = format!("rediss://{address}");
    assert_unusable(&["--bus", &encrypted], &[], 1, &["the bus at rediss://127.0.0.1"]);
    drop(redis);
    assert_unusable(&["--bus", &plain], &[], 1, &["cannot be reached", "whether it runs"]);
}

#[test]
fn wrong_command_lines_of_a_fleet_are_refused() {
    for (bus, part) in [
        (&["--bus", "redis://10.0.0.7"][..], "--insecure-bus"),
        (&["--bus", "http://10.0.0.7"], "expected rediss://"),
        (&["--bus", "rediss://h", "--bus-ca", "/none"], "/none"),
        (&["--bus", "rediss://h", "--bus-cert", "/none"], "--bus-key"),
        (&[], "MANADA_BUS"),
        (&["--bus", "redis://127.0.0.1:1", "--run", "a b"], "is not the id of a run"),
    ] {
        assert_unusable(bus, &[], 2, &[part]);
    }
    let scenario = scenario("\"http://127.0.0.1:1\"");
    let bus = ["--bus", "redis://127.0.0.1:1"];
    for (words, part) in [
        (&["--agents", "0"][..], "0 is not in 1..=1024"),
        (&["--agents", "1025"], "1025 is not in 1..=1024"),
        (&["--agents", "2", "--processes", "2"], "--processes"),
        (&["--run", "r1"], "--agents"),
        (&["--agents", "1", "--sign-key", "/none"], "cannot read the key /none"),
        (&["--agents", "1", "--set", "vars.password=hunter2"], "`--set` contains a credential"),
    ] {
        let done = Manada::run(&scenario, words).words(&bus).go();
        assert_end(&done, 2, &[part]);
        assert!(!done.to_string().contains("hunter2"), "{done}");
    }
    for (words, part) in [
        (&["--allow", "http://x"][..], "expected HOST[:PORT]"),
        (&["--trust-key", "AAAA"], "expected ed25519:"),
        (&["--acl=root"], "invalid value 'root'"),
        (&["--ordinal", "65536"], "65536 is not in 0..=65535"),
    ] {
        assert_end(&Manada::new(&["agent", "--run", "r1"]).words(words).go(), 2, &[part]);
    }
    // From another machine any plan may come.
    let done = Manada::new(&["agent", "--run", "r1", "--bus", "rediss://10.0.0.7"]).go();
    assert_end(&done, 2, &["--allow HOST:PORT", "--allow any"]);
}

#[test]
fn a_scenario_of_one_process_is_refused() {
    let meeting = "seed: 1\nservices: { it: \"http://127.0.0.1:1\" }\nworkloads:\n  w: { users: 2, \
                   iterations: 2, flow: [ { rendezvous: { users: 2, wait: 1s } }, { get: / } ] }\n";
    let words = ["--agents", "2", "--bus", "redis://127.0.0.1:1"];
    let done = Manada::run(meeting, &words).go();
    assert_end(&done, 2, &["runs in one process only", "`--agents`"]);
}
