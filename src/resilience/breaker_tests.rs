//! Golden walks of the breaker, and what holds on all of them.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::policy::{BreakerPolicy as Law, BreakerTrip};

const S: u64 = 1_000_000_000;

fn law(failures: u32) -> Law {
    Law::in_a_row(failures, Duration::from_secs(10))
}

/// One thing that happens to a breaker: `+` a success, `-` a failure, `?` an unknown end, each of
/// an attempt made and ended at once; `p` an attempt that stays out; numbers are seconds that pass.
fn walk(breaker: &CircuitBreaker, walk: &str) -> String {
    let (mut now, mut seen, mut out) = (Time(0), String::new(), Vec::new());
    for what in walk.split_whitespace() {
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
            // The attempt that has been out for longest ends.
            let probe = out.remove(0);
            breaker.report(now, probe, end);
            seen.push_str(how);
        } else {
            let (verdict, _) = breaker.admit(now);
            let probe = match verdict {
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
fn golden_walks() {
    for (law, steps, seen) in [
        // Five in a row open it; a success in between begins anew.
        (law(5), "- - - - + - - - - -", "ccccccccco"),
        // Nothing goes through for ten seconds, then one probe; it closes.
        (law(1), "- + 9 + 1 + +", "oxoxocc"),
        // A probe that fails opens it for as long again.
        (law(1), "- 10 - 9 + 1 +", "ooxoc"),
        // While a probe is out nobody else goes; its end decides.
        (law(1), "- 10 p + p+ +", "ohxh+cc"),
        // What was let through before it opened says nothing once it is open.
        (law(1), "p - p+", "co+o"),
        // Nor once it is half-open, where only probes count.
        (law(1), "p - 10 p p-", "coh-h"),
        // An end that is neither frees the probe's place.
        (law(1), "- 10 ? +", "ohc"),
        // Unknown ends count for nothing while closed.
        (law(2), "- ? -", "cco"),
        // Two probes at once, three have to go well.
        (Law { probes: 2, successes: 3, ..law(1) }, "- 10 p p p p+ p+ + +", "ohhxh+h+hcc"),
    ] {
        assert_eq!(walk(&CircuitBreaker::new(&law), steps), seen, "{steps}");
    }
}

#[test]
fn a_share_of_a_window_opens_it() {
    let trips = BreakerTrip::Share { share: 0.5, window: Duration::from_secs(10), least: 4 };
    let law = Law { trips, ..law(1) };
    for (steps, seen) in [
        // Three failures are too few to judge by; the fourth attempt makes it 3 of 4, but a
        // success opens nothing: the next failure does.
        ("- - - + -", "cccco"),
        // What is older than the window is forgotten.
        ("- - - 11 + -", "ccccc"),
        // A third of all is less than a half.
        ("+ + - + + - + + -", "ccccccccc"),
        // Closed again it begins without a past.
        ("- - - - 10 + - - - -", "cccocccco"),
    ] {
        assert_eq!(walk(&CircuitBreaker::new(&law), steps), seen, "{steps}");
    }
}

#[test]
fn who_is_told_follows_nothing_else() {
    let breaker = CircuitBreaker::new(&law(1));
    assert_eq!(
        breaker.force(Some(BreakerState::Open)).map(|change| change.why),
        Some(TransitionCause::Told)
    );
    assert_eq!(breaker.force(Some(BreakerState::Open)), None);
    assert_eq!(walk(&breaker, "+ 100 +"), "xoxo");
    breaker.force(Some(BreakerState::Closed));
    assert_eq!(walk(&breaker, "- - -"), "ccc");
    breaker.force(None);
    assert_eq!(walk(&breaker, "-"), "o");
    // Who is told to forget does so also when it is closed.
    let breaker = CircuitBreaker::new(&law(2));
    assert_eq!(walk(&breaker, "-"), "c");
    assert_eq!(breaker.force(None), None);
    assert_eq!(walk(&breaker, "- -"), "co");
}

#[test]
fn shards_agree_on_one_transition() {
    let breaker = CircuitBreaker::new(&law(1_000));
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
    /// Never more probes at once than allowed; an open breaker lets nothing through before its
    /// time; transitions are only those of the textbook.
    #[test]
    fn on_every_walk(
        steps in prop::collection::vec((0u64..4, 0u8..3, 0usize..4), 1..300),
        failures in 1u32..4, probes in 1u32..3, successes in 1u32..4,
    ) {
        let breaker = CircuitBreaker::new(&Law { probes, successes, ..law(failures) });
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
                let (verdict, change) = breaker.admit(now);
                let opened = follow(change, before, now);
                prop_assert_eq!(refuses, verdict == BreakerDecision::Refuse);
                match verdict {
                    BreakerDecision::Go => {
                        prop_assert_eq!(before, BreakerState::Closed);
                        out.push(None);
                    }
                    BreakerDecision::Probe(generation) => {
                        prop_assert!(now >= opened.after(10 * S) || before == BreakerState::HalfOpen);
                        out.push(Some(generation));
                        let current = out.iter().filter(|one| **one == Some(generation)).count();
                        prop_assert!(current <= probes as usize + successes as usize);
                    }
                    BreakerDecision::Refuse => prop_assert_ne!(before, BreakerState::Closed),
                }
            } else {
                let end = [AttemptResult::Success, AttemptResult::Failure, AttemptResult::Unknown][usize::from(what)];
                let change = breaker.report(now, out.swap_remove(which % out.len()), end);
                follow(change, before, now);
            }
        }
    }
}
