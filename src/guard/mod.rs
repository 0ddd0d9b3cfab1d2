//! The laws of caution: when not to send, how long to wait, when to try again.
//!
//! `engine::caution` asks them for each attempt, `run::steward` once a second.
//! Invariant: plain structs that take `now` and say what to do; nothing here waits or reads a
//! clock.

pub mod backoff;
pub mod board;
pub mod breaker;
pub mod budget;
pub mod gate;
pub mod limiter;
pub mod limits;
pub mod recent;
pub mod timeout;

pub use board::{Board, Pass};
pub use breaker::{Breaker, Change, End, State};
pub use budget::Budget;
pub use gate::{Ask, Gate};
pub use limiter::Limiter;
pub use limits::Limits;
pub use recent::Recent;
pub use timeout::AdaptiveTimeout;
