//! The state of a call's attempts.
//!
//! `attempt` makes them; `hedge` and `engine::resilience` look at them.
//! Invariant: it is kept once per user task: what a function of that task takes is stored twice.

use super::context::CallContext;
use super::timing::unsent;
use crate::clock::Time;
use crate::stats::recorder::AttemptReason;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange};
use crate::wire::{Outgoing, ResponseCapture};

/// What becomes of a call after one of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextAttempt {
    /// It ends with the attempt that was made.
    None,
    /// It ends, and the attempt was not made.
    NotMade,
    /// Another attempt is due.
    Due,
}

/// All that is known of the attempts of one call.
pub(crate) struct CallAttempts<'a> {
    pub(crate) context: &'a CallContext<'a>,
    pub(crate) outgoing: Outgoing<'a>,
    pub(crate) capture: ResponseCapture,
    /// Why the next attempt is made.
    pub(crate) reason: AttemptReason,
    pub(crate) retries: u32,
    /// Waits caused by policies so far, ns.
    pub(crate) blocked_ns: u64,
    /// When the next attempt may be made, as far as this call knows.
    pub(crate) at: Time,
    /// A redirect was followed: the first request has had its effect.
    pub(crate) was_redirected: bool,
    /// How often the call was sent again on a fresh connection.
    pub(crate) resends: u8,
    /// How often a node of a cluster sent it to another.
    pub(crate) hops: u8,
    /// The exchange of the last attempt; before the first one it is cancelled and unsent.
    pub(crate) last: Exchange,
}

impl<'a> CallAttempts<'a> {
    /// Creates the attempts of a call; `at`: the earliest time of the first attempt.
    #[inline]
    pub(crate) fn new(context: &'a CallContext<'a>, outgoing: Outgoing<'a>, at: Time) -> Self {
        Self {
            context,
            outgoing,
            capture: ResponseCapture::default(),
            reason: AttemptReason::First,
            retries: 0,
            blocked_ns: 0,
            at,
            was_redirected: false,
            resends: 0,
            hops: 0,
            last: unsent(AttemptOutcome::Unfinished(AttemptPhase::Connect), at),
        }
    }

    /// Lends the attempts with another request, until `take_back`.
    pub(crate) fn with_request<'b>(&mut self, outgoing: Outgoing<'b>) -> CallAttempts<'b>
    where
        'a: 'b,
    {
        CallAttempts { outgoing, capture: std::mem::take(&mut self.capture), ..*self }
    }

    /// Takes lent attempts back, as they are now; the request stays its own.
    pub(crate) fn take_back(&mut self, lent: CallAttempts<'_>) {
        let CallAttempts { capture, reason, retries, blocked_ns, at, .. } = lent;
        (self.capture, self.reason, self.retries) = (capture, reason, retries);
        (self.blocked_ns, self.at) = (blocked_ns, at);
        (self.was_redirected, self.resends) = (lent.was_redirected, lent.resends);
        self.hops = lent.hops;
        self.last = lent.last;
    }
}
