//! How the simulated client behaves: what it holds back, gives up, tries again or shares.
//!
//! `scenario` reads it, `guard` makes laws of it, `engine::attempt` and `run` ask those.
//! Invariant: nothing said means nothing held back: the default client only measures.

mod attempts;
mod breaker;
mod names;
mod pool;
mod words;

use std::time::Duration;

pub use attempts::{
    BackoffPolicy, HedgeAfter, HedgePolicy, RateLimitPolicy, RetryPolicy, TimeoutPolicy,
};
pub use breaker::{BreakerPolicies, BreakerPolicy, BreakerSwitch, BreakerTrip, FailureCriteria};
pub use names::BreakerName;
pub use pool::{PoolPolicy, PoolStrategy};

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// `client: resilient` was said: what is not set below has its defaults.
    pub resilient: bool,
    /// Shared connections, by group of endpoints.
    pub pools: Vec<PoolPolicy>,
    /// When calls are not sent any more.
    pub breakers: BreakerPolicies,
    /// Deadlines that follow the target.
    pub timeouts: Option<TimeoutPolicy>,
    /// What is tried again.
    pub retries: Option<RetryPolicy>,
    /// What is tried twice at once.
    pub hedging: Option<HedgePolicy>,
    /// How many attempts are made at most.
    pub limits: RateLimitPolicy,
    /// How long a target that takes no connections is left alone.
    pub connect_backoff: Option<BackoffPolicy>,
    /// What is left out when the target is in trouble.
    pub degradation: Option<DegradationPolicy>,
    /// What is mended while it runs.
    pub healing: Option<HealingPolicy>,
    /// What is held back when the generator itself is in trouble.
    pub admission: Option<AdmissionPolicy>,
    /// How much memory the run may take.
    pub memory: Option<MemoryPolicy>,
    /// How long before they are due users and their connections are made ready.
    pub prewarm: Option<Duration>,
}

/// What goes first when not everything can go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Left out first: exports, reports.
    Low,
    /// What nothing is said of.
    #[default]
    Medium,
    /// Left out late: logins.
    High,
    /// Never left out: health checks.
    Critical,
}

impl Priority {
    /// The names in a scenario.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// How far down the client goes when its target is in trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DegradationLevel {
    /// Everything is sent.
    #[default]
    Normal,
    /// Nothing of low priority.
    Light,
    /// Only what is of high or critical priority.
    Heavy,
    /// Only what is critical.
    Emergency,
}

impl DegradationLevel {
    /// From good to bad.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Light, Self::Heavy, Self::Emergency];

    /// Its name.
    pub const fn name(self) -> &'static str {
        ["normal", "light", "heavy", "emergency"][self as usize]
    }

    /// The least priority that is sent.
    pub const fn least(self) -> Priority {
        [Priority::Low, Priority::Medium, Priority::High, Priority::Critical][self as usize]
    }
}

/// When the client goes down a level: by the calls of the last `window` that were sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DegradationPolicy {
    /// Share of calls that the target failed (no answer, 5xx, 429), 0 to 1, above which a level
    /// begins: light, heavy, emergency.
    pub errors: [f64; 3],
    /// p95 of service above which light and heavy begin: what the target takes, not what we hold
    /// back ourselves.
    pub p95: [Duration; 2],
    /// Share of the memory budget above which an emergency begins.
    pub memory: f64,
    /// How far back.
    pub window: Duration,
    /// How long a level has to be unneeded before it goes up by one.
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

/// How often it is looked at whether something can be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealingPolicy {
    /// So often.
    pub every: Duration,
}

impl Default for HealingPolicy {
    fn default() -> Self {
        Self { every: Duration::from_secs(10) }
    }
}

/// When the generator itself is taken to be in trouble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdmissionPolicy {
    /// Lag p99 of a second above this, and…
    pub lag: Duration,
    /// …a shard's CPU above this share of a core.
    pub cpu: f64,
    /// For so long, and work of low priority is held back; for as long again, of medium.
    pub after: Duration,
    /// Well for so long, and it is let in again.
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

/// How much memory the run may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// Bytes; none: what the cgroup or the machine gives.
    pub budget: Option<u64>,
}
