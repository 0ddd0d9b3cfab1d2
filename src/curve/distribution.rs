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
}

impl Distribution {
    /// Always the same duration.
    pub const fn constant(duration: Duration) -> Self {
        Self { law: Law::Constant(duration), min: None, max: None }
    }

    /// One draw.
    pub fn sample(&self, _rng: &mut Rng) -> Duration {
        match self.law {
            Law::Constant(duration) => duration,
        }
    }
}
