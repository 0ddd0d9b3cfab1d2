//! What all streams of the test server share: counts, queues, topics, limits of rates.
//!
//! `websocket` and others use it.
//! Invariant: nothing here knows a protocol: what is queued is bytes, ready to be written.

pub(super) mod counts;
pub(super) mod limits;
pub(super) mod pieces;
pub(super) mod pipeline;
pub(super) mod presence;
pub(super) mod queue;
pub(super) mod rate_limit;
pub(super) mod schedule;
pub(super) mod shared_histogram;
pub(super) mod topic;
pub(super) mod writer;
