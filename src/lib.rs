//! Manada: a load-testing traffic simulator for the terminal.
//!
//! The modules, floor by floor; ARCHITECTURE.md says why.
//! Invariant: a module imports only from floors below its own (`tests/tidy.rs` proves it).

// 0: numbers, time, randomness, this machine, endings, what may be shown
pub mod clock;
pub mod exit;
mod foreign;
pub mod host;
mod near;
pub mod printable;
pub mod redact;
pub mod seed;
pub mod units;
// 1: what was measured; load curves, distributions, queues
pub mod curve;
pub mod stats;
// 2: what "good" means
pub mod verdict;
// 3: what was asked
pub mod plan;
// 4: laws of time; the edge to the target; what a run and its audience say to each other
pub mod event;
pub mod pace;
pub mod resilience;
pub mod scenario;
pub mod wire;
// 5: drive, show, the built-in target
pub mod engine;
pub mod sinks;
pub mod target;
// 6: one run
pub mod run;
// 8: words to calls
pub mod cli;
