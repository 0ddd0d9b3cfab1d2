//! `endpoints.csv`: a row per second and endpoint, with its timeout and its breakers.
//!
//! `files` passes it complete seconds.
//! Invariant: the file exists only with adaptive timeouts or breakers; a cell without a value is
//! empty.

use std::io::{self, Write};

use super::policy_timeseries::PolicySecond;
use crate::ids::{BreakerId, ServiceId};
use crate::plan::RunManifest;
use crate::report::csv::harmless;
use crate::stats::{BreakerState, ResilienceSnapshot};

/// The name of the file.
pub(super) const FILE: &str = "endpoints.csv";

const HEADER: [&str; 6] =
    ["second", "endpoint", "timeout_us", "breaker", "service_breaker", "system_breaker"];

/// Writes the file.
pub(super) struct EndpointsFile<W: Write> {
    csv: csv::Writer<W>,
    /// Each endpoint's name, and the indices of its breakers: endpoint, service, system.
    endpoints: Vec<(String, [BreakerId; 3])>,
}

impl<W: Write> EndpointsFile<W> {
    /// Whether a plan needs the file.
    pub(super) fn wanted(plan: &RunManifest) -> bool {
        plan.client.timeouts_from.is_some()
            || plan.client.breakers.iter().any(|one| one.is_configured)
    }

    /// Writes the head of the file.
    pub(super) fn new(out: W, plan: &RunManifest) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEADER)?;
        let endpoints = &plan.client.endpoints;
        let (count, services) = (endpoints.len(), plan.services.len());
        let places = |(at, (name, service)): (usize, &(String, ServiceId))| {
            (harmless(name), [at, count + service.index(), count + services].map(BreakerId::new))
        };
        let endpoints = endpoints.iter().enumerate().map(places).collect();
        Ok(Self { csv, endpoints })
    }

    /// Writes one second.
    pub(super) fn write(&mut self, second: u64, stand: &PolicySecond) -> io::Result<()> {
        for (at, (name, places)) in self.endpoints.iter().enumerate() {
            self.csv.write_record(row(second, at, name, *places, &stand.guarded))?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

fn row(
    second: u64,
    at: usize,
    name: &str,
    places: [BreakerId; 3],
    guarded: &ResilienceSnapshot,
) -> [String; 6] {
    let timeout = guarded.timeouts_ns.get(at).map(|ns| (ns / 1_000).to_string());
    let state = |id: BreakerId| {
        let state = guarded.breakers.get(id.index()).and_then(|breaker| breaker.state);
        state.map_or("", BreakerState::name).to_owned()
    };
    let [own, service, system] = places.map(state);
    [second.to_string(), name.to_owned(), timeout.unwrap_or_default(), own, service, system]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::BreakerUse;

    #[test]
    fn a_row_has_what_there_is() {
        let breaker = |state| BreakerUse { state, opened: 1, refused: 1 };
        let breakers =
            [None, Some(BreakerState::Open), None, Some(BreakerState::HalfOpen)].map(breaker);
        let guarded =
            ResilienceSnapshot { timeouts_ns: vec![1_500_000, 9], breakers: breakers.into() };
        let cells = |at, places| row(3, at, "GET /", places, &guarded).join("|");
        assert_eq!(cells(0, [0, 2, 3].map(BreakerId::new)), "3|GET /|1500|||half-open");
        assert_eq!(cells(1, [1, 2, 3].map(BreakerId::new)), "3|GET /|0|open||half-open");
        let nothing =
            row(3, 0, "GET /", [0, 1, 2].map(BreakerId::new), &ResilienceSnapshot::default());
        assert_eq!(nothing.join("|"), "3|GET /||||");
    }
}
