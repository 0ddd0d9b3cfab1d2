//! The policies of the simulated client: what it holds back, gives up, retries or shares.
//!
//! `scenario` reads them, `resilience` implements them, `engine::attempt` and `run` apply them.
//! Invariant: without settings nothing is held back: the default client only measures.

mod attempts;
mod breaker;
mod names;
mod pool;
mod words;

use std::time::Duration;

pub use attempts::{
    BackoffPolicy, HedgeAfter, HedgePolicy, RateLimitPolicy, RetryPolicy, TimeoutPolicy,
};
pub use breaker::{BreakerPolicies, BreakerPolicy, BreakerTrip, FailureCriteria};
pub use names::BreakerName;
pub use pool::{PoolPolicy, PoolStrategy};

pub use crate::stats::{BreakerSwitch, DegradationLevel, Priority};

/// All policies.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// `client: resilient`: policies that are not set have its defaults.
    pub resilient: bool,
    /// Shared connections, by group of endpoints.
    pub pools: Vec<PoolPolicy>,
    /// When calls are suppressed.
    pub breakers: BreakerPolicies,
    /// Adaptive timeouts.
    pub timeouts: Option<TimeoutPolicy>,
    /// When failed attempts are retried.
    pub retries: Option<RetryPolicy>,
    /// When a second attempt is made.
    pub hedging: Option<HedgePolicy>,
    /// Maximum attempts per second.
    pub limits: RateLimitPolicy,
    /// Backoff for a target that refuses connections.
    pub connect_backoff: Option<BackoffPolicy>,
    /// Which calls are suppressed when the target is in trouble.
    pub degradation: Option<DegradationPolicy>,
    /// How often remedies are applied during the run.
    pub healing: Option<HealingPolicy>,
    /// Which work is held back when the generator is overloaded.
    pub admission: Option<AdmissionPolicy>,
    /// The run's memory budget.
    pub memory: Option<MemoryPolicy>,
    /// How users and their connections are prepared before they are due.
    pub prewarm: Option<PrewarmPolicy>,
}

impl Policies {
    /// How long before they are due users are prepared; zero if they are not.
    pub fn prewarm_lead(&self) -> Duration {
        self.prewarm.map_or(Duration::ZERO, |prewarm| prewarm.lead)
    }

    /// Whether load that no curve announces is predicted.
    pub fn predicts(&self) -> bool {
        self.prewarm.is_some_and(|prewarm| prewarm.predict)
    }
}

/// How users and their connections are prepared before they are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrewarmPolicy {
    /// How long before.
    pub lead: Duration,
    /// Whether load that no curve announces is predicted: from live control, and from a target that
    /// becomes slow.
    pub predict: bool,
}

/// When the client degrades, judged by the calls sent in the last `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DegradationPolicy {
    /// Share of calls that the target failed (no response, 5xx, 429), 0 to 1, above which the
    /// levels light, heavy and emergency begin.
    pub errors: [f64; 3],
    /// p95 of service time above which the levels light and heavy begin. Service time is what the
    /// target takes, without our own delays.
    pub p95: [Duration; 2],
    /// Share of the memory budget above which an emergency begins.
    pub memory: f64,
    /// Length of the window.
    pub window: Duration,
    /// How long a level has to be unnecessary before it improves by one.
    pub recover: Duration,
}

impl Default for DegradationPolicy {
    fn default() -> Self {
        Self {
            errors: [0.05, 0.15, 0.30],
            p95: [Duration::from_secs(2), Duration::from_secs(5)],
            memory: 0.9,
            window: Duration::from_secs(10),
            recover: Duration::from_secs(10),
        }
    }
}

/// How often remedies are considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealingPolicy {
    /// The interval.
    pub every: Duration,
}

impl Default for HealingPolicy {
    fn default() -> Self {
        Self { every: Duration::from_secs(10) }
    }
}

/// When the generator counts as overloaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdmissionPolicy {
    /// Lag p99 of a second above this, and…
    pub lag: Duration,
    /// …a shard's CPU above this share of a core…
    pub cpu: f64,
    /// …for this long hold back work of low priority; for as long again, of medium.
    pub after: Duration,
    /// Admission resumes after this time without overload.
    pub recover: Duration,
}

impl Default for AdmissionPolicy {
    fn default() -> Self {
        Self {
            lag: Duration::from_millis(100),
            cpu: 0.97,
            after: Duration::from_secs(3),
            recover: Duration::from_secs(10),
        }
    }
}

/// The run's memory budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// Bytes; `None`: what the cgroup or the machine offers.
    pub budget: Option<u64>,
}
