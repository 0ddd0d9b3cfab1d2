//! Distributions of random durations: think times, pauses, the test server's latency.
//!
//! A plan holds them; users and the test server draw from them; `forecast` reads their means.
//! Invariant: every distribution has its mean and quantiles in closed form, clamping included;
//! tests compare them with draws.

use std::time::Duration;

use rand::RngExt;
use rand_distr::{Exp1, Gamma, StandardNormal};

use super::{Empirical, clamped, gamma, normal};
use crate::seed::Rng;

/// A distribution, clamped to a range. No draw is below zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// The kind of distribution.
    pub kind: DistributionKind,
    /// Lower bound: smaller draws are raised to it.
    pub min: Option<Duration>,
    /// Upper bound: larger draws are lowered to it.
    pub max: Option<Duration>,
}

/// The kinds of distributions.
#[derive(Clone, Debug, PartialEq)]
pub enum DistributionKind {
    /// A constant.
    Constant(Duration),
    /// Any value of a range, equally likely.
    Uniform {
        /// The minimum.
        low: Duration,
        /// The maximum.
        high: Duration,
    },
    /// Normal; negative draws become zero.
    Normal {
        /// Mean of the distribution, before clamping.
        mean: Duration,
        /// Standard deviation of the distribution, before clamping.
        sd: Duration,
    },
    /// Exponential: memoryless.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Normal in the logarithm: many short, a few long.
    Lognormal {
        /// The median; the mean is `median · exp(sigma²/2)`.
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// A heavy tail: P(X > x) = (min/x)^shape.
    Pareto {
        /// The minimum.
        min: Duration,
        /// How fast the tail falls; without an upper bound there is a mean only above 1.
        shape: f64,
    },
    /// A sum of `shape` exponential parts.
    Gamma {
        /// The mean.
        mean: Duration,
        /// The variance is mean²/shape.
        shape: f64,
    },
    /// A power of an exponential one: P(X > x) = exp(−(x/scale)^shape).
    Weibull {
        /// The value that 1 − 1/e of all draws are below.
        scale: Duration,
        /// Below 1 a heavy tail, above 1 a hump.
        shape: f64,
    },
    /// Measured values.
    Empirical(Empirical),
    /// One of two values.
    Bimodal {
        /// The usual value.
        fast: Duration,
        /// The other value.
        slow: Duration,
        /// Share of the other value, from 0 to 1.
        slow_share: f64,
    },
}

impl Distribution {
    /// Creates a constant.
    pub const fn constant(duration: Duration) -> Self {
        Self::unclamped(DistributionKind::Constant(duration))
    }

    /// Creates a distribution without clamping.
    pub const fn unclamped(kind: DistributionKind) -> Self {
        Self { kind, min: None, max: None }
    }

    /// Draws a duration.
    pub fn sample(&self, rng: &mut Rng) -> Duration {
        let drawn = match self.kind {
            // Constants stay exact: they are not converted to a float.
            DistributionKind::Constant(duration) => return self.clamp(duration),
            DistributionKind::Bimodal { fast, slow, slow_share } => {
                return self.clamp(if rng.random::<f64>() < slow_share { slow } else { fast });
            }
            DistributionKind::Uniform { low, high } => {
                let share: f64 = rng.random();
                ns(low) + (ns(high) - ns(low)) * share
            }
            DistributionKind::Normal { mean, sd } => {
                let z: f64 = rng.sample(StandardNormal);
                ns(mean) + ns(sd) * z
            }
            DistributionKind::Exponential { mean } => {
                let e: f64 = rng.sample(Exp1);
                ns(mean) * e
            }
            DistributionKind::Lognormal { median, sigma } => {
                let z: f64 = rng.sample(StandardNormal);
                ns(median) * (sigma * z).exp()
            }
            DistributionKind::Pareto { min, shape } => {
                let e: f64 = rng.sample(Exp1);
                ns(min) * (e / shape).exp()
            }
            DistributionKind::Gamma { mean, shape } => match Gamma::new(shape, 1.0 / shape) {
                Ok(gamma) => ns(mean) * rng.sample(gamma),
                // An invalid shape is treated as no spread.
                Err(_) => ns(mean),
            },
            DistributionKind::Weibull { scale, shape } => {
                let e: f64 = rng.sample(Exp1);
                ns(scale) * e.powf(1.0 / shape)
            }
            DistributionKind::Empirical(ref empirical) => empirical.at(rng.random()),
        };
        self.clamp(duration(drawn))
    }

    /// The mean of the clamped distribution, E[min(max(X, a), b)], in closed form.
    pub fn mean(&self) -> Duration {
        let (a, b) = self.bounds();
        let mean = match self.kind {
            DistributionKind::Constant(value) => ns(value).clamp(a, b),
            DistributionKind::Bimodal { fast, slow, slow_share } => {
                ns(fast).clamp(a, b) * (1.0 - slow_share) + ns(slow).clamp(a, b) * slow_share
            }
            DistributionKind::Uniform { low, high } => clamped::uniform(ns(low), ns(high), a, b),
            DistributionKind::Exponential { mean } => clamped::exponential(ns(mean), a, b),
            DistributionKind::Normal { mean, sd } => clamped::normal(ns(mean), ns(sd), a, b),
            DistributionKind::Lognormal { median, sigma } => {
                clamped::lognormal(ns(median), sigma, a, b)
            }
            DistributionKind::Pareto { min, shape } => clamped::pareto(ns(min), shape, a, b),
            DistributionKind::Gamma { mean, shape } => clamped::gamma(ns(mean), shape, a, b),
            DistributionKind::Weibull { scale, shape } => clamped::weibull(ns(scale), shape, a, b),
            DistributionKind::Empirical(ref empirical) => empirical.mean(a, b),
        };
        duration(mean)
    }

    /// The value that a share `p` (0 to 1) of all draws is below, clamping included.
    pub fn quantile(&self, p: f64) -> Duration {
        let p = p.clamp(0.0, 1.0);
        let value = match self.kind {
            DistributionKind::Constant(value) => return self.clamp(value),
            DistributionKind::Bimodal { fast, slow, slow_share } => {
                // Sorted, because `slow` may be the faster of the two.
                let low_share = if fast <= slow { 1.0 - slow_share } else { slow_share };
                return self.clamp(if p <= low_share { fast.min(slow) } else { fast.max(slow) });
            }
            DistributionKind::Uniform { low, high } => ns(low) + (ns(high) - ns(low)) * p,
            DistributionKind::Normal { mean, sd } if sd.is_zero() => ns(mean),
            DistributionKind::Normal { mean, sd } => ns(mean) + ns(sd) * normal::quantile(p),
            DistributionKind::Exponential { mean } if mean.is_zero() => 0.0,
            DistributionKind::Exponential { mean } => -ns(mean) * (-p).ln_1p(),
            DistributionKind::Lognormal { median, sigma: 0.0 } => ns(median),
            DistributionKind::Lognormal { median, sigma } => {
                ns(median) * (sigma * normal::quantile(p)).exp()
            }
            DistributionKind::Pareto { min, .. } if min.is_zero() => 0.0,
            DistributionKind::Pareto { min, shape } => ns(min) * (1.0 - p).powf(-1.0 / shape),
            DistributionKind::Gamma { mean, .. } if mean.is_zero() => 0.0,
            DistributionKind::Gamma { mean, shape } => ns(mean) / shape * gamma::quantile(shape, p),
            DistributionKind::Weibull { scale, .. } if scale.is_zero() => 0.0,
            DistributionKind::Weibull { scale, shape } => {
                ns(scale) * (-(-p).ln_1p()).powf(1.0 / shape)
            }
            DistributionKind::Empirical(ref empirical) => empirical.at(p),
        };
        self.clamp(duration(value))
    }

    fn clamp(&self, value: Duration) -> Duration {
        let value = self.min.map_or(value, |min| value.max(min));
        self.max.map_or(value, |max| value.min(max))
    }

    /// The bounds in ns. A `max` below `min` wins, as in `cut`.
    fn bounds(&self) -> (f64, f64) {
        let b = self.max.map_or(f64::INFINITY, ns);
        (self.min.map_or(0.0, ns).min(b), b)
    }
}

fn ns(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// Converts ns, rounded; negative values become zero, and 584 years is the maximum (floats saturate
/// as integers).
fn duration(ns: f64) -> Duration {
    Duration::from_nanos(ns.round() as u64)
}

#[cfg(test)]
#[path = "distribution_tests.rs"]
mod tests;
