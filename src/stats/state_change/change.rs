//! What changed: the state before and after, for each kind of change.
//!
//! `resilience`, `run` and `engine` make it; reports print it as a sentence and as JSON.
//! Invariant: the sentence follows from the states alone.

use std::fmt;
use std::time::Duration;

use super::ChangeKind;
use super::states::{
    BreakerState, BreakerSwitch, DegradationLevel, HealthFigure, LoadOverride, Priority,
};
use crate::clock::RunOffset;
use crate::units::{counted, show_duration};

/// A change: its kind, and the states before and after.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A circuit breaker changed its state.
    Breaker {
        /// The state before.
        from: BreakerState,
        /// The state after.
        to: BreakerState,
    },
    /// A pool changed its size, connections.
    PoolSize {
        /// The size before.
        from: u64,
        /// The size after.
        to: u64,
    },
    /// A service accepts connections again (`true`), or no longer.
    Connect {
        /// Whether the target accepts connections.
        accepts: bool,
    },
    /// The degradation level changed.
    Degradation {
        /// The level before.
        from: DegradationLevel,
        /// The level after.
        to: DegradationLevel,
    },
    /// The lowest priority of workloads that may start iterations changed.
    Admission {
        /// The priority before.
        from: Priority,
        /// The priority after.
        to: Priority,
    },
    /// Memory ran short, or does no longer.
    Memory {
        /// The reaction.
        relief: MemoryRelief,
    },
    /// A remedy was applied, or there is none.
    Healing {
        /// The remedy.
        remedy: Remedy,
    },
    /// The result of a remedy.
    Healed {
        /// The figure before the remedy.
        from: HealthFigure,
        /// The figure after the remedy.
        to: HealthFigure,
    },
    /// Live control changed the load of a workload.
    Load {
        /// The load before.
        from: LoadOverride,
        /// The load after.
        to: LoadOverride,
    },
    /// A shard learned of a load change after it was to take effect.
    LateLoad {
        /// The load from then on.
        to: LoadOverride,
        /// How late, ms.
        late_ms: u64,
        /// The number of the shard.
        shard: u64,
    },
    /// Live control switched a breaker.
    SwitchedBreaker {
        /// The new position of the switch.
        to: BreakerSwitch,
    },
    /// Live control muted the calls of a step (`true`), or sends them again.
    Mute {
        /// Whether the calls are muted now.
        muted: bool,
    },
    /// A user of live control set a mark.
    Mark {
        /// The text of the mark.
        text: String,
    },
    /// A worker process was lost.
    WorkerLost {
        /// Its last delta: what it did afterwards is not in the report.
        reported_until: RunOffset,
    },
    /// The load of a lost worker goes to other shards.
    Redistributed {
        /// How many shards serve it.
        shards: u64,
        /// What is due from then on.
        from: RunOffset,
    },
    /// An agent has a lease again.
    NoLease {
        /// When the former one ended: what became due since was not sent.
        since: RunOffset,
    },
    /// A coordinator of a fleet merged what an agent measured, and died with it.
    Unmerged {
        /// From when on it is not in the report.
        since: RunOffset,
        /// Until when.
        until: RunOffset,
    },
    /// Health checks took a backend out (`false`), or in again.
    BackendHealth {
        /// Whether it is healthy now.
        healthy: bool,
    },
    /// A backend that failed is left out.
    BackendEjected {
        /// How long.
        lasts: Duration,
    },
    /// A backend that was ejected is used again.
    BackendReturned,
    /// A shift moved users to the new target, or back.
    Shift {
        /// Name of the new target.
        target: String,
        /// Its share of the users before, percent.
        from: u64,
        /// Its share of the users from now on, percent.
        to: u64,
    },
    /// A change as a sentence, from a record before version 8.
    Former {
        /// The kind.
        kind: ChangeKind,
        /// The sentence.
        text: String,
    },
}

/// The reaction to memory use above or below a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRelief {
    /// Memory that can be spared is released.
    Trim,
    /// No user is admitted.
    PauseAdmission,
    /// Users are admitted again.
    ResumeAdmission,
}

/// A remedy for an issue of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Memory that can be spared is released.
    TrimMemory,
    /// The pool gets more connections.
    GrowPool {
        /// The size before.
        from: u64,
        /// The size after.
        to: u64,
    },
    /// The service's connections are opened anew, and its name is looked up again.
    RefreshService,
    /// There is no remedy.
    None {
        /// The pool whose limit the scenario would have to raise; `None` if it is no pool.
        pool: Option<String>,
    },
}

impl Change {
    /// The kind of the change.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::Breaker { .. } => ChangeKind::Breaker,
            Self::PoolSize { .. } => ChangeKind::Pool,
            Self::Connect { .. } => ChangeKind::Connect,
            Self::Degradation { .. } => ChangeKind::Degradation,
            Self::Admission { .. } => ChangeKind::Admission,
            Self::Memory { .. } => ChangeKind::Memory,
            Self::Healing { .. } | Self::Healed { .. } => ChangeKind::Healing,
            Self::Load { .. }
            | Self::LateLoad { .. }
            | Self::SwitchedBreaker { .. }
            | Self::Mute { .. }
            | Self::Mark { .. } => ChangeKind::Control,
            Self::WorkerLost { .. }
            | Self::Redistributed { .. }
            | Self::NoLease { .. }
            | Self::Unmerged { .. } => ChangeKind::Worker,
            Self::Shift { .. } => ChangeKind::Shift,
            Self::BackendHealth { .. } | Self::BackendEjected { .. } | Self::BackendReturned => {
                ChangeKind::Backend
            }
            Self::Former { kind, .. } => *kind,
        }
    }

    /// A change that a record before version 8 has as a sentence. Degradation levels are read out
    /// of it, because the time at each level is computed from them.
    pub fn former(kind: ChangeKind, text: String) -> Self {
        let level = |text: &str| {
            let name = text.split([' ', ':']).next()?;
            DegradationLevel::ALL.into_iter().find(|level| level.name() == name)
        };
        let levels = text.split_once(" → ").and_then(|(from, to)| level(from).zip(level(to)));
        match levels.filter(|_| kind == ChangeKind::Degradation) {
            Some((from, to)) => Self::Degradation { from, to },
            None => Self::Former { kind, text },
        }
    }
}

impl Change {
    /// Prints a change of a backend.
    fn fmt_backend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendHealth { healthy: true } => f.write_str("healthy"),
            Self::BackendHealth { healthy: false } => f.write_str("unhealthy"),
            Self::BackendEjected { lasts } => {
                write!(f, "ejected for {}", show_duration(*lasts))
            }
            Self::Shift { target, from: 0, to: 0 } => {
                write!(f, "the shift to {target} failed at 0 %")
            }
            Self::Shift { target, from, to } if from == to => {
                write!(f, "{to} % of the users stay at {target}")
            }
            Self::Shift { target, from, to } => {
                write!(f, "users at {target}: {from} % → {to} %")
            }
            Self::BackendReturned => f.write_str("gets calls again"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Breaker { from, to } => write!(f, "{} → {}", from.name(), to.name()),
            Self::PoolSize { from, to } => write!(f, "{from} → {}", counted(*to, "connection")),
            Self::Connect { accepts: true } => {
                f.write_str("accepts connections again, sending calls")
            }
            Self::Connect { accepts: false } => f.write_str("accepts no connections, calls wait"),
            Self::Degradation { from, to } => {
                let effect = match to {
                    DegradationLevel::Normal => "all calls are sent",
                    DegradationLevel::Light => "low-priority calls are suppressed",
                    DegradationLevel::Heavy => "low- and medium-priority calls are suppressed",
                    DegradationLevel::Emergency => "only critical calls are sent",
                };
                write!(f, "{} → {}: {effect}", from.name(), to.name())
            }
            Self::Admission { to: Priority::Low, .. } => {
                f.write_str("all workloads start iterations")
            }
            Self::Admission { to, .. } => {
                write!(f, "only workloads of {} priority or higher start iterations", to.name())
            }
            Self::Memory { relief } => f.write_str(match relief {
                MemoryRelief::Trim => "released idle connections, buffers and exemplar storage",
                MemoryRelief::PauseAdmission => "admission paused",
                MemoryRelief::ResumeAdmission => "admission resumed",
            }),
            Self::Healing { remedy } => remedy.fmt(f),
            Self::Healed { from, to } => write!(f, "outcome: {from} → {to}"),
            Self::Load { from, to } => write!(f, "{from} → {to}"),
            Self::LateLoad { to, late_ms, shard } => {
                write!(f, "{to} {late_ms} ms late on shard {shard}")
            }
            Self::SwitchedBreaker { to } => f.write_str(match to {
                BreakerSwitch::Open => "forced open",
                BreakerSwitch::Close => "forced closed",
                BreakerSwitch::Reset => "reset: follows measured results",
            }),
            Self::Mute { muted: true } => f.write_str("sent → muted"),
            Self::Mute { muted: false } => f.write_str("muted → sent"),
            Self::Mark { text } | Self::Former { text, .. } => f.write_str(text),
            Self::WorkerLost { reported_until } => {
                let until = show_duration(Duration::from_nanos(reported_until.ns()));
                write!(f, "lost; its work after {until} is not in the report")
            }
            Self::NoLease { since } => {
                let since = show_duration(Duration::from_nanos(since.ns()));
                write!(f, "had no lease since {since}; what became due was not sent")
            }
            Self::Unmerged { since, until } => {
                let shown = |at: &RunOffset| show_duration(Duration::from_nanos(at.ns()));
                write!(f, "its work from {} to {} is not in the report", shown(since), shown(until))
            }
            Self::BackendHealth { .. }
            | Self::BackendEjected { .. }
            | Self::BackendReturned
            | Self::Shift { .. } => self.fmt_backend(f),
            Self::Redistributed { shards, from } => {
                let from = show_duration(Duration::from_nanos(from.ns()));
                let shards = counted(*shards, "other shard");
                write!(f, "its load is served by {shards} from {from} on")
            }
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimMemory => {
                f.write_str("released idle connections, buffers and exemplar storage")
            }
            Self::GrowPool { to, .. } => write!(f, "resized to {}", counted(*to, "connection")),
            Self::RefreshService => f.write_str("connections reopened, name resolved again"),
            Self::None { pool: None } => f.write_str("no remedy"),
            Self::None { pool: Some(pool) } => {
                write!(f, "no remedy: raise `pools.{pool}.connections`")
            }
        }
    }
}
