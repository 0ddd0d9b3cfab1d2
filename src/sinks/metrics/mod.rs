//! Metrics of a run for receivers of others: Prometheus by scrape and by remote write, InfluxDB,
//! StatsD.
//!
//! `cli` opens them and adds them to the sinks.
//! Invariant: they read the report of each second and nothing else, so they cost the load nothing.

pub(in crate::sinks) mod buckets;
pub(in crate::sinks) mod catalog;
pub(in crate::sinks) mod family;
pub mod influx;
mod interval;
mod protobuf;
pub mod remote_write;
mod scrape;
pub mod statsd;
mod text;

pub use buckets::BOUNDS_US;
pub use catalog::{check_size, metric_names};
pub use family::label_name;
pub use scrape::{MetricsEndpoint, MetricsSink};
