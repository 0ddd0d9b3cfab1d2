//! What the parts of a call look at together.
//!
//! `attempt` makes it once for each call.
//! Invariant: it is copied, never changed.

use super::prepared::PreparedCall;
use super::timing::CallTiming;
use crate::clock::RunOffset;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::StepId;

/// A call that is under way.
#[derive(Clone, Copy)]
pub(crate) struct CallContext<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) prepared: &'a PreparedCall,
    pub(crate) timing: &'a CallTiming,
}

impl<'a> CallContext<'a> {
    /// Returns the scheduled time of the call.
    pub(crate) fn intended(self) -> RunOffset {
        RunOffset::of(self.timing.intended, self.shard.start)
    }

    /// The call's series.
    pub(crate) fn step(self, user: &User) -> StepId {
        user.step(self.prepared.call.series)
    }

    /// The name of the call's step.
    pub(crate) fn step_name(self, user: &User) -> &'a str {
        let series = &self.shard.plan.archetypes[user.archetype].series;
        &series[usize::from(self.prepared.call.series)]
    }
}
