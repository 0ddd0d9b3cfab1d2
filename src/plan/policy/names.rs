//! What breakers are called, in the order in which orders count them.
//!
//! `run` finds the one that somebody names.
//! Invariant: each place has one name, whether or not there is a breaker in it.

use crate::plan::{Endpoints, Plan};

/// A place where a breaker may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerName {
    /// `endpoint GET /cart`, `service shop`, `system`.
    pub name: String,
    /// The level that it belongs to, as in a scenario.
    pub level: &'static str,
    /// There is one.
    pub is_there: bool,
}

impl BreakerName {
    /// All places: the endpoints, the services, the system.
    pub fn all(plan: &Plan) -> Vec<Self> {
        let (endpoints, breakers) = (Endpoints::new(plan), &plan.policies.breakers);
        let place = |name: String, level: &'static str, is_there: bool| {
            let name = if name.is_empty() { level.to_owned() } else { format!("{level} {name}") };
            Self { name, level, is_there }
        };
        let endpoints = (0..endpoints.all.len())
            .map(|at| place(endpoints.name(at, plan), "endpoint", breakers.endpoint.is_some()));
        let services = plan.services.iter();
        let services =
            services.map(|one| place(one.name.clone(), "service", breakers.service.is_some()));
        let system = place(String::new(), "system", breakers.system.is_some());
        endpoints.chain(services).chain([system]).collect()
    }
}
