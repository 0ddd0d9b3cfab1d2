//! A file of lines that is rotated by its size.
//!
//! `output` writes through it.
//! Invariant: no line is cut in two, and no line is deleted but with the oldest of the files that
//! are kept; only one run writes to a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::options::LogRotation;
use crate::sinks::folder::make_folder_of;
use crate::sinks::locked_file::LockedFile;

/// A file of lines.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Option<LogRotation>,
    /// `None` after it was lost, until it can be opened again.
    open: Option<LockedFile>,
}

impl LogFile {
    /// Opens a file, in a new folder if its own is missing; lines are added to those that it has.
    ///
    /// # Errors
    /// If it cannot be written, or another run writes to it.
    pub(super) fn open(path: &Path, rotation: Option<LogRotation>) -> io::Result<Self> {
        let open = make_folder_of(path).and_then(|()| LockedFile::append_to(path));
        let open = open.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(Self { path: path.to_owned(), rotation, open: Some(open) })
    }

    /// Opens the file again if another program has moved or deleted it.
    ///
    /// # Errors
    /// If that cannot be done. No line can be written then.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            if !open.is_regular() {
                return Ok(());
            }
            if open.is_at(&self.path) {
                return open.look_up_len();
            }
        }
        // The lock of a file that is gone must not keep another run from it.
        self.open = None;
        self.open = Some(LockedFile::append_to(&self.path)?);
        Ok(())
    }

    /// Whether it is a regular file, no device or pipe; also while it is lost.
    pub(super) fn is_regular(&self) -> bool {
        self.open.as_ref().is_none_or(LockedFile::is_regular)
    }

    /// Writes a line, to a new file if this one would become too large.
    ///
    /// # Errors
    /// If it cannot be written. No part of it is in the file then.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let open = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let is_full = |rotation: LogRotation| {
            open.is_regular() && open.len() > 0 && open.len() + line.len() as u64 > rotation.size
        };
        if let Some(rotation) = self.rotation.filter(|rotation| is_full(*rotation)) {
            self.rotate(rotation.kept)?;
        }
        self.open.as_mut().ok_or(io::ErrorKind::NotFound)?.write(line)
    }

    /// Renames the file to `FILE.1`, that one to `FILE.2` and so on, and begins a new one.
    fn rotate(&mut self, kept: u32) -> io::Result<()> {
        let former = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        // Only names up to the first free one move, so that a rotation that failed half-way
        // deletes nothing when it is repeated.
        let is_free = |number: &u32| former(*number).symlink_metadata().is_err();
        let free = (1..kept).find(is_free).unwrap_or(kept);
        for number in (1..free).rev() {
            fs::rename(former(number), former(number + 1))?;
        }
        fs::rename(&self.path, former(1))?;
        self.open = None;
        self.open = Some(LockedFile::create(&self.path)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of 32 bytes.
    fn line(number: usize) -> String {
        format!("line {number:>26}\n").replace("  ", "..")
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn files_are_rotated_between_lines_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let at = |number: usize| folder.path().join(format!("run.log.{number}"));
        let mut file = LogFile::open(&path, Some(LogRotation { size: 100, kept: 3 })).unwrap();
        for number in 0..12 {
            assert_eq!(line(number).len(), 32);
            file.write(line(number).as_bytes()).unwrap();
        }
        // Three lines of 32 bytes fit in 100; four files have all twelve.
        let all: String = [at(3), at(2), at(1), path.clone()].map(|path| read(&path)).concat();
        assert_eq!(all, (0..12).map(line).collect::<String>());
        for number in 12..18 {
            file.write(line(number).as_bytes()).unwrap();
        }
        assert_eq!(read(&at(3)), (6..9).map(line).collect::<String>());
        assert_eq!(read(&path), (15..18).map(line).collect::<String>());
        assert!(!at(4).exists());
        // A line that is larger than a file has a file of its own.
        let long = format!("{}\n", "x".repeat(300));
        file.write(long.as_bytes()).unwrap();
        file.write(line(0).as_bytes()).unwrap();
        assert_eq!((read(&at(1)), read(&path)), (long, line(0)));
    }

    #[test]
    fn a_rotation_that_failed_half_way_deletes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let at = |number: usize| folder.path().join(format!("run.log.{number}"));
        fs::write(at(2), "second").unwrap();
        fs::write(at(3), "third").unwrap();
        let mut file = LogFile::open(&path, Some(LogRotation { size: 40, kept: 3 })).unwrap();
        file.write(line(1).as_bytes()).unwrap();
        file.write(line(2).as_bytes()).unwrap();
        assert_eq!(read(&at(1)), line(1));
        assert_eq!((read(&at(2)), read(&at(3))), ("second".to_owned(), "third".to_owned()));
    }

    #[test]
    fn lines_are_added_to_those_of_an_earlier_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        fs::write(&path, "first\ncut").unwrap();
        let mut file = LogFile::open(&path, None).unwrap();
        file.write(b"next\n").unwrap();
        assert_eq!(read(&path), "first\ncut\nnext\n");
    }

    #[test]
    fn a_file_that_another_run_writes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let first = LogFile::open(&path, None).unwrap();
        let error = LogFile::open(&path, None).unwrap_err().to_string();
        assert!(error.contains("another run writes to it; name another file"), "{error}");
        drop(first);
        LogFile::open(&path, None).unwrap();
    }

    #[test]
    fn a_file_that_is_gone_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let path = logs.join("run.log");
        fs::create_dir(&logs).unwrap();
        let mut file = LogFile::open(&path, None).unwrap();
        file.write(b"1\n").unwrap();
        fs::rename(&path, logs.join("moved")).unwrap();
        file.refresh().unwrap();
        file.write(b"2\n").unwrap();
        assert_eq!((read(&logs.join("moved")), read(&path)), ("1\n".to_owned(), "2\n".to_owned()));
        fs::remove_dir_all(&logs).unwrap();
        assert_eq!(file.refresh().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(file.write(b"3\n").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&logs).unwrap();
        file.refresh().unwrap();
        file.write(b"4\n").unwrap();
        assert_eq!(read(&path), "4\n");
        fs::write(&path, "").unwrap();
        file.refresh().unwrap();
        file.write(b"5\n").unwrap();
        assert_eq!(read(&path), "5\n");
    }

    #[test]
    fn a_full_disk_is_an_error_of_each_line() {
        let mut file = LogFile::open(Path::new("/dev/full"), None).unwrap();
        for _ in 0..2 {
            file.refresh().unwrap();
            assert_eq!(file.write(b"1\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }
}
