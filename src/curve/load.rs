//! A load over time as linear pieces, with its integral and inverse in exact integers.
//!
//! `scenario` builds it from stages; `pace` computes when start k is due and when user k is
//! present.
//! Invariant: the due time of start k does not depend on the caller or the order of calls.

use std::time::Duration;

use super::piece::Piece;
use crate::units::{Rate, nanos};

/// The integral of a rate of 1/s over 1 s, in units of a rate × ns.
pub const ONE_START: u128 = Rate::UNITS_PER_S as u128 * 1_000_000_000;

/// Chords per period of a sine. A chord of an arc of angle h is off by at most h²/8 of the
/// amplitude: (2π/96)²/8 is 0.054 %.
pub const SINE_PIECES: u128 = 96;

/// A piecewise linear level over time. The level's unit is the owner's: that of [`Rate`] for
/// arrival rates, whole users for the closed model. It is zero before and after its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    pieces: Vec<Piece>,
}

impl Curve {
    /// Creates a constant level.
    pub fn constant(level: u64, over: Duration) -> Self {
        let mut curve = Self::default();
        curve.push(level, level, over);
        curve
    }

    /// Adds a linear change from the last level (0 at first).
    pub fn ramp(&mut self, to: u64, over: Duration) {
        self.push(self.last_level(), to, over);
    }

    /// Adds a constant piece at the last level.
    pub fn hold(&mut self, over: Duration) {
        let level = self.last_level();
        self.push(level, level, over);
    }

    /// Changes the level at once; the next piece begins there.
    pub fn jump(&mut self, to: u64) {
        self.ramp(to, Duration::ZERO);
    }

    /// Adds a sine wave that starts at its base, rising: [`SINE_PIECES`] chords per period, which
    /// deviate by at most amplitude/1800 (plus the rounding to whole levels). An amplitude above
    /// the base is clamped at zero.
    pub fn sine(&mut self, base: u64, amplitude: u64, period: Duration, over: Duration) {
        let (period, over) = (nanos(period).max(1), nanos(over));
        let level = |t: u64| {
            let phase = (t % period) as f64 / period as f64;
            let height = (phase * std::f64::consts::TAU).sin() * amplitude as f64;
            (base as f64 + height).round().max(0.0) as u64
        };
        self.jump(base);
        let (mut t, mut k) = (0, 0u128);
        while t < over {
            k += 1;
            let next = k * u128::from(period) / SINE_PIECES;
            let next = u64::try_from(next).unwrap_or(u64::MAX).clamp(t + 1, over);
            self.ramp(level(next), Duration::from_nanos(next - t));
            t = next;
        }
    }

    /// The number of linear pieces.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// The level at the curve's end.
    pub fn last_level(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.levels().1)
    }

    /// The highest level.
    pub fn peak(&self) -> u64 {
        self.pieces.iter().map(Piece::highest).max().unwrap_or(0)
    }

    /// The highest level after `t` ns.
    pub fn peak_after(&self, t: u64) -> u64 {
        let rest = self.pieces.iter().filter(|piece| piece.end() > t);
        rest.map(|piece| piece.from(t).highest()).max().unwrap_or(0)
    }

    /// The sum of all rises, from zero on: the number of times that a user enters.
    pub fn rises(&self) -> u64 {
        let mut level = 0;
        let mut sum = 0u64;
        for piece in self.pieces.iter().filter(|piece| piece.length > 0) {
            let (from, to) = piece.levels();
            sum += from.saturating_sub(level) + to.saturating_sub(from);
            level = to;
        }
        sum
    }

    /// Total user time, ns: each user enters as the level begins to exceed its number, so that on a
    /// slope there is half a user more than the level says.
    pub fn presence_ns(&self) -> u128 {
        let is_slope = |piece: &&Piece| piece.levels().0 != piece.levels().1;
        let slopes = self.pieces.iter().filter(is_slope);
        self.total() + slopes.map(|piece| u128::from(piece.length / 2)).sum::<u128>()
    }

    /// The times at which the pieces begin and the curve ends, ns.
    pub fn bends(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().map(|piece| piece.start).chain([self.end_ns()])
    }

    /// When the curve ends, ns after its start.
    pub fn end_ns(&self) -> u64 {
        self.pieces.last().map_or(0, Piece::end)
    }

    /// The integral over the whole curve, in units of level × ns.
    pub fn total(&self) -> u128 {
        self.pieces.last().map_or(0, |piece| piece.before + piece.area(piece.length))
    }

    /// The number of evenly spaced starts due before `t`: start k is due where the integral reaches
    /// k times [`ONE_START`].
    pub fn starts_before(&self, t: u64) -> u64 {
        let Some(last) = t.checked_sub(1) else { return 0 };
        let starts = self.integral(last) / ONE_START + 1;
        u64::try_from(starts.min(self.total().div_ceil(ONE_START))).unwrap_or(u64::MAX)
    }

    /// The integral from zero to `t` ns.
    pub fn integral(&self, t: u64) -> u128 {
        let index = self.pieces.partition_point(|piece| piece.end() <= t);
        match self.pieces.get(index) {
            Some(piece) => piece.before + piece.area(t - piece.start),
            None => self.total(),
        }
    }

    /// The first time (ns) at which the integral reaches `amount`; `None` if it does not before the
    /// curve's end (a start due at the very end is left out).
    pub fn reaches(&self, amount: u128) -> Option<u64> {
        let index =
            self.pieces.partition_point(|piece| piece.before + piece.area(piece.length) <= amount);
        let piece = self.pieces.get(index)?;
        Some(piece.start + piece.reaches(amount.saturating_sub(piece.before)))
    }

    /// The level at `t` ns, rounded down.
    pub fn level(&self, t: u64) -> u64 {
        let index = self.pieces.partition_point(|piece| piece.end() <= t);
        self.pieces.get(index).map_or(0, |piece| piece.level(t - piece.start))
    }

    /// The intervals in which user number `k` is present: from the time the level exceeds k to the
    /// time it no longer does, as `(enter, leave)` in ns, in order.
    pub fn stays(&self, k: u64) -> Vec<(u64, u64)> {
        let mut stays: Vec<(u64, u64)> = Vec::new();
        for piece in &self.pieces {
            let Some((enter, leave)) = piece.above(k) else { continue };
            match stays.last_mut() {
                Some(last) if last.1 == enter => last.1 = leave,
                _ => stays.push((enter, leave)),
            }
        }
        stays
    }

    /// Returns the same levels with every time scaled by `numerator / denominator`.
    #[must_use]
    pub fn scaled(&self, numerator: u64, denominator: u64) -> Self {
        let moved = |t: u64| {
            let t = u128::from(t) * u128::from(numerator) / u128::from(denominator.max(1));
            u64::try_from(t).unwrap_or(u64::MAX)
        };
        let mut curve = Self::default();
        for piece in &self.pieces {
            let length = moved(piece.end()) - moved(piece.start);
            let (from, to) = piece.levels();
            curve.push(from, to, Duration::from_nanos(length));
        }
        curve
    }

    /// Returns the same times with every level scaled by `permille` thousandths, rounded up: a
    /// level above zero stays above zero.
    #[must_use]
    pub fn times(&self, permille: u32) -> Self {
        let change = |level: u64| {
            let level = (u128::from(level) * u128::from(permille)).div_ceil(1_000);
            u64::try_from(level).unwrap_or(u64::MAX)
        };
        let mut curve = Self::default();
        self.pieces.iter().for_each(|piece| curve.append(piece.levelled(change)));
        curve
    }

    /// Returns this curve before `at` ns and `onto` from there on. All values for times before `at`
    /// are unchanged.
    #[must_use]
    pub fn overridden_from(&self, at: u64, onto: &Self) -> Self {
        if at >= self.end_ns() {
            return self.clone();
        }
        let mut curve = Self::default();
        let before = self.pieces.iter().take_while(|piece| piece.start < at);
        before.for_each(|piece| curve.append(piece.until(at)));
        let after = onto.pieces.iter().filter(|piece| piece.end() > at);
        after.for_each(|piece| curve.append(piece.from(at)));
        curve
    }

    fn push(&mut self, from: u64, to: u64, over: Duration) {
        let length = nanos(over);
        if length == 0 {
            // A ramp over no time is a jump: the next piece starts at the new level.
            if let Some(last) = self.pieces.last_mut()
                && last.length == 0
            {
                last.jump_to(to);
                return;
            }
        }
        self.pieces.push(Piece::new(self.end_ns(), length, from, to, self.total()));
    }

    fn append(&mut self, mut piece: Piece) {
        piece.before = self.total();
        self.pieces.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    const PER_S: u64 = Rate::UNITS_PER_S;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn constant_rate_is_evenly_spaced_without_the_end() {
        let curve = Curve::constant(1_000 * PER_S, secs(2));
        let due: Vec<u64> = (0..).map_while(|k| curve.reaches(k * ONE_START)).collect();
        assert_eq!(due.len(), 2_000);
        assert!(due.iter().enumerate().all(|(k, &t)| t == k as u64 * 1_000_000));
    }

    #[test]
    fn low_rates_are_exact() {
        use crate::units::parse_rate;
        for (rate, over_s, starts) in [
            ("10/m", 60, 10),
            ("1/h", 3_600, 1),
            ("7/m", 86_400, 10_080),
            ("1/h", 7_200, 2),
            ("0.1/h", 360_000, 10),
            ("3/s", 10, 30),
            ("1/m", 59, 1),
        ] {
            let curve = Curve::constant(parse_rate(rate).unwrap().units(), secs(over_s));
            let due: Vec<u64> = (0..).map_while(|k| curve.reaches(k * ONE_START)).collect();
            assert_eq!(due.len(), starts, "{rate} for {over_s} s");
            assert_eq!(curve.total().div_ceil(ONE_START), starts as u128);
            let exact = |k: usize| (k as f64 * over_s as f64 * 1e9 / starts as f64).ceil() as u64;
            let even = (0..starts).all(|k| due[k].abs_diff(exact(k)) <= 1);
            assert!(even || rate == "1/m", "{rate}: {due:?}");
        }
    }

    #[test]
    fn ramp_reaches_k_at_the_root_of_its_integral() {
        // 0 → 100/s over 10 s: Q(t) = 5 t², so start k is due at √(k/5) s; 500 in all.
        let mut curve = Curve::default();
        curve.ramp(100 * PER_S, secs(10));
        let due: Vec<u64> = (0..).map_while(|k| curve.reaches(k * ONE_START)).collect();
        assert_eq!(due.len(), 500);
        for (k, &t) in due.iter().enumerate() {
            let exact = (k as f64 / 5.0).sqrt() * 1e9;
            assert!((t as f64 - exact).abs() <= 2.0, "start {k}: {t} against {exact}");
        }
    }

    #[test]
    fn users_enter_as_the_level_passes_them_and_highest_leave_first() {
        let mut curve = Curve::default();
        curve.ramp(10, secs(10));
        curve.hold(secs(5));
        curve.ramp(0, secs(10));
        assert_eq!(curve.stays(0), [(0, 25 * S)]);
        assert_eq!(curve.stays(9), [(9 * S, 16 * S)]);
        assert_eq!(curve.stays(10), []);
        assert_eq!((curve.level(0), curve.level(5 * S), curve.level(12 * S)), (0, 5, 10));
        let stays = (0..10).flat_map(|k| curve.stays(k));
        assert_eq!(curve.presence_ns(), stays.map(|(from, to)| u128::from(to - from)).sum());
        assert_eq!(curve.rises(), 10);
        curve.jump(4);
        curve.hold(secs(1));
        assert_eq!((curve.rises(), curve.bends().last()), (14, Some(26 * S)));
    }

    #[test]
    fn scaled_curve_ends_exactly() {
        let mut curve = Curve::default();
        curve.ramp(10, secs(7));
        curve.ramp(20, secs(0));
        curve.hold(secs(4));
        let half = curve.scaled(5 * S, 11 * S);
        assert_eq!((half.end_ns(), half.peak(), half.last_level()), (5 * S, 20, 20));
    }

    #[test]
    fn sine_follows_its_formula_and_integral() {
        // ∫ base + a·sin(2πt/T) dt = base·t + a·T/2π·(1 − cos(2πt/T)).
        let (base, amplitude, period) = (100 * PER_S, 60 * PER_S, 8.0);
        let mut curve = Curve::default();
        curve.sine(base, amplitude, secs(8), secs(20));
        assert_eq!(curve.end_ns(), 20 * S);
        for k in 0..=2_000u32 {
            let t = f64::from(k) * 0.01;
            let at = (t * 1e9).round() as u64;
            let phase = std::f64::consts::TAU * t / period;
            let level = 100.0 + 60.0 * phase.sin();
            let off = (curve.level(at) as f64 / PER_S as f64 - level).abs();
            assert!(off <= 0.001 * 60.0 || k == 2_000, "level at {t}: off by {off}");
            let area = 100.0 * t + 60.0 * period / std::f64::consts::TAU * (1.0 - phase.cos());
            let seen = curve.integral(at) as f64 / ONE_START as f64;
            // At most 0.1 % of the amplitude over half a period, where all chords lie on one side.
            assert!((seen - area).abs() <= 0.001 * 60.0 * period / 2.0, "{t}: {seen} for {area}");
        }
    }

    #[test]
    fn ramp_over_no_time_is_a_jump() {
        let mut curve = Curve::default();
        curve.ramp(5, secs(0));
        curve.hold(secs(1));
        assert_eq!(curve.stays(4), [(0, S)]);
        assert_eq!(curve.end_ns(), S);
    }

    proptest! {
        /// `reaches` is the exact inverse of `integral`: the first ns that has the amount.
        #[test]
        fn reaches_inverts_the_integral(
            stages in prop::collection::vec((0u64..100_000, 1u64..100_000), 1..5),
            share in 0.0f64..1.0,
        ) {
            let mut curve = Curve::default();
            for (level, ms) in stages {
                curve.ramp(level * PER_S, Duration::from_millis(ms));
            }
            let amount = (curve.total() as f64 * share) as u128;
            if let Some(t) = curve.reaches(amount) {
                prop_assert!(curve.integral(t) >= amount);
                prop_assert!(t == 0 || curve.integral(t - 1) < amount);
            } else {
                prop_assert!(amount >= curve.total());
            }
        }
    }
}
