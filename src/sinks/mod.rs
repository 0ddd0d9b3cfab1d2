//! Subscribers of a run's events: files, screens, browsers.
//!
//! `run` publishes events to a [`SinkSet`]; `cli` adds the sinks.
//! Invariant: no sink slows the engine. A slow screen loses frames, which are counted and reported;
//! a file loses nothing; the last event reaches every sink.

mod backends;
pub mod calls;
#[cfg(any(feature = "web", feature = "metrics"))]
mod client_connections;
pub mod disk_budget;
#[cfg(feature = "metrics")]
pub mod elasticsearch;
mod endpoints;
pub mod exports;
pub mod files;
pub mod folder;
mod health;
pub(crate) mod hlog;
mod locked_file;
mod messages;
#[cfg(feature = "metrics")]
pub mod metrics;
mod notice_throttle;
#[cfg(feature = "metrics")]
pub mod otlp;
mod policy_timeseries;
mod pools;
pub mod progress;
#[cfg(feature = "metrics")]
pub mod push;
pub mod run_log;
mod second_rows;
mod sink_set;
mod timeline;
#[cfg(feature = "tui")]
pub mod tui;
#[cfg(feature = "web")]
pub mod web;

use sink_set::is_for_screens;
pub use sink_set::{Sink, SinkSet, SinkSummary, WhenFull};
