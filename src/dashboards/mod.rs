//! Files for Prometheus and Grafana, made for a scenario: rules, a dashboard, and a stack to try
//! them.
//!
//! `cli` writes them as `manada dashboards`.
//! Invariant: metrics have the names of `sinks::metrics`; a text of the scenario is data in each
//! file, never syntax.

mod condition;
mod grafana;
mod names;
mod promql;
mod render;
mod rules;
mod stack;

pub use promql::BucketForm;
pub use render::{GeneratedFile, render};
