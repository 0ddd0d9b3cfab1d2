//! Means of distributions clamped to a range, E[min(max(X, a), b)], in closed form.
//!
//! `distribution` and `empirical` call it; all values are in one unit, here ns; `b` may be
//! infinite.
//! Invariant: 0 ≤ a ≤ b, and the mean lies between them.

use super::{gamma, normal};

/// ∫ of the quantile function: the part below `a`, the part between, the part above `b`.
pub fn uniform(low: f64, high: f64, a: f64, b: f64) -> f64 {
    if high <= low {
        return low.clamp(a, b);
    }
    let (from, to) = (low.clamp(a, b), high.clamp(a, b));
    let (under, over) = ((a - low).clamp(0.0, high - low), (high - b).clamp(0.0, high - low));
    let inside = (high - low - under - over).max(0.0);
    let above = if over > 0.0 { b * over } else { 0.0 };
    (a * under + f64::midpoint(from, to) * inside + above) / (high - low)
}

pub fn normal(mean: f64, sd: f64, a: f64, b: f64) -> f64 {
    if sd <= 0.0 {
        return mean.clamp(a, b);
    }
    let (za, zb) = ((a - mean) / sd, (b - mean) / sd);
    let inside = mean * (normal::below(zb) - normal::below(za))
        - sd * (normal::density(zb) - normal::density(za));
    a * normal::below(za) + inside + tail(b, normal::below(zb))
}

pub fn exponential(mean: f64, a: f64, b: f64) -> f64 {
    if mean > 0.0 { a + mean * ((-a / mean).exp() - (-b / mean).exp()) } else { a }
}

pub fn lognormal(median: f64, sigma: f64, a: f64, b: f64) -> f64 {
    if sigma <= 0.0 || median <= 0.0 {
        return median.clamp(a, b);
    }
    let (za, zb) = ((a / median).ln() / sigma, (b / median).ln() / sigma);
    let share = normal::below(zb - sigma) - normal::below(za - sigma);
    let inside = median * (sigma * sigma / 2.0).exp() * share;
    a * normal::below(za) + inside + tail(b, normal::below(zb))
}

/// a + ∫ P(X > x) from a to b; infinite if neither the distribution nor `b` bounds it.
pub fn pareto(min: f64, shape: f64, a: f64, b: f64) -> f64 {
    if min <= 0.0 {
        return a;
    }
    if b <= min {
        return b;
    }
    let from = a.max(min);
    // ∫ (min/x)^shape from `from` to `b`.
    let rest = if (shape - 1.0).abs() < 1e-9 {
        min * (b / from).ln()
    } else {
        let end = if b.is_finite() { b * (min / b).powf(shape) } else { f64::INFINITY };
        let end = if b.is_infinite() && shape > 1.0 { 0.0 } else { end };
        (from * (min / from).powf(shape) - end) / (shape - 1.0)
    };
    from + rest
}

pub fn gamma(mean: f64, shape: f64, a: f64, b: f64) -> f64 {
    if mean <= 0.0 {
        return a;
    }
    let scale = mean / shape;
    let inside =
        mean * (gamma::below(shape + 1.0, b / scale) - gamma::below(shape + 1.0, a / scale));
    a * gamma::below(shape, a / scale) + inside + tail(b, gamma::below(shape, b / scale))
}

pub fn weibull(scale: f64, shape: f64, a: f64, b: f64) -> f64 {
    if scale <= 0.0 {
        return a;
    }
    let (ea, eb) = ((a / scale).powf(shape), (b / scale).powf(shape));
    let order = 1.0 + 1.0 / shape;
    let inside =
        scale * gamma::ln_gamma(order).exp() * (gamma::below(order, eb) - gamma::below(order, ea));
    a * -(-ea).exp_m1() + inside + tail(b, -(-eb).exp_m1())
}

/// Returns the contribution of the part above `b` to a mean; zero if `b` is infinite.
fn tail(b: f64, below: f64) -> f64 {
    if b.is_finite() { b * (1.0 - below) } else { 0.0 }
}
