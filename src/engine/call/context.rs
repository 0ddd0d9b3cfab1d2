//! What the parts of a call look at together.
//!
//! `attempt` makes it once for each call.
//! Invariant: it is copied, never changed.

use super::prepared::PreparedCall;
use super::timing::CallTiming;
use crate::engine::shard::Shard;
use crate::engine::user::User;

/// A call that is under way.
#[derive(Clone, Copy)]
pub(crate) struct CallContext<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) prepared: &'a PreparedCall,
    pub(crate) timing: &'a CallTiming,
}

impl<'a> CallContext<'a> {
    /// When the schedule wants the call, ns since the run's start.
    pub(crate) fn intended_ns(self) -> u64 {
        self.timing.intended.since(self.shard.start)
    }

    /// The index of the call's series in `Plan::steps`.
    pub(crate) fn step(self, user: &User) -> usize {
        user.step(self.prepared.call.series)
    }

    /// The name of the call's step.
    pub(crate) fn step_name(self, user: &User) -> &'a str {
        let series = &self.shard.plan.archetypes[user.archetype].series;
        &series[usize::from(self.prepared.call.series)]
    }
}
