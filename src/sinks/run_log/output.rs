//! Where the lines of a log go: a file, or standard error.
//!
//! The sink writes through it.
//! Invariant: a failure costs lines, which the sink counts; a reader of standard error that reads
//! nothing delays a run once, by at most [`READER_WAIT`].

use std::io::{self, Write};
use std::time::Duration;

use super::log_file::LogFile;
use super::options::LogOptions;
use crate::host;
use crate::sinks::disk_budget::{DiskBudget, OutputKind};

/// How long a reader of standard error may read nothing.
const READER_WAIT: Duration = Duration::from_secs(1);

/// The size that a writable pipe accepts at least, bytes (PIPE_BUF, pipe(7)).
const CHUNK: usize = 4_096;

/// Where lines go.
#[derive(Debug)]
pub(super) enum LogOutput {
    File(LogFile, DiskBudget),
    Stderr(StderrLines),
}

/// Lines on standard error.
#[derive(Debug, Default)]
pub(super) struct StderrLines {
    /// Whether its reader did not take the last line.
    is_stalled: bool,
    /// Whether the last line has no end.
    is_cut: bool,
}

impl LogOutput {
    /// Opens the place of `options`.
    ///
    /// # Errors
    /// If it is a file that cannot be written.
    pub(super) fn open(options: &LogOptions, disk: DiskBudget) -> io::Result<Self> {
        Ok(match &options.target.path {
            Some(path) => Self::File(LogFile::open(path, options.rotation)?, disk),
            None => Self::Stderr(StderrLines::default()),
        })
    }

    /// Prepares for the lines of a second.
    ///
    /// # Errors
    /// If the file is gone, and cannot be created again. Each line fails then.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.refresh(),
            Self::Stderr(_) => Ok(()),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file, disk) if file.is_regular() => {
                disk.write(OutputKind::Log, line, |line| file.write(line))
            }
            Self::File(file, _) => file.write(line),
            Self::Stderr(lines) => lines.write(line),
        }
    }
}

impl StderrLines {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let ending: &[u8] = if self.is_cut { b"\n" } else { b"" };
        for (number, chunk) in [ending, line].concat().chunks(CHUNK).enumerate() {
            let wait = if self.is_stalled { Duration::ZERO } else { READER_WAIT };
            self.is_stalled = !host::takes_more(&io::stderr(), wait);
            let written = if self.is_stalled {
                Err(io::Error::new(io::ErrorKind::TimedOut, "its reader reads nothing"))
            } else {
                io::stderr().write_all(chunk)
            };
            self.is_cut = written.is_err() && (self.is_cut || number > 0);
            written?;
        }
        Ok(())
    }
}
