//! The contents of a bundle in a private folder, and the paths under which they are known.
//!
//! [`Files`](super::Files) writes it and reads from it.
//! Invariant: names of files in the folder are hashes of their contents, so that no path of a
//! bundle leads out of it; the folder is removed with its last user.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::bundle::Bundle;
use super::hash::Sha256Hash;
use super::role::FileRole;

/// Maximum attempts to find a name for the folder that is not taken.
const MAX_NAMES: u32 = 10_000;

/// An unpacked bundle.
#[derive(Debug)]
pub(super) struct Unpacked {
    folder: UnpackedFolder,
    files: BTreeMap<PathBuf, UnpackedFile>,
    not_sent: BTreeSet<PathBuf>,
    own_folders: Vec<PathBuf>,
}

#[derive(Debug)]
struct UnpackedFile {
    sha256: Sha256Hash,
    real: PathBuf,
    role: FileRole,
}

/// The folder; it is removed when this is dropped.
#[derive(Debug)]
struct UnpackedFolder(PathBuf);

impl Drop for UnpackedFolder {
    fn drop(&mut self) {
        // Rows that are read during the run are open already, and stay readable.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Unpacked {
    /// Writes the contents.
    pub(super) fn write(bundle: &Bundle, own_folders: &[PathBuf]) -> io::Result<Self> {
        let manifest = &bundle.manifest;
        let folder = create()?;
        for (sha256, content) in &bundle.contents {
            let path = folder.0.join(sha256.to_string());
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(path)?.write_all(content)?;
        }
        let files = manifest.files.iter().map(|file| {
            let real = PathBuf::from(&file.real);
            let unpacked = UnpackedFile { sha256: file.sha256, real, role: file.role };
            (PathBuf::from(&file.path), unpacked)
        });
        Ok(Self {
            folder,
            files: files.collect(),
            not_sent: manifest.not_sent.iter().map(PathBuf::from).collect(),
            own_folders: own_folders.to_vec(),
        })
    }

    /// Returns where the content of a file is on this machine.
    pub(super) fn location(&self, path: &Path) -> io::Result<PathBuf> {
        if let Some(file) = self.files.get(path) {
            return Ok(self.folder.0.join(file.sha256.to_string()));
        }
        let missing = || io::Error::new(io::ErrorKind::NotFound, self.advice(path));
        let name = path.file_name().filter(|_| self.not_sent.contains(path));
        let name = name.ok_or_else(missing)?;
        let mut places = self.own_folders.iter().map(|folder| folder.join(name));
        places.find(|place| place.is_file()).ok_or_else(missing)
    }

    /// Returns the resolved path on the coordinator.
    pub(super) fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        match self.files.get(path) {
            Some(file) => Ok(file.real.clone()),
            None => self.location(path),
        }
    }

    /// What to do about a missing file.
    pub(super) fn advice(&self, path: &Path) -> String {
        if self.not_sent.contains(path) {
            let name = Path::new(path.file_name().unwrap_or_default()).display();
            return format!(
                "private keys, client certificates and data with rules of `sanitize` are not sent \
                 to agents: put `{name}` into a folder of this machine, and name it with \
                 `--own-files DIR`"
            );
        }
        format!(
            "the coordinator sent no `{}`; start coordinator and agents with the same version of \
             Manada",
            path.display()
        )
    }

    /// Returns the paths of the files in a folder.
    pub(super) fn names_in(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        self.files.keys().filter(move |path| path.parent() == Some(folder)).cloned()
    }

    /// Returns the path of the user's limits.
    pub(super) fn limits(&self) -> Option<PathBuf> {
        let found = self.files.iter().find(|(_, file)| file.role == FileRole::Limits);
        found.map(|(path, _)| path.clone())
    }
}

/// Creates a folder that only this user can read, in that for temporary files. A folder or link
/// that is there already is never used.
fn create() -> io::Result<UnpackedFolder> {
    let (within, process) = (std::env::temp_dir(), std::process::id());
    let mut number = 0;
    loop {
        let path = within.join(format!("manada-bundle-{process}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(UnpackedFolder(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NAMES => {
                number += 1;
            }
            Err(error) => {
                let place = within.display();
                return Err(io::Error::new(error.kind(), format!("{place}: {error}")));
            }
        }
    }
}
