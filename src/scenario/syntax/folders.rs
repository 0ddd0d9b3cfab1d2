//! The folders whose files a scenario may read.
//!
//! `loader` adds them, `files` checks paths against them.
//! Invariant: paths are compared after they are resolved.

use std::path::{Path, PathBuf};

/// The folders that a scenario may read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadableFolders {
    /// Resolved paths, and their names in messages.
    roots: Vec<(PathBuf, String)>,
}

impl ReadableFolders {
    /// Adds a folder; a missing folder is ignored.
    pub(crate) fn add(&mut self, folder: &Path) {
        let here = Path::new(".");
        let folder = if folder.as_os_str().is_empty() { here } else { folder };
        if let Ok(real) = folder.canonicalize() {
            self.roots.push((real, folder.display().to_string()));
        }
    }

    /// Whether a path is in one of the folders.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let real = path.canonicalize();
        real.is_ok_and(|real| self.roots.iter().any(|(root, _)| real.starts_with(root)))
    }

    /// Returns the folders' names in messages.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|(_, name)| name.as_str())
    }
}
