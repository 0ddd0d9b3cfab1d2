//! Where the files of a scenario are read from.
//!
//! Everything that opens a file of a scenario calls it.
//! Invariant: with a bundle, no answer depends on the disk of the agent, except for private keys
//! and client certificates, which never leave the machine that they are on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::bundle::Bundle;
use super::error::BundleError;
use super::recording::Recording;
use super::role::FileRole;
use super::unpacked::Unpacked;
use super::variable::VariableCheck;

/// Where files are read from; by default the disk.
#[derive(Clone, Debug, Default)]
pub struct Files(FileAccess);

#[derive(Clone, Debug, Default)]
enum FileAccess {
    #[default]
    Disk,
    Recorded(Arc<Mutex<Recording>>),
    Unpacked(Arc<Unpacked>),
}

impl Files {
    /// Writes the contents of a bundle to a private folder, and reads from there. The folder is
    /// removed with the last clone of the returned files. Private keys and client certificates are
    /// looked for by file name in `own_folders`.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn unpack(bundle: &Bundle, own_folders: &[PathBuf]) -> io::Result<Self> {
        let unpacked = Unpacked::write(bundle, own_folders)?;
        Ok(Self(FileAccess::Unpacked(unpacked.into())))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be opened, or is not in the bundle.
    pub fn open(&self, path: &Path, role: FileRole) -> io::Result<File> {
        match &self.0 {
            FileAccess::Disk => File::open(path),
            FileAccess::Recorded(recording) => {
                recording.lock().unwrap_or_else(PoisonError::into_inner).open(path, role)
            }
            FileAccess::Unpacked(_) => File::open(self.location(path)?),
        }
    }

    /// Returns where the content of a file is on this machine.
    pub(super) fn location(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.0 {
            FileAccess::Unpacked(unpacked) => unpacked.location(path),
            _ => Ok(path.to_owned()),
        }
    }

    /// Standard input; agents have none of a coordinator.
    ///
    /// # Errors
    /// If the files come from a bundle.
    pub fn standard_input(&self) -> io::Result<impl Read> {
        match &self.0 {
            FileAccess::Disk => {}
            FileAccess::Recorded(recording) => {
                recording.lock().unwrap_or_else(PoisonError::into_inner).read_standard_input();
            }
            FileAccess::Unpacked(_) => {
                return Err(io::Error::other("an agent has no standard input of the coordinator"));
            }
        }
        Ok(io::stdin().lock())
    }

    /// Whether there is a file, not a folder, at this path.
    pub fn is_file(&self, path: &Path) -> bool {
        match &self.0 {
            FileAccess::Unpacked(unpacked) => unpacked.location(path).is_ok(),
            _ => path.exists() && !path.is_dir(),
        }
    }

    /// Returns the path without links and `..`: two paths of one file have one such path.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.0 {
            FileAccess::Unpacked(unpacked) => unpacked.real_path(path),
            _ => path.canonicalize(),
        }
    }

    /// Whether all files come from a bundle: the coordinator has checked where they are from.
    pub fn are_bundled(&self) -> bool {
        matches!(self.0, FileAccess::Unpacked(_))
    }

    /// Advice about a file that is missing here, if it differs from that for a file on disk.
    pub fn advice(&self, path: &Path) -> Option<String> {
        match &self.0 {
            FileAccess::Unpacked(unpacked) => Some(unpacked.advice(path)),
            _ => None,
        }
    }

    /// Returns the file names in a folder, of at most `most` entries.
    pub fn names_in(&self, folder: &Path, most: usize) -> Vec<PathBuf> {
        match &self.0 {
            FileAccess::Unpacked(unpacked) => unpacked.names_in(folder).take(most).collect(),
            _ => {
                let entries = fs::read_dir(folder).into_iter().flatten();
                entries.take(most).flatten().map(|entry| entry.path()).collect()
            }
        }
    }

    /// Returns the file of the user's limits: of a bundle, that of the coordinator's user, else
    /// what `find` returns.
    pub fn limits(&self, find: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
        match &self.0 {
            FileAccess::Unpacked(unpacked) => unpacked.limits(),
            _ => find(),
        }
    }
}

/// Records the files that are read.
#[derive(Debug, Default)]
pub struct FileRecorder(Arc<Mutex<Recording>>);

impl FileRecorder {
    /// Returns the files to compile with: those on disk.
    pub fn files(&self) -> Files {
        Files(FileAccess::Recorded(Arc::clone(&self.0)))
    }

    /// Returns the files that were read, as they were named.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).paths()
    }

    /// Makes a bundle of all files that were read; `variables` are the environment
    /// variables that the scenario reads.
    ///
    /// # Errors
    /// If a file changed, may not be sent or cannot be sent, or if all are too large.
    pub fn bundle(
        &self,
        variables: BTreeMap<String, VariableCheck>,
    ) -> Result<Bundle, BundleError> {
        let recording = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        recording.bundle(variables)
    }
}
