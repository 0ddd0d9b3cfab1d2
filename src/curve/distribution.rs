//! Random durations: think times, pauses, the built-in target's latency.
//!
//! A plan holds them, users and the built-in target draw from them, `plan` asks their means.
//! Invariant: every law knows its mean and quantiles in closed form, cuts included; tests compare.

use std::time::Duration;

use rand::RngExt;
use rand_distr::{Exp1, StandardNormal};

use super::normal;
use crate::seed::Rng;

/// A law, cut to a range. No draw is below zero, whatever the law says.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// The shape.
    pub law: Law,
    /// Draws below it become it.
    pub min: Option<Duration>,
    /// Draws above it become it.
    pub max: Option<Duration>,
}

/// The shapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
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
        Self::of(Law::Constant(duration))
    }

    /// A law without a cut.
    pub const fn of(law: Law) -> Self {
        Self { law, min: None, max: None }
    }

    /// One draw.
    pub fn sample(&self, rng: &mut Rng) -> Duration {
        let drawn = match self.law {
            // Constants stay exact: no way through a float.
            Law::Constant(duration) => return self.cut(duration),
            Law::Bimodal { fast, slow, slow_share } => {
                return self.cut(if rng.random::<f64>() < slow_share { slow } else { fast });
            }
            Law::Uniform { low, high } => {
                let share: f64 = rng.random();
                ns(low) + (ns(high) - ns(low)) * share
            }
            Law::Normal { mean, sd } => {
                let z: f64 = rng.sample(StandardNormal);
                ns(mean) + ns(sd) * z
            }
            Law::Exponential { mean } => {
                let e: f64 = rng.sample(Exp1);
                ns(mean) * e
            }
            Law::Lognormal { median, sigma } => {
                let z: f64 = rng.sample(StandardNormal);
                ns(median) * (sigma * z).exp()
            }
        };
        self.cut(duration(drawn))
    }

    /// The mean of what is drawn: the cut law's own, E[min(max(X, a), b)], in closed form.
    pub fn mean(&self) -> Duration {
        let (a, b) = self.bounds();
        let mean = match self.law {
            Law::Constant(value) => ns(value).clamp(a, b),
            Law::Bimodal { fast, slow, slow_share } => {
                ns(fast).clamp(a, b) * (1.0 - slow_share) + ns(slow).clamp(a, b) * slow_share
            }
            Law::Uniform { low, high } => clamped_uniform_mean(ns(low), ns(high), a, b),
            Law::Exponential { mean } => {
                let m = ns(mean);
                if m > 0.0 { a + m * ((-a / m).exp() - (-b / m).exp()) } else { a }
            }
            Law::Normal { mean, sd } => clamped_normal_mean(ns(mean), ns(sd), a, b),
            Law::Lognormal { median, sigma } => clamped_lognormal_mean(ns(median), sigma, a, b),
        };
        duration(mean)
    }

    /// The value that a share `p` (0 to 1) of all draws is below: the cut law's own.
    pub fn quantile(&self, p: f64) -> Duration {
        let p = p.clamp(0.0, 1.0);
        let value = match self.law {
            Law::Constant(value) => return self.cut(value),
            Law::Bimodal { fast, slow, slow_share } => {
                // Sorted, because nothing forbids a "slow" that is the faster of the two.
                let low_share = if fast <= slow { 1.0 - slow_share } else { slow_share };
                return self.cut(if p <= low_share { fast.min(slow) } else { fast.max(slow) });
            }
            Law::Uniform { low, high } => ns(low) + (ns(high) - ns(low)) * p,
            Law::Normal { mean, sd } if sd.is_zero() => ns(mean),
            Law::Normal { mean, sd } => ns(mean) + ns(sd) * normal::quantile(p),
            Law::Exponential { mean } if mean.is_zero() => 0.0,
            Law::Exponential { mean } => -ns(mean) * (-p).ln_1p(),
            Law::Lognormal { median, sigma: 0.0 } => ns(median),
            Law::Lognormal { median, sigma } => ns(median) * (sigma * normal::quantile(p)).exp(),
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

/// ∫ of the quantile function: the part below `a`, the part between, the part above `b`.
fn clamped_uniform_mean(low: f64, high: f64, a: f64, b: f64) -> f64 {
    if high <= low {
        return low.clamp(a, b);
    }
    let (from, to) = (low.clamp(a, b), high.clamp(a, b));
    let (under, over) = ((a - low).clamp(0.0, high - low), (high - b).clamp(0.0, high - low));
    let inside = (high - low - under - over).max(0.0);
    let above = if over > 0.0 { b * over } else { 0.0 };
    (a * under + f64::midpoint(from, to) * inside + above) / (high - low)
}

fn clamped_normal_mean(mean: f64, sd: f64, a: f64, b: f64) -> f64 {
    if sd <= 0.0 {
        return mean.clamp(a, b);
    }
    let (za, zb) = ((a - mean) / sd, (b - mean) / sd);
    let inside = mean * (normal::below(zb) - normal::below(za))
        - sd * (normal::density(zb) - normal::density(za));
    a * normal::below(za) + inside + tail(b, normal::below(zb))
}

fn clamped_lognormal_mean(median: f64, sigma: f64, a: f64, b: f64) -> f64 {
    if sigma <= 0.0 || median <= 0.0 {
        return median.clamp(a, b);
    }
    let (za, zb) = ((a / median).ln() / sigma, (b / median).ln() / sigma);
    let share = normal::below(zb - sigma) - normal::below(za - sigma);
    let inside = median * (sigma * sigma / 2.0).exp() * share;
    a * normal::below(za) + inside + tail(b, normal::below(zb))
}

/// What the part above `b` adds to a mean; nothing when there is no `b`.
fn tail(b: f64, below: f64) -> f64 {
    if b.is_finite() { b * (1.0 - below) } else { 0.0 }
}

fn ns(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// From ns, rounded; below zero is zero, and 584 years is the most (floats saturate as integers).
fn duration(ns: f64) -> Duration {
    Duration::from_nanos(ns.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    /// Every law, plain and cut, as a user would write it.
    const LAWS: [&str; 13] = [
        "5ms",
        "uniform:1ms,5ms",
        "uniform:1ms,5ms,min=2ms,max=4ms",
        "normal:5ms,1ms",
        "normal:1ms,2ms",
        "normal:5ms,2ms,min=4ms,max=7ms",
        "exponential:5ms",
        "exponential:5ms,min=1ms,max=12ms",
        "lognormal:5ms,0.5",
        "lognormal:5ms,0.5,min=4ms,max=9ms",
        "bimodal:1ms,50ms,5%",
        "bimodal:50ms,1ms,5%",
        "bimodal:1ms,50ms,5%,max=20ms",
    ];

    fn samples(distribution: &Distribution) -> Vec<Duration> {
        let mut rng = Seed::new(7).unwrap().rng(Stream::World, 0, 0);
        let mut samples: Vec<_> = (0..200_000).map(|_| distribution.sample(&mut rng)).collect();
        samples.sort_unstable();
        samples
    }

    #[test]
    fn draws_agree_with_the_closed_forms() {
        for text in LAWS {
            let distribution = Distribution::parse_compact(text).unwrap();
            let samples = samples(&distribution);
            let sum: f64 = samples.iter().map(|&s| ns(s)).sum();
            let mean = sum / samples.len() as f64;
            let expected = ns(distribution.mean());
            // 200 000 draws: 1 % is more than four standard errors of each of these means.
            assert!((mean / expected - 1.0).abs() < 0.01, "{text}: mean {mean} for {expected}");
            for p in [0.1, 0.5, 0.9, 0.94, 0.99] {
                let seen = ns(samples[(p * samples.len() as f64) as usize]);
                let expected = ns(distribution.quantile(p));
                assert!(
                    (seen - expected).abs() <= 0.02 * expected + 20_000.0,
                    "{text}: p{p} {seen} for {expected}"
                );
            }
        }
    }

    #[test]
    fn known_means_and_quantiles() {
        let ms = |text: &str| ns(Distribution::parse_compact(text).unwrap().mean()) / 1e6;
        for (text, mean) in [
            ("uniform:1ms,5ms", 3.0),
            ("uniform:2ms,4ms,min=5ms", 5.0),
            ("uniform:2ms,4ms,max=1ms", 1.0),
            ("exponential:5ms", 5.0),
            ("exponential:5ms,max=5ms", 5.0 * (1.0 - (-1.0f64).exp())),
            ("lognormal:5ms,0.5", 5.0 * 0.125f64.exp()),
            ("normal:5ms,0ms", 5.0),
            ("normal:0ms,1ms", 1.0 / std::f64::consts::TAU.sqrt()),
            ("bimodal:1ms,50ms,5%", 3.45),
        ] {
            assert!((ms(text) - mean).abs() < 1e-5, "{text}: {} for {mean}", ms(text));
        }
        let exponential = Distribution::parse_compact("exponential:10ms").unwrap();
        assert_eq!(exponential.quantile(0.5).as_nanos(), 6_931_472);
        assert_eq!(exponential.quantile(0.0), Duration::ZERO);
    }
}
