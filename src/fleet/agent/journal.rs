//! The journal of an agent: what its shards measured, as a record of the run in a folder of this
//! machine.
//!
//! `driver` puts in each delta before it goes to the bus; `run::merge` makes the report of a run
//! from the journals of its agents.
//! Invariant: a process writes a file of its own, and never to that of another one. A journal that
//! cannot be written is told once, and the run goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::RunOffset;
use crate::event::record::{RecordEnd, RecordEntry, RecordWriter, journal_name};
use crate::event::{RunInfo, StopCause, WorkerUse};
use crate::fleet::protocol::Member;
use crate::host;
use crate::plan::slots::ShardRange;
use crate::stats::run_usage::process_cpu;
use crate::stats::{Delta, StateChange};

/// The journal, if the agent keeps one.
pub(super) struct AgentJournal {
    folder: Option<PathBuf>,
    open: Option<OpenJournal>,
    /// Why it is not written any more, until that is told.
    failure: Option<String>,
}

struct OpenJournal {
    path: PathBuf,
    record: RecordWriter<BufWriter<File>>,
    range: ShardRange,
}

impl AgentJournal {
    /// A journal in this folder, which is created, and tried.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        let mut journal = Self { folder: None, open: None, failure: None };
        let Some(folder) = folder else { return journal };
        match prove(folder) {
            Ok(()) => journal.folder = Some(folder.to_owned()),
            Err(error) => journal.fail(folder, &error),
        }
        journal
    }

    /// The load begins: this process has these shards.
    pub(super) fn begin(&mut self, info: RunInfo, member: Member, range: ShardRange) {
        let Some(folder) = self.folder.take() else { return };
        let name = journal_name(member.ordinal.0, member.incarnation.0);
        let path = folder.join(name);
        let open = || {
            let file = new_file(&path)?;
            let mut record = RecordWriter::new(BufWriter::new(file))?;
            record.write(&RecordEntry::Started(Arc::new(info)))?;
            Ok(record)
        };
        match open() {
            Ok(record) => self.open = Some(OpenJournal { path, record, range }),
            Err(error) => self.fail(&path, &error),
        }
    }

    /// Adds deltas; they are with the kernel when it returns.
    pub(super) fn add_deltas<'d>(&mut self, deltas: impl IntoIterator<Item = &'d Delta>) {
        if self.open.is_some() {
            for delta in deltas {
                self.write(&RecordEntry::Delta(Arc::new(delta.clone())));
            }
        }
    }

    /// Adds a change that belongs to no shard.
    pub(super) fn add_change(&mut self, change: StateChange) {
        self.write(&RecordEntry::EventLogged(Arc::new(change)));
    }

    /// The coordinator ended the load at this time, before its end.
    pub(super) fn stop(&mut self, at: RunOffset) {
        let why = "the coordinator ended the load; its own report says why".to_owned();
        self.write(&RecordEntry::Stopped(StopCause::Workers(why), at));
    }

    /// Adds the end: all shards have ended, or one failed.
    pub(super) fn end(&mut self, failed: Option<String>) {
        let Some(open) = &self.open else { return };
        let rss_peak = host::peak_rss_bytes();
        let part = WorkerUse {
            range: open.range,
            rss_peak: rss_peak.unwrap_or(0),
            cpu: process_cpu().unwrap_or_default(),
            failed: failed.clone(),
            loss: None,
            agent: None,
        };
        let broken = failed.into_iter().collect();
        self.write(&RecordEntry::Ended(RecordEnd {
            broken,
            rss_peak,
            workers: vec![part],
            recovery: None,
            shift: None,
            usage: Box::default(),
        }));
    }

    /// Takes the message that the journal failed, once.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    fn write(&mut self, entry: &RecordEntry) {
        let Some(mut open) = self.open.take() else { return };
        match open.record.write(entry) {
            Ok(()) => self.open = Some(open),
            Err(error) => self.fail(&open.path, &error),
        }
    }

    fn fail(&mut self, path: &Path, error: &io::Error) {
        self.failure = Some(format!(
            "cannot write the journal {}: {error}; the run goes on without it, and `manada merge` \
             lacks what this agent measures from now on",
            path.display()
        ));
    }
}

/// Proves that files can be written to a folder, which is created if necessary.
fn prove(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!(".journal.{}.part", std::process::id()));
    let written = new_file(&path).and_then(|mut file| io::Write::write_all(&mut file, b"\n"));
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// Creates a file that only this user can read; an existing one is not opened.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_cannot_be_written_is_told_once() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "x").unwrap();
        let mut journal = AgentJournal::new(Some(&file.join("journals")));
        let failure = journal.take_failure().unwrap();
        assert!(failure.contains("cannot write the journal"), "{failure}");
        assert!(failure.contains("file/journals"), "{failure}");
        journal.end(None);
        assert_eq!(journal.take_failure(), None);
        let mut journal = AgentJournal::new(Some(&place.path().join("a/b")));
        assert_eq!(journal.take_failure(), None);
        assert_eq!(fs::read_dir(place.path().join("a/b")).unwrap().count(), 0, "only tried");
    }
}
