//! The backends of a plan by name, and the series that count their calls.
//!
//! `stats` is laid out by it, reports and rules name backends by it.
//! Invariant: the order is that of steps, services and backends, in every process of a run.

use std::collections::BTreeSet;

use super::Plan;
use super::backends::{Backend, BackendSeries};
use crate::ids::ServiceId;

impl Plan {
    /// Returns the names of the backends of a service, in order; none if it has a single address.
    pub fn backend_names(&self, service: ServiceId) -> Vec<String> {
        let members = self.services[service].backends.iter().flat_map(|all| &all.members);
        let name = |(number, member): (usize, &Backend)| {
            self.services[member.service].backend_name(number)
        };
        members.enumerate().map(name).collect()
    }

    /// Returns all series by backend, in the order of steps, services and backends.
    pub fn backend_series(&self) -> Vec<BackendSeries> {
        let mut pairs = BTreeSet::new();
        for share in self.workloads.iter().flat_map(|load| &load.shares) {
            for call in &self.archetypes[share.archetype].calls {
                if self.services[call.service].backends.is_some() {
                    pairs.insert((share.step(call.series), call.service));
                }
            }
        }
        let series = |(step, service)| {
            let names = self.backend_names(service).into_iter();
            names.map(move |name| BackendSeries { step, service, name })
        };
        pairs.into_iter().flat_map(series).collect()
    }
}
