//! `--samples FILE`: calls one by one, as lines of JSON.
//!
//! `cli` opens it before the run, and prints how many calls it has after the run.
//! Invariant: a file has all calls of an iteration or, but for the seconds in which the bound
//! falls, none; calls that are left out or lost are counted, and never fail a run.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::call_names::CallNames;
use super::zstd_frames::ZstdFrames;
use crate::event::RunEvent;
use crate::sinks::Sink;
use crate::sinks::disk_budget::{DiskBudget, OutputKind};
use crate::sinks::folder::make_folder_of;
use crate::sinks::locked_file::LockedFile;

/// The calls of a run that may be in a file.
#[derive(Clone, Debug, Default)]
pub struct SampleTotals {
    /// Calls in the file.
    pub written: u64,
    /// Calls that were left out, since there were too many.
    pub left_out: u64,
    /// Calls that could not be written.
    pub lost: u64,
    /// Why the first of them could not.
    pub error: Option<String>,
}

/// The totals of a file, also after the sink has taken it.
#[derive(Clone, Debug, Default)]
pub struct SampleTotalsHandle(Arc<Mutex<SampleTotals>>);

impl SampleTotalsHandle {
    /// The totals so far.
    pub fn get(&self) -> SampleTotals {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A file of calls.
#[derive(Debug)]
pub struct SamplesFile {
    file: LockedFile,
    frames: ZstdFrames,
    /// Calls that wait for the end of their frame.
    waiting: u64,
    names: Option<CallNames>,
    totals: SampleTotals,
    shared: SampleTotalsHandle,
    disk: DiskBudget,
}

impl SamplesFile {
    /// Opens the file, whose content is replaced; it is compressed if its name ends in `.zst`.
    ///
    /// # Errors
    /// If it cannot be written, or another run writes to it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let is_compressed = path.extension().is_some_and(|ending| ending == "zst");
        let file = make_folder_of(path).and_then(|()| LockedFile::replace(path));
        let file = file.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(Self {
            file,
            frames: ZstdFrames::new(is_compressed),
            waiting: 0,
            names: None,
            totals: SampleTotals::default(),
            shared: SampleTotalsHandle::default(),
            disk: DiskBudget::default(),
        })
    }

    /// Counts what is written in a budget.
    pub fn count_in(&mut self, disk: DiskBudget) {
        self.disk = disk;
    }

    /// The totals of the file.
    pub fn totals(&self) -> SampleTotalsHandle {
        self.shared.clone()
    }

    /// Writes the frame that is full, or the last one. One that cannot be written is lost.
    fn write(&mut self, is_end: bool) {
        let Some(frame) = self.frames.frame(is_end) else { return };
        let calls = std::mem::take(&mut self.waiting);
        let written = if self.file.is_regular() {
            self.disk.write(OutputKind::Samples, &frame, |bytes| self.file.write(bytes))
        } else {
            self.file.write(&frame)
        };
        match written {
            Ok(()) => self.totals.written += calls,
            Err(error) => {
                self.totals.lost += calls;
                self.totals.error.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl Sink for SamplesFile {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Started(_) | RunEvent::Delta(_) | RunEvent::Ended(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.names = Some(CallNames::new(info)),
            RunEvent::Delta(delta) => {
                for call in delta.kept.calls.iter().filter(|call| call.because.sampled) {
                    let Some(names) = &self.names else { continue };
                    names.write_line(call, self.frames.text())?;
                    self.waiting += 1;
                    self.write(false);
                }
                self.totals.left_out += delta.kept.sampled_left_out;
            }
            RunEvent::Ended(_) => self.write(true),
            _ => {}
        }
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = self.totals.clone();
        Ok(())
    }
}
