//! The laws of caution: when not to send, how long to wait, when to try again.
//!
//! `engine::caution` asks them for each attempt, `run::steward` once a second.
//! Invariant: plain structs that take `now` and say what to do; nothing here waits or reads a
//! clock.

pub mod admission;
pub mod backoff;
pub mod board;
pub mod breaker;
pub mod budget;
pub mod degrade;
pub mod gate;
pub mod heal;
pub mod limiter;
pub mod limits;
pub mod memory;
pub mod recent;
pub mod sizing;
pub mod timeout;

pub use admission::Admit;
pub use board::{Board, Pass};
pub use breaker::{Breaker, Change, End, State};
pub use budget::Budget;
pub use degrade::Degrade;
pub use gate::{Ask, Gate};
pub use heal::Heal;
pub use limiter::Limiter;
pub use limits::Limits;
pub use memory::Memory;
pub use recent::Recent;
pub use timeout::AdaptiveTimeout;
