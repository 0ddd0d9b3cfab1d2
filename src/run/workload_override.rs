//! The load of a workload as live control changed it.
//!
//! `control` keeps one for each workload; `ceiling` and `status` read it.
//! Invariant: it is what was sent to the shards, or will be sent next.

use crate::curve::Curve;
use crate::plan::{Load, LoadBound, LoadOverride, Workload};

/// The load of a workload.
pub(super) struct WorkloadOverride {
    pub(super) load: LoadOverride,
    /// The whole curve, from the workload's beginning to its end.
    pub(super) curve: Curve,
    pub(super) changes: u32,
}

/// Whether a load is of the open model.
pub(super) fn is_open(load: &Load) -> bool {
    matches!(load, Load::Open(_))
}

/// The number of iterations that ends a workload; `None` if none does.
pub(super) fn count_of(workload: &Workload) -> Option<u64> {
    match &workload.load {
        Load::Open(arrivals) => arrivals.iterations,
        Load::Closed(users) => match users.bound {
            LoadBound::Iterations(most) => Some(most),
            LoadBound::Time | LoadBound::Once => None,
        },
    }
}
