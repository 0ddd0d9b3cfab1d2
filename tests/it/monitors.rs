//! Tests of monitors: the generator's health and the target's own figures, on the clock of the
//! run.
//!
//! Invariant: no amount of usage is asserted, only that it was read each second.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::Signal;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada};
use crate::prometheus::Prometheus;

/// Runs for three seconds with a monitor.
fn watching(target: &Builtin, watch: &[&str]) -> Done {
    let words = ["hit", &target.url("/"), "-c", "2", "-d", "3s", "--out", "out", "--ui", "none"];
    Manada::new(&words).words(watch).go()
}

/// Returns a column of health.csv, by the start of its name.
fn column(done: &Done, name: &str) -> Vec<String> {
    let text = done.read("out/health.csv");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let head = rows.headers().unwrap().clone();
    let at = head.iter().position(|known| known.starts_with(name));
    let at = at.unwrap_or_else(|| panic!("no {name} in {head:?}"));
    rows.records().map(|row| row.unwrap()[at].to_owned()).collect()
}

/// Checks that most values exist and are above zero.
fn check_read(done: &Done, name: &str) {
    let readings = column(done, name);
    let good = readings.iter().filter(|one| one.parse::<f64>().is_ok_and(|value| value > 0.0));
    // Three seconds, or two if the machine is so busy that one came too late.
    assert!(good.count() >= 2, "{name}: {readings:?}");
}

#[test]
fn the_generator_and_a_process_are_read_each_second() {
    let target = Builtin::start(&[]);
    let pid = target.pid().to_string();
    let done = watching(&target, &["--monitor", "pid", &pid]);
    assert_eq!(done.code, Some(0), "{done}");
    let names = ["generator cpu", "generator memory", "generator descriptors", "generator hiccup"];
    names.iter().for_each(|name| check_read(&done, name));
    let target = ["cpu", "memory", "descriptors", "threads"];
    target.iter().for_each(|what| check_read(&done, &format!("target pid {pid} {what}")));
    let seconds = column(&done, "second");
    assert_eq!(seconds[..3], ["0", "1", "2"]);
}

#[test]
fn prometheus_is_queried_each_second() {
    let (target, prometheus) = (Builtin::start(&[]), Prometheus::start());
    let url = format!("http://{}", prometheus.address);
    let pid = target.pid().to_string();
    let watch = ["--monitor", "prometheus", &url, "sum(up)", "--monitor", "pid", &pid];
    let done = watching(&target, &watch);
    assert_eq!(done.code, Some(0), "{done}");
    check_read(&done, "target sum(up)");
    check_read(&done, &format!("target pid {pid} memory"));
    // An invalid query is detected before the load starts.
    let done = watching(&target, &["--monitor", "prometheus", &url, "sum("]);
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("cannot monitor `sum(`") && done.stderr.contains("parse error"));
    let done = watching(&target, &["--monitor", "prometheus", &url, "{job=\"own\"}"]);
    assert!(done.code == Some(3) && done.stderr.contains("series; expected one"), "{done}");
}

#[test]
fn missing_process_or_metric_is_refused() {
    let target = Builtin::start(&[]);
    for (words, code, says) in [
        (&["pid", "4294967295"][..], 3, "cannot monitor process 4294967295: no such process"),
        (&["prometheus", "http://127.0.0.1:1", "up"], 3, "onnection refused"),
        (&["pid", "x"], 2, "`x` is not a process ID"),
        (&["cpu", "1"], 2, "unknown monitor `cpu`"),
    ] {
        let done = watching(&target, &[&["--monitor"], words].concat());
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(says), "{done}");
    }
}

#[test]
fn a_pause_of_the_whole_generator_is_seen() {
    let target = Builtin::start(&[]);
    let words = ["hit", &target.url("/"), "-r", "20/s", "-d", "4s", "--out", "out"];
    let running = Manada::new(&words).words(&["--ui", "plain", "-v"]).start();
    running.hear("    1s of 4s  | hit:");
    running.signal(Signal::STOP);
    // Only a clock tells that a second is over.
    let (_keep, never) = sync_channel::<()>(0);
    let _ = never.recv_timeout(Duration::from_secs(1));
    running.signal(Signal::CONT);
    let done = running.wait();
    let hiccups = column(&done, "generator hiccup");
    let most = hiccups.iter().filter_map(|one| one.parse::<f64>().ok()).fold(0.0, f64::max);
    assert!(most >= 900_000.0, "{hiccups:?}");
}
