//! Data feeds: which row each user or iteration gets.
//!
//! `scenario` opens feeds, `engine` takes a row when a user or an iteration starts.
//! Invariant: a row is a function of seed and number, so shards agree without communicating.

mod claim;
pub mod personal;
mod rank;
mod rows;
pub mod sanitize;

use std::io;
use std::sync::Arc;

use rand::RngExt;

pub use claim::{RowClaim, ShortSource, claims, short_sources};
pub use rank::Ranks;
pub use rows::{Format, Rows, RowsError};

use crate::ids::WorkloadId;
use crate::seed::{Seed, Stream};
use crate::template::Value;

/// Rows and the rule that assigns them.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The name of the variable that the feed fills, for messages.
    pub name: String,
    /// The rows; never empty.
    pub rows: Arc<Rows>,
    /// Identifies the source: feeds of one source share its `unique` rows.
    pub source: String,
    /// Which row an item gets.
    pub pick: RowPick,
    /// What happens after the last row.
    pub at_end: AtEnd,
}

/// Which row an item gets. Item k is the k-th user or iteration that takes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowPick {
    /// Item k of its workload gets row k.
    Queue,
    /// As `Queue`, starting over after the last row.
    Circular,
    /// A random row for each item.
    Random,
    /// As `Queue`, in an order that the seed determines.
    Shuffle,
    /// No row is used twice in the whole run.
    Unique,
}

/// What happens after the last row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// The user that needs a row stops.
    #[default]
    Stop,
    /// The feed starts over with the first row.
    Wrap,
    /// The run stops.
    StopRun,
}

impl RowPick {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("queue", Self::Queue),
        ("circular", Self::Circular),
        ("random", Self::Random),
        ("shuffle", Self::Shuffle),
        ("unique", Self::Unique),
    ];

    /// Whether rows are taken in turn, so that they can run out.
    pub const fn runs_out(self) -> bool {
        matches!(self, Self::Queue | Self::Shuffle | Self::Unique)
    }
}

impl AtEnd {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("stop", Self::Stop), ("wrap", Self::Wrap), ("stop run", Self::StopRun)];
}

impl Feed {
    /// Returns the row number for item `item` of a workload; `None` if the rows ran out.
    pub fn row_of(&self, seed: Seed, workload: WorkloadId, item: u64) -> Option<u64> {
        let rows = self.rows.len();
        let part = key(&self.name).wrapping_add(workload.index() as u64);
        let wraps = self.pick == RowPick::Circular || self.at_end == AtEnd::Wrap;
        match self.pick {
            RowPick::Random => {
                let mut rng = seed.rng(Stream::Data, part, item);
                Some(rng.random_range(0..rows))
            }
            _ if item >= rows && !wraps => None,
            RowPick::Shuffle => {
                // Each pass through the rows has its own order.
                let mut round = seed.rng(Stream::Data, part, item / rows);
                Some(shuffled(round.random(), rows, item % rows))
            }
            RowPick::Queue | RowPick::Circular | RowPick::Unique => Some(item % rows),
        }
    }

    /// Returns the row for item `item` of a workload; `None` if the rows ran out.
    ///
    /// # Errors
    /// If a file of rows can no longer be read.
    pub fn take(&self, seed: Seed, workload: WorkloadId, item: u64) -> io::Result<Option<Value>> {
        self.row_of(seed, workload, item).map(|row| self.rows.get(row)).transpose()
    }
}

/// Hashes a name (FNV-1a), so that each feed has its own random stream.
fn key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Rounds of the Feistel network: with few rows each half has only one or two bits, and fewer
/// rounds would favour some orders.
const ROUNDS: u64 = 12;

/// The round function: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
const fn mixed(key: u64, round: u64, half: u64) -> u64 {
    let z = key ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ half.rotate_left(32);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns the position of `index` in a random permutation of `count`: a Feistel network over the
/// next power of four, repeated until the result is below `count` (Black and Rogaway, CT-RSA
/// 2002). It needs no table, whatever the number of rows.
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
