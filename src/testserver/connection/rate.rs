//! The rate limit of a request: the decision, the refusal, and the headers that tell of it.
//!
//! `connection` calls it for each request that is no control request.
//! Invariant: a refused request is counted by its status, as any other.

use super::super::rate_limit::RateDecision;
use super::ServerConnection;
use crate::clock;

impl ServerConnection {
    /// Asks the rate limit; `None` if there is none.
    pub(super) fn limit_rate(&self) -> Option<RateDecision> {
        let limiter = self.socket.local.shared.rate_limiter.as_ref()?;
        // A socket without an address is closed.
        let address = self.socket.address().ok()?;
        Some(limiter.admit(address, clock::now()))
    }

    /// Fills in the response to a request above the limit.
    pub(super) fn refuse_rate(&self, decision: RateDecision) {
        {
            let mut reply = self.socket.local.reply.borrow_mut();
            reply.fill_error(429, "too many requests from this address");
            reply.header("retry-after", &decision.retry_s.to_string());
        }
        self.tell_rate(decision);
    }

    /// Adds the headers of draft-ietf-httpapi-ratelimit-headers.
    pub(super) fn tell_rate(&self, decision: RateDecision) {
        let Some(limiter) = &self.socket.local.shared.rate_limiter else { return };
        let (requests, seconds) = limiter.policy();
        let mut reply = self.socket.local.reply.borrow_mut();
        reply.header("ratelimit-policy", &format!("\"address\";q={requests};w={seconds}"));
        let RateDecision { remaining, full_s, .. } = decision;
        reply.header("ratelimit", &format!("\"address\";r={remaining};t={full_s}"));
    }
}
