//! Tests of the dashboard in a terminal: what it shows, and how it restores the terminal.

use rustix::process::{Signal, kill_process};

use crate::harness::Manada;
use crate::terminal::Terminal;

const SCENARIO: &str = "\
scenario: keyed
seed: 42
services: { it: builtin }
grace: 1s
thresholds: [ 'errors < 1%' ]
workloads:
  api: { arrivals: { rate: 50/s }, duration: 10m, flow: [ { get: /, name: home } ] }
";

/// Opens a terminal with a run whose first figures are on the screen.
fn open(words: &str) -> Terminal {
    let mut terminal = Terminal::open(SCENARIO, words);
    terminal.show("Thresholds");
    terminal
}

/// Checks that the summary is on the shell's screen, with nothing of the dashboard after it.
fn is_told(terminal: &Terminal) {
    let left = terminal.written.rfind("\x1b[?1049l").unwrap();
    let after = &terminal.written[left..];
    assert!(after.contains("INTERRUPTED") && !after.contains("q quit"), "{after}");
}

#[test]
fn terminal_shows_dashboard_and_keys_control_the_run() {
    let mut terminal = open("");
    let shown = terminal.show("errors < 1%");
    for text in ["manada keyed", "running", "/ 10m", "verdict ✓ pass so far", "seed 42", "Starts"]
    {
        assert!(shown.contains(text), "{text}\n{shown}");
    }
    let settings = terminal.settings();
    assert!(settings.contains("-icanon") && settings.contains("-isig"), "{settings}");
    for (keys, shown) in [
        ("2", "Response heat map"),
        ("3", "1 step, plan order; response times"),
        ("\r", "Esc closes"),
        ("4", "Iterations"),
        ("5", "200 ×"),
        ("6", "kind        measure"),
        ("7", "busiest core"),
        ("8", "no event yet"),
        ("?", "Scroll and select"),
        ("1p", "‖ paused"),
        ("p", "▶ running"),
        ("+", "workload api: 100 % → 110 %"),
        ("1", "override 110 %"),
        ("trate\r", "✗ `rate`: expected a rate above zero"),
        ("\x7f\x7f\x7f\x7f80/s\r", "workload api: 110 % → 80/s"),
        ("mthe cache is off\r", "marked"),
        ("8", "mark        the cache is off"),
        (":breaker system open\r", "✗"),
        (":help\r", "no new iterations, running ones finish"),
    ] {
        terminal.press(keys);
        terminal.show(shown);
    }
    terminal.press("\x1b");
    terminal.hide("Esc closes");
    terminal.press("q");
    terminal.show("End the run?");
    terminal.press("n");
    terminal.hide("End the run?");
    terminal.press("q");
    terminal.show("End the run?");
    terminal.press("q");
    assert_eq!(terminal.close(), 130);
    is_told(&terminal);
}

#[test]
fn dashboard_stays_after_the_run_until_it_is_left() {
    for (leave, code) in [("q", 0), ("\x03", 0)] {
        let mut terminal = Terminal::open(SCENARIO, "--ui tui --stay --duration 2s");
        terminal.show("■ ended");
        terminal.foot("q quit");
        terminal.hide("p pause");
        // Views still work, and nothing is said to the shell yet.
        terminal.press("3");
        terminal.show("plan order");
        terminal.press("p");
        terminal.show("live control is not available");
        assert!(!terminal.written.contains("PASS"), "{}", terminal.written);
        terminal.press(leave);
        assert_eq!(terminal.close(), code);
        assert!(terminal.written.contains("PASS"), "{}", terminal.written);
    }
    // A signal closes it, too.
    let mut terminal = Terminal::open(SCENARIO, "--ui tui --stay --duration 2s");
    terminal.show("Thresholds");
    let pid = terminal.pid();
    terminal.show("■ ended");
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(terminal.close(), 0);
}

#[test]
fn another_size_is_filled_at_once() {
    let mut terminal = open("--ui tui");
    for (columns, rows) in [(120, 40), (40, 12), (200, 60), (80, 24)] {
        terminal.resize(columns, rows);
        terminal.foot("q quit");
    }
    terminal.press("\x03");
    assert_eq!(terminal.close(), 130);
}

#[test]
fn terminal_is_restored_after_a_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut terminal = open("--ui tui");
        kill_process(terminal.pid(), signal).unwrap();
        assert_eq!(terminal.close(), code);
        is_told(&terminal);
    }
}

#[test]
fn suspended_run_releases_and_retakes_the_terminal() {
    let mut terminal = open("--ui tui");
    terminal.stop();
    let settings = terminal.settings();
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
    terminal.hide("Thresholds");
    kill_process(terminal.pid(), Signal::CONT).unwrap();
    terminal.show("Thresholds");
    terminal.press("qy");
    assert_eq!(terminal.close(), 130);
}

#[test]
fn run_without_control_says_so_and_can_be_stopped() {
    let mut terminal = Terminal::open(SCENARIO, "--ui tui --no-control");
    terminal.show("Thresholds");
    terminal.press("p");
    terminal.show("live control is disabled (--no-control)");
    terminal.press("3");
    terminal.show("plan order");
    terminal.press("q");
    terminal.show("End the run?");
    terminal.press("y");
    assert_eq!(terminal.close(), 130);
}

#[test]
fn pasted_text_is_not_a_key() {
    let mut terminal = open("");
    terminal.press("\x1b[200~qqq\r\x1b[201~3");
    let shown = terminal.show("plan order");
    assert!(shown.contains("running") && !shown.contains("End the run?"), "{shown}");
    terminal.press("\x03");
    assert_eq!(terminal.close(), 130);
}

/// More than one read of the terminal takes: 1 KiB.
#[test]
fn keys_that_come_at_once_are_all_read() {
    let mut terminal = open("");
    terminal.press(&format!("{}?", "j".repeat(3_000)));
    terminal.show("Scroll and select");
    terminal.press(&format!("{}\x03", "j".repeat(3_000)));
    assert_eq!(terminal.close(), 130);
}

#[test]
fn without_a_terminal_it_is_refused_and_nothing_is_drawn() {
    let plain = Manada::new(&["run", "s.yaml", "--ui", "tui"]).file("s.yaml", SCENARIO).go();
    assert_eq!(plain.code, Some(1), "{plain}");
    assert!(plain.stderr.contains("otherwise use `--ui plain`"), "{plain}");
}
