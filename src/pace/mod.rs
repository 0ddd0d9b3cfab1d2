//! The laws of time: when is the next start due, when is a user in?
//!
//! `engine::shard` asks; nothing here reads a clock.
//! Invariant: the union of what all segments plan is the schedule of the whole.

pub mod arrivals;
pub mod pauses;
pub mod target_users;
pub mod think;
pub mod users;

pub use arrivals::{Schedule, Start};
pub use pauses::Pauses;
pub use target_users::TargetUsers;
pub use users::{Stay, stays};
