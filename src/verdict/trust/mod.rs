//! Whether the measurement can be trusted: the generator's checks of itself.
//!
//! `run` evaluates it at the end; the result heads every report and can override a threshold.
//! Invariant: only the generator's own lateness, shortage or errors reduce trust, never the
//! target's behaviour.

mod checks;
mod effects;
mod evaluate;
mod lateness;
mod processes;
mod reason;
mod receiver;

pub use effects::{Effect, Moves};
pub use evaluate::Trust;
pub use reason::{
    LAG, LATE_USERS, LITTLE, LOST, RECEIVER, RUN_QUEUE, SATURATED, TrustContext, TrustLevel,
    TrustReason, WAKE_UP_US,
};
