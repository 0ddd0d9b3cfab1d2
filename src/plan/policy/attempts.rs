//! How long an attempt may take, when another is made, and how many there are at most.
//!
//! Invariant: shares and percentiles are within their ranges; a factor is at least 1.

use std::time::Duration;

use super::FailureCriteria;
use crate::plan::endpoint_pattern::EndpointPattern;

/// Deadlines that follow an endpoint's own times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeoutPolicy {
    /// Before enough is known.
    pub start: Duration,
    /// The percentile, 0 to 100, of the last times…
    pub percentile: f64,
    /// …times this.
    pub factor: f64,
    /// Never less.
    pub min: Duration,
    /// Never more.
    pub max: Duration,
    /// How many of the last attempts are looked at.
    pub window: usize,
}

impl Default for TimeoutPolicy {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(5),
            percentile: 95.0,
            factor: 1.5,
            min: Duration::from_secs(1),
            max: Duration::from_secs(30),
            window: 100,
        }
    }
}

/// A wait that grows with each failure in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffPolicy {
    /// The first.
    pub base: Duration,
    /// Each is so many times the one before.
    pub factor: f64,
    /// Never longer.
    pub max: Duration,
    /// Drawn evenly from zero up to it, instead of it.
    pub jitter: bool,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            factor: 2.0,
            max: Duration::from_secs(10),
            jitter: true,
        }
    }
}

/// What is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// How often at most.
    pub max: u32,
    /// The wait before each.
    pub backoff: BackoffPolicy,
    /// At most this share of first attempts; none: no budget.
    pub budget: Option<f64>,
    /// After which ends.
    pub when: FailureCriteria,
    /// Waits as long as the answer asks for.
    pub retry_after: bool,
    /// The longest such wait; an answer that asks for more is not tried again.
    pub max_retry_after: Duration,
    /// Also requests that may have had their effect, and must not have it twice.
    pub unsafe_methods: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max: 2,
            backoff: BackoffPolicy::default(),
            budget: Some(0.1),
            when: FailureCriteria {
                connect: true,
                timeout: true,
                broken: false,
                statuses: vec![(429, 429), (503, 503)],
            },
            retry_after: true,
            max_retry_after: Duration::from_mins(1),
            unsafe_methods: false,
        }
    }
}

/// A second attempt beside a slow first one; only for requests that may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgePolicy {
    /// When.
    pub after: HedgeAfter,
    /// At most this share of first attempts.
    pub budget: f64,
}

/// When a second attempt is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeAfter {
    /// At this percentile, 0 to 100, of the endpoint's last times.
    Percentile(f64),
    /// After this long.
    Time(Duration),
}

/// The most attempts per second; waiting for a turn is blocked time.
#[derive(Clone, Debug, Default)]
pub struct RateLimitPolicy {
    /// All of the run, in units of a `Rate`.
    pub global: Option<u64>,
    /// Each user, by its number.
    pub per_user: Option<u64>,
    /// Each source address.
    pub per_source: Option<u64>,
    /// All endpoints together that a pattern fits; the most specific pattern wins.
    pub per_endpoint: Vec<(EndpointPattern, u64)>,
    /// The most a call waits for its turn; it is suppressed then. None: as long as it takes.
    pub wait: Option<Duration>,
}

impl RateLimitPolicy {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.global.is_some()
            || self.per_user.is_some()
            || self.per_source.is_some()
            || !self.per_endpoint.is_empty()
    }
}
