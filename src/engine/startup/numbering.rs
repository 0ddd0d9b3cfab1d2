//! The numbers of users, sessions and iterations over the whole run.
//!
//! `closed_user` and `open_user` make them; `user` and `row_source` derive content from them.
//! Invariant: content follows from these numbers and the seed alone, whichever shard asks.

use crate::ids::WorkloadId;
use crate::plan::flow::Session;
use crate::plan::{Load, Plan};

/// The identity that a user has for a session or an arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserIdentity {
    /// Workload of the user.
    pub(crate) workload: WorkloadId,
    /// The number of the user's place in the population (closed model) or of its arrival (open
    /// model).
    pub(crate) number: u64,
    /// How many sessions this place has had before.
    pub(crate) session: u32,
}

/// The number that selects an iteration's data and random choices.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IterationItem {
    /// User or arrival of the iteration.
    Of(u64),
    /// The number of the iteration, in a workload with a total count.
    Iteration(u64),
}

/// The first number of users that have sessions and were not planned; below 2⁴⁷, which
/// `User::begin` uses itself.
const EXTRA: u64 = 1 << 46;

/// The bits of a place in a population; more than any has.
const PLACE_BITS: u32 = 24;

impl UserIdentity {
    /// The number of the user over the whole run: later sessions count on from the `places` of the
    /// planned population. A user in a place that was not planned must not have the number of a
    /// later session.
    pub(crate) fn user_number(&self, plan: &Plan, places: u64) -> u64 {
        let workload = &plan.workloads[self.workload];
        let is_extra = matches!(workload.load, Load::Closed(_)) && self.number >= places;
        let kinds = workload.shares.iter().map(|share| &plan.archetypes[share.archetype]);
        if is_extra && kinds.into_iter().any(|kind| !matches!(kind.session, Session::Endless)) {
            return EXTRA + (u64::from(self.session) << PLACE_BITS) + self.number;
        }
        self.number + u64::from(self.session) * places
    }
}
