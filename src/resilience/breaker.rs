//! A circuit breaker: closed, open, half-open (Nygard, *Release It!*), shared by all shards.
//!
//! `board` asks it for each attempt and tells it how the attempt ended.
//! Invariant: one word holds its state, so shards agree on each transition and exactly one of them
//! makes it; while it is closed and all is well, asking and telling are one load each.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::clock::Time;
use crate::plan::policy::{self, BreakerTrip};
use crate::units::nanos;

/// What a breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything goes through.
    Closed,
    /// Nothing does.
    Open,
    /// A few probes do.
    HalfOpen,
}

impl BreakerState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// How an attempt ended, as far as a breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// Well.
    Success,
    /// Badly, in a way that counts.
    Failure,
    /// Neither: cut, or our own fault.
    Unknown,
}

/// What a breaker says to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerDecision {
    /// Go.
    Go,
    /// Go, as a probe of this generation: its end decides.
    Probe(u16),
    /// Do not go.
    Refuse,
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateTransition {
    /// From.
    pub from: BreakerState,
    /// To.
    pub to: BreakerState,
    /// Why.
    pub why: TransitionCause,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TransitionCause {
    /// So many failures in a row.
    InARow(u32),
    /// So many failures among so many attempts.
    Share(u32, u32),
    /// It was open long enough.
    Rested,
    /// So many probes in a row went well.
    Probed(u32),
    /// A probe failed.
    ProbeFailed,
    /// Somebody said so.
    Told,
}

impl std::fmt::Display for TransitionCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count} failures in a row"),
            Self::Share(failed, all) => write!(f, "{failed} of {all} attempts failed"),
            Self::Rested => f.write_str("it was open long enough: a probe goes first"),
            Self::Probed(1) => f.write_str("the probe went well"),
            Self::Probed(count) => write!(f, "{count} probes in a row went well"),
            Self::ProbeFailed => f.write_str("the probe failed"),
            Self::Told => f.write_str("somebody said so"),
        }
    }
}

/// The state word: kind, then generation (one more with each transition), then what the kind
/// counts: failures in a row (closed), or probes under way and probes that went well (half-open).
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
    /// All but the generation.
    const BUSY: u64 = !(0xffff << 32);

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

    /// Probes under way, and those that went well.
    const fn probes(self) -> (u32, u32) {
        (self.0 as u32 & 0xffff, self.0 as u32 >> 16)
    }

    const fn half_open(generation: u16, out: u32, well: u32) -> Self {
        Self::new(StateKind::HalfOpen, generation, well << 16 | out)
    }

    /// The next transition, to `kind`.
    const fn then(self, kind: StateKind, low: u32) -> Self {
        Self::new(kind, self.generation().wrapping_add(1), low)
    }
}

/// A breaker.
#[derive(Debug)]
pub struct CircuitBreaker {
    law: policy::BreakerPolicy,
    word: AtomicU64,
    /// When it may let a probe through; read only while open.
    until: AtomicU64,
    window: Option<FailureWindow>,
}

impl CircuitBreaker {
    /// A closed one.
    pub fn new(law: &policy::BreakerPolicy) -> Self {
        let window = match law.trips {
            BreakerTrip::InARow(_) => None,
            BreakerTrip::Share { window, .. } => Some(FailureWindow::new(nanos(window))),
        };
        Self { law: law.clone(), word: AtomicU64::new(0), until: AtomicU64::new(0), window }
    }

    /// What counts as a failure.
    pub fn when(&self) -> &policy::FailureCriteria {
        &self.law.when
    }

    /// Its state.
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
            StateKind::HalfOpen => word.probes().0 >= self.law.probes,
            StateKind::HeldOpen => true,
        }
    }

    /// Whether an attempt may go. One that may is answered for later with [`Self::report`].
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
            let (out, well) = word.probes();
            match word.kind() {
                StateKind::Closed | StateKind::HeldClosed => (word, BreakerDecision::Go, None),
                StateKind::Open if now.0 >= self.until.load(Acquire) => {
                    let next = word.then(StateKind::HalfOpen, 1);
                    let verdict = BreakerDecision::Probe(next.generation());
                    (
                        next,
                        verdict,
                        Some(change(
                            BreakerState::Open,
                            BreakerState::HalfOpen,
                            TransitionCause::Rested,
                        )),
                    )
                }
                StateKind::HalfOpen if out < self.law.probes => {
                    let next = Word::half_open(word.generation(), out + 1, well);
                    (next, BreakerDecision::Probe(word.generation()), None)
                }
                StateKind::Open | StateKind::HalfOpen | StateKind::HeldOpen => {
                    (word, BreakerDecision::Refuse, None)
                }
            }
        })
    }

    /// An attempt that was let through has ended; `probe` is the generation it was a probe of.
    #[inline]
    pub fn report(
        &self,
        now: Time,
        probe: Option<u16>,
        end: AttemptResult,
    ) -> Option<StateTransition> {
        if probe.is_none() && end == AttemptResult::Success && self.window.is_none() {
            // All is well, and was: nothing to count.
            if self.word.load(Relaxed) & Word::BUSY == 0 {
                return None;
            }
        }
        match probe {
            None => self.count(now, end),
            Some(generation) => self.probed(now, generation, end),
        }
    }

    /// An attempt made while it was closed has ended. One that ends later tells nothing about how
    /// things stand now.
    fn count(&self, now: Time, end: AttemptResult) -> Option<StateTransition> {
        if end == AttemptResult::Unknown
            || Word(self.word.load(Relaxed)).kind() != StateKind::Closed
        {
            return None;
        }
        let shares =
            self.window.as_ref().map(|window| window.count(now, end == AttemptResult::Failure));
        let trips = |failures: u32| match (self.law.trips, shares) {
            (BreakerTrip::InARow(most), _) => {
                (failures >= most).then_some(TransitionCause::InARow(failures))
            }
            (BreakerTrip::Share { share, least, .. }, Some((failed, all))) => {
                let enough = end == AttemptResult::Failure && all >= least;
                (enough && f64::from(failed) >= share * f64::from(all))
                    .then_some(TransitionCause::Share(failed, all))
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

    fn probed(&self, now: Time, generation: u16, end: AttemptResult) -> Option<StateTransition> {
        self.step(|word| {
            let (out, well) = word.probes();
            if word.kind() != StateKind::HalfOpen || word.generation() != generation {
                // Another probe has decided before.
                return (word, (), None);
            }
            let out = out.saturating_sub(1);
            match end {
                AttemptResult::Unknown => (Word::half_open(generation, out, well), (), None),
                AttemptResult::Failure => {
                    let why = TransitionCause::ProbeFailed;
                    (
                        self.open(word, now),
                        (),
                        Some(change(BreakerState::HalfOpen, BreakerState::Open, why)),
                    )
                }
                AttemptResult::Success if well + 1 >= self.law.successes => {
                    self.window.as_ref().inspect(|window| window.forget());
                    let why = TransitionCause::Probed(well + 1);
                    let next = word.then(StateKind::Closed, 0);
                    (next, (), Some(change(BreakerState::HalfOpen, BreakerState::Closed, why)))
                }
                AttemptResult::Success => (Word::half_open(generation, out, well + 1), (), None),
            }
        })
        .1
    }

    /// Holds it open or closed, or lets it follow what it sees again.
    pub fn force(&self, to: Option<BreakerState>) -> Option<StateTransition> {
        let (kind, state) = match to {
            Some(BreakerState::Open) => (StateKind::HeldOpen, BreakerState::Open),
            Some(BreakerState::Closed | BreakerState::HalfOpen) => {
                (StateKind::HeldClosed, BreakerState::Closed)
            }
            None => (StateKind::Closed, BreakerState::Closed),
        };
        self.window.as_ref().inspect(|window| window.forget());
        let told = self.step(|word| {
            let from = match word.kind() {
                StateKind::Closed | StateKind::HeldClosed => BreakerState::Closed,
                StateKind::Open | StateKind::HeldOpen => BreakerState::Open,
                StateKind::HalfOpen => BreakerState::HalfOpen,
            };
            if word.kind() == kind {
                // What it counted is forgotten all the same.
                return (Word::new(kind, word.generation(), 0), (), None);
            }
            (word.then(kind, 0), (), Some(change(from, state, TransitionCause::Told)))
        });
        told.1
    }

    fn open(&self, word: Word, now: Time) -> Word {
        // Whoever makes the transition in the same moment writes nearly the same.
        self.until.store(now.after(nanos(self.law.open)).0, Relaxed);
        word.then(StateKind::Open, 0)
    }

    /// Goes from one word to the next; what `next` says counts only for whoever made it.
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

/// Attempts and failures of the last stretch of time, in ten buckets.
#[derive(Debug)]
struct FailureWindow {
    bucket_ns: u64,
    /// Each: the bucket's number (24 bits), attempts and failures in it (20 bits each).
    buckets: [AtomicU64; 10],
}

impl FailureWindow {
    const MOST: u64 = 0xf_ffff;

    fn new(length_ns: u64) -> Self {
        Self { bucket_ns: (length_ns / 10).max(1), buckets: Default::default() }
    }

    /// Counts an attempt; failures and attempts of the window with it.
    fn count(&self, now: Time, failed: bool) -> (u32, u32) {
        // From one, so that an empty bucket is none of now.
        let number = now.0 / self.bucket_ns + 10;
        let stamp = number & 0xff_ffff;
        let bucket = &self.buckets[(number % 10) as usize];
        let _ = bucket.fetch_update(Relaxed, Relaxed, |old| {
            let old = if old >> 40 == stamp { old } else { stamp << 40 };
            let all = (old >> 20 & Self::MOST) + 1;
            let bad = (old & Self::MOST) + u64::from(failed);
            Some(stamp << 40 | all.min(Self::MOST) << 20 | bad.min(Self::MOST))
        });
        let recent = |old: u64| (0..10).any(|ago| old >> 40 == (number - ago) & 0xff_ffff);
        let words = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        words.filter(|old| recent(*old)).fold((0, 0), |(bad, all), old| {
            (bad + (old & Self::MOST) as u32, all + (old >> 20 & Self::MOST) as u32)
        })
    }

    fn forget(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
