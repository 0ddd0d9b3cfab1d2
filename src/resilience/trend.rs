//! The trend of a level: what it is likely to be in a moment, where no curve says it.
//!
//! `engine::users::ahead` predicts the users of a workload by it, `run::supervisor` the connections
//! of a pool.
//! Sources: a least-squares line whose weights decay with age (exponentially weighted regression),
//! and t = slope / standard error of the slope; the time of day as in a seasonal decomposition: the
//! line is fitted to what differs from earlier days.
//! Invariant: without a significant trend the prediction is the level now; no prediction is above
//! twice the highest level of the last minute, unless earlier days had more.

use std::collections::VecDeque;

/// How far back the line looks, ns.
const WINDOW_NS: u64 = 60_000_000_000;
/// A sample of this age has half the weight of a new one, s.
const HALF_LIFE_S: f64 = 3.0;
/// Maximum samples of the window; more frequent ones are left out.
const MAX_SAMPLES: u64 = 240;
/// The fewest samples and the shortest time from which a trend is read.
const MIN_SAMPLES: usize = 8;
const MIN_SPAN_NS: u64 = 2_000_000_000;
/// A slope counts if it is this many of its standard errors from zero.
const SIGNIFICANCE: f64 = 3.0;
/// A prediction is at most this many times the highest level of the window.
const MAX_GROWTH: f64 = 2.0;

/// The times of day that are told apart: five minutes each.
const BUCKETS: usize = 288;
const DAY_S: f64 = 86_400.0;
const BUCKET_S: f64 = DAY_S / BUCKETS as f64;
/// A bucket joins the profile of earlier days this much later, in buckets: until then its
/// neighbours are those of the day before, and a line between old and new ones would jump.
const DELAY: usize = 12;
/// The weight of the last day in the profile.
const LAST_DAY: f64 = 0.5;

/// The recent values of a level, and what it was at each time of earlier days.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    /// Time of the run, ns, and level.
    samples: VecDeque<(u64, f64)>,
    profile: DayProfile,
}

impl Trend {
    /// Adds the level at `at_ns` of the run; times rise.
    pub fn add(&mut self, at_ns: u64, level: f64) {
        self.profile.add(at_ns, level);
        let is_soon = |(last, _): &(u64, f64)| at_ns < last + WINDOW_NS / MAX_SAMPLES;
        if self.samples.back().is_some_and(is_soon) {
            return;
        }
        self.samples.push_back((at_ns, level));
        while self.samples.front().is_some_and(|(first, _)| first + WINDOW_NS < at_ns) {
            self.samples.pop_front();
        }
    }

    /// Predicts the level at `at_ns` of the run, at or after the last sample; `None` without a
    /// sample.
    pub fn predict(&self, at_ns: u64) -> Option<f64> {
        let (&(first_ns, _), &(now_ns, level)) = (self.samples.front()?, self.samples.back()?);
        let usual = self.usual(first_ns, now_ns, at_ns);
        let usual_at = |at_ns: u64| usual.then(|| self.profile.level(at_ns)).flatten();
        let day = |at_ns: u64| usual_at(at_ns).unwrap_or(0.0);
        let rest = self.samples.iter().map(|&(at, level)| (at, level - day(at)));
        let line = Line::fit(now_ns, rest);
        let is_enough = self.samples.len() >= MIN_SAMPLES && now_ns - first_ns >= MIN_SPAN_NS;
        // A line through a minute says nothing of what comes after the next one.
        let lead_s = (at_ns.max(now_ns) - now_ns).min(WINDOW_NS) as f64 / 1e9;
        let rest_now = level - day(now_ns);
        let rest = match line.filter(|line| is_enough && line.is_significant()) {
            // The line lags behind a trend that has just begun.
            Some(line) if line.slope > 0.0 => rest_now.max(line.level) + line.slope * lead_s,
            Some(line) => rest_now.min(line.level) + line.slope * lead_s,
            None => rest_now,
        };
        let predicted = day(at_ns) + rest;
        let highest = self.samples.iter().fold(0.0, |most: f64, &(_, level)| most.max(level));
        Some(predicted.clamp(0.0, (MAX_GROWTH * highest).max(day(at_ns))))
    }

    /// Whether earlier days tell the level of the whole window and of the predicted time.
    fn usual(&self, first_ns: u64, now_ns: u64, at_ns: u64) -> bool {
        [first_ns, now_ns, at_ns].iter().all(|at| self.profile.level(*at).is_some())
    }
}

/// A line through samples: its level at the newest, and how it goes on.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// At the newest sample.
    level: f64,
    /// Per second.
    slope: f64,
    /// Standard error of the slope.
    error: f64,
}

impl Line {
    /// Fits a line by weighted least squares; `None` if all samples are of one time.
    fn fit(now_ns: u64, samples: impl Iterator<Item = (u64, f64)> + Clone) -> Option<Self> {
        let weighted = samples.map(|(at, level)| {
            let age_s = (now_ns - at) as f64 / 1e9;
            ((-age_s / HALF_LIFE_S).exp2(), -age_s, level)
        });
        let (mut sum, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
        for (weight, x, y) in weighted.clone() {
            sum += weight;
            sum_x += weight * x;
            sum_y += weight * y;
        }
        let (mean_x, mean_y) = (sum_x / sum, sum_y / sum);
        let (mut spread, mut product) = (0.0, 0.0);
        for (weight, x, y) in weighted.clone() {
            spread += weight * (x - mean_x) * (x - mean_x);
            product += weight * (x - mean_x) * (y - mean_y);
        }
        if spread <= 0.0 {
            return None;
        }
        let slope = product / spread;
        // The variance of the slope: Σw²(x−x̄)²r² / (Σw(x−x̄)²)², which holds also if that of the
        // residuals r is not the same at all times (White, 1980).
        let variance: f64 = weighted
            .map(|(weight, x, y)| {
                let residual = y - mean_y - slope * (x - mean_x);
                (weight * (x - mean_x) * residual).powi(2)
            })
            .sum();
        let error = variance.sqrt() / spread;
        Some(Self { level: mean_y - slope * mean_x, slope, error })
    }

    /// Whether the slope is no accident.
    fn is_significant(&self) -> bool {
        self.slope.abs() > SIGNIFICANCE * self.error
    }
}

/// The mean level at each time of earlier days of the run.
#[derive(Clone, Debug, Default)]
struct DayProfile {
    /// By bucket; empty until the first one is over.
    levels: Vec<Option<f64>>,
    /// Means of the last buckets, which do not count yet.
    pending: VecDeque<(usize, f64)>,
    /// The bucket that is under way: its number since the first day, sum and count.
    open: Option<(u64, f64, u32)>,
}

impl DayProfile {
    /// Time since the run began, in buckets: days begin with the run.
    fn position(at_ns: u64) -> f64 {
        at_ns as f64 / 1e9 / BUCKET_S
    }

    fn add(&mut self, at_ns: u64, level: f64) {
        let bucket = Self::position(at_ns) as u64;
        match &mut self.open {
            Some((open, sum, count)) if *open == bucket => {
                *sum += level;
                *count += 1;
            }
            _ => {
                if let Some((over, sum, count)) = self.open.replace((bucket, level, 1)) {
                    self.close(over, sum / f64::from(count));
                }
            }
        }
    }

    /// Ends a bucket; the one that ended an hour before joins the profile.
    fn close(&mut self, bucket: u64, mean: f64) {
        self.pending.push_back(((bucket % BUCKETS as u64) as usize, mean));
        if self.pending.len() <= DELAY {
            return;
        }
        self.levels.resize(BUCKETS, None);
        if let Some((at, mean)) = self.pending.pop_front() {
            let before = self.levels[at].unwrap_or(mean);
            self.levels[at] = Some(before + LAST_DAY * (mean - before));
        }
    }

    /// The level at this time on earlier days, on a line between the middles of two buckets; `None`
    /// if it is unknown.
    fn level(&self, at_ns: u64) -> Option<f64> {
        let position = Self::position(at_ns) + BUCKETS as f64 - 0.5;
        let (before, share) = (position as usize, position.fract());
        let at = |bucket: usize| *self.levels.get(bucket % BUCKETS)?;
        Some(at(before)? * (1.0 - share) + at(before + 1)? * share)
    }
}

#[cfg(test)]
#[path = "trend_tests.rs"]
mod tests;
