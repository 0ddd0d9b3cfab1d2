//! The entries of a record: which events it stores, and how long they may be.
//!
//! `writer` packs them, `reader` unpacks them.
//! Invariant: each kind of entry has a maximum length.

use std::sync::Arc;

use crate::clock::RunOffset;
use crate::event::packed::{Packed, PackedBytes, Shape, listed, packed};
use crate::event::{AgentAccount, AgentUse, RunEvent, RunInfo, StopCause, WorkerUse};
use crate::host::usage::CpuTime;
use crate::stats::run_usage::{LeftOut, RunUsage};
use crate::stats::sample::SeriesLayout;
use crate::stats::shift::{ShiftOutcome, ShiftReport, ShiftStep, SideFigures};
use crate::stats::{Delta, GaugeSample, Recovery, StateChange};

/// Maximum run information, bytes: scenario files take 16 MiB at most.
const MAX_RUN_INFO: usize = 64 << 20;

/// Maximum entry of a few texts and numbers, bytes.
const MAX_SMALL: usize = 1 << 20;

/// Maximum delta, and its part for each workload, series or group of the plan, bytes: four
/// histograms with every bucket used in more than one second.
const MAX_DELTA: usize = 1 << 30;
const MAX_SERIES: usize = 1 << 20;

/// An entry of a record.
#[derive(Clone, Debug)]
pub enum RecordEntry {
    /// The run started.
    Started(Arc<RunInfo>),
    /// A shard's delta.
    Delta(Arc<Delta>),
    /// A second is over.
    Gauges(Arc<GaugeSample>),
    /// A state change that belongs to no shard was logged.
    EventLogged(Arc<StateChange>),
    /// The run is stopping, and when.
    Stopped(StopCause, RunOffset),
    /// The run is over.
    Ended(RecordEnd),
}

/// Results that are only known at the end of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordEnd {
    /// Errors of shards that failed, as text.
    pub broken: Vec<String>,
    /// Peak resident memory of all processes of the run, bytes.
    pub rss_peak: Option<u64>,
    /// The workers, if the run had any.
    pub workers: Vec<WorkerUse>,
    /// How long services took to be healthy after the load.
    pub recovery: Option<Recovery>,
    /// What became of the shift, if the run had one.
    pub shift: Option<ShiftReport>,
    /// What the run used.
    pub usage: Box<RunUsage>,
}

packed! {
    RecordEnd {
        broken, rss_peak, workers since 10, recovery since 10, shift since 10, usage since 10,
    }
    RunUsage { cpu, cpu_before, written, max_disk, left_out }
    LeftOut { output, from }
    CpuTime { user_ns, system_ns }
    ShiftReport { service, targets, outcome, steps, why }
    ShiftStep { percent, from_s, judged_s, passed, why, sides }
    SideFigures { calls, errors, response_us, at_least }
    Recovery { us, is_healthy }
    WorkerUse { range, rss_peak, cpu since 10, failed, loss, agent since 10 }
    AgentUse {
        host, cores, slots, silent_ns, clock_error_ns, first_start, lag_us, cpu_permille, account,
    }
}

listed! {
    AgentAccount: Open, Exact, Differs;
    ShiftOutcome: Complete, RolledBack, Unfinished;
}

impl RecordEntry {
    /// Returns the entry of an event; `None` if the event follows from others.
    pub fn from_event(event: &RunEvent) -> Option<Self> {
        Some(match event {
            RunEvent::Started(info) => Self::Started(Arc::clone(info)),
            RunEvent::Delta(delta) => Self::Delta(Arc::clone(delta)),
            RunEvent::Gauges(sample) => Self::Gauges(Arc::clone(sample)),
            RunEvent::EventLogged(change) => Self::EventLogged(Arc::clone(change)),
            RunEvent::Stopped(stop, at) => Self::Stopped(stop.clone(), *at),
            RunEvent::Ended(report) => {
                let (broken, workers) = (report.broken.clone(), report.workers.clone());
                let (rss_peak, recovery) = (report.rss_peak, report.snapshot.recovery);
                let (shift, usage) = (report.shift.clone(), Box::new(report.usage.clone()));
                Self::Ended(RecordEnd { broken, rss_peak, workers, recovery, shift, usage })
            }
            _ => return None,
        })
    }

    /// Returns its kind in a frame's head.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Started(_) => 0,
            Self::Delta(_) => 1,
            Self::Gauges(_) => 2,
            Self::EventLogged(_) => 3,
            Self::Stopped(..) => 4,
            Self::Ended(_) => 5,
        }
    }

    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Started(info) => info.pack(out),
            Self::Delta(delta) => delta.pack(out),
            Self::Gauges(sample) => sample.pack(out),
            Self::EventLogged(change) => change.pack(out),
            Self::Stopped(stop, at) => (stop.clone(), *at).pack(out),
            Self::Ended(end) => end.pack(out),
        }
    }

    pub(super) fn unpack(kind: u8, from: &mut PackedBytes<'_>) -> Option<Self> {
        Some(match kind {
            0 => Self::Started(Packed::unpack(from)?),
            1 => Self::Delta(Packed::unpack(from)?),
            2 => Self::Gauges(Packed::unpack(from)?),
            3 => Self::EventLogged(Packed::unpack(from)?),
            4 => {
                let (stop, at) = Packed::unpack(from)?;
                Self::Stopped(stop, at)
            }
            5 => Self::Ended(Packed::unpack(from)?),
            _ => return None,
        })
    }
}

impl RecordEntry {
    /// Describes the forms of all entries.
    pub(super) fn describe(shape: &mut Shape) {
        RunInfo::describe(shape);
        Delta::describe(shape);
        GaugeSample::describe(shape);
        StateChange::describe(shape);
        <(StopCause, RunOffset)>::describe(shape);
        RecordEnd::describe(shape);
    }
}

/// Returns the maximum length of an entry, bytes; `None` if the kind does not exist or is too
/// early.
pub(super) fn max_length(kind: u8, layout: Option<&SeriesLayout>) -> Option<usize> {
    match (kind, layout) {
        (0, _) => Some(MAX_RUN_INFO),
        (1, Some(layout)) => Some(max_delta(layout)),
        (2..=5, Some(_)) => Some(MAX_SMALL),
        _ => None,
    }
}

/// Returns the maximum length of a delta of this layout, bytes.
pub(crate) fn max_delta(layout: &SeriesLayout) -> usize {
    let parts = layout.workloads + layout.checks.len() + layout.groups + layout.pools;
    parts.saturating_mul(MAX_SERIES).saturating_add(MAX_SMALL).min(MAX_DELTA)
}
