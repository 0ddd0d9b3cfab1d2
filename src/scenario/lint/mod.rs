//! Warnings about valid plans: settings that are legal but probably not intended.
//!
//! `loader` calls it last.
//! Invariant: a warning never prevents a run.

mod cache_warnings;
pub(crate) mod plan_warnings;
mod pool_warnings;
mod stream_warnings;
mod threshold_warnings;
