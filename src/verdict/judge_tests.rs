//! Thresholds on whole runs: what an empty run passes, and what a missed threshold reports.

use super::*;
use crate::clock::RunOffset;
use crate::ids::WorkloadId;
use crate::stats::sample::SeriesLayout;
use crate::stats::{Delta, Recorder, Tally};

fn run(fill: impl FnOnce(&mut Recorder)) -> Snapshot {
    let shape = SeriesLayout { workloads: 1, checks: vec![0], pools: 0, ..SeriesLayout::default() };
    let mut recorder = Recorder::new(shape.clone(), 0, crate::clock::Time(0));
    fill(&mut recorder);
    let delta: Delta =
        recorder.take_interval(crate::stats::Gauges::default(), crate::clock::Time(1_000_000_000));
    let mut tally = Tally::new(&shape, 1, vec![true]);
    tally.absorb(&delta);
    tally.snapshot(None)
}

fn on(threshold: &Threshold, snapshot: &Snapshot) -> Judgement {
    let rules = std::slice::from_ref(threshold);
    judge(rules, &Subjects::default(), snapshot).remove(0)
}

#[test]
fn empty_run_passes_no_threshold() {
    let snapshot = run(|_| {});
    for rule in [
        "response.p95 < 1h",
        "errors < 100%",
        "achieved > 0%",
        "achieved.users >= 0%",
        "checks >= 0%",
        "rate >= 0/s",
        "rate < 1000/s",
        "failed == 0",
        "timeouts <= 0",
        "dropped == 0",
        "calls >= 0",
        "iterations < 5",
        "bytes < 1MB",
        "status(5xx) == 0",
        "status(200) > 0%",
        "generator_errors == 0",
    ] {
        let threshold = Threshold::parse(rule).unwrap();
        assert!(!on(&threshold, &snapshot).passed, "{rule}");
    }
}

#[test]
fn missed_threshold_has_no_positive_margin_and_a_reason() {
    let snapshot = run(|recorder| {
        for k in 0..100 {
            let (workload, due) = (WorkloadId::default(), RunOffset::from_ns(k));
            recorder.record_due(workload, due);
            recorder.record_dropped(workload, due, 0);
        }
    });
    for (rule, margin, rests_on_bound) in [
        ("response.p99 < 10s", None, true),
        ("response.p50 < 1h", None, true),
        ("dropped < 100", Some(0.0), false),
        ("dropped < 99", Some(-1.0), false),
        ("dropped < 101", Some(1.0), false),
        ("dropped == 99", Some(-1.0), false),
        ("achieved > 1%", Some(-0.01), false),
    ] {
        let judged = on(&Threshold::parse(rule).unwrap(), &snapshot);
        assert_eq!(judged.margin(), margin, "{rule}");
        assert_eq!(judged.rests_on_bound(), rests_on_bound, "{rule}");
        let unknown = if rests_on_bound { (100, 0, 100) } else { (0, 0, 0) };
        let UntimedRank { starts, calls, all } = judged.unknown;
        assert_eq!((starts, calls, all), unknown, "{rule}");
    }
}

#[test]
fn dropped_starts_rank_above_every_response() {
    let snapshot = run(|recorder| {
        for k in 0..100 {
            let (workload, due) = (WorkloadId::default(), RunOffset::from_ns(k));
            recorder.record_due(workload, due);
            recorder.record_dropped(workload, due, 0);
        }
    });
    let threshold = Threshold::parse("response.p50 < 1h").unwrap();
    let judged = on(&threshold, &snapshot);
    assert!(judged.at_least && !judged.passed);
    assert!(!on(&Threshold::parse("achieved > 1%").unwrap(), &snapshot).passed);
    assert!(!on(&Threshold::parse("dropped < 100").unwrap(), &snapshot).passed);
    assert!(on(&Threshold::parse("dropped <= 100").unwrap(), &snapshot).passed);
}
