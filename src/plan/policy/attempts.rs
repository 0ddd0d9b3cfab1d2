//! Policies for attempts: timeouts, retries, hedging, rate limits.
//!
//! Invariant: shares and percentiles are within their ranges; a factor is at least 1.

use std::time::Duration;

use super::FailureCriteria;
use crate::plan::endpoint_pattern::EndpointPattern;

/// Timeouts that adapt to an endpoint's own latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeoutPolicy {
    /// Timeout before enough attempts are known.
    pub start: Duration,
    /// The percentile, 0 to 100, of recent attempts…
    pub percentile: f64,
    /// …is multiplied by this factor.
    pub factor: f64,
    /// Minimum.
    pub min: Duration,
    /// Maximum.
    pub max: Duration,
    /// The number of recent attempts to consider.
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

/// A wait that grows with each consecutive failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffPolicy {
    /// The first wait.
    pub base: Duration,
    /// Growth factor from wait to wait.
    pub factor: f64,
    /// Maximum.
    pub max: Duration,
    /// Whether the wait is drawn uniformly between zero and its value.
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

/// When and how failed attempts are retried.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Maximum retries per call.
    pub max: u32,
    /// The wait before each retry.
    pub backoff: BackoffPolicy,
    /// Maximum retries as a share of first attempts; `None`: unlimited.
    pub budget: Option<f64>,
    /// Outcomes that are retried.
    pub when: FailureCriteria,
    /// Whether to wait as long as the response's Retry-After says.
    pub retry_after: bool,
    /// The longest such wait; a call whose response asks for more is not retried.
    pub max_retry_after: Duration,
    /// Whether to retry requests that are not idempotent and may have taken effect.
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

/// Hedging: a second attempt next to a slow first one, for idempotent requests only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgePolicy {
    /// The delay before the second attempt.
    pub after: HedgeAfter,
    /// Maximum hedges as a share of first attempts.
    pub budget: f64,
}

/// The delay before the second attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeAfter {
    /// This percentile, 0 to 100, of the endpoint's recent attempts.
    Percentile(f64),
    /// A constant delay.
    Time(Duration),
}

/// Maximum attempts per second; waiting for a permit is blocked time.
#[derive(Clone, Debug, Default)]
pub struct RateLimitPolicy {
    /// For the whole run, in units of a `Rate`.
    pub global: Option<u64>,
    /// Attempts of each user.
    pub per_user: Option<u64>,
    /// Attempts from each source address.
    pub per_source: Option<u64>,
    /// For all endpoints together that a pattern matches; the most specific pattern wins.
    pub per_endpoint: Vec<(EndpointPattern, u64)>,
    /// The longest wait for a permit, after which the call is suppressed; `None`: unlimited.
    pub wait: Option<Duration>,
}

impl RateLimitPolicy {
    /// Whether a limit is set.
    pub fn is_any_set(&self) -> bool {
        self.global.is_some()
            || self.per_user.is_some()
            || self.per_source.is_some()
            || !self.per_endpoint.is_empty()
    }
}
