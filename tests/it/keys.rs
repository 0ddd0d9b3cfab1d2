//! The keys of a terminal: a run in a terminal of its own, which has to be as it was afterwards.
//!
//! `script` from util-linux makes the terminal and `stty` says how it is.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{LIMIT, MANADA};

const SCENARIO: &str = "\
scenario: keyed
services: { it: builtin }
grace: 1s
workloads:
  api: { arrivals: { rate: 50/s }, duration: 10m, flow: [ { get: /, name: home } ] }
";

/// A terminal in which the program runs.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<Vec<u8>>,
    screen: String,
    folder: TempDir,
}

impl Terminal {
    /// Opens it; its shell says how it was before and is after.
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("scenario.yaml"), SCENARIO).unwrap();
        let line = format!(
            "stty -g > before; {MANADA} run scenario.yaml --ui bar --out out; echo $? > code; \
             stty -g > after"
        );
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(folder.path())
            .env("TERM", "xterm")
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("MANADA_SAFETY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keys = child.stdin.take().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (tell, shown) = sync_channel(1_000);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count) = out.read(&mut bytes) {
                if count == 0 || tell.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, screen: String::new(), folder }
    }

    /// Waits until it shows that.
    fn see(&mut self, text: &str) {
        while !self.screen.contains(text) {
            let more = self.shown.recv_timeout(LIMIT);
            let more = more.unwrap_or_else(|_| panic!("never shown: {text:?}\n{}", self.screen));
            self.screen += &String::from_utf8_lossy(&more);
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// The program's process, by its socket, while it has one.
    fn found(&self) -> Option<Pid> {
        let mut sockets = fs::read_dir(self.folder.path().join("manada")).ok()?;
        let socket = sockets.next()?.ok()?.file_name().into_string().ok()?;
        Pid::from_raw(socket.strip_prefix("keyed-")?.strip_suffix(".sock")?.parse().ok()?)
    }

    /// The same; it has one.
    fn pid(&self) -> Pid {
        self.found().unwrap()
    }

    /// How its terminal is now, by its settings.
    fn settings(&self) -> String {
        let tty = fs::read_link(format!("/proc/{}/fd/0", self.pid().as_raw_nonzero())).unwrap();
        let stty = Command::new("stty").args(["-a", "-F"]).arg(tty).output().unwrap();
        String::from_utf8(stty.stdout).unwrap()
    }

    /// Waits for its end: the program's exit code; the terminal has to be as it was.
    fn close(&mut self) -> i32 {
        while let Ok(more) = self.shown.recv_timeout(LIMIT) {
            self.screen += &String::from_utf8_lossy(&more);
        }
        self.child.wait().unwrap();
        let read = |name: &str| {
            let path: PathBuf = self.folder.path().join(name);
            fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {name}\n{}", self.screen))
        };
        assert_eq!(read("before"), read("after"), "the terminal is as it was");
        read("code").trim().parse().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind: `script` ends with its terminal.
        if let Some(pid) = self.found() {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_steer_and_q_ends_it() {
    let mut terminal = Terminal::open();
    terminal.see("users");
    let settings = terminal.settings();
    assert!(settings.contains("-icanon") && settings.contains("-echo "), "{settings}");
    assert!(!settings.contains("-isig"), "Ctrl-C stays a signal: {settings}");
    for (keys, shown) in [
        ("?", "p or space pauses and resumes"),
        ("+", "workload api: 100 % → 110 %"),
        ("-", "workload api: 110 % → 100 %"),
        ("m", "mark"),
        ("p", "workload api: 100 % → paused"),
        (" ", "workload api: paused → 100 %"),
        ("q", "stopping: no new iterations"),
    ] {
        terminal.press(keys);
        terminal.see(shown);
    }
    assert_eq!(terminal.close(), 130);
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut terminal = Terminal::open();
        terminal.see("users");
        kill_process(terminal.pid(), signal).unwrap();
        assert_eq!(terminal.close(), code);
    }
}

#[test]
fn a_stopped_run_gives_the_terminal_back_and_takes_it_again() {
    let mut terminal = Terminal::open();
    terminal.see("users");
    let pid = terminal.pid();
    kill_process(pid, Signal::TSTP).unwrap();
    let stopped = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    };
    while !stopped() {
        thread::yield_now();
    }
    let settings = terminal.settings();
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
    kill_process(pid, Signal::CONT).unwrap();
    while !terminal.settings().contains("-icanon") {
        thread::yield_now();
    }
    terminal.press("q");
    assert_eq!(terminal.close(), 130);
}
