//! When calls are not sent any more, and what counts as a failure.
//!
//! Invariant: what we did ourselves is never the target's failure.

use std::time::Duration;

use crate::stats::{AttemptOutcome, AttemptPhase};

/// The breakers of the three levels.
#[derive(Clone, Debug, Default)]
pub struct BreakerPolicies {
    /// One for each endpoint.
    pub endpoint: Option<BreakerPolicy>,
    /// One for each service.
    pub service: Option<BreakerPolicy>,
    /// One for all.
    pub system: Option<BreakerPolicy>,
}

impl BreakerPolicies {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.endpoint.is_some() || self.service.is_some() || self.system.is_some()
    }
}

/// When a breaker opens, and how it closes.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// Opens after this.
    pub trips: BreakerTrip,
    /// How long it stays open before it lets a probe through.
    pub open: Duration,
    /// How many probes may be under way at once while it is half-open.
    pub probes: u32,
    /// So many probes in a row have to succeed for it to close.
    pub successes: u32,
    /// What counts as a failure.
    pub when: FailureCriteria,
}

/// What opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BreakerTrip {
    /// So many failures in a row.
    InARow(u32),
    /// This share of the attempts of a window, of which there have to be so many.
    Share {
        /// 0 to 1.
        share: f64,
        /// How far back.
        window: Duration,
        /// The least number of attempts to judge by.
        least: u32,
    },
}

impl BreakerPolicy {
    /// The defaults of a level: consecutive failures, constant open time, one probe.
    pub fn in_a_row(failures: u32, open: Duration) -> Self {
        Self {
            trips: BreakerTrip::InARow(failures),
            open,
            probes: 1,
            successes: 1,
            when: FailureCriteria::of_target(),
        }
    }
}

/// What a person does to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerSwitch {
    /// It stays open until told otherwise.
    Open,
    /// It stays closed until told otherwise.
    Close,
    /// It follows what it sees again, from closed.
    Reset,
}

/// Ends of an attempt that count as failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureCriteria {
    /// No connection: name, connect, TLS; also when that took too long.
    pub connect: bool,
    /// No answer in time.
    pub timeout: bool,
    /// An answer that broke off, made no sense, or never began.
    pub broken: bool,
    /// Complete answers with a status from one to another, both included.
    pub statuses: Vec<(u16, u16)>,
}

impl FailureCriteria {
    /// No complete answer, or one that says the target failed: 5xx, and what no status is defined
    /// for (RFC 9110 §15: to be taken as 5xx).
    pub fn of_target() -> Self {
        Self { connect: true, timeout: true, broken: true, statuses: vec![(500, 999)] }
    }

    /// Whether `outcome` is one; what we did ourselves never is.
    #[inline]
    pub fn has(&self, outcome: AttemptOutcome) -> bool {
        match outcome {
            AttemptOutcome::Responded(status) => {
                self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
            }
            AttemptOutcome::Timeout(phase) => self.timeout || self.connect && phase.opens(),
            AttemptOutcome::Failed(phase, _) if phase.opens() => self.connect,
            // The way a redirect points is no failure of who answered.
            AttemptOutcome::Failed(phase, _) => self.broken && phase != AttemptPhase::Redirect,
            AttemptOutcome::Unfinished(_)
            | AttemptOutcome::Own(_)
            | AttemptOutcome::Suppressed(_) => false,
        }
    }
}
