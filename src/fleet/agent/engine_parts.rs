//! What the shards of an agent need before they start.
//!
//! `engine` prepares it on a thread of its own.
//! Invariant: everything that takes long is done before the start is set.

use std::time::Duration;

use super::checks::look_up;
use super::error::AgentError;
use super::pause::pause;
use crate::clock;
use crate::engine::{self, Variables};
use crate::fleet::bus::{BusAddress, BusClient};
use crate::fleet::derived::{GLOBALS, limits};
use crate::fleet::payload::ShardDeltas;
use crate::fleet::setup::FleetSetup;
use crate::fleet::variables;
use crate::plan::Plan;
use crate::wire::ServiceEndpoint;

/// How often the bus is asked for the values of variables.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the shards need before they start.
pub(super) struct PreparedEngine {
    pub(super) globals: Variables,
    /// For each shard.
    pub(super) endpoints: Vec<Vec<ServiceEndpoint>>,
}

/// Reads the values of the variables that `setup` set, and makes the endpoints of all services.
pub(super) fn prepare(
    (bus, run, patience): (&BusAddress, &str, Duration),
    plan: &Plan,
    setup: &FleetSetup,
    shards: u16,
) -> Result<PreparedEngine, AgentError> {
    let mut client: BusClient<ShardDeltas> = BusClient::open(bus, run, limits(plan, &setup.times))?;
    let until = clock::now() + patience;
    let failed = |why: &str| AgentError::Prepare(why.to_owned());
    let bytes = loop {
        match client.get(GLOBALS)? {
            Some(bytes) => break bytes,
            None if clock::now() >= until => {
                return Err(failed("the values of the variables of `setup` did not come"));
            }
            None => pause(LOOK_EVERY),
        }
    };
    let unreadable = || failed("the values of the variables of `setup` cannot be read");
    let globals = variables::from_bytes(&bytes).ok_or_else(unreadable)?;
    let endpoints = (0..shards).map(|_| engine::endpoints(plan, &setup.addresses));
    let endpoints: std::io::Result<Vec<_>> = endpoints.collect();
    let endpoints = endpoints.map_err(|error| failed(&format!("cannot set up TLS: {error}")))?;
    if let Some(first) = endpoints.first() {
        look_up(plan, first)?;
    }
    Ok(PreparedEngine { globals, endpoints })
}
