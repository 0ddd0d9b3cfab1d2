//! Shared connections, by group of endpoints.
//!
//! Invariant: `min ≤ connections ≤ max`; a pool that does not adapt has `connections = max`.

use std::time::Duration;

use super::Priority;
use crate::plan::endpoint_pattern::EndpointPattern;

/// Whose connections the calls of a pool go over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolStrategy {
    /// The users of a shard share them.
    #[default]
    Shared,
    /// Each user has its own.
    PerUser,
    /// Each call opens one.
    PerRequest,
}

impl PoolStrategy {
    /// The names in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("shared", Self::Shared), ("per_user", Self::PerUser), ("per_request", Self::PerRequest)];
}

/// A group of endpoints and its connections.
#[derive(Clone, Debug)]
pub struct PoolPolicy {
    /// Its name in the scenario.
    pub name: String,
    /// Which endpoints it is for; the most specific pattern of all pools wins.
    pub patterns: Vec<EndpointPattern>,
    /// Whose they are.
    pub strategy: PoolStrategy,
    /// How many there may be at first, over the whole run.
    pub connections: u64,
    /// How many stay open when idle, and the least it shrinks to.
    pub min: u64,
    /// The most it grows to; `connections` unless it adapts.
    pub max: u64,
    /// Closed when idle for so long.
    pub idle: Option<Duration>,
    /// Closed after its call when it is this old.
    pub max_age: Option<Duration>,
    /// Closed after so many requests.
    pub max_requests: Option<u64>,
    /// The most a call waits for one; it is suppressed then. None: as long as it takes.
    pub wait: Option<Duration>,
    /// What is left out first.
    pub priority: Priority,
    /// Looked at so often, its size follows its use.
    pub adaptive: Option<Duration>,
}

impl PoolPolicy {
    /// How many connections, where nothing is said.
    pub const CONNECTIONS: u64 = 100;
    /// How often an adaptive pool is looked at, where nothing is said.
    pub const ADAPT: Duration = Duration::from_secs(30);

    /// A shared one of so many connections, of which nothing else is said.
    pub fn plain(name: &str, patterns: Vec<EndpointPattern>, connections: u64) -> Self {
        Self {
            name: name.to_owned(),
            patterns,
            strategy: PoolStrategy::Shared,
            connections,
            min: 0,
            max: connections,
            idle: None,
            max_age: None,
            max_requests: None,
            wait: None,
            priority: Priority::default(),
            adaptive: None,
        }
    }
}
