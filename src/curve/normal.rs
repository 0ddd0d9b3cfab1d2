//! The standard normal distribution: density, distribution function, quantile.
//!
//! `distribution` and `clamped` compute normal and lognormal quantiles and means with it.
//! Invariant: `quantile` inverts `below` to 10⁻¹² over the range that doubles distinguish.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// The density at `x`.
pub fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

/// The share of the distribution below `x`.
pub fn below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The value that a share `p` of the distribution is below; infinite at 0 and 1.
pub fn quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    // Bisection cannot fail; 60 halvings of 16 leave 10⁻¹⁷. No hot path calls it.
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(middle) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_textbook_tables() {
        for (x, share) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_069),
            (1.959_963_984_540, 0.975),
            (-1.281_551_565_545, 0.1),
            (3.090_232_306_168, 0.999),
        ] {
            assert!((below(x) - share).abs() < 1e-11, "below {x}");
            assert!((quantile(share) - x).abs() < 1e-8, "quantile {share}");
        }
        assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
    }
}
