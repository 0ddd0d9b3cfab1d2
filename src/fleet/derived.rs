//! What the coordinator and the agents of a fleet derive from the plan, each for itself.
//!
//! `agents` and `agent` call it, and `run` for journals.
//! Invariant: the same plan gives the same on all machines, so nothing of it is exchanged.

use std::time::Duration;

use super::bus::BusLimits;
use super::protocol::FleetTimes;
use crate::event::link::manifest_hash;
use crate::event::record::max_delta;
use crate::plan::Plan;
use crate::plan::slots::SLOTS;
use crate::units::nanos;

/// The plain value with the values of the variables that `setup` set.
pub(super) const GLOBALS: &str = "once:globals";

/// How long the members may take to end beyond the grace of the plan, ns.
const DRAIN_BEYOND_GRACE: u64 = 30_000_000_000;

/// The hash by which the processes of a fleet compare a plan.
pub fn plan_hash(plan: &Plan) -> u64 {
    u64::from(manifest_hash(&plan.manifest()))
}

/// The longest frame of a plan, bytes.
pub fn max_frame(plan: &Plan) -> usize {
    max_delta(&plan.series_layout()).saturating_mul(SLOTS as usize)
}

/// The times of the protocol for a plan.
pub(super) fn times(plan: &Plan) -> FleetTimes {
    let drain = nanos(plan.grace).saturating_add(DRAIN_BEYOND_GRACE);
    FleetTimes { drain, ..FleetTimes::default() }
}

/// The bounds of what is read from the bus for a plan.
pub(super) fn limits(plan: &Plan, times: &FleetTimes) -> BusLimits {
    BusLimits {
        max_frame: max_frame(plan),
        request_timeout: Duration::from_nanos(times.request_timeout),
    }
}
