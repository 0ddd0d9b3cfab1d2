//! A memory budget: what can be spared goes first, users are held back next, nobody crashes.
//!
//! `run::steward` shows it the resident memory each second.
//! Invariant: users are held back only above `HOLD`, or where growth as steady as that of the
//! last two seconds leads above it before it is looked at again; and let in again only below
//! `RELEASE`.

use std::collections::VecDeque;

/// Above this share of the budget what can be spared is let go.
const SHED: f64 = 0.8;
/// Above this, now or in a second's time, no more users are let in…
const HOLD: f64 = 0.9;
/// …until it is below this, and so far below [`HOLD`] as it grew in a second.
const RELEASE: f64 = 0.85;
/// What will be used up so soon, at the rate of growth of the last samples, is short already, s.
const SOON_S: f64 = 60.0;
/// How many seconds the growth is judged by.
const SAMPLES: usize = 12;
/// Shedding again before so long has passed would find nothing, ns.
const PAUSE_NS: u64 = 10_000_000_000;

/// Where holding back has freed nothing, users are held back again when so much more is in use.
const STEP: f64 = 0.05;

/// What is to be done about memory.
#[derive(Clone, Debug, PartialEq)]
pub enum MemoryAction {
    /// Let go what can be spared.
    Shed(String),
    /// Let nobody in.
    Hold(String),
    /// Let them in again.
    Release(String),
}

/// The law at work.
#[derive(Clone, Debug)]
pub struct MemoryController {
    budget: u64,
    samples: VecDeque<(f64, f64)>,
    shed_ns: Option<u64>,
    holding: bool,
    /// Users are held back above this share.
    hold: f64,
    /// Since when nobody has been at work while users were held back, ns.
    idle_ns: Option<u64>,
    /// The share of the budget that a second took when users were held back.
    grew: f64,
}

impl MemoryController {
    /// `budget` bytes; at least one.
    pub fn new(budget: u64) -> Self {
        let budget = budget.max(1);
        Self {
            budget,
            samples: VecDeque::new(),
            shed_ns: None,
            holding: false,
            hold: HOLD,
            idle_ns: None,
            grew: 0.0,
        }
    }

    /// The share of the budget that so many bytes are.
    pub fn share(&self, bytes: u64) -> f64 {
        bytes as f64 / self.budget as f64
    }

    /// A second has ended with so many bytes resident and so many users at work: what is to be
    /// done.
    pub fn second(&mut self, now_ns: u64, bytes: u64, users: u64) -> Vec<MemoryAction> {
        self.samples.push_back((now_ns as f64 / 1e9, bytes as f64));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let share = self.share(bytes);
        let percent = format!("{:.0} % of the memory budget in use", share * 100.0);
        let mut relief = Vec::new();
        let left_s = self.left_s();
        let soon = left_s.is_some_and(|left| left < SOON_S) && share > SHED / 2.0;
        let rested = self.shed_ns.is_none_or(|at| now_ns.saturating_sub(at) >= PAUSE_NS);
        let grows = self.grows();
        // What can be spared goes before anybody has to wait.
        let short = !self.holding && share + grows > self.hold;
        if (share > SHED || soon || short) && rested {
            self.shed_ns = Some(now_ns);
            let why = match left_s {
                Some(left) if soon => format!("{percent}, all of it in {left:.0} s"),
                _ => percent.clone(),
            };
            relief.push(MemoryAction::Shed(why));
        }
        if short {
            (self.holding, self.grew) = (true, grows);
            relief.push(MemoryAction::Hold(percent));
        } else if self.holding && share < RELEASE.min(HOLD - self.grew) {
            (self.holding, self.hold) = (false, HOLD);
            relief.push(MemoryAction::Release(percent));
        } else if self.holding && users == 0 {
            // There is nobody who could give anything back: waiting on would be for ever.
            let since = *self.idle_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since) >= PAUSE_NS {
                (self.holding, self.hold) = (false, share.max(HOLD) + STEP);
                relief
                    .push(MemoryAction::Release(format!("nobody is at work, and still {percent}")));
            }
        }
        if users > 0 || !self.holding {
            self.idle_ns = None;
        }
        relief
    }

    /// The share of the budget by which it grew in each of the last two seconds at least; zero when
    /// it did not. One jump is no growth: it may be all there is to come.
    fn grows(&self) -> f64 {
        let mut last = self.samples.iter().rev();
        let (Some(a), Some(b), Some(c)) = (last.next(), last.next(), last.next()) else {
            return 0.0;
        };
        (a.1 - b.1).min(b.1 - c.1).max(0.0) / self.budget as f64
    }

    /// When the budget is used up at the present growth, s: a least-squares line through the last
    /// samples; `None` when it does not grow, or too little is known.
    fn left_s(&self) -> Option<f64> {
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
        // Less than a thousandth of the budget a second is noise.
        (slope > self.budget as f64 / 1e3).then(|| (self.budget as f64 - last).max(0.0) / slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn names(relief: &[MemoryAction]) -> Vec<&'static str> {
        let name = |relief: &MemoryAction| match relief {
            MemoryAction::Shed(_) => "shed",
            MemoryAction::Hold(_) => "hold",
            MemoryAction::Release(_) => "release",
        };
        relief.iter().map(name).collect()
    }

    #[test]
    fn shed_then_hold_then_release() {
        let mut memory = MemoryController::new(1_000_000);
        let mut walk = |at: u64, bytes: u64| names(&memory.second(at * S, bytes, 1));
        assert_eq!(walk(1, 700_000), [""; 0]);
        assert_eq!(walk(2, 810_000), ["shed"]);
        assert_eq!(walk(3, 810_000), [""; 0]);
        assert_eq!(walk(4, 950_000), ["hold"], "after a jump");
        assert_eq!(walk(5, 870_000), [""; 0], "between the two it stays as it is");
        assert_eq!(walk(6, 840_000), ["release"]);
        assert_eq!(walk(11, 840_000), [""; 0]);
        assert_eq!(walk(12, 840_000), ["shed"], "again after ten seconds");
    }

    #[test]
    fn what_grows_steadily_is_held_before_it_is_too_late() {
        let mut memory = MemoryController::new(1_000_000);
        let mut walk = |at: u64, bytes: u64| names(&memory.second(at * S, bytes, 1));
        assert_eq!(walk(1, 100_000), [""; 0]);
        assert_eq!(walk(2, 480_000), [""; 0]);
        assert_eq!(walk(3, 670_000), [""; 0], "190 000 a second: 860 000 next");
        assert_eq!(walk(4, 780_000), [""; 0], "110 000 at least: 890 000 next");
        assert_eq!(walk(5, 795_000), [""; 0]);
        assert_eq!(walk(6, 895_000), ["shed", "hold"], "15 000 at least: 910 000 next");
        assert_eq!(walk(7, 830_000), ["release"]);
        let mut memory = MemoryController::new(1_000_000);
        let mut walk = |at: u64, bytes: u64| names(&memory.second(at * S, bytes, 1));
        assert_eq!([walk(1, 100_000), walk(2, 400_000)], [[""; 0]; 2]);
        assert_eq!(walk(3, 700_000), ["shed", "hold"], "before it is too late to hold");
        assert_eq!(walk(4, 650_000), [""; 0], "a second of such growth would bring it back");
        assert_eq!(walk(5, 590_000), ["release"]);
        // A jump is not taken for growth.
        let mut memory = MemoryController::new(1_000_000);
        let mut walk = |at: u64, bytes: u64| names(&memory.second(at * S, bytes, 1));
        assert_eq!([walk(1, 100_000), walk(2, 600_000), walk(3, 600_000)], [[""; 0]; 3]);
    }

    #[test]
    fn growth_is_seen_before_it_hurts() {
        let mut memory = MemoryController::new(1_000_000);
        // 10 000 a second from 400 000: at 500 000, 50 s are left.
        let shed = (1..60).find(|at| !memory.second(at * S, 400_000 + at * 10_000, 1).is_empty());
        assert_eq!(shed, Some(12), "as soon as twelve samples are there");
        let mut memory = MemoryController::new(1_000_000);
        assert_eq!((1..60).find(|at| !memory.second(at * S, 500_000, 1).is_empty()), None);
    }

    #[test]
    fn holding_back_who_frees_nothing_ends() {
        let mut memory = MemoryController::new(1_000_000);
        let mut walk = |at: u64, bytes: u64| names(&memory.second(at * S, bytes, 0));
        assert_eq!(walk(1, 950_000), ["shed", "hold"]);
        let released = (2..40).find(|at| walk(*at, 950_000).contains(&"release"));
        assert_eq!(released, Some(12), "ten seconds after the first without anybody");
        let mut again = |bytes: u64| walk(60, bytes).contains(&"hold");
        assert_eq!((again(990_000), again(1_010_000)), (false, true));
    }
}
