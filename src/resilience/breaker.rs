//! A circuit breaker: closed, open, half-open (Nygard, *Release It!*), shared by all shards.
//!
//! `board` asks it for each attempt and reports how the attempt ended.
//! Invariant: one atomic word holds its state, so shards agree on each transition and exactly one
//! of them makes it; while it is closed without failures, `admit` and `report` are one load each.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::failure_window::FailureWindow;
pub use super::transition::{AttemptResult, BreakerDecision, StateTransition};
use crate::clock::Time;
use crate::plan::policy::{self, BreakerTrip};
use crate::stats::{BreakerState, TransitionCause};
use crate::units::nanos;

/// The state word: kind, then generation (plus one with each transition), then the counters of the
/// kind: failures in a row (closed), or running and successful probes (half-open).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum StateKind {
    Closed,
    Open,
    HalfOpen,
    HeldOpen,
    HeldClosed,
}

impl Word {
    const KINDS: [StateKind; 5] = [
        StateKind::Closed,
        StateKind::Open,
        StateKind::HalfOpen,
        StateKind::HeldOpen,
        StateKind::HeldClosed,
    ];
    /// All bits but the generation.
    const NOT_GENERATION: u64 = !(0xffff << 32);

    const fn new(kind: StateKind, generation: u16, low: u32) -> Self {
        Self((kind as u64) << 48 | (generation as u64) << 32 | low as u64)
    }

    const fn kind(self) -> StateKind {
        Self::KINDS[(self.0 >> 48) as usize]
    }

    const fn generation(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Failures in a row.
    const fn failures(self) -> u32 {
        self.0 as u32
    }

    /// Running and successful probes.
    const fn probes(self) -> (u32, u32) {
        (self.0 as u32 & 0xffff, self.0 as u32 >> 16)
    }

    const fn half_open(generation: u16, running: u32, succeeded: u32) -> Self {
        Self::new(StateKind::HalfOpen, generation, succeeded << 16 | running)
    }

    /// Returns the word of the next transition, to `kind`.
    const fn next_word(self, kind: StateKind, low: u32) -> Self {
        Self::new(kind, self.generation().wrapping_add(1), low)
    }
}

/// A circuit breaker.
#[derive(Debug)]
pub struct CircuitBreaker {
    policy: policy::BreakerPolicy,
    word: AtomicU64,
    /// When the breaker permits the next probe, ns; read only while open.
    until: AtomicU64,
    window: Option<FailureWindow>,
}

impl CircuitBreaker {
    /// Creates a closed breaker.
    pub fn new(policy: &policy::BreakerPolicy) -> Self {
        let window = match policy.trips {
            BreakerTrip::InARow(_) => None,
            BreakerTrip::Share { window, .. } => Some(FailureWindow::new(nanos(window))),
        };
        Self { policy: policy.clone(), word: AtomicU64::new(0), until: AtomicU64::new(0), window }
    }

    /// Which outcomes count as failures.
    pub fn failure_criteria(&self) -> &policy::FailureCriteria {
        &self.policy.when
    }

    /// State of the breaker.
    pub fn state(&self) -> BreakerState {
        match Word(self.word.load(Relaxed)).kind() {
            StateKind::Closed | StateKind::HeldClosed => BreakerState::Closed,
            StateKind::Open | StateKind::HeldOpen => BreakerState::Open,
            StateKind::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// Whether an attempt would be refused now; changes nothing.
    #[inline]
    pub fn would_refuse(&self, now: Time) -> bool {
        let word = Word(self.word.load(Relaxed));
        match word.kind() {
            StateKind::Closed | StateKind::HeldClosed => false,
            StateKind::Open => now.0 < self.until.load(Relaxed),
            StateKind::HalfOpen => word.probes().0 >= self.policy.probes,
            StateKind::HeldOpen => true,
        }
    }

    /// Decides on an attempt. The end of a permitted attempt is reported with [`Self::report`].
    #[inline]
    pub fn admit(&self, now: Time) -> (BreakerDecision, Option<StateTransition>) {
        if Word(self.word.load(Relaxed)).kind() == StateKind::Closed {
            return (BreakerDecision::Go, None);
        }
        self.admit_not_closed(now)
    }

    #[cold]
    fn admit_not_closed(&self, now: Time) -> (BreakerDecision, Option<StateTransition>) {
        self.step(|word| {
            let (running, succeeded) = word.probes();
            match word.kind() {
                StateKind::Closed | StateKind::HeldClosed => (word, BreakerDecision::Go, None),
                StateKind::Open if now.0 >= self.until.load(Acquire) => {
                    let next = word.next_word(StateKind::HalfOpen, 1);
                    let decision = BreakerDecision::Probe(next.generation());
                    (
                        next,
                        decision,
                        Some(change(
                            BreakerState::Open,
                            BreakerState::HalfOpen,
                            TransitionCause::OpenTimeOver,
                        )),
                    )
                }
                StateKind::HalfOpen if running < self.policy.probes => {
                    let next = Word::half_open(word.generation(), running + 1, succeeded);
                    (next, BreakerDecision::Probe(word.generation()), None)
                }
                StateKind::Open | StateKind::HalfOpen | StateKind::HeldOpen => {
                    (word, BreakerDecision::Refuse, None)
                }
            }
        })
    }

    /// Reports the end of a permitted attempt; `probe`: the generation it was a probe of.
    #[inline]
    pub fn report(
        &self,
        now: Time,
        probe: Option<u16>,
        end: AttemptResult,
    ) -> Option<StateTransition> {
        if probe.is_none() && end == AttemptResult::Success && self.window.is_none() {
            // No failure now, and none before: nothing to count.
            if self.word.load(Relaxed) & Word::NOT_GENERATION == 0 {
                return None;
            }
        }
        match probe {
            None => self.count(now, end),
            Some(generation) => self.finish_probe(now, generation, end),
        }
    }

    /// Counts an attempt that was sent while the breaker was closed. If the breaker has opened
    /// since, the result says nothing about the current state.
    fn count(&self, now: Time, end: AttemptResult) -> Option<StateTransition> {
        if end == AttemptResult::Unknown
            || Word(self.word.load(Relaxed)).kind() != StateKind::Closed
        {
            return None;
        }
        let shares =
            self.window.as_ref().map(|window| window.count(now, end == AttemptResult::Failure));
        let trips = |failures: u32| match (self.policy.trips, shares) {
            (BreakerTrip::InARow(most), _) => {
                (failures >= most).then_some(TransitionCause::InARow { failures })
            }
            (BreakerTrip::Share { share, least, .. }, Some((failed, all))) => {
                let enough = end == AttemptResult::Failure && all >= least;
                (enough && f64::from(failed) >= share * f64::from(all))
                    .then_some(TransitionCause::Share { failures: failed, attempts: all })
            }
            (BreakerTrip::Share { .. }, None) => None,
        };
        self.step(|word| {
            if word.kind() != StateKind::Closed {
                return (word, (), None);
            }
            let failures = match end {
                AttemptResult::Failure => word.failures().saturating_add(1),
                AttemptResult::Success | AttemptResult::Unknown => 0,
            };
            match trips(failures) {
                None => (Word::new(StateKind::Closed, word.generation(), failures), (), None),
                Some(why) => (
                    self.open(word, now),
                    (),
                    Some(change(BreakerState::Closed, BreakerState::Open, why)),
                ),
            }
        })
        .1
    }

    fn finish_probe(
        &self,
        now: Time,
        generation: u16,
        end: AttemptResult,
    ) -> Option<StateTransition> {
        self.step(|word| {
            let (running, succeeded) = word.probes();
            if word.kind() != StateKind::HalfOpen || word.generation() != generation {
                // Another probe has decided already.
                return (word, (), None);
            }
            let running = running.saturating_sub(1);
            match end {
                AttemptResult::Unknown => {
                    (Word::half_open(generation, running, succeeded), (), None)
                }
                AttemptResult::Failure => {
                    let why = TransitionCause::ProbeFailed;
                    (
                        self.open(word, now),
                        (),
                        Some(change(BreakerState::HalfOpen, BreakerState::Open, why)),
                    )
                }
                AttemptResult::Success if succeeded + 1 >= self.policy.successes => {
                    self.window.as_ref().inspect(|window| window.clear());
                    let why = TransitionCause::ProbesSucceeded { probes: succeeded + 1 };
                    let next = word.next_word(StateKind::Closed, 0);
                    (next, (), Some(change(BreakerState::HalfOpen, BreakerState::Closed, why)))
                }
                AttemptResult::Success => {
                    (Word::half_open(generation, running, succeeded + 1), (), None)
                }
            }
        })
        .1
    }

    /// Forces it open or closed, or returns it to automatic operation.
    pub fn force(&self, to: Option<BreakerState>) -> Option<StateTransition> {
        let (kind, state) = match to {
            Some(BreakerState::Open) => (StateKind::HeldOpen, BreakerState::Open),
            Some(BreakerState::Closed | BreakerState::HalfOpen) => {
                (StateKind::HeldClosed, BreakerState::Closed)
            }
            None => (StateKind::Closed, BreakerState::Closed),
        };
        self.window.as_ref().inspect(|window| window.clear());
        let transition = self.step(|word| {
            let from = match word.kind() {
                StateKind::Closed | StateKind::HeldClosed => BreakerState::Closed,
                StateKind::Open | StateKind::HeldOpen => BreakerState::Open,
                StateKind::HalfOpen => BreakerState::HalfOpen,
            };
            if word.kind() == kind {
                // The counters are reset all the same.
                return (Word::new(kind, word.generation(), 0), (), None);
            }
            (word.next_word(kind, 0), (), Some(change(from, state, TransitionCause::Forced)))
        });
        transition.1
    }

    fn open(&self, word: Word, now: Time) -> Word {
        // A shard that makes the transition at the same moment writes nearly the same value.
        self.until.store(now.after(nanos(self.policy.open)).0, Relaxed);
        word.next_word(StateKind::Open, 0)
    }

    /// Moves atomically from one word to the next; the value of `next` counts only for the caller
    /// that makes the move.
    fn step<T>(
        &self,
        mut next: impl FnMut(Word) -> (Word, T, Option<StateTransition>),
    ) -> (T, Option<StateTransition>) {
        let mut word = self.word.load(Acquire);
        loop {
            let (to, value, change) = next(Word(word));
            if to.0 == word {
                return (value, change);
            }
            match self.word.compare_exchange_weak(
                word,
                to.0,
                std::sync::atomic::Ordering::AcqRel,
                Acquire,
            ) {
                Ok(_) => return (value, change),
                Err(seen) => word = seen,
            }
        }
    }
}

const fn change(from: BreakerState, to: BreakerState, why: TransitionCause) -> StateTransition {
    StateTransition { from, to, why }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
