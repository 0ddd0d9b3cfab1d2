//! Virtual users: their tasks, their identity, and the two models of load.
//!
//! `starter` assigns users to tasks; `attempt` makes their calls.
//! Invariant: a user belongs to one task of one shard at a time.

pub(crate) mod ahead;
pub(crate) mod closed_user;
pub(crate) mod identity;
pub(crate) mod open_user;
pub(crate) mod prewarmed;
pub(crate) mod row_source;
pub(crate) mod transaction_state;
pub(crate) mod user;
pub(crate) mod user_meter;
pub(crate) mod user_task;
pub(crate) mod waiting;
pub(crate) mod worker;
