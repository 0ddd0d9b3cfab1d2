//! A file of lines to which only one run writes.
//!
//! `--log` and `--samples` write through it.
//! Invariant: no line of a regular file is cut in two; the reader of a pipe that reads nothing
//! delays a run once, by at most [`READER_WAIT`].

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::host;

/// How often a file that another run has just rotated away is opened again.
const ATTEMPTS: usize = 3;

/// How long the reader of a pipe may read nothing.
const READER_WAIT: Duration = Duration::from_secs(1);

/// An open file of lines.
#[derive(Debug)]
pub(super) struct LockedFile {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// The length; what was written to it if it is a device or a pipe.
    len: u64,
    is_regular: bool,
    /// Whether the last line has no end.
    is_cut: bool,
    /// Whether the reader of a pipe did not take the last line.
    is_stalled: bool,
}

impl LockedFile {
    /// Opens a file to add lines to it.
    ///
    /// # Errors
    /// If it cannot be written, or another run writes to it.
    pub(super) fn append_to(path: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let file = options().create(true).open(path)?;
            let mut open = Self::locked(file)?;
            if !open.is_regular {
                return Ok(open);
            }
            // Another run may have renamed it between the opening and the lock.
            if fs::metadata(path).is_ok_and(|there| id(&there) == open.id) {
                open.is_cut = open.len > 0 && last_byte(path, open.len)? != b'\n';
                return Ok(open);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "another run keeps renaming it"))
    }

    /// Creates a file that does not exist.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Self::locked(options().create_new(true).open(path)?)
    }

    /// Opens a file whose content is replaced.
    ///
    /// # Errors
    /// If it cannot be written, or another run writes to it.
    pub(super) fn replace(path: &Path) -> io::Result<Self> {
        let mut open = Self::append_to(path)?;
        if open.is_regular {
            open.file.set_len(0)?;
            (open.len, open.is_cut) = (0, false);
        }
        Ok(open)
    }

    fn locked(file: File) -> io::Result<Self> {
        let there = file.metadata()?;
        let is_regular = there.is_file();
        if is_regular && let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(match io::Error::from(error) {
                error if error.kind() == io::ErrorKind::WouldBlock => io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another run writes to it; name another file",
                ),
                error => error,
            });
        }
        let len = if is_regular { file.metadata()?.len() } else { 0 };
        let id = id(&there);
        Ok(Self { file, id, len, is_regular, is_cut: false, is_stalled: false })
    }

    /// Whether the file is still at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|there| id(&there) == self.id)
    }

    /// Whether it is a regular file, no device or pipe.
    pub(super) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// The length; of a device or pipe, what was written to it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Looks up the length: another program may have emptied the file.
    ///
    /// # Errors
    /// If the system does not know it.
    pub(super) fn look_up_len(&mut self) -> io::Result<()> {
        self.len = self.file.metadata()?.len();
        Ok(())
    }

    /// Writes lines, whole ones, or none.
    ///
    /// # Errors
    /// If they cannot be written. No part of them is in a regular file then.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_cut {
            self.write_all(b"\n")?;
            self.is_cut = false;
        }
        self.write_all(line)
    }

    /// Writes all of `bytes`, or nothing if it is a regular file.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let error = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    rest = &rest[count..];
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.is_read_on() {
                        continue;
                    }
                    io::Error::new(io::ErrorKind::TimedOut, "its reader reads nothing")
                }
                Err(error) => error,
            };
            let is_part = rest.len() < bytes.len();
            let is_undone = is_part && self.is_regular && self.file.set_len(self.len).is_ok();
            self.is_cut |= is_part && !is_undone;
            return Err(error);
        }
        self.len += bytes.len() as u64;
        self.is_stalled = false;
        Ok(())
    }

    /// Whether the reader of a pipe reads on within [`READER_WAIT`]; of one that did not, whether
    /// it does so now.
    fn is_read_on(&mut self) -> bool {
        let wait = if self.is_stalled { Duration::ZERO } else { READER_WAIT };
        self.is_stalled = !host::takes_more(&self.file, wait);
        !self.is_stalled
    }
}

/// How files are opened: a pipe never blocks, also if it has no reader.
fn options() -> OpenOptions {
    let mut options = File::options();
    options.append(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    options
}

fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn last_byte(path: &Path, len: u64) -> io::Result<u8> {
    let mut byte = [0];
    File::open(path)?.read_exact_at(&mut byte, len - 1)?;
    Ok(byte[0])
}
