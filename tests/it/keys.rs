//! Tests of terminal keys: a run in its own terminal, which has to be restored afterwards.

use std::thread;

use rustix::process::{Signal, kill_process};

use crate::terminal::Terminal;

const SCENARIO: &str = "\
scenario: keyed
services: { it: builtin }
grace: 1s
workloads:
  api: { arrivals: { rate: 50/s }, duration: 10m, flow: [ { get: /, name: home } ] }
";

fn open() -> Terminal {
    Terminal::open(SCENARIO, "--ui bar")
}

#[test]
fn keys_control_the_run_and_q_stops_it() {
    let mut terminal = open();
    terminal.see("users");
    let settings = terminal.settings();
    assert!(settings.contains("-icanon") && settings.contains("-echo "), "{settings}");
    assert!(!settings.contains("-isig"), "Ctrl-C stays a signal: {settings}");
    for (keys, shown) in [
        ("?", "p or space: pause/resume"),
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
fn terminal_is_restored_after_a_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut terminal = open();
        terminal.see("users");
        kill_process(terminal.pid(), signal).unwrap();
        assert_eq!(terminal.close(), code);
    }
}

#[test]
fn suspended_run_releases_and_retakes_the_terminal() {
    let mut terminal = open();
    terminal.see("users");
    let pid = terminal.pid();
    terminal.stop();
    let settings = terminal.settings();
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
    kill_process(pid, Signal::CONT).unwrap();
    while !terminal.settings().contains("-icanon") {
        thread::yield_now();
    }
    terminal.press("q");
    assert_eq!(terminal.close(), 130);
}
