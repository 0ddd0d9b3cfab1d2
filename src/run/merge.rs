//! The report of a run on agents, made from the journals of the agents alone.
//!
//! `manada merge` calls it. Each journal is read twice: first what it has, then its deltas, in the
//! order of their times over all journals. An agent whose journal is missing, or has no end, is
//! lost.
//! Invariant: each delta is added once; what the journals do not hold is not in the report.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek;
use std::sync::Arc;

use super::aggregator::RunAggregator;
use super::merge_error::MergeError;
use super::vacancy::cut_off;
use crate::clock::RunOffset;
use crate::event::link::manifest_hash;
use crate::event::record::{RecordEnd, RecordEntry, RecordError, RecordReader};
use crate::event::{Report, RunEvent, RunInfo, StopCause, WorkerLoss, WorkerUse};
use crate::host::usage::CpuTime;
use crate::plan::RunManifest;
use crate::plan::slots::ShardRange;
use crate::sinks::SinkSet;
use crate::stats::run_usage::RunUsage;
use crate::stats::{Change, ChangeSubject, Delta, DeltaSum, StateChange, Unfinished};
use crate::units::counted;
use crate::verdict::Threshold;

/// A journal of an agent.
#[derive(Debug)]
pub struct JournalFile {
    /// Its path, as shown.
    pub name: String,
    /// The open file.
    pub file: File,
}

/// What a journal has.
struct SurveyedJournal {
    journal: JournalFile,
    info: Arc<RunInfo>,
    range: ShardRange,
    /// The time of its last delta.
    last: RunOffset,
    sum: DeltaSum,
    /// `None` if it ends without its end.
    end: Option<RecordEnd>,
    moves: Vec<StateChange>,
    stop: Option<(StopCause, RunOffset)>,
}

/// Makes the report of a run from the journals of its agents. `rules` replace those of the run.
///
/// # Errors
/// If a journal cannot be read, or they are not those of one run.
pub fn merge(
    journals: Vec<JournalFile>,
    rules: Option<Vec<Threshold>>,
    sinks: &mut SinkSet,
) -> Result<Arc<Report>, MergeError> {
    let mut known: BTreeMap<u64, SurveyedJournal> = BTreeMap::new();
    for journal in journals {
        let Some(surveyed) = survey(journal)? else { continue };
        if let Some(first) = known.values().next() {
            check_same_run(first, &surveyed)?;
        }
        if let Some(other) = known.get(&surveyed.range.process) {
            return Err(MergeError::Twice {
                agent: surveyed.range.process,
                one: other.journal.name.clone(),
                other: surveyed.journal.name,
            });
        }
        known.insert(surveyed.range.process, surveyed);
    }
    let Some(first) = known.values().next() else { return Err(MergeError::Empty) };
    if let Some(rules) = &rules {
        Threshold::check_all(rules, &first.info.plan.subjects())?;
    }
    let info = Arc::new(merged_info(&first.info, known.len(), rules));
    sinks.publish(&RunEvent::Started(Arc::clone(&info)));
    let shards = info.generator.shards;
    let layout = info.plan.series_layout();
    let mut merged = Merge {
        fold: RunAggregator::new(Arc::clone(&info), shards),
        unfinished: (0..shards).map(|shard| Some(Unfinished::new(&layout, shard))).collect(),
        plan: &info.plan,
        sinks,
        sum: DeltaSum::default(),
        workers: Vec::new(),
    };
    let end = merged.add_all(known)?;
    let Merge { mut fold, sinks, .. } = merged;
    sinks.publish(&RunEvent::SecondsCompleted(Arc::new(fold.finish())));
    let report = Arc::new(fold.conclude(end));
    sinks.publish(&RunEvent::Ended(Arc::clone(&report)));
    Ok(report)
}

/// Reads a journal to its end; `None` if no delta is in it.
fn survey(mut journal: JournalFile) -> Result<Option<SurveyedJournal>, MergeError> {
    let unreadable = |error| MergeError::Journal(journal.name.clone(), error);
    let (info, mut reader) = RecordReader::new(&journal.file).map_err(unreadable)?;
    let (mut process, mut last, mut sum) = (None, RunOffset::ZERO, DeltaSum::default());
    let (mut end, mut moves, mut stop) = (None, Vec::new(), None);
    let processes = info.generator.processes.max(1) as u64;
    while let Some(entry) = reader.next_entry().map_err(unreadable)? {
        match entry {
            RecordEntry::Delta(delta) => {
                let own = delta.shard as u64 % processes;
                if delta.shard >= info.generator.shards || *process.get_or_insert(own) != own {
                    return Err(unreadable(RecordError::Damaged("in the shard of a delta")));
                }
                last = last.max(time_of(&delta));
                sum.add(&delta);
                if let (Some(halt), None) = (&delta.halt, &stop) {
                    stop = Some((StopCause::Flow(halt.clone()), time_of(&delta)));
                }
            }
            RecordEntry::EventLogged(change) => moves.push((*change).clone()),
            RecordEntry::Stopped(cause, at) => stop = stop.or(Some((cause, at))),
            RecordEntry::Ended(known) => end = Some(known),
            RecordEntry::Started(_) | RecordEntry::Gauges(_) => {}
        }
    }
    journal.file.rewind().map_err(|error| unreadable(error.into()))?;
    let total = info.generator.shards as u64;
    let range = process.map(|process| ShardRange { process, processes, total });
    Ok(range.map(|range| SurveyedJournal { journal, info, range, last, sum, end, moves, stop }))
}

/// The time of the end of a delta's interval.
fn time_of(delta: &Delta) -> RunOffset {
    RunOffset::from_ns(delta.gauges.elapsed_ns)
}

fn check_same_run(one: &SurveyedJournal, other: &SurveyedJournal) -> Result<(), MergeError> {
    let (first, second) = (&one.info.plan, &other.info.plan);
    let names = || (one.journal.name.clone(), other.journal.name.clone());
    if first.run_id != second.run_id {
        let ids = (first.run_id.clone(), second.run_id.clone());
        return Err(MergeError::OtherRun { names: names(), ids });
    }
    let size = |info: &RunInfo| (info.generator.shards, info.generator.processes);
    if manifest_hash(first) != manifest_hash(second) || size(&one.info) != size(&other.info) {
        return Err(MergeError::OtherPlan { names: names() });
    }
    Ok(())
}

/// The information of the merged run.
fn merged_info(first: &RunInfo, found: usize, rules: Option<Vec<Threshold>>) -> RunInfo {
    let mut info = first.clone();
    let processes = info.generator.processes;
    let journals = counted(found as u64, "journal");
    let reason = &info.generator.reason;
    info.generator.reason = format!("{reason}; merged from {journals} of {processes}");
    info.generator.remarks.push(
        "Merged from the journals of the agents: target levels, monitors and events of the \
         coordinator are not in them."
            .to_owned(),
    );
    if let Some(rules) = rules {
        let plan = RunManifest { thresholds: rules, ..(*info.plan).clone() };
        info.plan = Arc::new(plan);
    }
    info
}

/// A merge under way.
struct Merge<'a> {
    fold: RunAggregator,
    sinks: &'a mut SinkSet,
    plan: &'a RunManifest,
    /// What each shard has under way; `None` once it has ended or is lost.
    unfinished: Vec<Option<Unfinished>>,
    /// The sum of all deltas that were added.
    sum: DeltaSum,
    workers: Vec<WorkerUse>,
}

/// A journal whose deltas are read in order.
struct MergeSource {
    name: String,
    reader: RecordReader<File>,
    next: Option<Arc<Delta>>,
}

impl MergeSource {
    fn open(journal: JournalFile) -> Result<Self, MergeError> {
        let JournalFile { name, file } = journal;
        let (_, reader) =
            RecordReader::new(file).map_err(|error| MergeError::Journal(name.clone(), error))?;
        let mut source = Self { name, reader, next: None };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> Result<(), MergeError> {
        let unreadable = |error| MergeError::Journal(self.name.clone(), error);
        self.next = None;
        while let Some(entry) = self.reader.next_entry().map_err(unreadable)? {
            if let RecordEntry::Delta(delta) = entry {
                self.next = Some(delta);
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Merge<'_> {
    /// Adds what all journals have.
    fn add_all(
        &mut self,
        journals: BTreeMap<u64, SurveyedJournal>,
    ) -> Result<RecordEnd, MergeError> {
        let mut expected = DeltaSum::default();
        let (mut changes, mut stops, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sources, mut losses) = (Vec::new(), BTreeMap::new());
        let processes = journals.values().next().map_or(1, |one| one.range.processes);
        let total = self.unfinished.len() as u64;
        let mut left = journals;
        for range in ShardRange::divide(total, processes) {
            let mut part = WorkerUse {
                range,
                rss_peak: 0,
                cpu: CpuTime::default(),
                failed: None,
                loss: None,
                agent: None,
            };
            let Some(known) = left.remove(&range.process) else {
                part.loss = Some("its journal is missing".to_owned());
                self.lose(&part);
                self.workers.push(part);
                continue;
            };
            expected.merge(&known.sum);
            changes.extend(known.moves);
            stops.extend(known.stop);
            match known.end {
                Some(end) => {
                    part.rss_peak = end.rss_peak.unwrap_or(0);
                    part.cpu = end.workers.first().map_or(part.cpu, |own| own.cpu);
                    part.failed = end.broken.first().cloned();
                    let agent = range.process;
                    broken.extend(end.broken.iter().map(|why| format!("agent {agent}: {why}")));
                }
                None => {
                    part.loss = Some(format!(
                        "its journal ends at {:.3} s, without its end: it was killed, or could not \
                         be written; what its part of the load was due after that is not known",
                        known.last.ns() as f64 / 1e9
                    ));
                    losses.insert(range.process, part.clone());
                }
            }
            sources.push((range.process, MergeSource::open(known.journal)?));
            self.workers.push(part);
        }
        let mut pending = PendingEntries::new(changes, &stops);
        while let Some(at) = earliest(&sources) {
            let (process, source) = &mut sources[at];
            let Some(delta) = source.next.take() else { break };
            pending.until(time_of(&delta), self);
            self.sum.add(&delta);
            self.add(delta);
            source.advance()?;
            if source.next.is_none() {
                if let Some(part) = losses.remove(process) {
                    self.lose(&part);
                }
                sources.remove(at);
            }
        }
        pending.until(RunOffset::NEVER, self);
        if self.sum != expected {
            return Err(MergeError::Changed);
        }
        let workers = std::mem::take(&mut self.workers);
        let rss_peak = workers.iter().map(|part| part.rss_peak).sum();
        // The coordinator's own use went with it.
        let usage = Box::new(RunUsage { cpu: Some(CpuTime::default()), ..RunUsage::default() });
        let rss_peak = Some(rss_peak);
        Ok(RecordEnd { broken, rss_peak, workers, recovery: None, shift: None, usage })
    }

    fn add(&mut self, delta: Arc<Delta>) {
        if let Some(shard) = self.unfinished.get_mut(delta.shard) {
            if let Some(unfinished) = shard {
                unfinished.absorb(&delta);
            }
            if delta.last {
                *shard = None;
            }
        }
        let closed = self.fold.absorb(&delta);
        self.sinks.publish(&RunEvent::Delta(delta));
        if !closed.is_empty() {
            self.sinks.publish(&RunEvent::SecondsCompleted(Arc::new(closed)));
        }
    }

    /// Ends what the shards of a lost agent had under way.
    fn lose(&mut self, part: &WorkerUse) {
        let open: Vec<bool> = self.plan.workloads.iter().map(|load| load.open).collect();
        let layout = self.plan.series_layout();
        let mut until: Option<RunOffset> = None;
        for segment in part.range.segments() {
            let shard = self.unfinished.get_mut(segment.shard as usize);
            let Some(unfinished) = shard.and_then(Option::take) else { continue };
            let (mut delta, since) = cut_off(unfinished, &layout, &open);
            delta.last = true;
            until = Some(until.map_or(since, |until| until.min(since)));
            self.add(Arc::new(delta));
        }
        let reported_until = until.unwrap_or(RunOffset::ZERO);
        let loss = WorkerLoss {
            worker: part.range.process as usize,
            range: part.range,
            why: part.loss.clone().unwrap_or_default(),
            is_agent: true,
        };
        let change = Change::WorkerLost { reported_until };
        self.record_change(super::losses::change_of(&loss, reported_until, change));
    }

    fn record_change(&mut self, change: StateChange) {
        self.sinks.publish(&RunEvent::EventLogged(Arc::new(change.clone())));
        self.fold.record_change(change);
    }
}

/// The source with the earliest delta; `None` if none is left.
fn earliest(sources: &[(u64, MergeSource)]) -> Option<usize> {
    let times = sources.iter().enumerate().filter_map(|(at, (_, source))| {
        source.next.as_ref().map(|delta| (time_of(delta), delta.shard, at))
    });
    times.min().map(|(_, _, at)| at)
}

/// Changes and the end of the load, which wait for their time.
struct PendingEntries {
    /// The latest first.
    changes: Vec<StateChange>,
    stop: Option<(StopCause, RunOffset)>,
}

impl PendingEntries {
    /// Each agent has noted the same moves, at slightly different times.
    fn new(mut changes: Vec<StateChange>, stops: &[(StopCause, RunOffset)]) -> Self {
        changes.sort_by_key(|change| change.at);
        let mut known: Vec<(ChangeSubject, Change)> = Vec::new();
        changes.retain(|one| {
            let key = (one.subject.clone(), one.change.clone());
            let is_new = !known.contains(&key);
            known.push(key);
            is_new
        });
        changes.reverse();
        let is_flow = |stop: &&(StopCause, RunOffset)| matches!(stop.0, StopCause::Flow(_));
        let first = |of: &mut dyn Iterator<Item = &(StopCause, RunOffset)>| {
            of.min_by_key(|stop| stop.1).cloned()
        };
        let flow = first(&mut stops.iter().filter(is_flow));
        Self { changes, stop: flow.or_else(|| first(&mut stops.iter())) }
    }

    fn until(&mut self, time: RunOffset, merge: &mut Merge<'_>) {
        while let Some(change) = self.changes.pop_if(|change| change.at <= time) {
            merge.record_change(change);
        }
        if let Some((cause, at)) = self.stop.take_if(|(_, at)| *at <= time) {
            merge.sinks.publish(&RunEvent::Stopped(cause.clone(), at));
            merge.fold.stop(cause, at);
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
