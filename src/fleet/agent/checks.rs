//! Whether this machine may, and can, run the plan: its targets, and what a part of it needs.
//!
//! `agent` calls it before it joins, and again for names once they are looked up.
//! Invariant: nothing has been sent to a target before.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::Poll;

use super::error::AgentError;
use crate::clock;
use crate::engine;
use crate::exit::ExitStatus;
use crate::fleet::setup::FleetSetup;
use crate::ids::ServiceId;
use crate::plan::{Plan, ServiceTarget};
use crate::wire::ServiceEndpoint;

/// Refuses a setup with other addresses than its plan, and targets that limits of this machine
/// forbid, as far as names tell.
pub(super) fn check(plan: &Plan, setup: &FleetSetup) -> Result<(), AgentError> {
    let is_same = |service: &crate::plan::Service, at: &crate::plan::Address| match &service.target
    {
        ServiceTarget::Url(address) => address == at,
        // On the machine of the coordinator: agents of the same machine reach it.
        ServiceTarget::Builtin(_) => at.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
    };
    let mut pairs = plan.services.iter().zip(&setup.addresses);
    if plan.services.len() != setup.addresses.len() || !pairs.all(|(one, at)| is_same(one, at)) {
        let why = "services have other addresses here than at the coordinator: environment \
                   variables of this machine differ, or something changed the run on the bus";
        return Err(AgentError::Setup(why.to_owned()));
    }
    let endpoints = engine::endpoints(plan, &setup.addresses);
    let endpoints =
        endpoints.map_err(|error| AgentError::Prepare(format!("cannot set up TLS: {error}")))?;
    for (id, endpoint) in ServiceId::number(&endpoints) {
        if let Some(why) = endpoint.refusal() {
            return Err(forbidden(plan, id, &why));
        }
    }
    Ok(())
}

/// Looks up the names of all services at once; returns the target that is forbidden, if one is.
pub(super) fn look_up(plan: &Plan, endpoints: &[ServiceEndpoint]) -> Result<(), AgentError> {
    type Pending<'a> = (ServiceId, Pin<Box<dyn Future<Output = Option<String>> + 'a>>);
    let refused = clock::block_on(async {
        let mut pending: Vec<Pending<'_>> = Vec::new();
        for (id, endpoint) in ServiceId::number(endpoints) {
            pending.push((id, Box::pin(endpoint.foresee())));
        }
        poll_fn(move |context| {
            let mut at = 0;
            while let Some((id, look_up)) = pending.get_mut(at) {
                match look_up.as_mut().poll(context) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Some(why)) => return Poll::Ready(Some((*id, why))),
                    Poll::Ready(None) => drop(pending.swap_remove(at)),
                }
            }
            if pending.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    });
    let refused = refused
        .map_err(|error| AgentError::Prepare(format!("cannot resolve host names: {error}")))?;
    refused.map_or(Ok(()), |(id, why)| Err(forbidden(plan, id, &why)))
}

fn forbidden(plan: &Plan, id: ServiceId, why: &str) -> AgentError {
    let name = &plan.services[id].name;
    AgentError::Refused(format!("service `{name}`: {why}"), ExitStatus::Scenario)
}
