//! Tests of live control: by the socket, by keys, and without either.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Done, LIMIT, Manada, Running, count};

const OPEN: &str = "\
scenario: steered
services: { it: builtin }
grace: 1s
workloads:
  api: { arrivals: { rate: 200/s }, duration: 10m, flow: [ { get: /, name: home } ] }
";

/// Starts a long run with a socket.
fn start(scenario: &str, words: &[&str]) -> Running {
    let words_first = ["run", "scenario.yaml", "--json", "--ui", "plain", "-v", "--out", "out"];
    let running = Manada::new(&words_first).words(words).file("scenario.yaml", scenario).start();
    // The socket exists after the first second.
    running.hear("| api: ");
    running
}

/// Runs `manada control` with these arguments, in the folder of a run.
fn control(running: &Running, words: &[&str]) -> Done {
    let mut all = vec!["control"];
    all.extend(words);
    Manada::new(&all).env("XDG_RUNTIME_DIR", running.path("")).go()
}

/// Returns the reply to a command that succeeded.
fn obeyed(running: &Running, words: &[&str]) -> String {
    let done = control(running, words);
    assert_eq!(done.code, Some(0), "{words:?}: {done}");
    done.stdout.trim_end().to_owned()
}

/// Returns the status once it satisfies `holds`; it changes each second.
fn status(running: &Running, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..LIMIT.as_secs() {
        last = serde_json::from_str(&obeyed(running, &["-", "status"])).unwrap();
        if holds(&last) {
            return last;
        }
        // The plain screen prints a line each second.
        running.hear_more();
    }
    panic!("{last}");
}

fn sockets(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("manada")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn run_pauses_and_resumes() {
    let running = start(OPEN, &[]);
    let listed = obeyed(&running, &[]);
    assert!(listed.starts_with("steered  "), "{listed}");
    let pid = listed.split_whitespace().nth(1).unwrap().to_owned();
    status(&running, |now| now["workloads"][0]["due"].as_u64() > Some(100));
    assert_eq!(obeyed(&running, &["steered", "pause"]), "workload api: 100 % → paused");
    running.hear("workload api: 100 % → paused (control socket)");

    running.hear("| api: paused, ");
    assert_eq!(obeyed(&running, &[]).trim_end(), format!("steered  {pid}  paused"));

    // After the second of the pause nothing more is due.
    let first = status(&running, |now| {
        now["paused"] == true && now["rate"]["started_per_s"] == 0.0 && now["users"] == 0
    });
    let at = first["counted_s"].as_f64().unwrap();
    let second = status(&running, |now| now["counted_s"].as_f64().unwrap() > at + 0.5);
    for what in ["due", "started", "calls"] {
        assert_eq!(first["workloads"][0][what], second["workloads"][0][what], "{what}");
    }
    assert_eq!(second["rate"]["asked_per_s"], 0.0);
    let again = obeyed(&running, &["steered", "pause"]);
    assert_eq!(again, "no change: already in this state");

    assert_eq!(obeyed(&running, &[&pid, "scale", "api", "50%"]), "workload api: paused → paused");
    assert_eq!(obeyed(&running, &["-", "resume"]), "workload api: paused → 50 %");
    let before = count(&second, "calls");
    let later = status(&running, |now| count(now, "calls") > before + 50);
    assert_eq!((&later["rate"]["asked_per_s"], &later["paused"]), (&100.0.into(), &false.into()));
    assert_eq!(obeyed(&running, &["-", "mark", "half", "of", "it"]), "marked");
    let stopping = "stopping: no new iterations, running ones finish";
    assert_eq!(obeyed(&running, &["-", "stop"]), stopping);
    let report = running.wait().report(130);
    let due = count(&report, "iterations.due");
    assert_eq!(report["iterations"]["suppressed"], 0, "{report}");
    assert!(due > 0 && report["rate"]["achieved_percent"] == 100.0, "{report}");
}

#[test]
fn invalid_command_is_refused_with_advice() {
    let running = start(OPEN, &[]);
    for (words, code, says) in [
        (&["-", "puase"][..], 2, "did you mean `pause`?"),
        (&["-"][..], 2, "expected one of pause"),
        (&["-", "scale", "lots"][..], 2, "a share from"),
        (&["-", "scale", "-10%"][..], 0, ""),
        (&["-", "scale", "-5"][..], 2, "did you mean `-5%`?"),
        (&["-", "scale", "-95%"][..], 1, "90 % minus 95 % leaves no load"),
        (&["-", "pause", "apy"][..], 1, "unknown workload `apy`; expected one of api; did you"),
        (&["-", "users", "9"][..], 1, "this run has no closed-model workload; use `rate`"),
        (&["-", "users", "api", "9"][..], 1, "workload `api` is open-model; use `rate api`"),
        (&["-", "mute", "hoem"][..], 1, "did you mean `home`?"),
        (&["-", "breaker", "systen", "open"][..], 1, "did you mean `system`?"),
        (&["-", "breaker", "system", "open"][..], 1, "breakers: { system: {} }"),
        (&["staered", "pause"][..], 1, "unknown run `staered`; expected one of steered; did"),
    ] {
        let done = control(&running, words);
        assert_eq!(done.code, Some(code), "{words:?}: {done}");
        assert!(done.stderr.contains(says), "{words:?}: {done}");
    }
    running.signal(Signal::INT);
    running.wait().report(130);
}

#[test]
fn socket_is_private_and_removed_with_the_run() {
    let running = start(OPEN, &[]);
    let folder = running.path("");
    let found = sockets(&folder);
    let [socket] = found.as_slice() else { panic!("{found:?}") };
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&folder.join("manada")), mode(socket)), (0o700, 0o600));
    assert!(fs::metadata(socket).unwrap().file_type().is_socket());

    // A line without an end, or invalid text, gets a reply, and the run continues.
    let mut client = UnixStream::connect(socket).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(b"\xff\xfe\n").unwrap();
    let mut answer = String::new();
    let mut reader = BufReader::new(client.try_clone().unwrap());
    reader.read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"error\":\"command is not UTF-8\"}\n");
    client.write_all(&[b'x'; 5_000]).unwrap();
    answer.clear();
    reader.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "{\"error\":\"command too long: at most 4096 bytes\"}\n");

    // Of nine silent clients the ninth is disconnected; there is room again when one has gone.
    let mut silent: Vec<UnixStream> =
        (0..9).map(|_| UnixStream::connect(socket).unwrap()).collect();
    let mut last = silent.pop().unwrap();
    last.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(last.read(&mut [0; 10]).unwrap(), 0, "it is sent away");
    assert_eq!(control(&running, &["-", "status"]).code, Some(1));
    drop(silent);
    status(&running, |now| now["scenario"] == "steered");
    running.signal(Signal::INT);
    let done = running.wait();
    done.report(130);
    assert_eq!(sockets(&folder), [] as [PathBuf; 0]);
}

#[test]
fn foreign_socket_folder_is_refused_and_run_continues() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("manada")).unwrap();
    let open_to_all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path().join("manada"), open_to_all).unwrap();
    let short = OPEN.replace("10m", "1s");
    let done = Manada::run(&short, &[]).env("XDG_RUNTIME_DIR", folder.path()).go();
    done.report(0);
    assert!(done.stderr.contains("cannot open the control socket: "), "{done}");
    assert!(done.stderr.contains("or `chmod 700` it"), "{done}");
    let done = Manada::new(&["control"]).env("XDG_RUNTIME_DIR", folder.path()).go();
    assert_eq!(done.code, Some(1), "{done}");
}

#[test]
fn no_control_disables_socket_and_keys() {
    let running = start(OPEN, &["--no-control"]);
    let done = control(&running, &["-", "pause"]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("no run to control"), "{done}");
    assert_eq!(sockets(&running.path("")), [] as [PathBuf; 0]);
    running.signal(Signal::INT);
    running.wait().report(130);
}
