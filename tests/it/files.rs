//! Tests of the files that a scenario may read.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::peer::{Server, Then};

/// Prepares a run of `sub/s.yaml`, whose rows are in this file.
fn rows(name: &str) -> (Server, Manada) {
    let server = Server::answering(&b"HTTP/1.1 204 No\r\n\r\n"[..], Then::Next);
    let scenario = format!(
        "services: {{ it: \"{}\" }}\nworkloads:\n  w:\n    users: 1\n    iterations: 1\n    \
         data: {{ row: {{ csv: {name} }} }}\n    flow: [ {{ get: \"/{{{{ row.a }}}}\" }} ]\n",
        server.url()
    );
    let words = ["run", "sub/s.yaml", "--ui", "none", "--out", "out", "--shards", "1"];
    let manada = Manada::new(&words).file("sub/s.yaml", &scenario).file("sub/own.csv", "a\n1\n");
    (server, manada.file("data/rows.csv", "a\n1\n"))
}

fn refused(done: &Done, says: &str) {
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains(says), "{done}");
}

#[test]
fn scenario_reads_its_folder_and_allowed_folders() {
    let outside = "is outside the folders that a scenario may read";
    let (_server, manada) = rows("own.csv");
    assert_eq!(manada.go().code, Some(0));
    refused(&rows("../data/rows.csv").1.go(), outside);
    for folder in ["data", "data/../data/", "."] {
        let (_server, manada) = rows("../data/rows.csv");
        let done = manada.words(&["--allow-files", folder]).go();
        assert_eq!(done.code, Some(0), "{folder}: {done}");
    }
    // The user's own file names it relative to itself.
    let own = "files: [ ../../data ]";
    let (_server, manada) = rows("../data/rows.csv");
    let done = manada.file(".config/manada/safety.yaml", own).go();
    assert_eq!(done.code, Some(0), "{done}");
    // A link is checked by its target.
    for (target, code) in [("../data/rows.csv", 3), ("own.csv", 0)] {
        let (_server, manada) = rows("link.csv");
        symlink(target, manada.path("sub/link.csv")).unwrap();
        assert_eq!(manada.go().code, Some(code), "{target}");
    }
    // So is an archetype, which messages would quote.
    let scenario = "services: { it: builtin }\n\
                    workloads: { w: { users: 1, archetypes: { away: 1 } } }\n";
    let manada = Manada::new(&["check", "sub/s.yaml"]).file("sub/s.yaml", scenario);
    let manada = manada.file("data/away.yaml", "archetype: away\nflow: [ { get: / } ]\n");
    symlink("../data/away.yaml", manada.path("sub/away.yaml")).unwrap();
    refused(&manada.go(), outside);
    // So is the file of a latency in the compact form, which begins at the working directory.
    let scenario = "services: { it: { builtin: { latency: 'empirical:data/times.csv,took' } } }\n\
                    workloads: { w: { users: 1, flow: [ { get: / } ] } }\n";
    let manada = || {
        let manada = Manada::new(&["check", "sub/s.yaml"]).file("sub/s.yaml", scenario);
        manada.file("data/times.csv", "took\n5ms\n")
    };
    refused(&manada().go(), outside);
    let done = manada().words(&["--allow-files", "data"]).go();
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn scenario_reads_only_regular_files() {
    let (_server, manada) = rows("pipe");
    assert!(Command::new("mkfifo").arg(manada.path("sub/pipe")).status().unwrap().success());
    refused(&manada.go(), "is not a regular file");
    for path in ["/dev/zero", "/proc/self/maps", "/sys/kernel/uevent_seqnum"] {
        refused(&rows(path).1.words(&["--allow-files", "/"]).go(), "is not a regular file");
    }
}

#[test]
fn included_steps_and_archetypes_run() {
    let target = Builtin::start(&[]);
    let scenario = format!(
        "services: {{ shop: \"{}\" }}\ninclude: lib/users.yaml\nworkloads:\n  \
         w: {{ archetypes: {{ reader: 1 }}, users: 1, iterations: 3 }}\n  \
         x: {{ users: 1, iterations: 2, flow: [ {{ include: lib/login.yaml }}, {{ get: / }} ] }}\n",
        target.url("")
    );
    let done = Manada::run(&scenario, &["--shards", "1"])
        .file(
            "lib/users.yaml",
            "archetypes:\n  reader:\n    on_start: [ { include: login.yaml } ]\n    \
             flow: [ { if: \"{{ user_name == 'ada' }}\", do: [ { include: deep/read.yaml } ] } ]\n",
        )
        .file(
            "lib/login.yaml",
            "- post: /login\n  json: { user: ada }\n  \
             capture: { user_name: { json: $.user } }\n",
        )
        .file("lib/deep/read.yaml", "- get: /products?page=1\n- include: ../page.yaml\n")
        .file("lib/page.yaml", "- get: /products/7\n")
        .go();
    let report = done.measured();
    let steps = report["steps"].as_array().unwrap();
    let made: Vec<(&str, u64)> = steps
        .iter()
        .map(|step| (step["name"].as_str().unwrap(), count(step, "calls.ok")))
        .collect();
    let expect = [
        ("POST /login", 1),
        ("GET /products", 3),
        ("GET /products/7", 3),
        ("POST /login", 2),
        ("GET /", 2),
    ];
    assert_eq!(made, expect, "{report}");
}
