//! Why policy made a call wait, or suppressed it.
//!
//! `engine` counts waits and suppressed calls by cause; `report` and `sinks` name the causes.
//! Invariant: each cause has a name and a hint of its own.

/// Why a call was blocked: sent late, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockCause {
    /// A circuit breaker is open.
    Breaker,
    /// No connection of its pool was free.
    Pool,
    /// A rate limit of the scenario.
    Limit,
    /// The wait before another attempt.
    Retry,
    /// The target accepts no connections, and the connect backoff has not ended.
    Connect,
    /// The target is overloaded, and the step's priority is below the degradation level.
    Degradation,
    /// The generator itself is overloaded.
    Admission,
    /// A user of live control muted the step.
    Muted,
    /// A paced user was still waiting for the target.
    Pace,
    /// The user already had its maximum of parallel calls.
    Parallel,
    /// The connection had its maximum of unconfirmed messages, or the broker asked for a pause.
    Confirm,
}

impl BlockCause {
    /// All causes.
    pub const ALL: [Self; 11] = [
        Self::Breaker,
        Self::Pool,
        Self::Limit,
        Self::Retry,
        Self::Connect,
        Self::Degradation,
        Self::Admission,
        Self::Muted,
        Self::Pace,
        Self::Parallel,
        Self::Confirm,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Pool => "pool",
            Self::Limit => "limit",
            Self::Retry => "retry",
            Self::Connect => "connect",
            Self::Degradation => "degradation",
            Self::Admission => "admission",
            Self::Muted => "muted",
            Self::Pace => "pace",
            Self::Parallel => "parallel",
            Self::Confirm => "confirm",
        }
    }

    /// What the reader of a report can do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Breaker => "a circuit breaker was open; its events name the cause",
            Self::Pool => "raise the pool's `connections` if the target can take more",
            Self::Limit => "raise the rate under `limits`, or lower the load",
            Self::Retry => "backoff before a retry; see `retries`",
            Self::Connect => "the target accepted no connections; check that it is running",
            Self::Degradation => {
                "degradation suppressed the call; raise the step's `priority` to send it"
            }
            Self::Admission => "the generator was overloaded; use more cores or less load",
            Self::Muted => "the step was muted by live control",
            Self::Confirm => {
                "the broker confirms more slowly than messages are sent; see `in_flight`"
            }
            Self::Parallel => "a user has at most six calls in flight, as browsers do",
            Self::Pace => {
                "the iteration took longer than its `pace`; raise `pace`, or find the slow step"
            }
        }
    }
}
