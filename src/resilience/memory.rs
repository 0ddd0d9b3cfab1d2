//! A memory budget: spare memory is released first, then admission is paused, so that the process
//! does not run out of memory.
//!
//! `run::supervisor` feeds it the resident memory each second.
//! Invariant: admission is paused only above `PAUSE_ABOVE`, or if growth as steady as that of the
//! last two seconds exceeds it before the next evaluation; it resumes only below `RESUME_BELOW`.

use std::collections::VecDeque;

use crate::stats::{ChangeCause, MemoryRelief};

/// Above this share of the budget spare memory is released.
const RELEASE_ABOVE: f64 = 0.8;
/// Above this share, now or projected for the next second, no more users are admitted…
const PAUSE_ABOVE: f64 = 0.9;
/// …until it is below this one, and as far below [`PAUSE_ABOVE`] as it grew in a second.
const RESUME_BELOW: f64 = 0.85;
/// Memory that will be used up within this time, at the growth of the last samples, is short
/// already, s.
const SOON_S: f64 = 60.0;
/// How many seconds the growth is computed from.
const SAMPLES: usize = 12;
/// Releasing again within this time would find nothing, ns.
const PAUSE_NS: u64 = 10_000_000_000;

/// If pausing has freed nothing, admission is paused again when this much more is in use.
const STEP: f64 = 0.05;

/// A memory budget with its state.
#[derive(Clone, Debug)]
pub struct MemoryController {
    budget: u64,
    samples: VecDeque<(f64, f64)>,
    released_ns: Option<u64>,
    is_paused: bool,
    /// Memory use above which no new users are admitted, as a share of the budget, 0 to 1.
    pause_above: f64,
    /// Since when no user has been running while admission was paused, ns.
    idle_ns: Option<u64>,
    /// Growth within a second when admission was paused, as a share of the budget.
    growth_at_pause: f64,
}

impl MemoryController {
    /// Creates a controller of `budget` bytes, at least one.
    pub fn new(budget: u64) -> Self {
        let budget = budget.max(1);
        Self {
            budget,
            samples: VecDeque::new(),
            released_ns: None,
            is_paused: false,
            pause_above: PAUSE_ABOVE,
            idle_ns: None,
            growth_at_pause: 0.0,
        }
    }

    /// The share of the budget that `bytes` are.
    pub fn share(&self, bytes: u64) -> f64 {
        bytes as f64 / self.budget as f64
    }

    /// Evaluates a second that ended with `bytes` resident and `users` running; returns what to do,
    /// and why.
    pub fn evaluate_second(
        &mut self,
        now_ns: u64,
        bytes: u64,
        users: u64,
    ) -> Vec<(MemoryRelief, ChangeCause)> {
        self.samples.push_back((now_ns as f64 / 1e9, bytes as f64));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let share = self.share(bytes);
        let in_use = |full_in_s| ChangeCause::MemoryInUse { share, full_in_s };
        let mut actions = Vec::new();
        let left_s = self.seconds_left();
        let soon = left_s.is_some_and(|left| left < SOON_S) && share > RELEASE_ABOVE / 2.0;
        let may_release = self.released_ns.is_none_or(|at| now_ns.saturating_sub(at) >= PAUSE_NS);
        let growth = self.growth();
        // Spare memory is released before any user has to wait.
        let is_short = !self.is_paused && share + growth > self.pause_above;
        if (share > RELEASE_ABOVE || soon || is_short) && may_release {
            self.released_ns = Some(now_ns);
            actions.push((MemoryRelief::Trim, in_use(left_s.filter(|_| soon))));
        }
        if is_short {
            (self.is_paused, self.growth_at_pause) = (true, growth);
            actions.push((MemoryRelief::PauseAdmission, in_use(None)));
        } else if self.is_paused && share < RESUME_BELOW.min(PAUSE_ABOVE - self.growth_at_pause) {
            (self.is_paused, self.pause_above) = (false, PAUSE_ABOVE);
            actions.push((MemoryRelief::ResumeAdmission, in_use(None)));
        } else if self.is_paused && users == 0 {
            // No user is left that could free memory: the pause would never end.
            let since = *self.idle_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since) >= PAUSE_NS {
                (self.is_paused, self.pause_above) = (false, share.max(PAUSE_ABOVE) + STEP);
                let cause = ChangeCause::IdleMemoryInUse { share };
                actions.push((MemoryRelief::ResumeAdmission, cause));
            }
        }
        if users > 0 || !self.is_paused {
            self.idle_ns = None;
        }
        actions
    }

    /// The growth in each of the last two seconds, at least, as a share of the budget; zero if
    /// there was none. A single jump is no growth: nothing more may follow.
    fn growth(&self) -> f64 {
        let mut last = self.samples.iter().rev();
        let (Some(a), Some(b), Some(c)) = (last.next(), last.next(), last.next()) else {
            return 0.0;
        };
        (a.1 - b.1).min(b.1 - c.1).max(0.0) / self.budget as f64
    }

    /// When the budget will be used up at the present growth, s, from a least-squares line through
    /// the last samples; `None` if it does not grow, or there are too few samples.
    fn seconds_left(&self) -> Option<f64> {
        if self.samples.len() < SAMPLES {
            return None;
        }
        let count = self.samples.len() as f64;
        let mean =
            |part: fn(&(f64, f64)) -> f64| self.samples.iter().map(part).sum::<f64>() / count;
        let (t, b) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let spread: f64 = self.samples.iter().map(|(at, _)| (at - t).powi(2)).sum();
        let slope: f64 =
            self.samples.iter().map(|(at, bytes)| (at - t) * (bytes - b)).sum::<f64>() / spread;
        let last = self.samples.back()?.1;
        // Less than a thousandth of the budget per second is noise.
        (slope > self.budget as f64 / 1e3).then(|| (self.budget as f64 - last).max(0.0) / slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn names(actions: &[(MemoryRelief, ChangeCause)]) -> Vec<&'static str> {
        let name = |(relief, _): &(MemoryRelief, ChangeCause)| match relief {
            MemoryRelief::Trim => "shed",
            MemoryRelief::PauseAdmission => "hold",
            MemoryRelief::ResumeAdmission => "release",
        };
        actions.iter().map(name).collect()
    }

    #[test]
    fn memory_is_released_then_admission_pauses_and_resumes() {
        let mut memory = MemoryController::new(1_000_000);
        let mut evaluate = |at: u64, bytes: u64| names(&memory.evaluate_second(at * S, bytes, 1));
        assert_eq!(evaluate(1, 700_000), [""; 0]);
        assert_eq!(evaluate(2, 810_000), ["shed"]);
        assert_eq!(evaluate(3, 810_000), [""; 0]);
        assert_eq!(evaluate(4, 950_000), ["hold"], "after a jump");
        assert_eq!(evaluate(5, 870_000), [""; 0], "between the two it stays as it is");
        assert_eq!(evaluate(6, 840_000), ["release"]);
        assert_eq!(evaluate(11, 840_000), [""; 0]);
        assert_eq!(evaluate(12, 840_000), ["shed"], "again after ten seconds");
    }

    #[test]
    fn steady_growth_pauses_admission_early() {
        let mut memory = MemoryController::new(1_000_000);
        let mut evaluate = |at: u64, bytes: u64| names(&memory.evaluate_second(at * S, bytes, 1));
        assert_eq!(evaluate(1, 100_000), [""; 0]);
        assert_eq!(evaluate(2, 480_000), [""; 0]);
        assert_eq!(evaluate(3, 670_000), [""; 0], "190 000 a second: 860 000 next");
        assert_eq!(evaluate(4, 780_000), [""; 0], "110 000 at least: 890 000 next");
        assert_eq!(evaluate(5, 795_000), [""; 0]);
        assert_eq!(evaluate(6, 895_000), ["shed", "hold"], "15 000 at least: 910 000 next");
        assert_eq!(evaluate(7, 830_000), ["release"]);
        let mut memory = MemoryController::new(1_000_000);
        let mut evaluate = |at: u64, bytes: u64| names(&memory.evaluate_second(at * S, bytes, 1));
        assert_eq!([evaluate(1, 100_000), evaluate(2, 400_000)], [[""; 0]; 2]);
        assert_eq!(evaluate(3, 700_000), ["shed", "hold"], "before it is too late to hold");
        assert_eq!(evaluate(4, 650_000), [""; 0], "a second of such growth would bring it back");
        assert_eq!(evaluate(5, 590_000), ["release"]);
        // A jump does not count as growth.
        let mut memory = MemoryController::new(1_000_000);
        let mut evaluate = |at: u64, bytes: u64| names(&memory.evaluate_second(at * S, bytes, 1));
        assert_eq!(
            [evaluate(1, 100_000), evaluate(2, 600_000), evaluate(3, 600_000)],
            [[""; 0]; 3]
        );
    }

    #[test]
    fn growth_releases_memory_early() {
        let mut memory = MemoryController::new(1_000_000);
        // 10 000 a second from 400 000: at 500 000, 50 s are left.
        let release =
            (1..60).find(|at| !memory.evaluate_second(at * S, 400_000 + at * 10_000, 1).is_empty());
        assert_eq!(release, Some(12), "as soon as twelve samples are there");
        let mut memory = MemoryController::new(1_000_000);
        assert_eq!((1..60).find(|at| !memory.evaluate_second(at * S, 500_000, 1).is_empty()), None);
    }

    #[test]
    fn pause_ends_if_nothing_is_freed() {
        let mut memory = MemoryController::new(1_000_000);
        let mut evaluate = |at: u64, bytes: u64| names(&memory.evaluate_second(at * S, bytes, 0));
        assert_eq!(evaluate(1, 950_000), ["shed", "hold"]);
        let released = (2..40).find(|at| evaluate(*at, 950_000).contains(&"release"));
        assert_eq!(released, Some(12), "ten seconds after the first without anybody");
        let mut again = |bytes: u64| evaluate(60, bytes).contains(&"hold");
        assert_eq!((again(990_000), again(1_010_000)), (false, true));
    }
}
