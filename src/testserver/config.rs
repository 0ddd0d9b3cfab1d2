//! The configuration of a test server.
//!
//! `cli` builds it from arguments, `server` and `shared` read it.
//! Invariant: the shares of its faults add up to at most 1.

use std::path::PathBuf;

use super::fault::{FaultShare, ServerStall};
use super::rate_limit::RequestRateLimit;
use super::streams::limits::ConnectionLimits;
use super::tokens::TokenLaws;
use crate::curve::Distribution;
use crate::seed::Seed;

/// The key of the tokens of private channels, if none is set.
pub const DEFAULT_CHANNEL_SECRET: &str = "manada";

/// The behaviour of a test server.
#[derive(Clone, Debug)]
pub struct TestServerConfig {
    /// Distribution of the service time; `None`: it responds at once.
    pub latency: Option<Distribution>,
    /// How many requests it serves at once; `None`: all of them.
    pub servers: Option<u32>,
    /// Faults and their shares; the shares are exclusive, and add up to at most 1.
    pub fail: Vec<FaultShare>,
    /// When the server stalls, measured from the first request.
    pub stalls: Vec<ServerStall>,
    /// The file to log arrivals to.
    pub log: Option<PathBuf>,
    /// The key of the tokens of private channels.
    pub channel_secret: String,
    /// Limits of connections.
    pub limits: ConnectionLimits,
    /// Rate limit of the requests of an address; `None`: there is none.
    pub rate_limit: Option<RequestRateLimit>,
    /// URL of the Redis through which channels are shared with other instances.
    pub redis: Option<String>,
    /// The laws of token streams.
    pub tokens: TokenLaws,
    /// Seed of latencies and faults.
    pub seed: Seed,
    /// Number of threads; they share one queue and one set of counts.
    pub threads: usize,
}

impl TestServerConfig {
    /// Creates a configuration that responds at once and never fails, on one thread.
    pub fn new(seed: Seed) -> Self {
        Self {
            latency: None,
            servers: None,
            fail: Vec::new(),
            stalls: Vec::new(),
            log: None,
            channel_secret: DEFAULT_CHANNEL_SECRET.to_owned(),
            limits: ConnectionLimits::default(),
            rate_limit: None,
            redis: None,
            tokens: TokenLaws::default(),
            seed,
            threads: 1,
        }
    }
}
