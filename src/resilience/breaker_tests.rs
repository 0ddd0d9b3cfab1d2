//! Expected sequences of breaker states, and properties of all sequences.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::policy::{BreakerPolicy as Law, BreakerTrip};

const S: u64 = 1_000_000_000;

fn policy(failures: u32) -> Law {
    Law::in_a_row(failures, Duration::from_secs(10))
}

/// Runs a script: `+` a success, `-` a failure, `?` an unknown end, each of an attempt that starts
/// and ends at once; `p` an attempt that keeps running; numbers are seconds that pass.
fn run_script(breaker: &CircuitBreaker, run_script: &str) -> String {
    let (mut now, mut seen, mut out) = (Time(0), String::new(), Vec::new());
    for what in run_script.split_whitespace() {
        let end = match what {
            "+" => Some(AttemptResult::Success),
            "-" => Some(AttemptResult::Failure),
            "?" => Some(AttemptResult::Unknown),
            _ => None,
        };
        if let Ok(seconds) = what.parse::<u64>() {
            now = now.after(seconds * S);
            continue;
        }
        if let Some((how, end)) = what.strip_prefix('p').and_then(|how| {
            let end = match how {
                "+" => AttemptResult::Success,
                "-" => AttemptResult::Failure,
                _ => return None,
            };
            Some((how, end))
        }) {
            // The attempt that has run longest ends.
            let probe = out.remove(0);
            breaker.report(now, probe, end);
            seen.push_str(how);
        } else {
            let (decision, _) = breaker.admit(now);
            let probe = match decision {
                BreakerDecision::Go => Some(None),
                BreakerDecision::Probe(generation) => Some(Some(generation)),
                BreakerDecision::Refuse => None,
            };
            match (probe, end) {
                (None, _) => seen.push('x'),
                (Some(probe), None) => out.push(probe),
                (Some(probe), Some(end)) => {
                    breaker.report(now, probe, end);
                }
            }
        }
        seen.push_str(match breaker.state() {
            BreakerState::Closed => "c",
            BreakerState::Open => "o",
            BreakerState::HalfOpen => "h",
        });
    }
    seen
}

#[test]
fn script_gives_expected_states() {
    for (policy, steps, seen) in [
        // Five in a row open it; a success in between resets the count.
        (policy(5), "- - - - + - - - - -", "ccccccccco"),
        // Nothing passes for ten seconds, then one probe; it closes.
        (policy(1), "- + 9 + 1 + +", "oxoxocc"),
        // A failed probe opens it for the same time again.
        (policy(1), "- 10 - 9 + 1 +", "ooxoc"),
        // While a probe runs no other attempt passes; its result decides.
        (policy(1), "- 10 p + p+ +", "ohxh+cc"),
        // An attempt sent before it opened does not count once it is open.
        (policy(1), "p - p+", "co+o"),
        // Nor once it is half-open, where only probes count.
        (policy(1), "p - 10 p p-", "coh-h"),
        // An unknown end frees the probe's place.
        (policy(1), "- 10 ? +", "ohc"),
        // Unknown ends do not count while closed.
        (policy(2), "- ? -", "cco"),
        // Two probes at once, three have to succeed.
        (Law { probes: 2, successes: 3, ..policy(1) }, "- 10 p p p p+ p+ + +", "ohhxh+h+hcc"),
    ] {
        assert_eq!(run_script(&CircuitBreaker::new(&policy), steps), seen, "{steps}");
    }
}

#[test]
fn failure_share_of_window_opens() {
    let trips = BreakerTrip::Share { share: 0.5, window: Duration::from_secs(10), least: 4 };
    let policy = Law { trips, ..policy(1) };
    for (steps, seen) in [
        // Three failures are too few to decide; the fourth attempt makes it 3 of 4, but a success
        // never opens: the next failure does.
        ("- - - + -", "cccco"),
        // Results older than the window do not count.
        ("- - - 11 + -", "ccccc"),
        // A third is less than a half.
        ("+ + - + + - + + -", "ccccccccc"),
        // After closing, it starts with an empty window.
        ("- - - - 10 + - - - -", "cccocccco"),
    ] {
        assert_eq!(run_script(&CircuitBreaker::new(&policy), steps), seen, "{steps}");
    }
}

#[test]
fn forced_breaker_ignores_results() {
    let breaker = CircuitBreaker::new(&policy(1));
    assert_eq!(
        breaker.force(Some(BreakerState::Open)).map(|change| change.why),
        Some(TransitionCause::Forced)
    );
    assert_eq!(breaker.force(Some(BreakerState::Open)), None);
    assert_eq!(run_script(&breaker, "+ 100 +"), "xoxo");
    breaker.force(Some(BreakerState::Closed));
    assert_eq!(run_script(&breaker, "- - -"), "ccc");
    breaker.force(None);
    assert_eq!(run_script(&breaker, "-"), "o");
    // A reset also clears the counters of a closed breaker.
    let breaker = CircuitBreaker::new(&policy(2));
    assert_eq!(run_script(&breaker, "-"), "c");
    assert_eq!(breaker.force(None), None);
    assert_eq!(run_script(&breaker, "- -"), "co");
}

#[test]
fn only_one_shard_makes_a_transition() {
    let breaker = CircuitBreaker::new(&policy(1_000));
    let changes: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..500)
                        .filter(|_| breaker.report(Time(0), None, AttemptResult::Failure).is_some())
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((changes, breaker.state()), (1, BreakerState::Open));
}

proptest! {
    /// Never more probes at once than allowed; an open breaker permits nothing before its time; the
    /// only transitions are those of the pattern.
    #[test]
    fn invariants_hold_for_every_script(
        steps in prop::collection::vec((0u64..4, 0u8..3, 0usize..4), 1..300),
        failures in 1u32..4, probes in 1u32..3, successes in 1u32..4,
    ) {
        let breaker = CircuitBreaker::new(&Law { probes, successes, ..policy(failures) });
        let (mut now, mut out, mut opened) = (Time(0), Vec::new(), Time(0));
        let mut follow = |change: Option<StateTransition>, before: BreakerState, now: Time| {
            if let Some(change) = change {
                assert_eq!(change.from, before);
                assert!(matches!(
                    (change.from, change.to),
                    (BreakerState::Closed, BreakerState::Open)
                        | (BreakerState::Open, BreakerState::HalfOpen)
                        | (BreakerState::HalfOpen, BreakerState::Open | BreakerState::Closed)
                ));
                if change.to == BreakerState::Open {
                    opened = now;
                }
            }
            opened
        };
        for (wait, what, which) in steps {
            now = now.after(wait * S);
            let before = breaker.state();
            if what == 0 || out.is_empty() {
                let refuses = breaker.would_refuse(now);
                let (decision, change) = breaker.admit(now);
                let opened = follow(change, before, now);
                prop_assert_eq!(refuses, decision == BreakerDecision::Refuse);
                match decision {
                    BreakerDecision::Go => {
                        prop_assert_eq!(before, BreakerState::Closed);
                        out.push(None);
                    }
                    BreakerDecision::Probe(generation) => {
                        let is_time = now >= opened.after(10 * S);
                        prop_assert!(is_time || before == BreakerState::HalfOpen);
                        out.push(Some(generation));
                        let current = out.iter().filter(|one| **one == Some(generation)).count();
                        prop_assert!(current <= probes as usize + successes as usize);
                    }
                    BreakerDecision::Refuse => prop_assert_ne!(before, BreakerState::Closed),
                }
            } else {
                let ends =
                    [AttemptResult::Success, AttemptResult::Failure, AttemptResult::Unknown];
                let end = ends[usize::from(what)];
                let change = breaker.report(now, out.swap_remove(which % out.len()), end);
                follow(change, before, now);
            }
        }
    }
}
