//! Files that a scenario may read: those in its own folder, and in folders that its user allows.
//!
//! Code that opens a file named in a scenario checks it here first.
//! Invariant: a scenario from another person cannot read files outside these folders: paths are
//! resolved before the check, and only regular files are read. What a bundle contains was checked
//! by the coordinator.

use std::path::Path;

use crate::files::Files;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::folders::ReadableFolders;

/// File systems whose files the kernel generates while they are read, possibly without end (Linux,
/// `statfs(2)`): proc, sysfs, debugfs, tracefs, cgroup, cgroup2, securityfs.
const GENERATED_FILE_SYSTEMS: [u64; 7] =
    [0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163, 0x0027_e0eb, 0x6367_7270, 0x7363_6673];

/// Whether an existing file may be read; if not, reports why at `span`.
pub(crate) fn check_readable(diagnostics: &mut Diagnostics, span: SourceSpan, path: &Path) -> bool {
    let shown = path.display();
    if diagnostics.files.are_bundled() {
        return true;
    }
    if !is_regular(path) {
        diagnostics
            .mistake(span, format!("`{shown}` is not a regular file"))
            .help("pipes, devices and files of /proc are refused, since they may never end");
        return false;
    }
    if diagnostics.readable.has(path) {
        return true;
    }
    let roots: Vec<String> = diagnostics.readable.names().map(|name| format!("`{name}`")).collect();
    let folder = path.parent().unwrap_or(path).display().to_string();
    diagnostics
        .mistake(span, format!("`{shown}` is outside the folders that a scenario may read"))
        .expected(format!("a file in {}", roots.join(" or ")))
        .help(format!(
            "allow its folder with `--allow-files {folder}`, or `files:` in your safety file"
        ));
    false
}

/// Whether an existing file may be read.
pub(crate) fn is_readable(files: &Files, readable: &ReadableFolders, path: &Path) -> bool {
    files.are_bundled() || (is_regular(path) && readable.has(path))
}

/// Whether a path leads to a regular file with stored content.
fn is_regular(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let kind = rustix::fs::statfs(path).map(|system| system.f_type as u64 & 0xffff_ffff);
    is_file && kind.is_ok_and(|kind| !GENERATED_FILE_SYSTEMS.contains(&kind))
}
