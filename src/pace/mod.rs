//! Schedules: when the next start is due, and when a user is present.
//!
//! `engine` queries them; nothing here reads a clock.
//! Invariant: the union of the schedules of all owners of slots is that of the whole workload.

pub mod arrivals;
pub mod pauses;
pub mod target_users;
pub mod think;
pub mod users;

pub use arrivals::{Schedule, Start};
pub use pauses::Pauses;
pub use target_users::TargetUsers;
pub use users::{Stay, clip, stays, stays_from};
