//! Circuit breakers: when calls are suppressed, and which outcomes count as failures.
//!
//! Invariant: errors of the generator never count as failures of the target.

use std::time::Duration;

use crate::protocol::status;
use crate::stats::{AttemptOutcome, AttemptPhase};

/// The breakers of the three levels.
#[derive(Clone, Debug, Default)]
pub struct BreakerPolicies {
    /// One for each endpoint.
    pub endpoint: Option<BreakerPolicy>,
    /// One for each service.
    pub service: Option<BreakerPolicy>,
    /// One for the whole run.
    pub system: Option<BreakerPolicy>,
}

impl BreakerPolicies {
    /// Whether a breaker is set.
    pub fn is_any_set(&self) -> bool {
        self.endpoint.is_some() || self.service.is_some() || self.system.is_some()
    }
}

/// When a breaker opens, and how it closes.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// What opens the breaker.
    pub trips: BreakerTrip,
    /// Open time before the first probe.
    pub open: Duration,
    /// Maximum concurrent probes while half-open.
    pub probes: u32,
    /// Consecutive successful probes that close the breaker.
    pub successes: u32,
    /// Outcomes that count as failures.
    pub when: FailureCriteria,
}

/// What opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BreakerTrip {
    /// This number of consecutive failures.
    InARow(u32),
    /// A share of failures over a window.
    Share {
        /// Share of failures, 0 to 1.
        share: f64,
        /// Length of the window.
        window: Duration,
        /// Minimum number of attempts to judge by.
        least: u32,
    },
}

impl BreakerPolicy {
    /// Builds a policy for consecutive failures, with constant open time and one probe.
    pub fn in_a_row(failures: u32, open: Duration) -> Self {
        Self {
            trips: BreakerTrip::InARow(failures),
            open,
            probes: 1,
            successes: 1,
            when: FailureCriteria::target_failures(),
        }
    }
}

/// Outcomes of an attempt that count as failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureCriteria {
    /// No connection: look-up, connect or TLS failed or timed out.
    pub connect: bool,
    /// No response in time.
    pub timeout: bool,
    /// The response broke off, was malformed, or never began.
    pub broken: bool,
    /// Status ranges of complete responses, bounds included.
    pub statuses: Vec<(u16, u16)>,
}

impl FailureCriteria {
    /// Failures of the target: no complete response, or a 5xx, or a status without a definition
    /// (RFC 9110 §15: to be treated as 5xx).
    pub fn target_failures() -> Self {
        Self { connect: true, timeout: true, broken: true, statuses: vec![(500, 999)] }
    }

    /// Whether `outcome` is a failure; errors of the generator never are.
    #[inline]
    pub fn matches(&self, outcome: AttemptOutcome) -> bool {
        match outcome {
            AttemptOutcome::Responded(status) => {
                let status = status::as_http(status);
                self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
            }
            AttemptOutcome::Timeout(phase) => self.timeout || self.connect && phase.opens(),
            AttemptOutcome::Failed(phase, _) if phase.opens() => self.connect,
            // A redirect to a bad URL is not a failure of the responding server.
            AttemptOutcome::Failed(phase, _) => self.broken && phase != AttemptPhase::Redirect,
            AttemptOutcome::Done
            | AttemptOutcome::Unfinished(_)
            | AttemptOutcome::Own(_)
            | AttemptOutcome::Suppressed(_) => false,
        }
    }
}
