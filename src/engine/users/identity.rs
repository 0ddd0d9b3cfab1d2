//! Gives a pooled user an identity, and the rows of its feeds.
//!
//! `closed_user` and `open_user` call it.
//! Invariant: nothing of the identity before is left but open connections.

use std::rc::Rc;

use crate::clock::Time;
use crate::engine::call::generator_error::template_error;
use crate::engine::shard::Shard;
use crate::engine::startup::numbering::UserIdentity;
use crate::engine::users::user::User;
use crate::ids::WorkloadId;
use crate::plan::data::{AtEnd, Feed, RowClaim};
use crate::resilience::RateLimiter;
use crate::stats::delta::Halt;
use crate::template::{MAX_ITERATION_WORK, RenderError};

/// A feed has no row left for the user; the user stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutOfRows;

impl User {
    /// Takes the identity `who`, which is due at `at`.
    ///
    /// # Errors
    /// If a feed has no row for this user.
    pub(crate) fn assume_identity(
        &mut self,
        shard: &Shard,
        who: &UserIdentity,
        at: Time,
    ) -> Result<(), OutOfRows> {
        let workload = &shard.plan.workloads[who.workload];
        let share = workload.share_of(shard.plan.seed, who.workload, who.number);
        let kind = &shard.plan.archetypes[share.archetype];
        self.workload = who.workload;
        self.archetype = share.archetype;
        self.first_step = share.first_step;
        self.first_group = share.first_group;
        self.number = who.user_number(&shard.plan, shard.schedules[who.workload].places);
        self.reset_backoff();
        self.work = MAX_ITERATION_WORK;
        self.jar = None;
        let own = shard.plan.policies.limits.per_user;
        self.limiter = own.map(|rate| Rc::new(RateLimiter::new(rate)));
        self.set_link(kind.link);
        self.variables.clear();
        self.variables.extend_from_slice(&shard.globals);
        self.variables.resize(kind.variables.len(), None);
        if kind.data.is_empty() && kind.vars.is_empty() {
            return Ok(());
        }
        self.rng = self.own_rng(shard.plan.seed);
        self.take_rows(shard, who, false)?;
        for (slot, value) in &kind.vars {
            match value.evaluate_for_variable(&mut self.scope(shard, at)) {
                Ok(value) => self.variables[*slot] = Some(value),
                // The variable stays unset: the first call that needs it is not made and says so.
                Err(error) => {
                    template_error(&shard.recorder, None, &error);
                }
            }
        }
        Ok(())
    }

    /// Takes the rows of the user (`per_iteration` is `false`) or of its next iteration.
    ///
    /// # Errors
    /// If a feed has no row left.
    pub(crate) fn take_rows(
        &mut self,
        shard: &Shard,
        who: &UserIdentity,
        per_iteration: bool,
    ) -> Result<(), OutOfRows> {
        let (plan, rows) = (&shard.plan, &shard.rows);
        let kind = &plan.archetypes[self.archetype];
        if !kind.data.iter().any(|draw| draw.per_iteration == per_iteration) {
            return Ok(());
        }
        let index = rows.row_index(plan, who, (self.archetype, self.item), per_iteration);
        let claims = rows.claims(plan, who.workload, self.archetype);
        let draws = kind.data.iter().zip(claims);
        for (draw, claim) in draws.filter(|(draw, _)| draw.per_iteration == per_iteration) {
            let feed = &draw.feed;
            match feed.take(plan.seed, who.workload, claim.item(index)) {
                Ok(Some(row)) => self.variables[draw.variable] = Some(row),
                Ok(None) => {
                    report_end(shard, who.workload, feed, claim);
                    return Err(OutOfRows);
                }
                Err(error) => {
                    let why = format!("{}: {error}", feed.source);
                    template_error(&shard.recorder, None, &RenderError::Invalid(why));
                    return Err(OutOfRows);
                }
            }
        }
        Ok(())
    }
}

/// Counts a feed without a further row, and stops the run if the scenario requires it.
fn report_end(shard: &Shard, workload: WorkloadId, feed: &Feed, claim: &RowClaim) {
    let mut recorder = shard.recorder.borrow_mut();
    recorder.record_exhausted_feed(&feed.name);
    if feed.at_end == AtEnd::StopRun {
        // If several workloads take the rows in turn, others may have some left.
        let is_shared = claim.stride > 1;
        recorder.request_halt(|| {
            let of = format!(" for workload `{}`", shard.plan.workloads[workload].name);
            let of = if is_shared { of } else { String::new() };
            Halt::DataEnd(format!("`{}`{of}", feed.name))
        });
    }
}
