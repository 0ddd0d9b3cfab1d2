//! What a former coordinator of a fleet left: its record, and the deltas that it merged.
//!
//! `agents` reads it for a run that is resumed, and `dispatch` takes the entries before anything
//! else.
//! Invariant: deltas come from the journal alone, which has each once; the record has what no
//! agent knows: gauges, events, and why the run was stopped.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::clock::RunOffset;
use crate::event::record::{self, RecordEntry, RecordError, RecordReader};
use crate::event::{RunInfo, StopCause};
use crate::stats::sample::SeriesLayout;
use crate::stats::{Change, Delta};

/// The record of a former coordinator, without deltas.
#[derive(Debug)]
pub struct FormerRecord {
    info: Arc<RunInfo>,
    /// Each with its time.
    entries: VecDeque<(RunOffset, RecordEntry)>,
    has_ended: bool,
}

impl FormerRecord {
    /// Reads the record in the folder of a coordinator; `None` if it has none, because that one
    /// was killed before the run started.
    ///
    /// # Errors
    /// If the folder or its record cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, RecordError> {
        if !folder.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such folder").into());
        }
        let file = match File::open(folder.join(record::FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file").into());
        }
        let (info, mut reader) = RecordReader::new(file)?;
        let (mut entries, mut has_ended) = (VecDeque::new(), false);
        while let Some(entry) = reader.next_entry()? {
            let at = match &entry {
                RecordEntry::Gauges(sample) => {
                    RunOffset::from_ns((u64::from(sample.second) + 1) * 1_000_000_000)
                }
                // Whether an agent is lost is known at the end alone; what is not merged is told
                // again.
                RecordEntry::EventLogged(change)
                    if !matches!(
                        change.change,
                        Change::WorkerLost { .. } | Change::Unmerged { .. }
                    ) =>
                {
                    change.at
                }
                // That coordinator could not lead any more.
                RecordEntry::Stopped(cause, at) if !matches!(cause, StopCause::Workers(_)) => *at,
                RecordEntry::Ended(_) => {
                    has_ended = true;
                    continue;
                }
                _ => continue,
            };
            entries.push_back((at, entry));
        }
        Ok(Some(Self { info, entries, has_ended }))
    }

    /// Whether that coordinator wrote its report.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The description of the run.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// What no agent knows, each with its time.
    pub(super) fn entries(&self) -> VecDeque<(RunOffset, RecordEntry)> {
        self.entries.clone()
    }
}

/// Deltas and other entries in the order of their times.
pub(super) fn in_order(
    frames: impl Iterator<Item = Vec<Delta>>,
    mut entries: VecDeque<(RunOffset, RecordEntry)>,
    layout: SeriesLayout,
) -> impl Iterator<Item = RecordEntry> {
    let deltas = frames.flatten().filter(move |delta| delta.fits(&layout));
    let mut deltas = deltas.peekable();
    std::iter::from_fn(move || {
        let elapsed = deltas.peek().map(|delta| RunOffset::from_ns(delta.gauges.elapsed_ns));
        let is_due = |(at, _): &(RunOffset, RecordEntry)| elapsed.is_none_or(|next| *at < next);
        if entries.front().is_some_and(is_due) {
            return entries.pop_front().map(|(_, entry)| entry);
        }
        deltas.next().map(|delta| RecordEntry::Delta(Arc::new(delta)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::event::record::RecordWriter;
    use crate::event::record::tests::info;
    use crate::stats::{ChangeCause, ChangeSubject, GaugeSample, Gauges, Recorder, StateChange};

    #[test]
    fn entries_of_the_record_come_among_the_deltas_of_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        assert!(FormerRecord::read(&folder.path().join("none")).is_err());
        assert!(FormerRecord::read(folder.path()).unwrap().is_none());
        let info = info(1);
        let layout = info.plan.series_layout();
        let mut recorder = Recorder::new(layout.clone(), 0, Time(0));
        let mut delta = |second: u64| {
            let elapsed_ns = second * 1_000_000_000;
            let gauges = Gauges { elapsed_ns, ..Gauges::default() };
            recorder.take_interval(gauges, Time(elapsed_ns))
        };
        let gauges = |second| GaugeSample { second, target: vec![1.0], ..GaugeSample::default() };
        let lost = StateChange {
            at: RunOffset::from_ns(1),
            subject: ChangeSubject::Agent(1),
            change: Change::WorkerLost { reported_until: RunOffset::ZERO },
            cause: ChangeCause::NoHeartbeat,
        };
        let mut writer =
            RecordWriter::new(File::create(folder.path().join(record::FILE)).unwrap()).unwrap();
        for entry in [
            RecordEntry::Started(Arc::clone(&info)),
            RecordEntry::Delta(Arc::new(delta(1))),
            RecordEntry::EventLogged(Arc::new(lost)),
            RecordEntry::Gauges(Arc::new(gauges(0))),
            RecordEntry::Stopped(StopCause::Workers("x".into()), RunOffset::from_ns(3)),
            RecordEntry::Gauges(Arc::new(gauges(1))),
        ] {
            writer.write(&entry).unwrap();
        }
        drop(writer);
        let former = FormerRecord::read(folder.path()).unwrap().unwrap();
        let frames = [vec![delta(2)], vec![delta(3)]].into_iter();
        let all: Vec<_> = in_order(frames, former.entries(), layout)
            .map(|entry| match entry {
                RecordEntry::Delta(delta) => delta.gauges.elapsed_ns,
                RecordEntry::Gauges(sample) => u64::from(sample.second),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(all, [0, 2_000_000_000, 1, 3_000_000_000]);
    }
}
