//! What an agent measured in an interval: the deltas of its shards.
//!
//! The protocol carries it, the driver of an agent fills it, that of the coordinator hands the
//! deltas to the dispatcher.
//! Invariant: at most one delta for each shard, by rising shard.

use super::layout::FleetLayout;
use super::protocol::{BusReply, DeltaPayload, Member};
use crate::event::packed::packed;
use crate::plan::slots::ShardRange;
use crate::stats::sample::SeriesLayout;
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

    /// Leaves out deltas of other shards than those of `range`, and of another plan. Returns
    /// whether there were any.
    fn leave_out_foreign(&mut self, range: Option<ShardRange>, series: &SeriesLayout) -> bool {
        let all = self.deltas.len();
        self.deltas.retain(|delta| {
            range.is_some_and(|range| range.contains(delta.shard as u64)) && delta.fits(series)
        });
        self.deltas.len() < all
    }
}

/// Leaves deltas out of a reply that are not of the shards of their agent, or not of the plan.
/// Returns the members that sent some.
///
/// The ledger does not have them then, so the account of such a member differs from its final
/// state.
pub fn leave_out_foreign(
    reply: &mut BusReply<ShardDeltas>,
    layout: &FleetLayout,
    series: &SeriesLayout,
) -> Vec<Member> {
    let BusReply::Polled(polled) = reply else { return Vec::new() };
    let foreign = polled.frames.iter_mut().filter_map(|(stream, frame)| {
        let range = layout.range(stream.member);
        frame.payload.leave_out_foreign(range, series).then_some(stream.member)
    });
    foreign.collect()
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

#[cfg(test)]
mod tests {
    use super::super::protocol::{
        BusTime, DeltaFrame, DeltaStream, Incarnation, Ordinal, PollReply, SlotTable,
    };
    use super::*;
    use crate::clock::{RunOffset, Time};
    use crate::event::record::tests::info;
    use crate::stats::{Gauges, Recorder};

    #[test]
    fn deltas_of_other_shards_and_of_other_plans_are_left_out_and_their_agents_named() {
        let first = info(6).plan.series_layout();
        let second = SeriesLayout { workloads: first.workloads + 1, ..first.clone() };
        let delta = |series: &SeriesLayout, shard| {
            let mut recorder = Recorder::new(series.clone(), shard, Time(0));
            recorder.take_interval(Gauges::default(), Time(1_000_000_000))
        };
        let member = |ordinal| Member { ordinal: Ordinal(ordinal), incarnation: Incarnation(9) };
        let members = [member(0), member(1), member(2)];
        // Two shards each: 0 and 3, 1 and 4, 2 and 5.
        let layout = FleetLayout::new(&SlotTable::first(1, 4_096, &members), 2);
        let frame = |member, deltas| {
            let (since, until) = (RunOffset::ZERO, RunOffset::from_ns(9));
            let payload = ShardDeltas { deltas };
            let frame = DeltaFrame { first: 1, last: 1, since, until, payload };
            (DeltaStream { member, generation: 0 }, frame)
        };
        let mut reply = BusReply::Polled(Box::new(PollReply {
            instance: 1,
            clock: BusTime(0),
            control: None,
            heartbeats: Vec::new(),
            frames: vec![
                frame(member(0), vec![delta(&first, 0), delta(&first, 3)]),
                frame(member(1), vec![delta(&first, 1), delta(&first, 2)]),
                frame(member(2), vec![delta(&second, 2), delta(&first, 5)]),
                frame(member(7), vec![delta(&first, 0)]),
            ],
            finals: Vec::new(),
        }));
        let foreign = leave_out_foreign(&mut reply, &layout, &first);
        assert_eq!(foreign, [member(1), member(2), member(7)]);
        let BusReply::Polled(polled) = reply else { unreachable!() };
        let shards: Vec<Vec<usize>> = polled
            .frames
            .iter()
            .map(|(_, frame)| frame.payload.deltas.iter().map(|delta| delta.shard).collect())
            .collect();
        assert_eq!(shards, [vec![0, 3], vec![1], vec![5], vec![]]);
    }
}
