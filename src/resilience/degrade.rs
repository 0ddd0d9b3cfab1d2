//! Degradation levels: how much of the load is left out while the target is overloaded.
//!
//! `run::supervisor` feeds it each second; the level goes to all shards.
//! Invariant: the level worsens as far as needed at once, and improves one step at a time; it is
//! judged by calls that were sent, so a level that sends nothing cannot sustain itself.

use std::collections::VecDeque;

use crate::plan::policy::{DegradationLevel, DegradationPolicy};
use crate::stats::{ChangeCause, Histogram};
use crate::units::nanos;

/// Fewer calls than this are no evidence.
const MIN_CALLS: u64 = 20;

/// By how much the memory use must rise to count as an emergency again, as a share of the budget.
const MEMORY_STEP: f64 = 0.02;

/// A second's calls that were sent and have ended.
#[derive(Clone, Debug, Default)]
pub struct SecondStats {
    /// Number of calls.
    pub calls: u64,
    /// Errors among them.
    pub errors: u64,
    /// Service times of the attempts, timeouts included.
    pub service: Histogram,
}

/// The degradation policy with its state.
#[derive(Clone, Debug)]
pub struct DegradationController {
    policy: DegradationPolicy,
    level: DegradationLevel,
    /// The last seconds, and when each ended, ns.
    recent: VecDeque<(u64, SecondStats)>,
    /// Since when the level has not been needed, ns.
    unneeded_ns: Option<u64>,
    /// The memory share above which there is an emergency now, and since when there has been one,
    /// ns.
    memory_limit: f64,
    full_ns: Option<u64>,
}

impl DegradationController {
    /// Creates a controller at the normal level.
    pub fn new(policy: DegradationPolicy) -> Self {
        let memory_limit = policy.memory;
        let recent = VecDeque::new();
        Self {
            policy,
            level: DegradationLevel::Normal,
            recent,
            unneeded_ns: None,
            memory_limit,
            full_ns: None,
        }
    }

    /// The current level.
    pub fn level(&self) -> DegradationLevel {
        self.level
    }

    /// Evaluates a second; `memory`: share of the budget in use. Returns the new level and why, if
    /// it changes.
    pub fn evaluate_second(
        &mut self,
        now_ns: u64,
        second: SecondStats,
        memory: Option<f64>,
    ) -> Option<(DegradationLevel, ChangeCause)> {
        self.recent.push_back((now_ns, second));
        let oldest = now_ns.saturating_sub(nanos(self.policy.window));
        while self.recent.front().is_some_and(|(at, _)| *at <= oldest) {
            self.recent.pop_front();
        }
        self.judge_memory(now_ns, memory);
        let (needed, cause) = self.required_level(memory);
        if let Some(cause) = cause.filter(|_| needed > self.level) {
            self.unneeded_ns = None;
            return Some(self.set_level(needed, cause));
        }
        if needed == self.level {
            self.unneeded_ns = None;
            return None;
        }
        let since = *self.unneeded_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since) < nanos(self.policy.recover) {
            return None;
        }
        // One step at a time: the calls that the level left out must first prove healthy again.
        self.unneeded_ns = Some(now_ns);
        let better = DegradationLevel::ALL[self.level as usize - 1];
        let cause = ChangeCause::NotNeeded { lasted: self.policy.recover };
        Some(self.set_level(better, cause))
    }

    /// Memory counts as an emergency while leaving calls out may help: if that has freed none
    /// within `recover`, it counts again only when more is used.
    fn judge_memory(&mut self, now_ns: u64, memory: Option<f64>) {
        let share = memory.unwrap_or(0.0);
        if share <= self.policy.memory {
            (self.memory_limit, self.full_ns) = (self.policy.memory, None);
        } else if share > self.memory_limit {
            let since = *self.full_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since) >= nanos(self.policy.recover) {
                (self.memory_limit, self.full_ns) = (share + MEMORY_STEP, None);
            }
        }
    }

    fn set_level(
        &mut self,
        level: DegradationLevel,
        cause: ChangeCause,
    ) -> (DegradationLevel, ChangeCause) {
        // Results at another level say nothing about this one.
        self.recent.clear();
        self.level = level;
        (level, cause)
    }

    /// Returns the level that the recent seconds require, and why; `None`: there is too little
    /// data.
    fn required_level(&self, memory: Option<f64>) -> (DegradationLevel, Option<ChangeCause>) {
        if let Some(share) = memory.filter(|share| *share > self.memory_limit) {
            let cause = ChangeCause::MemoryInUse { share, full_in_s: None };
            return (DegradationLevel::Emergency, Some(cause));
        }
        let mut all = SecondStats::default();
        for (_, second) in &self.recent {
            all.calls += second.calls;
            all.errors += second.errors;
            all.service.merge(&second.service);
        }
        if all.calls < MIN_CALLS {
            return (DegradationLevel::Normal, None);
        }
        let errors = all.errors as f64 / all.calls as f64;
        let by_errors = self.policy.errors.iter().filter(|limit| errors > **limit).count();
        let p95_us = all.service.percentile_us(95.0);
        let over = |limit: &&std::time::Duration| u128::from(p95_us) > limit.as_micros();
        let by_p95 = self.policy.p95.iter().filter(over).count();
        let cause = if by_errors >= by_p95 {
            ChangeCause::CallErrors { share: errors, calls: all.calls }
        } else {
            ChangeCause::SlowCalls { p95_us, calls: all.calls }
        };
        (DegradationLevel::ALL[by_errors.max(by_p95)], Some(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn stats(calls: u64, errors: u64, ms: u64) -> SecondStats {
        let mut service = Histogram::default();
        service.record_n(ms * 1_000, calls);
        SecondStats { calls, errors, service }
    }

    /// Takes seconds of calls, errors and ms; returns the level after each.
    fn levels_after(seconds: &[(u64, u64, u64)]) -> Vec<&'static str> {
        let mut degrade = DegradationController::new(DegradationPolicy::default());
        let mut levels = Vec::new();
        for (at, (calls, errors, ms)) in (1..).zip(seconds) {
            degrade.evaluate_second(at * S, stats(*calls, *errors, *ms), None);
            levels.push(degrade.level().name());
        }
        levels
    }

    #[test]
    fn each_level_is_reached_and_left() {
        for (first, level) in [
            ((100, 5, 10), "normal"),
            ((100, 6, 10), "light"),
            ((100, 16, 10), "heavy"),
            ((100, 31, 10), "emergency"),
            ((100, 0, 2_100), "light"),
            ((100, 0, 5_100), "heavy"),
            ((100, 16, 2_100), "heavy"),
            // Too few to be evidence.
            ((19, 19, 10), "normal"),
        ] {
            assert_eq!(levels_after(&[first]), [level], "{first:?}");
        }
        // Down at once, up one level every ten seconds while all is well.
        let mut seconds = vec![(100, 50, 10)];
        seconds.extend([(100, 0, 10); 32]);
        let levels = levels_after(&seconds);
        let at = |level| levels.iter().position(|one| *one == level);
        assert_eq!(["emergency", "heavy", "light", "normal"].map(at), [0, 11, 21, 31].map(Some));
    }

    #[test]
    fn level_without_calls_improves_and_is_judged_again() {
        let mut seconds = vec![(100, 100, 10)];
        seconds.extend([(0, 0, 0); 11]);
        // It improves to `heavy`, sends calls, and these fail: worse again.
        seconds.push((50, 50, 10));
        let levels = levels_after(&seconds);
        assert_eq!([levels[10], levels[11], levels[12]], ["emergency", "heavy", "emergency"]);
    }

    #[test]
    fn memory_alone_causes_emergency() {
        let mut degrade = DegradationController::new(DegradationPolicy::default());
        assert_eq!(degrade.evaluate_second(S, SecondStats::default(), Some(0.9)), None);
        let (level, why) =
            degrade.evaluate_second(2 * S, SecondStats::default(), Some(0.95)).unwrap();
        assert_eq!(
            (level, why.to_string().as_str()),
            (DegradationLevel::Emergency, "memory budget 95 % used")
        );
    }

    #[test]
    fn memory_emergency_ends_if_nothing_is_freed() {
        let mut degrade = DegradationController::new(DegradationPolicy::default());
        let mut at = |second: u64, share: f64| {
            degrade.evaluate_second(second * S, stats(100, 0, 10), Some(share));
            degrade.level().name()
        };
        assert_eq!((1..11).map(|second| at(second, 0.95)).last(), Some("emergency"));
        let levels: Vec<_> = (11..60).map(|second| at(second, 0.95)).collect();
        assert_eq!(levels.last(), Some(&"normal"));
        assert_eq!((at(60, 0.96), at(61, 0.98)), ("normal", "emergency"));
    }

    proptest! {
        /// For any input: it worsens by any step, improves by one, and never twice within
        /// `recover`.
        #[test]
        fn improvement_is_slow(
            seconds in prop::collection::vec((0u64..200, 0u64..200, 0u64..8_000), 1..200),
        ) {
            let mut degrade = DegradationController::new(DegradationPolicy::default());
            let mut last_up = None;
            for (at, (calls, errors, ms)) in (1u64..).zip(seconds) {
                let before = degrade.level();
                let seen = stats(calls, errors.min(calls), ms);
                let change = degrade.evaluate_second(at * S, seen, None);
                if let Some((after, _)) = change
                    && after < before
                {
                    prop_assert_eq!(before as usize - after as usize, 1);
                    prop_assert!(last_up.is_none_or(|last| at - last >= 10));
                    last_up = Some(at);
                }
            }
        }
    }
}
