//! Random durations: think times, pauses, the built-in target's latency.
//!
//! A plan holds them, users and the built-in target draw from them, `plan` asks their means.
//! Invariant: every law knows its mean and quantiles in closed form, cuts included; tests compare.

use std::time::Duration;

use rand::RngExt;
use rand_distr::{Exp1, Gamma, StandardNormal};

use super::{Empirical, clamped, gamma, normal};
use crate::seed::Rng;

/// A law, cut to a range. No draw is below zero, whatever the law says.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// The shape.
    pub law: DistributionKind,
    /// Draws below it become it.
    pub min: Option<Duration>,
    /// Draws above it become it.
    pub max: Option<Duration>,
}

/// The shapes.
#[derive(Clone, Debug, PartialEq)]
pub enum DistributionKind {
    /// Always the same.
    Constant(Duration),
    /// Any value of a range, all alike.
    Uniform {
        /// The least.
        low: Duration,
        /// The most.
        high: Duration,
    },
    /// The bell; its part below zero becomes zero.
    Normal {
        /// Its centre, before the cut.
        mean: Duration,
        /// Its standard deviation, before the cut.
        sd: Duration,
    },
    /// Memoryless.
    Exponential {
        /// Its mean.
        mean: Duration,
    },
    /// A bell in the logarithm: many short, a few long.
    Lognormal {
        /// Its middle; the mean is `median · exp(sigma²/2)`.
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// A heavy tail: P(X > x) = (min/x)^shape.
    Pareto {
        /// The least.
        min: Duration,
        /// How fast the tail falls; without a cut there is a mean only above 1.
        shape: f64,
    },
    /// A sum of `shape` memoryless parts.
    Gamma {
        /// Its mean.
        mean: Duration,
        /// The variance is mean²/shape.
        shape: f64,
    },
    /// A power of a memoryless one: P(X > x) = exp(−(x/scale)^shape).
    Weibull {
        /// The value that 1 − 1/e of all draws are below.
        scale: Duration,
        /// Below 1 a heavy tail, above 1 a hump.
        shape: f64,
    },
    /// What was measured before.
    Empirical(Empirical),
    /// One of two values.
    Bimodal {
        /// The usual one.
        fast: Duration,
        /// The other one.
        slow: Duration,
        /// How often it is the other one, from 0 to 1.
        slow_share: f64,
    },
}

impl Distribution {
    /// Always the same duration.
    pub const fn constant(duration: Duration) -> Self {
        Self::of(DistributionKind::Constant(duration))
    }

    /// A law without a cut.
    pub const fn of(law: DistributionKind) -> Self {
        Self { law, min: None, max: None }
    }

    /// One draw.
    pub fn sample(&self, rng: &mut Rng) -> Duration {
        let drawn = match self.law {
            // Constants stay exact: no way through a float.
            DistributionKind::Constant(duration) => return self.cut(duration),
            DistributionKind::Bimodal { fast, slow, slow_share } => {
                return self.cut(if rng.random::<f64>() < slow_share { slow } else { fast });
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
                // No such shape: the law of no spread.
                Err(_) => ns(mean),
            },
            DistributionKind::Weibull { scale, shape } => {
                let e: f64 = rng.sample(Exp1);
                ns(scale) * e.powf(1.0 / shape)
            }
            DistributionKind::Empirical(ref empirical) => empirical.at(rng.random()),
        };
        self.cut(duration(drawn))
    }

    /// The mean of what is drawn: the cut law's own, E[min(max(X, a), b)], in closed form.
    pub fn mean(&self) -> Duration {
        let (a, b) = self.bounds();
        let mean = match self.law {
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

    /// The value that a share `p` (0 to 1) of all draws is below: the cut law's own.
    pub fn quantile(&self, p: f64) -> Duration {
        let p = p.clamp(0.0, 1.0);
        let value = match self.law {
            DistributionKind::Constant(value) => return self.cut(value),
            DistributionKind::Bimodal { fast, slow, slow_share } => {
                // Sorted, because nothing forbids a "slow" that is the faster of the two.
                let low_share = if fast <= slow { 1.0 - slow_share } else { slow_share };
                return self.cut(if p <= low_share { fast.min(slow) } else { fast.max(slow) });
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
        self.cut(duration(value))
    }

    fn cut(&self, value: Duration) -> Duration {
        let value = self.min.map_or(value, |min| value.max(min));
        self.max.map_or(value, |max| value.min(max))
    }

    /// The cut in ns. A `max` below `min` wins, as it does in `cut`.
    fn bounds(&self) -> (f64, f64) {
        let b = self.max.map_or(f64::INFINITY, ns);
        (self.min.map_or(0.0, ns).min(b), b)
    }
}

fn ns(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// From ns, rounded; below zero is zero, and 584 years is the most (floats saturate as integers).
fn duration(ns: f64) -> Duration {
    Duration::from_nanos(ns.round() as u64)
}

#[cfg(test)]
#[path = "distribution_tests.rs"]
mod tests;
