//! The built-in targets of a run, and the addresses of all its services.
//!
//! `execute` and `dry_run` start them.
//! Invariant: a target lives until its handle is dropped.

use super::error::RunError;
use crate::plan::{Address, Plan, ServiceTarget};
use crate::testserver::process::TestServerProcess;

/// The built-in targets of a run that were started before it, for its sandbox.
#[derive(Debug)]
pub struct StartedTargets {
    addresses: Vec<Address>,
    _servers: Vec<TestServerProcess>,
}

impl StartedTargets {
    /// Starts them.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start(plan: &Plan) -> Result<Self, RunError> {
        let (addresses, servers) = start(plan)?;
        Ok(Self { addresses, _servers: servers })
    }

    /// Those of a run that was started elsewhere.
    pub fn elsewhere(addresses: Vec<Address>) -> Self {
        Self { addresses, _servers: Vec::new() }
    }

    /// The addresses of all services, in the order of the plan.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

/// Starts a test server for each `builtin` service; returns the addresses of all services in the
/// order of the plan, and the started servers.
pub(super) fn start(plan: &Plan) -> Result<(Vec<Address>, Vec<TestServerProcess>), RunError> {
    let (mut addresses, mut targets) = (Vec::new(), Vec::new());
    for service in &plan.services {
        match &service.target {
            ServiceTarget::Url(address) => addresses.push(address.clone()),
            ServiceTarget::Builtin(builtin) => {
                let running = TestServerProcess::start(None, builtin, plan.seed)
                    .map_err(|e| RunError::World("cannot start the built-in target", e))?;
                addresses.push(Address {
                    host: running.address().ip().to_string(),
                    port: running.address().port(),
                    ..Address::default()
                });
                targets.push(running);
            }
        }
    }
    Ok((addresses, targets))
}
