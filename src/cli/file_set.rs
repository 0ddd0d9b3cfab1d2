//! Files that a command renders, written to a folder.
//!
//! `k8s` and `dashboards` call it.
//! Invariant: files of these names are replaced, all others stay.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes files, given by name and text, to a folder, which is made if it is missing.
pub(super) fn write_files<'f>(
    folder: &Path,
    files: impl Iterator<Item = (&'f str, &'f str)>,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in files {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o644);
        options.open(folder.join(name))?.write_all(text.as_bytes())?;
    }
    Ok(())
}
