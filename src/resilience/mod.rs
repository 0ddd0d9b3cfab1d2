//! Resilience policies: pure state machines that decide when to send, how long to wait, when to
//! retry.
//!
//! `engine::resilience` asks them for each attempt, `run::supervisor` once a second.
//! Invariant: plain structs that take `now` and return a decision; nothing here waits or reads a
//! clock.

pub mod admission;
pub mod backoff;
pub mod balance;
pub mod board;
pub mod breaker;
pub mod budget;
pub mod connect_gate;
pub mod degrade;
mod failure_window;
pub mod heal;
pub mod health;
pub mod limiter;
pub mod limits;
pub mod memory;
pub mod recent;
pub mod sizing;
pub mod timeout;
mod transition;
pub mod trend;

pub use admission::AdmissionController;
pub use balance::{BackendBoard, BackendGroup};
pub use board::{BreakerBoard, BreakerPermit};
pub use breaker::{AttemptResult, CircuitBreaker, StateTransition};
pub use budget::RetryBudget;
pub use connect_gate::{ConnectBackoffGate, ConnectDecision};
pub use degrade::DegradationController;
pub use heal::HealingController;
pub use limiter::RateLimiter;
pub use limits::RateLimits;
pub use memory::MemoryController;
pub use recent::RecentTimes;
pub use timeout::AdaptiveTimeout;
pub use trend::Trend;
