//! The end of a user: its `on_stop`, after its last iteration.
//!
//! `closed_user` and `open_user` run it.
//! Invariant: it has a deadline of its own, also if the user was interrupted.

use crate::clock;
use crate::engine::call::timing::CallTiming;
use crate::engine::iterations::iteration::IterationRunner;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::template::MAX_ITERATION_WORK;

/// Runs `on_stop` after the last iteration of a user; its calls belong to no iteration.
pub(crate) async fn run_on_stop(shard: &Shard, user: &mut User) {
    if let Some(on_stop) = shard.flows[user.archetype].sections.on_stop
        && !shard.lifecycle.is_cancelled()
        && !shard.plan.grace.is_zero()
    {
        let now = clock::now();
        // A user that was interrupted at the end of its grace has as long again for it.
        user.deadline.set_hard_end(now + shard.plan.grace);
        // The work of its last iteration does not count.
        user.work = MAX_ITERATION_WORK;
        let timing = CallTiming::at_once(now, now);
        IterationRunner::new(shard, user, timing).section(on_stop).await;
    }
    if let Some(final_variables) = &shard.final_variables {
        final_variables
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone_from(&user.variables);
    }
}
