//! Ranks: the index of a user among the users of its own archetype.
//!
//! A shard looks up each user that takes a row in turn. So rows for buyers are not skipped where
//! the numbers between belong to browsers.
//! Invariant: the rank of a number follows from the seed alone.

use crate::ids::WorkloadId;
use crate::plan::{Load, Plan, Workload};
use crate::seed::Seed;

/// The ranks of one workload.
#[derive(Debug)]
pub enum Ranks {
    /// One archetype: the rank is the number.
    Same,
    /// Closed model: the rank of each number, and the number of users of each share.
    Table(Vec<u32>, Vec<u64>),
    /// Open model: counted from the number of the last query.
    Cursor(RankCursor),
}

/// Counting state for the numbers of an open workload.
#[derive(Debug, Default)]
pub struct RankCursor {
    next: u64,
    counts: Vec<u64>,
    last: Option<(u64, u64)>,
}

impl Ranks {
    /// Prepares the ranks of a workload.
    pub fn new(plan: &Plan, id: WorkloadId) -> Self {
        let workload = &plan.workloads[id];
        if workload.shares.len() == 1 {
            return Self::Same;
        }
        let mut counts = vec![0; workload.shares.len()];
        match &workload.load {
            Load::Open(_) => Self::Cursor(RankCursor { counts, ..RankCursor::default() }),
            Load::Closed(users) => {
                let rank = |number| count(workload, id, plan.seed, number, &mut counts) as u32;
                Self::Table((0..users.curve.peak()).map(rank).collect(), counts)
            }
        }
    }

    /// Returns the rank of `number` among the users of its own archetype. In the open model
    /// callers ask in rising order of numbers.
    pub fn rank(&mut self, plan: &Plan, id: WorkloadId, number: u64) -> u64 {
        let workload = &plan.workloads[id];
        match self {
            Self::Same => number,
            Self::Table(ranks, _) => ranks.get(number as usize).copied().map_or(number, u64::from),
            Self::Cursor(cursor) => {
                if let Some((known, rank)) = cursor.last
                    && known == number
                {
                    return rank;
                }
                if number < cursor.next {
                    cursor.next = 0;
                    cursor.counts.fill(0);
                }
                let mut rank = 0;
                while cursor.next <= number {
                    rank = count(workload, id, plan.seed, cursor.next, &mut cursor.counts);
                    cursor.next += 1;
                }
                cursor.last = Some((number, rank));
                rank
            }
        }
    }

    /// Returns the number of users of a share, in the closed model.
    pub fn users(&self, workload: &Workload, share: usize) -> u64 {
        match self {
            Self::Table(_, counts) => counts[share],
            Self::Same | Self::Cursor(_) => workload.peak_users(),
        }
    }
}

fn count(workload: &Workload, id: WorkloadId, seed: Seed, number: u64, counts: &mut [u64]) -> u64 {
    let archetype = workload.share_of(seed, id, number).archetype;
    let share = workload.shares.iter().position(|share| share.archetype == archetype).unwrap_or(0);
    counts[share] += 1;
    counts[share] - 1
}
