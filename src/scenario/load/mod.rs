//! Workloads: the load, its model and its time.
//!
//! `compile` calls it.
//! Invariant: a compiled load has an end, by time or by count.

pub(crate) mod bounds;
pub(crate) mod k6;
mod model;
mod stages;
pub(crate) mod workload;
