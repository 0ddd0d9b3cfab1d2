//! Tests of writing and reading records.
//!
//! Invariant: whatever happens to the bytes, reading ends with intact entries or an error.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::header;
use super::*;
use crate::clock::{RunOffset, Time};
use crate::event::{GeneratorInfo, RunInfo, StopCause, WorkerUse};
use crate::host::usage::CpuTime;
use crate::ids::{ArchetypeId, WorkloadId};
use crate::plan::manifest::{ClientInfo, WorkloadInfo};
use crate::plan::slots::ShardRange;
use crate::plan::{RunManifest, Series, SourceFile, TraceInfo, TraceUrl};
use crate::seed::Seed;
use crate::stats::run_usage::{LeftOut, RunUsage};
use crate::stats::sample::IterationEnd;
use crate::stats::{
    Change, ChangeCause, ChangeSubject, ControlOrigin, Delta, GaugeSample, Gauges, Monitor,
    MonitorOwner, MonitorUnit, Recorder, StateChange, TraceSelection,
};
use crate::verdict::{Threshold, TrustContext};

/// Makes the information of a run on `shards` shards.
pub(crate) fn info(shards: usize) -> Arc<RunInfo> {
    let series = |name: &str| Series {
        name: name.into(),
        archetype: ArchetypeId::default(),
        workload: WORKLOAD,
        tags: Vec::new(),
    };
    let plan = RunManifest {
        backends: Vec::new(),
        caches: vec!["tokens".into()],
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
            workload_of: vec![WORKLOAD; 2],
            has_unpaced: false,
            unthrottled: vec![false],
        },
        client: ClientInfo::default(),
        has_streams: false,
        traces: Some(TraceInfo {
            selection: TraceSelection { below: 7, exports_spans: true },
            url: TraceUrl::parse("http://127.0.0.1/{trace_id}").ok(),
        }),
        sources: vec![SourceFile { name: "a.yaml".into(), text: "scenario: été".into() }],
    };
    Arc::new(RunInfo {
        plan: Arc::new(plan),
        started_at: UNIX_EPOCH + Duration::from_secs(9),
        generator: GeneratorInfo {
            tier: "micro".into(),
            shards,
            processes: 1,
            is_fleet: false,
            reason: String::new(),
            remarks: vec!["r".into()],
            sandbox: None,
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

const WORKLOAD: WorkloadId = WorkloadId::new(0);

fn delta(info: &RunInfo) -> Delta {
    let mut recorder = Recorder::new(info.plan.series_layout(), 0, Time(0));
    for k in 0..5_000u64 {
        let (due, end) = (RunOffset::from_ns(k * 1_000), RunOffset::from_ns(k));
        recorder.record_due(WORKLOAD, due);
        recorder.begin_iteration(WORKLOAD, due, k * 7_919);
        recorder.end_iteration(WORKLOAD, end, IterationEnd::Completed, (k * 31, 0), end);
    }
    let mut delta = recorder.take_interval(Gauges::default(), Time(1_000_000_000));
    delta.statuses[100] = 4_999;
    delta.halt = Some(crate::stats::delta::Halt::DataEnd("rows".into()));
    delta
}

fn entries() -> Vec<RecordEntry> {
    let info = info(1);
    let change = StateChange {
        at: RunOffset::from_ns(5),
        subject: ChangeSubject::Mark,
        change: Change::Mark { text: "m".into() },
        cause: ChangeCause::Control { origin: ControlOrigin::Key },
    };
    let sample = GaugeSample {
        second: 0,
        target: vec![1.5],
        monitors: vec![None],
        ..GaugeSample::default()
    };
    vec![
        RecordEntry::Started(Arc::clone(&info)),
        RecordEntry::Delta(Arc::new(delta(&info))),
        RecordEntry::Gauges(Arc::new(sample)),
        RecordEntry::EventLogged(Arc::new(change)),
        RecordEntry::Stopped(StopCause::Rule("r".into()), RunOffset::from_ns(7)),
        RecordEntry::Ended(RecordEnd {
            shift: None,
            usage: Box::new(RunUsage {
                cpu: Some(CpuTime { user_ns: 2, system_ns: 1 }),
                cpu_before: Some(CpuTime { user_ns: 1, system_ns: 1 }),
                written: Some(5),
                max_disk: None,
                left_out: vec![LeftOut { output: "samples".into(), from: RunOffset::from_ns(9) }],
            }),
            recovery: Some(crate::stats::Recovery { us: 7, is_healthy: true }),
            broken: vec!["b".into()],
            rss_peak: Some(1),
            workers: vec![WorkerUse {
                range: ShardRange { process: 1, processes: 2, total: 4 },
                rss_peak: 7,
                cpu: CpuTime { user_ns: 3, system_ns: 4 },
                failed: None,
                loss: Some("killed".into()),
                agent: None,
            }],
        }),
    ]
}

fn written() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    entries().iter().for_each(|entry| writer.write(entry).unwrap());
    drop(writer);
    bytes
}

/// Reads all entries.
fn read(bytes: &[u8]) -> Result<Vec<RecordEntry>, RecordError> {
    let (info, mut reader) = RecordReader::new(bytes)?;
    let mut all = vec![RecordEntry::Started(info)];
    while let Some(entry) = reader.next_entry()? {
        all.push(entry);
    }
    Ok(all)
}

#[test]
fn entries_read_back_as_written() {
    let all = read(&written()).unwrap();
    assert_eq!(format!("{all:?}"), format!("{:?}", entries()));
}

#[test]
fn truncated_record_is_intact_up_to_the_cut() {
    let bytes = written();
    let whole = format!("{:?}", entries());
    let mut most_read = 0;
    for cut in (header::line().len()..bytes.len()).step_by(7) {
        match read(&bytes[..cut]) {
            Ok(some) => {
                let some_text = format!("{some:?}");
                assert!(whole.starts_with(some_text.trim_end_matches(']')), "cut at {cut}");
                most_read = most_read.max(some.len());
            }
            Err(error) => assert!(matches!(error, RecordError::Damaged("at its beginning"))),
        }
    }
    assert!(most_read >= 5, "{most_read}");
}

#[test]
fn foreign_and_damaged_bytes_are_refused() {
    for bytes in [&b""[..], b"manada record 2\nxxxx", b"PK\x03\x04 something else entirely"] {
        assert!(matches!(read(bytes), Err(RecordError::Foreign { .. })), "{bytes:?}");
    }
    let bytes = written();
    // A change of any byte is detected.
    for at in header::line().len()..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(matches!(read(&bytes), Err(RecordError::Damaged(_))), "byte {at}");
    }
}

#[test]
fn delta_that_does_not_match_the_layout_is_refused() {
    let info = info(1);
    let mut delta = delta(&info);
    delta.windows[0].begun.push(1);
    let mut bytes = Vec::new();
    let mut writer = RecordWriter::new(&mut bytes).unwrap();
    writer.write(&RecordEntry::Started(info)).unwrap();
    writer.write(&RecordEntry::Delta(Arc::new(delta))).unwrap();
    writer.write(&RecordEntry::Ended(RecordEnd::default())).unwrap();
    drop(writer);
    assert!(matches!(read(&bytes), Err(RecordError::Damaged("in what a shard measured"))));
}
