//! Connection pools, by group of endpoints.
//!
//! Invariant: `min ≤ connections ≤ max`; `connections = max` unless the pool adapts.

use std::time::Duration;

use super::Priority;
use crate::ids::{PoolId, indexed_by};
use crate::plan::endpoint_pattern::EndpointPattern;

/// How the calls of a pool share connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolStrategy {
    /// All users of a shard share them.
    #[default]
    Shared,
    /// Each user has its own.
    PerUser,
    /// Each call opens its own.
    PerRequest,
}

impl PoolStrategy {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("shared", Self::Shared), ("per_user", Self::PerUser), ("per_request", Self::PerRequest)];
}

/// A group of endpoints and its connections.
#[derive(Clone, Debug)]
pub struct PoolPolicy {
    /// Name of the pool in the scenario.
    pub name: String,
    /// Patterns of its endpoints; the most specific pattern of all pools wins.
    pub patterns: Vec<EndpointPattern>,
    /// How calls share the connections.
    pub strategy: PoolStrategy,
    /// Initial maximum of connections, over the whole run.
    pub connections: u64,
    /// Connections that stay open when idle, and the least that an adaptive pool shrinks to.
    pub min: u64,
    /// Maximum connections of an adaptive pool; equal to `connections` unless the pool adapts.
    pub max: u64,
    /// Maximum calls at a time on a connection of HTTP/2.
    pub streams: u64,
    /// Closes a connection that is idle for this time.
    pub idle: Option<Duration>,
    /// Closes a connection of this age after its call.
    pub max_age: Option<Duration>,
    /// Closes a connection after this number of requests.
    pub max_requests: Option<u64>,
    /// The longest wait for a connection, after which the call is suppressed; `None`: unlimited.
    pub wait: Option<Duration>,
    /// Decides which calls go first under limits.
    pub priority: Priority,
    /// Interval at which the size adapts to the use; `None`: constant size.
    pub adaptive: Option<Duration>,
}

indexed_by! {
    PoolId: PoolPolicy;
}

impl PoolPolicy {
    /// Default number of connections.
    pub const CONNECTIONS: u64 = 100;
    /// Default interval of an adaptive pool.
    pub const ADAPT: Duration = Duration::from_secs(30);

    /// Builds a shared pool of this many connections, with default settings.
    pub fn shared(name: &str, patterns: Vec<EndpointPattern>, connections: u64) -> Self {
        Self {
            name: name.to_owned(),
            patterns,
            strategy: PoolStrategy::Shared,
            connections,
            min: 0,
            max: connections,
            streams: 1,
            idle: None,
            max_age: None,
            max_requests: None,
            wait: None,
            priority: Priority::default(),
            adaptive: None,
        }
    }
}
