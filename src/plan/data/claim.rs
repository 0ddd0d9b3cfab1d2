//! Row claims: which part of a shared source each workload takes, for `unique` rows.
//!
//! `engine` maps an item's own number through its claim.
//! Invariant: two claims on one source never name the same row.

use std::collections::BTreeMap;

use super::{Ranks, RowPick};
use crate::curve::ONE_START;
use crate::ids::WorkloadId;
use crate::plan::flow::{DataDraw, Session};
use crate::plan::load::{LoadBound, Share};
use crate::plan::{ArrivalProcess, Arrivals, Load, Plan, Workload};

/// One workload's part of the items of a source: its item i is item `base + i × stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowClaim {
    /// Index of its first item.
    pub base: u64,
    /// Distance between its items.
    pub stride: u64,
}

impl RowClaim {
    /// All items.
    pub const ALL: Self = Self { base: 0, stride: 1 };

    /// Returns the source's item for this claim's item `index`.
    pub const fn item(self, index: u64) -> u64 {
        self.base.saturating_add(index.saturating_mul(self.stride))
    }
}

/// Returns the claims of a plan by workload, share and draw. Claims of known size come first, one
/// after the other; the rest take turns after them. If there are too few rows for that, all take
/// turns, so that no feed is left without rows because another one may need them all.
pub fn claims(plan: &Plan) -> Vec<Vec<Vec<RowClaim>>> {
    let sources = sources(plan);
    let draws = |workload: &Workload| -> Vec<Vec<RowClaim>> {
        let draws = |share: &Share| plan.archetypes[share.archetype].data.len();
        workload.shares.iter().map(|share| vec![RowClaim::ALL; draws(share)]).collect()
    };
    let mut found: Vec<Vec<Vec<RowClaim>>> = plan.workloads.iter().map(draws).collect();
    for claimants in sources.values() {
        let takers = takers(plan, claimants);
        let is_short = is_short(plan, claimants, &takers);
        let open_ended = takers.iter().filter(|taker| taker.items.is_none() || is_short).count();
        let (mut base, mut position) = (0, 0);
        for taker in takers.iter().filter(|taker| taker.items.is_some() && !is_short) {
            taker.claim(&mut found, RowClaim { base, stride: 1 });
            base += taker.items.unwrap_or_default();
        }
        for taker in takers.iter().filter(|taker| taker.items.is_none() || is_short) {
            taker.claim(&mut found, RowClaim { base: base + position, stride: open_ended as u64 });
            position += 1;
        }
    }
    found
}

/// Collects the draws that take `unique` rows, by source.
fn sources(plan: &Plan) -> BTreeMap<&str, Vec<Claimant>> {
    let mut sources: BTreeMap<&str, Vec<Claimant>> = BTreeMap::new();
    for (load, workload) in WorkloadId::number(&plan.workloads) {
        for (share, of) in workload.shares.iter().enumerate() {
            let archetype = &plan.archetypes[of.archetype];
            for (index, draw) in archetype.data.iter().enumerate() {
                if draw.feed.pick == RowPick::Unique {
                    let known_items = known_items(plan, load, share, draw, &archetype.session);
                    sources.entry(&draw.feed.source).or_default().push((
                        load,
                        share,
                        index,
                        known_items,
                    ));
                }
            }
        }
    }
    sources
}

/// A source with fewer `unique` rows than its feeds of known size need: all its feeds take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortSource {
    /// The feeds that take its rows: workload, share and draw.
    pub feeds: Vec<(WorkloadId, usize, usize)>,
    /// The number of feeds that take turns; each gets one part in `takers` of the rows.
    pub takers: usize,
}

/// Returns all sources of a plan with too few rows.
pub fn short_sources(plan: &Plan) -> Vec<ShortSource> {
    let sources = sources(plan);
    let short = sources.values().filter_map(|claimants| {
        let takers = takers(plan, claimants);
        let feeds = claimants.iter().map(|(load, share, draw, _)| (*load, *share, *draw));
        (takers.len() > 1 && is_short(plan, claimants, &takers))
            .then(|| ShortSource { feeds: feeds.collect(), takers: takers.len() })
    });
    short.collect()
}

/// Feeds that take the same rows in turn, and their number of items if it is known.
struct Taker {
    feeds: Vec<(WorkloadId, usize, usize)>,
    items: Option<u64>,
}

impl Taker {
    fn claim(&self, found: &mut [Vec<Vec<RowClaim>>], claim: RowClaim) {
        for (load, share, draw) in &self.feeds {
            found[load.index()][*share][*draw] = claim;
        }
    }
}

/// Groups the feeds of a source: the shares of a workload with an iteration count take the same
/// rows, because each of its iterations belongs to one share.
fn takers(plan: &Plan, claimants: &[Claimant]) -> Vec<Taker> {
    let mut takers: Vec<Taker> = Vec::new();
    // By workload and the index of the draw within its share.
    let mut counts: BTreeMap<(WorkloadId, usize), usize> = BTreeMap::new();
    for (place, &(load, share, draw, items)) in claimants.iter().enumerate() {
        let earlier = |other: &&Claimant| (other.0, other.1) == (load, share);
        let nth = claimants[..place].iter().filter(earlier).count();
        let feed = (load, share, draw);
        if is_numbered_by_count(plan, load, share, draw) {
            match counts.get(&(load, nth)) {
                Some(first) => takers[*first].feeds.push(feed),
                None => {
                    counts.insert((load, nth), takers.len());
                    takers.push(Taker { feeds: vec![feed], items });
                }
            }
        } else {
            takers.push(Taker { feeds: vec![feed], items });
        }
    }
    takers
}

/// Whether the feeds of known size leave too few rows: none for the others, or not enough for
/// themselves.
fn is_short(plan: &Plan, claimants: &[Claimant], takers: &[Taker]) -> bool {
    let rows = claimants.iter().map(|&(load, share, draw, _)| {
        let kind = &plan.archetypes[plan.workloads[load].shares[share].archetype];
        kind.data[draw].feed.rows.len()
    });
    let rows = rows.min().unwrap_or(u64::MAX);
    let known_items = takers.iter().filter_map(|taker| taker.items).fold(0, u64::saturating_add);
    let has_others = takers.iter().any(|taker| taker.items.is_none());
    known_items > rows || (known_items == rows && has_others)
}

/// Workload, share and draw of a feed that takes rows in turn, and its number of items if known.
type Claimant = (WorkloadId, usize, usize, Option<u64>);

/// Whether the items of a draw are numbered by the workload's iteration count. Each iteration
/// belongs to one share, so all shares take the same rows.
fn is_numbered_by_count(plan: &Plan, load: WorkloadId, share: usize, draw: usize) -> bool {
    let workload = &plan.workloads[load];
    let kind = &plan.archetypes[workload.shares[share].archetype];
    let counted = match &workload.load {
        Load::Closed(users) => matches!(users.bound, LoadBound::Iterations(_)),
        Load::Open(_) => false,
    };
    counted && kind.data[draw].per_iteration
}

/// Returns how many items a workload's share takes; `None` if the run decides it.
fn known_items(
    plan: &Plan,
    load: WorkloadId,
    share: usize,
    draw: &DataDraw,
    session: &Session,
) -> Option<u64> {
    let workload = &plan.workloads[load];
    match &workload.load {
        Load::Closed(users) if draw.per_iteration => match users.bound {
            LoadBound::Iterations(count) => Some(count),
            LoadBound::Once => Some(Ranks::new(plan, load).users(workload, share)),
            LoadBound::Time => None,
        },
        Load::Closed(_) => matches!(session, Session::Endless)
            .then(|| Ranks::new(plan, load).users(workload, share)),
        Load::Open(arrivals) if workload.shares.len() == 1 => starts(workload, arrivals),
        Load::Open(_) => None,
    }
}

/// Returns the maximum number of starts of an open workload; `None` if it is not known.
fn starts(workload: &Workload, arrivals: &Arrivals) -> Option<u64> {
    if arrivals.iterations.is_some() || workload.end().is_none() {
        return arrivals.iterations;
    }
    (arrivals.process == ArrivalProcess::Constant)
        .then(|| arrivals.curve.total().div_ceil(ONE_START) as u64)
}
