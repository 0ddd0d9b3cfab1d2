//! Which rows of its feeds a user takes, for itself or for an iteration.
//!
//! `user` asks when somebody sits down, `life` and `seat` before each iteration.
//! Invariant: a row follows from the number of the user or iteration, whichever shard asks.

use super::shard::Shard;
use super::user::{User, UserIdentity};
use crate::plan::data::AtEnd;
use crate::plan::load::LoadBound;
use crate::plan::{Load, data};
use crate::stats::delta::Halt;
use crate::template::RenderError;

/// A row that was to be taken is not there; the user stops.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfRows;

impl User {
    /// Takes its rows: those of a user, or those of an iteration.
    ///
    /// # Errors
    /// When there is none left.
    pub(super) fn take_rows(
        &mut self,
        shard: &Shard,
        who: &UserIdentity,
        per_iteration: bool,
    ) -> Result<(), OutOfRows> {
        let kind = &shard.plan.archetypes[self.archetype];
        if !kind.data.iter().any(|draw| draw.per_iteration == per_iteration) {
            return Ok(());
        }
        let index = self.row_index(shard, who, per_iteration);
        let workload = &shard.plan.workloads[who.workload];
        let share = workload.shares.iter().position(|share| share.archetype == self.archetype);
        let claims = &shard.claims[who.workload][share.unwrap_or(0)];
        let draws = kind.data.iter().zip(claims);
        for (draw, claim) in draws.filter(|(draw, _)| draw.per_iteration == per_iteration) {
            let feed: &data::Feed = &draw.feed;
            match feed.take(shard.plan.seed, who.workload, claim.item(index)) {
                Ok(Some(row)) => self.variables[draw.variable] = Some(row),
                Ok(None) => {
                    let mut recorder = shard.recorder.borrow_mut();
                    recorder.ran_out(&feed.name);
                    if feed.at_end == AtEnd::StopRun {
                        // Of rows that several take in turn, others may have some left.
                        let is_shared = claim.stride > 1;
                        recorder.halt(|| {
                            let of = format!(" for workload `{}`", workload.name);
                            let of = if is_shared { of } else { String::new() };
                            Halt::DataEnd(format!("`{}`{of}", feed.name))
                        });
                    }
                    return Err(OutOfRows);
                }
                Err(error) => {
                    let why = format!("{}: {error}", feed.source);
                    shard.template_error(None, &RenderError::Invalid(why));
                    return Err(OutOfRows);
                }
            }
        }
        Ok(())
    }

    /// The how-manyeth row of its archetype in its workload it takes.
    fn row_index(&self, shard: &Shard, who: &UserIdentity, per_iteration: bool) -> u64 {
        let (plan, index) = (&shard.plan, who.workload);
        let workload = &plan.workloads[index];
        let mut ranks = shard.ranks.borrow_mut();
        let ranks = &mut ranks[index];
        let Load::Closed(users) = &workload.load else {
            return ranks.rank(plan, index, who.number);
        };
        if per_iteration && matches!(users.bound, LoadBound::Iterations(_)) {
            return self.item;
        }
        let share = workload.shares.iter().position(|share| share.archetype == self.archetype);
        let herd = ranks.users(workload, share.unwrap_or(0));
        let round = if per_iteration {
            let mut taken = shard.rows_taken.borrow_mut();
            let taken = taken.entry((index, who.number)).or_default();
            *taken += 1;
            *taken - 1
        } else {
            who.session
        };
        ranks.rank(plan, index, who.number) + round * herd
    }
}
