//! The destination of a report: a file that is replaced as a whole, or a device or pipe.
//!
//! Invariant: an earlier file stays until its replacement is complete; a symbolic link is replaced,
//! never followed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::sinks::folder::make_folder_of;

/// A file, device or pipe for a report.
#[derive(Debug)]
pub(super) struct ExportFile {
    path: PathBuf,
    file: File,
    /// The temporary name; `None`: it is written in place.
    temporary: Option<PathBuf>,
}

impl ExportFile {
    /// Opens it, so that an unwritable path is known before the run. `number` distinguishes reports
    /// of this run to the same file.
    ///
    /// # Errors
    /// If it cannot be written; the text names it.
    pub(super) fn open(path: &Path, number: usize) -> io::Result<Self> {
        let in_place = || {
            let file = File::options().write(true).open(path)?;
            Ok(Self { path: path.to_owned(), file, temporary: None })
        };
        let opened = match fs::metadata(path) {
            Ok(there) if !there.is_file() => in_place(),
            there => {
                let permissions = there.ok().map(|there| there.permissions());
                Self::beside(path, number, permissions)
            }
        };
        opened.map_err(|error| named("cannot write ", path, &error))
    }

    fn beside(
        path: &Path,
        number: usize,
        permissions: Option<fs::Permissions>,
    ) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = std::process::id();
        let temporary = path.with_file_name(format!(".{name}.{own}-{number}.part"));
        make_folder_of(path)?;
        let new = || File::options().write(true).create_new(true).open(&temporary);
        let file = match new() {
            // A killed run with the same process id left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary)?;
                new()?
            }
            file => file?,
        };
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        Ok(Self { path: path.to_owned(), file, temporary: Some(temporary) })
    }

    /// Writes a report.
    ///
    /// # Errors
    /// If it cannot be written; the text names it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| match &self.temporary {
            Some(temporary) => fs::rename(temporary, &self.path),
            None => Ok(()),
        });
        written.map_err(|error| named("", &self.path, &error))?;
        self.temporary = None;
        Ok(())
    }
}

impl Drop for ExportFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn named(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}{}: {error}", path.display()))
}
