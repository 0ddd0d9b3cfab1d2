//! The times that each process of a run measured, to find one that differs from all others.
//!
//! `tally` keeps them if a run has several processes; trust compares them.
//! Invariant: they hold measured seconds only.

use super::delta::Delta;
use super::histogram::Histogram;

/// The times of one process.
#[derive(Debug)]
pub(super) struct ProcessTimes {
    name: String,
    /// Service times of complete responses.
    service: Histogram,
    /// Lateness of calls.
    lag: Histogram,
}

/// The figures of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFigures {
    /// Such as `agent 0` or `worker 1`.
    pub name: String,
    /// Complete responses.
    pub responses: u64,
    /// p50 of their service times, µs.
    pub service_p50_us: u64,
    /// p99 of the lateness of calls, µs.
    pub lag_p99_us: u64,
}

impl ProcessTimes {
    pub(super) fn new(name: String) -> Self {
        Self { name, service: Histogram::default(), lag: Histogram::default() }
    }

    /// Adds a delta of the process.
    pub(super) fn absorb(&mut self, delta: &Delta) {
        for window in delta.windows.iter().filter(|window| window.measured) {
            for step in window.steps.iter().flatten() {
                self.service.merge(step.service.responses());
            }
            window.workloads.iter().for_each(|load| self.lag.merge(&load.lag));
        }
    }

    pub(super) fn figures(&self) -> ProcessFigures {
        ProcessFigures {
            name: self.name.clone(),
            responses: self.service.count(),
            service_p50_us: self.service.percentile_us(50.0),
            lag_p99_us: self.lag.percentile_us(99.0),
        }
    }
}
