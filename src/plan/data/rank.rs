//! The how-manyeth user of its archetype is number k of a workload?
//!
//! A shard asks for each user that takes a row in turn: of rows for buyers none is left out because
//! a browser had the number between.
//! Invariant: the rank of a number follows from the seed alone.

use crate::plan::{Load, Plan, Workload};
use crate::seed::Seed;

/// The ranks within one workload.
#[derive(Debug)]
pub enum Ranks {
    /// One archetype has all numbers.
    Same,
    /// Closed: every number's rank, and how many users each share has.
    Table(Vec<u32>, Vec<u64>),
    /// Open: counted on from where it was asked last.
    Walk(RankCursor),
}

/// How far the numbers of an open workload were counted.
#[derive(Debug, Default)]
pub struct RankCursor {
    next: u64,
    counts: Vec<u64>,
    last: Option<(u64, u64)>,
}

impl Ranks {
    /// Of a workload.
    pub fn new(plan: &Plan, index: usize) -> Self {
        let workload = &plan.workloads[index];
        if workload.shares.len() == 1 {
            return Self::Same;
        }
        let mut counts = vec![0; workload.shares.len()];
        match &workload.load {
            Load::Open(_) => Self::Walk(RankCursor { counts, ..RankCursor::default() }),
            Load::Closed(users) => {
                let rank = |number| count(workload, index, plan.seed, number, &mut counts) as u32;
                Self::Table((0..users.curve.peak()).map(rank).collect(), counts)
            }
        }
    }

    /// The rank of `number` among the users of its own archetype. In the open model numbers are
    /// asked for in rising order.
    pub fn rank(&mut self, plan: &Plan, index: usize, number: u64) -> u64 {
        let workload = &plan.workloads[index];
        match self {
            Self::Same => number,
            Self::Table(ranks, _) => ranks.get(number as usize).copied().map_or(number, u64::from),
            Self::Walk(walk) => {
                if let Some((known, rank)) = walk.last
                    && known == number
                {
                    return rank;
                }
                if number < walk.next {
                    walk.next = 0;
                    walk.counts.fill(0);
                }
                let mut rank = 0;
                while walk.next <= number {
                    rank = count(workload, index, plan.seed, walk.next, &mut walk.counts);
                    walk.next += 1;
                }
                walk.last = Some((number, rank));
                rank
            }
        }
    }

    /// How many users the share has: closed workloads know it.
    pub fn users(&self, workload: &Workload, share: usize) -> u64 {
        match self {
            Self::Table(_, counts) => counts[share],
            Self::Same | Self::Walk(_) => workload.peak_users(),
        }
    }
}

fn count(workload: &Workload, index: usize, seed: Seed, number: u64, counts: &mut [u64]) -> u64 {
    let mine = workload.share_of(seed, index, number).archetype;
    let share = workload.shares.iter().position(|share| share.archetype == mine).unwrap_or(0);
    counts[share] += 1;
    counts[share] - 1
}
