//! Manada: a load-testing traffic simulator for the terminal.
//!
//! The modules, floor by floor; a module imports only from floors below its own
//! (`tests/tidy.rs` proves it, ARCHITECTURE.md says why).

// 0: numbers, time, randomness, this machine, endings
pub mod exit;
pub mod seed;
pub mod units;
// 1: what was measured; load curves, distributions, queues
pub mod curve;
// 2: what "good" means
pub mod verdict;
// 3: what was asked
pub mod plan;
// 4: laws and edges
pub mod scenario;
