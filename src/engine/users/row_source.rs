//! Which row of a feed a user or an iteration takes, by its number.
//!
//! `identity` asks when a user begins, `closed_user` and `open_user` before each iteration.
//! Invariant: a row follows from the number of the user or iteration, whichever shard asks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::startup::numbering::UserIdentity;
use crate::ids::{ArchetypeId, WorkloadId};
use crate::plan::data::{Ranks, RowClaim};
use crate::plan::load::LoadBound;
use crate::plan::{Load, Plan, Workload};

/// The numbering of rows on a shard.
#[derive(Debug)]
pub(crate) struct RowSource {
    /// By workload, share and draw.
    claims: Arc<Vec<Vec<Vec<RowClaim>>>>,
    /// By workload: the rank of each user within its archetype.
    ranks: RefCell<Vec<Ranks>>,
    /// Rows taken so far, by workload and user of the closed model.
    taken: RefCell<HashMap<(WorkloadId, u64), u64>>,
}

impl RowSource {
    /// The numbering at the start of a run.
    pub(crate) fn new(plan: &Plan, claims: &Arc<Vec<Vec<Vec<RowClaim>>>>) -> Self {
        // Workloads that take no rows need no table of ranks.
        let takes_rows = |workload: &Workload| {
            let mut kinds = workload.shares.iter().map(|share| &plan.archetypes[share.archetype]);
            kinds.any(|kind| !kind.data.is_empty())
        };
        let ranks = |(id, workload)| {
            if takes_rows(workload) { Ranks::new(plan, id) } else { Ranks::Same }
        };
        let ranks = WorkloadId::number(&plan.workloads).map(ranks).collect();
        Self { claims: Arc::clone(claims), ranks: RefCell::new(ranks), taken: RefCell::default() }
    }

    /// The claims of an archetype of a workload, by draw.
    pub(crate) fn claims(
        &self,
        plan: &Plan,
        workload: WorkloadId,
        archetype: ArchetypeId,
    ) -> &[RowClaim] {
        &self.claims[workload.index()][share_of(&plan.workloads[workload], archetype)]
    }

    /// The number of the row that a user of `archetype` takes, counted within its archetype and
    /// workload; `item` is the number of its iteration.
    pub(crate) fn row_index(
        &self,
        plan: &Plan,
        who: &UserIdentity,
        (archetype, item): (ArchetypeId, u64),
        per_iteration: bool,
    ) -> u64 {
        let workload = &plan.workloads[who.workload];
        let mut ranks = self.ranks.borrow_mut();
        let ranks = &mut ranks[who.workload.index()];
        let Load::Closed(users) = &workload.load else {
            return ranks.rank(plan, who.workload, who.number);
        };
        if per_iteration && matches!(users.bound, LoadBound::Iterations(_)) {
            return item;
        }
        let population = ranks.users(workload, share_of(workload, archetype));
        let round = if per_iteration {
            let mut taken = self.taken.borrow_mut();
            let taken = taken.entry((who.workload, who.number)).or_default();
            *taken += 1;
            *taken - 1
        } else {
            u64::from(who.session)
        };
        ranks.rank(plan, who.workload, who.number) + round * population
    }
}

/// The index of an archetype's share in a workload; 0 if it has none.
fn share_of(workload: &Workload, archetype: ArchetypeId) -> usize {
    workload.shares.iter().position(|share| share.archetype == archetype).unwrap_or(0)
}
