//! Names of breakers, in the order in which commands to shards count them.
//!
//! `run` looks up the breaker that a command names.
//! Invariant: each possible breaker has one name, whether or not it is configured.

use crate::ids::EndpointId;
use crate::plan::{Endpoints, Plan};
use crate::stats::ChangeSubject;

/// A possible breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerName {
    /// `endpoint GET /cart`, `service shop`, `system`.
    pub name: String,
    /// Level of the breaker, as in a scenario.
    pub level: &'static str,
    /// Whether the breaker is configured.
    pub is_configured: bool,
}

impl BreakerName {
    /// The breaker as the subject of a change.
    pub fn subject(&self) -> ChangeSubject {
        let own = self.name.strip_prefix(self.level).unwrap_or_default().trim_start().to_owned();
        match self.level {
            "endpoint" => ChangeSubject::Endpoint(own),
            "service" => ChangeSubject::Service(own),
            _ => ChangeSubject::System,
        }
    }

    /// Returns all possible breakers: endpoints, services, system.
    pub fn all(plan: &Plan) -> Vec<Self> {
        let (endpoints, breakers) = (Endpoints::new(plan), &plan.policies.breakers);
        let place = |name: String, level: &'static str, is_configured: bool| {
            let name = if name.is_empty() { level.to_owned() } else { format!("{level} {name}") };
            Self { name, level, is_configured }
        };
        let endpoints = EndpointId::first(endpoints.all.len())
            .map(|id| place(endpoints.name(id, plan), "endpoint", breakers.endpoint.is_some()));
        let services = plan.services.iter();
        let services = services.map(|one| {
            let is_configured = breakers.service.is_some() && one.backend_of.is_none();
            place(one.name.clone(), "service", is_configured)
        });
        let system = place(String::new(), "system", breakers.system.is_some());
        endpoints.chain(services).chain([system]).collect()
    }
}
