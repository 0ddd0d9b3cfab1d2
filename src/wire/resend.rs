//! Whether a request may be sent again on a fresh connection. This is no retry: policy decides on
//! retries.
//!
//! `http1` and `http2` return it with an exchange; `engine` sends again.
//! Invariant: a request that the target may have processed is sent again only if it is idempotent.

/// Maximum resends of a call if the target reports each time that it has not processed the
/// request. The first one recovers from a connection that ended between two requests; more than a
/// few mean that the target accepts no requests, and then each would only add to its load.
const MAX_UNPROCESSED: u8 = 3;

/// Whether the request of a failed exchange may be sent again, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// No: there was a response, or the target may have processed the request.
    No,
    /// Yes: a connection idle for a second proved closed before any byte of a response, and the
    /// request is idempotent. The resend goes over a new connection, so there is one at most.
    Stale,
    /// Yes, whatever the method: the target has not processed the request (RFC 9113 §6.8, §8.7).
    Unprocessed,
}

impl Resend {
    /// Whether the request is sent again; `resends` counts the resends of its call.
    #[inline]
    pub fn is_due(self, resends: &mut u8) -> bool {
        self != Self::No && self.is_within_limit(resends)
    }

    #[cold]
    fn is_within_limit(self, resends: &mut u8) -> bool {
        let within = self == Self::Stale || *resends < MAX_UNPROCESSED;
        *resends += u8::from(within);
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprocessed_requests_are_sent_again_three_times_at_most() {
        let mut resends = 0;
        assert!(!Resend::No.is_due(&mut resends));
        let due: Vec<bool> = (0..5).map(|_| Resend::Unprocessed.is_due(&mut resends)).collect();
        assert_eq!(due, [true, true, true, false, false]);
        assert_eq!(resends, 3);
        let mut resends = 0;
        assert!(Resend::Stale.is_due(&mut resends) && !Resend::No.is_due(&mut resends));
    }
}
