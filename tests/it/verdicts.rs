//! Tests of dead and slow targets against thresholds: a call without a response passes no upper
//! bound.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::builtin::Builtin;
use crate::harness::{Manada, count};
use crate::peer::{Server, Then};

/// Runs with thresholds of any generosity; each must fail, or each must pass.
fn judge(url: &str, load: &[&str], rules: &[&str], passed: bool) {
    let mut words = load.to_vec();
    rules.iter().for_each(|rule| words.extend(["--threshold", rule]));
    let done = Manada::hit(url, &words).go();
    let report = done.report(if passed { 0 } else { 4 });
    assert_eq!(report["verdict"], if passed { "pass" } else { "fail" }, "{done}");
    let thresholds = report["thresholds"].as_array().unwrap();
    // The harness's own threshold is the first.
    assert_eq!(thresholds.len(), rules.len() + 1);
    for threshold in &thresholds[1..] {
        assert_eq!(threshold["passed"], passed, "{threshold}\n{done}");
    }
}

#[test]
fn target_without_responses_fails_thresholds() {
    let rules = ["response.p95 < 1h", "response.max < 1h", "errors < 50%", "response.p50 < 1h"];
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    judge(&format!("http://{address}/"), &["-n", "6", "-c", "2"], &rules, false);
    let silent = Server::answering(b"", Then::Hold);
    judge(&silent.url(), &["-n", "4", "-c", "2", "--timeout", "300ms"], &rules, false);
    let garbage = Server::answering(b"garbage\r\n", Then::Hold);
    judge(&garbage.url(), &["-r", "20/s", "-d", "1s", "-c", "50"], &rules, false);
}

#[test]
fn outage_has_no_times() {
    let words = ["-n", "6", "-c", "2", "--out", "out", "--threshold", "response.p99 < 1s"];
    let done = Manada::hit("http://127.0.0.1:1/", &words).go();
    let report = done.report(4);
    for latency in [&report["response_us"], &report["steps"][0]["service_us"]] {
        assert_eq!((count(latency, "count"), count(latency, "censored")), (6, 6), "{latency}");
        for key in ["min", "mean", "p50", "p99", "max"] {
            assert!(latency[key].is_null(), "{key}: {latency}");
        }
        assert_eq!(latency["at_least"].as_array().unwrap().len(), 6, "{latency}");
    }
    let thresholds = report["thresholds"].as_array().unwrap();
    let threshold = thresholds.iter().find(|one| one["rule"] == "response.p99 < 1s").unwrap();
    assert!(threshold["observed"].is_null() && threshold["passed"] == false, "{threshold}");
    for (name, columns) in [("steps.csv", 12), ("timeline.csv", 8)] {
        let text = done.read(&format!("out/{name}"));
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let names = rows.headers().unwrap().clone();
        for row in rows.records() {
            let row = row.unwrap();
            let times = names.iter().zip(&row).filter(|(name, _)| name.ends_with("_us"));
            let times = times.filter(|(name, _)| !name.starts_with("blocked"));
            assert!(times.clone().all(|(_, cell)| cell.is_empty()), "{name}: {row:?}");
            assert_eq!(times.count(), columns, "{name}");
            assert!(names.iter().any(|name| name == "at_least"), "{name}");
        }
    }
}

#[test]
fn one_of_ten_hangs() {
    let target = Builtin::start(&["--fail", "10%:hang"]);
    let load = ["-n", "300", "-c", "30", "--timeout", "250ms"];
    let url = target.url("/");
    judge(&url, &load, &["response.p99 < 1h", "errors < 1%", "service.p99 < 1h"], false);
    judge(&url, &load, &["response.p50 < 250ms", "errors < 50%", "errors > 1%"], true);
}

#[test]
fn fewer_users_than_a_slow_target_needs() {
    // 100 starts/s of 500 ms need 50 users; with 5, most starts are dropped, and the report shows
    // it.
    let target = Builtin::start(&["--latency", "500ms"]);
    let load = ["-r", "100/s", "-d", "1500ms", "-c", "5"];
    let rules = ["achieved > 99%", "response.p95 < 1h"];
    judge(&target.url("/"), &load, &rules, false);
    let report = Manada::hit(&target.url("/"), &load).go().report(0);
    assert_eq!(count(&report, "iterations.due"), 150, "{report}");
    assert!(count(&report, "iterations.dropped") >= 120, "{report}");
    assert_eq!(count(&report, "users.peak"), 5, "{report}");
}

#[test]
fn a_healthy_target_passes() {
    let target = Builtin::start(&["--latency", "1ms"]);
    let rules = ["response.p95 < 1m", "errors < 1%", "achieved > 50%", "service.max < 1m"];
    judge(&target.url("/"), &["-r", "100/s", "-d", "1s", "-c", "100"], &rules, true);
}
