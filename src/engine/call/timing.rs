//! The moments of a call before it is sent, and its end.
//!
//! `iteration` and `parallel` make the timing; `conclude` makes the end.
//! Invariant: a wait that policy or a pace caused lies before `ready`, lateness of the shard after
//! it.

use crate::clock::Time;
use crate::stats::{AttemptOutcome, BlockCause, CallResult, Exchange};

/// When a call was scheduled, when it could be made, and when the shard turned to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTiming {
    /// Scheduled time of the call.
    pub(crate) intended: Time,
    /// When the user was free for the call. Later than `intended` only if a paced user still waited
    /// for the target, or was not admitted: that wait is blocked time, not lateness of the
    /// generator.
    pub(crate) ready: Time,
    /// When the shard turned to it.
    pub(crate) picked_up: Time,
    /// Why `ready` is later than `intended`.
    pub(crate) cause: BlockCause,
}

impl CallTiming {
    /// The timing of a call that is ready when it is intended.
    pub(crate) fn at_once(intended: Time, picked_up: Time) -> Self {
        Self { intended, ready: intended, picked_up, cause: BlockCause::Pace }
    }
}

/// The end of a call, as the user sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallEnd {
    /// How the call ended.
    pub(crate) result: CallResult,
    /// When.
    pub(crate) done: Time,
    /// Whether a response came, whatever its status.
    pub(crate) responded: bool,
    /// Whether the iteration continues.
    pub(crate) goes_on: bool,
}

/// The exchange of an attempt that was not made.
pub(crate) fn unsent(outcome: AttemptOutcome, now: Time) -> Exchange {
    Exchange { outcome, done: now, ..Exchange::begun(now) }
}
