//! Records for tests: ten starts of a shard in each second.
//!
//! Tests of `replay` and `merge` make their records with it.
//! Invariant: the last start of a second is under way when its delta is taken.

use crate::clock::{RunOffset, Time};
use crate::event::record::{RecordEntry, RecordWriter};
use crate::ids::WorkloadId;
use crate::stats::sample::IterationEnd;
use crate::stats::{Delta, Gauges, Recorder};

pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// Records ten starts of a second; returns the delta that the shard takes `late_ns` after its end.
pub(super) fn second_of_starts(recorder: &mut Recorder, second: u64, late_ns: u64) -> Delta {
    let workload = WorkloadId::default();
    for k in 0..10 {
        let at = RunOffset::from_ns(second * SECOND_NS + k * SECOND_NS / 10);
        if second + k > 0 {
            let before = RunOffset::from_ns(at.ns() - SECOND_NS / 10);
            recorder.end_iteration(workload, before, IterationEnd::Completed, (1_000, 0), at);
        }
        recorder.record_due(workload, at);
        recorder.begin_start(workload, at, 0);
    }
    let elapsed_ns = (second + 1) * SECOND_NS + late_ns;
    recorder.take_interval(Gauges { elapsed_ns, ..Gauges::default() }, Time(elapsed_ns))
}

/// The record of these entries.
pub(super) fn record_of(entries: &[RecordEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    entries.iter().for_each(|entry| writer.write(entry).unwrap());
    drop(writer);
    bytes
}
