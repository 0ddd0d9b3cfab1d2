//! What an agent measured in an interval: the deltas of its shards.
//!
//! The protocol carries it, the driver of an agent fills it, that of the coordinator hands the
//! deltas to the dispatcher.
//! Invariant: at most one delta for each shard, by rising shard.

use super::protocol::DeltaPayload;
use crate::event::packed::packed;
use crate::stats::{Delta, DeltaSum, SeriesSum, TimeSum};

/// The deltas of an agent's shards.
#[derive(Clone, Debug, Default)]
pub struct ShardDeltas {
    /// By shard.
    pub deltas: Vec<Delta>,
}

impl ShardDeltas {
    /// Adds a delta; if the shard has one, it is merged into that.
    pub fn push(&mut self, delta: Delta) {
        match self.deltas.binary_search_by_key(&delta.shard, |known| known.shard) {
            Ok(place) => self.deltas[place].merge(delta),
            Err(place) => self.deltas.insert(place, delta),
        }
    }
}

impl DeltaPayload for ShardDeltas {
    type Sum = DeltaSum;

    fn merge(&mut self, later: &Self) {
        later.deltas.iter().for_each(|delta| self.push(delta.clone()));
    }

    fn add_to(&self, sum: &mut DeltaSum) {
        self.deltas.iter().for_each(|delta| sum.add(delta));
    }
}

packed! {
    ShardDeltas { deltas }
    DeltaSum { iterations, attempts, series }
    SeriesSum { calls, response, service }
    TimeSum { count, sum_us, buckets }
}
