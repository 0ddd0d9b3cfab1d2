//! A figure with its uncertainty: between two bounds.
//!
//! The search narrows them, text and JSON show them.
//! Invariant: the bounds are those that the observed times allow, not a guess around a mean.

/// The range in which a figure lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lower bound.
    pub low: f64,
    /// Upper bound; infinite if nothing limits it.
    pub high: f64,
}

/// Windows that limits commonly have, seconds.
const COMMON_WINDOWS: [f64; 17] = [
    0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0,
    1_800.0, 3_600.0,
];

impl Bounds {
    /// Nothing is known but that it is positive.
    pub const UNKNOWN: Self = Self { low: 0.0, high: f64::INFINITY };

    /// An exact figure.
    pub const fn exact(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// The middle of the bounds; the lower one if there is no upper one.
    pub fn middle(self) -> f64 {
        if self.high.is_finite() { f64::midpoint(self.low, self.high) } else { self.low }
    }

    /// Half the distance of the bounds as a share of their middle; infinite without an upper bound.
    pub fn uncertainty(self) -> f64 {
        if !self.high.is_finite() || self.middle() <= 0.0 {
            return f64::INFINITY;
        }
        (self.high - self.low) / 2.0 / self.middle()
    }

    /// Raises the lower bound.
    pub fn at_least(&mut self, low: f64) {
        self.low = self.low.max(low);
    }

    /// Lowers the upper bound.
    pub fn at_most(&mut self, high: f64) {
        self.high = self.high.min(high);
    }

    /// Whether the observations contradict each other, beyond `tolerance` as a share.
    pub fn is_contradictory(self, tolerance: f64) -> bool {
        self.low > self.high * (1.0 + tolerance)
    }

    /// Whether a value is within the bounds, widened by `tolerance` as a share.
    pub fn has(self, value: f64, tolerance: f64) -> bool {
        self.low * (1.0 - tolerance) <= value && value <= self.high * (1.0 + tolerance)
    }

    /// The only common window within the bounds; `None` if there is none, or more than one.
    pub fn common_window(self) -> Option<f64> {
        let mut within = COMMON_WINDOWS.into_iter().filter(|window| self.has(*window, 0.01));
        within.next().filter(|_| within.next().is_none())
    }

    /// The bounds of `numerator` divided by this.
    #[must_use]
    pub fn divide(self, numerator: f64) -> Self {
        Self { low: numerator / self.high, high: numerator / self.low.max(f64::MIN_POSITIVE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_window_is_named_only_if_it_is_the_only_one() {
        assert_eq!(Bounds { low: 9.0, high: 10.4 }.common_window(), Some(10.0));
        assert_eq!(Bounds { low: 9.0, high: 15.4 }.common_window(), None);
        assert_eq!(Bounds { low: 11.0, high: 14.0 }.common_window(), None);
        assert!((Bounds { low: 9.0, high: 11.0 }.uncertainty() - 0.1).abs() < 1e-9);
        assert!(Bounds { low: 9.0, high: f64::INFINITY }.uncertainty().is_infinite());
        assert!(Bounds { low: 2.0, high: 1.0 }.is_contradictory(0.1));
    }
}
