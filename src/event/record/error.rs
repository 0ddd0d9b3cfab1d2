//! Why a record cannot be read, and the version that it has to have.
//!
//! Invariant: the version changes whenever the content of frames changes.

use std::io;

/// The first line. The number changes when the content of frames changes.
pub(super) const VERSION: &str = "manada record 7\n";

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The file is not a record, or of another version.
    #[error("it is no record that this version of manada reads (expected `{}`)", VERSION.trim())]
    Foreign,
    /// The content is corrupt.
    #[error("it is damaged {0}")]
    Damaged(&'static str),
}
