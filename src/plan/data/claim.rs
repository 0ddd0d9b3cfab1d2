//! Whose rows of a shared source begin where: `unique` rows are used once in the whole run.
//!
//! `engine` adds a claim to an item's own number.
//! Invariant: two claims on one source never name the same row.

use std::collections::BTreeMap;

use super::{Pick, Ranks};
use crate::curve::ONE_START;
use crate::plan::flow::{Draw, Session};
use crate::plan::load::Bound;
use crate::plan::{Arrivals, Load, Plan, Process, Workload};

/// One workload's part of the items of a source: its item i is item `base + i × stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its first.
    pub base: u64,
    /// From one to the next.
    pub stride: u64,
}

impl Claim {
    /// All items.
    pub const ALL: Self = Self { base: 0, stride: 1 };

    /// The item of the source that is this claim's item `index`.
    pub const fn item(self, index: u64) -> u64 {
        self.base.saturating_add(index.saturating_mul(self.stride))
    }
}

/// The claims of a plan by workload, share and draw. Those whose number of items is known come
/// first, one after the other; the others take turns after them.
pub fn claims(plan: &Plan) -> Vec<Vec<Vec<Claim>>> {
    let mut found: Vec<Vec<Vec<Claim>>> = Vec::new();
    let mut sources: BTreeMap<&str, Vec<Claimant>> = BTreeMap::new();
    for (load, workload) in plan.workloads.iter().enumerate() {
        let mut shares = Vec::new();
        for (share, of) in workload.shares.iter().enumerate() {
            let archetype = &plan.archetypes[of.archetype];
            shares.push(vec![Claim::ALL; archetype.data.len()]);
            for (index, draw) in archetype.data.iter().enumerate() {
                if draw.feed.pick == Pick::Unique {
                    let known = known(plan, load, share, draw, &archetype.session);
                    sources.entry(&draw.feed.source).or_default().push((load, share, index, known));
                }
            }
        }
        found.push(shares);
    }
    for claimants in sources.values() {
        let open_ended = claimants.iter().filter(|claimant| claimant.3.is_none()).count() as u64;
        let mut base = 0;
        // By workload and the how-manyeth draw of a share: where the rows of a count begin.
        let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (place, (load, share, index, items)) in claimants.iter().enumerate() {
            let Some(items) = items else { continue };
            let earlier = |other: &&Claimant| (other.0, other.1) == (*load, *share);
            let nth = claimants[..place].iter().filter(earlier).count();
            let shared = by_count(plan, *load, *share, *index).then(|| counts.get(&(*load, nth)));
            let mine = shared.flatten().copied().unwrap_or(base);
            found[*load][*share][*index] = Claim { base: mine, stride: 1 };
            if mine == base {
                counts.insert((*load, nth), base);
                base += items;
            }
        }
        let rest = claimants.iter().filter(|claimant| claimant.3.is_none());
        for (turn, (load, share, index, _)) in rest.enumerate() {
            let claim = Claim { base: base + turn as u64, stride: open_ended };
            found[*load][*share][*index] = claim;
        }
    }
    found
}

/// Workload, share and draw of who takes rows in turn, and how many, when that is known.
type Claimant = (usize, usize, usize, Option<u64>);

/// Whether a draw's items are the workload's count of iterations: each of them is one share's, so
/// all shares take from the same rows.
fn by_count(plan: &Plan, load: usize, share: usize, draw: usize) -> bool {
    let workload = &plan.workloads[load];
    let kind = &plan.archetypes[workload.shares[share].archetype];
    let counted = match &workload.load {
        Load::Closed(users) => matches!(users.bound, Bound::Iterations(_)),
        Load::Open(_) => false,
    };
    counted && kind.data[draw].per_iteration
}

/// How many items a workload's share takes, when that is known before the run.
fn known(plan: &Plan, load: usize, share: usize, draw: &Draw, session: &Session) -> Option<u64> {
    let workload = &plan.workloads[load];
    match &workload.load {
        Load::Closed(users) if draw.per_iteration => match users.bound {
            Bound::Iterations(count) => Some(count),
            Bound::Once => Some(Ranks::new(plan, load).users(workload, share)),
            Bound::Time => None,
        },
        Load::Closed(_) => matches!(session, Session::Endless)
            .then(|| Ranks::new(plan, load).users(workload, share)),
        Load::Open(arrivals) if workload.shares.len() == 1 => starts(workload, arrivals),
        Load::Open(_) => None,
    }
}

/// The most starts an open workload can make, when that is known.
fn starts(workload: &Workload, arrivals: &Arrivals) -> Option<u64> {
    if arrivals.iterations.is_some() || workload.end().is_none() {
        return arrivals.iterations;
    }
    (arrivals.process == Process::Constant)
        .then(|| arrivals.curve.total().div_ceil(ONE_START) as u64)
}
