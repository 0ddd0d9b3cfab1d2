//! Tests of the command line: what is refused, with which exit code, and where output goes.

use std::fs::File;
use std::process::Command;

use crate::harness::{Done, MANADA, Manada, count};
use crate::peer::{Server, Then};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A scenario of ten calls.
fn scenario(server: &Server) -> String {
    let url = format!("http://{}", server.address());
    format!(
        "scenario: ten\nservices: {{ it: \"{url}\" }}\nworkloads:\n  w:\n    users: 2\n    \
         iterations: 10\n    flow: [ {{ get: / }} ]\n"
    )
}

#[test]
fn invalid_arguments_have_exit_codes() {
    let server = Server::answering(OK, Then::Next);
    let url = server.url();
    let url = url.as_str();
    let rows: [(i32, &[&str], &str); 34] = [
        (2, &[], "Usage"),
        (2, &["runn", "x.yaml"], "run"),
        (2, &["run"], "SCENARIO"),
        (2, &["hit"], "URL"),
        (2, &["hit", "ftp://127.0.0.1/"], "URL"),
        (2, &["hit", "http://"], "URL"),
        (2, &["hit", url, "-c", "0"], "above zero"),
        (2, &["hit", url, "-c", "20000000"], "10000000"),
        (2, &["hit", url, "-n", "many"], "whole number"),
        (2, &["hit", url, "-d", "0s"], "above zero"),
        (2, &["hit", url, "-d", "soon"], "duration"),
        (2, &["hit", url, "-r", "fast"], "rate"),
        (2, &["hit", url, "-H", "no-colon"], "NAME: VALUE"),
        (2, &["hit", url, "-H", "a b: c"], "header"),
        (2, &["hit", url, "-m", "GE T"], "method"),
        (2, &["hit", url, "--seed", "9007199254740992"], "below"),
        (2, &["hit", url, "--threshold", "response.p95 > fast"], "not a valid limit"),
        (2, &["hit", url, "--ui", "fancy"], "plain"),
        (2, &["hit", url, "--shards", "0"], "shards"),
        (2, &["hit", url, "--warmup", "10s"], "warm-up"),
        (2, &["run", "good.yaml", "--users", "0"], "above zero"),
        (2, &["run", "good.yaml", "--users", "nobody=5"], "unknown workload"),
        (2, &["run", "good.yaml", "--threshold", "nonsense"], "nonsense"),
        (2, &["hit", url, "--json", "--report", "junit:-"], "both write to standard output"),
        (
            2,
            &["hit", url, "--report", "csv:-", "--report", "json:-"],
            "both write to standard output",
        ),
        (2, &["hit", url, "--report", "x.md", "--report", "x.md"], "two --report have the same"),
        (3, &["hit", "--urls", "/nowhere/u"], "cannot read URLs from /nowhere/u"),
        (3, &["run", "bad.yaml", "--threshold", "errors < 1%"], "did you mean"),
        (3, &["hit", url, "-b", "@none.bin"], "none.bin"),
        (3, &["run", "none.yaml"], "file not found"),
        (3, &["run", "bad.yaml"], "did you mean"),
        (3, &["check", "none.yaml"], "file not found"),
        (3, &["check", "bad.yaml"], "did you mean"),
        (2, &["completions", "cmd.exe"], "bash"),
    ];
    let mut wrong = Vec::new();
    for (code, words, part) in rows {
        let bad = scenario(&server).replace("iterations", "iteratoins");
        let program = Manada::new(words);
        let done = program.file("good.yaml", scenario(&server)).file("bad.yaml", bad).go();
        let quiet = done.stdout.is_empty() && !done.stderr.contains("panicked");
        if done.code != Some(code) || !done.stderr.contains(part) || !quiet {
            wrong.push(format!("{words:?} should be {code} with {part:?}: {done}"));
        }
        assert!(!done.path("reports").exists(), "{words:?} left a folder");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(server.seen(), (0, 0), "nothing of that may make load");
}

#[test]
fn help_is_data_and_has_an_example() {
    for command in ["run", "hit", "check", "target", "completions"] {
        let done = Manada::new(&[command, "--help"]).go();
        assert_eq!(done.code, Some(0), "{done}");
        assert!(done.stdout.contains("Example") && done.stderr.is_empty(), "{done}");
        assert!(!done.stdout.contains('\x1b'), "{done}");
    }
    for words in [&["--help"][..], &["--version"]] {
        let done = Manada::new(words).go();
        assert!(done.code == Some(0) && done.stdout.contains("manada"), "{done}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let done = Manada::new(&["completions", shell]).go();
        assert!(done.code == Some(0) && done.stdout.contains("threshold"), "{shell}: {done}");
    }
}

#[test]
fn man_pages_are_printed_and_written() {
    let page = Manada::new(&["man", "run"]).go();
    assert!(page.code == Some(0) && page.stdout.contains(".TH manada-run 1 "), "{page}");
    let unknown = Manada::new(&["man", "rn"]).go();
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert!(unknown.stderr.contains("did you mean `run`?"), "{unknown}");
    let done = Manada::new(&["man", "--out", "share/man1"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    for name in ["manada.1", "manada-run.1", "manada-hit.1", "manada-man.1"] {
        assert!(done.read(&format!("share/man1/{name}")).contains(".SH EXAMPLES"), "{name}");
    }
    let blocked = Manada::new(&["man", "--out", "file/man1"]).file("file", "").go();
    assert!(blocked.code == Some(1) && blocked.stderr.contains("cannot write to file/man1"));
}

#[test]
fn missing_files_are_suggested_by_their_names() {
    let run = "run.record";
    for (words, near) in [
        (&["run", "quickstrt"][..], "did you mean `scenarios/quickstart.yaml`?"),
        (&["check", "shpo.yaml"], "did you mean `shop.yaml`?"),
        (&["report", "quickstart"], "did you mean reports/quickstart-2?"),
        (&["report", "reports/quikstart-1"], "did you mean reports/quickstart-1?"),
    ] {
        let done = Manada::new(words)
            .file("scenarios/quickstart.yaml", "x")
            .file("shop.yaml", "x")
            .file(&format!("reports/quickstart-1/{run}"), "x")
            .file(&format!("reports/quickstart-2/{run}"), "x")
            .go();
        assert_eq!(done.code, Some(3), "{done}");
        assert!(done.stderr.contains(near), "{words:?}: {done}");
    }
}

#[test]
fn a_plan_beyond_this_machine_is_refused() {
    let server = Server::answering(OK, Then::Next);
    let line = format!("ulimit -n 200 && exec {MANADA} hit {} -c 1000 -n 1000", server.url());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("ulimit -n"), "{said}");
    assert_eq!(server.seen(), (0, 0));
}

#[test]
fn closed_reader_is_not_an_error() {
    let server = Server::answering(OK, Then::Next);
    let fails = "timeouts > 1000000";
    for (words, code) in [
        (&["--json"][..], 0),
        (&[], 0),
        (&["--json", "--threshold", fails], 4),
        (&["--threshold", fails], 4),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let url = server.url();
        let hit = Manada::new(&["hit", &url, "-n", "10", "-c", "1"]).words(words).stdout(writer);
        let done = hit.go();
        assert_eq!(done.code, Some(code), "{words:?} {done}");
        assert!(!done.stderr.contains("panicked"), "{done}");
    }
    for words in [&["completions", "bash"][..], &["--help"], &["hit", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = Manada::new(words).stdout(writer).go();
        assert_eq!(done.code, Some(0), "{words:?} {done}");
        assert!(done.stderr.is_empty(), "{done}");
    }
}

#[test]
fn an_output_closed_from_the_start_or_full() {
    let server = Server::answering(OK, Then::Next);
    for (to, code) in [(">&-", 0), (">&- 2>&-", 0), ("2>&-", 0), ("> /dev/full", 1)] {
        let line = format!("exec {MANADA} hit {} -n 10 -c 1 --json {to}", server.url());
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{to}: {said}");
        assert!(!said.contains("panicked"), "{to}: {said}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let done = Manada::new(&["hit", &server.url(), "-n", "10"]).stdout(full).go();
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("cannot write to standard output"), "{done}");
}

#[test]
fn no_colours_without_a_terminal() {
    let server = Server::answering(OK, Then::Next);
    for ui in ["auto", "bar", "plain", "none"] {
        let words = ["hit", &server.url(), "-n", "20", "-c", "2", "--ui", ui];
        for words in [&words[..], &["check", "none.yaml"]] {
            let plain = Manada::new(words).go();
            let asked = Manada::new(words).env("NO_COLOR", "1").go();
            for done in [&plain, &asked] {
                assert!(!done.stdout.contains('\x1b'), "{ui}: {done}");
                assert!(!done.stderr.contains('\x1b'), "{ui}: {done}");
            }
        }
    }
}

#[test]
fn quiet_says_less() {
    let server = Server::answering(OK, Then::Next);
    let hit = |words: &[&str]| -> Done {
        Manada::new(&["hit", &server.url(), "-n", "20", "-c", "2"]).words(words).go()
    };
    let once = hit(&["-q"]);
    assert!(once.stderr.is_empty() && !once.stdout.is_empty(), "{once}");
    let twice = hit(&["-qq"]);
    assert!(twice.stderr.is_empty() && twice.stdout.is_empty(), "{twice}");
    let json = hit(&["-qq", "--json"]);
    assert_eq!(count(&json.json(), "calls.ok"), 20);
}

#[test]
fn the_seed_is_printed_and_repeated() {
    let server = Server::answering(OK, Then::Next);
    let hit = |words: &[&str]| -> Done {
        Manada::new(&["hit", &server.url(), "-n", "4", "-c", "2"]).words(words).go()
    };
    let drawn = hit(&["--json"]).report(0)["seed"].as_u64().unwrap();
    assert!(drawn < 1 << 53);
    let seed = drawn.to_string();
    let again = hit(&["--json", "--seed", &seed]).report(0);
    assert_eq!(again["seed"], drawn);
    let shown = hit(&["--seed", &seed]);
    assert!(shown.stdout.contains(&seed), "{shown}");
}
