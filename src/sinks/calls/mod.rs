//! What leaves a run call by call.
//!
//! `cli` opens the sinks of this folder; the deltas of shards carry the calls.
//! Invariant: no figure of a report comes from here; what is left out is counted.

pub(super) mod call_names;
mod samples;
mod zstd_frames;

pub use samples::{SampleTotals, SampleTotalsHandle, SamplesFile};
