//! Records of runs that were killed.

use super::*;
use crate::clock::Time;
use crate::event::record::tests::info;
use crate::run::recorded_starts::{SECOND_NS, record_of, second_of_starts};
use crate::stats::{GaugeSample, Recorder};

/// Ten starts of each of two shards in each second.
fn entries(seconds: u64) -> Vec<RecordEntry> {
    let info = info(2);
    let mut recorders: Vec<Recorder> =
        (0..2).map(|shard| Recorder::new(info.plan.series_layout(), shard, Time(0))).collect();
    let mut entries = vec![RecordEntry::Started(info)];
    for second in 0..seconds {
        for recorder in &mut recorders {
            let delta = second_of_starts(recorder, second, 3_000_000);
            entries.push(RecordEntry::Delta(Arc::new(delta)));
        }
        let moment =
            GaugeSample { second: second as u32, target: vec![20.0], ..GaugeSample::default() };
        entries.push(RecordEntry::Gauges(Arc::new(moment)));
    }
    entries
}

fn replayed(entries: &[RecordEntry]) -> Arc<Report> {
    replay(record_of(entries).as_slice(), ReplayChanges::default(), &mut SinkSet::default())
        .unwrap()
}

#[test]
fn killed_run_ends_with_the_last_second_of_all_shards() {
    let all = entries(4);
    // After the info a second is two deltas and how things stood.
    for end in 1..=all.len() {
        let report = replayed(&all[..end]);
        let snapshot = &report.snapshot;
        let whole = (end as u64 - 1) / 3 + u64::from((end - 1) % 3 == 2);
        let iterations = snapshot.iterations();
        assert_eq!(iterations.due, 20 * whole, "cut after {end}");
        assert_eq!(iterations.started, iterations.due);
        assert_eq!(iterations.interrupted, 2 * whole.min(1), "one of each shard was under way");
        assert_eq!(snapshot.elapsed_ns / SECOND_NS, whole);
        assert_eq!(snapshot.health.ledger, Vec::<String>::new(), "cut after {end}");
        assert_eq!(report.stopped, Some(StopCause::Lost.to_string()));
    }
}

#[test]
fn run_that_ended_is_replayed_whole() {
    let mut all = entries(3);
    let ended = RecordEntry::Ended(crate::event::record::RecordEnd::default());
    // The second shard's last delta is missing, but the end of the run is there.
    all.truncate(all.len() - 2);
    all.push(ended);
    let report = replayed(&all);
    assert_eq!(report.snapshot.iterations().due, 50);
    assert_eq!(report.stopped, None);
}
