//! Why something changed: the observation, with its figures.
//!
//! `resilience`, `run` and `engine` make it; reports print it as a sentence and as JSON.
//! Invariant: the sentence follows from the figures alone.

use std::fmt;
use std::time::Duration;

use super::states::HealthFigure;
use crate::stats::AttemptOutcome;
use crate::units::{counted, show_duration};

/// The cause of a state change, with its figures.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeCause {
    /// The counts of a breaker.
    Breaker {
        /// The cause.
        why: TransitionCause,
        /// How the last attempt ended; `None` if none caused the change.
        last: Option<AttemptOutcome>,
    },
    /// An attempt ended so.
    Attempt {
        /// How the attempt ended.
        outcome: AttemptOutcome,
    },
    /// A connection was opened.
    Connected,
    /// A share of the attempts on a pool's connections failed.
    PoolErrors {
        /// The share, 0 to 1.
        share: f64,
    },
    /// Calls waited for a connection of a pool.
    PoolWait {
        /// p95 of the waits, µs.
        p95_us: u64,
    },
    /// A share of a pool's connections is likely to be in use before its size is checked next.
    PoolPredicted {
        /// The share; above 1 if there will be too few.
        share: f64,
    },
    /// A share of a pool's connections is in use.
    PoolInUse {
        /// The share, 0 to 1.
        share: f64,
    },
    /// A share of the calls failed.
    CallErrors {
        /// The share, 0 to 1.
        share: f64,
        /// The number of calls.
        calls: u64,
    },
    /// Calls took long.
    SlowCalls {
        /// p95 of their service times, µs.
        p95_us: u64,
        /// The number of calls.
        calls: u64,
    },
    /// The state before was not needed any more.
    NotNeeded {
        /// For how long.
        lasted: Duration,
    },
    /// The generator is overloaded.
    Overload {
        /// p99 of the lag, µs.
        lag_us: u64,
        /// The CPU use of the busiest shard, as a share of its core.
        cpu: f64,
    },
    /// The generator is not overloaded any more.
    Well {
        /// For how long.
        lasted: Duration,
    },
    /// A share of the memory budget is in use.
    MemoryInUse {
        /// The share.
        share: f64,
        /// When the whole budget will be in use, s; `None` if that is not foreseen.
        full_in_s: Option<f64>,
    },
    /// No user is at work, and memory is in use all the same.
    IdleMemoryInUse {
        /// The share of the budget.
        share: f64,
    },
    /// A figure of the run's health.
    Health {
        /// The figure.
        figure: HealthFigure,
    },
    /// A command of live control.
    Control {
        /// Where the command came from.
        origin: ControlOrigin,
    },
    /// The shard was busy.
    BusyShard,
    /// A process ended.
    ProcessEnded {
        /// How, as text.
        how: String,
    },
    /// No heartbeat of an agent came through the bus in time.
    NoHeartbeat,
    /// Health checks passed or failed in a row.
    HealthChecks {
        /// How many.
        checks: u32,
        /// How the last one ended.
        last: String,
    },
    /// A decision of a shift, with its reason.
    Decision {
        /// The reason.
        text: String,
    },
    /// The time of an ejection is over.
    EjectionOver,
    /// A cause as a sentence, from a record before version 8.
    Former {
        /// The sentence.
        text: String,
    },
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionCause {
    /// Failures in a row.
    InARow {
        /// How many.
        failures: u32,
    },
    /// Failures among the attempts of a window.
    Share {
        /// How many failed.
        failures: u32,
        /// The number of attempts.
        attempts: u32,
    },
    /// The breaker's open time is over.
    OpenTimeOver,
    /// Probes in a row succeeded.
    ProbesSucceeded {
        /// How many.
        probes: u32,
    },
    /// A probe failed.
    ProbeFailed,
    /// Live control switched it.
    Forced,
}

/// Where a command of live control came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlOrigin {
    /// A key of the terminal.
    Key,
    /// The control socket.
    Socket,
    /// The dashboard in a browser.
    Web,
}

impl ControlOrigin {
    /// Name of the origin in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Socket => "control socket",
            Self::Web => "web",
        }
    }
}

impl fmt::Display for ControlOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ChangeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        match self {
            Self::Breaker { why, last: None } => why.fmt(f),
            Self::Breaker { why, last: Some(outcome) } => {
                write!(f, "{why}; last outcome: {outcome}")
            }
            Self::Attempt { outcome } => outcome.fmt(f),
            Self::Connected => f.write_str("a connection was opened"),
            Self::PoolErrors { share } => {
                write!(f, "{:.1} % of attempts failed", percent(*share))
            }
            Self::PoolWait { p95_us } => write!(f, "wait p95 {} ms", p95_us / 1_000),
            Self::PoolPredicted { share } => {
                write!(f, "{:.0} % predicted to be in use", percent(*share))
            }
            Self::PoolInUse { share } => write!(f, "{:.0} % in use", percent(*share)),
            Self::CallErrors { share, calls } => {
                write!(f, "{:.1} % of {} failed", percent(*share), counted(*calls, "call"))
            }
            Self::SlowCalls { p95_us, calls } => {
                let p95 = show_duration(Duration::from_micros(*p95_us));
                write!(f, "p95 {p95} over {}", counted(*calls, "call"))
            }
            Self::NotNeeded { lasted } => write!(f, "not needed for {}", show_duration(*lasted)),
            Self::Overload { lag_us, cpu } => {
                write!(f, "lag p99 {} ms, CPU {:.0} %", lag_us / 1_000, percent(*cpu))
            }
            Self::Well { lasted } => write!(f, "normal for {}", show_duration(*lasted)),
            Self::MemoryInUse { share, full_in_s } => {
                HealthFigure::MemoryInUse(*share).fmt(f)?;
                full_in_s.map_or(Ok(()), |left| write!(f, ", projected to be full in {left:.0} s"))
            }
            Self::IdleMemoryInUse { share } => {
                let in_use = HealthFigure::MemoryInUse(*share);
                write!(f, "no active users, and {in_use}")
            }
            Self::Health { figure } => figure.fmt(f),
            Self::Control { origin } => origin.fmt(f),
            Self::BusyShard => f.write_str("the shard was busy"),
            Self::ProcessEnded { how } => f.write_str(how),
            Self::NoHeartbeat => f.write_str("no heartbeat came through the bus in time"),
            Self::HealthChecks { checks, last } => {
                write!(f, "{}: {last}", counted((*checks).into(), "check"))
            }
            Self::EjectionOver => f.write_str("the ejection is over"),
            Self::Decision { text } | Self::Former { text } => f.write_str(text),
        }
    }
}

impl fmt::Display for TransitionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow { failures } => {
                write!(f, "{}", counted((*failures).into(), "consecutive failure"))
            }
            Self::Share { failures, attempts } => {
                write!(f, "{failures} of {} failed", counted((*attempts).into(), "attempt"))
            }
            Self::OpenTimeOver => f.write_str("open time elapsed, sending a probe"),
            Self::ProbesSucceeded { probes: 1 } => f.write_str("the probe succeeded"),
            Self::ProbesSucceeded { probes } => write!(f, "{probes} consecutive probes succeeded"),
            Self::ProbeFailed => f.write_str("the probe failed"),
            Self::Forced => f.write_str("forced by live control"),
        }
    }
}
