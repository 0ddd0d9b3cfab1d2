//! Laws that can be integrated: load over time, random durations, queues.
//!
//! A plan holds them, `pace` and the built-in target draw from them, `plan` asks them questions.
//! Invariant: a law is plain data; every question about it is a pure function.

mod clamped;
mod compact;
pub mod distribution;
pub mod empirical;
mod gamma;
pub mod load;
#[cfg(test)]
mod load_tests;
mod normal;
mod piece;
pub mod queue;

pub use compact::SHAPES;
pub use distribution::{Distribution, DistributionKind};
pub use empirical::Empirical;
pub use load::{Curve, ONE_START};
pub use queue::ServiceQueue;
