//! Load curves, distributions of durations, and queues: models that can be integrated.
//!
//! A plan holds them, `pace` and the built-in test server draw from them, `forecast` integrates
//! them.
//! Invariant: a model is plain data; every method that queries it is a pure function.

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
