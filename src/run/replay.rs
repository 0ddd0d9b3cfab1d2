//! The report of a finished run, made again from its record; also judged by other rules.
//!
//! `manada report` calls it. The sinks get the events of the run, except those that only live
//! screens need. If the run was killed, the report ends with the last second that all shards sent;
//! calls that were under way then are unfinished.
//! Invariant: nothing is measured here: what the record does not hold is not in the report.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use super::aggregator::RunAggregator;
use crate::clock::RunOffset;
use crate::event::record::{RecordEntry, RecordError, RecordReader};
use crate::event::{Report, RunEvent, RunInfo, StopCause};
use crate::plan::TraceUrl;
use crate::plan::prices::Prices;
use crate::sinks::SinkSet;
use crate::stats::Unfinished;
use crate::stats::sample::SeriesLayout;
use crate::verdict::{Threshold, UnmatchedRule};

/// Maximum entries of a shard that wait for the other shards.
const MAX_WAITING: usize = 32;

/// How far the deltas of one second may lie apart, ns.
const APART_NS: u64 = 500_000_000;

/// What a report has in place of what its record has.
#[derive(Clone, Debug, Default)]
pub struct ReplayChanges {
    /// The rules by which the run is judged.
    pub rules: Option<Vec<Threshold>>,
    /// Where a trace is shown; of no effect if the run has no traces.
    pub trace_url: Option<TraceUrl>,
    /// Prices, if the report is to tell what the run cost.
    pub prices: Option<Arc<Prices>>,
}

/// Why a record gives no report.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A rule selects nothing of the run.
    #[error(transparent)]
    Rule(#[from] UnmatchedRule),
}

/// Makes the report of a record, with these changes.
///
/// # Errors
/// If the record cannot be read, or a rule selects nothing of the run.
pub fn replay(
    record: impl Read,
    changes: ReplayChanges,
    sinks: &mut SinkSet,
) -> Result<Arc<Report>, ReplayError> {
    let (info, mut reader) = RecordReader::new(record)?;
    if let Some(rules) = &changes.rules {
        Threshold::check_all(rules, &info.plan.subjects())?;
    }
    let prices = changes.prices.clone();
    let info = changes.apply(info);
    sinks.publish(&RunEvent::Started(Arc::clone(&info)));
    let (shape, shards) = (info.plan.series_layout(), info.generator.shards);
    let mut replay = Replay {
        fold: RunAggregator::new(Arc::clone(&info), shards),
        sinks,
        unfinished: (0..shards).map(|shard| Unfinished::new(&shape, shard)).collect(),
    };
    replay.fold.set_prices(prices);
    let (mut waiting, mut end) = (Waiting::new(shards), None);
    while let Some(entry) = reader.next_entry()? {
        match entry {
            RecordEntry::Started(_) => {
                return Err(RecordError::Damaged("by a second beginning").into());
            }
            RecordEntry::Ended(known) => end = Some(known),
            entry => waiting.add(entry),
        }
        while let Some(entry) = waiting.next() {
            replay.take(entry);
        }
    }
    match &end {
        Some(_) => waiting.rest(RunOffset::NEVER).for_each(|entry| replay.take(entry)),
        // The run was killed, or goes on: the record ends here.
        None => {
            let open: Vec<bool> = info.plan.workloads.iter().map(|load| load.open).collect();
            replay.cut(waiting, &shape, &open);
        }
    }
    let Replay { mut fold, sinks, .. } = replay;
    sinks.publish(&RunEvent::SecondsCompleted(Arc::new(fold.finish())));
    let report = Arc::new(fold.conclude(end.unwrap_or_default()));
    sinks.publish(&RunEvent::Ended(Arc::clone(&report)));
    Ok(report)
}

/// A run that is being replayed.
struct Replay<'a> {
    fold: RunAggregator,
    sinks: &'a mut SinkSet,
    /// What is under way, by shard.
    unfinished: Vec<Unfinished>,
}

impl Replay<'_> {
    fn take(&mut self, entry: RecordEntry) {
        match entry {
            RecordEntry::Delta(delta) => {
                if let Some(unfinished) = self.unfinished.get_mut(delta.shard) {
                    unfinished.absorb(&delta);
                }
                let closed = self.fold.absorb(&delta);
                self.sinks.publish(&RunEvent::Delta(delta));
                if !closed.is_empty() {
                    self.sinks.publish(&RunEvent::SecondsCompleted(Arc::new(closed)));
                }
            }
            RecordEntry::Gauges(moment) => {
                self.fold.second((*moment).clone());
                self.sinks.publish(&RunEvent::Gauges(moment));
            }
            RecordEntry::EventLogged(notice) => {
                self.fold.record_change((*notice).clone());
                self.sinks.publish(&RunEvent::EventLogged(notice));
            }
            RecordEntry::Stopped(stop, at) => {
                self.fold.stop(stop.clone(), at);
                self.sinks.publish(&RunEvent::Stopped(stop, at));
            }
            RecordEntry::Started(_) | RecordEntry::Ended(_) => {}
        }
    }

    /// Ends the run with the last second that all shards sent.
    fn cut(&mut self, waiting: Waiting, shape: &SeriesLayout, open: &[bool]) {
        let at = waiting.complete();
        waiting.rest(at).for_each(|entry| self.take(entry));
        self.take(RecordEntry::Stopped(StopCause::Lost, at));
        for unfinished in std::mem::take(&mut self.unfinished) {
            self.take(RecordEntry::Delta(Arc::new(unfinished.cut(shape, open, at))));
        }
    }
}

/// Entries that wait until every shard has sent the same second: if the record ends before, they
/// are not counted.
struct Waiting {
    /// Each with its time.
    entries: VecDeque<(RunOffset, RecordEntry)>,
    /// The time of each shard's last delta; `None` if it has ended.
    shards: Vec<Option<RunOffset>>,
    /// The latest of these times.
    latest: RunOffset,
}

impl Waiting {
    fn new(shards: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            shards: vec![Some(RunOffset::ZERO); shards],
            latest: RunOffset::ZERO,
        }
    }

    fn add(&mut self, entry: RecordEntry) {
        let at = match &entry {
            RecordEntry::Delta(delta) => {
                let elapsed = RunOffset::from_ns(delta.gauges.elapsed_ns);
                self.latest = self.latest.max(elapsed);
                if let Some(shard) = self.shards.get_mut(delta.shard) {
                    *shard = (!delta.last).then_some(elapsed);
                }
                elapsed
            }
            RecordEntry::Gauges(moment) => {
                RunOffset::from_ns((u64::from(moment.second) + 1) * 1_000_000_000)
            }
            RecordEntry::EventLogged(notice) => notice.at,
            RecordEntry::Stopped(_, at) => *at,
            RecordEntry::Started(_) | RecordEntry::Ended(_) => RunOffset::ZERO,
        };
        self.entries.push_back((at, entry));
    }

    /// The earliest of these times.
    fn complete(&self) -> RunOffset {
        self.shards.iter().flatten().copied().min().unwrap_or(self.latest)
    }

    /// The next entry that every shard has reached; a shard that sends nothing for long does not
    /// block the others.
    fn next(&mut self) -> Option<RecordEntry> {
        let until = self.complete().after(APART_NS);
        let is_full = self.entries.len() > MAX_WAITING * self.shards.len();
        let (at, _) = self.entries.front()?;
        (is_full || *at <= until).then(|| self.entries.pop_front())?.map(|(_, entry)| entry)
    }

    /// The remaining entries, up to a time.
    fn rest(self, at: RunOffset) -> impl Iterator<Item = RecordEntry> {
        let until = at.after(APART_NS);
        let entries = self.entries.into_iter().filter(move |(at, _)| *at <= until);
        entries.map(|(_, entry)| entry)
    }
}

impl ReplayChanges {
    /// The same run with what is changed.
    fn apply(self, info: Arc<RunInfo>) -> Arc<RunInfo> {
        if self.rules.is_none() && self.trace_url.is_none() {
            return info;
        }
        let mut plan = (*info.plan).clone();
        plan.thresholds = self.rules.unwrap_or(plan.thresholds);
        if let Some(traces) = &mut plan.traces {
            traces.url = self.trace_url.or(traces.url.take());
        }
        Arc::new(RunInfo { plan: Arc::new(plan), ..(*info).clone() })
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
