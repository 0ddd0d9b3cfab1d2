//! Windows: when they are judged, and what they see.

use super::*;
use crate::clock::Time as At;
use crate::stats::outcome::{AttemptOutcome, CallResult};
use crate::stats::sample::{Sample, SeriesLayout};
use crate::stats::{Gauges, Recorder, Tally};
use crate::verdict::scope::Subject;

const S: u64 = 1_000_000_000;

/// One shard's run, second by second, and what the rules make of it.
struct World {
    recorder: Recorder,
    tally: Tally,
    watch: Watch,
    second: u64,
}

impl World {
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

    /// Ten calls of a series in the second under way, with this fate after so long.
    fn calls(&mut self, step: usize, fate: CallResult, took_ms: u64) {
        for k in 0..10 {
            let intended_ns = self.second * S + k * S / 20;
            self.recorder.begin_call(0, step, intended_ns, At(intended_ns));
            if took_ms == HANGS {
                continue;
            }
            let took = took_ms * 1_000_000;
            // Other work showed all the time that the loop ran.
            self.recorder.loop_begins(At(intended_ns + took));
            let sample = Sample {
                workload: 0,
                step,
                intended_ns,
                lag_ns: 0,
                blocked_ns: 0,
                service_ns: took,
                response_ns: took,
                stalled_ns: 0,
                in_flight_ns: took,
                outcome: AttemptOutcome::Responded(if fate == CallResult::Ok { 200 } else { 503 }),
                fate,
            };
            self.recorder.end_call(&sample, At(intended_ns + took));
        }
    }

    /// The second is over: what is told to stop the run.
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
fn every_window_has_to_hold_and_the_worst_is_shown() {
    let mut world = World::new(&[
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
        world.calls(0, if second == 7 { CallResult::Failed } else { CallResult::Ok }, 5);
        world.calls(1, CallResult::Ok, 5);
        assert_eq!(world.tick(100), None);
    }
    let judged = world.end();
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
fn an_empty_window_is_no_pass_and_no_reason_to_stop() {
    let mut world = World::new(&["errors < 50% over 1s abort", "response.p95 < 1s over 3s"]);
    for second in 0..10 {
        if second != 4 {
            world.calls(0, CallResult::Ok, 5);
        }
        assert_eq!(world.tick(100), None);
    }
    let judged = world.end();
    assert_eq!(
        (judged[0].passed, judged[0].observed, judged[0].worst_at_s),
        (false, None, Some(4))
    );
    assert!(judged[1].passed);
}

#[test]
fn a_rule_stops_the_run_when_its_window_is_over_and_not_before_it_may() {
    let mut world = World::new(&["errors < 20% over 3s after 5s abort"]);
    let mut told = None;
    for second in 0..12 {
        world.calls(0, if second < 4 { CallResult::Failed } else { CallResult::Ok }, 5);
        world.calls(1, if second == 8 { CallResult::Failed } else { CallResult::Ok }, 5);
        if told.is_none() && world.tick(100).is_some() {
            told = Some(world.second);
        }
    }
    // Seconds 0 to 4 are not judged; 10 of 60 in [6, 9) is 17 %: it holds to the end.
    assert_eq!(told, None);
    let mut world = World::new(&["errors < 20% over 3s after 5s abort", "errors < 10% abort"]);
    world.calls(0, CallResult::Failed, 5);
    assert_eq!(world.tick(100).as_deref(), Some("errors < 10% abort"));
    for second in 1..12 {
        world.calls(0, if second == 8 { CallResult::Failed } else { CallResult::Ok }, 5);
        if let Some(rule) = world.tick(100) {
            assert_eq!(rule, "errors < 20% over 3s after 5s abort");
            told = Some(world.second);
            break;
        }
    }
    // The window [6, 9) fails; a second later all shards have shed past its end.
    assert_eq!(told, Some(10));
    let judged = world.end();
    assert_eq!((judged[0].passed, judged[0].worst_at_s), (false, Some(6)));
    assert!(!judged[1].passed, "what stopped a run stays failed");
}

#[test]
fn calls_that_hang_count_at_their_age() {
    let mut world = World::new(&[
        "response.p50 < 2s over 2s abort",
        "step(\"pay\").response.p50 < 2s over 2s abort",
    ]);
    let mut told = None;
    for second in 0..12 {
        world.calls(0, CallResult::Ok, if second < 4 { 5 } else { HANGS });
        world.calls(1, CallResult::Ok, 5);
        if let Some(rule) = world.tick(100) {
            told = Some((world.second, rule));
            break;
        }
    }
    // Half of all calls hang from second 4 on: the median is still 5 ms. Nothing stops.
    assert_eq!(told, None);
    let mut world = World::new(&["response.p50 < 2s over 2s abort"]);
    for second in 0..12 {
        world.calls(0, CallResult::Ok, if second < 4 { 5 } else { HANGS });
        if let Some(rule) = world.tick(100) {
            told = Some((world.second, rule));
            break;
        }
    }
    // [4, 6) is the first window whose median hangs; at 9 s its youngest call is 3 s old.
    assert_eq!(told.map(|(second, _)| second), Some(9));
    let judged = world.end();
    assert!(judged[0].at_least && !judged[0].passed);
    assert_eq!(judged[0].worst_at_s, Some(4));
}

#[test]
fn no_window_goes_beyond_the_load() {
    let mut world = World::new(&["errors < 50% over 2s"]);
    for _ in 0..5 {
        world.calls(0, CallResult::Ok, 5);
        world.tick(5);
    }
    for _ in 0..5 {
        world.calls(0, CallResult::Failed, 5);
        world.tick(5);
    }
    assert!(world.watch.rules[0].seconds.len() <= 9);
    let snapshot = world.tally.snapshot(None);
    assert!(world.watch.conclude(5 * S, &snapshot)[0].passed);
}
