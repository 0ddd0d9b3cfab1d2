//! Rows for users: which row belongs to which user or iteration.
//!
//! `scenario` opens feeds, `engine` takes a row when a user or an iteration begins.
//! Invariant: a row is a function of the seed and a number; shards need not talk to agree.

mod claim;
mod rank;
mod rows;

use std::io;
use std::sync::Arc;

use rand::RngExt;

pub use claim::{RowClaim, ShortSource, claims, short_sources};
pub use rank::Ranks;
pub use rows::{Format, Rows, RowsError};

use crate::seed::{Seed, Stream};
use crate::template::Value;

/// Rows and the rule by which they are dealt.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The name of the variable it fills, for messages.
    pub name: String,
    /// The rows; never empty.
    pub rows: Arc<Rows>,
    /// What they came from: feeds of one source deal its `unique` rows together.
    pub source: String,
    /// Which row is whose.
    pub pick: RowPick,
    /// What happens when there are no more.
    pub at_end: AtEnd,
}

/// Which row is whose. Item k is the k-th user or iteration that takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowPick {
    /// Item k of its workload gets row k.
    Queue,
    /// As `Queue`, and after the last row the first again.
    Circular,
    /// Any row, drawn by item.
    Random,
    /// As `Queue`, in an order drawn from the seed.
    Shuffle,
    /// Row by row over the whole run: no row is used twice.
    Unique,
}

/// What happens when there are no more rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// The user that wanted one stops.
    #[default]
    Stop,
    /// It begins with the first again.
    Wrap,
    /// The run stops.
    StopRun,
}

impl RowPick {
    /// The names in a scenario.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("queue", Self::Queue),
        ("circular", Self::Circular),
        ("random", Self::Random),
        ("shuffle", Self::Shuffle),
        ("unique", Self::Unique),
    ];

    /// Whether it deals rows in turn, so that they can run out.
    pub const fn runs_out(self) -> bool {
        matches!(self, Self::Queue | Self::Shuffle | Self::Unique)
    }
}

impl AtEnd {
    /// The names in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("stop", Self::Stop), ("wrap", Self::Wrap), ("stop run", Self::StopRun)];
}

impl Feed {
    /// The number of the row that item `item` of a workload gets; `None` when there are no more.
    pub fn row_of(&self, seed: Seed, workload: usize, item: u64) -> Option<u64> {
        let rows = self.rows.len();
        let part = key(&self.name).wrapping_add(workload as u64);
        let wraps = self.pick == RowPick::Circular || self.at_end == AtEnd::Wrap;
        match self.pick {
            RowPick::Random => {
                let mut rng = seed.rng(Stream::Data, part, item);
                Some(rng.random_range(0..rows))
            }
            _ if item >= rows && !wraps => None,
            RowPick::Shuffle => {
                // Each round through the rows has an order of its own.
                let mut round = seed.rng(Stream::Data, part, item / rows);
                Some(shuffled(round.random(), rows, item % rows))
            }
            RowPick::Queue | RowPick::Circular | RowPick::Unique => Some(item % rows),
        }
    }

    /// The row that item `item` of a workload gets.
    ///
    /// # Errors
    /// When a file of rows can no longer be read.
    pub fn take(&self, seed: Seed, workload: usize, item: u64) -> io::Result<Option<Value>> {
        self.row_of(seed, workload, item).map(|row| self.rows.get(row)).transpose()
    }
}

/// A name as a number (FNV-1a), so that feeds draw from streams of their own.
fn key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Rounds of the network: with few rows each half has only a bit or two, and fewer rounds would
/// favour some orders.
const ROUNDS: u64 = 12;

/// A round's function: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
const fn mixed(key: u64, round: u64, half: u64) -> u64 {
    let z = key ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ half.rotate_left(32);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where `index` of `count` comes to stand in a random order: a Feistel network over the next
/// power of four, walked until it lands inside (Black and Rogaway, CT-RSA 2002). It needs no table,
/// whatever the number of rows.
fn shuffled(key: u64, count: u64, index: u64) -> u64 {
    let half_bits = (64 - count.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half_bits) - 1;
    let mut at = index;
    loop {
        let (mut left, mut right) = (at >> half_bits, at & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ mixed(key, round, right) & mask);
        }
        at = left << half_bits | right;
        if at < count {
            return at;
        }
    }
}

#[cfg(test)]
mod tests;
