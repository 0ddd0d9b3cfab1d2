//! The sections of a page, one file each.
//!
//! `document` orders them.
//! Invariant: a section without anything to show renders nothing.

mod caches;
mod cells;
#[cfg(feature = "history")]
pub(super) use cells::sortable;
pub mod checks;
pub mod client;
pub mod distribution;
pub mod events;
pub mod failures;
pub mod health;
mod heat;
pub mod latency;
pub mod load;
pub mod messages;
pub mod phases;
pub mod responses;
pub mod scenario;
pub mod tables;
pub mod thresholds;
pub mod traces;
pub mod verdict;
