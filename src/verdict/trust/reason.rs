//! The findings of trust checks, the limits of these checks, and the facts they depend on.
//!
//! `checks` and `lateness` return reasons, `evaluate` collects them, reports show them.
//! Invariant: a reason names the figures that it makes doubtful.

use super::effects::Effect;
use crate::ids::WorkloadId;

/// How far the numbers can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustLevel {
    /// Fully.
    Yes,
    /// With the reasons in mind.
    Degraded,
    /// Not the figures that a reason names.
    No,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustReason {
    /// The name of the check.
    pub check: &'static str,
    /// Level of the reason.
    pub level: TrustLevel,
    /// The observed value, in the check's unit.
    pub observed: f64,
    /// The limit that was exceeded.
    pub limit: f64,
    /// The unit of both: `us`, `share`, `count` or `seconds`.
    pub unit: &'static str,
    /// The figures that are doubtful for this reason, and the direction in which they are moved.
    pub effects: &'static [Effect],
    /// A hint for the reader.
    pub hint: String,
}

/// The facts about the plan that trust depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustContext {
    /// By workload: whether it is open or has a paced archetype, so that its lateness counts.
    pub scheduled: Vec<bool>,
    /// By series: its workload.
    pub workload_of: Vec<WorkloadId>,
    /// Whether some workload is closed and unpaced: it runs as fast as it can.
    pub has_unpaced: bool,
    /// By workload: whether it is closed and its users neither think nor pace, so that it requests
    /// as much as the generator can send.
    pub unthrottled: Vec<bool>,
}

/// Lag p99, µs and as a share of response p99: limits of degraded and of no.
pub const LAG: [(f64, f64); 2] = [(2_000.0, 0.05), (20_000.0, 0.25)];
/// Maximum share of starts lost through the generator and of generator errors: any lower the trust
/// level to degraded, more than this to no.
pub const LOST: f64 = 0.01;
/// Run-queue wait of the worst shard, as a share of the run.
pub const RUN_QUEUE: f64 = 0.10;
/// Seconds with a shard at full CPU, as a share of the run, from which a closed run is
/// generator-bound.
pub const SATURATED: f64 = 0.10;
/// Little's law, relative error.
pub const LITTLE: f64 = 0.001;

/// Mean wait of a shard's thread for a core each time it wakes, µs.
pub const WAKE_UP_US: f64 = 1_000.0;
/// Users that the generator admitted late or not at all, as a share of the users' time: limits of
/// degraded and of no.
pub const LATE_USERS: [f64; 2] = [0.01, 0.10];

/// How late the generator read messages, p99 in µs and as a share of their delivery p99: limits of
/// degraded and of no.
pub const RECEIVER: [(f64, f64); 2] = LAG;

impl TrustReason {
    /// The names of the figures that are doubtful for this reason.
    pub fn affects(&self) -> Vec<&'static str> {
        self.effects.iter().map(|(name, _)| *name).collect()
    }
}

impl TrustLevel {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Degraded => "degraded",
            Self::No => "no",
        }
    }
}
