//! Windows: when they are judged, and what they include.

use super::*;
use crate::clock::{RunOffset, Time as At};
use crate::ids::{StepId, WorkloadId};
use crate::stats::outcome::{AttemptOutcome, CallResult};
use crate::stats::sample::{Sample, SeriesLayout};
use crate::stats::{Gauges, Recorder, Tally};
use crate::verdict::scope::Subject;

const S: u64 = 1_000_000_000;

/// One shard's run, second by second, and the judgements of its thresholds.
struct WatchedRun {
    recorder: Recorder,
    tally: Tally,
    watch: Watch,
    second: u64,
}

impl WatchedRun {
    fn new(rules: &[&str]) -> Self {
        let shape =
            SeriesLayout { workloads: 1, checks: vec![0, 0], pools: 0, ..SeriesLayout::default() };
        let rules: Vec<Threshold> =
            rules.iter().map(|rule| Threshold::parse(rule).unwrap()).collect();
        let series = |step: &str| Subject { step: step.to_owned(), ..Subject::default() };
        let subjects = Subjects {
            workloads: vec!["w".to_owned()],
            series: vec![series("home"), series("pay")],
            ..Subjects::default()
        };
        Self {
            recorder: Recorder::new(shape.clone(), 0, At(0)),
            tally: Tally::new(&shape, 1, vec![false]),
            watch: Watch::new(&rules, subjects, 1, 0),
            second: 0,
        }
    }

    /// Makes ten calls of a series in the current second, with this result after `took_ms`.
    fn calls(&mut self, step: usize, result: CallResult, took_ms: u64) {
        let (workload, step) = (WorkloadId::default(), StepId::new(step));
        for k in 0..10 {
            let at_ns = self.second * S + k * S / 20;
            let intended = RunOffset::from_ns(at_ns);
            self.recorder.begin_call(workload, step, intended, At(at_ns));
            if took_ms == HANGS {
                continue;
            }
            let took = took_ms * 1_000_000;
            // Other work showed all the time that the loop was running.
            self.recorder.begin_loop(At(at_ns + took));
            let sample = Sample {
                backend: None,
                workload,
                step,
                intended,
                lag_ns: 0,
                blocked_ns: 0,
                service_ns: took,
                response_ns: took,
                stalled_ns: 0,
                in_flight_ns: took,
                outcome: AttemptOutcome::Responded(if result == CallResult::Ok {
                    200
                } else {
                    503
                }),
                result,
            };
            self.recorder.end_call(&sample, At(at_ns + took));
        }
    }

    /// Ends the second; returns the threshold that stops the run, if any.
    fn tick(&mut self, until_s: u64) -> Option<String> {
        self.second += 1;
        let now = self.second * S;
        let gauges = Gauges { elapsed_ns: now, ..Gauges::default() };
        let delta = self.recorder.take_interval(gauges, At(now));
        self.tally.absorb(&delta);
        self.watch.absorb(&delta);
        let snapshot = self.tally.snapshot(None);
        self.watch.judge(Some(until_s * S), &snapshot)
    }

    fn end(mut self) -> Vec<Judgement> {
        let snapshot = self.tally.snapshot(None);
        self.watch.conclude(self.second * S, &snapshot)
    }
}

const HANGS: u64 = u64::MAX;

#[test]
fn every_window_must_hold_and_the_worst_is_reported() {
    let mut run = WatchedRun::new(&[
        "errors < 50% over 2s",
        "errors <= 50% over 2s",
        "errors < 5%",
        "step(\"pay\").errors == 0 over 1s",
        "status(5xx) <= 10 over 2s",
        "status(503) < 10% over 1s",
        "calls == 40 over 2s",
        "errors < 1% over 30s",
    ]);
    for second in 0..20 {
        run.calls(0, if second == 7 { CallResult::Failed } else { CallResult::Ok }, 5);
        run.calls(1, CallResult::Ok, 5);
        assert_eq!(run.tick(100), None);
    }
    let judged = run.end();
    let seen: Vec<_> = judged.iter().map(|j| (j.observed, j.passed, j.worst_at_s)).collect();
    assert_eq!(
        seen,
        [
            (Some(0.25), true, Some(6)),
            (Some(0.25), true, Some(6)),
            (Some(0.025), true, None),
            (Some(0.0), true, Some(0)),
            (Some(10.0), true, Some(6)),
            (Some(0.5), false, Some(7)),
            (Some(40.0), true, Some(0)),
            (None, false, None),
        ]
    );
    assert_eq!(judged[5].margin(), Some(-0.4));
}

#[test]
fn empty_window_neither_passes_nor_stops_the_run() {
    let mut run = WatchedRun::new(&["errors < 50% over 1s abort", "response.p95 < 1s over 3s"]);
    for second in 0..10 {
        if second != 4 {
            run.calls(0, CallResult::Ok, 5);
        }
        assert_eq!(run.tick(100), None);
    }
    let judged = run.end();
    assert_eq!(
        (judged[0].passed, judged[0].observed, judged[0].worst_at_s),
        (false, None, Some(4))
    );
    assert!(judged[1].passed);
}

#[test]
fn threshold_stops_the_run_at_the_end_of_its_window() {
    let mut run = WatchedRun::new(&["errors < 20% over 3s after 5s abort"]);
    let mut stopped_at = None;
    for second in 0..12 {
        run.calls(0, if second < 4 { CallResult::Failed } else { CallResult::Ok }, 5);
        run.calls(1, if second == 8 { CallResult::Failed } else { CallResult::Ok }, 5);
        if stopped_at.is_none() && run.tick(100).is_some() {
            stopped_at = Some(run.second);
        }
    }
    // Seconds 0 to 4 are not judged; 10 of 60 in [6, 9) is 17 %: it holds to the end.
    assert_eq!(stopped_at, None);
    let mut run = WatchedRun::new(&["errors < 20% over 3s after 5s abort", "errors < 10% abort"]);
    run.calls(0, CallResult::Failed, 5);
    assert_eq!(run.tick(100).as_deref(), Some("errors < 10% abort"));
    for second in 1..12 {
        run.calls(0, if second == 8 { CallResult::Failed } else { CallResult::Ok }, 5);
        if let Some(rule) = run.tick(100) {
            assert_eq!(rule, "errors < 20% over 3s after 5s abort");
            stopped_at = Some(run.second);
            break;
        }
    }
    // The window [6, 9) fails; a second later all shards have delivered data past its end.
    assert_eq!(stopped_at, Some(10));
    let judged = run.end();
    assert_eq!((judged[0].passed, judged[0].worst_at_s), (false, Some(6)));
    assert!(!judged[1].passed, "what stopped a run stays failed");
}

#[test]
fn hanging_calls_count_at_their_age() {
    let mut run = WatchedRun::new(&[
        "response.p50 < 2s over 2s abort",
        "step(\"pay\").response.p50 < 2s over 2s abort",
    ]);
    let mut stopped_at = None;
    for second in 0..12 {
        run.calls(0, CallResult::Ok, if second < 4 { 5 } else { HANGS });
        run.calls(1, CallResult::Ok, 5);
        if let Some(rule) = run.tick(100) {
            stopped_at = Some((run.second, rule));
            break;
        }
    }
    // Half of all calls hang from second 4 on: the median is still 5 ms. Nothing stops.
    assert_eq!(stopped_at, None);
    let mut run = WatchedRun::new(&["response.p50 < 2s over 2s abort"]);
    for second in 0..12 {
        run.calls(0, CallResult::Ok, if second < 4 { 5 } else { HANGS });
        if let Some(rule) = run.tick(100) {
            stopped_at = Some((run.second, rule));
            break;
        }
    }
    // [4, 6) is the first window whose median hangs; at 9 s its youngest call is 3 s old.
    assert_eq!(stopped_at.map(|(second, _)| second), Some(9));
    let judged = run.end();
    assert!(judged[0].at_least && !judged[0].passed);
    assert_eq!(judged[0].worst_at_s, Some(4));
}

#[test]
fn no_window_extends_beyond_the_load() {
    let mut run = WatchedRun::new(&["errors < 50% over 2s"]);
    for _ in 0..5 {
        run.calls(0, CallResult::Ok, 5);
        run.tick(5);
    }
    for _ in 0..5 {
        run.calls(0, CallResult::Failed, 5);
        run.tick(5);
    }
    assert!(run.watch.rules[0].seconds.len() <= 9);
    let snapshot = run.tally.snapshot(None);
    assert!(run.watch.conclude(5 * S, &snapshot)[0].passed);
}
