//! What all receivers of a run have in common to which a sink sends by itself: a bounded queue with
//! a thread behind it, requests over HTTP, the intervals of pushes, and the wait at the end.
//!
//! Sinks of metrics, of OpenTelemetry and of Elasticsearch use it.
//! Invariant: a receiver never delays the run, and all receivers together delay its end by at most
//! 10 s.

pub(in crate::sinks) mod delivery;
pub(in crate::sinks) mod http_push;
mod last_wait;
mod push_timer;

pub use last_wait::LastWait;
pub(in crate::sinks) use push_timer::PushTimer;
