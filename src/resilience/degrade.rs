//! Going down, and up again: how much is left out while the target is in trouble.
//!
//! `run::steward` shows it each second; the level goes to all shards.
//! Invariant: it goes down as far as needed at once, and up by one level at a time; it judges by
//! what was sent, so a level that sends nothing cannot hold itself.

use std::collections::VecDeque;

use crate::plan::policy::{DegradationLevel, DegradationPolicy};
use crate::stats::Histogram;
use crate::units::{nanos, show_duration};

/// Fewer calls than this say nothing.
const ENOUGH: u64 = 20;

/// So much more of the memory budget is an emergency again.
const MORE: f64 = 0.02;

/// What was seen in a second, of calls that were sent and have ended.
#[derive(Clone, Debug, Default)]
pub struct SecondStats {
    /// How many.
    pub calls: u64,
    /// Those among them that were errors.
    pub errors: u64,
    /// Their service times, also of those that timed out.
    pub service: Histogram,
}

/// The law at work.
#[derive(Clone, Debug)]
pub struct DegradationController {
    law: DegradationPolicy,
    level: DegradationLevel,
    /// The last seconds, and when each ended, ns.
    seen: VecDeque<(u64, SecondStats)>,
    /// Since when the level has not been needed, ns.
    unneeded_ns: Option<u64>,
    /// The share of memory above which it is an emergency now, and since when it has been one, ns.
    bar: f64,
    full_ns: Option<u64>,
}

impl DegradationController {
    /// At the best level.
    pub fn new(law: DegradationPolicy) -> Self {
        let bar = law.memory;
        let seen = VecDeque::new();
        Self { law, level: DegradationLevel::Normal, seen, unneeded_ns: None, bar, full_ns: None }
    }

    /// The level now.
    pub fn level(&self) -> DegradationLevel {
        self.level
    }

    /// A second has ended; `memory` is the share of the budget in use. The new level and why, when
    /// it changes.
    pub fn second(
        &mut self,
        now_ns: u64,
        seen: SecondStats,
        memory: Option<f64>,
    ) -> Option<(DegradationLevel, String)> {
        self.seen.push_back((now_ns, seen));
        let oldest = now_ns.saturating_sub(nanos(self.law.window));
        while self.seen.front().is_some_and(|(at, _)| *at <= oldest) {
            self.seen.pop_front();
        }
        self.judge_memory(now_ns, memory);
        let (needed, why) = self.needed(memory);
        if needed > self.level {
            self.unneeded_ns = None;
            return Some(self.go(needed, why));
        }
        if needed == self.level {
            self.unneeded_ns = None;
            return None;
        }
        let since = *self.unneeded_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since) < nanos(self.law.recover) {
            return None;
        }
        // One at a time: what the level left out has to show first that it goes well again.
        self.unneeded_ns = Some(now_ns);
        let better = DegradationLevel::ALL[self.level as usize - 1];
        let why = format!("not needed for {}", show_duration(self.law.recover));
        Some(self.go(better, why))
    }

    /// Memory is an emergency for as long as leaving calls out may help: where it has not freed any
    /// within `recover`, it is one again only when more is used.
    fn judge_memory(&mut self, now_ns: u64, memory: Option<f64>) {
        let share = memory.unwrap_or(0.0);
        if share <= self.law.memory {
            (self.bar, self.full_ns) = (self.law.memory, None);
        } else if share > self.bar {
            let since = *self.full_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since) >= nanos(self.law.recover) {
                (self.bar, self.full_ns) = (share + MORE, None);
            }
        }
    }

    fn go(&mut self, level: DegradationLevel, why: String) -> (DegradationLevel, String) {
        // What was seen at another level tells nothing about this one.
        self.seen.clear();
        self.level = level;
        (level, why)
    }

    /// The level that what was seen asks for, and what it was.
    fn needed(&self, memory: Option<f64>) -> (DegradationLevel, String) {
        if let Some(share) = memory.filter(|share| *share > self.bar) {
            let why = format!("{:.0} % of the memory budget in use", share * 100.0);
            return (DegradationLevel::Emergency, why);
        }
        let mut all = SecondStats::default();
        for (_, seen) in &self.seen {
            all.calls += seen.calls;
            all.errors += seen.errors;
            all.service.merge(&seen.service);
        }
        if all.calls < ENOUGH {
            return (DegradationLevel::Normal, String::new());
        }
        let errors = all.errors as f64 / all.calls as f64;
        let by_errors = self.law.errors.iter().filter(|limit| errors > **limit).count();
        let p95_us = all.service.percentile_us(95.0);
        let over = |limit: &&std::time::Duration| u128::from(p95_us) > limit.as_micros();
        let by_p95 = self.law.p95.iter().filter(over).count();
        let why = if by_errors >= by_p95 {
            format!("{:.1} % of {} calls failed", errors * 100.0, all.calls)
        } else {
            let p95 = std::time::Duration::from_micros(p95_us);
            format!("p95 of {} calls is {}", all.calls, show_duration(p95))
        };
        (DegradationLevel::ALL[by_errors.max(by_p95)], why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn seen(calls: u64, errors: u64, ms: u64) -> SecondStats {
        let mut service = Histogram::default();
        service.record_n(ms * 1_000, calls);
        SecondStats { calls, errors, service }
    }

    /// Seconds of calls, errors and ms, and the level after each.
    fn walk(seconds: &[(u64, u64, u64)]) -> Vec<&'static str> {
        let mut degrade = DegradationController::new(DegradationPolicy::default());
        let mut levels = Vec::new();
        for (at, (calls, errors, ms)) in (1..).zip(seconds) {
            degrade.second(at * S, seen(*calls, *errors, *ms), None);
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
            // Too few to say anything.
            ((19, 19, 10), "normal"),
        ] {
            assert_eq!(walk(&[first]), [level], "{first:?}");
        }
        // Down at once, up one level each ten seconds while all goes well.
        let mut seconds = vec![(100, 50, 10)];
        seconds.extend([(100, 0, 10); 32]);
        let levels = walk(&seconds);
        let at = |level| levels.iter().position(|one| *one == level);
        assert_eq!(["emergency", "heavy", "light", "normal"].map(at), [0, 11, 21, 31].map(Some));
    }

    #[test]
    fn a_level_that_sends_nothing_is_left_and_tried_again() {
        let mut seconds = vec![(100, 100, 10)];
        seconds.extend([(0, 0, 0); 11]);
        // It goes up to `heavy`, sends something, and that fails: down again.
        seconds.push((50, 50, 10));
        let levels = walk(&seconds);
        assert_eq!([levels[10], levels[11], levels[12]], ["emergency", "heavy", "emergency"]);
    }

    #[test]
    fn memory_alone_is_an_emergency() {
        let mut degrade = DegradationController::new(DegradationPolicy::default());
        assert_eq!(degrade.second(S, SecondStats::default(), Some(0.9)), None);
        let (level, why) = degrade.second(2 * S, SecondStats::default(), Some(0.95)).unwrap();
        assert_eq!(
            (level, why.as_str()),
            (DegradationLevel::Emergency, "95 % of the memory budget in use")
        );
    }

    #[test]
    fn memory_that_nothing_frees_is_no_emergency_for_ever() {
        let mut degrade = DegradationController::new(DegradationPolicy::default());
        let mut at = |second: u64, share: f64| {
            degrade.second(second * S, seen(100, 0, 10), Some(share));
            degrade.level().name()
        };
        assert_eq!((1..11).map(|second| at(second, 0.95)).last(), Some("emergency"));
        let levels: Vec<_> = (11..60).map(|second| at(second, 0.95)).collect();
        assert_eq!(levels.last(), Some(&"normal"));
        assert_eq!((at(60, 0.96), at(61, 0.98)), ("normal", "emergency"));
    }

    proptest! {
        /// Whatever is seen: down by any step, up by one, and never up twice within `recover`.
        #[test]
        fn up_is_slow(walk in prop::collection::vec((0u64..200, 0u64..200, 0u64..8_000), 1..200)) {
            let mut degrade = DegradationController::new(DegradationPolicy::default());
            let mut last_up = None;
            for (at, (calls, errors, ms)) in (1u64..).zip(walk) {
                let before = degrade.level();
                let change = degrade.second(at * S, seen(calls, errors.min(calls), ms), None);
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
