//! The states that a change leads from and to.
//!
//! `resilience`, `run` and `engine` hold them; a change names two of them.
//! Invariant: each state prints as the report's sentence has it.

use std::fmt;
use std::time::Duration;

use crate::units::{Rate, counted, show_duration};

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts pass.
    Closed,
    /// Attempts are refused.
    Open,
    /// A few probes pass.
    HalfOpen,
}

impl BreakerState {
    /// Name of the breaker state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A live-control action on a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerSwitch {
    /// Forces it open.
    Open,
    /// Forces it closed.
    Close,
    /// Returns to automatic operation, closed.
    Reset,
}

impl BreakerSwitch {
    /// Name of the breaker switch, as in a command.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }
}

/// Decides which work goes first under limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Suppressed first: exports, reports.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Suppressed late: logins.
    High,
    /// Never suppressed: health checks.
    Critical,
}

impl Priority {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// The degradation level, while the target is in trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DegradationLevel {
    /// Sends everything.
    #[default]
    Normal,
    /// Sends medium priority and above.
    Light,
    /// Sends high and critical priority.
    Heavy,
    /// Sends critical priority only.
    Emergency,
}

impl DegradationLevel {
    /// All levels, best first.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Light, Self::Heavy, Self::Emergency];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        ["normal", "light", "heavy", "emergency"][self as usize]
    }

    /// Returns the lowest priority that is sent.
    pub const fn min_priority(self) -> Priority {
        [Priority::Low, Priority::Medium, Priority::High, Priority::Critical][self as usize]
    }
}

/// The load of a workload in force: as planned, or as changed by live control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOverride {
    /// The level that `permille` refers to.
    pub base: OverrideBase,
    /// Thousandths of `base`.
    pub permille: u32,
    /// No iteration starts. Users of the closed model stay.
    pub paused: bool,
}

/// The level that an override is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrideBase {
    /// The scenario's own curve.
    Plan,
    /// A constant number of users.
    Users(u64),
    /// A constant rate of starts.
    Rate(Rate),
}

impl LoadOverride {
    /// The scenario's own load.
    pub const PLANNED: Self = Self { base: OverrideBase::Plan, permille: 1_000, paused: false };
}

impl fmt::Display for LoadOverride {
    /// `100 %`, `paused`, `200/s`, `30 users × 150 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{} %", f64::from(self.permille) / 10.0);
        match self.base {
            _ if self.paused => return f.write_str("paused"),
            OverrideBase::Plan => return f.write_str(&percent),
            OverrideBase::Users(users) => f.write_str(&counted(users, "user"))?,
            OverrideBase::Rate(rate) => write!(f, "{}/s", rate.as_f64())?,
        }
        if self.permille == 1_000 { Ok(()) } else { write!(f, " × {percent}") }
    }
}

/// A figure by which the health of a run is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HealthFigure {
    /// The share of the memory budget in use.
    MemoryInUse(f64),
    /// The share of a pool's connections in use.
    PoolInUse(f64),
    /// The p95 of a service's times, s.
    P95(f64),
    /// The share of a service's calls that failed.
    Failed(f64),
}

impl HealthFigure {
    /// Name of the figure in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemoryInUse(_) => "memory_in_use",
            Self::PoolInUse(_) => "pool_in_use",
            Self::P95(_) => "p95_s",
            Self::Failed(_) => "failed",
        }
    }

    /// Value of the figure: a share, or s.
    pub const fn value(self) -> f64 {
        match self {
            Self::MemoryInUse(value)
            | Self::PoolInUse(value)
            | Self::P95(value)
            | Self::Failed(value) => value,
        }
    }
}

impl fmt::Display for HealthFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.value() * 100.0;
        match self {
            Self::MemoryInUse(_) => write!(f, "memory budget {percent:.0} % used"),
            Self::PoolInUse(_) => write!(f, "{percent:.0} % of connections in use"),
            Self::P95(s) => {
                let p95 = Duration::try_from_secs_f64(*s).unwrap_or_default();
                write!(f, "p95 {}", show_duration(p95))
            }
            Self::Failed(_) => write!(f, "{percent:.0} % of calls failed"),
        }
    }
}
