//! A load over time as straight pieces, with its integral and inverse in exact integers.
//!
//! `scenario` builds it from stages, `pace` asks when start k is due and when user k is in.
//! Invariant: the answer for start k does not depend on who asks or in which order.

use std::time::Duration;

use crate::units::nanos;

/// One unit of the integral: a rate of 1/s (10⁹ nano-events per second) over 1 s (10⁹ ns).
pub const ONE_START: u128 = 1_000_000_000_000_000_000;

/// Chords in a period of a sine. A chord of an arc of angle h is off by at most h²/8 of the
/// amplitude: (2π/96)²/8 is 0.054 %.
pub const SINE_PIECES: u128 = 96;

/// A piecewise linear level over time. The level's unit is the owner's: nano-events per second
/// for arrival rates, whole users for the closed model. It is zero before and after its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    pieces: Vec<Piece>,
}

/// A straight line from one level to another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// When it begins, ns after the curve's own zero.
    start: u64,
    /// How long it lasts, ns; never zero.
    length: u64,
    /// Level at its start and at its end.
    from: u64,
    to: u64,
    /// The integral over all earlier pieces.
    before: u128,
}

impl Curve {
    /// A constant level.
    pub fn constant(level: u64, over: Duration) -> Self {
        let mut curve = Self::default();
        curve.push(level, level, over);
        curve
    }

    /// Adds a straight line from the level reached so far (0 at first).
    pub fn ramp(&mut self, to: u64, over: Duration) {
        self.push(self.last_level(), to, over);
    }

    /// Adds a stretch at the level reached so far.
    pub fn hold(&mut self, over: Duration) {
        let level = self.last_level();
        self.push(level, level, over);
    }

    /// Changes the level at once; the next piece begins there.
    pub fn jump(&mut self, to: u64) {
        self.ramp(to, Duration::ZERO);
    }

    /// Adds a sine wave that begins at its base, rising: [`SINE_PIECES`] chords a period, which
    /// stay within amplitude/1800 of it (and the rounding to whole levels). An amplitude above the
    /// base is cut at zero.
    pub fn sine(&mut self, base: u64, amplitude: u64, period: Duration, over: Duration) {
        let (period, over) = (nanos(period).max(1), nanos(over));
        let level = |t: u64| {
            let turn = (t % period) as f64 / period as f64;
            let height = (turn * std::f64::consts::TAU).sin() * amplitude as f64;
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

    /// How many straight pieces it has.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// The level at the curve's end.
    pub fn last_level(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.to)
    }

    /// The highest level reached.
    pub fn peak(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.from.max(piece.to)).max().unwrap_or(0)
    }

    /// How far it rises in all, from zero on: so many users come, of whom some may come again.
    pub fn rises(&self) -> u64 {
        let mut level = 0;
        let mut sum = 0u64;
        for piece in self.pieces.iter().filter(|piece| piece.length > 0) {
            sum += piece.from.saturating_sub(level) + piece.to.saturating_sub(piece.from);
            level = piece.to;
        }
        sum
    }

    /// How long users are in, all together, ns: each comes as the level begins to exceed its
    /// number, so that on a slope there is half a user more than the level says.
    pub fn presence_ns(&self) -> u128 {
        let slopes = self.pieces.iter().filter(|piece| piece.from != piece.to);
        self.total() + slopes.map(|piece| u128::from(piece.length / 2)).sum::<u128>()
    }

    /// When its pieces begin and when it ends, ns.
    pub fn bends(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().map(|piece| piece.start).chain([self.end_ns()])
    }

    /// When it ends, ns after its zero.
    pub fn end_ns(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.start + piece.length)
    }

    /// The integral over the whole curve, in units of level × ns.
    pub fn total(&self) -> u128 {
        self.pieces.last().map_or(0, |piece| piece.before + piece.area(piece.length))
    }

    /// The integral from zero to `t` ns.
    pub fn integral(&self, t: u64) -> u128 {
        let index = self.pieces.partition_point(|piece| piece.start + piece.length <= t);
        match self.pieces.get(index) {
            Some(piece) => piece.before + piece.area(t - piece.start),
            None => self.total(),
        }
    }

    /// The first time (ns) at which the integral has reached `amount`; `None` when it never does
    /// before the curve's end (what is due at the very end is left out).
    pub fn reaches(&self, amount: u128) -> Option<u64> {
        let index =
            self.pieces.partition_point(|piece| piece.before + piece.area(piece.length) <= amount);
        let piece = self.pieces.get(index)?;
        Some(piece.start + piece.reaches(amount.saturating_sub(piece.before)))
    }

    /// The level at `t` ns, rounded down.
    pub fn level(&self, t: u64) -> u64 {
        let index = self.pieces.partition_point(|piece| piece.start + piece.length <= t);
        self.pieces.get(index).map_or(0, |piece| piece.level(t - piece.start))
    }

    /// The stretches during which user number `k` is in: from the moment the level exceeds k to
    /// the moment it does no longer, as `(enter, leave)` in ns, in order.
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

    /// The same shape with every moment moved to `moment × numerator / denominator`.
    #[must_use]
    pub fn scaled(&self, numerator: u64, denominator: u64) -> Self {
        let moved = |t: u64| {
            let t = u128::from(t) * u128::from(numerator) / u128::from(denominator.max(1));
            u64::try_from(t).unwrap_or(u64::MAX)
        };
        let mut curve = Self::default();
        for piece in &self.pieces {
            let length = moved(piece.start + piece.length) - moved(piece.start);
            curve.push(piece.from, piece.to, Duration::from_nanos(length));
        }
        curve
    }

    fn push(&mut self, from: u64, to: u64, over: Duration) {
        let length = nanos(over);
        if length == 0 {
            // A ramp over no time is a jump: the next piece starts at the new level.
            if let Some(last) = self.pieces.last_mut()
                && last.length == 0
            {
                last.to = to;
                return;
            }
        }
        let (start, before) = (self.end_ns(), self.total());
        self.pieces.push(Piece { start, length, from, to, before });
    }
}

impl Piece {
    /// ∫ level over the first `t` ns: from·t ± ⌊|to−from|·t² / 2L⌋, without overflow.
    fn area(&self, t: u64) -> u128 {
        let flat = u128::from(self.from) * u128::from(t);
        if self.length == 0 || self.from == self.to {
            return flat;
        }
        let (t, twice) = (u128::from(t), 2 * u128::from(self.length));
        let product = u128::from(self.from.abs_diff(self.to)) * t;
        let bend = product / twice * t + product % twice * t / twice;
        if self.to > self.from { flat + bend } else { flat - bend }
    }

    /// The smallest t with `area(t) ≥ amount`: a float's guess, corrected in integers.
    fn reaches(&self, amount: u128) -> u64 {
        if amount == 0 {
            return 0;
        }
        let (from, length) = (self.from as f64, self.length as f64);
        let slope = (self.to as f64 - from) / length;
        let target = amount as f64;
        // Solves slope/2·t² + from·t = target in the form that does not cancel.
        let root = (from * from + 2.0 * slope * target).max(0.0).sqrt();
        let guess = if from + root > 0.0 { 2.0 * target / (from + root) } else { length };
        let guess = (guess.max(0.0) as u64).min(self.length);
        // The float is right to about 10⁻¹⁵ of t; bracket it and bisect.
        let mut reach = 1 + guess / (1 << 48);
        let (mut low, mut high) = (guess.saturating_sub(reach), guess.saturating_add(reach));
        while low > 0 && self.area(low) >= amount {
            reach *= 2;
            low = low.saturating_sub(reach);
        }
        while high < self.length && self.area(high) < amount {
            reach *= 2;
            high = high.saturating_add(reach);
        }
        high = high.min(self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.area(middle) >= amount { high = middle } else { low = middle + 1 }
        }
        low
    }

    fn level(&self, t: u64) -> u64 {
        let moved = u128::from(self.from.abs_diff(self.to)) * u128::from(t)
            / u128::from(self.length.max(1));
        let moved = moved as u64;
        if self.to >= self.from { self.from + moved } else { self.from - moved }
    }

    /// The part of this piece in which the level is above `k`, as absolute `(enter, leave)`.
    fn above(&self, k: u64) -> Option<(u64, u64)> {
        let end = self.start + self.length;
        if self.length == 0 {
            return None;
        }
        // The time at which the line crosses k, from its start.
        let crossing = |distance: u64| {
            let span = u128::from(self.from.abs_diff(self.to));
            (u128::from(distance) * u128::from(self.length) / span) as u64
        };
        match (self.from > k, self.to > k) {
            (true, true) => Some((self.start, end)),
            (false, true) => Some((self.start + crossing(k - self.from), end)),
            (true, false) => Some((self.start, self.start + crossing(self.from - k))),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced_and_leaves_out_the_end() {
        let curve = Curve::constant(1_000 * S, secs(2));
        let due: Vec<u64> = (0..).map_while(|k| curve.reaches(k * ONE_START)).collect();
        assert_eq!(due.len(), 2_000);
        assert!(due.iter().enumerate().all(|(k, &t)| t == k as u64 * 1_000_000));
    }

    #[test]
    fn a_ramp_reaches_k_at_the_root_of_its_integral() {
        // 0 → 100/s over 10 s: Q(t) = 5 t², so start k is due at √(k/5) s; 500 in all.
        let mut curve = Curve::default();
        curve.ramp(100 * S, secs(10));
        let due: Vec<u64> = (0..).map_while(|k| curve.reaches(k * ONE_START)).collect();
        assert_eq!(due.len(), 500);
        for (k, &t) in due.iter().enumerate() {
            let exact = (k as f64 / 5.0).sqrt() * 1e9;
            assert!((t as f64 - exact).abs() <= 2.0, "start {k}: {t} against {exact}");
        }
    }

    #[test]
    fn users_enter_as_the_level_passes_them_and_the_highest_leave_first() {
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
    fn a_scaled_curve_ends_exactly_where_it_should() {
        let mut curve = Curve::default();
        curve.ramp(10, secs(7));
        curve.ramp(20, secs(0));
        curve.hold(secs(4));
        let half = curve.scaled(5 * S, 11 * S);
        assert_eq!((half.end_ns(), half.peak(), half.last_level()), (5 * S, 20, 20));
    }

    #[test]
    fn a_sine_follows_its_law_and_its_integral() {
        // ∫ base + a·sin(2πt/T) dt = base·t + a·T/2π·(1 − cos(2πt/T)).
        let (base, amplitude, period) = (100 * S, 60 * S, 8.0);
        let mut curve = Curve::default();
        curve.sine(base, amplitude, secs(8), secs(20));
        assert_eq!(curve.end_ns(), 20 * S);
        for k in 0..=2_000u32 {
            let t = f64::from(k) * 0.01;
            let at = (t * 1e9).round() as u64;
            let turn = std::f64::consts::TAU * t / period;
            let level = 100.0 + 60.0 * turn.sin();
            let off = (curve.level(at) as f64 / 1e9 - level).abs();
            assert!(off <= 0.001 * 60.0 || k == 2_000, "level at {t}: off by {off}");
            let area = 100.0 * t + 60.0 * period / std::f64::consts::TAU * (1.0 - turn.cos());
            let seen = curve.integral(at) as f64 / ONE_START as f64;
            // At most 0.1 % of the amplitude over half a period, where all chords lie on one side.
            assert!((seen - area).abs() <= 0.001 * 60.0 * period / 2.0, "{t}: {seen} for {area}");
        }
    }

    #[test]
    fn a_ramp_over_no_time_is_a_jump() {
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
                curve.ramp(level * S, Duration::from_millis(ms));
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
