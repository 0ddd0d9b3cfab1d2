//! Records, written and read.
//!
//! Invariant: whatever becomes of the bytes, reading ends with what was whole or with an error.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::clock::Time;
use crate::event::GeneratorInfo;
use crate::plan::manifest::{ClientInfo, WorkloadInfo};
use crate::plan::{Series, SourceFile};
use crate::seed::Seed;
use crate::stats::{ChangeKind, Gauges, Monitor, MonitorOwner, MonitorUnit, Recorder};
use crate::verdict::{Threshold, TrustContext};

/// An opening of a run on so many shards.
pub(crate) fn opening(shards: usize) -> Arc<RunInfo> {
    let series =
        |name: &str| Series { name: name.into(), archetype: 0, workload: 0, tags: Vec::new() };
    let plan = RunManifest {
        run_id: "1-1".to_owned(),
        scenario: "été".into(),
        description: None,
        seed: Seed::new(7).unwrap(),
        services: vec![("shop".into(), "http://h".into())],
        archetypes: vec!["buyer".into()],
        workloads: vec![WorkloadInfo {
            name: "w".into(),
            open: true,
            start: Duration::ZERO,
            end: Some(Duration::from_secs(9)),
            archetypes: vec![("buyer".into(), 0.5)],
            max_users: 100,
        }],
        steps: vec![series("home"), series("cart")],
        groups: Vec::new(),
        checks: vec![vec!["is 200".into()], Vec::new()],
        thresholds: vec![Threshold::parse("response.p95 < 1s over 2s after 1s abort").unwrap()],
        warmup: Duration::ZERO,
        grace: Duration::from_secs(1),
        kind: TrustContext {
            scheduled: vec![true],
            workload_of: vec![0, 0],
            has_unpaced: false,
            unthrottled: vec![false],
        },
        client: ClientInfo::default(),
        sources: vec![SourceFile { name: "a.yaml".into(), text: "scenario: été".into() }],
    };
    Arc::new(RunInfo {
        plan: Arc::new(plan),
        started_at: UNIX_EPOCH + Duration::from_secs(9),
        generator: GeneratorInfo {
            tier: "micro".into(),
            shards,
            reason: String::new(),
            remarks: vec!["r".into()],
        },
        command: vec!["manada".into(), "run".into()],
        machine: vec![("cores".into(), "2".into())],
        monitors: vec![Monitor {
            name: "cpu".into(),
            unit: MonitorUnit::Percent,
            owner: MonitorOwner::Generator,
        }],
    })
}

fn delta(opening: &RunInfo) -> Delta {
    let mut recorder = Recorder::new(opening.plan.shape(), 0, Time(0));
    for k in 0..5_000u64 {
        recorder.record_due(0, k * 1_000);
        recorder.begin_iteration(0, k * 1_000, k * 7_919);
        recorder.end_iteration(0, k, crate::stats::sample::IterationEnd::Completed, (k * 31, 0), k);
    }
    let mut delta = recorder.take_interval(Gauges::default(), Time(1_000_000_000));
    delta.statuses[100] = 4_999;
    delta.halt = Some(crate::stats::delta::Halt::DataEnd("rows".into()));
    delta
}

fn entries() -> Vec<RecordEntry> {
    let opening = opening(1);
    let notice = StateChange {
        at_ns: 5,
        kind: ChangeKind::Control,
        subject: "mark".into(),
        change: "m".into(),
        cause: "key".into(),
    };
    let moment = GaugeSample {
        second: 0,
        target: vec![1.5],
        monitors: vec![None],
        ..GaugeSample::default()
    };
    vec![
        RecordEntry::Began(Arc::clone(&opening)),
        RecordEntry::Measured(Arc::new(delta(&opening))),
        RecordEntry::Stands(Arc::new(moment)),
        RecordEntry::Entered(Arc::new(notice)),
        RecordEntry::Stopped(StopCause::Rule("r".into()), 7),
        RecordEntry::Ended(RecordEnd { broken: vec!["b".into()], rss_peak: Some(1) }),
    ]
}

fn written() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    entries().iter().for_each(|entry| writer.write(entry).unwrap());
    drop(writer);
    bytes
}

/// All entries, or why not.
fn read(bytes: &[u8]) -> Result<Vec<RecordEntry>, RecordError> {
    let (opening, mut reader) = RecordReader::new(bytes)?;
    let mut all = vec![RecordEntry::Began(opening)];
    while let Some(entry) = reader.entry()? {
        all.push(entry);
    }
    Ok(all)
}

#[test]
fn what_is_read_is_what_was_written() {
    let all = read(&written()).unwrap();
    assert_eq!(format!("{all:?}"), format!("{:?}", entries()));
}

#[test]
fn a_record_that_was_cut_off_is_whole_up_to_there() {
    let bytes = written();
    let whole = format!("{:?}", entries());
    let mut most = 0;
    for cut in (VERSION.len()..bytes.len()).step_by(7) {
        match read(&bytes[..cut]) {
            Ok(some) => {
                let some_text = format!("{some:?}");
                assert!(whole.starts_with(some_text.trim_end_matches(']')), "cut at {cut}");
                most = most.max(some.len());
            }
            Err(error) => assert!(matches!(error, RecordError::Damaged("at its beginning"))),
        }
    }
    assert!(most >= 5, "{most}");
}

#[test]
fn bytes_of_others_are_refused() {
    for bytes in [&b""[..], b"manada record 2\nxxxx", b"PK\x03\x04 something else entirely"] {
        assert!(matches!(read(bytes), Err(RecordError::Foreign)), "{bytes:?}");
    }
    let bytes = written();
    // Any byte may be any other: that is found.
    for at in VERSION.len()..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(matches!(read(&bytes), Err(RecordError::Damaged(_))), "byte {at}");
    }
}

#[test]
fn a_delta_that_names_what_is_not_there_is_refused() {
    let opening = opening(1);
    let mut delta = delta(&opening);
    delta.windows[0].begun.push(1);
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    writer.write(&RecordEntry::Began(opening)).unwrap();
    writer.write(&RecordEntry::Measured(Arc::new(delta))).unwrap();
    writer.write(&RecordEntry::Ended(RecordEnd::default())).unwrap();
    drop(writer);
    assert!(matches!(read(&bytes), Err(RecordError::Damaged("in what a shard measured"))));
}
