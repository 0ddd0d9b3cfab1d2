//! What coordinators of a run merged: it is kept as a journal, and that of a former coordinator is
//! read again.
//!
//! `driver` adds frames, and restores those of a former coordinator once it leads; `run` replays
//! them.
//! Invariant: the journal of this coordinator begins with the frames that it restored, so that a
//! third one can go on from it alone.

use std::io;
use std::path::{Path, PathBuf};

use super::journal::{FleetJournal, FleetJournalError, FleetJournalReader, JournalRun};
use crate::event::record;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{DeltaFrame, Member, MergedFrames};
use crate::stats::Delta;

/// The journal of a coordinator, and that of its predecessor.
pub(super) struct FleetHistory {
    run: JournalRun,
    own: Option<FleetJournal>,
    former: Option<PathBuf>,
    max_frame: usize,
    /// Messages that were not told.
    messages: Vec<String>,
}

impl FleetHistory {
    /// The journal of a run in the folder `own`; `former` is the folder of the coordinator before.
    pub(super) fn new(
        run: JournalRun,
        own: Option<&Path>,
        former: Option<&Path>,
        max_frame: usize,
    ) -> Self {
        let journal = own.map(|folder| folder.join(record::FLEET_JOURNAL));
        let former = former.map(|folder| folder.join(record::FLEET_JOURNAL));
        let mut history = Self { run, own: None, former, max_frame, messages: Vec::new() };
        match journal.map(|path| FleetJournal::create(&path, &history.run)) {
            Some(Ok(journal)) => history.own = Some(journal),
            Some(Err(error)) => history.fail(&error),
            None => {}
        }
        history
    }

    /// Adds a frame that is merged.
    pub(super) fn add(
        &mut self,
        member: Member,
        frame: DeltaFrame<ShardDeltas>,
    ) -> DeltaFrame<ShardDeltas> {
        let merged = (member, frame);
        if let Some(mut journal) = self.own.take() {
            match journal.add(&merged) {
                Ok(()) => self.own = Some(journal),
                Err(error) => self.fail(&error),
            }
        }
        merged.1
    }

    /// Waits until the journal is on its disk: agents may forget what is in it.
    pub(super) fn sync(&mut self) {
        let Some(mut journal) = self.own.take() else { return };
        match journal.sync() {
            Ok(()) => self.own = Some(journal),
            Err(error) => self.fail(&error),
        }
    }

    /// Reads the journal of the former coordinator, and writes its frames to this one. Returns how
    /// many it has, and their sums.
    pub(super) fn restore(&mut self) -> (u64, MergedFrames<ShardDeltas>) {
        let (mut count, mut merged) = (0, MergedFrames::default());
        let Some(former) = self.former.take() else { return (count, merged) };
        let mut read = || {
            let mut reader = FleetJournalReader::open(&former, &self.run, self.max_frame)?;
            while let Some((member, frame)) = reader.next_frame()? {
                if merged.add(member, &frame) {
                    self.add(member, frame);
                }
                count += 1;
            }
            Ok::<_, FleetJournalError>(())
        };
        if let Err(error) = read() {
            self.messages.push(format!(
                "{}: {error}; what the former coordinator merged after that is lost",
                former.display()
            ));
        }
        (count, merged)
    }

    /// Takes the messages that were not told.
    pub(super) fn take_messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }

    fn fail(&mut self, error: &io::Error) {
        self.messages.push(format!(
            "cannot write {}: {error}; the run goes on without it, and a coordinator that resumes \
             the run lacks what is merged from now on",
            record::FLEET_JOURNAL
        ));
    }
}

/// The deltas that a former coordinator merged, in order.
pub struct FormerDeltas {
    reader: FleetJournalReader,
    frames: u64,
    merged: MergedFrames<ShardDeltas>,
}

impl FormerDeltas {
    /// Those of the first `frames` frames of the journal in a folder.
    ///
    /// # Errors
    /// If it cannot be read, or is that of another run.
    pub fn open(
        folder: &Path,
        (run, plan): (&str, u64),
        frames: u64,
        max_frame: usize,
    ) -> Result<Self, FleetJournalError> {
        let path = folder.join(record::FLEET_JOURNAL);
        let reader = FleetJournalReader::open(&path, &JournalRun::new(run, plan), max_frame)?;
        Ok(Self { reader, frames, merged: MergedFrames::default() })
    }
}

impl Iterator for FormerDeltas {
    type Item = Vec<Delta>;

    fn next(&mut self) -> Option<Vec<Delta>> {
        while self.frames > 0 {
            self.frames -= 1;
            // What cannot be read is a declared loss.
            let (member, frame) = self.reader.next_frame().ok()??;
            if self.merged.add(member, &frame) {
                return Some(frame.payload.deltas);
            }
        }
        None
    }
}
