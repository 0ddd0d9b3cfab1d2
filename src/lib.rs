//! Manada: a load-testing traffic simulator for the terminal.
//!
//! The modules, floor by floor; ARCHITECTURE.md says why.
//! Invariant: a module imports only from floors below its own (`tests/tidy.rs` proves it).

// Without screens, the parts of `report` and `control` that only they use are unused.
#![cfg_attr(
    not(all(
        feature = "tui",
        feature = "web",
        feature = "monitor",
        feature = "css",
        feature = "history",
        feature = "schedule"
    )),
    allow(unused)
)]

// 0: numbers, ids, time, randomness, this machine, exit statuses, redaction
pub mod clock;
pub mod exit;
mod foreign;
pub mod hex;
pub mod host;
pub mod ids;
pub mod printable;
pub mod protocol;
pub mod redact;
pub mod sandbox;
pub mod seed;
mod suggest;
mod trace;
pub mod units;
// 1: what was measured; load curves, distributions, queues; the files of a scenario; databases
pub mod curve;
pub mod files;
pub mod stats;
#[cfg(feature = "history")]
pub mod store;
// 2: rules over results; text templates
pub mod grpc;
pub mod template;
pub mod verdict;
// 3: checks and captures of responses
pub mod extract;
// 4: a valid run
pub mod plan;
// 5: pure policies of time and resilience, forecasts; the wire; the client beside the load;
// events; caches
pub mod cache;
pub mod delivery;
pub mod event;
pub mod forecast;
pub mod pace;
pub mod resilience;
#[cfg(any(feature = "monitor", feature = "metrics", feature = "schedule"))]
pub mod side_client;
#[cfg(feature = "schedule")]
pub mod timetable;
pub mod wire;
// 6: the language
pub mod scenario;
// 7: load generation, reports, the built-in target
pub mod engine;
pub mod report;
pub mod testserver;
// 8: files and screens of a run, live control, processes and machines of a run
pub mod control;
pub mod fleet;
pub mod kubernetes;
pub mod probe;
pub mod sinks;
// 9: one run; the history of runs; files for Prometheus and Grafana; runs at times
#[cfg(feature = "metrics")]
pub mod dashboards;
#[cfg(feature = "history")]
pub mod history;
pub mod run;
#[cfg(feature = "schedule")]
pub mod schedule;
// 11: the command line
pub mod cli;
