//! A log of made-up events: what it has at each level, and that its counts add up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::entry::tests::parse_logfmt;
use super::*;
use crate::clock::RunOffset;
use crate::event::{Interrupt, StopCause};
use crate::report::page::tests::made_up;
use crate::stats::sample::IterationEnd;
use crate::stats::{
    BreakerState, CallRecord, Change, ChangeCause, ChangeSubject, Delta, GaugeSample, IterationId,
    IterationRecord, StateChanges,
};

/// Text that a target, or a file of other people, could contain.
const HOSTILE: &str = "a\u{1b}[2J\n{\"level\":\"error\"} level=error \"x\" \u{202e}";

fn options(format: LogFormat, path: &Path, level: LogLevel) -> LogOptions {
    let target = LogTarget { format, path: Some(path.to_owned()) };
    LogOptions { target, level, per_second: 5, rotation: None }
}

fn call(number: u64, status: u16) -> CallRecord {
    CallRecord {
        intended: RunOffset::from_ns(number * 1_000_000),
        service_ns: 1_500_000,
        bytes_sent: 10,
        bytes_received: 20,
        ..CallRecord::made_up(number, 0, 2_500_000, status)
    }
}

/// A second in which 30 calls failed, of which ten are kept, and 50 did not, of which six are.
fn delta(info: &RunInfo) -> RunEvent {
    let mut delta = Delta::new(&info.plan.series_layout(), 0);
    let (iterations, calls) = &mut delta.workloads[0];
    (iterations.completed, iterations.ended_early) = (40, 3);
    (calls.ok, calls.unfinished, calls.failed, calls.timeout) = (48, 2, 20, 4);
    (calls.suppressed, calls.generator_errors, calls.made) = (5, 1, 80);
    // Nine of one kind, and then one of another.
    delta.kept.calls.extend((0..9).map(|number| call(number, 500)));
    delta.kept.calls.push(call(9, 404));
    delta.kept.calls.extend((0..6).map(|number| call(10 + number, 200)));
    let iteration = |number: u64| IterationRecord {
        iteration: IterationId { item: number, ..IterationId::default() },
        key: number,
        user: number,
        intended: RunOffset::from_ns(number * 1_000_000),
        done: RunOffset::from_ns(number * 1_000_000 + 4_000_000),
        end: IterationEnd::Completed,
    };
    delta.kept.iterations.extend((0..2).map(iteration));
    RunEvent::Delta(Arc::new(delta))
}

/// Writes a run of two seconds; returns the lines of the log, each as fields by their names.
fn log(format: LogFormat, level: LogLevel) -> (Vec<BTreeMap<String, String>>, LogTotals) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.log");
    let report = Arc::new(made_up(3, HOSTILE));
    let mut sink = RunLogSink::open(options(format, &path, level), "0-0", "before").unwrap();
    let totals = sink.totals();
    let mut events = vec![RunEvent::Started(Arc::clone(&report.info))];
    for _ in 0..2 {
        events.push(RunEvent::LogLines(vec![HOSTILE.to_owned(); 7], 4));
        events.push(delta(&report.info));
        events.push(RunEvent::Gauges(Arc::new(GaugeSample::default())));
    }
    let at = RunOffset::from_ns(2_000_000_000);
    events.push(RunEvent::Stopped(StopCause::Signal(Interrupt::Int), at));
    events.push(RunEvent::Ended(report));
    for event in &events {
        assert!(RunLogSink::wants(event));
        sink.take(event).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.split_inclusive('\n').map(|line| fields(format, line)).collect();
    (lines, totals.get())
}

fn fields(format: LogFormat, line: &str) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = match format {
        LogFormat::Logfmt => parse_logfmt(line),
        LogFormat::Json => {
            let Value::Object(read) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
            let text = |value: Value| match value {
                Value::String(text) => text,
                value => value.to_string(),
            };
            read.into_iter().map(|(key, value)| (key, text(value))).collect()
        }
    };
    let count = pairs.len();
    let fields: BTreeMap<_, _> = pairs.into_iter().collect();
    assert_eq!(fields.len(), count, "each key stands once: {line}");
    fields
}

fn of<'a>(lines: &'a [BTreeMap<String, String>], kind: &str) -> Vec<&'a BTreeMap<String, String>> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn lines_of_both_formats_are_the_same() {
    let (mut json, _) = log(LogFormat::Json, LogLevel::Debug);
    let (mut logfmt, _) = log(LogFormat::Logfmt, LogLevel::Debug);
    // Some entries have the time at which they are written.
    for line in json.iter_mut().chain(&mut logfmt) {
        assert!(line.remove("time").unwrap().ends_with('Z'));
        assert_eq!(line["run_id"], "1-1");
        assert!(!line["scenario"].contains(['\u{1b}', '\u{202e}']));
        assert!(["error", "warn", "info", "debug"].contains(&line["level"].as_str()), "{line:?}");
        assert!(!line["msg"].is_empty());
    }
    assert_eq!(json, logfmt);
}

#[test]
fn written_left_out_and_lost_are_all_entries() {
    let (lines, totals) = log(LogFormat::Json, LogLevel::Debug);
    assert_eq!(totals.written, lines.len() as u64);
    for (kind, all, written) in
        [("failed_call", 60, 10), ("call", 100, 10), ("iteration", 86, 4), ("log", 22, 10)]
    {
        let total = of(&lines, "total").into_iter().find(|line| line["of"] == kind).unwrap();
        let number = |key: &str| total[key].parse::<u64>().unwrap();
        assert_eq!([number("count"), number("written")], [all, written], "{kind}");
        assert_eq!([number("left_out"), number("lost")], [all - written, 0], "{kind}");
        assert_eq!(of(&lines, kind).len() as u64, written);
        let left_out = of(&lines, "left_out").into_iter().filter(|line| line["of"] == kind);
        let left_out: Vec<u64> = left_out.map(|line| line["count"].parse().unwrap()).collect();
        assert_eq!(left_out, [(all - written) / 2; 2], "{kind}");
    }
    assert_eq!(totals.left_out, 50 + 90 + 82 + 12);
}

#[test]
fn each_kind_of_failure_has_a_line_before_one_has_two() {
    let (lines, _) = log(LogFormat::Json, LogLevel::Error);
    let failed = of(&lines, "failed_call");
    let statuses: Vec<&str> = failed.iter().map(|line| line["status"].as_str()).collect();
    assert_eq!(statuses, ["500", "500", "500", "500", "404"].repeat(2));
    let line = failed[0];
    assert_eq!(line["result"], "failed");
    assert_eq!(line["response_us"], "2500.0");
    assert_eq!((line["trace_id"].len(), line["span_id"].len()), (32, 16));
    assert!(line["msg"].ends_with("failed: status 500, after 2.50 ms"), "{}", line["msg"]);
}

#[test]
fn a_level_has_the_more_important_ones() {
    let kinds = |level| {
        let (lines, _) = log(LogFormat::Json, level);
        let mut kinds: Vec<String> = lines.iter().map(|line| line["kind"].clone()).collect();
        kinds.dedup();
        kinds.retain(|kind| !matches!(kind.as_str(), "left_out" | "total"));
        kinds.sort();
        kinds.dedup();
        kinds.join(" ")
    };
    assert_eq!(kinds(LogLevel::Error), "ended failed_call threshold");
    assert_eq!(kinds(LogLevel::Warn), "ended failed_call stopped threshold");
    assert_eq!(kinds(LogLevel::Info), "ended failed_call log started stopped threshold");
    assert_eq!(
        kinds(LogLevel::Debug),
        "call ended failed_call iteration log started stopped threshold"
    );
}

#[test]
fn a_state_change_has_its_kind_level_and_states() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.log");
    let options = options(LogFormat::Json, &path, LogLevel::Warn);
    let mut sink = RunLogSink::open(options, "0-0", "shop").unwrap();
    let change = |to| StateChange {
        at: RunOffset::from_ns(1_500_000_000),
        subject: ChangeSubject::Workload("shop".to_owned()),
        change: Change::Breaker { from: BreakerState::HalfOpen, to },
        cause: ChangeCause::Connected,
    };
    let report = Arc::new(made_up(3, "shop"));
    sink.take(&RunEvent::Started(Arc::clone(&report.info))).unwrap();
    for state in [BreakerState::Open, BreakerState::Closed] {
        sink.take(&RunEvent::EventLogged(Arc::new(change(state)))).unwrap();
    }
    let list = vec![change(BreakerState::Open); 7];
    let changes = StateChanges { list, lost: 3 };
    sink.take(&RunEvent::StateChanges(Arc::new(changes))).unwrap();
    sink.take(&RunEvent::Gauges(Arc::new(GaugeSample::default()))).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> =
        text.split_inclusive('\n').map(|line| fields(LogFormat::Json, line)).collect();
    // One that closes is of level info; eight that open, of which five have room.
    let opened = of(&lines, "breaker");
    assert_eq!(opened.len(), 5, "{text}");
    for line in opened {
        assert_eq!((&*line["level"], &*line["to"]), ("warn", "open"));
        assert_eq!(line["time"], "1970-01-01T00:00:01.500Z");
    }
    let left_out: Vec<_> =
        of(&lines, "left_out").iter().map(|line| (&*line["of"], &*line["count"])).collect();
    assert_eq!(left_out, [("breaker", "3"), ("state_change", "3")], "{text}");
}

#[test]
fn names_of_calls_are_those_of_samples() {
    let (lines, _) = log(LogFormat::Json, LogLevel::Debug);
    let info = made_up(3, "shop").info;
    let names = crate::sinks::calls::call_names::CallNames::new(&info);
    let sample = serde_json::to_value(names.line(&call(1, 500))).unwrap();
    let own = ["level", "kind", "msg", "run_id", "scenario"];
    for line in [of(&lines, "call")[0], of(&lines, "failed_call")[0]] {
        for key in line.keys().filter(|key| !own.contains(&key.as_str())) {
            assert!(sample.get(key).is_some(), "{key} is not a name of --samples");
        }
    }
}

#[test]
fn lines_that_a_full_disk_takes_none_of_are_counted() {
    let report = Arc::new(made_up(3, "shop"));
    let path = PathBuf::from("/dev/full");
    let options = options(LogFormat::Json, &path, LogLevel::Info);
    let mut sink = RunLogSink::open(options, "0-0", "shop").unwrap();
    let totals = sink.totals();
    sink.take(&RunEvent::Started(Arc::clone(&report.info))).unwrap();
    sink.take(&RunEvent::LogLines(vec!["a".to_owned(); 3], 0)).unwrap();
    sink.take(&RunEvent::Ended(report)).unwrap();
    let totals = totals.get();
    // The start, three lines, a threshold, the totals of log lines and failed calls, and the end.
    assert_eq!((totals.written, totals.lost), (0, 8));
    assert!(totals.error.unwrap().contains("No space left"));
}
