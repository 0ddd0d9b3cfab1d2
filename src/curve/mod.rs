//! Laws that can be integrated: load over time, random durations, queues.
//!
//! A plan holds them, `pace` and the built-in target draw from them, `plan` asks them questions.
//! Invariant: a law is plain data; every question about it is a pure function.

mod compact;
pub mod distribution;
pub mod load;
mod normal;
pub mod queue;

pub use distribution::{Distribution, Law};
pub use load::{Curve, ONE_START};
pub use queue::Queue;
