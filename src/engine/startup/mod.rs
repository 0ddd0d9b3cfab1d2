//! Before the first call: number of shards, their setup, shared counts, prepared users.
//!
//! `run` calls `start`; each shard gets a `ShardSetup`.
//! Invariant: shards share nothing but the counts in `RunShared`.

pub(crate) mod numbering;
pub(crate) mod prewarm;
pub(crate) mod run_shared;
pub(crate) mod setup;
pub(crate) mod start;
pub mod tier;
