//! Tests of run folders: two runs never share one, and a run does not touch other files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::builtin::Builtin;
use crate::harness::{MANADA, Manada};

/// Returns the names in a folder.
fn names(path: &std::path::Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn second_run_does_not_touch_first_runs_files() {
    let target = Builtin::start(&[]);
    let url = target.url("/");
    let words = ["hit", &url, "-c", "1", "-d", "30s", "--out", "r", "--ui", "plain", "-v"];
    let running = Manada::new(&words).start();
    running.hear("    1s of 30s");
    let before = names(&running.path("r"));
    assert!(before.contains("run.record"), "{before:?}");
    for force in [&[][..], &["--force"]] {
        let mut command = Command::new(MANADA);
        command.env("MANADA_HISTORY", "none");
        command.args(["hit", &url, "-c", "1", "-n", "1", "--out", "r"]).args(force);
        let second = command.current_dir(running.path("")).output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(said.contains("another run is writing its report there"), "{said}");
        assert_eq!(names(&running.path("r")), before);
    }
    running.signal(Signal::INT);
    let done = running.wait();
    assert_eq!(done.code, Some(130), "{done}");
    let after = names(&done.path("r"));
    assert!(after.contains("summary.json") && after.contains("report.html"), "{after:?}");
    assert!(!after.iter().any(|name| name.contains(".part")), "{after:?}");
}

#[test]
fn concurrent_runs_have_separate_folders() {
    let scenario = "scenario: many\nservices: { it: builtin }\nworkloads:\n  w:\n    users: 1\n    \
                    iterations: 3\n    flow: [ { get: / } ]\n";
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("s.yaml"), scenario).unwrap();
    let start = || {
        let mut command = Command::new(MANADA);
        command.env("MANADA_HISTORY", "none");
        command.args(["run", "s.yaml", "--ui", "none", "-qq", "--shards", "1"]);
        command.current_dir(root.path()).stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(|_| start()).collect();
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let folders = names(&root.path().join("reports"));
    assert_eq!(folders.len(), 8, "{folders:?}");
    for folder in folders {
        let files = names(&root.path().join("reports").join(&folder));
        assert!(files.contains("summary.json") && files.contains("run.record"), "{files:?}");
    }
}

#[test]
fn no_link_in_a_folder_is_followed() {
    let target = Builtin::start(&[]);
    let url = target.url("/");
    let hit = |words: &[&str]| Manada::hit(&url, &["-c", "1", "-n", "2"]).words(words);
    let manada = hit(&["--out", "r", "--force", "--report", "m.md"]).file("precious", "kept");
    let running = manada.file("r/other", "x").file("elsewhere/x", "x");
    let root = running.path("");
    for name in ["r/summary.json", "r/run.record", "r/report.html", "m.md"] {
        symlink(root.join("precious"), root.join(name)).unwrap();
    }
    symlink(root.join("elsewhere"), root.join("link")).unwrap();
    let done = running.go();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!((done.read("precious").as_str(), done.read("r/other").as_str()), ("kept", "x"));
    for name in ["r/summary.json", "r/run.record", "r/report.html", "m.md"] {
        assert!(!done.path(name).is_symlink(), "{name}");
    }
    let mut command = Command::new(MANADA);
    command.env("MANADA_HISTORY", "none");
    command.args(["hit", &url, "-n", "1", "-c", "1", "--out", "link"]);
    let output = command.current_dir(done.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("symbolic link"), "{said}");
    assert_eq!(names(&done.path("elsewhere")).len(), 1);
}

#[test]
fn full_disk_is_reported_with_the_file() {
    let target = Builtin::start(&[]);
    let url = target.url("/");
    // With a limit of 8 KiB per file, the page does not fit.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 16; exec {MANADA} hit {url} -c 1 -n 5 --ui none --json --out r"
    );
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    let output = command.args(["-c", &limited]).current_dir(root.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("r/report.html: "), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["exit_code"], 1, "{report}");
    let files = names(&root.path().join("r"));
    assert!(!files.contains("report.html") && !files.contains("summary.json"), "{files:?}");
    assert!(!files.iter().any(|name| name.contains(".part")), "{files:?}");
    // A device is written to directly.
    for words in [&["--json"][..], &["--report", "json:-"]] {
        let words = [&["-c", "1", "-n", "2", "--report", "junit:/dev/full"], words].concat();
        let done = Manada::new(&["hit", &url, "--ui", "none"]).words(&words).go();
        assert_eq!(done.code, Some(1), "{done}");
        assert!(done.stderr.contains("/dev/full: "), "{done}");
        assert_eq!(done.json()["exit_code"], 1, "{done}");
    }
}

/// Earlier reports, in every format with a file.
const OLD: [&str; 6] = ["junit.xml", "r.json", "r.md", "r.svg", "r.html", "steps.csv"];

/// A run that is not carried out leaves no earlier report, and no empty one.
fn replaces_reports(mut manada: Manada, code: i32, why: &str) {
    for name in OLD {
        manada = manada.words(&["--report", name]).file(name, "yesterday: all is well");
    }
    let done = manada.words(&["--report", "github"]).go();
    assert_eq!(done.code, Some(code), "{done}");
    let junit = done.read("junit.xml");
    assert!(junit.contains("errors=\"1\"") && junit.contains("</testsuites>"), "{junit}");
    let json: serde_json::Value = serde_json::from_str(&done.read("r.json")).unwrap();
    assert_eq!(json["exit_code"], code, "{json}");
    assert!(json["verdict"].is_null(), "{json}");
    assert!(json["error"].as_str().unwrap().contains(why), "{json}");
    for name in ["junit.xml", "r.md", "r.svg", "r.html"] {
        let text = done.read(name);
        assert!(text.contains("not carried out"), "{name}: {text}");
        assert!(name == "r.svg" || text.contains(why), "{name}: {text}");
    }
    assert!(!done.path("steps.csv").exists(), "{done}");
    assert!(done.stderr.contains("not carried out::"), "{done}");
}

#[test]
fn failed_start_replaces_earlier_reports() {
    // A port without a listener.
    let refused = "scenario: td\nservices: { it: 'http://127.0.0.1:9' }\n\
                   setup: [ { get: /login } ]\n\
                   workloads: { w: { users: 1, iterations: 1, flow: [ { get: / } ] } }\n";
    let mistake = refused.replace("users: 1", "user: 1");
    replaces_reports(Manada::run(refused, &[]), 1, "setup failed");
    replaces_reports(Manada::run(&mistake, &[]), 3, "scenario.yaml:");
    replaces_reports(Manada::new(&["hit", "no address", "--ui", "none"]), 2, "no address");
    replaces_reports(Manada::new(&["report", "nowhere"]), 3, "expected the report folder of a run");
}

#[test]
fn missing_folders_of_files_are_made_before_the_load() {
    let scenario = "services: { it: builtin }\nworkloads:\n  w:\n    users: 1\n    \
                    iterations: 3\n    flow: [ { get: / } ]\n";
    let words = ["--report", "a/b/x.html", "--samples", "c/x.ndjson", "--log", "json:d/run.log"];
    for more in [&[][..], &["--sandbox"]] {
        let done = Manada::run(scenario, &words).words(more).go();
        assert_eq!(done.code, Some(0), "{done}");
        for file in ["a/b/x.html", "c/x.ndjson", "d/run.log"] {
            assert!(!done.read(file).is_empty(), "{file}");
        }
    }
    // A file in the place of a folder: nothing is sent.
    let target = Builtin::start(&[]);
    let words = ["hit", &target.url("/"), "-n", "5", "--report", "file/x.html"];
    let done = Manada::new(&words).file("file", "").go();
    assert_eq!((done.code, target.count("/")), (Some(1), 0), "{done}");
    assert!(done.stderr.contains("file/x.html: its folder file cannot be created"), "{done}");
}
